"""Every method that hides parts on every kind of model, against slow loops over the hand-written twins."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from typing import Any

import masked
import numpy as np
import pytest
import tensorflow as tf
import truth
from covering import each_method, every, once, proves
from kinds import Kind, flat
from models import BUILDERS, functional_logits, kind
from test_battery import same

import tfxai
from tfxai.engines import perturb
from tfxai.model.tracing import traces


@functools.cache
def callable_numpy() -> Kind:
    """A function on arrays that TensorFlow cannot look into."""
    built = functional_logits()
    model = built.model

    def scores(x: Any) -> Any:
        assert isinstance(x, np.ndarray)
        return model.predict_on_batch(x)

    return dataclasses.replace(built, name="callable_numpy", model=scores, cam=False)


def any_kind(name: str) -> Kind:
    return callable_numpy() if name == "callable_numpy" else kind(name)


NAMES = [*BUILDERS, "callable_numpy"]


def found(method: Any, kind: Kind, score: Any = "logit", **more: Any) -> tuple[tfxai.Explanation, np.ndarray]:
    """The explanation and its values for the input that is hidden in parts; the other inputs have none."""
    result = explained(method, kind, score, **more)
    values = flat(result.values)
    assert all(v is None for i, v in enumerate(values) if i != kind.image)
    return result, values[kind.image]


def explained(method: Any, kind: Kind, score: Any = "logit", **more: Any) -> tfxai.Explanation:
    if score == "probability":
        score = kind.probability
    elif kind.score is not None:
        score = kind.score
    more = {"targets": kind.asked["targets"], **more}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* no values \\(None\\)", category=UserWarning)
        result = method(kind.model, kind.inputs, score=score, **more)
    np.testing.assert_array_equal(result.targets, truth.predicted(kind))
    return result


@proves("Occlusion")
@pytest.mark.parametrize("name", NAMES)
def test_occlusion(name: str) -> None:
    model = any_kind(name)
    window, stride = (5, 4) if name != "nested" else (12, 10)
    result, values = found(tfxai.Occlusion(window=window, stride=stride), model)
    same(values, masked.occlusion(model, window, stride), model)
    x = model.flat[model.image]
    scores = [score(one[None])[0] for score, one in zip(masked.scorers(model), x, strict=True)]
    np.testing.assert_allclose(result.scores, scores, rtol=1e-4 if model.exact else 2e-2, atol=1e-5)


@proves("RISE")
@pytest.mark.parametrize("name", NAMES)
def test_rise(name: str) -> None:
    model = any_kind(name)
    method = tfxai.RISE(samples=10, cells=3, keep=0.4, seed=2)
    if not model.is_picture(model.image):
        with pytest.raises(ValueError, match="RISE is for images"):
            method(model.model, model.inputs)
        return
    same(found(method, model)[1], masked.rise(model, 10, 3, 0.4, 2), model)


@pytest.mark.parametrize("name", NAMES)
@each_method({"ScoreCAM": tfxai.ScoreCAM(), "AblationCAM": tfxai.AblationCAM()})
def test_class_activation_maps(name: str, method: str) -> None:
    model = any_kind(name)
    if not model.cam:
        with pytest.raises(ValueError, match="plain callable has none"):
            getattr(tfxai, method)()(model.model, model.inputs)
        return
    if method == "AblationCAM":
        each = explained(tfxai.AblationCAM(), model).values, masked.ablation_cam(model)
    else:
        channels = 15 if name == "nested" else None  # the strongest of 48
        each = (
            explained(tfxai.ScoreCAM(channels=channels), model, "probability").values,
            masked.score_cam(model, channels),
        )
    for values, wanted in zip(flat(each[0]), each[1], strict=True):
        same(values, wanted, model)


def cut(model: Kind) -> Any:
    """A label map with a few parts for each example, different ones."""
    shape = masked.space(model)
    if len(shape) == 1 and np.ndim(model.flat[model.image]) == 2:
        return np.stack([np.arange(shape[0]) * 4 // shape[0], np.arange(shape[0]) % 3])
    generator = np.random.default_rng(0)
    return np.stack([generator.integers(0, parts, shape) for parts in (4, 3)])


@proves("LIME")
@pytest.mark.parametrize("name", NAMES)
def test_lime(name: str) -> None:
    model = any_kind(name)
    labels = cut(model)
    result, values = found(tfxai.LIME(segmenter=labels, samples=12, hide=0.0, seed=3), model)
    for i, weights in enumerate(masked.lime(model, labels, 12, 3)):
        same(result.weights[i][: len(weights)], weights, model)
        assert np.isnan(result.weights[i][len(weights) :]).all()
        spread = result.weights[i][labels[i]]
        np.testing.assert_array_equal(
            values[i], spread[..., None] if values[i].ndim > labels[i].ndim else spread
        )


@proves("KernelSHAP")
@pytest.mark.parametrize("name", NAMES)
def test_kernel_shap_with_all_coalitions_is_shapley(name: str) -> None:
    model = any_kind(name)
    labels = cut(model)
    result, _ = found(tfxai.KernelSHAP(segmenter=labels, samples=16, background=0.0), model)
    for i, weights in enumerate(masked.shapley(model, labels)):
        same(result.weights[i][: len(weights)], weights, model)
    assert np.abs(result.delta).max() <= 1e-4 * max(np.abs(result.scores).max(), 1)


@proves("ShapleyInteractions")
@pytest.mark.parametrize("name", NAMES)
def test_interactions_with_all_coalitions_are_those_of_the_definition(name: str) -> None:
    model = any_kind(name)
    labels = cut(model)
    index = ("k-SII", "STII", "FSII")[NAMES.index(name) % 3]
    method = tfxai.ShapleyInteractions(segmenter=labels, samples=16, background=0.0, index=index)
    result, _ = found(method, model)
    for i, wanted in enumerate(masked.interactions(model, labels, index)):
        parts = len(wanted)
        same(result.interactions[i][:parts, :parts], wanted, model)
        assert np.isnan(result.interactions[i][parts:]).all()
    for i, weights in enumerate(masked.shapley(model, labels)):
        same(result.weights[i][: len(weights)], weights, model)


@proves("PartitionSHAP")
@pytest.mark.parametrize("name", NAMES)
def test_partition_shap_of_quarters_is_owen(name: str) -> None:
    model = any_kind(name)
    result, values = found(tfxai.PartitionSHAP(evals=12, masker=0.0), model)
    same(values, masked.owen_of_quarters(model), model)
    if name != "callable_numpy":
        x = model.flat[model.image]
        empty = [score(0 * row[None])[0] for score, row in zip(masked.scorers(model), x, strict=True)]
        gap = values.reshape(len(values), -1).sum(1) - (result.scores - empty)
        np.testing.assert_allclose(result.delta, gap, atol=(1e-4 if model.exact else 5e-2))


METHODS = {
    "occlusion": tfxai.Occlusion(window=3, stride=3),
    "lime": tfxai.LIME(samples=20, segmenter="grid", segments=4, hide=0.0),
    "kernel_shap": tfxai.KernelSHAP(samples=16, segmenter="grid", segments=4, background=0.0),
    "shapley_interactions": tfxai.ShapleyInteractions(
        samples=16, segmenter="grid", segments=4, background=0.0
    ),
    # Two whole levels: beyond them, which regions are halved depends on all classes of a call.
    "partition_shap": tfxai.PartitionSHAP(evals=12, masker=0.0),
}


@once(
    "method",
    name=("functional_softmax", "two_inputs_dict", "series", "embedding", "callable_numpy"),
    method=METHODS,
)
def test_a_batch_is_its_examples_and_classes_one_by_one(name: str, method: str) -> None:
    model, configured = any_kind(name), METHODS[method]
    together = configured(model.model, model.inputs, targets=tfxai.top(2))
    assert together.targets.shape == (2, 2)
    for i in range(2):
        one = model.structured([x[i : i + 1] for x in model.flat])
        single = configured(model.model, one, targets=[together.targets[i, 1]], batch_size=3)
        a, b = together.one()[0][i, 1], single.one()[0][0]
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max() + 1e-7


@once("method", name=NAMES, method=METHODS)
def test_a_second_call_has_the_same_bits_and_traces_nothing(name: str, method: str) -> None:
    model, configured = any_kind(name), METHODS[method]
    np.random.seed(0)
    tf.random.set_seed(0)
    first, _ = found(configured, model)
    count = traces(model.model)
    np.random.random(3)
    second, _ = found(configured, model)
    assert traces(model.model) == count > 0
    np.testing.assert_array_equal(first.one()[0], second.one()[0])


@every(7, name=NAMES)
def test_frozen_weights_give_the_same_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = any_kind(name)
    live = found(METHODS["kernel_shap"], model)[1]
    monkeypatch.setattr(perturb, "FREEZE", 1)
    same(found(METHODS["kernel_shap"], model)[1], live, model)
