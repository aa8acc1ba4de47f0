"""Every method on every kind of model, against hand-written values."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import truth
from covering import each_method, every, once, proves
from kinds import Kind, flat
from models import BUILDERS, kind

import tfxai
from tfxai.model.tracing import traces

STEPS = 3
MIDPOINTS = [(k + 0.5) / STEPS for k in range(STEPS)]


def same(found: Any, wanted: Any, kind: Kind, half: float = 5e-2) -> None:
    """Equal to 1e-4 of the largest value; half precision by relative L2."""
    if wanted is None:
        assert found is None
        return
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    if kind.exact:
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max() + 1e-12
    else:
        assert np.linalg.norm(found - wanted) <= half * np.linalg.norm(wanted) + 1e-6


def rounding(kind: Kind, reference: Callable[[Kind], Any]) -> float:
    """How far the truth itself moves when the inputs do by half a unit in the last place of the model's precision.

    Compiled and eager operations round differently, and a ReLU that opens or closes is no small change.
    """
    if kind.unit is None:
        return 0.0
    steps = np.random.default_rng(7).choice([-kind.unit, kind.unit], (5, *np.shape(kind.inputs)))
    moved = [
        np.asarray(reference(dataclasses.replace(kind, inputs=kind.inputs * (1 + step).astype(np.float32))))[
            0
        ]
        for step in steps
    ]
    wanted = np.asarray(reference(kind))[0]
    return max(float(np.linalg.norm(m - wanted) / np.linalg.norm(wanted)) for m in moved)


def explained(method: Any, kind: Kind, **more: Any) -> tuple[tfxai.Explanation, list[Any]]:
    """The explanation, and its values as a flat list."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = method(kind.model, kind.inputs, **{**kind.asked, **more})
    assert type(result.values) is type(kind.inputs) or isinstance(result.values, np.ndarray)
    np.testing.assert_array_equal(result.targets, truth.predicted(kind))
    np.testing.assert_allclose(
        result.scores,
        kind.outcome[np.arange(len(result.targets)), result.targets],
        rtol=1e-4 if kind.exact else 2e-2,
        atol=1e-5 if kind.exact else 2e-2,
    )
    return result, flat(result.values)


EVERYWHERE: dict[str, tuple[Any, Callable[[Kind], list[np.ndarray]]]] = {
    "gradient": (tfxai.Gradient(), truth.gradient),
    "input_x_gradient": (tfxai.InputXGradient(), truth.input_x_gradient),
    "smooth_grad_without_noise": (tfxai.SmoothGrad(samples=3, noise=0.0), truth.gradient),
    "var_grad_without_noise": (tfxai.VarGrad(samples=3, noise=0.0), truth.nothing),
    "square_grad_without_noise": (tfxai.SquareGrad(samples=3, noise=0.0), truth.square),
    "integrated_gradients": (
        tfxai.IntegratedGradients(steps=STEPS, rule="midpoint"),
        lambda kind: truth.along_straight_path(kind, MIDPOINTS, [1 / STEPS] * STEPS),
    ),
    "guided_ig_on_the_straight_path": (
        tfxai.GuidedIG(steps=4, max_distance=0.0),
        lambda kind: truth.along_straight_path(kind, [0, 0.25, 0.5, 0.75], [0.25] * 4),
    ),
    "conductance_of_the_inputs": (
        tfxai.Conductance(steps=3),
        lambda kind: truth.along_straight_path(kind, [0, 1 / 3, 2 / 3, 1], [1 / 6, 1 / 3, 1 / 3, 1 / 6]),
    ),
}


@pytest.mark.parametrize("name", BUILDERS)
@each_method({name: configured for name, (configured, _) in EVERYWHERE.items()})
def test_gradient_and_path_methods(name: str, method: str) -> None:
    model, (configured, reference) = kind(name), EVERYWHERE[method]
    for found, wanted in zip(explained(configured, model)[1], reference(model), strict=True):
        same(found, wanted, model)


RELUS: dict[str, tuple[Any, Callable[[Any, float], Any]]] = {
    "guided_backprop": (tfxai.GuidedBackprop(), lambda x, cap: (x > 0) & (x < cap)),
    "deconvnet": (tfxai.Deconvnet(), lambda x, cap: x == x),
}


@pytest.mark.parametrize("name", BUILDERS)
@each_method({name: configured for name, (configured, _) in RELUS.items()})
def test_changed_relus(name: str, method: str) -> None:
    model, (configured, gate) = kind(name), RELUS[method]
    if not model.guided:
        with pytest.warns(UserWarning, match="plain gradient"):
            found = configured(model.model, model.inputs, **model.asked)
        for values, wanted in zip(flat(found.values), truth.gradient(model), strict=True):
            same(values, wanted, model)
        return
    wanted = truth.guided(model, gate)
    for one, other in zip(explained(configured, model)[1], wanted, strict=True):
        same(one, other, model)


@proves("DeepLIFT")
@pytest.mark.parametrize("name", BUILDERS)
def test_deeplift_is_complete_and_equals_the_rescale_rule(name: str) -> None:
    model = kind(name)
    result, values = explained(tfxai.DeepLIFT(), model)
    if model.relu:
        half = max(5e-2, 2 * rounding(model, truth.deeplift))
        for found, wanted in zip(values, truth.deeplift(model), strict=True):
            same(found, wanted, model, half)
    if model.exact:
        assert np.abs(result.delta).max() <= 1e-4 * max(np.abs(result.scores).max(), 1)
    check_delta(result, values, model)


def total(values: list[Any]) -> np.ndarray:
    """The sum of all values of each example."""
    return sum(v.reshape(len(v), -1).sum(1) for v in values if v is not None)


def check_delta(result: tfxai.Explanation, values: list[Any], model: Kind) -> None:
    points = model.at()
    base = truth.score(model, truth.origin(model, points), result.targets).numpy()
    score = truth.score(model, points, result.targets).numpy()
    gap = total(values) - (score - base)
    np.testing.assert_allclose(
        result.delta, gap, atol=(1e-4 if model.exact else 5e-2) * max(np.abs(score).max(), 1)
    )


@pytest.mark.parametrize("name", BUILDERS)
def test_delta_of_integrated_gradients_is_the_true_gap(name: str) -> None:
    model = kind(name)
    result, values = explained(tfxai.IntegratedGradients(steps=3), model)
    check_delta(result, values, model)


COARSE = ("mixed_float16", "mixed_bfloat16", "eight_bits")  # sums of such numbers meet no tolerance


@every(6, name=[n for n in BUILDERS if n not in COARSE])
def test_integrated_gradients_meet_their_tolerance(name: str) -> None:
    model = kind(name)
    result, values = explained(tfxai.IntegratedGradients(steps=10, tolerance="1%"), model)
    change = np.abs(total(values))
    assert (np.abs(result.delta) <= 0.011 * change + 1e-5).all()


@proves("ExpectedGradients")
@pytest.mark.parametrize("name", BUILDERS)
def test_expected_gradients_from_one_example_agree_with_integrated_gradients(name: str) -> None:
    model = kind(name)
    zeros = [np.zeros_like(x[:1]) for x in model.flat]
    background = model.structured(zeros)
    result, values = explained(tfxai.ExpectedGradients(background, samples=300), model)
    # Kinks on the way cost a sum of n points about one in n: with fewer this truth is less true than what it judges.
    nodes, weights = np.polynomial.legendre.leggauss(80 if name == "nested" else 40)
    # Ids of zero are not zero at the embedding; what is not explained stays as it is in each example.
    start = [
        b if i in model.fixed else a
        for i, (a, b) in enumerate(zip(model.points_of(zeros), model.at(), strict=True))
    ]
    exact = truth.along_straight_path(model, list((nodes + 1) / 2), list(weights / 2), start)
    for found, wanted, error in zip(values, exact, flat(result.standard_error), strict=True):
        if wanted is None:
            assert found is None
            continue
        error = error.reshape(*found.shape, -1).sum(-1)  # of tokens for each dimension of their embedding
        # A kink that few samples see adds to what the standard error knows.
        floor = (1e-3 if model.exact else 3e-2) * np.abs(wanted).max()
        assert (np.abs(found - wanted) <= 6 * error + floor).all()


@proves("LRP")
@pytest.mark.parametrize("name", BUILDERS)
def test_lrp_is_the_chain_rule_with_another_slope(name: str) -> None:
    model = kind(name)
    result, values = explained(tfxai.LRP(epsilon=1e-9 if model.exact else 1e-6), model)
    if model.relu:
        for found, wanted in zip(values, truth.lrp(model), strict=True):
            same(found, wanted, model)
    gap = total(values) - result.scores
    np.testing.assert_allclose(result.delta, gap, atol=1e-3)


@once("rule", name=BUILDERS, rule=("alpha_beta", "composite"))
def test_other_rules_of_lrp_say_something_everywhere(name: str, rule: str) -> None:
    values = explained(tfxai.LRP(rule=rule), kind(name))[1]
    assert all(np.isfinite(v).all() for v in values if v is not None)


CAMS: dict[str, tuple[Any, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "GradCAM": (tfxai.GradCAM(), truth.grad_cam),
    "GradCAMPlusPlus": (tfxai.GradCAMPlusPlus(), truth.grad_cam_plus_plus),
    "LayerCAM": (tfxai.LayerCAM(), truth.layer_cam),
    "HiResCAM": (tfxai.HiResCAM(), truth.hires_cam),
    "EigenCAM": (tfxai.EigenCAM(), truth.eigen_cam),
}


@pytest.mark.parametrize("name", BUILDERS)
@each_method({name: configured for name, (configured, _) in CAMS.items()})
def test_class_activation_maps(name: str, method: str) -> None:
    model, (configured, weigh) = kind(name), CAMS[method]
    if not model.cam:
        with pytest.raises(ValueError, match="plain callable has none"):
            configured(model.model, model.inputs)
        return
    wanted = truth.cam(model, weigh)
    for layer in (None, model.layer) if model.layer else (None,):
        _, values = explained(dataclasses.replace(configured, layer=layer), model)
        for found, one in zip(values, wanted, strict=True):
            same(found, one, model)


@proves("GuidedGradCAM")
@pytest.mark.parametrize("name", BUILDERS)
def test_guided_grad_cam_is_the_product(name: str) -> None:
    model = kind(name)
    if not model.cam:
        with pytest.raises(ValueError, match="plain callable has none"):
            tfxai.GuidedGradCAM()(model.model, model.inputs)
        return
    guided = (
        truth.guided(model, lambda x, cap: (x > 0) & (x < cap)) if model.guided else truth.gradient(model)
    )
    _, values = explained(tfxai.GuidedGradCAM(), model)
    for found, fine, coarse in zip(values, guided, truth.cam(model, truth.grad_cam), strict=True):
        same(found, None if coarse is None else fine * coarse, model)


@proves("BlurIG", "XRAI")
@pytest.mark.parametrize("name", BUILDERS)
def test_methods_for_images(name: str) -> None:
    model = kind(name)
    blur, regions = tfxai.BlurIG(max_sigma=4.0, steps=3), tfxai.XRAI(steps=2)
    if not model.is_picture(model.image):
        for method in (blur, regions):
            with pytest.raises(ValueError, match="is for images"):
                method(model.model, model.inputs)
        return
    for method, reference in (
        (blur, lambda kind: truth.blur_ig(kind, 4.0, 3)),
        (regions, lambda kind: truth.xrai(kind, 2)),
    ):
        _, values = explained(method, model)
        half = max(5e-2, 2 * rounding(model, reference))
        for found, wanted in zip(values, reference(model), strict=True):
            same(found, wanted, model, half)


def attention_by_hand(model: Kind, method: str) -> np.ndarray:
    """The class token's row of what attention hands on, of the small vision transformer, written out."""
    layers = [layer for layer in model.model.layers if layer.weights]
    patch, tokens, one, first, wide, narrow, two, second, norm, dense = layers
    x = tokens(patch(model.flat[0]))
    chain = np.eye(10)[None]

    def behind(weight: Any, y: Any, x: Any, mixing: Any) -> Any:
        return x + mixing._output_dense(tf.einsum("bhts,bshd->bthd", weight, mixing._value_dense(y)))

    def rest(x: Any) -> Any:
        x = x + narrow(wide(x))
        y = two(x)
        return x + second(y, y)

    for norm_before, mixing, after in ((one, first, rest), (two, second, lambda x: x)):
        y = norm_before(x)
        weight = mixing(y, y, return_attention_scores=True)[1]
        with tf.GradientTape() as tape:
            tape.watch(weight)
            out = behind(weight, y, x, mixing)
            score = tf.gather(dense(norm(after(out))[:, 0]), model.predicted(), axis=1, batch_dims=1)
        slope = tape.gradient(score, weight)
        x = out + narrow(wide(out))
        shares = (
            np.maximum(weight * slope, 0).mean(1)
            if method == "AttentionRelevance"
            else weight.numpy().mean(1)
        )
        chain = (np.eye(10) + shares) @ chain * (0.5 if method == "AttentionRollout" else 1)
    return truth.enlarged(chain[:, 0, 1:].reshape(-1, 3, 3), model, model.pieces[0])


def rollout_of_one_layer(model: Kind) -> np.ndarray:
    """Half of the attention of the token that is read, and half of itself: of the first token of an encoder, the last of a decoder."""
    (mixing,) = (layer for layer in model.model.layers if isinstance(layer, keras.layers.MultiHeadAttention))
    y = keras.Model(model.model.input, mixing.input[0] if isinstance(mixing.input, list) else mixing.input)(
        model.inputs
    )
    how = (
        {"use_causal_mask": True}
        if model.name == "gpt"
        else {"attention_mask": model.flat[1].astype(bool)[:, None]}
    )
    weight = np.asarray(mixing(y, y, return_attention_scores=True, **how)[1]).mean(1)
    row = -1 if model.name == "gpt" else 0
    return 0.5 * weight[:, row] + 0.5 * np.eye(weight.shape[-1])[row]


@proves("AttentionRelevance", "AttentionRollout")
@pytest.mark.parametrize("name", BUILDERS)
def test_maps_of_attention_where_there_is_some(name: str) -> None:
    model = kind(name)
    for method in (tfxai.AttentionRelevance(relevance="attention"), tfxai.AttentionRollout()):
        if name in ("bert", "gpt"):
            if isinstance(method, tfxai.AttentionRollout):
                same(explained(method, model)[1][0], rollout_of_one_layer(model), model)
        elif name != "vit":
            with pytest.raises(ValueError, match="reads the softmax of attention, and there is none"):
                method(model.model, model.inputs, **model.asked)
        else:
            same(explained(method, model)[1][0], attention_by_hand(model, type(method).__name__), model)


ONE_BY_ONE = {
    "smooth_grad": tfxai.SmoothGrad(samples=4),
    "integrated_gradients": tfxai.IntegratedGradients(steps=4),
    "deep_lift": tfxai.DeepLIFT(),
    "grad_cam": tfxai.GradCAM(),
}


@once(
    "method",
    name=("functional_softmax", "subclassed", "two_inputs_dict", "embedding", "nested"),
    method=ONE_BY_ONE,
)
def test_a_batch_is_its_examples_and_targets_one_by_one(name: str, method: str) -> None:
    model, configured = kind(name), ONE_BY_ONE[method]
    whole = configured(model.model, model.inputs, targets=tfxai.top(2), score=model.score)
    assert whole.targets.shape == (2, 2)
    for i in range(2):
        one = model.structured([x[i : i + 1] for x in model.flat])
        single = configured(model.model, one, targets=[whole.targets[i, 1]], score=model.score, batch_size=3)
        a, b = whole.one()[0][i, 1], single.one()[0][0]
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max() + 1e-7


TWICE = {
    "gradient": tfxai.Gradient(),
    "smooth_grad": tfxai.SmoothGrad(samples=3),
    "integrated_gradients": tfxai.IntegratedGradients(steps=3),
}


@once("method", name=BUILDERS, method=TWICE)
def test_a_second_call_has_the_same_bits_and_traces_nothing(name: str, method: str) -> None:
    model, configured = kind(name), TWICE[method]
    first, _ = explained(configured, model)
    count = traces(model.model)
    second, _ = explained(configured, model)
    assert traces(model.model) == count > 0
    np.testing.assert_array_equal(first.one()[0], second.one()[0])
