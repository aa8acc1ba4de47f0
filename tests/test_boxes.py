"""Boxes of detectors: their score by loops of plain Python, and readers of outputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai import scores
from tfxai.scores.box_geometry import corners_of

L = keras.layers
RNG = np.random.default_rng(5)
IMAGES = RNG.uniform(size=(2, 24, 24, 3)).astype(np.float32)
GRADIENT = tfxai.Gradient()
CELLS = np.array([[y, x, y + 8, x + 8] for y in (0, 8, 16) for x in (0, 8, 16)], np.float32)


def detector(ending: str | None = "sigmoid") -> Any:
    """One box for each of 3 x 3 cells, a little moved, with scores of three classes."""
    keras.utils.set_random_seed(2)
    image = keras.Input((24, 24, 3))
    maps = L.Conv2D(6, 8, strides=8, activation="tanh", name="maps")(image)
    moves = L.Reshape((9, 4))(L.Conv2D(4, 1, name="moves")(maps))
    classes = L.Reshape((9, 3))(L.Conv2D(3, 1, name="classes")(maps))
    boxes = L.Lambda(lambda t: t + CELLS)(moves)
    outputs = classes if ending is None else L.Activation(ending)(classes)
    return keras.Model(image, {"boxes": boxes, "logits" if ending is None else "scores": outputs})


def overlaps(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """IoU and generalised IoU of two boxes."""

    def area(box: list[float]) -> float:
        return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)

    common = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    hull = area([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])])
    union = area(list(a)) + area(list(b)) - common
    return common / union, common / union - (hull - union) / hull


def by_hand(
    boxes: np.ndarray, chances: np.ndarray, box: np.ndarray, kind: int, place: float, weight: float
) -> float:
    terms = [
        weight * np.log(p[kind]) + place * np.log((1 + overlaps(b, box)[1]) / 2)
        for b, p in zip(boxes, chances, strict=True)
    ]
    return float(np.log(np.sum(np.exp(10 * np.array(terms, np.float64)))) / 10)


@pytest.mark.parametrize(
    ("ending", "place", "weight"), [("sigmoid", 1.0, 1.0), ("softmax", 2.0, 0.5), (None, 0.5, 1.0)]
)
def test_the_score_of_a_box_is_its_formula(ending: str | None, place: float, weight: float) -> None:
    model, corners = detector(ending), np.array([[1.0, 2, 9, 11], [15, 14, 23, 22]])
    outputs = model.predict(IMAGES, verbose=0)
    chances = outputs["scores"] if ending else 1 / (1 + np.exp(-outputs["logits"]))
    score = scores.detection(place=place, kind=weight)
    found = GRADIENT(model, IMAGES, tfxai.boxes([corners] * 2, [[0, 2]] * 2), score=score)
    for n in range(2):
        for k in range(2):
            wanted = by_hand(outputs["boxes"][n], chances[n], corners[k], (0, 2)[k], place, weight)
            assert found.scores[n, k] == pytest.approx(wanted, rel=1e-4)
    np.testing.assert_array_equal(found.targets, [[0, 2]] * 2)
    np.testing.assert_array_equal(found.references["boxes"], [corners] * 2)


def test_the_gradient_is_that_of_the_formula_and_is_nowhere_constant() -> None:
    model = detector()
    for corners in ([1.0, 2, 9, 11], [200.0, 200, 210, 210]):  # the second meets no candidate
        found = GRADIENT(model, IMAGES[:1], tfxai.boxes(corners, 1), score=scores.detection())
        assert np.abs(found.values).max() > 1e-3
        step = RNG.normal(size=IMAGES[:1].shape).astype(np.float32)
        ends = []
        for moved in (IMAGES[:1] + 1e-2 * step, IMAGES[:1] - 1e-2 * step):
            outputs = model.predict(moved, verbose=0)
            ends.append(by_hand(outputs["boxes"][0], outputs["scores"][0], np.array(corners), 1, 1, 1))
        assert (found.values * step).sum() == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=2e-2, abs=2e-3)


def greedy(boxes: np.ndarray, chances: np.ndarray, k: int) -> list[tuple[int, int]]:
    """Non-maximum suppression class by class, by loops: numbers of candidates and their classes."""
    order = sorted(range(len(boxes)), key=lambda m: -chances[m].max())
    kept: list[tuple[int, int]] = []
    for m in order:
        kind = int(chances[m].argmax())
        if all(kind != other or overlaps(boxes[m], boxes[n])[0] <= 0.5 for n, other in kept):
            kept.append((m, kind))
    return kept[:k]


def test_the_best_boxes_are_found() -> None:
    model = detector()
    outputs = model.predict(IMAGES, verbose=0)
    found = GRADIENT(model, IMAGES, tfxai.boxes(k=4), score=scores.detection())
    for n in range(2):
        wanted = greedy(outputs["boxes"][n], outputs["scores"][n], 4)
        np.testing.assert_allclose(found.references["boxes"][n], [outputs["boxes"][n][m] for m, _ in wanted])
        np.testing.assert_array_equal(found.targets[n], [kind for _, kind in wanted])
    one = GRADIENT(model, IMAGES, score=scores.detection())
    assert one.targets.shape == (2,)
    np.testing.assert_allclose(one.values, found.values[:, 0], atol=1e-6)
    with pytest.raises(ValueError, match="Ask for so many"):
        GRADIENT(model, IMAGES, tfxai.boxes(k=100), score=scores.detection())


def test_the_class_of_a_box_is_found_at_its_place() -> None:
    model = detector()
    outputs = model.predict(IMAGES, verbose=0)
    found = GRADIENT(model, IMAGES, tfxai.boxes(CELLS[[0, 4]][None].repeat(2, 0)), score=scores.detection())
    for n in range(2):
        for k, cell in enumerate((0, 4)):
            chances = [
                max(
                    np.log(p[c]) + np.log((1 + overlaps(b, CELLS[cell])[1]) / 2)
                    for b, p in zip(outputs["boxes"][n], outputs["scores"][n], strict=True)
                )
                for c in range(3)
            ]
            assert found.targets[n, k] == int(np.argmax(chances))


def test_all_boxes_come_from_one_set_of_passes() -> None:
    passes = []
    inner = detector()

    @tf.numpy_function(Tout=tf.float32)
    def counted(x: np.ndarray) -> np.ndarray:
        passes.append(len(x))
        return x

    def model(x: Any) -> Any:
        seen = counted(x)
        seen.set_shape(x.shape)
        return inner(seen)

    method = tfxai.RISE(samples=40, seed=1)
    counts = []
    for k in (1, 4):
        passes.clear()
        method(model, IMAGES[:1], tfxai.boxes(CELLS[None, :k], [[0] * k]), score=scores.detection())
        counts.append(sum(passes))
    assert counts[0] == counts[1] and 40 <= counts[0] <= 42


class OneBox(keras.layers.Layer):
    """What a suppression leaves: two boxes with confidence and label, and a third that is none."""

    def call(self, image: Any) -> Any:
        light = tf.reduce_mean(image, (1, 2, 3))
        ones = tf.ones_like(light)
        boxes = tf.constant([[0.0, 0, 8, 8], [8, 8, 20, 20], [0, 0, 24, 24]])
        return {
            "boxes": tf.tile(boxes[None], (tf.shape(image)[0], 1, 1)),
            "confidence": tf.stack([light, 0.5 * light, 0 * ones], 1),
            "labels": tf.cast(tf.stack([ones, 2 * ones, -ones], 1), tf.int32),
        }


def test_after_the_suppression_methods_that_hide_parts_have_the_score_of_d_rise() -> None:
    image = keras.Input((24, 24, 3))
    model = keras.Model(image, OneBox()(image))
    light, corners = IMAGES.mean((1, 2, 3)), np.array([8.0, 8, 20, 14])
    iou = overlaps(np.array([8.0, 8, 20, 20]), corners)[0]
    targets = tfxai.boxes(corners, 2)
    found = tfxai.Occlusion(window=24, baseline=0.0)(model, IMAGES, targets, score=scores.detection())
    np.testing.assert_allclose(found.scores, iou * 0.5 * light, rtol=1e-5)
    best = tfxai.Occlusion(window=24, baseline=0.0)(model, IMAGES, tfxai.boxes(k=2), score=scores.detection())
    np.testing.assert_array_equal(best.targets, [[1, 2]] * 2)
    assert tfxai.Occlusion(window=24)(
        model, IMAGES, tfxai.boxes(corners), score=scores.detection()
    ).targets.tolist() == [2, 2]
    with pytest.raises(ValueError, match="non-maximum suppression, which has no gradient"):
        GRADIENT(model, IMAGES, targets, score=scores.detection())


def test_every_format_is_keras_own() -> None:
    from keras.utils import bounding_boxes

    boxes = np.array([[[2.0, 3, 10, 15], [0, 0, 24, 12]]], np.float32)
    for form in (
        "yxyx", "xyxy", "xywh", "center_xywh", "center_yxhw", "rel_yxyx", "rel_xyxy", "rel_xywh", "rel_center_xywh",
    ):  # fmt: skip
        given = bounding_boxes.convert_format(boxes, source="yxyx", target=form, height=24, width=48)
        np.testing.assert_allclose(corners_of(given, form, (24, 48)), boxes, atol=1e-4)
    model = detector()
    plain = GRADIENT(model, IMAGES, tfxai.boxes([2.0, 3, 10, 15], 0), score=scores.detection())
    other = GRADIENT(model, IMAGES, tfxai.boxes([3.0, 2, 12, 8], 0, format="xywh"), score=scores.detection())
    np.testing.assert_allclose(plain.values, other.values, atol=1e-6)


def test_detr_style_outputs_are_read_by_their_names() -> None:
    boxes = RNG.uniform(0.2, 0.4, size=(1, 5, 4)).astype(np.float32)
    logits = RNG.normal(size=(1, 5, 3)).astype(np.float32)

    def model(x: Any) -> Any:
        light = tf.reduce_mean(x, (1, 2, 3))[:, None, None]
        return {"pred_boxes": boxes + 0 * light, "logits": logits * light}

    found = GRADIENT(model, IMAGES, tfxai.boxes([3.0, 3, 9, 9], 1), score=scores.detection())
    for n, light in enumerate(IMAGES.mean((1, 2, 3))):
        x, y, w, h = (24 * boxes[0]).T
        corners = np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], 1)
        wanted = by_hand(corners, 1 / (1 + np.exp(-logits[0] * light)), np.array([3.0, 3, 9, 9]), 1, 1, 1)
        assert found.scores[n] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("anchors", [None, [[(8.0, 6.0), (4.0, 9.0)], [(20.0, 12.0), (9.0, 18.0)]]])
def test_grids_of_yolo(anchors: Any) -> None:
    count = 1 if anchors is None else 2
    grids = [RNG.normal(size=(1, n, n, count * 7)).astype(np.float32) for n in (6, 3)]
    read = scores.yolo(anchors)([tf.constant(grid) for grid in reversed(grids)], (24, 24))
    number = 0
    for level, grid in enumerate(grids):
        step = 24 / grid.shape[1]
        for y in range(grid.shape[1]):
            for x in range(grid.shape[1]):
                for a in range(count):
                    tx, ty, tw, th, sure, *classes = grid[0, y, x, 7 * a : 7 * a + 7].astype(np.float64)
                    if anchors is None:
                        middle, size = (tx + x, ty + y), (np.exp(tw) * step, np.exp(th) * step)
                    else:
                        middle = (1 / (1 + np.exp(-tx)) + x, 1 / (1 + np.exp(-ty)) + y)
                        size = (np.exp(tw) * anchors[level][a][0], np.exp(th) * anchors[level][a][1])
                    mx, my = middle[0] * step, middle[1] * step
                    wanted = [my - size[1] / 2, mx - size[0] / 2, my + size[1] / 2, mx + size[0] / 2]
                    np.testing.assert_allclose(read["boxes"][0, number], wanted, rtol=1e-4, atol=1e-4)
                    chances = 1 / (1 + np.exp(-np.array(classes))) / (1 + np.exp(-sure))
                    np.testing.assert_allclose(read["logs"][0, number], np.log(chances), rtol=1e-4, atol=1e-5)
                    number += 1
    assert read["boxes"].shape[1] == number
    with pytest.raises(ValueError, match="yolo"):
        scores.yolo([[(1, 2)]])([tf.zeros((1, 4, 4, 7)), tf.zeros((1, 2, 2, 7))], (24, 24))


def test_a_reader_of_ones_own() -> None:
    inner = detector()

    def model(x: Any) -> Any:
        outputs = inner(x)
        return tf.concat([outputs["boxes"], outputs["scores"]], -1)

    def read(outputs: Any, size: Any) -> dict[str, Any]:
        assert size == (24, 24)
        return {"boxes": outputs[..., :4], "logs": tf.math.log(outputs[..., 4:])}

    box = tfxai.boxes([1.0, 2, 9, 11], 0)
    one = GRADIENT(model, IMAGES, box, score=scores.detection(read))
    other = GRADIENT(inner, IMAGES, box, score=scores.detection())
    np.testing.assert_allclose(one.values, other.values, rtol=1e-3, atol=1e-6)
    with pytest.raises(ValueError, match="no names"):
        GRADIENT(model, IMAGES, box, score=scores.detection())
    with pytest.raises(ValueError, match="reader of boxes returned"):
        GRADIENT(model, IMAGES, box, score=scores.detection(lambda outputs, size: {"boxes": outputs}))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: tfxai.boxes(), "Give one of the two"),
        (lambda: tfxai.boxes([0, 0, 1, 1], k=2), "Give one of the two"),
        (lambda: tfxai.boxes(classes=1, k=2), "Leave classes out"),
        (lambda: tfxai.boxes([0, 0, 1, 1], format="yx"), "format"),
        (lambda: tfxai.boxes(k=0), "k"),
        (lambda: scores.detection(place=0.0, kind=0.0), "says nothing"),
        (lambda: scores.detection(place=-1.0), "place"),
        (lambda: scores.detection(scores.yolo(), format="yxyx"), "Leave it out"),
        (lambda: scores.retinanet(object()), "anchor_generator"),
    ],
)
def test_what_does_not_fit_is_refused_when_it_is_made(build: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (tfxai.boxes(np.ones((3, 4))), "for 2 images"),
        (tfxai.boxes(np.ones((2, 5))), "Give \\(4,\\)"),
        (tfxai.boxes([5, 5, 5, 9]), "without area"),
        (tfxai.boxes([5, 5, np.nan, 9]), "without area"),
        (tfxai.boxes([1, 1, 5, 9], [0, 1, 2]), "Give one class"),
        (tfxai.boxes([1, 1, 5, 9], 7), "holds class 7, the model has 3"),
        (1, "this score is about boxes"),
        (tfxai.top(2), "this score is about boxes"),
    ],
)
def test_boxes_that_do_not_fit_the_call(targets: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GRADIENT(detector(), IMAGES, targets, score=scores.detection())


def test_boxes_need_a_score_of_boxes() -> None:
    model = keras.Sequential([keras.Input((24, 24, 3)), L.Flatten(), L.Dense(3)])
    with pytest.raises(ValueError, match="and the score is about classes"):
        GRADIENT(model, IMAGES, tfxai.boxes(k=2))


@pytest.mark.parametrize("ending", ["sigmoid", "softmax", None])
def test_deep_lift_of_a_box_adds_up_to_the_change_of_its_formula(ending: str | None) -> None:
    model, corners = detector(ending), np.array([[1.0, 2, 9, 11], [15, 14, 23, 22]])
    found = tfxai.DeepLIFT(baseline=0.5)(
        model, IMAGES, tfxai.boxes([corners] * 2, [[0, 2]] * 2), score=scores.detection()
    )
    ends = []
    for images in (IMAGES, np.full_like(IMAGES, 0.5)):
        outputs = model.predict(images, verbose=0)
        chances = outputs["scores"] if ending else 1 / (1 + np.exp(-outputs["logits"]))
        ends.append(
            [
                [by_hand(b, p, corners[k], (0, 2)[k], 1, 1) for k in range(2)]
                for b, p in zip(outputs["boxes"], chances, strict=True)
            ]
        )
    change = np.array(ends[0]) - ends[1]
    assert np.abs(change).max() > 0.1
    np.testing.assert_allclose(found.values.sum((2, 3, 4)), change, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("low", ["the first", "all", "most", "none"])
def test_candidates_of_any_size_count_as_the_formula_says(low: str) -> None:
    """Also what is next to impossible: the score and its gradient against float64."""
    bias = np.zeros(9, np.float32)
    bias[
        {"the first": slice(0, 1), "all": slice(None), "most": slice(0, 8), "none": slice(0, 0)}[low]
    ] = -3000

    def model(x: Any) -> Any:
        cells = tf.reduce_mean(tf.reshape(x, (-1, 3, 8, 3, 8, 3)), (2, 4))
        return {
            "boxes": tf.zeros_like(cells[:, :1, 0, :1]) + CELLS,
            "logits": tf.reshape(cells, (-1, 9, 3)) + bias[:, None],
        }

    box = np.array([7.0, 7, 15, 17])
    found = GRADIENT(model, IMAGES, tfxai.boxes([box] * 2, [1] * 2), score=scores.detection())
    logits = IMAGES.astype(np.float64).reshape(2, 3, 8, 3, 8, 3).mean((2, 4)).reshape(2, 9, 3)[..., 1] + bias
    near = np.log([(1 + overlaps(cell, box)[1]) / 2 for cell in CELLS.astype(np.float64)])
    terms = 10 * (-np.log1p(np.exp(-np.maximum(logits, -700))) + np.minimum(logits + 700, 0) + near)
    top = terms.max(1, keepdims=True)
    shares = np.exp(terms - top) / np.exp(terms - top).sum(1, keepdims=True)
    np.testing.assert_allclose(
        found.scores, (top[:, 0] + np.log(np.exp(terms - top).sum(1))) / 10, rtol=1e-6, atol=1e-5
    )
    slopes = (shares / (1 + np.exp(np.clip(logits, -50, 50)))).reshape(2, 3, 1, 3, 1) / 64
    wanted = np.broadcast_to(slopes, (2, 3, 8, 3, 8)).reshape(2, 24, 24)
    np.testing.assert_allclose(found.values[..., 1], wanted, rtol=1e-2, atol=1e-8)  # 30 000 in float32
    assert not found.values[..., [0, 2]].any()
