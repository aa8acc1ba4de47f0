"""Scores of boxes: why is that thing seen there? All boxes of an image are scored by the same passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.scores.box_geometry import BoxFormat, best_of, corners_of, overlap
from tfxai.scores.box_readers import BoxReader
from tfxai.scores.referring import EXACT, Asked, References, Referring, Seen, image_size
from tfxai.support import Count, Tensor, check_settings, number

SHARPNESS = 10.0  # of the soft maximum over candidates: what a candidate counts falls by e for each 0.1 that it is worse
FAR = 1e5  # pixels: a candidate that lies further away is as good as there
LOWEST = -1e30  # of what candidates count: where all are impossible, the score stays a number
SAME = 0.5  # IoU of boxes that tell of the same thing


@dataclasses.dataclass(frozen=True, eq=False)
class Boxes:
    """Which boxes are explained; made by `tfxai.boxes`."""

    corners: NDArray | None = None
    classes: NDArray | None = None
    k: Count | None = None
    format: BoxFormat = "yxyx"

    def __post_init__(self) -> None:
        check_settings(self)
        if (self.corners is None) == (self.k is None):
            raise ValueError("boxes takes corners, or k= for the best ones found. Give one of the two.")
        if self.corners is None and self.classes is not None:
            raise ValueError("boxes(k=...) finds the classes with the boxes. Leave classes out.")

    def first(self) -> Boxes:
        """Those of the first image alone."""
        parts = {"corners": self.corners, "classes": self.classes}
        # One box, or one class, is for all images.
        shared = {"corners": 1, "classes": 0}
        own = {
            name: array if array is None or np.ndim(array) == shared[name] else np.asarray(array)[:1]
            for name, array in parts.items()
        }
        return dataclasses.replace(self, **own)

    def given(self, count: int, size: tuple[int, int]) -> NDArray[np.float32]:
        """The corners in pixels, (N, 4) or (N, K, 4), for N images of a size.

        Raises ValueError if they are no boxes, or not of so many images.
        """
        corners = np.asarray(self.corners)
        if corners.dtype.kind not in "fiu" or corners.ndim not in (1, 2, 3) or corners.shape[-1] != 4:
            raise ValueError(f"boxes got corners of shape {corners.shape}. Give (4,), (N, 4) or (N, K, 4).")
        corners = np.broadcast_to(corners, (count, 4)) if corners.ndim == 1 else corners
        if len(corners) != count or corners.size == 0:
            raise ValueError(
                f"boxes got corners of shape {corners.shape} for {count} images. Give (N, 4) or (N, K, 4)."
            )
        boxes = corners_of(corners, self.format, size).numpy()
        if not np.isfinite(boxes).all() or (boxes[..., 2:] <= boxes[..., :2]).any():
            bad = boxes[~((boxes[..., 2:] > boxes[..., :2]).all(-1))]
            shown = bad[0].tolist() if len(bad) else "NaN"
            raise ValueError(
                f"boxes got one without area, {shown} as y0, x0, y1, x1. Is the format {self.format!r} right?"
            )
        return boxes

    def given_classes(self, shape: tuple[int, ...]) -> NDArray[np.int64] | None:
        """The classes, of the shape (N,) or (N, K); None if there are none. Raises ValueError if they do not fit."""
        if self.classes is None:
            return None
        classes = np.asarray(self.classes)
        fits = classes.dtype.kind in "iu" and classes.ndim <= len(shape)
        if not fits or (classes.ndim and classes.shape != shape) or (classes < 0).any():
            raise ValueError(
                f"boxes got classes {classes.shape} of type {classes.dtype} for boxes {shape}. Give one class, 0 or more, for each."
            )
        return np.broadcast_to(classes, shape).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Detection(Referring):
    """How like one of a detector's candidates is to a box; made by `tfxai.scores.detection`."""

    read_boxes: BoxReader
    place: Annotated[float, number(least=0)] = 1.0
    kind: Annotated[float, number(least=0)] = 1.0
    input: int = 0

    def __post_init__(self) -> None:
        check_settings(self)
        if not callable(self.read_boxes):
            raise ValueError(
                f"detection got {self.read_boxes!r}. Give a function (outputs, (height, width)) -> dict, such as "
                "tfxai.scores.yolo(anchors)."
            )
        if self.place + self.kind == 0:
            raise ValueError("detection(place=0, kind=0) says nothing. Give one of them a weight.")

    @property
    def words(self) -> str:
        return "likeness to the box"

    def refer(self, asked: Asked) -> References:
        size = image_size("detection", asked, self.input)
        wanted = Boxes(k=1) if asked.targets is None else asked.targets
        if not isinstance(wanted, Boxes):
            raise ValueError(
                f"targets is {wanted!r}, and this score is about boxes. Give targets=tfxai.boxes(corners, classes) or "
                "tfxai.boxes(k=5)."
            )
        if wanted.k is not None:
            count = wanted.k
            found = asked.read(
                self, None, lambda read, rows: np.stack([_found(*one, count) for one in _each(read)])
            )
            found = found[:, 0] if asked.targets is None else found
            boxes, classes = found[..., :4], found[..., 4].astype(np.int64)
        else:
            boxes = wanted.given(asked.count, size)
            classes = wanted.given_classes(boxes.shape[:-1])
            if classes is None:
                classes = asked.read(self, None, lambda read, rows: self._classes(read, boxes[rows]))
        return References(classes, {"boxes": boxes.astype(np.float32)})

    def read(self, seen: Seen) -> dict[str, Tensor]:
        shape = seen.inputs[self.input].shape
        dynamic = tf.shape(seen.inputs[self.input])
        size = tuple(dynamic[i] if shape[i] is None else shape[i] for i in (1, 2))
        read = dict(self.read_boxes(seen.outputs, size))  # pyright: ignore[reportArgumentType]
        kinds = set(read) - {"boxes"}
        if "boxes" not in read or kinds not in ({"logs"}, {"confidence", "labels"}):
            raise ValueError(
                f"The reader of boxes returned {sorted(read)}. Return 'boxes' (N, M, 4) with 'logs' (N, M, C), or with 'confidence' "
                "and 'labels' (N, M)."
            )
        if "logs" not in read and seen.differentiated:
            raise ValueError(
                "These outputs are what is left after the non-maximum suppression, which has no gradient. Use a method that hides "
                "parts (RISE, Occlusion, LIME, KernelSHAP ...), or a model that puts out what comes before it."
            )
        return read

    def count(self, read: Any) -> int | None:
        return read["logs"].shape[-1] if "logs" in read else None

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        boxes = tf.clip_by_value(tf.cast(read["boxes"], tf.float32), -FAR, FAR)
        iou, generalised = overlap(boxes, references["boxes"])
        if "logs" not in read:
            # D-RISE (arXiv:2006.03204, equation 2), where what is left of the classes is one label and its probability.
            same = tf.cast(read["labels"] == tf.cast(targets, read["labels"].dtype)[:, None], tf.float32)
            likeness = same * tf.pow(read["confidence"], self.kind) * tf.pow(iou, self.place)
            return tf.reduce_max(tf.where(read["confidence"] > 0, likeness, 0.0), 1)
        near = tf.math.log(tf.maximum((1 + generalised) / 2, 1e-6))
        seen = tf.gather(tf.transpose(read["logs"], (0, 2, 1)), targets, axis=1, batch_dims=1)
        return _log_of_sum(SHARPNESS * (self.kind * seen + self.place * near)) / SHARPNESS

    def _classes(self, read: dict[str, NDArray], boxes: NDArray[np.float32]) -> NDArray[np.int64]:
        """The likeliest class of each box (B,) or (B, K)."""
        flat = boxes.reshape(len(boxes), -1, 4)
        found = np.zeros(flat.shape[:2], np.int64)
        for k in range(flat.shape[1]):
            iou, generalised = (
                each.numpy() for each in overlap(tf.constant(read["boxes"]), tf.constant(flat[:, k]))
            )
            if "logs" in read:
                near = np.log(np.maximum((1 + generalised) / 2, 1e-6))
                found[:, k] = (read["logs"] + near[..., None]).max(1).argmax(-1)
            else:
                best = (iou * read["confidence"]).argmax(1)
                found[:, k] = np.take_along_axis(read["labels"], best[:, None], 1)[:, 0]
        return found.reshape(boxes.shape[:-1])


def _log_of_sum(numbers: Tensor) -> Tensor:
    """log(sum(exp(x))) of each row: x - log_softmax(x), which is the same for all candidates, read where x is largest.

    DeepLIFT shares out the log-softmax, and its values add up; of a maximum that is taken off before it would see a constant.
    """
    bounded = tf.maximum(numbers, LOWEST)
    same = bounded - tf.nn.log_softmax(bounded)
    with tf.name_scope(EXACT):  # whichever is read
        return tf.gather(same, tf.argmax(bounded, 1), axis=1, batch_dims=1)


def _each(read: dict[str, NDArray]) -> list[tuple[NDArray, NDArray, NDArray]]:
    """For each image its boxes (M, 4), how sure each is of its class (M,), and that class (M,)."""
    if "logs" in read:
        return [
            (boxes, np.exp(logs.max(-1)), logs.argmax(-1))
            for boxes, logs in zip(read["boxes"], read["logs"], strict=True)
        ]
    return list(zip(read["boxes"], read["confidence"], read["labels"], strict=True))


def _found(boxes: NDArray, sure: NDArray, classes: NDArray, k: int) -> NDArray[np.float32]:
    """The k surest boxes of an image with their classes, (k, 5). Raises ValueError if there are fewer."""
    real = np.flatnonzero((sure > 0) & (boxes[:, 2:] > boxes[:, :2]).all(-1))
    best = real[best_of(boxes[real], sure[real], classes[real], k, SAME)] if len(real) else real
    if len(best) < k:
        raise ValueError(f"boxes(k={k}): the detector finds {len(best)} boxes in an image. Ask for so many.")
    return np.concatenate([boxes[best], classes[best, None]], 1).astype(np.float32)
