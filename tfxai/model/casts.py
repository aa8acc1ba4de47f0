"""Inputs of whole numbers, such as pixels of 8 bits, that a model turns into fractions before it does anything else."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfxai.model.operations import read_instead
from tfxai.support import Operation, Tensor

CAST = "cast"
"""The place of an input that is explained where the model has turned it into fractions."""


def casts_of(source: Tensor) -> list[Operation]:
    """The operations that turn an input of whole numbers or conditions, as it is, into numbers with fractions."""
    found, waiting = [], [source]
    while waiting:
        for op in waiting.pop().consumers():
            if op.type == "Cast" and op.outputs[0].dtype.is_floating:
                found.append(op)
            elif (op.type == "Cast" and op.outputs[0].dtype.is_integer) or op.type == "Identity":
                waiting.append(op.outputs[0])
    return found


def is_differentiable_at_casts(source: Tensor, outputs: Sequence[Tensor]) -> bool:
    """Whether the outputs depend on an input through its casts, in a way that a gradient follows."""
    tensors = [op.outputs[0] for op in casts_of(source)]
    return bool(tensors) and any(gradient is not None for gradient in tf.gradients(outputs, tensors))


def explain_at(source: Tensor, point: Tensor) -> None:
    """Makes all that reads the casts of an input read a point in their place."""
    for op in casts_of(source):
        cast = op.outputs[0]
        if cast is point:
            continue
        read_instead(cast, point if point.dtype == cast.dtype else tf.cast(point, cast.dtype))
