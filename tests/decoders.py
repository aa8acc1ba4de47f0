"""A small decoder of one's own, and what it can be trained on in seconds: texts whose every next word has one known source."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from kinds import seeded

K = keras.ops
VOCABULARY, COUNT = 24, 8  # ids 0: padding, 1: begin, 2: again; words from 3 on


@keras.saving.register_keras_serializable("tests")
class Positions(keras.layers.Layer):
    """A learned vector for each place, added up."""

    def __init__(self, length: int, **more: Any) -> None:
        super().__init__(**more)
        self.length = length

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(
            shape=(self.length, shape[-1]), initializer="random_normal", name="table"
        )

    def call(self, x: Any) -> Any:
        return x + self.table[: K.shape(x)[1]]


def decoder(
    vocabulary: int = VOCABULARY,
    length: int = 2 * COUNT + 2,
    width: int = 32,
    blocks: int = 2,
    softmax: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Blocks of causal attention and a dense layer with GELU, each behind a layer norm."""
    seeded(seed)
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = Positions(length, name="places")(keras.layers.Embedding(vocabulary, width, name="words")(ids))
    for i in range(blocks):
        y = keras.layers.LayerNormalization(name=f"norm_{i}")(x)
        x = x + keras.layers.MultiHeadAttention(2, width // 2, name=f"attention_{i}")(
            y, y, use_causal_mask=True
        )
        y = keras.layers.Dense(2 * width, activation="gelu")(keras.layers.LayerNormalization()(x))
        x = x + keras.layers.Dense(width)(y)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(
        ids, keras.layers.Dense(vocabulary, activation="softmax" if softmax else None, name="next")(x)
    )


def copying(count: int, generator: np.random.Generator) -> np.ndarray:
    """`begin w1 ... w8 again w1 ... w8`, of different words: the source of a word after `again` is the same word before it."""
    words = np.array([generator.permutation(np.arange(3, VOCABULARY))[:COUNT] for _ in range(count)])
    ones = np.ones((count, 1), int)
    return np.concatenate([ones, words, 2 * ones, words], 1)


def recalling(count: int, generator: np.random.Generator) -> np.ndarray:
    """`begin w1 ... w8 again q1 a1 ... q4 a4`: each q is one of the first seven words, and its a the word behind it there."""
    words = np.array([generator.permutation(np.arange(3, VOCABULARY))[:COUNT] for _ in range(count)])
    places = np.array([generator.permutation(COUNT - 1)[: COUNT // 2] for _ in range(count)])
    pairs = [np.take_along_axis(words, places + k, 1) for k in (0, 1)]
    ones = np.ones((count, 1), int)
    return np.concatenate([ones, words, 2 * ones, np.stack(pairs, 2).reshape(count, -1)], 1)


def trained(
    texts_of: Callable[[int, np.random.Generator], np.ndarray] = copying,
    asked: slice = slice(COUNT + 2, None),
    steps: int = 600,
) -> keras.Model:
    """A decoder that knows what comes at some places of texts of one kind.

    asked: the places.
    """
    model, generator = decoder(), np.random.default_rng(0)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps, warmup_target=3e-3, warmup_steps=1)
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    texts = texts_of(128 * steps, generator)
    weights = np.zeros(texts.shape, np.float32)
    weights[:, asked] = 1
    model.fit(texts[:, :-1], texts[:, 1:], sample_weight=weights[:, 1:], batch_size=128, epochs=1, verbose=0)
    return model
