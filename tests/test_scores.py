"""What is explained: the score's value and its gradient, on linear models where both are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

import tfxai
from tfxai import scores

L = keras.layers
GRADIENT = tfxai.Gradient()
X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
LOGITS = X @ WEIGHTS
TARGETS = [2, 0, 1]
ROWS = np.arange(3)


def softmax(x: NDArray) -> NDArray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


def dense(classes: int = 3, **more: Any) -> Any:
    return L.Dense(classes, use_bias=False, kernel_initializer=lambda *_, **__: WEIGHTS[:, :classes], **more)


def sequential(*layers: Any) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), *layers])


class LogSoftmax(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = dense()

    def call(self, x: Any) -> Any:
        return tf.nn.log_softmax(self.dense(x))


def subclassed() -> keras.Model:
    model = LogSoftmax()
    model(X)
    return model


def nested() -> keras.Model:
    """The softmax is inside a model inside a model."""
    inner = keras.Sequential([keras.Input((4,)), dense(), L.Softmax()])
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.Sequential([keras.Input((4,)), inner])(inputs))


def in_half_precision() -> keras.Model:
    """Computes in float16, ends in float32, as Keras advises."""
    return sequential(dense(dtype="mixed_float16"), L.Activation("softmax", dtype="float32"))


def softmax_in_half_precision() -> keras.Model:
    return sequential(dense(dtype="mixed_bfloat16"), L.Activation("softmax", dtype="mixed_bfloat16"))


def called() -> Callable[[Any], Any]:
    """A Keras model inside a function of the user's own."""
    model = sequential(dense(activation="softmax"))
    return lambda x: model(x)


ENDINGS: dict[str, Callable[[], Any]] = {
    "no ending": lambda: sequential(dense()),
    "softmax": lambda: sequential(dense(activation="softmax")),
    "softmax layer": lambda: sequential(dense(), L.Softmax()),
    "log-softmax": lambda: sequential(dense(activation="log_softmax")),
    "log-softmax of a subclassed model": subclassed,
    "sigmoid for each class": lambda: sequential(dense(activation="sigmoid")),
    "softmax in a nested model": nested,
    "dropout after softmax": lambda: sequential(dense(), L.Softmax(), L.Dropout(0.5)),
    "softmax, then reshape": lambda: sequential(dense(), L.Reshape((1, 1, 3)), L.Softmax(), L.Flatten()),
    "softmax over cells": lambda: sequential(
        L.Reshape((1, 1, 4)),
        L.Conv2D(3, 1, use_bias=False, kernel_initializer=lambda *_, **__: WEIGHTS[None, None]),
        L.Softmax(),
        L.Reshape((3,)),
    ),
    "float16": in_half_precision,
    "bfloat16": softmax_in_half_precision,
    "callable": lambda: lambda x: tf.nn.softmax(x @ WEIGHTS),
    "model inside a callable": called,
}


def precision(name: str) -> dict[str, float]:
    return {"rtol": 2e-2, "atol": 2e-2} if "float" in name else {"rtol": 1e-4, "atol": 1e-6}


@pytest.mark.parametrize("name", ENDINGS)
def test_the_logit_is_found_behind(name: str) -> None:
    result = GRADIENT(ENDINGS[name](), X, TARGETS)
    assert result.score == "logit"
    np.testing.assert_allclose(result.scores, LOGITS[ROWS, TARGETS], **precision(name))
    np.testing.assert_allclose(result.values, WEIGHTS[:, TARGETS].T, **precision(name))


@pytest.mark.parametrize("name", ENDINGS)
def test_the_probability_is_that_of(name: str) -> None:
    result = GRADIENT(ENDINGS[name](), X, TARGETS, score="probability")
    assert result.score == "probability"
    if name == "sigmoid for each class":
        p = sigmoid(LOGITS)[ROWS, TARGETS]
        slopes = (p * (1 - p))[:, None] * WEIGHTS[:, TARGETS].T
    else:
        whole = softmax(LOGITS)
        p = whole[ROWS, TARGETS]
        slopes = p[:, None] * (WEIGHTS[:, TARGETS].T - whole @ WEIGHTS.T)
    np.testing.assert_allclose(result.scores, p, **precision(name))
    np.testing.assert_allclose(result.values, slopes, **precision(name))


def test_the_output_is_left_as_it_is() -> None:
    p = softmax(LOGITS)[ROWS, TARGETS]
    slopes = WEIGHTS[:, TARGETS].T - softmax(LOGITS) @ WEIGHTS.T
    for name, score, gradient in (
        ("no ending", LOGITS[ROWS, TARGETS], WEIGHTS[:, TARGETS].T),
        ("softmax", p, p[:, None] * slopes),
        ("log-softmax", np.log(p), slopes),
    ):
        result = GRADIENT(ENDINGS[name](), X, TARGETS, score="output")
        np.testing.assert_allclose(result.scores, score, rtol=1e-4)
        np.testing.assert_allclose(result.values, gradient, rtol=1e-4, atol=1e-6)
        assert result.score == "output"


def test_a_softmax_that_is_not_the_end_is_not_undone() -> None:
    model = sequential(dense(), L.Softmax(), L.Rescaling(2.0))
    p = softmax(LOGITS)[ROWS, TARGETS]
    np.testing.assert_allclose(GRADIENT(model, X, TARGETS).scores, 2 * p, rtol=1e-5)


def test_a_softmax_inside_a_compiled_function_is_not_passed_over() -> None:
    model = tf.function(lambda x: tf.nn.softmax(x @ WEIGHTS))
    for function in (model, lambda x: model(x), model.python_function):
        np.testing.assert_allclose(GRADIENT(function, X).scores, LOGITS.max(1), rtol=1e-5)
        found = GRADIENT(function, X, TARGETS, score="output").scores
        np.testing.assert_allclose(found, softmax(LOGITS)[ROWS, TARGETS], rtol=1e-5)


# One unit

W = WEIGHTS[:, :1]
UNIT = (X @ W)[:, 0]


@pytest.mark.parametrize("target", [0, 1])
def test_a_sigmoid_unit_has_two_classes(target: int) -> None:
    """Target 1 is the unit, target 0 its complement."""
    model, sign = sequential(dense(1, activation="sigmoid")), 2 * target - 1
    result = GRADIENT(model, X, target)
    np.testing.assert_allclose(result.scores, sign * UNIT, rtol=1e-5)
    np.testing.assert_allclose(result.values, np.tile(sign * W.T, (3, 1)), rtol=1e-5)
    p = sigmoid(UNIT)
    for score in ("probability", "output"):
        result = GRADIENT(model, X, target, score=score)
        np.testing.assert_allclose(result.scores, p if target else 1 - p, rtol=1e-5)
        np.testing.assert_allclose(result.values, sign * (p * (1 - p))[:, None] * W.T, rtol=1e-4)


def test_the_predicted_class_of_a_sigmoid_unit_is_the_likelier_of_its_two() -> None:
    model = sequential(dense(1, activation="sigmoid"))
    np.testing.assert_array_equal(GRADIENT(model, X).targets, UNIT > 0)
    assert 0 < (UNIT > 0).sum() < 3
    both = GRADIENT(model, X, tfxai.top(2))
    np.testing.assert_array_equal(both.targets, np.stack([UNIT > 0, UNIT <= 0], 1))
    np.testing.assert_allclose(both.scores, np.stack([abs(UNIT), -abs(UNIT)], 1), rtol=1e-5)


def test_the_probability_of_a_linear_unit_is_its_sigmoid() -> None:
    result = GRADIENT(sequential(dense(1)), X, score="probability")
    p = sigmoid(UNIT)
    np.testing.assert_allclose(result.scores, p, rtol=1e-5)
    np.testing.assert_allclose(result.values, (p * (1 - p))[:, None] * W.T, rtol=1e-5)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
@pytest.mark.parametrize("target", [None, 0])
def test_a_callable_that_gives_one_number_has_one_target(shape: tuple, target: int | None) -> None:
    result = GRADIENT(lambda x: tf.reshape(x @ W, shape), X, target)
    np.testing.assert_array_equal(result.targets, [0, 0, 0])
    np.testing.assert_allclose(result.scores, UNIT, rtol=1e-5)
    np.testing.assert_allclose(result.values, np.tile(W.T, (3, 1)), rtol=1e-5)


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_a_sigmoid_that_is_seen_in_a_callable_has_a_complement(shape: tuple) -> None:
    result = GRADIENT(lambda x: tf.sigmoid(tf.reshape(x @ W, shape)), X, [0, 1, 0])
    np.testing.assert_allclose(result.scores, UNIT * [-1, 1, -1], rtol=1e-5)


# Scores that are no classes


def test_regression_is_one_number_as_it_is() -> None:
    model = sequential(dense(activation="softmax"))
    for index in (0, 2, -1):
        result = GRADIENT(model, X, score=scores.regression(index))
        np.testing.assert_allclose(result.scores, softmax(LOGITS)[:, index], rtol=1e-5)
    flat = GRADIENT(lambda x: tf.reshape(x @ W, (-1,)), X, score=scores.regression())
    np.testing.assert_allclose(flat.values, np.tile(W.T, (3, 1)), rtol=1e-5)


IMAGES = np.random.default_rng(2).normal(size=(2, 5, 6, 4)).astype(np.float32)


def segmenter() -> keras.Model:
    """Each cell of the output is a linear function of the pixel below it."""
    conv = L.Conv2D(3, 1, use_bias=False, kernel_initializer=lambda *_, **__: WEIGHTS[None, None])
    return keras.Sequential([keras.Input((5, 6, 4)), conv])


MASK = np.zeros((5, 6))
MASK[1:3, 2:6] = 1
AREAS = {"region": scores.region, "box": lambda mask, *a, **b: scores.box((1, 2, 3, 6), *a, **b)}


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("how", ["channel", "target", "targets"])
def test_a_region_depends_on_its_own_pixels_only(area: str, how: str) -> None:
    """Gradient of the mean: weight / number of cells inside, exactly zero outside."""
    score = AREAS[area](MASK, channel=1 if how == "channel" else None)
    targets = {"channel": None, "target": 1, "targets": [1, 2]}[how]
    result = GRADIENT(segmenter(), IMAGES, targets, score=score)
    classes = [1, 2] if how == "targets" else [1, 1]
    inside = (MASK / MASK.sum())[None, :, :, None]
    wanted = inside * WEIGHTS[:, classes].T[:, None, None, :]
    np.testing.assert_allclose(result.values, wanted, rtol=1e-5)
    assert (result.values[:, MASK == 0] == 0).all()
    maps = np.einsum("nhwc,cn->nhw", IMAGES, WEIGHTS[:, classes])
    np.testing.assert_allclose(result.scores, maps[:, MASK == 1].mean(1), rtol=1e-4, atol=1e-6)


def test_a_region_may_be_of_several_classes() -> None:
    result = GRADIENT(segmenter(), IMAGES, [[0, 2], [2, 1]], score=scores.region(MASK))
    maps = (IMAGES @ WEIGHTS)[:, MASK == 1].mean(1)
    np.testing.assert_array_equal(result.targets, [[0, 2], [2, 1]])
    np.testing.assert_allclose(
        result.scores, np.take_along_axis(maps, result.targets, 1), rtol=1e-4, atol=1e-6
    )


def test_a_region_of_one_map_needs_no_class() -> None:
    result = GRADIENT(lambda x: x[..., :1], IMAGES, score=scores.region(MASK))
    np.testing.assert_allclose(result.values[..., 0], np.tile(MASK / MASK.sum(), (2, 1, 1)), rtol=1e-6)
    assert (result.values[..., 1:] == 0).all()


def test_a_region_is_as_it_was_when_its_mask_is_changed_later() -> None:
    mask = MASK.copy()
    score = scores.region(mask, channel=0)
    first = GRADIENT(segmenter(), IMAGES, score=score).values
    mask[:] = 1
    np.testing.assert_array_equal(GRADIENT(segmenter(), IMAGES, score=score).values, first)


# Functions of the user


def test_a_function_gets_the_predicted_class_where_none_is_given() -> None:
    picked = lambda outputs, targets: tf.gather(outputs, targets, axis=1, batch_dims=1)  # noqa: E731
    model, best = sequential(dense(activation="softmax")), LOGITS.argmax(1)
    assert len(set(best)) > 1
    for given, wanted in ((None, best), (1, [1, 1, 1]), (TARGETS, TARGETS)):
        result = GRADIENT(model, X, given, score=picked)
        np.testing.assert_array_equal(result.targets, wanted)
        np.testing.assert_allclose(result.scores, softmax(LOGITS)[ROWS, wanted], rtol=1e-5)


def test_a_function_gets_the_ranked_classes() -> None:
    picked = lambda outputs, targets: tf.gather(outputs, targets, axis=1, batch_dims=1)  # noqa: E731
    result = GRADIENT(sequential(dense()), X, tfxai.top(2), score=picked)
    np.testing.assert_allclose(result.scores, -np.sort(-LOGITS, axis=1)[:, :2], rtol=1e-5)


def test_a_function_gets_the_outputs_as_the_model_returns_them() -> None:
    inputs = keras.Input((4,))
    a, b = dense(name="a")(inputs), dense(1, name="b")(inputs)
    difference = {
        "list": (keras.Model(inputs, [a, b]), lambda o, t: o[0][:, 0] - o[1][:, 0]),
        "dict": (keras.Model(inputs, {"a": a, "b": b}), lambda o, t: o["a"][:, 1] - o["b"][:, 0]),
    }
    for index, (model, score) in enumerate(difference.values()):
        result = GRADIENT(model, X, score=score)
        wanted = WEIGHTS[:, index] - WEIGHTS[:, 0]
        np.testing.assert_allclose(result.values, np.tile(wanted, (3, 1)), rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(result.targets, [-1, -1, -1])  # no class was needed


def test_a_function_of_several_outputs_gets_the_users_targets_or_none() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [dense(name="a")(inputs), dense(1, name="b")(inputs)])

    def score(outputs: Any, targets: Any) -> Any:
        if targets is None:
            return outputs[1][:, 0]
        return tf.gather(outputs[0], targets, axis=1, batch_dims=1)

    np.testing.assert_allclose(GRADIENT(model, X, score=score).scores, UNIT, rtol=1e-5)
    given = GRADIENT(model, X, TARGETS, score=score)
    np.testing.assert_allclose(given.scores, LOGITS[ROWS, TARGETS], rtol=1e-5)
    np.testing.assert_array_equal(given.targets, TARGETS)


def test_a_function_in_half_precision_is_recorded_in_float32() -> None:
    model = sequential(dense(dtype="float16"))
    result = GRADIENT(model, X, score=lambda o, t: o[:, 1])
    assert result.scores.dtype == np.float32
    np.testing.assert_allclose(result.values, np.tile(WEIGHTS[:, 1], (3, 1)), rtol=1e-2)


def test_the_score_is_recorded() -> None:
    def largest(outputs: Any, targets: Any) -> Any:
        return tf.reduce_max(outputs, axis=1)

    model = sequential(dense())
    recorded = {
        "logit": None,
        "probability": "probability",
        "largest": largest,
        "<lambda>": lambda o, t: o[:, 0],
        repr(scores.logit(output=0)): scores.logit(output=0),
        repr(scores.regression(2)): scores.regression(2),
    }
    for name, score in recorded.items():
        assert GRADIENT(model, X, score=score).score == name
    assert "2" in repr(scores.regression(2))


# Several outputs


def several(as_dict: bool) -> keras.Model:
    inputs = keras.Input((4,))
    kind = dense(activation="softmax", name="kind")(inputs)
    ill, age = dense(1, activation="sigmoid", name="ill")(inputs), dense(2, name="age")(inputs)
    return keras.Model(inputs, {"kind": kind, "ill": ill, "age": age} if as_dict else [kind, ill, age])


@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "list"])
def test_one_of_several_outputs_is_chosen_by_name_or_position(as_dict: bool) -> None:
    model = several(as_dict)
    for kind, ill, age in (("kind", "ill", "age"), (0, -2, -1)):
        for score, targets, wanted in (
            (scores.logit(kind), TARGETS, LOGITS[ROWS, TARGETS]),
            (scores.probability(output=kind), TARGETS, softmax(LOGITS)[ROWS, TARGETS]),
            (scores.probability(output=ill), 0, 1 - sigmoid(UNIT)),
            (scores.logit(output=ill), None, abs(UNIT)),
            (scores.regression(1, output=age), None, LOGITS[:, 1]),
        ):
            found = GRADIENT(model, X, targets, score=score).scores
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "list"])
def test_a_region_of_one_of_several_outputs(as_dict: bool) -> None:
    inputs = keras.Input((5, 6, 4))
    conv = L.Conv2D(
        3, 1, use_bias=False, kernel_initializer=lambda *_, **__: WEIGHTS[None, None], name="maps"
    )
    maps, label = conv(inputs), L.Dense(2, name="label")(L.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, {"label": label, "maps": maps} if as_dict else [label, maps])
    for output in ("maps", 1):
        found = GRADIENT(model, IMAGES, score=scores.region(MASK, 2, output)).scores
        wanted = (IMAGES @ WEIGHTS[:, 2])[:, MASK == 1].mean(1)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_only_output_in_a_list_or_dict_needs_no_choice() -> None:
    inputs = keras.Input((4,))
    outputs = dense(name="kind")(inputs)
    for model in (keras.Model(inputs, [outputs]), keras.Model(inputs, {"kind": outputs})):
        result = GRADIENT(model, X)
        np.testing.assert_array_equal(result.targets, LOGITS.argmax(1))
        np.testing.assert_allclose(result.scores, LOGITS.max(1), rtol=1e-5)


def test_scores_are_functions_of_plain_tensors_too() -> None:
    """So that they can be used apart from the methods, as in a training loop."""
    outputs = tf.constant(LOGITS)
    np.testing.assert_allclose(scores.logit()(outputs, TARGETS), LOGITS[ROWS, TARGETS])
    np.testing.assert_allclose(scores.logit()(outputs, None), LOGITS.max(1))
    np.testing.assert_allclose(
        scores.probability()(outputs, TARGETS), softmax(LOGITS)[ROWS, TARGETS], rtol=1e-6
    )
    np.testing.assert_allclose(scores.regression(1)(outputs, None), LOGITS[:, 1])


def test_equal_scores_share_one_trace() -> None:
    from tfxai.model.tracing import traces

    model = several(as_dict=True)
    for score in (scores.logit("kind"), scores.regression(1, "age"), scores.box((0, 0, 1, 1), 0, "kind")):
        assert score == type(score)(**vars(score))
    for _ in range(3):
        GRADIENT(model, X, score=scores.logit("kind"))
        GRADIENT(model, X, score=scores.regression(1, "age"))
    assert traces(model) == 2


def test_predicted_areas_are_those_of_probabilities() -> None:
    """Of one channel what is above the threshold, in every unit and however the model ends; of several the likeliest."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 1))
    before = keras.layers.Conv2D(1, 3, padding="same")(inputs)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype(np.float32)
    plain = keras.Model(inputs, before)
    sure = keras.Model(inputs, keras.layers.Activation("sigmoid")(before))
    logits = plain.predict(images, verbose=0)[..., 0]
    for model in (plain, sure):
        for unit in ("logit", "probability"):
            score = scores.predicted_area(unit=unit, threshold=0.6)
            found = GRADIENT(model, images, score=score)
            area = logits > np.log(0.6 / 0.4)
            np.testing.assert_array_equal(found.references["masks"], area)
            shown = logits if unit == "logit" else 1 / (1 + np.exp(-logits))
            np.testing.assert_allclose(found.scores, (shown * area).sum((1, 2)) / area.sum((1, 2)), rtol=1e-4)
    many = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 3, padding="same")])
    maps = many.predict(images, verbose=0)
    for arguments in ({"channel": 1}, {"channel": 1, "targets": 2}, {"targets": 1}):
        score = scores.predicted_area(arguments.get("channel"))
        found = GRADIENT(many, images, arguments.get("targets"), score=score)
        area = maps.argmax(-1) == 1
        np.testing.assert_array_equal(found.references["masks"], area)
        np.testing.assert_allclose(
            found.scores, (maps[..., 1] * area).sum((1, 2)) / area.sum((1, 2)), rtol=1e-4
        )
