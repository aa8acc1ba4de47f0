"""How detectors' outputs are read: candidates, each a box with the log of each class's probability.

A reader is any function (outputs, (height, width)) -> dict of tensors, of

    {"boxes": (B, M, 4) y0, x0, y1, x1 in pixels, "logs": (B, M, C)}            before the non-maximum suppression
    {"boxes": (B, M, 4), "confidence": (B, M), "labels": (B, M) ints}            after it; confidence 0: no box

so that a detector of one's own needs one function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfxai.scores.box_geometry import BoxFormat, corners_of
from tfxai.scores.endings import ending_of
from tfxai.support import Model, Structure, Tensor

Size: TypeAlias = tuple[Tensor, Tensor]
"""Height and width of the image, in pixels."""

BoxReader: TypeAlias = Callable[[Structure, Size], Mapping[str, Tensor]]
"""See this module's docstring."""

LARGEST = 10.0  # log of how much larger a box may be than its anchor: beyond it, sizes end in infinity
_CONFIDENCES = ("confidence", "scores", "detection_scores", "detection_confidences")
_LABELS = ("labels", "classes", "detection_classes")


def logs_of(scores: Tensor) -> Tensor:
    """The log of probabilities (..., C), as exact as they can be had: from what stands before the sigmoid or softmax."""
    ending = ending_of(scores)
    kind = None if ending is None else ending.kind
    if ending is not None and kind in ("Sigmoid", "Softmax"):
        before = tf.cast(ending.before(), tf.float32)
        before.set_shape(scores.shape)
        return tf.math.log_sigmoid(before) if kind == "Sigmoid" else tf.nn.log_softmax(before)
    numbers = tf.cast(scores, tf.float32)
    return numbers if kind == "LogSoftmax" else tf.math.log(tf.maximum(numbers, 1e-12))


@dataclasses.dataclass(frozen=True)
class Plain:
    """Outputs that name their parts, as Keras, KerasHub and TensorFlow's own detectors do."""

    format: BoxFormat | None = None

    def __call__(self, outputs: Structure, size: Size) -> Mapping[str, Tensor]:
        if not isinstance(outputs, Mapping):
            raise ValueError(f"The model's outputs have no names ({_shapes(outputs)}). {HELP}")
        if "pred_boxes" in outputs and "logits" in outputs:  # DETR, D-FINE: one per query
            boxes = corners_of(outputs["pred_boxes"], self.format or "rel_center_xywh", size)
            return {"boxes": boxes, "logs": tf.math.log_sigmoid(tf.cast(outputs["logits"], tf.float32))}
        name = next((name for name in ("boxes", "detection_boxes") if name in outputs), None)
        if name is None or outputs[name].shape.rank != 3 or outputs[name].shape[-1] != 4:
            raise ValueError(
                f"The model's outputs ({_shapes(outputs)}) have no boxes (N, M, 4) by that name. {HELP}"
            )
        form = self.format or ("rel_yxyx" if name == "detection_boxes" else "yxyx")
        boxes = corners_of(outputs[name], form, size)
        for key in ("scores", "classes", "class_scores", "probabilities"):
            if key in outputs and outputs[key].shape.rank == 3:
                return {"boxes": boxes, "logs": logs_of(outputs[key])}
        if "logits" in outputs and outputs["logits"].shape.rank == 3:
            return {"boxes": boxes, "logs": tf.math.log_sigmoid(tf.cast(outputs["logits"], tf.float32))}
        confidence = next((key for key in _CONFIDENCES if key in outputs), None)
        labels = next((key for key in _LABELS if key in outputs), None)
        if confidence is None or labels is None:
            raise ValueError(
                f"The model's outputs ({_shapes(outputs)}) have boxes and no scores (N, M, C), nor a confidence and a label "
                f"(N, M) for each. {HELP}"
            )
        return {
            "boxes": boxes,
            "confidence": tf.cast(outputs[confidence], tf.float32),
            "labels": tf.cast(outputs[labels], tf.int32),
        }


@dataclasses.dataclass(frozen=True)
class RetinaNet:
    """Raw outputs of a KerasHub RetinaNet: shifts of its anchors. detector: the model itself, whose anchors are asked for."""

    detector: Model

    def __call__(self, outputs: Structure, size: Size) -> Mapping[str, Tensor]:
        from keras.utils import bounding_boxes

        height, width = size
        image = tf.zeros((1, height, width, 3))
        generator = self.detector.anchor_generator
        shape = (height, width, 3)
        moves, sizes = tf.split(tf.cast(outputs["bbox_regression"], tf.float32), 2, axis=-1)
        boxes = bounding_boxes.decode_deltas_to_boxes(
            anchors=tf.concat(list(generator(image).values()), 0),
            boxes_delta=tf.concat([moves, tf.minimum(sizes, LARGEST)], -1),
            encoded_format="center_xywh",
            anchor_format=generator.bounding_box_format,
            box_format="yxyx",
            image_shape=shape,
        )
        logits = tf.cast(outputs["cls_logits"], tf.float32)
        return {"boxes": boxes, "logs": tf.math.log_sigmoid(logits)}


@dataclasses.dataclass(frozen=True)
class Yolo:
    """Grids of a YOLO head: one output (N, h, w, A * (5 + C)) for each level; the last axis is x, y, w, h, objectness, classes.

    anchors: for each level, from fine to coarse, A sizes (width, height) in pixels; None: anchor-free, where sizes are
             in units of a cell, exp(w).
    """

    anchors: tuple[tuple[tuple[float, float], ...], ...] | None = None

    def __call__(self, outputs: Structure, size: Size) -> Mapping[str, Tensor]:
        levels = [tensor for tensor in tf.nest.flatten(outputs) if tensor.shape.rank == 4]
        levels.sort(key=lambda tensor: -(tensor.shape[1] or 0))
        if not levels or (self.anchors is not None and len(self.anchors) != len(levels)):
            raise ValueError(
                f"yolo got {0 if self.anchors is None else len(self.anchors)} levels of anchors, the model has {len(levels)} "
                f"grids (N, h, w, A * (5 + C)): {_shapes(outputs)}."
            )
        read = [self._level(tensor, i, size) for i, tensor in enumerate(levels)]
        return {name: tf.concat([each[name] for each in read], 1) for name in ("boxes", "logs")}

    def _level(self, tensor: Tensor, number: int, size: Size) -> dict[str, Tensor]:
        tensor = tf.cast(tensor, tf.float32)
        rows, columns, channels = tf.shape(tensor)[1], tf.shape(tensor)[2], int(tensor.shape[-1] or 0)
        step = tf.stack([size[0] / rows, size[1] / columns])
        step = tf.cast(step, tf.float32)
        sizes = None if self.anchors is None else np.asarray(self.anchors[number], np.float32)
        count = 1 if sizes is None else len(sizes)
        if channels % count or channels // count < 6:
            raise ValueError(
                f"yolo: a grid with {channels} channels is not {count} anchors times 5 + C numbers."
            )
        cells = tf.reshape(tensor, (-1, rows, columns, count, channels // count))
        y, x = tf.meshgrid(tf.range(rows), tf.range(columns), indexing="ij")
        places = tf.cast(tf.stack([x, y], -1), tf.float32)[:, :, None]
        step = tf.reverse(step, [0])  # as x, y
        corner, extent, sure, kinds = tf.split(cells, [2, 2, 1, channels // count - 5], axis=-1)
        extent = tf.minimum(extent, LARGEST)
        if sizes is None:
            middle, extent = (corner + places) * step, tf.exp(extent) * step
        else:
            middle, extent = (tf.sigmoid(corner) + places) * step, tf.exp(extent) * sizes
        boxes = corners_of(tf.concat([middle, extent], -1), "center_xywh", size)
        logs = tf.math.log_sigmoid(kinds) + tf.math.log_sigmoid(sure)
        return {
            "boxes": tf.reshape(boxes, (tf.shape(tensor)[0], -1, 4)),
            "logs": tf.reshape(logs, (tf.shape(tensor)[0], -1, logs.shape[-1])),
        }


HELP = (
    "Say how they are read with score=tfxai.scores.detection(read): a function (outputs, (height, width)) -> {'boxes', 'logs'}, "
    "or tfxai.scores.yolo(...) or tfxai.scores.retinanet(detector)."
)


def _shapes(outputs: Structure) -> str:
    if isinstance(outputs, Mapping):
        return ", ".join(f"{name!r} {tuple(tensor.shape)}" for name, tensor in outputs.items())
    flat: Sequence[Any] = tf.nest.flatten(outputs)
    return ", ".join(str(tuple(tensor.shape)) for tensor in flat)
