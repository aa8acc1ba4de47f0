"""Axes that are moved, cut, turned or put side by side: what it does to where a tensor's entries lie in an input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfxai.model.layout_reading import Given, Rule, axis_of, dims_of, shape_of, value_of
from tfxai.model.layouts import UNKNOWN, Along, Atom, Dim, Layout, common_places, joined, reshaped
from tfxai.support import Operation, Tensor


def _transpose(op: Operation, given: Given) -> Sequence[Layout]:
    dims = dims_of(given[0])
    assert given[0] is not None
    return [given[0].with_dims([dims[i] for i in value_of(op.inputs[1])])]


def _reshape(op: Operation, given: Given) -> Sequence[Layout]:
    assert given[0] is not None
    shape = shape_of(op.outputs[0])
    if len(shape) == 2 and shape[1] is None:  # as a dense layer flattens what it multiplies: its kernel knows
        kernels = [reader.inputs[1].shape for reader in op.outputs[0].consumers() if reader.type == "MatMul"]
        shape[1] = next((kernel[0] for kernel in kernels if kernel.rank == 2), None)
    return [reshaped(given[0], shape)]


def _reduced(op: Operation, given: Given) -> Sequence[Layout]:
    dims, keeps = dims_of(given[0]), op.type not in ("ArgMax", "ArgMin") and op.get_attr("keep_dims")
    gone = {axis_of(axis, len(dims)) for axis in np.atleast_1d(value_of(op.inputs[1]))}
    left = [Dim.of(1) if i in gone else dim for i, dim in enumerate(dims) if keeps or i not in gone]
    assert given[0] is not None
    return [given[0].with_dims(left)]


def _padded(op: Operation, given: Given) -> Sequence[Layout]:
    dims, edges = dims_of(given[0]), value_of(op.inputs[1])
    for axis, (front, behind) in enumerate(edges.tolist()):
        if front or behind:
            along = dims[axis].along
            moved = None if along is None else along.shifted(-front)
            dims[axis] = Dim.of(shape_of(op.outputs[0])[axis], moved)
    assert given[0] is not None
    return [given[0].with_dims(dims)]


def cut(dim: Dim, start: int, step: int, size: int | None, length: int | None) -> Dim:
    """An axis of some size, from its entry `start` on, every `step`-th entry, of which there are `length`."""
    if step == 1 and start == 0 and length == size and size is not None:
        return dim
    if dim.front or dim.behind:
        inner = None if size is None or length is None else size - dim.front - dim.behind
        if step != 1 or inner is None or start > dim.front or start + (length or 0) < dim.front + inner:
            return Dim.of(length)
        behind = start + (length or 0) - dim.front - inner
        return dataclasses.replace(dim, front=dim.front - start, behind=behind)
    along = dim.along
    if along is None:
        return Dim.of(length)
    along = along.shifted(start, moved=step == 1 or start != 0 or step < 0)
    return Dim.of(length, dataclasses.replace(along, step=along.step * step))


def _slice(op: Operation, given: Given) -> Sequence[Layout]:
    begins = value_of(op.inputs[1]).tolist()
    before, after = shape_of(op.inputs[0]), shape_of(op.outputs[0])
    parts = []
    for i, dim in enumerate(dims_of(given[0])):
        whole = dim.is_batch and begins[i] == 0  # of a batch of any size, as much as there is
        parts.append(dim if whole else cut(dim, begins[i], 1, before[i], after[i]))
    assert given[0] is not None
    return [given[0].with_dims(parts)]


def _strided_slice(op: Operation, given: Given) -> Sequence[Layout]:
    begins, ends, strides = (_loose_values(tensor) for tensor in op.inputs[1:4])
    masks = {
        name: op.get_attr(f"{name}_mask") for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
    }
    layout, dims, sizes = given[0], dims_of(given[0]), shape_of(op.inputs[0])
    assert layout is not None
    result: list[Dim] = []
    taken = sum(not masks["new_axis"] >> i & 1 and not masks["ellipsis"] >> i & 1 for i in range(len(begins)))
    at = 0
    for i, (begin, end, stride) in enumerate(zip(begins, ends, strides, strict=True)):
        if masks["ellipsis"] >> i & 1:
            result += dims[at : at + len(dims) - taken]
            at += len(dims) - taken
        elif masks["new_axis"] >> i & 1:
            result.append(Dim.of(1))
        elif masks["shrink_axis"] >> i & 1:
            layout = without(layout, dims[at], begin, sizes[at])
            at += 1
        else:
            opened = masks["begin"] >> i & 1, masks["end"] >> i & 1
            if any(n is None and not is_open for n, is_open in zip((begin, end), opened, strict=True)):
                result.append(Dim.of(None))  # where it is cut depends on the data
            else:
                first, last = None if opened[0] else begin, None if opened[1] else end
                result.append(_sliced(dims[at], first, last, stride, sizes[at]))
            at += 1
    return [layout.with_dims([*result, *dims[at:]])]


def _loose_values(tensor: Tensor) -> list[int | None]:
    """The entries of a small vector, None for those that are not constant."""
    value = tf.get_static_value(tensor, partial=True)
    if value is None:
        raise ValueError(f"{tensor.name} is not constant")
    return [None if each is None else int(each) for each in np.atleast_1d(value).tolist()]


def without(layout: Layout, dim: Dim, index: int | None, size: int | None) -> Layout:
    """A layout after one entry of an axis of some length was taken; nothing is fixed where it is not known which."""
    if index is None or (index < 0 and size is None):
        return layout
    return layout.fixing(dim, index if index >= 0 or size is None else index + size)


def _sliced(dim: Dim, begin: int | None, end: int | None, stride: int | None, size: int | None) -> Dim:
    if begin is None and end is None and stride == 1:
        return dim
    if size is None:  # the batch, or an axis of any length: only what begins at its start stays where it is
        plain = stride is not None and stride > 0 and (begin or 0) >= 0
        return (
            cut(dim, begin or 0, stride or 1, None, None) if plain and dim.along is not None else Dim.of(None)
        )
    if stride is None:
        return Dim.of(None)
    start, stop, step = slice(begin, end, stride).indices(size)
    return cut(dim, start, step, size, len(range(start, stop, step)))


def _reversed(op: Operation, given: Given) -> Sequence[Layout]:
    dims = dims_of(given[0])
    for axis in np.atleast_1d(value_of(op.inputs[1])):
        i = axis_of(axis, len(dims))
        size, along = shape_of(op.inputs[0])[i], dims[i].along
        if along is not None and size is not None:
            along = along.shifted(size - 1)
            along = dataclasses.replace(along, step=-along.step)
        dims[i] = Dim.of(size, along if size is not None else None)
    assert given[0] is not None
    return [given[0].with_dims(dims)]


def _sequences_reversed(op: Operation, given: Given) -> Sequence[Layout]:
    """Each row up to its length, as masks tell: recurrent layers that run backwards turn it, and turn it back."""
    dims, axis = dims_of(given[0]), op.get_attr("seq_dim")
    before, lengths = dims[axis].turned, op.inputs[1].name
    if given[1] is None or before not in (None, lengths):
        raise ValueError(
            f"{op.name}: one length for all rows is measured, two kinds of lengths are not followed"
        )
    dims[axis] = dataclasses.replace(dims[axis], turned=lengths if before is None else None)
    assert given[0] is not None
    return [given[0].with_dims(dims)]


def _rolled(op: Operation, given: Given) -> Sequence[Layout]:
    dims = dims_of(given[0])
    for axis in np.atleast_1d(value_of(op.inputs[2])):
        i = axis_of(axis, len(dims))
        dims[i] = Dim.of(shape_of(op.inputs[0])[i])
    assert given[0] is not None
    return [given[0].with_dims(dims)]


def _tiled(op: Operation, given: Given) -> Sequence[Layout]:
    times = _loose_values(op.inputs[1])
    output = shape_of(op.outputs[0])
    assert given[0] is not None
    dims = [
        dim if n == 1 else Dim.of(output[i])
        for i, (dim, n) in enumerate(zip(dims_of(given[0]), times, strict=True))
    ]
    return [given[0].with_dims(dims)]


# Several tensors side by side


def _concatenated(op: Operation, given: Given) -> Sequence[Layout]:
    tensors, axis_tensor = (
        (op.inputs[:-1], op.inputs[-1]) if op.type == "ConcatV2" else (op.inputs[1:], op.inputs[0])
    )
    layouts = given[: len(tensors)] if op.type == "ConcatV2" else given[1:]
    rank = op.outputs[0].shape.rank
    axis = axis_of(int(value_of(axis_tensor)), rank)
    moving = [i for i, layout in enumerate(layouts) if layout is not None and layout.dims is not None]
    whole = joined([each for i in moving if (each := layouts[i]) is not None], shape_of(op.outputs[0]))
    lengths = [shape_of(tensor)[axis] for tensor in tensors]
    dims = dims_of(whole)
    dims[axis] = _side_by_side([dims_of(layouts[i])[axis] for i in moving], moving, lengths)
    return [whole.with_dims(dims)]


def _side_by_side(parts: Sequence[Dim], numbers: Sequence[int], lengths: Sequence[int | None]) -> Dim:
    """One axis made of others: the one that has places, between entries that have none; or parts that go on."""
    placed = [(part, number) for part, number in zip(parts, numbers, strict=True) if part.places]
    total = None if None in lengths else sum(n for n in lengths if n is not None)
    if not placed:
        return Dim.of(total)
    (first, number), *others = placed
    front, behind = lengths[:number], lengths[number + 1 + len(others) :]
    if None in front or None in behind:
        return Dim.of(total)
    inner: Dim | None = first
    for k, (part, at) in enumerate(others, start=1):
        inner = None if inner is None or at != number + k else _going_on(inner, lengths[at - 1], part)
    if inner is None:
        return Dim.of(total)
    before, after = (sum(n for n in each if n is not None) for each in (front, behind))
    return dataclasses.replace(inner, front=inner.front + before, behind=inner.behind + after)


def _going_on(one: Dim, length: int | None, other: Dim) -> Dim | None:
    """Two parts of an axis as one, where the second begins at the cell behind the first."""
    a, b = one.along, other.along
    size = one.atoms[0].size if one.atoms else None
    if a is None or b is None or size is None or other.atoms[0].size is None:
        return None
    follows = (
        a.axis == b.axis and a.step == b.step and abs(a.start + a.step * size - b.start) < 0.5 * abs(a.step)
    )
    return Dim((Atom(size + other.atoms[0].size, a),)) if follows else None


def _packed(op: Operation, given: Given) -> Sequence[Layout]:
    """Tensors on a new axis: frames, if they are fixed at even distances."""
    axis = axis_of(op.get_attr("axis"), op.outputs[0].shape.rank)
    layouts = [layout for layout in given if layout is not None]
    shape = shape_of(op.outputs[0])
    whole = joined(layouts, shape[:axis] + shape[axis + 1 :])
    dims = dims_of(whole)
    dims.insert(axis, Dim.of(len(given)))
    kept = dict(common_places(layouts))
    if len(layouts) == len(given) > 1:
        places = [{a: at for a, at in layout.fixed if a not in kept} for layout in layouts]
        for name in set.intersection(*map(set, places)):
            along = _even([place[name] for place in places], name)
            if along is not None:
                dims[axis] = Dim.of(len(given), along)
    return [Layout(tuple(dims), tuple(kept.items()))]


def _even(places: Sequence[float], axis: int) -> Along | None:
    steps = np.diff(places)
    return Along(axis, places[0], float(steps[0])) if np.all(steps == steps[0]) and steps[0] != 0 else None


def _unpacked(op: Operation, given: Given) -> Sequence[Layout]:
    dims = dims_of(given[0])
    axis = axis_of(op.get_attr("axis"), len(dims))
    taken = dims.pop(axis)
    assert given[0] is not None
    return [given[0].with_dims(dims).fixing(taken, i) for i in range(len(op.outputs))]


def _split(op: Operation, given: Given) -> Sequence[Layout]:
    layout, axis_tensor = (given[1], op.inputs[0]) if op.type == "Split" else (given[0], op.inputs[2])
    dims = dims_of(layout)
    axis = axis_of(int(value_of(axis_tensor)), len(dims))
    size = shape_of(op.inputs[1 if op.type == "Split" else 0])[axis]
    lengths, start, outputs = [shape_of(output)[axis] for output in op.outputs], 0, []
    assert layout is not None
    for length in lengths:
        if length is None:
            return [UNKNOWN] * len(lengths)
        part = cut(dims[axis], start, 1, size, length)
        outputs.append(layout.with_dims([*dims[:axis], part, *dims[axis + 1 :]]))
        start += length
    return outputs


def _gathered(op: Operation, given: Given) -> Sequence[Layout]:
    """Entries by their numbers; a table's rows by ids that depend on the input lie as the ids do."""
    axis_value = int(value_of(op.inputs[2])) if op.type == "GatherV2" else 0
    output = shape_of(op.outputs[0])
    if given[0] is None:
        ids = dims_of(given[1])
        assert given[1] is not None
        return [given[1].with_dims([*ids, *(Dim.of(n) for n in output[len(ids) :])])]
    dims = dims_of(given[0])
    axis = axis_of(axis_value, len(dims))
    numbers = value_of(op.inputs[1])
    if numbers.ndim == 0:
        left = given[0].with_dims([*dims[:axis], *dims[axis + 1 :]])
        return [without(left, dims[axis], int(numbers), shape_of(op.inputs[0])[axis])]
    new = [Dim.of(n) for n in numbers.shape]
    steps = np.diff(numbers) if numbers.ndim == 1 else np.array([])
    if steps.size and np.all(steps == steps[0]) and steps[0] != 0 and dims[axis].along is not None:
        size = shape_of(op.inputs[0])[axis]
        new = [cut(dims[axis], int(numbers[0]), int(steps[0]), size, len(numbers))]
    return [given[0].with_dims([*dims[:axis], *new, *dims[axis + 1 :]])]


AXIS_RULES: dict[str, Rule] = {
    **dict.fromkeys(("Reshape", "Squeeze", "ExpandDims"), _reshape),
    **dict.fromkeys(("All", "Any", "ArgMax", "ArgMin", "Max", "Mean", "Min", "Prod", "Sum"), _reduced),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), _padded),
    **dict.fromkeys(("ConcatV2", "Concat"), _concatenated),
    **dict.fromkeys(("Split", "SplitV"), _split),
    **dict.fromkeys(("Gather", "GatherV2", "ResourceGather"), _gathered),
    "Pack": _packed,
    "ReverseSequence": _sequences_reversed,
    "ReverseV2": _reversed,
    "Roll": _rolled,
    "Slice": _slice,
    "StridedSlice": _strided_slice,
    "Tile": _tiled,
    "Transpose": _transpose,
    "Unpack": _unpacked,
}
