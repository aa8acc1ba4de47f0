"""Every method with every score that compares rows with something of their own, in batches that cut the rows apart.

The truth is the same method on a model whose last layer is the score, written out by hand for each row's own box, mask or
reference.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import once
from test_xla import METHODS

import tfxai
from tfxai import scores

L = keras.layers
RNG = np.random.default_rng(9)
IMAGES = RNG.uniform(0.2, 1, (3, 12, 12, 3)).astype(np.float32)
BOXES = np.array([[1.0, 2, 7, 8], [5, 5, 11, 12], [0, 6, 6, 11]], np.float32)
MASKS = RNG.uniform(size=(3, 12, 12)) < 0.3
OTHERS = RNG.uniform(0.2, 1, (3, 12, 12, 3)).astype(np.float32)
CELLS = np.array([[y, x, y + 6, x + 6] for y in (0, 6) for x in (0, 6)], np.float32)
CLASSES = np.array([0, 2, 1])


class Case(NamedTuple):
    """A model and how it is asked; `by_hand` makes the score of the outputs for the row of a number."""

    model: Any
    score: Any
    targets: Any
    by_hand: Callable[[Any, int], Any]
    linear: bool = False


def body() -> tuple[Any, Any]:
    keras.utils.set_random_seed(2)
    image = keras.Input((12, 12, 3))
    maps = L.Conv2D(6, 3, padding="same", activation="relu", name="maps")(image)
    return image, L.Conv2D(8, 3, padding="same", activation="relu", name="more")(maps)


def detector() -> Case:
    image, maps = body()
    cells = L.AveragePooling2D(6)(maps)
    boxes = L.Lambda(lambda t: t + CELLS)(L.Reshape((4, 4))(L.Conv2D(4, 1)(cells)))
    logits = L.Reshape((4, 3))(L.Conv2D(3, 1)(cells))
    model = keras.Model(image, {"boxes": boxes, "logits": logits})

    def by_hand(outputs: Any, row: int) -> Any:
        y0, x0, y1, x1 = (outputs["boxes"][..., i] for i in range(4))
        v0, u0, v1, u1 = BOXES[row]
        # The smaller and the larger of two without an operation that guided backprop takes for a ReLU.
        low, high = (lambda a, b: (a + b - tf.abs(a - b)) / 2), (lambda a, b: (a + b + tf.abs(a - b)) / 2)
        common = high(low(y1, v1) - high(y0, v0), 0.0) * high(low(x1, u1) - high(x0, u0), 0.0)
        union = (y1 - y0) * (x1 - x0) + (v1 - v0) * (u1 - u0) - common
        hull = (high(y1, v1) - low(y0, v0)) * (high(x1, u1) - low(x0, u0))
        near = tf.math.log((1 + common / union - (hull - union) / hull) / 2)
        likely = -tf.math.softplus(-outputs["logits"][..., CLASSES[row]])
        return tf.math.log(tf.reduce_sum(tf.exp(10 * (near + likely)), 1)) / 10

    return Case(model, scores.detection(), tfxai.boxes(BOXES, CLASSES), by_hand)


def segmenter() -> Case:
    image, maps = body()
    model = keras.Model(image, L.Conv2D(3, 1)(maps))

    def by_hand(outputs: Any, row: int) -> Any:
        area = MASKS[row] / MASKS[row].sum()
        return tf.einsum("nhw,hw->n", outputs[..., CLASSES[row]], tf.constant(area, tf.float32))

    return Case(model, scores.region(MASKS), CLASSES, by_hand, linear=True)


def encoder() -> Case:
    image, maps = body()
    model = keras.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(maps)))
    known = model(OTHERS).numpy()

    def by_hand(outputs: Any, row: int) -> Any:
        lengths = tf.sqrt(tf.reduce_sum(outputs**2, 1) + 1e-12) * np.linalg.norm(known[row])
        return tf.linalg.matvec(outputs, known[row]) / lengths

    return Case(model, scores.similarity(OTHERS), None, by_hand)


CASES = {"segmenter": segmenter, "detector": detector, "encoder": encoder}


@functools.cache
def case(name: str) -> tuple[Case, list[Any]]:
    """The case, and for each row the model that ends in that row's score."""
    found = CASES[name]()
    ends = [
        keras.Model(
            found.model.inputs,
            L.Lambda(lambda y, row=row: found.by_hand(y, row)[:, None])(found.model.output),
        )
        for row in range(3)
    ]
    return found, ends


EVERY = {name: method for name, method in METHODS.items() if name in tfxai.methods.__all__}


@once("method", score=CASES, method=EVERY)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_row_is_compared_with_its_own(score: str, method: str) -> None:
    asked, ends = case(score)
    configured = EVERY[method]
    if not asked.linear and method in ("DeepLIFT", "LRP"):
        pytest.skip("the rule of an operation depends on how the score is written")
    settings = {"layer": "more"} if hasattr(configured, "layer") else {}
    configured = type(configured)(**{**vars(configured), **settings})
    found = configured(asked.model, IMAGES, asked.targets, score=asked.score, batch_size=2)
    row = (list(EVERY).index(method) + list(CASES).index(score)) % 3
    # All rows, of which one is looked at: what is drawn depends on the number of the row.
    wanted = configured(ends[row], IMAGES, score=scores.regression(0), batch_size=2)
    np.testing.assert_allclose(found.scores[row], wanted.scores[row], rtol=1e-4, atol=1e-5)
    largest = np.abs(wanted.values[row]).max()
    np.testing.assert_allclose(found.values[row], wanted.values[row], atol=2e-3 * largest + 1e-7)


def test_rows_that_are_scored_for_several_boxes() -> None:
    asked, ends = case("detector")
    every = np.tile(BOXES, (3, 1, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tfxai.Gradient()(
            asked.model, IMAGES, tfxai.boxes(every, [CLASSES] * 3), score=asked.score, batch_size=4
        )
    for k, end in enumerate(ends):
        wanted = tfxai.Gradient()(end, IMAGES, score=scores.regression(0))
        np.testing.assert_allclose(found.values[:, k], wanted.values, rtol=1e-3, atol=1e-6)
