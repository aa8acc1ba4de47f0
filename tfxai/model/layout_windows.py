"""Convolutions, pooling, resizing: what they do to where the entries of a tensor lie in an input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfxai.model.layout_reading import Given, Rule, dims_of, shape_of, value_of
from tfxai.model.layouts import Dim, Layout
from tfxai.support import Operation


def _window(op: Operation, given: Given) -> Sequence[Layout]:
    """Convolution and pooling: each cell lies in the middle of its window."""
    dims, axes = dims_of(given[0]), _spatial_axes(op)
    sizes = _window_sizes(op, axes)
    strides = [op.get_attr("strides")[axis] for axis in axes]
    for number, axis in enumerate(axes):
        size, stride = sizes[number], strides[number]
        front = _front(op, number, axis, shape_of(op.inputs[0])[axis], size, stride)
        along = dims[axis].along
        if along is not None:
            along = along.shifted((size - 1) / 2 - front, moved=False)
            along = dataclasses.replace(along, step=along.step * stride)
        dims[axis] = Dim.of(shape_of(op.outputs[0])[axis], along)
    channel = _channel_axis(op)
    if op.type in CONVOLUTIONS:
        dims[channel] = Dim.of(shape_of(op.outputs[0])[channel])
    assert given[0] is not None
    return [given[0].with_dims(dims)] * len(op.outputs)


def _transposed_window(op: Operation, given: Given) -> Sequence[Layout]:
    """A convolution turned round: (sizes, filter, maps)."""
    layout, output = given[2], op.outputs[0]
    dims, axes = dims_of(layout), _spatial_axes(op)
    sizes = [(int(n) - 1) * d + 1 for n, d in zip(op.inputs[1].shape, _dilations(op, axes), strict=False)]
    for number, axis in enumerate(axes):
        stride, along = op.get_attr("strides")[axis], dims[axis].along
        if along is not None:
            large = shape_of(output)[axis]
            front = _front(op, number, axis, large, sizes[number], stride)
            along = dataclasses.replace(along, step=along.step / stride)
            along = along.shifted(front - (sizes[number] - 1) / 2, moved=False)
        dims[axis] = Dim.of(shape_of(output)[axis], along)
    channel = _channel_axis(op)
    dims[channel] = Dim.of(shape_of(output)[channel])
    assert layout is not None
    return [layout.with_dims(dims)]


CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv3D")


def _spatial_axes(op: Operation) -> list[int]:
    rank = op.inputs[-1].shape.rank if "Backprop" in op.type else op.inputs[0].shape.rank
    return list(range(2, rank)) if _is_channels_first(op) else list(range(1, rank - 1))


def _is_channels_first(op: Operation) -> bool:
    return op.get_attr("data_format") in (b"NCHW", b"NCDHW")


def _channel_axis(op: Operation) -> int:
    return 1 if _is_channels_first(op) else -1


def _window_sizes(op: Operation, axes: Sequence[int]) -> list[int]:
    if op.type not in CONVOLUTIONS:
        return [op.get_attr("ksize")[axis] for axis in axes]
    return [(int(n) - 1) * d + 1 for n, d in zip(op.inputs[1].shape, _dilations(op, axes), strict=False)]


def _dilations(op: Operation, axes: Sequence[int]) -> list[int]:
    return [op.get_attr("dilations")[axis] for axis in axes]


def _front(op: Operation, number: int, axis: int, length: int | None, size: int, stride: int) -> int:
    """How many zeros are put in front of an axis."""
    padding = op.get_attr("padding")
    if padding == b"EXPLICIT":
        return op.get_attr("explicit_paddings")[2 * axis]
    if padding == b"VALID":
        return 0
    rest = stride if length is None or length % stride == 0 else length % stride
    return max(size - rest, 0) // 2


def _resized(op: Operation, given: Given) -> Sequence[Layout]:
    dims, output = dims_of(given[0]), shape_of(op.outputs[0])
    for axis in (1, 2):
        before, after, along = shape_of(op.inputs[0])[axis], output[axis], dims[axis].along
        if along is not None and before is not None and after is not None:
            if op.get_attr("half_pixel_centers"):
                along = along.scaled(before / after)
            else:
                ends = op.get_attr("align_corners") and after > 1
                factor = (before - 1) / (after - 1) if ends else before / after
                along = dataclasses.replace(along, step=along.step * factor)
        elif before != after or before is None:
            along = None
        dims[axis] = Dim.of(after, along)
    assert given[0] is not None
    return [given[0].with_dims(dims)]


def _space_to_batch(op: Operation, given: Given) -> Sequence[Layout]:
    """Rows of a grid that is cut into combs: what a dilated convolution runs on; it is undone right behind it."""
    return _combed(op, given, inwards=True)


def _batch_to_space(op: Operation, given: Given) -> Sequence[Layout]:
    return _combed(op, given, inwards=False)


def _combed(op: Operation, given: Given, inwards: bool) -> Sequence[Layout]:
    dims, blocks, edges = dims_of(given[0]), value_of(op.inputs[1]), value_of(op.inputs[2])
    for axis, (block, edge) in enumerate(zip(blocks.tolist(), edges.tolist(), strict=True), start=1):
        along = dims[axis].along
        if along is not None:
            if inwards:
                along = along.shifted(-edge[0], moved=False)
                along = dataclasses.replace(along, step=along.step * block)
            else:
                along = dataclasses.replace(along, step=along.step / block).shifted(edge[0], moved=False)
        dims[axis] = Dim.of(shape_of(op.outputs[0])[axis], along)
    assert given[0] is not None
    return [given[0].with_dims(dims)]


def _depth_to_space(op: Operation, given: Given) -> Sequence[Layout]:
    block = op.get_attr("block_size")
    factor = 1 / block if op.type == "DepthToSpace" else block
    dims, output = dims_of(given[0]), shape_of(op.outputs[0])
    for axis in range(1, 4):
        along = dims[axis].along if axis < 3 else None
        dims[axis] = Dim.of(output[axis], None if along is None else along.scaled(factor))
    assert given[0] is not None
    return [given[0].with_dims(dims)]


WINDOW_RULES: dict[str, Rule] = {
    **dict.fromkeys((*CONVOLUTIONS, "AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D"), _window),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv3DBackpropInputV2"), _transposed_window),
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic"), _resized),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _depth_to_space),
    "BatchToSpaceND": _batch_to_space,
    "SpaceToBatchND": _space_to_batch,
}
