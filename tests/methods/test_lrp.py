"""LRP against equations 58 and 60 of the paper, layer by layer in NumPy."""

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

L = keras.layers
RNG = np.random.default_rng(0)


def network(bias: bool = True) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, "relu"), L.Dense(7, "relu"), L.Dense(3)])
    for layer in model.layers:
        layer.bias.assign(RNG.normal(0, 0.3, layer.bias.shape) * bias)
    return model


def relevance(model: keras.Model, x: np.ndarray, target: int, share: object) -> np.ndarray:
    """Hands the score back from layer to layer; share(contributions (in, out), bias (out,)) -> (in, out)."""
    values = [x.astype(np.float64)]
    for layer in model.layers:
        z = values[-1] @ np.asarray(layer.kernel, np.float64) + np.asarray(layer.bias)
        values.append(np.maximum(z, 0) if layer is not model.layers[-1] else z)
    r = np.where(np.arange(3) == target, values[-1], 0)
    for layer, a in zip(reversed(model.layers), reversed(values[:-1]), strict=True):
        r = share(a[:, None] * np.asarray(layer.kernel, np.float64), np.asarray(layer.bias)) @ r
    return r


def epsilon_rule(epsilon: float) -> object:
    def share(z: np.ndarray, bias: np.ndarray) -> np.ndarray:
        total = z.sum(0) + bias
        return z / (total + epsilon * np.where(total >= 0, 1, -1))

    return share


def alpha_beta_rule(alpha: float, beta: float) -> object:
    def share(z: np.ndarray, bias: np.ndarray) -> np.ndarray:
        up, down = np.maximum(z, 0), np.minimum(z, 0)
        plus, minus = up.sum(0) + np.maximum(bias, 0), down.sum(0) + np.minimum(bias, 0)
        return alpha * up / (plus + 1e-6) - beta * down / (minus - 1e-6)

    return share


X = RNG.normal(size=(4, 6)).astype(np.float32)


@pytest.mark.parametrize("epsilon", [1e-6, 0.25])
def test_the_epsilon_rule_is_equation_58(epsilon: float) -> None:
    model = network()
    result = tfxai.LRP(epsilon=epsilon)(model, X, targets=[0, 1, 2, 0])
    wanted = [relevance(model, x, t, epsilon_rule(epsilon)) for x, t in zip(X, result.targets, strict=True)]
    np.testing.assert_allclose(result.values, wanted, rtol=1e-3, atol=1e-5)


def ones(value: float = 1.0) -> keras.initializers.Initializer:
    return keras.initializers.Constant(value)


def test_a_last_layer_is_stabilised_too() -> None:
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    model.layers[0].set_weights([np.array([[1.0], [0.5]]), np.zeros(1)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tfxai.LRP(epsilon=0.5)(model, np.ones((1, 2)), 0)
    np.testing.assert_allclose(result.values, [[0.75, 0.375]], rtol=1e-6)  # x w / (1.5 + 0.5) x 1.5


@pytest.mark.parametrize("rule", ["epsilon", "alpha_beta", "composite"])
def test_below_a_nonlinearity_a_layer_is_stabilised_once(rule: str) -> None:
    layers = [L.Conv2D(1, 1, activation="relu", kernel_initializer=ones()), L.Flatten()]
    model = keras.Sequential([keras.Input((1, 1, 1)), *layers, L.Dense(1, kernel_initializer=ones())])
    method = tfxai.LRP(rule, epsilon=0.5, alpha=1.0, beta=0.0)
    np.testing.assert_allclose(method(model, np.ones((1, 1, 1, 1)), 0).values.item(), 4 / 9, rtol=1e-5)


@pytest.mark.parametrize("layers", ["hidden linear", "sequence", "einsum", "transposed"])
def test_every_linear_layer_is_stabilised_once(layers: str) -> None:
    """All weights 1, so that the input 1 becomes 1 in every layer, and each takes 1 / (1 + epsilon)."""
    keras.utils.set_random_seed(0)
    built = {
        "hidden linear": ((1,), [L.Dense(1, kernel_initializer=ones()) for _ in range(3)]),
        "sequence": ((1, 1), [L.Dense(1, "relu", kernel_initializer=ones()), L.Flatten(), L.Dense(1, kernel_initializer=ones())]),
        "einsum": ((1, 1), [L.EinsumDense("abc,cd->abd", (None, 1), kernel_initializer=ones()), L.Flatten()]),
        "transposed": ((1, 1, 1), [L.Conv2DTranspose(1, 1, kernel_initializer=ones()), L.Flatten()]),
    }  # fmt: skip
    shape, chain = built[layers]
    model = keras.Sequential([keras.Input(shape), *chain])
    count = sum(hasattr(layer, "kernel") for layer in chain)
    value = tfxai.LRP(epsilon=0.5)(model, np.ones((1, *shape)), 0).values.item()
    assert value == pytest.approx(1.5**-count, rel=1e-5)


def test_the_bias_of_a_layer_on_a_sequence_counts_in_its_sum() -> None:
    dense = L.Dense(1, kernel_initializer=ones(), bias_initializer=ones(2.0))
    model = keras.Sequential([keras.Input((1, 1)), dense, L.Flatten()])
    value = tfxai.LRP(epsilon=0.5)(model, np.ones((1, 1, 1)), 0).values.item()
    assert value == pytest.approx(3 / 3.5, rel=1e-5)  # x w / (x w + b + epsilon) x score 3


@pytest.mark.parametrize(
    "gate", [tf.sigmoid, tf.exp, tf.math.softplus, tf.math.erfc], ids=lambda f: f.__name__
)
def test_a_gate_takes_what_it_rises_by(gate: object) -> None:
    """x gate(z) at z near 0, where gate(z) / z explodes: half of the score belongs to x."""
    x = np.array([[2.0, 1e-6], [2.0, 0.0], [-3.0, 0.7]], np.float32)
    values = tfxai.LRP()(lambda t: t[:, :1] * gate(t[:, 1:]), x, 0).values
    g = gate(tf.constant(x[:, 1], tf.float64)).numpy()
    np.testing.assert_allclose(values[:, 0], x[:, 0] * g / 2, rtol=1e-5)
    np.testing.assert_allclose(
        values[:, 1], x[:, 0] / 2 * (g - gate(tf.zeros((), tf.float64)).numpy()), rtol=1e-3, atol=1e-6
    )


def test_a_network_of_gates_does_not_explode() -> None:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    x = inputs
    for _ in range(4):
        x = L.Dense(8, "silu")(x)
        x = L.Multiply()([x, L.Dense(8, "sigmoid")(x)])
    model = keras.Model(inputs, L.Dense(2)(x))
    result = tfxai.LRP()(model, X, 0)
    assert np.abs(result.values).max() < 10 * np.abs(result.scores).max() + 1


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (2.0, 1.0)])
def test_the_alpha_beta_rule_is_equation_60(alpha: float, beta: float) -> None:
    model = network()
    result = tfxai.LRP(rule="alpha_beta", alpha=alpha, beta=beta)(model, X, targets=[0, 1, 2, 0])
    wanted = [
        relevance(model, x.astype(np.float64), t, alpha_beta_rule(alpha, beta))
        for x, t in zip(X, result.targets, strict=True)
    ]
    np.testing.assert_allclose(result.values, wanted, rtol=1e-3, atol=1e-5)


def test_batch_norm_counts_as_part_of_its_convolution() -> None:
    """The rules give the same for conv + batch norm and for one convolution with both folded together."""
    keras.utils.set_random_seed(0)
    conv, norm, last = L.Conv2D(5, 3, use_bias=False), L.BatchNormalization(), L.Dense(2)
    model = keras.Sequential([keras.Input((6, 6, 2)), conv, norm, L.ReLU(), L.Flatten(), last])
    for variable, low in zip(norm.variables, (-1.0, -0.5, -0.5, 0.5), strict=True):
        variable.assign(np.random.default_rng(3).uniform(low, 1.5, variable.shape))
    scale = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    folded = L.Conv2D(5, 3)
    twin = keras.Sequential([keras.Input((6, 6, 2)), folded, L.ReLU(), L.Flatten(), last])
    folded.set_weights(
        [np.asarray(conv.kernel) * scale, np.asarray(norm.beta) - np.asarray(norm.moving_mean) * scale]
    )
    x = np.random.default_rng(1).normal(size=(3, 6, 6, 2)).astype(np.float32)
    for method in (tfxai.LRP(), tfxai.LRP("alpha_beta"), tfxai.LRP("composite")):
        one, other = method(model, x, targets=1), method(twin, x, targets=1)
        np.testing.assert_allclose(one.values, other.values, rtol=2e-3, atol=1e-5)


def test_without_biases_nothing_is_lost() -> None:
    for method in (tfxai.LRP(), tfxai.LRP("alpha_beta", alpha=1.0, beta=0.0)):
        result = method(network(bias=False), np.abs(X))
        np.testing.assert_allclose(result.delta, 0, atol=1e-3 * np.abs(result.scores).max())


def test_a_product_is_shared_half_and_half() -> None:
    def model(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(x[:, 0]) * tf.nn.relu(x[:, 1])

    result = tfxai.LRP()(model, np.array([[2.0, 3.0]], np.float32))
    np.testing.assert_allclose(result.values, [[3.0, 3.0]], rtol=1e-5)


@pytest.mark.parametrize("rule", ["epsilon", "alpha_beta", "composite"])
def test_convolutions_with_one_axis_have_their_bias_and_norm_as_those_with_two(rule: str) -> None:
    keras.utils.set_random_seed(0)

    def net(conv: Any, shape: tuple[int, ...], pool: Any) -> Any:
        layers = [conv(4), L.BatchNormalization(), L.ReLU(), conv(3), L.ReLU(), pool, L.Dense(2)]
        return keras.Sequential([keras.Input(shape), *layers])

    series = net(lambda n: L.Conv1D(n, 3, bias_initializer="normal"), (9, 2), L.GlobalAveragePooling1D())
    image = net(
        lambda n: L.Conv2D(n, (3, 1), bias_initializer="normal"), (9, 1, 2), L.GlobalAveragePooling2D()
    )
    generator = np.random.default_rng(0)
    for one, other in zip(series.weights, image.weights, strict=True):
        value = (
            generator.uniform(0.2, 1, one.shape)
            if "variance" in one.path
            else generator.normal(size=one.shape)
        )
        one.assign(value)
        other.assign(np.reshape(value, other.shape))
    x = generator.normal(size=(3, 9, 2)).astype(np.float32)
    method = tfxai.LRP(rule=rule, epsilon=0.1)
    found, wanted = method(series, x, 1).values, method(image, x[:, :, None], 1).values[:, :, 0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_what_is_added_from_the_input_is_no_bias_where_one_row_is_all() -> None:
    values = []
    for batch in (None, 1):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,), batch_size=batch)
        model = keras.Model(
            inputs, L.Dense(1, kernel_initializer="ones")(L.ReLU()(L.Dense(3)(inputs) + inputs))
        )
        x = np.array([[1.0, 2.0, -0.5]], np.float32)
        values.append(tfxai.LRP(rule="alpha_beta")(model, x, 0).values)
    np.testing.assert_allclose(values[1], values[0], rtol=1e-4, atol=1e-6)
