"""Operations that only move numbers: a gradient's places become paddings, slices and products with matrices of zeros and ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.exporting.calls import Call, Refused, Rules
from tfxai.support import Tensor


def along(tensor: Tensor, axis: int, matrix: NDArray) -> Tensor:
    """One axis of a tensor multiplied by a matrix (new length, old length). The axis is not that of rows.

    Laid out as (before, axis, after): one product of matrices, and no axis has to be moved.
    """
    shape = tensor.shape.as_list()
    after = int(np.prod(shape[axis + 1 :]))
    flat = tf.reshape(tensor, [-1, shape[axis], after])
    product = tf.matmul(tf.constant(matrix, tensor.dtype), flat)
    return tf.reshape(product, lengths([*shape[:axis], matrix.shape[0], *shape[axis + 1 :]], tensor))


def lengths(shape: Sequence[int | None], like: Tensor) -> Sequence[int] | Tensor:
    """A shape for `reshape`; -1 for the open axis. Raises Refused if more than one is open."""
    if sum(each is None for each in shape) > 1:
        raise Refused(f"Reshape ('{like.op.name}') with several open axes")
    return [-1 if each is None else each for each in shape]


def padded(tensor: Tensor, axis: int, before: int, after: int, value: float = 0) -> Tensor:
    """An axis with so much more in front and behind; less than nothing cuts."""
    return padded_all(tensor, {axis: (before, after)}, value)


def padded_all(tensor: Tensor, amounts: Mapping[int, tuple[int, int]], value: float = 0) -> Tensor:
    """The same for several axes at once: {axis: (before, after)}."""
    if any(min(pair) < 0 for pair in amounts.values()):
        begin, size = [0] * tensor.shape.rank, [-1] * tensor.shape.rank
        for axis, (before, after) in amounts.items():
            begin[axis] = max(-before, 0)
            size[axis] = tensor.shape[axis] - max(-before, 0) - max(-after, 0)
        tensor = tf.slice(tensor, begin, size)
    if all(max(pair) <= 0 for pair in amounts.values()):
        return tensor
    paddings = [[max(each, 0) for each in amounts.get(axis, (0, 0))] for axis in range(tensor.shape.rank)]
    return tf.pad(tensor, paddings, constant_values=value)


def dilated(tensor: Tensor, axis: int, step: int) -> Tensor:
    """(..., n, ...) -> (..., n * step, ...): zeros behind each of what was neighbours. The axis is not that of rows."""
    if step == 1:
        return tensor
    shape = tensor.shape.as_list()
    after = int(np.prod(shape[axis + 1 :]))
    flat = tf.pad(tf.reshape(tensor, [-1, 1, after]), [[0, 0], [0, step - 1], [0, 0]])
    return tf.reshape(flat, lengths([*shape[:axis], shape[axis] * step, *shape[axis + 1 :]], tensor))


def _same(call: Call) -> list[Tensor]:
    return list(call.inputs[: len(call.op.outputs)])


def _reshape(call: Call) -> Tensor:
    """With the open axis as -1, and none at all where nothing changes."""
    tensor, shape = call.inputs[0], call.result
    written = tf.reshape(
        tensor, call.inputs[1] if shape is None or shape.count(None) > 1 else lengths(shape, tensor)
    )
    return tensor if written.shape.is_fully_defined() and written.shape == tensor.shape else written


def _sum(call: Call) -> Tensor | None:
    """Sums over no axis, which gradients of broadcasts are mostly."""
    axes = call.values[1]
    return call.inputs[0] if axes is not None and np.size(axes) == 0 else None


def _bias_add(call: Call) -> Tensor:
    rank = call.inputs[0].shape.rank
    channels = 1 if call.attr("data_format") == "NCHW" else rank - 1
    return tf.reduce_sum(call.inputs[0], [axis for axis in range(rank) if axis != channels])


def _broadcast_gradient(call: Call) -> list[Tensor]:
    """Only where shapes are no constants: their axes then are."""
    raise Refused(f"{call.op.type} ('{call.op.name}') with shapes that depend on data")


def _strided_slice_gradient(call: Call) -> Tensor:
    """Puts what was taken back to where it was taken from; zeros elsewhere."""
    shape, gradient = call.numbers(0), call.inputs[4]
    taken = _taken(call, shape)
    kept = [shape[axis] if places is None else len(places) for axis, places in enumerate(taken)]
    gradient = tf.reshape(gradient, lengths(kept, gradient))
    for axis, places in enumerate(taken):
        if places is None or np.array_equal(places, np.arange(shape[axis] or 0)):
            continue
        length = shape[axis] or 0
        if len(places) and np.array_equal(np.diff(places), np.ones(len(places) - 1)):
            gradient = padded(gradient, axis, int(places[0]), length - 1 - int(places[-1]))
        elif axis == 0:
            moved = tf.reshape(gradient, [1, len(places), -1])
            moved = along(moved, 1, np.eye(length)[:, places])
            gradient = tf.reshape(moved, [length, *kept[1:]])
        else:
            gradient = along(gradient, axis, np.eye(length)[:, places])
    return gradient


def _taken(call: Call, shape: Sequence[int | None]) -> list[NDArray | None]:
    """For each axis the places that a strided slice took; None for all, where the axis is that of rows."""
    begin, end, strides = (call.numbers(which) for which in (1, 2, 3))
    masks = {
        name: call.attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }

    def has(name: str, i: int) -> bool:
        return bool(masks[name] >> i & 1)

    taken: list[NDArray | None] = []
    named = sum(not has("new_axis", i) and not has("ellipsis", i) for i in range(len(begin)))
    for i in range(len(begin)):
        if has("ellipsis", i):
            taken += [_all_of(length) for length in shape[len(taken) : len(taken) + len(shape) - named]]
        elif not has("new_axis", i):
            length = shape[len(taken)]
            first = None if has("begin", i) and not has("shrink_axis", i) else begin[i]
            last = None if has("end", i) else end[i]
            if length is None:
                if (first or 0) != 0 or strides[i] != 1 or has("shrink_axis", i) or last is not None:
                    raise Refused(
                        f"{call.op.type} ('{call.op.name}') of single rows, with an open number of rows"
                    )
                taken.append(None)
            elif has("shrink_axis", i):
                taken.append(np.arange(length)[[begin[i] or 0]])
            else:
                taken.append(np.arange(length)[first : last : strides[i]])
    return taken + [_all_of(length) for length in shape[len(taken) :]]


def _all_of(length: int | None) -> NDArray | None:
    return None if length is None else np.arange(length)


def _mirror_pad_gradient(call: Call) -> Tensor:
    """Along each axis the transposed matrix of the padding."""
    gradient, mode = call.inputs[0], call.attr("mode")
    for axis, (before, after) in enumerate(call.constant(1).tolist()):
        if before or after:
            small = (call.shape(0)[axis] or 0) - before - after
            with tf.init_scope():
                matrix = tf.pad(tf.eye(small), [[before, after], [0, 0]], mode).numpy()
            gradient = along(gradient, axis, matrix.T)
    return gradient


def _stitch(call: Call) -> Tensor:
    """Merges parts by their numbers, which are constants; of equal numbers the last one counts."""
    count = len(call.inputs) // 2
    numbers = [call.constant(i) for i in range(count)]
    parts, rest = [], None
    for index, part in zip(numbers, call.inputs[count:], strict=True):
        rest = part.shape.as_list()[index.ndim :]
        parts.append(tf.reshape(part, [index.size, *lengths(rest, part)]))
    flat = np.concatenate([index.ravel() for index in numbers])
    place = {int(number): i for i, number in enumerate(flat)}
    if sorted(place) != [*range(len(place))]:
        raise Refused(f"{call.op.type} ('{call.op.name}') with gaps between its numbers")
    return tf.gather(tf.concat(parts, 0), np.asarray([place[i] for i in range(len(place))], np.int32))


def _segment_sum(call: Call) -> Tensor:
    """A product with a matrix of zeros and ones: which row belongs to which segment. Negative segments are none."""
    data, segments = call.inputs[0], call.inputs[1]
    if call.op.type == "SegmentSum":
        count, size = int(call.constant(1)[-1]) + 1, None
    else:
        (count,) = call.numbers(2)
        size = call.inputs[2] if count is None else None
    rest = data.shape.as_list()[segments.shape.rank :]
    depth = count if size is None else size
    belongs = tf.one_hot(tf.reshape(segments, [-1]), depth, axis=0, dtype=data.dtype)
    if None in rest:
        flat = tf.reshape(data, [segments.shape.num_elements(), -1])
    else:
        flat = tf.reshape(data, [-1, int(np.prod(rest))])
    return tf.reshape(tf.matmul(belongs, flat), lengths([count, *rest], data))


def _roll(call: Call) -> Tensor:
    tensor = call.inputs[0]
    for shift, axis in zip(np.ravel(call.constant(1)), np.ravel(call.constant(2)), strict=True):
        length = tensor.shape[int(axis)]
        if length is None:
            raise Refused(f"{call.op.type} ('{call.op.name}') over rows, with an open number of rows")
        first, second = tf.split(tensor, [length - int(shift) % length, int(shift) % length], int(axis))
        tensor = tf.concat([second, first], int(axis))
    return tensor


def _band(call: Call) -> Tensor:
    tensor = call.inputs[0]
    rows, columns = call.shape(0)[-2:]
    lower, upper = (int(call.constant(i)) for i in (1, 2))
    distance = np.arange(rows or 0)[:, None] - np.arange(columns or 0)[None]
    kept = ((lower < 0) | (distance <= lower)) & ((upper < 0) | (-distance <= upper))
    return tf.where(kept, tensor, tf.zeros([], tensor.dtype))


def _diagonal(call: Call) -> Tensor | None:
    """The main diagonal of square matrices."""
    rows, columns = call.shape(0)[-2:]
    if np.any(call.constant(1) != 0) or rows != columns or rows is None:
        return None
    tensor = call.inputs[0]
    return tf.reduce_sum(tf.where(np.eye(rows, dtype=bool), tensor, tf.zeros([], tensor.dtype)), -1)


def _diagonal_matrix(call: Call) -> Tensor | None:
    """Square matrices of their main diagonal."""
    size = call.shape(0)[-1]
    if np.any(call.constant(1) != 0) or size is None or call.numbers(2)[0] not in (-1, size):
        return None
    tensor = call.inputs[0]
    return tf.where(np.eye(size, dtype=bool), tensor[..., None], tf.zeros([], tensor.dtype))


def _running_product(call: Call) -> Tensor:
    axis = int(call.constant(1))
    count = call.shape(0)[axis]
    if count is None:
        raise Refused(f"{call.op.type} ('{call.op.name}') over an open number of rows")
    parts = [tf.gather(call.inputs[0], i, axis=axis) for i in range(count)]
    if call.attr("reverse"):
        parts = parts[::-1]
    if call.attr("exclusive"):
        parts = [tf.ones_like(parts[0]), *parts[:-1]]
    products = [functools.reduce(tf.multiply, parts[: i + 1]) for i in range(len(parts))]
    return tf.stack(products[::-1] if call.attr("reverse") else products, axis)


RULES: Rules = {
    **dict.fromkeys(
        (
            "Identity",
            "IdentityN",
            "Snapshot",
            "StopGradient",
            "PreventGradient",
            "CheckNumerics",
            "EnsureShape",
        ),
        _same,
    ),
    "Reshape": _reshape,
    "Sum": _sum,
    "BiasAddGrad": _bias_add,
    "BroadcastGradientArgs": _broadcast_gradient,
    "StridedSliceGrad": _strided_slice_gradient,
    "MirrorPadGrad": _mirror_pad_gradient,
    "DynamicStitch": _stitch,
    "ParallelDynamicStitch": _stitch,
    "UnsortedSegmentSum": _segment_sum,
    "SegmentSum": _segment_sum,
    "Roll": _roll,
    "MatrixBandPart": _band,
    "MatrixDiagPartV2": _diagonal,
    "MatrixDiagPartV3": _diagonal,
    "MatrixDiagV2": _diagonal_matrix,
    "MatrixDiagV3": _diagonal_matrix,
    "Cumprod": _running_product,
}
