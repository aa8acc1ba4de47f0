"""AttnLRP against a twin whose derivative is changed by hand: statistics, gates and halves of products are held still.

The twin is plain eager TensorFlow: gradient times input of a network in which `hold` marks what hands nothing back.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

import tfxai

L = keras.layers
RNG = np.random.default_rng(4)
ATTENTION = tfxai.LRP(rule="attention")
X = RNG.normal(size=(2, 5, 8)).astype(np.float32)
hold = tf.stop_gradient


def halves(a: Any, b: Any, product: Callable[[Any, Any], Any]) -> Any:
    """A product that hands half back to each factor."""
    return (product(a, hold(b)) + product(hold(a), b)) / 2


def through(x: Any, y: Any) -> Any:
    """y = f(x), handed back in proportion."""
    return x * hold(y / x)


def layer_norm(x: Any, gamma: Any, beta: Any, epsilon: float) -> Any:
    middle = tf.reduce_mean(x, -1, keepdims=True)
    return (x - middle) * hold(
        tf.math.rsqrt(tf.math.reduce_variance(x, -1, keepdims=True) + epsilon)
    ) * gamma + beta


def rms_norm(x: Any, gamma: Any, epsilon: float) -> Any:
    return x * hold(tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + epsilon)) * gamma


def attend(q: Any, k: Any, v: Any, mask: Any = None) -> Any:
    """q, k, v: (N, T, heads, d)."""
    scores = halves(q, k, lambda a, b: tf.einsum("nihd,njhd->nhij", a, b)) / np.sqrt(q.shape[-1])
    if mask is not None:
        scores = tf.where(mask, scores, -1e9)
    return halves(tf.nn.softmax(scores), v, lambda a, b: tf.einsum("nhij,njhd->nihd", a, b))


def wanted(twin: Callable[[Any], Any], points: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradient times input of the twin, and its scores."""
    x = tf.constant(points)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = twin(x)[:, target]
    return (tape.gradient(score, x) * x).numpy(), score.numpy()


def shaken(model: Any) -> Any:
    """Weights away from their beginnings, biases and gains too."""
    rng = np.random.default_rng(8)
    model.set_weights([w + rng.normal(0, 0.15, w.shape) for w in model.get_weights()])
    return model


def encoder(activation: Any) -> tuple[Any, Callable[[Any], Any]]:
    keras.utils.set_random_seed(3)
    one, two = L.LayerNormalization(), L.LayerNormalization()
    attention, up, down, head = L.MultiHeadAttention(2, 4), L.Dense(12), L.Dense(8), L.Dense(3)
    inputs = keras.Input((5, 8))
    h = one(inputs)
    x = inputs + attention(h, h)
    x = x + down(keras.layers.Activation(activation)(up(two(x))))
    model = shaken(keras.Model(inputs, head(L.GlobalAveragePooling1D()(x))))
    act = keras.activations.get(activation)

    def twin(x: Any) -> Any:
        h = layer_norm(x, one.gamma, one.beta, one.epsilon)
        q, k, v = (
            tf.einsum("ntd,dhe->nthe", h, dense.kernel) + dense.bias
            for dense in (attention._query_dense, attention._key_dense, attention._value_dense)
        )
        out = attention._output_dense
        x = x + tf.einsum("nthe,hed->ntd", attend(q, k, v), out.kernel) + out.bias
        z = layer_norm(x, two.gamma, two.beta, two.epsilon) @ up.kernel + up.bias
        x = x + through(z, act(z)) @ down.kernel + down.bias
        return tf.reduce_mean(x, 1) @ head.kernel + head.bias

    return model, twin


@pytest.mark.parametrize(
    "activation", ["gelu", "silu", "relu", lambda x: keras.activations.gelu(x, approximate=True)]
)
def test_an_encoder_with_layer_norms(activation: Any) -> None:
    model, twin = encoder(activation)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no operation is left without a rule
        found = ATTENTION(model, X, 1)
    values, score = wanted(twin, X, 1)
    np.testing.assert_allclose(found.scores, score, rtol=1e-5)
    np.testing.assert_allclose(found.values, values, atol=1e-4 * np.abs(values).max())
    np.testing.assert_allclose(found.delta, values.sum((1, 2)) - score, atol=1e-4)


class Decoder(keras.Model):
    """A block as of Llama: RMS norms, turned queries and keys, a causal mask, two queries for each key, a gated MLP, and words
    that are read off the table that they are looked up in."""

    def __init__(self) -> None:
        super().__init__()
        self.words = L.ReversibleEmbedding(11, 8)
        self.one, self.two, self.last = (L.RMSNormalization(epsilon=1e-6) for _ in range(3))
        self.q, self.k, self.v, self.o = (L.Dense(n, use_bias=False) for n in (8, 4, 4, 8))
        self.gate, self.up, self.down = (L.Dense(n, use_bias=False) for n in (12, 12, 8))

    @staticmethod
    def turned(x: Any) -> Any:
        angle = np.arange(x.shape[1])[:, None, None] * np.array([1.0, 0.1])
        cos, sin = (np.concatenate([f(angle)] * 2, -1).astype(np.float32) for f in (np.cos, np.sin))
        a, b = keras.ops.split(x, 2, axis=-1)
        return x * cos + keras.ops.concatenate([-b, a], -1) * sin

    def call(self, ids: Any) -> Any:
        x, t = self.words(ids), ids.shape[1]
        h = self.one(x)
        q = self.turned(keras.ops.reshape(self.q(h), (-1, t, 2, 4)))
        k = self.turned(keras.ops.reshape(self.k(h), (-1, t, 1, 4)))
        v = keras.ops.reshape(self.v(h), (-1, t, 1, 4))
        k, v = keras.ops.repeat(k, 2, 2), keras.ops.repeat(v, 2, 2)
        scores = keras.ops.einsum("nihd,njhd->nhij", q, k) / 2
        scores = keras.ops.where(np.tril(np.ones((t, t), bool)), scores, -1e9)
        seen = keras.ops.einsum("nhij,njhd->nihd", keras.ops.softmax(scores), v)
        x = x + self.o(keras.ops.reshape(seen, (-1, t, 8)))
        h = self.two(x)
        x = x + self.down(keras.activations.silu(self.gate(h)) * self.up(h))
        return 5 * keras.ops.tanh(self.words(self.last(x), reverse=True)[:, -1] / 5)  # soft-capped

    def twin(self, x: Any) -> Any:
        t = x.shape[1]
        h = rms_norm(x, self.one.scale, 1e-6)
        q = self.turned(tf.reshape(h @ self.q.kernel, (-1, t, 2, 4)))
        k = self.turned(tf.reshape(h @ self.k.kernel, (-1, t, 1, 4)))
        v = tf.reshape(h @ self.v.kernel, (-1, t, 1, 4))
        seen = attend(q, tf.repeat(k, 2, 2), tf.repeat(v, 2, 2), np.tril(np.ones((t, t), bool)))
        x = x + tf.reshape(seen, (-1, t, 8)) @ self.o.kernel
        h = rms_norm(x, self.two.scale, 1e-6)
        gate = h @ self.gate.kernel
        x = x + halves(through(gate, tf.nn.silu(gate)), h @ self.up.kernel, tf.multiply) @ self.down.kernel
        z = rms_norm(x, self.last.scale, 1e-6)[:, -1] @ tf.transpose(self.words.embeddings) / 5
        return 5 * through(z, tf.tanh(z))


@pytest.mark.skipif(not hasattr(L, "ReversibleEmbedding"), reason="Keras has it from 3.13 on")
def test_a_decoder_with_tied_words_turns_and_gates() -> None:
    keras.utils.set_random_seed(6)
    ids, model = RNG.integers(0, 11, (3, 6)), Decoder()
    model(ids)
    shaken(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ATTENTION(model, ids, 7)
    values, score = wanted(model.twin, tf.gather(model.words.embeddings, ids).numpy(), 7)
    np.testing.assert_allclose(found.scores, score, rtol=1e-4)
    np.testing.assert_allclose(found.values, values.sum(-1), atol=1e-4 * np.abs(values.sum(-1)).max())


@pytest.mark.parametrize(
    "norm", [lambda: L.LayerNormalization(center=False), L.RMSNormalization, L.UnitNormalization]
)
def test_without_biases_and_softmaxes_relevance_is_kept(norm: Callable[[], Any]) -> None:
    """Products that share, norms and gates keep all; what a softmax loses is the constant of its expansion."""
    keras.utils.set_random_seed(5)
    inputs, widths = keras.Input((5, 8)), iter((8, 8, 8, 12, 12, 8))
    h = norm()(inputs)
    q, k, v, up, gate, down = (L.Dense(n, use_bias=False) for n in widths)
    x = inputs + keras.ops.einsum("nij,njd->nid", keras.ops.einsum("nid,njd->nij", q(h), k(h)), v(h))
    h = norm()(x)
    x = x + down(keras.activations.gelu(gate(h)) * up(h))
    model = keras.Model(inputs, L.Dense(3, use_bias=False)(keras.ops.mean(norm()(x), 1)))
    found = ATTENTION(model, X, 2)
    assert np.abs(found.delta).max() <= 1e-3 * np.abs(found.scores).max()


def test_what_a_softmax_loses_is_the_constant_of_its_expansion() -> None:
    """softmax(x) = J x + c, of which J x is handed back: proposition 3.1."""
    weights, x = RNG.normal(size=(4,)).astype(np.float32), RNG.normal(size=(3, 4)).astype(np.float32)
    found = ATTENTION(lambda t: tf.nn.softmax(t, axis=-1) * weights @ np.ones((4, 1), np.float32), x, 0)
    chances = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    jacobian = np.einsum("ni,ij->nij", chances, np.eye(4)) - np.einsum("ni,nj->nij", chances, chances)
    np.testing.assert_allclose(found.values, x * np.einsum("nij,j->ni", jacobian, weights), atol=1e-5)


def test_a_norm_that_is_one_operation() -> None:
    """tf_keras normalises by one operation, of which the deviation hands nothing back either."""
    norm, last = tf_keras.layers.LayerNormalization(), tf_keras.layers.Dense(2)
    inputs = tf_keras.Input((5, 8))
    model = shaken(tf_keras.Model(inputs, last(tf_keras.layers.Flatten()(norm(inputs)))))
    found = ATTENTION(model, X, 1)
    kernel = last.kernel.numpy()

    def twin(x: Any) -> Any:
        return tf.reshape(layer_norm(x, norm.gamma, norm.beta, norm.epsilon), (-1, 40)) @ kernel + last.bias

    values, _ = wanted(twin, X, 1)
    np.testing.assert_allclose(found.values, values, atol=1e-4 * np.abs(values).max())


@pytest.mark.parametrize(
    ("function", "twin"),
    [
        (lambda x: x / (1 + tf.exp(-x)), lambda x: x * hold(1 / (1 + tf.exp(-x)))),
        (lambda x: x / tf.sqrt(tf.reduce_sum(x * x, -1, keepdims=True) + 1e-3),
         lambda x: x * hold(1 / tf.sqrt(tf.reduce_sum(x * x, -1, keepdims=True) + 1e-3))),
        (lambda x: x * tf.nn.relu6(x + 3) / 6, lambda x: x * hold(tf.nn.relu6(x + 3) / 6)),
        (lambda x: x / (tf.math.reduce_variance(x, -1, keepdims=True) + 1e-3) ** 0.5,
         lambda x: x * hold(tf.math.rsqrt(tf.math.reduce_variance(x, -1, keepdims=True) + 1e-3))),
        (lambda x: x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) - tf.reduce_mean(x, -1, keepdims=True) ** 2),
         lambda x: x * hold(tf.math.rsqrt(tf.math.reduce_variance(x, -1, keepdims=True)))),
        (lambda x: x[..., :2] / (3 + x[..., 2:]),
         lambda x: None),
        (lambda x: (lambda y: y * tf.sigmoid(y))(x + 1), lambda x: (x + 1) * hold(tf.sigmoid(x + 1))),
        (lambda x: x[..., :2] * x[..., 2:], lambda x: halves(x[..., :2], x[..., 2:], tf.multiply)),
    ],
    ids=["silu by hand", "length", "hard gate", "deviation by a power", "deviation of two means", "quotient of two", "shifted gate", "product"],
)  # fmt: skip
def test_functions_by_hand(function: Callable[[Any], Any], twin: Callable[[Any], Any]) -> None:
    x = RNG.uniform(0.2, 2, size=(3, 4)).astype(np.float32)
    found = ATTENTION(function, x, 0)
    if (
        twin(tf.constant(x)) is None
    ):  # half of x / y to x, half to what stands below: 3 + y, which keeps its share of 3
        share = x[:, 0] / (3 + x[:, 2]) / 2
        np.testing.assert_allclose(found.values[:, 0], share, rtol=1e-4)
        np.testing.assert_allclose(found.values[:, 2], share * x[:, 2] / (3 + x[:, 2]), rtol=1e-4)
        return
    values, _ = wanted(twin, x, 0)
    np.testing.assert_allclose(found.values, values, atol=1e-5)


@pytest.mark.parametrize("rule", ["epsilon", "alpha_beta", "composite", "attention"])
def test_a_gate_by_hand_is_the_function_that_it_makes(rule: str) -> None:
    """z * sigmoid(z) and silu are one function, whatever the rule."""
    keras.utils.set_random_seed(1)
    inputs, first, last = keras.Input((6,)), L.Dense(8), L.Dense(2)
    rows = RNG.normal(size=(3, 6)).astype(np.float32)
    method = tfxai.LRP(rule=rule)
    functions = (keras.activations.silu, lambda z: z * keras.ops.sigmoid(z))
    one, other = (method(keras.Model(inputs, last(f(first(inputs)))), rows, 1) for f in functions)
    np.testing.assert_allclose(other.values, one.values, rtol=1e-3, atol=1e-5)
