"""The small networks on which other libraries stand beside ours, and how far two results are apart."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

L = keras.layers
K = 1  # the class
INNER = slice(2, 22)  # where the 20 x 20 cells of a layer without padding lie in 24 x 24 pixels
SEGMENTS = (np.arange(24)[:, None] // 6 * 4 + np.arange(24) // 6).astype(np.int32)  # sixteen squares


def convolutional() -> keras.Model:
    """Of images 24 x 24 x 3, four classes; the second layer is called "deeper"."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((24, 24, 3))
    maps = L.Conv2D(8, 3, activation="relu", name="deeper")(L.Conv2D(6, 3, activation="relu")(inputs))
    return keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(maps)))


def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(2, 24, 24, 3)).astype("float32")


def table() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """A model of three classes, its background, and rows."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), L.Dense(12, activation="tanh"), L.Dense(3)])
    draw = np.random.default_rng(1).normal
    return model, draw(size=(30, 8)).astype("float32"), draw(size=(3, 8)).astype("float32")


def change(model: keras.Model, x: np.ndarray, end: np.ndarray | None = None) -> float:
    """By how much the score of the class differs between one input and where a path starts, zeros unless given."""
    return float((model(x[None]) - model(np.zeros_like(x[None]) if end is None else end[None]))[0, K])


def apart(one: Any, other: Any) -> float:
    """Largest difference, of the largest value of the other."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    assert one.shape == other.shape
    return float(np.abs(one - other).max() / np.abs(other).max())


def alike(one: Any, other: Any) -> float:
    """Correlation."""
    return float(np.corrcoef(np.ravel(one), np.ravel(other))[0, 1])
