"""LRP against equations 58 and 60 of the paper, layer by layer in NumPy."""

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

    def share(z: np.ndarray, bias: np.ndarray) -> np.ndarray:
        return epsilon_rule(epsilon)(z, bias)

    wanted = []
    for x, target in zip(X, result.targets, strict=True):
        # The last layer has no nonlinearity to stabilise: its score is handed back whole.
        values = x.astype(np.float64)
        activations = [values]
        for layer in model.layers:
            z = activations[-1] @ np.asarray(layer.kernel, np.float64) + np.asarray(layer.bias)
            activations.append(np.maximum(z, 0) if layer is not model.layers[-1] else z)
        r = activations[-2] * np.asarray(model.layers[-1].kernel)[:, target]
        for layer, a in zip(reversed(model.layers[:-1]), reversed(activations[:-2]), strict=True):
            r = share(a[:, None] * np.asarray(layer.kernel, np.float64), np.asarray(layer.bias)) @ r
        wanted.append(r)
    np.testing.assert_allclose(result.values, wanted, rtol=1e-3, atol=1e-5)


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
