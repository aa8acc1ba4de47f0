"""Quicker gradients behind batch norms: their scale multiplies kernels, which are small, in the place of maps.

At rest a batch norm multiplies each channel by a number. On the way back through a convolution before it, multiplying the
kernel by these numbers gives the same gradient, and saves a pass over maps as large as the layer's output.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tfxai.graphs import OWN
from tfxai.support import Operation, PerInput, Tensor

CONVOLUTIONS = {
    "Conv2D": tf.raw_ops.Conv2DBackpropInput,
    "DepthwiseConv2dNative": tf.raw_ops.DepthwiseConv2dNativeBackpropInput,
}


@contextlib.contextmanager
def folded(operations: set[Operation], moving: set[Operation], of: Sequence[Tensor]) -> Iterator[None]:
    """Inside, `tf.gradients` folds the scales that follow convolutions into their kernels.

    operations: through which gradients go. moving: operations that depend on the inputs; others are weights.
    of:         tensors whose own gradient is wanted, so that nothing may be left out of it.
    """
    wanted = {id(tensor) for tensor in of if tensor is not None}
    marked: list[Operation] = []
    try:
        for op in operations:
            if op.type not in CONVOLUTIONS or op.get_attr("data_format") != b"NHWC" or _has_rule(op):
                continue
            after = op.outputs[0].consumers()
            if len(after) != 1 or id(op.outputs[0]) in wanted or _has_rule(after[0]):
                continue
            if op.inputs[1].op not in moving and _scale_of(after[0], op.outputs[0], moving) is not None:
                for marking, name in ((op, "tfxai.folded.convolution"), (after[0], "tfxai.folded.scale")):
                    marking._set_attr(OWN, tf.compat.v1.AttrValue(s=name.encode()))
                    marked.append(marking)
        yield
    finally:
        for op in marked:  # another gradient of the same graph may want what was left out
            op._clear_attr(OWN)


def _has_rule(op: Operation) -> bool:
    """Whether somebody gave the operation a gradient of its own."""
    return OWN in op.node_def.attr


def _scale_of(op: Operation, maps: Tensor, moving: set[Operation]) -> Tensor:
    """The numbers by which an operation multiplies the channels of maps, or the batch norm that has them; else None."""
    if op.type in ("FusedBatchNormV2", "FusedBatchNormV3"):
        alone = op.inputs[0] is maps and not op.get_attr("is_training")
        return op if alone and op.get_attr("data_format") == b"NHWC" else None
    if op.type != "Mul" or op.inputs[0] is op.inputs[1]:
        return None
    scale = op.inputs[1] if op.inputs[0] is maps else op.inputs[0]
    shape = scale.shape
    if (
        scale.op in moving
        or shape.rank is None
        or shape.rank > maps.shape.rank
        or shape.num_elements() is None
    ):
        return None
    return scale if shape.rank and shape.num_elements() == shape[-1] == maps.shape[-1] else None


@tf.RegisterGradient("tfxai.folded.scale")
def _through_scale(op: Operation, incoming: Tensor, *_: Tensor) -> PerInput:
    """Untouched, to the convolution before."""
    return [
        incoming if tensor.op.type in CONVOLUTIONS and OWN in tensor.op.node_def.attr else None
        for tensor in op.inputs
    ]


@tf.RegisterGradient("tfxai.folded.convolution")
def _through_convolution(op: Operation, incoming: Tensor) -> PerInput:
    (after,) = [other for other in op.outputs[0].consumers() if OWN in other.node_def.attr]
    if after.type == "Mul":
        scale = after.inputs[1] if after.inputs[0] is op.outputs[0] else after.inputs[0]
    else:
        _, gamma, _, _, variance, *_ = after.inputs
        scale = gamma * tf.math.rsqrt(variance + after.get_attr("epsilon"))
    image, kernel = op.inputs
    each = kernel.shape[2:] if op.type == "DepthwiseConv2dNative" else kernel.shape[3:]
    back = CONVOLUTIONS[op.type](
        input_sizes=tf.shape(image),
        filter=kernel * tf.reshape(tf.cast(scale, kernel.dtype), each),
        out_backprop=incoming,
        **{name: op.get_attr(name) for name in ("strides", "dilations", "explicit_paddings")},
        **{name: op.get_attr(name).decode() for name in ("padding", "data_format")},
    )
    return [back, None]
