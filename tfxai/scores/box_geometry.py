"""Boxes as numbers: their formats, how much two of them overlap, and which of many tell of the same thing.

Everywhere inside, a box is (y0, x0, y1, x1) in pixels of the input.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import Tensor

BoxFormat: TypeAlias = Literal[
    "yxyx", "xyxy", "xywh", "center_xywh", "center_yxhw",
    "rel_yxyx", "rel_xyxy", "rel_xywh", "rel_center_xywh",
]  # fmt: skip
"""As Keras names them: corners, a corner and a size, or the middle and a size; "rel" is in shares of the image, 0 to 1."""

TINY = 1e-6


def corners_of(boxes: Tensor, form: BoxFormat, size: tuple[Tensor, Tensor]) -> Tensor:
    """Boxes (..., 4) of a format as corners in pixels. size: height and width of the image."""
    name = form.removeprefix("rel_")
    boxes = tf.cast(boxes, tf.float32)
    a, b, c, d = tf.unstack(boxes, axis=-1)
    if name == "xyxy":
        y0, x0, y1, x1 = b, a, d, c
    elif name == "xywh":
        y0, x0, y1, x1 = b, a, b + d, a + c
    elif name == "center_xywh":
        y0, x0, y1, x1 = b - d / 2, a - c / 2, b + d / 2, a + c / 2
    elif name == "center_yxhw":
        y0, x0, y1, x1 = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    else:
        y0, x0, y1, x1 = a, b, c, d
    if form.startswith("rel_"):
        height, width = (tf.cast(length, tf.float32) for length in size)
        y0, x0, y1, x1 = y0 * height, x0 * width, y1 * height, x1 * width
    return tf.stack([y0, x0, y1, x1], axis=-1)


def overlap(boxes: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """IoU (B, M), 0 to 1, of boxes (B, M, 4) and one box (B, 4); and the generalised IoU, -1 to 1, which tells how far away
    a box is that does not meet the other (arXiv:1902.09630, algorithm 1)."""
    y0, x0, y1, x1 = tf.unstack(boxes, axis=-1)
    v0, u0, v1, u1 = (tf.expand_dims(each, 1) for each in tf.unstack(box, axis=-1))

    def area(top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
        return tf.maximum(bottom - top, 0.0) * tf.maximum(right - left, 0.0)

    common = area(tf.maximum(y0, v0), tf.maximum(x0, u0), tf.minimum(y1, v1), tf.minimum(x1, u1))
    union = area(y0, x0, y1, x1) + area(v0, u0, v1, u1) - common
    hull = area(tf.minimum(y0, v0), tf.minimum(x0, u0), tf.maximum(y1, v1), tf.maximum(x1, u1))
    iou = common / tf.maximum(union, TINY)
    return iou, iou - (hull - union) / tf.maximum(hull, TINY)


def best_of(
    boxes: NDArray[np.float32],
    strengths: NDArray[np.float32],
    classes: NDArray[np.integer],
    k: int,
    iou: float,
) -> NDArray[np.int64]:
    """Which k candidates (M,) are the strongest of those that tell of different things, best first: non-maximum suppression
    class by class."""
    # Boxes of different classes are moved so far apart that they never meet.
    span = float(boxes.max(initial=0) - boxes.min(initial=0)) + 1
    apart = boxes + (classes[:, None] * 2 * span).astype(np.float32)
    return tf.image.non_max_suppression(apart, strengths, k, iou).numpy().astype(np.int64)
