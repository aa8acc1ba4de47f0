"""Functions with a gradient of their own: true where they are sealed, seen through where that is safe."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every

import tfxai

L = keras.layers
A = tf.constant([[1.0, 2.0], [3.0, 4.0]])
ONES = np.ones((1, 2), np.float32)


@tf.custom_gradient
def sealed(t: Any) -> Any:
    return t @ A, lambda dy: dy @ tf.transpose(A)


@tf.custom_gradient
def two_arguments(a: Any, b: Any) -> Any:
    """The second may be made of the first; two results, of which only one is used."""
    return (a * 3, b * 5 + a), lambda da, db: (da * 3 + db, db * 5)


@tf.custom_gradient
def reversed_gradient(t: Any) -> Any:
    return tf.identity(t), lambda dy: -dy


@tf.custom_gradient
def own_sigmoid(t: Any) -> Any:
    y = 1 / (1 + tf.exp(-t))
    return y, lambda dy: dy * y * (1 - y)


def numbers(method: Any, model: Any, x: Any = ONES, **more: Any) -> tuple[list[float], list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = method(model, x, 0, **more)
    return np.asarray(result.values)[0].tolist(), [str(each.message) for each in caught]


@pytest.mark.parametrize("method", [tfxai.DeepLIFT(), tfxai.LRP(epsilon=1e-9), tfxai.InputXGradient()])
@pytest.mark.parametrize("wrap", [tf.recompute_grad, lambda f: sealed], ids=["recomputed", "sealed"])
def test_a_matrix_with_a_gradient_of_its_own(method: Any, wrap: Any) -> None:
    f = wrap(lambda t: t @ A)
    assert numbers(method, lambda t: f(t))[0] == pytest.approx([1, 3])


def test_what_is_sealed_is_said_once_with_its_layer() -> None:
    model = keras.Sequential([keras.Input((2,)), L.Lambda(lambda t: sealed(t), name="wrapped"), L.ReLU()])
    for method in (tfxai.DeepLIFT(), tfxai.LRP(epsilon=1e-9), tfxai.GuidedBackprop()):
        values, said = numbers(method, model)
        assert values == pytest.approx([1, 3])
        (only,) = said
        assert "a function with a gradient of its own (in wrapped)" in only


def test_a_recomputed_block_is_opened() -> None:
    """Rules reach what lies inside, and its layers have maps."""
    conv = L.Conv2D(2, 1, name="conv", kernel_initializer="ones")
    inputs = keras.Input((4, 4, 1))
    block = tf.recompute_grad(lambda t: tf.nn.relu(conv(t) - 1))
    conv(inputs)

    class Block(L.Layer):
        def __init__(self) -> None:
            super().__init__(name="block")
            self.conv = conv

        def call(self, x: Any) -> Any:
            return block(x)

    outputs = L.Dense(1, use_bias=False, kernel_initializer="ones")(
        L.GlobalAveragePooling2D()(Block()(inputs))
    )
    model = keras.Model(inputs, outputs)
    x = np.full((1, 4, 4, 1), 3, np.float32)
    result = tfxai.DeepLIFT()(model, x, 0)
    np.testing.assert_allclose(result.values, 2 * 2 / 16, rtol=1e-6)  # a rise of 2 in two channels
    np.testing.assert_allclose(result.delta, 0, atol=1e-6)
    np.testing.assert_allclose(tfxai.GradCAM(layer="block/conv")(model, x, 0).values, 2 * 3 / 16, rtol=1e-6)


def test_arguments_and_results_are_told_apart() -> None:
    def model(t: Any) -> Any:
        first, second = two_arguments(t, t * 2)
        return tf.reduce_sum(tf.nn.relu(second), 1, keepdims=True) + 0 * tf.reduce_sum(
            first, 1, keepdims=True
        )

    for method in (tfxai.DeepLIFT(), tfxai.Gradient(), tfxai.GuidedBackprop()):
        assert numbers(method, model)[0] == pytest.approx([11, 11])


def test_the_gradient_of_a_function_is_its_own() -> None:
    for method in (tfxai.Gradient(), tfxai.GuidedBackprop()):
        assert numbers(method, lambda t: tf.reduce_sum(tf.nn.relu(reversed_gradient(t)), 1))[0] == [-1, -1]


def test_an_elementwise_function_keeps_the_rule_of_its_kind() -> None:
    """1 / (1 + exp(-x)) by hand rises by sigmoid(1) - 1/2, as silu by itself does by silu(1)."""
    values, said = numbers(tfxai.DeepLIFT(), lambda t: tf.reduce_sum(own_sigmoid(t) * [1.0, 2.0], 1))
    rise = 1 / (1 + np.exp(-1)) - 0.5
    assert values == pytest.approx([rise, 2 * rise], rel=1e-5)
    assert said == []
    values, said = numbers(tfxai.DeepLIFT(), lambda t: tf.reduce_sum(tf.nn.silu(t), 1))
    assert values == pytest.approx([1 / (1 + np.exp(-1))] * 2, rel=1e-5)
    assert said == []


@pytest.mark.parametrize("mode", ["int8", pytest.param("float8", marks=pytest.mark.slow)])
def test_quantised_layers_are_seen_and_sealed(mode: str) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((8,)), L.Dense(8, "relu"), L.Dense(8, "silu"), L.Dense(3)])
    x = np.random.default_rng(0).normal(size=(4, 8)).astype(np.float32)
    method = tfxai.DeepLIFT()
    plain = method(model, x, 0).values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize(mode)
        found = method(model, x, 0).values
    # Numbers of 8 bits with a floating point have 3 bits after it.
    assert np.corrcoef(plain.ravel(), found.ravel())[0, 1] > {"int8": 0.999, "float8": 0.99}[mode]
    assert [info.path for info in tfxai.layers(model)] == [layer.name for layer in model.layers]


def test_int8_embeddings_are_looked_up() -> None:
    keras.utils.set_random_seed(0)
    table, dense = L.Embedding(7, 8), L.Dense(2)
    model = keras.Sequential([keras.Input((3,), dtype="int32"), table, L.Flatten(), dense])
    ids = np.array([[1, 5, 2]])
    plain = tfxai.IntegratedGradients(steps=2)(model, ids, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize("int8")
        found = tfxai.IntegratedGradients(steps=2)(model, ids, 0)
    np.testing.assert_allclose(found.values, plain.values, atol=0.02 * np.abs(plain.values).max())


RULES: dict[str, tuple[Any, Any]] = {
    "power": (lambda t: t**3, lambda x: x**3),
    "maximum": (lambda t: tf.maximum(t, 0.25), lambda x: np.maximum(x, 0.25)),
    "minimum_of_zeros_like": (
        lambda t: tf.minimum(tf.zeros_like(t), t - 1) + 2,
        lambda x: np.minimum(0, x - 1) + 2,
    ),
    "exponential_of_a_base": (lambda t: tf.pow(2.0, t), lambda x: 2.0**x),
    "reciprocal": (lambda t: 3 / (t + 2), lambda x: 3 / (x + 2)),
    "steps": (lambda t: tf.round(t * 1.4) + 0 * t, lambda x: np.round(x * 1.4)),
    "roll": (lambda t: tf.roll(t, 1, 1), lambda x: np.roll(x, 1, 1)),
    "running_sum": (lambda t: tf.cumsum(t, 1) * [1.0, 0.0, 0.0], lambda x: np.cumsum(x, 1) * [1, 0, 0]),
    "masked": (
        lambda t: tf.where(tf.constant([[True, False, True]]), t, -1e9 * tf.ones_like(t))[:, ::2],
        lambda x: x[:, ::2],
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_easy_rules_are_complete_and_need_no_warning(name: str) -> None:
    function, plain = RULES[name]
    x = np.array([[1.0, -0.6, 2.0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tfxai.DeepLIFT()(lambda t: tf.reduce_sum(tf.nn.relu(function(t)), 1), x, 0)

    def total(x: Any) -> Any:
        return np.maximum(plain(x), 0).sum()

    assert result.values.sum() == pytest.approx(total(x) - total(0 * x), rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(result.delta, 0, atol=1e-5)


def test_a_grouped_convolution_needs_no_warning() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((5, 5, 4)), L.Conv2D(4, 3, groups=4), L.ReLU(), L.Flatten(), L.Dense(2)]
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 4)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tfxai.DeepLIFT()(model, x, 0)
    np.testing.assert_allclose(result.delta, 0, atol=1e-5)


def test_a_stopped_gradient_is_said() -> None:
    with pytest.warns(UserWarning, match="StopGradient"):
        result = tfxai.DeepLIFT()(lambda t: tf.nn.relu(t) * tf.stop_gradient(tf.sigmoid(t)), ONES, 0)
    assert np.abs(result.delta) > 0.1


def test_guided_backprop_has_nothing_to_say_of_a_silu() -> None:
    """It is smooth, and passes on its own gradient; the ReLU behind it is guided."""
    values, said = numbers(tfxai.GuidedBackprop(), lambda t: tf.reduce_sum(tf.nn.relu(tf.nn.silu(t)), 1))
    sigmoid = 1 / (1 + np.exp(-1.0))
    assert values == pytest.approx([sigmoid * (1 + (1 - sigmoid))] * 2, rel=1e-5)
    assert said == []


# ReLUs in other words, and what the input decides without a gradient

SPELLINGS: dict[str, Any] = {
    "maximum": lambda x: tf.maximum(x, 0.0),
    "maximum_of_zero": lambda x: tf.maximum(0.0, x),
    "choice": lambda x: tf.where(x > 0, x, tf.zeros_like(x)),
    "choice_of_the_other": lambda x: tf.where(x <= 0, 0.0, x),
    "product": lambda x: x * tf.cast(x > 0, tf.float32),
    "product_turned": lambda x: tf.cast(x > 0.0, tf.float32) * x,
    "keras": lambda x: keras.ops.maximum(x, 0),
    "threshold": L.ReLU(threshold=1e-7),
}
RULED = (
    tfxai.GuidedBackprop(),
    tfxai.Deconvnet(),
    tfxai.DeepLIFT(baseline=0.3),
    tfxai.LRP(rule="alpha_beta"),
)


def two_layers(activation: Any, other: Any) -> Any:
    keras.utils.set_random_seed(4)
    first, second, last = L.Dense(12), L.Dense(9), L.Dense(2)
    function = lambda x: last(other(second(activation(first(x)))))  # noqa: E731
    function(np.zeros((1, 5), np.float32))
    return function


@every(4, spelling=SPELLINGS)
def test_a_relu_is_one_however_it_is_written(spelling: str) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    spelled, plain = two_layers(SPELLINGS[spelling], tf.nn.relu), two_layers(tf.nn.relu, tf.nn.relu)
    for method in RULED:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found, wanted = method(spelled, x, 1), method(plain, x, 1)
        np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", [tfxai.GuidedBackprop(), tfxai.Deconvnet(), tfxai.DeepLIFT()])
def test_a_slope_below_zero_is_one_of_a_leaky_relu(method: Any) -> None:
    """PReLU with one slope everywhere, which Keras writes as two ReLUs."""
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    slope = L.PReLU(alpha_initializer=keras.initializers.Constant(0.25))
    found = method(two_layers(slope, tf.nn.relu), x, 1).values
    wanted = method(two_layers(L.LeakyReLU(0.25), tf.nn.relu), x, 1).values
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


DECIDED: dict[str, tuple[Any, str]] = {
    "added": (lambda x: x + tf.cast(x > 0.5, tf.float32), "AddV2"),
    "gate_of_another": (lambda x: x * tf.cast(tf.roll(x, 1, 1) > 0, tf.float32), "Mul"),
    "place": (lambda x: tf.gather(x, tf.argmax(x, axis=1), axis=1, batch_dims=1)[:, None] * tf.ones((1, 12)), "GatherV2"),
    "hard_attention": (lambda x: tf.matmul(tf.one_hot(tf.argmax(x, axis=1), 12)[:, None] * tf.ones((1, 12, 1)), x[:, :, None])[..., 0], "BatchMatMulV2"),
}  # fmt: skip


@every(2, name=DECIDED)
def test_what_the_input_decides_without_a_gradient_is_named(name: str) -> None:
    """The score goes on as if nothing else would be chosen: the plain gradient, whole."""
    function, operation = DECIDED[name]
    model = two_layers(function, tf.identity)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    plain = tfxai.InputXGradient()(model, x, 1)
    for method in (tfxai.DeepLIFT(), tfxai.LRP(epsilon=1e-9)):
        with pytest.warns(UserWarning, match=rf"no rule for {operation}"):
            found = method(model, x, 1)
        np.testing.assert_allclose(found.values, plain.values, rtol=1e-4, atol=1e-6)


def test_the_class_that_a_score_picks_is_no_decision_of_the_model() -> None:
    model = two_layers(tf.nn.relu, tf.nn.relu)
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for targets in (None, tfxai.top(2)):
            assert np.abs(tfxai.DeepLIFT()(model, x, targets).delta).max() < 1e-5
