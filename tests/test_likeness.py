"""Scores of likeness, contrasts, units of layers, reconstructions and distributions: against formulas written out by hand."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai import scores
from tfxai.model.tracing import traces

L = keras.layers
RNG = np.random.default_rng(3)
WEIGHTS = RNG.normal(size=(6, 4)).astype(np.float32)
ROWS = RNG.normal(size=(3, 6)).astype(np.float32)
OTHERS = RNG.normal(size=(3, 6)).astype(np.float32)
GRADIENT = tfxai.Gradient()


def encoder() -> Any:
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, use_bias=False, name="embedding")])
    model.set_weights([WEIGHTS])
    return model


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (unit(a) * unit(b)).sum(-1)


def slope_of_cosine(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """d cos(xW, oW) / dx = (u_o - cos u_x) W' / |xW|."""
    a, b = rows @ WEIGHTS, np.broadcast_to(others @ WEIGHTS, (len(rows), 4))
    return (
        (unit(b) - cosine(a, b)[:, None] * unit(a)) / np.linalg.norm(a, axis=1, keepdims=True)
    ) @ WEIGHTS.T


@pytest.mark.parametrize(
    ("reference", "others"),
    [
        (OTHERS, OTHERS),
        (OTHERS[:1], OTHERS[:1]),
        (OTHERS[0], OTHERS[:1]),
        (OTHERS @ WEIGHTS, OTHERS),
        ((OTHERS @ WEIGHTS)[0], OTHERS[:1]),
    ],
    ids=["one for each", "one", "one without batch", "embeddings", "one embedding"],
)
def test_cosine_and_its_gradient(reference: np.ndarray, others: np.ndarray) -> None:
    found = GRADIENT(encoder(), ROWS, score=scores.similarity(reference))
    np.testing.assert_allclose(found.scores, cosine(ROWS @ WEIGHTS, others @ WEIGHTS), atol=1e-6)
    np.testing.assert_allclose(found.values, slope_of_cosine(ROWS, others), atol=1e-6)
    np.testing.assert_allclose(
        found.references["embedding"], np.broadcast_to(others @ WEIGHTS, (3, 4)), atol=1e-6
    )
    assert (found.targets == -1).all()


def test_both_sides_are_explained_by_swapping_them() -> None:
    one = GRADIENT(encoder(), ROWS, score=scores.similarity(OTHERS))
    other = GRADIENT(encoder(), OTHERS, score=scores.similarity(ROWS))
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    np.testing.assert_allclose(other.values, slope_of_cosine(OTHERS, ROWS), atol=1e-6)


def test_what_looks_like_an_input_is_an_embedding_if_that_is_said() -> None:
    square = keras.Sequential([keras.Input((6,)), L.Dense(6, use_bias=False)])
    weights = square.get_weights()[0]
    example = GRADIENT(square, ROWS, score=scores.similarity(OTHERS, "dot"))
    embedding = GRADIENT(square, ROWS, score=scores.similarity(OTHERS, "dot", is_embedding=True))
    np.testing.assert_allclose(example.scores, (ROWS @ weights * (OTHERS @ weights)).sum(1), rtol=1e-5)
    np.testing.assert_allclose(embedding.scores, (ROWS @ weights * OTHERS).sum(1), rtol=1e-5)
    np.testing.assert_allclose(embedding.values, OTHERS @ weights.T, rtol=1e-4, atol=1e-6)


def test_distance_and_product() -> None:
    gap = (ROWS - OTHERS) @ WEIGHTS
    far = GRADIENT(encoder(), ROWS, score=scores.similarity(OTHERS, "euclidean"))
    np.testing.assert_allclose(far.scores, -np.linalg.norm(gap, axis=1), rtol=1e-5)
    np.testing.assert_allclose(far.values, -unit(gap) @ WEIGHTS.T, atol=1e-6)
    with pytest.warns(UserWarning, match="every value of every map is 0"):
        same = GRADIENT(encoder(), ROWS, score=scores.similarity(ROWS, "euclidean"))
    assert np.isfinite(same.values).all()
    near = tfxai.IntegratedGradients()(encoder(), ROWS, score=scores.similarity(OTHERS, "dot"))
    np.testing.assert_allclose(near.values, ROWS * (OTHERS @ WEIGHTS @ WEIGHTS.T), atol=1e-5)


def test_the_embedding_of_a_layer_inside() -> None:
    model = keras.Sequential([keras.Input((6,)), *encoder().layers, L.Dense(2)])
    found = GRADIENT(model, ROWS, score=scores.similarity(OTHERS, layer="embedding"))
    np.testing.assert_allclose(found.values, slope_of_cosine(ROWS, OTHERS), atol=1e-6)


def test_another_reference_is_no_new_trace() -> None:
    model = encoder()
    GRADIENT(model, ROWS, score=scores.similarity(OTHERS))
    before = traces(model)
    GRADIENT(model, ROWS, score=scores.similarity(OTHERS + 1))
    assert traces(model) == before


def test_hiding_parts_and_rows_in_batches() -> None:
    """Shapley values of a product are those of its linear function, whichever batch a row is in."""
    found = tfxai.KernelSHAP(samples=200, background=0.0)(
        encoder(), ROWS, score=scores.similarity(OTHERS, "dot"), batch_size=2
    )
    np.testing.assert_allclose(found.values, ROWS * (OTHERS @ WEIGHTS @ WEIGHTS.T), atol=1e-4)


@pytest.mark.parametrize(
    ("reference", "more", "words"),
    [
        (OTHERS[:2], {}, "2 references for 3 inputs"),
        (np.ones((3, 2, 2)), {}, "reference of shape"),
        (np.ones(3), {}, "3 numbers, and embeddings have 4"),
        (np.full(4, np.nan), {}, "not finite"),
    ],
)
def test_references_that_do_not_fit(reference: np.ndarray, more: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GRADIENT(encoder(), ROWS, score=scores.similarity(reference, **more))


def test_a_score_without_classes_takes_no_targets() -> None:
    with pytest.raises(ValueError, match="needs no class"):
        GRADIENT(encoder(), ROWS, 1, score=scores.similarity(OTHERS))
    with pytest.raises(ValueError, match="only given to methods"):
        scores.similarity(OTHERS)(np.ones((3, 4)), None)


def test_contrast_is_a_difference() -> None:
    best = (ROWS @ WEIGHTS).argmax(1)
    found = GRADIENT(encoder(), ROWS, score=scores.contrast(None, 2))
    np.testing.assert_array_equal(found.targets, best)
    np.testing.assert_allclose(found.values, (WEIGHTS[:, best] - WEIGHTS[:, [2]]).T, atol=1e-6)
    each = GRADIENT(encoder(), ROWS, [[0, 1]] * 3, score=scores.contrast(None, 2))
    np.testing.assert_allclose(each.values[:, 1], np.tile(WEIGHTS[:, 1] - WEIGHTS[:, 2], (3, 1)), atol=1e-6)
    np.testing.assert_allclose(each.scores[:, 0], ROWS @ (WEIGHTS[:, 0] - WEIGHTS[:, 2]), atol=1e-5)
    two = scores.contrast(scores.similarity(OTHERS), scores.similarity(ROWS[0]))
    wanted = slope_of_cosine(ROWS, OTHERS) - slope_of_cosine(ROWS, ROWS[:1])
    np.testing.assert_allclose(GRADIENT(encoder(), ROWS, score=two).values, wanted, atol=1e-5)
    own = scores.contrast(lambda outputs, targets: outputs[:, 3], scores.regression(0))
    np.testing.assert_allclose(
        GRADIENT(encoder(), ROWS, score=own).values,
        np.tile(WEIGHTS[:, 3] - WEIGHTS[:, 0], (3, 1)),
        atol=1e-6,
    )
    with pytest.raises(ValueError, match="contrast got 'a'"):
        scores.contrast("a", 1)
    for pair in ((9, 1), (1, 9)):
        with pytest.raises(ValueError, match="class 9, the model has 4"):
            GRADIENT(encoder(), ROWS, score=scores.contrast(*pair))
    for wrong in (lambda y, t: tf.reduce_mean(y[:, 1]), lambda y, t: tf.reduce_sum(y, 0)):
        with pytest.raises(ValueError, match="does not return one number per example"):
            GRADIENT(encoder(), ROWS, score=scores.contrast(0, wrong))
    # Of the one side the class is meant, and the other needs none.
    mixed = GRADIENT(encoder(), ROWS, 2, score=scores.contrast(None, scores.similarity(OTHERS)))
    np.testing.assert_allclose(mixed.values, WEIGHTS[:, 2] - slope_of_cosine(ROWS, OTHERS), atol=1e-5)


def convolution() -> Any:
    model = keras.Sequential([
        keras.Input((4, 4, 1)), L.Conv2D(3, 1, use_bias=False, name="conv"), L.Flatten(), L.Dense(2),
    ])  # fmt: skip
    model.layers[0].set_weights([np.array([[[[1.0, -2.0, 3.0]]]])])
    return model


def test_units_channels_and_directions_of_a_layer() -> None:
    model, images = convolution(), RNG.normal(size=(2, 4, 4, 1)).astype(np.float32)
    channel = GRADIENT(model, images, score=scores.activation("conv", 2))
    np.testing.assert_allclose(channel.values, np.full(images.shape, 3 / 16), rtol=1e-6)
    np.testing.assert_allclose(channel.scores, 3 * images.mean((1, 2, 3)), rtol=1e-5)
    neuron = GRADIENT(model, images, score=scores.activation("conv", 1, place=(2, 3)))
    assert neuron.values[0, 2, 3, 0] == -2 and np.count_nonzero(neuron.values[0]) == 1
    along = GRADIENT(model, images, score=scores.activation("conv", direction=[1, 1, 2]))
    np.testing.assert_allclose(along.values, np.full(images.shape, 5 / 16), rtol=1e-6)
    whole = RNG.normal(size=(4, 4, 3))
    concept = GRADIENT(model, images, score=scores.activation("conv", direction=whole))
    np.testing.assert_allclose(concept.values[0, ..., 0], whole @ [1, -2, 3], rtol=1e-5)
    mean = GRADIENT(model, images, score=scores.activation("conv"))
    np.testing.assert_allclose(mean.values, np.full(images.shape, 2 / 48), rtol=1e-6)
    for wrong, words in (
        ({"channel": 3}, "has 3 channels"),
        ({"place": (4, 0)}, "has places"),
        ({"place": (1,)}, "has places"),
        ({"direction": [1, 2]}, "whole shape"),
    ):
        with pytest.raises(ValueError, match=words):
            GRADIENT(model, images, score=scores.activation("conv", **wrong))
    with pytest.raises(ValueError, match="Give one of the two"):
        scores.activation("conv", 1, direction=[1, 2, 3])
    with pytest.raises(ValueError, match="does not exist"):
        GRADIENT(model, images, score=scores.activation("nope"))


def test_reconstruction_error_also_counts_the_input_itself() -> None:
    square = RNG.normal(size=(6, 6)).astype(np.float32) / 3
    model = keras.Sequential([keras.Input((6,)), L.Dense(6, use_bias=False)])
    model.set_weights([square])
    gap = ROWS @ square - ROWS
    found = GRADIENT(model, ROWS, score=scores.reconstruction_error())
    np.testing.assert_allclose(found.scores, (gap**2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found.values, 2 / 6 * gap @ (square - np.eye(6)).T, atol=1e-6)
    part = GRADIENT(model, ROWS, score=scores.reconstruction_error((1, 3)))
    np.testing.assert_allclose(part.scores, (gap[:, 1:3] ** 2).mean(1), rtol=1e-5)
    for window in ((3, 3), (0, 7), (-1, 2)):
        with pytest.raises(ValueError, match="window"):
            GRADIENT(model, ROWS, score=scores.reconstruction_error(window))
    with pytest.raises(ValueError, match="output of the input's shape"):
        GRADIENT(encoder(), ROWS, score=scores.reconstruction_error())


def test_the_mean_of_a_distribution_and_the_chance_to_survive() -> None:
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, use_bias=False), L.Softmax()])
    model.set_weights([WEIGHTS])
    ages = np.array([10, 20, 40, 80.0])
    chances = np.exp(ROWS @ WEIGHTS) / np.exp(ROWS @ WEIGHTS).sum(1, keepdims=True)
    found = GRADIENT(model, ROWS, score=scores.expected(ages))
    np.testing.assert_allclose(found.scores, chances @ ages, rtol=1e-5)
    slope = (chances * (ages - (chances @ ages)[:, None])) @ WEIGHTS.T
    np.testing.assert_allclose(found.values, slope, rtol=1e-4, atol=1e-4)
    hazards = keras.Sequential([keras.Input((6,)), L.Dense(4, use_bias=False, activation="sigmoid")])
    hazards.set_weights([WEIGHTS])
    chance = 1 / (1 + np.exp(-ROWS @ WEIGHTS))
    lived = GRADIENT(hazards, ROWS, score=scores.survival(2))
    np.testing.assert_allclose(lived.scores, np.log1p(-chance[:, :2]).sum(1), rtol=1e-4)
    np.testing.assert_allclose(lived.values, -chance[:, :2] @ WEIGHTS[:, :2].T, rtol=1e-4, atol=1e-6)
    rows = keras.Input((6,))
    states = L.Softmax()(L.Reshape((2, 2))(encoder()(rows)))
    pairs = keras.Model(rows, states[..., 1])  # as many times as states
    chances = pairs.predict(ROWS, verbose=0)
    for score, wanted in ((scores.survival(2), np.log1p(-chances).sum(1)), ("logit", chances.max(1))):
        np.testing.assert_allclose(GRADIENT(pairs, ROWS, score=score).scores, wanted, rtol=1e-4)
    with pytest.raises(ValueError, match="expected got 3 values"):
        GRADIENT(model, ROWS, score=scores.expected([1, 2, 3]))
    with pytest.raises(ValueError, match="1 to T steps"):
        GRADIENT(hazards, ROWS, score=scores.survival(5))


def test_files_and_metrics_know_what_was_compared(tmp_path: Any) -> None:
    score = scores.similarity(OTHERS, "dot")
    found = GRADIENT(encoder(), ROWS, score=score)
    again = tfxai.Explanation.load(found.save(tmp_path / "found.npz"))
    np.testing.assert_array_equal(again.references["embedding"], found.references["embedding"])
    np.testing.assert_array_equal(found[1:].references["embedding"], found.references["embedding"][1:])
    curve = tfxai.metrics.deletion(encoder(), again, score=score)
    zero = 0 * curve.curves[:, -1]
    np.testing.assert_allclose(curve.curves[:, 0], found.scores, rtol=1e-4)
    np.testing.assert_allclose(curve.curves[:, -1], zero, atol=1e-5)
    for other in ("probability", scores.similarity(OTHERS), scores.activation("embedding", 1)):
        with pytest.raises(ValueError, match="Give the same"):
            tfxai.metrics.deletion(encoder(), again, score=other)


def test_outputs_of_one_name_are_told_apart() -> None:
    left, right = keras.Input((6,)), keras.Input((6,))
    head = L.Dense(4, use_bias=False, name="head")
    model = keras.Model([left, right], [head(left), head(right)])
    head.set_weights([WEIGHTS])
    for output, rows in ((0, ROWS), (1, OTHERS), ("head", ROWS), ("head#2", OTHERS)):
        found = GRADIENT(model, [ROWS, OTHERS], 1, score=scores.output(output))
        np.testing.assert_allclose(found.scores, rows @ WEIGHTS[:, 1], rtol=1e-5)
    with pytest.raises(ValueError, match="2 outputs: 'head'"):
        GRADIENT(model, [ROWS, OTHERS], 1)
