"""The logit is found behind every softmax and sigmoid, wherever it lies, or refused: a probability is never called a logit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
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
UNIT = X @ WEIGHTS[:, :1]


def softmax(x: NDArray) -> NDArray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


def dense(count: int = 3, **more: Any) -> Any:
    return L.Dense(count, use_bias=False, kernel_initializer=lambda *_, **__: WEIGHTS[:, :count], **more)


def linear(x: Any) -> Any:
    return x @ tf.constant(WEIGHTS)


# Sealed calls


def once_more(function: Callable[[Any], Any]) -> Any:
    return tf.function(lambda x: function(x))


def in_one() -> Any:
    return tf.function(lambda x: tf.nn.softmax(linear(x)))


def in_another() -> Any:
    return once_more(in_one())


def three_deep_with_shapes_between() -> Any:
    """Casts and shapes inside of each call, between the calls and behind them."""
    inner = tf.function(lambda x: tf.reshape(tf.nn.softmax(linear(x)), (-1, 1, 3)))
    middle = tf.function(lambda x: tf.cast(tf.identity(inner(x)), tf.float64)[:, 0])
    outer = tf.function(lambda x: tf.expand_dims(tf.cast(middle(x), tf.float32), 1))
    return lambda x: tf.squeeze(tf.identity(outer(x)), 1)


def a_call_that_only_hands_on() -> Any:
    """The softmax lies in the open, before a call that changes nothing."""
    same = tf.function(lambda p: tf.reshape(tf.identity(p), (-1, 3)))
    return lambda x: same(tf.nn.softmax(linear(x)))


def from_one_call_through_another() -> Any:
    first, second = in_one(), tf.function(lambda p, q: (q, tf.transpose(tf.transpose(p))))
    return once_more(lambda x: second(first(x), x)[1])


def second_of_two_results() -> Any:
    both = tf.function(lambda x: (linear(x) * 2, tf.nn.softmax(linear(x))))
    return lambda x: both(x)[1]


def a_log_softmax() -> Any:
    return once_more(tf.function(lambda x: tf.nn.log_softmax(linear(x))))


def with_a_variable() -> Any:
    weights = tf.Variable(WEIGHTS)
    return once_more(tf.function(lambda x: tf.nn.softmax(x @ weights)))


def a_keras_model_in_a_function() -> Any:
    model = keras.Sequential([keras.Input((4,)), dense(activation="softmax")])
    return once_more(tf.function(lambda x: model(x, training=False)))


def with_a_silu_on_the_way() -> Any:
    """silu has a registered gradient, which is its derivative; here of large numbers, where it is the identity."""
    return tf.function(lambda x: tf.nn.softmax(linear(tf.nn.silu(x + 1000.0) - 1000.0)))


def with_a_loop_on_the_way() -> Any:
    def half_and_half(x: Any) -> Any:
        return tf.while_loop(lambda i, _: i < 2, lambda i, y: (i + 1, y + x / 2), (0, tf.zeros_like(x)))[1]

    return tf.function(lambda x: tf.nn.softmax(linear(half_and_half(x))))


def a_gradient_of_its_own_around() -> Any:
    @tf.custom_gradient
    def wrapped(x: Any) -> Any:
        return tf.nn.softmax(x), lambda dy: dy

    return lambda x: wrapped(linear(x))


SEALED = [
    in_one,
    in_another,
    three_deep_with_shapes_between,
    a_call_that_only_hands_on,
    from_one_call_through_another,
    second_of_two_results,
    a_log_softmax,
    with_a_variable,
    a_keras_model_in_a_function,
    with_a_silu_on_the_way,
    with_a_loop_on_the_way,
    a_gradient_of_its_own_around,
]


@pytest.mark.parametrize("build", SEALED)
def test_the_logit_is_found_in_calls_at_any_depth(build: Callable[[], Any]) -> None:
    model, tolerance = build(), 2e-4 if build is with_a_silu_on_the_way else 1e-5
    for target in (0, 2):
        result = GRADIENT(model, X, target)
        assert result.score == "logit"
        np.testing.assert_allclose(result.scores, LOGITS[:, target], rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(
            result.values, np.tile(WEIGHTS[:, target], (3, 1)), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("build", [in_another, three_deep_with_shapes_between, a_log_softmax])
def test_other_units_of_sealed_calls_are_theirs(build: Callable[[], Any]) -> None:
    whole = softmax(LOGITS)
    found = GRADIENT(build(), X, 1, score="probability")
    np.testing.assert_allclose(found.scores, whole[:, 1], rtol=1e-4)
    slopes = whole[:, 1:2] * (WEIGHTS[:, 1] - whole @ WEIGHTS.T)
    np.testing.assert_allclose(found.values, slopes, rtol=1e-3, atol=1e-6)
    output = np.log(whole) if build is a_log_softmax else whole
    np.testing.assert_allclose(GRADIENT(build(), X, 1, score="output").scores, output[:, 1], rtol=1e-4)


def test_a_sure_softmax_in_a_call_does_not_silence_the_map() -> None:
    model = once_more(tf.function(lambda x: tf.nn.softmax(60.0 * x)))
    result = GRADIENT(model, np.array([[1.0, 0.0]]), 0)
    np.testing.assert_allclose(result.values, [[60, 0]])
    np.testing.assert_allclose(result.scores, [60])


@pytest.mark.parametrize("build", [in_another, with_a_variable])
def test_a_body_that_is_laid_out_compiles_by_xla(build: Callable[[], Any]) -> None:
    result = GRADIENT(build(), X, 1, jit_compile=True)
    np.testing.assert_allclose(result.scores, LOGITS[:, 1], rtol=1e-5)


@pytest.mark.parametrize("shape", [(-1, 1), (-1,)])
@pytest.mark.parametrize("depth", [1, 3])
def test_a_sealed_sigmoid_unit_has_two_targets(shape: tuple[int, ...], depth: int) -> None:
    model: Any = lambda x: tf.reshape(tf.sigmoid(x @ WEIGHTS[:, :1]), shape)  # noqa: E731
    for _ in range(depth):
        model = once_more(model)
    for target, sign in ((0, -1), (1, 1)):
        result = GRADIENT(model, X, target)
        np.testing.assert_allclose(result.scores, sign * UNIT[:, 0], rtol=1e-5)
        np.testing.assert_allclose(result.values, np.tile(sign * WEIGHTS[:, 0], (3, 1)), rtol=1e-5)
        p = sigmoid(UNIT[:, 0])
        for unit in ("probability", "output"):
            found = GRADIENT(model, X, target, score=unit).scores
            np.testing.assert_allclose(found, p if target else 1 - p, rtol=1e-5)
    np.testing.assert_array_equal(GRADIENT(model, X).targets, UNIT[:, 0] > 0)


def test_a_sealed_call_that_ends_in_logits_is_left_as_it_is() -> None:
    model = once_more(tf.function(linear))
    np.testing.assert_allclose(GRADIENT(model, X, 1).scores, LOGITS[:, 1], rtol=1e-5)
    scaled = once_more(tf.function(lambda x: 2.0 * tf.nn.softmax(linear(x))))
    np.testing.assert_allclose(GRADIENT(scaled, X, 1).scores, 2 * softmax(LOGITS)[:, 1], rtol=1e-5)


def test_one_of_several_outputs_of_a_sealed_call() -> None:
    both = tf.function(
        lambda x: {"kind": tf.nn.softmax(linear(x)), "ill": tf.sigmoid(x @ WEIGHTS[:, :1]), "age": linear(x)}
    )
    model = once_more(both)
    for score, target, wanted in (
        (scores.logit("kind"), 2, LOGITS[:, 2]),
        (scores.logit("ill"), 0, -UNIT[:, 0]),
        (scores.logit("age"), 1, LOGITS[:, 1]),
        (scores.probability("ill"), 1, sigmoid(UNIT[:, 0])),
    ):
        np.testing.assert_allclose(GRADIENT(model, X, target, score=score).scores, wanted, rtol=1e-4)


def test_who_picks_one_class_gets_that_number_and_a_crop_is_none() -> None:
    picked = GRADIENT(lambda x: tf.nn.softmax(linear(x))[:, 1], X, 0).scores
    np.testing.assert_allclose(picked, softmax(LOGITS)[:, 1], rtol=1e-5)
    cut = GRADIENT(lambda x: tf.nn.softmax(tf.stack([linear(x), x[:, :3]], 1))[:, 0], X, 1).scores
    np.testing.assert_allclose(cut, LOGITS[:, 1], rtol=1e-5)


def counting() -> Any:
    """A function that changes a variable when it runs."""
    calls = tf.Variable(0)

    @tf.function(autograph=False)
    def model(x: Any) -> Any:
        calls.assign_add(1)
        return tf.nn.softmax(linear(x))

    return once_more(model)


def reversing() -> Any:
    """A gradient that is not the derivative, on the way to the logit."""

    @tf.custom_gradient
    def reverse(x: Any) -> Any:
        return tf.identity(x), lambda dy: -dy

    return tf.function(lambda x: tf.nn.softmax(linear(reverse(x))))


def mapped() -> Any:
    return lambda x: tf.map_fn(lambda row: tf.nn.softmax(tf.linalg.matvec(WEIGHTS.T, row)), x)


def branching() -> Any:
    return lambda x: tf.cond(
        tf.reduce_sum(x) > 1e9, lambda: linear(x), lambda: tf.identity(tf.nn.softmax(linear(x)))
    )


def recurrent() -> Any:
    layers = [L.Reshape((1, 4)), L.SimpleRNN(3, activation="sigmoid", name="rnn")]
    return keras.Sequential([keras.Input((4,)), *layers])


@pytest.mark.parametrize("build", [counting, reversing, mapped, branching, recurrent])
def test_what_is_out_of_reach_is_refused_and_never_called_a_logit(build: Callable[[], Any]) -> None:
    model = build()
    for sealed in (model, once_more(model)):
        with pytest.raises(ValueError, match=r'behind which its logit cannot be seen.*score="output"'):
            GRADIENT(sealed, X, 0)
    found = GRADIENT(model, X, 0, score="probability").scores
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(GRADIENT(model, X, 0, score="output").scores, found)
    if build is not recurrent:
        np.testing.assert_allclose(found, softmax(LOGITS)[:, 0], rtol=1e-4)


def test_a_function_that_counts_its_calls_is_not_called_twice() -> None:
    """Its softmax may be looked for, but what the function changes changes once for each pass."""
    calls = tf.Variable(0)

    @tf.function(autograph=False)
    def model(x: Any) -> Any:
        calls.assign_add(1)
        return linear(x)

    GRADIENT(model, X, 0)
    assert int(calls) == 1


# Files


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exported models by how they end."""
    folder = tmp_path_factory.mktemp("saved")
    ends = {
        "softmax": dense(activation="softmax"),
        "sigmoid": dense(1, activation="sigmoid"),
        "none": dense(),
    }
    for name, layer in ends.items():
        keras.Sequential([keras.Input((4,)), layer]).export(folder / name, verbose=False)
    inputs = keras.Input((4,))
    several = {
        "kind": dense(activation="softmax", name="kind")(inputs),
        "other": dense(2, name="other")(inputs),
    }
    keras.Model(inputs, several).export(folder / "several", verbose=False)
    return {path.name: path for path in folder.iterdir()}


def as_a_layer(path: Path) -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.TFSMLayer(str(path), call_endpoint="serve")(inputs))


def as_a_nested_layer(path: Path) -> Any:
    inputs = keras.Input((4,))
    return keras.Model(inputs, L.Reshape((-1,))(L.Dropout(0.5)(as_a_layer(path)(inputs))))


KEPT: list[Any] = []  # TensorFlow forgets the variables of what nobody holds


def loaded(path: Path) -> Any:
    KEPT.append(tf.saved_model.load(str(path)))
    return KEPT[-1]


def as_a_signature_by_name(path: Path) -> Any:
    signature = loaded(path).signatures["serving_default"]
    name = next(iter(signature.structured_input_signature[1]))
    return lambda x: signature(**{name: x})


SERVED: dict[str, Callable[[Path], Any]] = {
    "layer": as_a_layer,
    "nested layer": as_a_nested_layer,
    "serve": lambda path: loaded(path).serve,
    "serve in a function": lambda path: once_more(loaded(path).serve),
    "signature in a function": as_a_signature_by_name,
}


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how in ("layer", "serve") else pytest.mark.slow) for how in SERVED]
)
def test_the_logit_is_found_in_a_saved_model_that_is_called(how: str, saved: dict[str, Path]) -> None:
    result = GRADIENT(SERVED[how](saved["softmax"]), X, 1)
    np.testing.assert_allclose(result.scores, LOGITS[:, 1], rtol=1e-5)
    np.testing.assert_allclose(result.values, np.tile(WEIGHTS[:, 1], (3, 1)), rtol=1e-5)
    for target, sign in ((0, -1), (1, 1)):
        unit = GRADIENT(SERVED[how](saved["sigmoid"]), X, target)
        np.testing.assert_allclose(unit.scores, sign * UNIT[:, 0], rtol=1e-5)
    np.testing.assert_allclose(GRADIENT(SERVED[how](saved["none"]), X, 2).scores, LOGITS[:, 2], rtol=1e-5)


def test_other_methods_agree_on_a_saved_model_that_is_called(saved: dict[str, Path]) -> None:
    """The model is linear before its softmax, so that each of them gives weight times input."""
    model = as_a_layer(saved["softmax"])
    for method in (
        tfxai.InputXGradient(),
        tfxai.IntegratedGradients(steps=3),
        tfxai.DeepLIFT(),
        tfxai.LRP(epsilon=1e-9),
        tfxai.ExpectedGradients(0 * X[:1], samples=3),
    ):
        found = method(model, X, 1).values
        np.testing.assert_allclose(found, X * WEIGHTS[:, 1], rtol=1e-3, atol=1e-5, err_msg=repr(method))


def test_one_of_several_outputs_of_a_saved_model(saved: dict[str, Path]) -> None:
    result = GRADIENT(as_a_layer(saved["several"]), X, 1, score=scores.logit("kind"))
    np.testing.assert_allclose(result.scores, LOGITS[:, 1], rtol=1e-5)


def test_what_tf_loads_is_sent_to_the_hub(saved: dict[str, Path]) -> None:
    file = tf.saved_model.load(str(saved["softmax"]))
    with pytest.raises(ValueError, match=r"object of tf\.saved_model\.load.*tfxai\.hub\.load\(path\)"):
        GRADIENT(file, X, 0)
    with pytest.raises(ValueError, match=r"a signature.*tfxai\.hub\.load\(path, signature=NAME\)"):
        GRADIENT(file.signatures["serving_default"], X, 0)
    module = tfxai.hub.load(saved["softmax"])
    np.testing.assert_allclose(GRADIENT(module, X, 1).scores, LOGITS[:, 1], rtol=1e-5)


def test_a_loaded_object_that_can_be_called_is_sent_to_the_hub_too(tmp_path: Path) -> None:
    module = tf.Module()
    module.__call__ = tf.function(linear, input_signature=[tf.TensorSpec((None, 4))])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": module.__call__})
    with pytest.raises(ValueError, match=r"tfxai\.hub\.load"):
        GRADIENT(tf.saved_model.load(str(tmp_path / "m")), X, 0)


def test_functions_of_the_user_go_on_to_work() -> None:
    compiled = tf.function(linear)
    concrete = compiled.get_concrete_function(tf.TensorSpec((None, 4)))

    class Module(tf.Module):
        signatures: Any = {}  # noqa: RUF012

        def __call__(self, x: Any) -> Any:
            return linear(x)

    for model in (linear, compiled, concrete, Module()):
        np.testing.assert_allclose(GRADIENT(model, X, 1).scores, LOGITS[:, 1], rtol=1e-5)


# Dense outputs

IMAGES = np.random.default_rng(2).normal(size=(2, 4, 6, 4)).astype(np.float32)
MASK = np.zeros((4, 6))
MASK[1:3, 2:6] = 1
SURE = 60 * WEIGHTS


def conv(count: int = 3) -> Any:
    return L.Conv2D(count, 1, use_bias=False, kernel_initializer=lambda *_, **__: SURE[None, None, :, :count])


def segmenter(*after: Any) -> Any:
    return keras.Sequential([keras.Input((4, 6, 4)), conv(), *after])


def sealed_segmenter() -> Any:
    return once_more(tf.function(lambda x: tf.nn.softmax(x @ tf.constant(SURE))))


DENSE: dict[str, Callable[[], Any]] = {
    "no ending": segmenter,
    "softmax": lambda: segmenter(L.Softmax()),
    "log-softmax": lambda: segmenter(L.Activation("log_softmax")),
    "sigmoid for each class": lambda: segmenter(L.Activation("sigmoid")),
    "softmax, then dropout": lambda: segmenter(L.Softmax(), L.Dropout(0.5), L.Identity()),
    "softmax over cells, then reshape": lambda: segmenter(
        L.Reshape((24, 3)), L.Softmax(), L.Reshape((4, 6, 3))
    ),
    "channels first": lambda: segmenter(L.Permute((3, 1, 2)), L.Softmax(axis=1), L.Permute((2, 3, 1))),
    "softmax, then a crop": lambda: keras.Sequential(
        [keras.Input((4, 6, 4)), L.ZeroPadding2D(1), conv(), L.Softmax(), L.Cropping2D(1)]
    ),
    "in a call": sealed_segmenter,
}
AREAS = {"region": scores.region, "box": lambda mask, *a, **b: scores.box((1, 2, 3, 6), *a, **b)}


@pytest.mark.parametrize("area", AREAS)
@pytest.mark.parametrize("name", DENSE)
def test_a_sure_segmenter_is_explained_by_its_logits(name: str, area: str) -> None:
    result = GRADIENT(DENSE[name](), IMAGES, score=AREAS[area](MASK, channel=1))
    wanted = (MASK / MASK.sum())[None, :, :, None] * SURE[:, 1]
    np.testing.assert_allclose(result.values, np.tile(wanted, (2, 1, 1, 1)), rtol=1e-4)
    np.testing.assert_allclose(
        result.scores, (IMAGES @ SURE[:, 1])[:, MASK == 1].mean(1), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_logits_are_enlarged_as_the_maps_are(interpolation: str) -> None:
    """Softmax at half the size, then enlarged: the score is that of the enlarged logits."""
    model = keras.Sequential(
        [keras.Input((2, 3, 4)), conv(), L.Softmax(), L.UpSampling2D(2, interpolation=interpolation)]
    )
    twin = keras.Sequential([keras.Input((2, 3, 4)), conv(), L.UpSampling2D(2, interpolation=interpolation)])
    score, small = scores.region(MASK, channel=2), IMAGES[:, :2, :3]
    found, wanted = GRADIENT(model, small, score=score), GRADIENT(twin, small, score=score)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5)
    np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-6)
    assert np.abs(found.values).max() > 1


def test_maps_are_explained_in_the_unit_that_is_asked_for() -> None:
    weights = WEIGHTS / 10
    logits = IMAGES @ weights
    for unit, wanted in (
        ("logit", logits),
        ("probability", softmax(logits)),
        ("output", np.log(softmax(logits))),
    ):
        score = scores.region(MASK, channel=0, unit=unit)
        for model in (
            lambda x: tf.nn.log_softmax(x @ weights),
            tf.function(lambda x: tf.nn.log_softmax(x @ weights)),
        ):
            found = GRADIENT(model, IMAGES, score=score).scores
            np.testing.assert_allclose(found, wanted[..., 0][:, MASK == 1].mean(1), rtol=1e-4)
    bare = GRADIENT(lambda x: x @ weights, IMAGES, 1, score=scores.box((0, 0, 4, 6), unit="probability"))
    np.testing.assert_allclose(bare.scores, softmax(logits)[..., 1].mean((1, 2)), rtol=1e-4)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_mask_of_one_sigmoid_channel(sealed: bool) -> None:
    model: Any = lambda x: tf.sigmoid(x @ SURE[:, :1])  # noqa: E731
    model = once_more(model) if sealed else model
    wanted = (IMAGES @ SURE[:, 0])[:, MASK == 1]
    for channel, target in ((None, None), (0, None), (None, 0)):
        result = GRADIENT(model, IMAGES, target, score=scores.region(MASK, channel))
        np.testing.assert_allclose(result.scores, wanted.mean(1), rtol=1e-3)
        inside = (MASK / MASK.sum())[None, :, :, None] * SURE[:, 0]
        np.testing.assert_allclose(result.values, np.tile(inside, (2, 1, 1, 1)), rtol=1e-4)
    found = GRADIENT(model, IMAGES, score=scores.region(MASK, unit="probability")).scores
    np.testing.assert_allclose(found, sigmoid(wanted).mean(1), rtol=1e-3)
    bare = GRADIENT(lambda x: x @ WEIGHTS[:, :1], IMAGES, score=scores.region(MASK, unit="probability"))
    np.testing.assert_allclose(bare.scores, sigmoid(IMAGES @ WEIGHTS[:, 0])[:, MASK == 1].mean(1), rtol=1e-4)


def test_a_unit_that_is_none_is_refused_before_any_work() -> None:
    for build in (lambda: scores.region(MASK, unit="logits"), lambda: scores.box((0, 0, 1, 1), unit="p")):
        with pytest.raises(ValueError, match='Give "logit", "probability" or "output"'):
            build()
