"""Small networks that read digits, trained again and again, and some that learn to read a mark instead."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

SIZE, TRAINED, SEEN = 12, 1000, 200
CORNERS = [(0, 0), (0, 2), (0, 4), (0, 6), (0, 8), (10, 0), (10, 2), (10, 4), (10, 6), (10, 8)]


@functools.cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    """(1797, 12, 12, 1) from 0 to 1 with an empty frame, and their classes."""
    held: Any = load_digits()
    images = (held.images[..., None] / 16).astype(np.float32)
    return np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)]), held.target


def marked(images: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """With a white mark in the frame, one of ten places for each class."""
    images = images.copy()
    for name, (row, column) in enumerate(CORNERS):
        images[classes == name, row : row + 2, column : column + 2] = 1
    return images


def frame() -> np.ndarray:
    """Where marks lie, (12, 12)."""
    mask = np.ones((SIZE, SIZE), bool)
    mask[2:10, 2:10] = False
    return mask


def seen() -> tuple[np.ndarray, np.ndarray]:
    """200 marked digits that no network was trained on, and their classes."""
    images, classes = digits()
    some = slice(TRAINED, TRAINED + SEEN)
    return marked(images[some], classes[some]), classes[some]


@functools.cache
def trained(seed: int, on_marks: bool = False) -> list[np.ndarray]:
    """Weights of a network that reads digits with a mark, whose place tells nothing, or the class."""
    images, classes = digits()
    images, classes = images[:TRAINED], classes[:TRAINED]
    given = marked(images, classes if on_marks else np.random.default_rng(seed).permutation(classes))
    found = MLPClassifier(
        (24,), max_iter=40, batch_size=50, learning_rate_init=0.004, random_state=seed, tol=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it has not converged: so it is with networks
        found.fit(given.reshape(TRAINED, -1), classes)
    return [each for pair in zip(found.coefs_, found.intercepts_, strict=True) for each in pair]


def network(seed: int = 0, on_marks: bool = False) -> keras.Model:
    """The same as a model."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(24, activation="relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), *layers])
    model.set_weights(trained(seed, on_marks))
    return model
