"""Rollout and relevance of attention: against their equations in NumPy on a transformer written out by hand, and on planted tokens."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from decoders import decoder
from kinds import seeded

import tfxai

L, K = keras.layers, keras.ops
HEADS, DEPTH, TOKENS = 2, 4, 10  # with a class token in front of 3 x 3 patches
PHOTOS = np.random.default_rng(0).uniform(size=(3, 12, 12, 3)).astype(np.float32)


@keras.saving.register_keras_serializable("tests")
class ClassToken(L.Layer):
    """A learned token in front of the others, and a vector for each place."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")
        self.places = self.add_weight(
            shape=(1, shape[1] + 1, shape[-1]), initializer="random_normal", name="places"
        )

    def call(self, x: Any) -> Any:
        return K.concatenate([K.repeat(self.token, K.shape(x)[0], 0), x], 1) + self.places


class Vision:
    """Two blocks of attention and dense layers; the same once more, step by step, from attention weights that are given."""

    def __init__(self, pooled: bool = False) -> None:
        seeded(3)
        self.pooled = pooled
        self.patch, self.token = L.Conv2D(8, 4, strides=4), ClassToken()
        self.norms = [L.LayerNormalization() for _ in range(2)]
        self.mixing = [L.MultiHeadAttention(HEADS, DEPTH, name=f"mixing_{i}") for i in range(2)]
        self.dense, self.last = [L.Dense(8, "gelu") for _ in range(2)], L.Dense(4)
        inputs = keras.Input((12, 12, 3))
        x = self.tokens(inputs)
        for norm, mixing, dense in zip(self.norms, self.mixing, self.dense, strict=True):
            y = norm(x)
            x = x + mixing(y, y)
            x = x + dense(x)
        self.model = keras.Model(inputs, self.last(self.read(x)))

    def tokens(self, photos: Any) -> Any:
        return self.token(L.Reshape((9, 8))(self.patch(photos)))

    def read(self, x: Any) -> Any:
        return K.mean(x, 1) if self.pooled else x[:, 0]

    def scores(self, weights: list[Any]) -> Any:
        """The model with given attention weights of the first layers; those of the others follow from them."""
        x = self.tokens(PHOTOS)
        for i, (norm, mixing, dense) in enumerate(zip(self.norms, self.mixing, self.dense, strict=True)):
            y = norm(x)
            weight = weights[i] if i < len(weights) else mixing(y, y, return_attention_scores=True)[1]
            values = mixing._value_dense(y)
            x = x + mixing._output_dense(tf.einsum("bhts,bshd->bthd", weight, values))
            x = x + dense(x)
        return self.last(self.read(x))

    def weights(self) -> list[np.ndarray]:
        x, found = self.tokens(PHOTOS), []
        for norm, mixing, dense in zip(self.norms, self.mixing, self.dense, strict=True):
            y = norm(x)
            out, weight = mixing(y, y, return_attention_scores=True)
            found.append(np.asarray(weight))
            x = x + out
            x = x + dense(x)
        return found


@pytest.fixture(scope="module", params=[False, True], ids=["class token", "pooled"])
def vision(request: pytest.FixtureRequest) -> Vision:
    return Vision(request.param)


def read_and_enlarged(vision: Vision, chain: np.ndarray) -> np.ndarray:
    """The rows that the score reads, of the patches, enlarged from 3 x 3 to 12 x 12 by hand."""
    rows = chain.mean(1) if vision.pooled else chain[:, 0]
    heat = rows[:, 1:].reshape(-1, 3, 3)
    at = np.clip((np.arange(12) + 0.5) / 4 - 0.5, 0, 2)
    for axis in (1, 2):
        heat = np.apply_along_axis(lambda line: np.interp(at, np.arange(3), line), axis, heat)
    return heat[..., None]


def test_rollout_is_the_product_of_halved_attention(vision: Vision) -> None:
    chain = np.eye(TOKENS)[None]
    for weight in vision.weights():  # equation 1, from the first layer on
        mixed = 0.5 * weight.mean(1) + 0.5 * np.eye(TOKENS)
        chain = (mixed / mixed.sum(-1, keepdims=True)) @ chain
    found = tfxai.AttentionRollout()(vision.model, PHOTOS, targets=1)
    np.testing.assert_allclose(found.values, read_and_enlarged(vision, chain), rtol=1e-4)
    other = tfxai.AttentionRollout()(vision.model, PHOTOS, targets=2)
    np.testing.assert_allclose(found.values, other.values, rtol=1e-5)  # the same for every class


def test_relevance_of_the_weights_themselves_is_that_of_the_equations(vision: Vision) -> None:
    weights = [tf.constant(weight) for weight in vision.weights()]
    chain = np.eye(TOKENS)[None]
    for i, weight in enumerate(weights):
        with tf.GradientTape() as tape:
            tape.watch(weight)
            score = vision.scores([*weights[:i], weight])[:, 2]
        positive = np.maximum(weight.numpy() * tape.gradient(score, weight).numpy(), 0).mean(1)
        chain = (np.eye(TOKENS) + positive) @ chain
    found = tfxai.AttentionRelevance(relevance="attention")(vision.model, PHOTOS, targets=2)
    np.testing.assert_allclose(found.values, read_and_enlarged(vision, chain), rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.scores, score, rtol=1e-4, atol=1e-5)


def test_relevance_by_lrp_is_what_lrp_leaves_at_the_weights() -> None:
    """Two layers; LRP at them is equal to the package of its authors (test_lxt.py)."""
    seeded(2)
    ids = keras.Input((5,), dtype="int32")
    x = L.Embedding(9, 4)(ids)
    for i in range(2):
        key, value = L.Dense(4)(x), L.Dense(4)(x)
        weights = L.Softmax(name=f"weights_{i}")(K.matmul(x, K.transpose(key, (0, 2, 1))))
        x = x + L.Dense(4, "gelu")(K.matmul(weights, value))
    model = keras.Model(ids, L.Dense(2)(x[:, -1]))
    given, chain = np.array([[3, 1, 4, 1, 5], [2, 7, 1, 8, 2]]), np.eye(5)[None]
    for i in range(2):
        # With the weights in the place of the inputs the values beside them are fixed: none of their product is these values'.
        relevance = tfxai.LRP(rule="attention")(model, given, targets=1, at=f"weights_{i}").values / 2
        slopes = tfxai.Gradient()(model, given, targets=1, at=f"weights_{i}").values
        chain = (np.eye(5) + np.maximum(relevance * slopes, 0)) @ chain
    found = tfxai.AttentionRelevance()(model, given, targets=1)
    np.testing.assert_allclose(found.values, chain[:, -1], rtol=1e-3, atol=1e-6)


def test_one_layer_of_attention_in_closed_form() -> None:
    """The score is w (A V) of the last token: half of each product's relevance is the weight's."""
    seeded(1)
    ids = keras.Input((5,), dtype="int32")
    x = L.Embedding(9, 4, name="words")(ids)
    logits = K.matmul(x, K.transpose(x, (0, 2, 1)))
    mixed = K.matmul(L.Softmax(name="weights")(logits), x)
    model = keras.Model(ids, L.Dense(2, use_bias=False, name="head")(mixed[:, -1]))
    given = np.array([[3, 1, 4, 1, 5]])
    vectors = np.asarray(model.get_layer("words")(given))[0]
    weight = np.exp(vectors @ vectors.T)
    weight /= weight.sum(-1, keepdims=True)
    worth = (
        vectors @ model.get_layer("head").kernel.numpy()[:, 1]
    )  # of each token, if the last one looked at it alone
    found = tfxai.AttentionRollout()(model, given, targets=1)
    np.testing.assert_allclose(found.values[0], 0.5 * weight[-1] + 0.5 * np.eye(5)[-1], rtol=1e-4)
    for relevance, share in (("attention", 1.0), ("lrp", 0.5)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = tfxai.AttentionRelevance(relevance=relevance)(model, given, targets=1)
        wanted = np.eye(5)[-1] + np.maximum(
            share * weight[-1] * worth**2 if share < 1 else weight[-1] * worth, 0
        )
        np.testing.assert_allclose(found.values[0], wanted, rtol=1e-3, atol=1e-6)


def test_of_a_decoder_each_token_sees_those_before_it() -> None:
    found = tfxai.explain_generation(tfxai.AttentionRollout(), decoder(blocks=1), [1, 5, 6], [7, 8])
    np.testing.assert_allclose(found.matrix.sum(1), 1, rtol=1e-5)
    assert (found.matrix[0, :3] > 0).all() and not found.matrix[0, 3:].any()


def windows() -> keras.Model:
    """Attention within windows of a series, as Swin has it in images."""
    inputs = keras.Input((8, 4))
    cut = K.reshape(inputs, (-1, 4, 4))
    return keras.Model(
        inputs,
        L.Dense(2)(L.GlobalAveragePooling1D()(K.reshape(L.MultiHeadAttention(1, 4)(cut, cut), (-1, 8, 4)))),
    )


def crossed() -> keras.Model:
    inputs = keras.Input((8, 4))
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(L.MultiHeadAttention(1, 4)(inputs[:, :2], inputs))))


def plain() -> keras.Model:
    inputs = keras.Input((8, 4))
    return keras.Model(inputs, L.Dense(2, activation="softmax")(L.Flatten()(inputs)))


def beside() -> keras.Model:
    inputs = keras.Input((8, 4))
    both = L.MultiHeadAttention(1, 4)(inputs, inputs) + L.MultiHeadAttention(1, 4)(inputs, inputs)
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(inputs + both)))


def twins() -> keras.Model:
    """Two halves of a series through one attention each."""
    inputs = keras.Input((8, 4))

    def tower(x: Any) -> Any:
        x = L.Dense(4)(x)
        return (x + L.MultiHeadAttention(1, 4)(x, x))[:, 0]

    return keras.Model(inputs, L.Dense(2)(L.Concatenate()([tower(inputs[:, :4]), tower(inputs[:, 4:])])))


def from_an_encoder() -> keras.Model:
    inputs = keras.Input((8, 4))
    left, right = L.Dense(4)(inputs[:, :4]), L.Dense(4)(inputs[:, 4:])
    left = left + L.MultiHeadAttention(1, 4)(left, left)
    right = right + L.MultiHeadAttention(1, 4)(right, right)
    return keras.Model(inputs, L.Dense(2)(L.Flatten()(right + L.MultiHeadAttention(1, 4)(right, left))))


def by_hand(x: Any, changed: bool) -> Any:
    weight = K.softmax(K.matmul(L.Dense(4)(x), K.transpose(L.Dense(4)(x), (0, 2, 1))))
    if changed:
        weight = weight + 1e-8
        weight = weight / K.sum(weight, -1, keepdims=True)
    return x + K.matmul(weight, L.Dense(x.shape[-1])(x))


def over_features() -> keras.Model:
    inputs = keras.Input((8, 4))
    x = L.Dense(8)(inputs)
    turned = K.transpose(x, (0, 2, 1))
    weight = K.softmax(K.matmul(L.Dense(4)(turned), K.transpose(L.Dense(4)(turned), (0, 2, 1))))
    mixed = K.transpose(K.matmul(weight, turned), (0, 2, 1))
    return keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling1D()(x + mixed)))


def weighed_again() -> keras.Model:
    """A gate upon the weights of attention, which are then no longer the softmax."""
    inputs = keras.Input((8, 4))
    weight = K.softmax(K.matmul(L.Dense(4)(inputs), K.transpose(inputs, (0, 2, 1)))) * L.Dense(8, "sigmoid")(
        inputs
    )
    return keras.Model(inputs, L.Dense(2)(by_hand(inputs + K.matmul(weight, inputs), False)[:, 0]))


def half_known() -> keras.Model:
    inputs = keras.Input((8, 4))
    return keras.Model(inputs, L.Dense(2)(by_hand(by_hand(inputs, False), True)[:, 0]))


def test_attention_of_inputs_themselves_is_followed() -> None:
    seeded(1)
    inputs = keras.Input((5, 4))
    mixing = L.MultiHeadAttention(2, 4)
    model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling1D()(inputs + mixing(inputs, inputs))))
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    weight = np.asarray(mixing(x, x, return_attention_scores=True)[1]).mean(1)
    found = tfxai.AttentionRollout()(model, x, targets=0)
    np.testing.assert_allclose(found.values[..., 0], (0.5 * weight + 0.5 * np.eye(5)).mean(1), rtol=1e-4)
    with pytest.raises(ValueError, match="explains inputs"):
        tfxai.AttentionRollout()(model, x, targets=0, at="dense")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (windows, "cannot be lined up"),
        (crossed, "windows, pooled tokens"),
        (plain, "there is none"),
        (beside, "side by side"),
        (twins, "side by side"),
        (from_an_encoder, "side by side"),
        (over_features, "over features"),
        (half_known, "changed before it weighs"),
        (weighed_again, "changed before it weighs"),
    ],
)
@pytest.mark.parametrize("method", [tfxai.AttentionRollout(), tfxai.AttentionRelevance()], ids=repr)
def test_where_tokens_cannot_be_followed_it_says_so(build: Any, words: str, method: Any) -> None:
    with pytest.raises(ValueError, match=words):
        method(build(), np.ones((2, 8, 4), np.float32), targets=0)
