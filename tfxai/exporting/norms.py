"""Batch normalization with moments of the batch, and the gradients of both kinds."""

from __future__ import annotations

import tensorflow as tf

from tfxai.exporting.calls import Call, Refused, Rules
from tfxai.support import Tensor


def _normalized(call: Call) -> list[Tensor] | None:
    """With moments of the batch, as layer norms are written; with constant ones it stays as it is."""
    if not call.attr("is_training"):
        return None
    inputs, scale, offset = call.inputs[:3]
    axes = _axes(call)
    mean = tf.reduce_mean(inputs, axes)
    variance = tf.reduce_mean(tf.square(inputs - mean), axes)
    slope = scale * tf.math.rsqrt(variance + call.attr("epsilon"))
    outputs = [(inputs - mean) * slope + offset, mean, variance, mean, variance, mean]
    return outputs[: len(call.op.outputs)]


def _gradient(call: Call) -> list[Tensor]:
    """(gradient of the input, of the scale, of the offset, and two that are empty)."""
    incoming, inputs, scale, mean, variance = call.inputs[:5]
    axes = _axes(call)
    spread = tf.math.rsqrt(variance + call.attr("epsilon"))
    centred = (inputs - mean) * spread
    of_scale, of_offset = tf.reduce_sum(incoming * centred, axes), tf.reduce_sum(incoming, axes)
    if call.attr("is_training"):  # the moments move with the input
        flat = incoming - tf.reduce_mean(incoming, axes) - centred * tf.reduce_mean(incoming * centred, axes)
        of_inputs = flat * (scale * spread)
    else:
        of_inputs = incoming * (scale * spread)
    empty = tf.zeros([0], scale.dtype)
    return [of_inputs, of_scale, of_offset, empty, empty]


def _axes(call: Call) -> list[int]:
    if not call.attr("data_format").endswith("C"):
        raise Refused(f"{call.op.type} ('{call.op.name}') with channels first")
    return [*range((call.inputs[0].shape.rank or 0) - 1)]


NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
RULES: Rules = {
    **dict.fromkeys(NORMS, _normalized),
    "FusedBatchNormGrad": _gradient,
    "FusedBatchNormGradV2": _gradient,
    "FusedBatchNormGradV3": _gradient,
}
