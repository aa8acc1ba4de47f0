"""Token ids at all the tables that look them up: one tensor for each input, whatever the tables and places are."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.layer_call import LayerCall
from tfxai.model.layouts import UNKNOWN, Along, Atom, Dim, Layout
from tfxai.model.operations import again, operations_behind
from tfxai.support import Layer, Operation, Structure, Tensor

Replacement: TypeAlias = "Tensor | Callable[[Tensor], Tensor]"
"""What a layer is to put out instead of its own: a tensor, or a function of its own."""

# Operations that only bring places into another order, or leave some out.
MOVES = {
    "BroadcastTo", "Concat", "ConcatV2", "ExpandDims", "Gather", "GatherV2", "MirrorPad", "Pack", "Pad", "PadV2", "Reshape",
    "ReverseV2", "Roll", "Slice", "Split", "SplitV", "Squeeze", "StridedSlice", "Tile", "Transpose", "Unpack",
}  # fmt: skip

# Operations that make another number (or text) of each number by itself.
EACH = {
    "Abs", "Add", "AddV2", "AsString", "Bucketize", "Cast", "Ceil", "CheckNumerics", "ClipByValue", "EnsureShape", "Floor",
    "FloorDiv", "FloorMod", "Identity", "IdentityN", "LeftShift", "LookupTableFind", "LookupTableFindV2", "Maximum",
    "Minimum", "Mod", "Mul", "Neg", "PlaceholderWithDefault", "RealDiv", "Relu", "RightShift", "Rint", "Round", "Select",
    "SelectV2", "Sign", "StopGradient", "StringLower", "StringToHashBucket", "StringToHashBucketFast",
    "StringToHashBucketStrong", "StringToNumber", "Sub", "TruncateDiv", "TruncateMod",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Lookup:
    """One call of a table.

    layer, call: the embedding, and which of its calls.
    width:       of its vectors. inner: the axes of its ids but the first, -1 for unknown.
    places:      for each id of one row that is looked up, the place in the row of the input that it comes from, -1 where
                 it is not the input's; None if they lie as the input does.
    """

    layer: Layer
    call: int
    width: int
    inner: tuple[int, ...]
    places: tuple[int, ...] | None = None

    @classmethod
    def of(cls, layer: Layer, call: int, output: Tensor) -> Lookup:
        """A call that put out this tensor (N, ..., D)."""
        return cls(layer, call, output.shape[-1], tuple(-1 if n is None else n for n in output.shape[1:-1]))


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Token ids cannot be differentiated; they are explained at all their embeddings, side by side on the last axis.

    What is looked up of a part of the input only, or in another order, lies at the places that it comes from, with
    zeros elsewhere.

    lookups: every call that looks the input up.
    shape:   of one row of the input.
    """

    lookups: tuple[Lookup, ...]
    shape: tuple[int, ...] = ()

    def joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """What the tables put out, or its gradients, as one tensor (N, *shape, D)."""
        parts = [self._laid(lookup, output) for lookup, output in zip(self.lookups, outputs, strict=True)]
        return parts[0] if len(parts) == 1 else tf.concat(parts, -1)

    def among(self, calls: Sequence[LayerCall]) -> list[Tensor]:
        """What the tables put out."""
        outputs = []
        for lookup in self.lookups:
            of_layer = [call.output for call in calls if call.layer is lookup.layer]
            outputs.append(of_layer[lookup.call])
        return outputs

    def layout(self, number: int, output: Tensor) -> Layout:
        """Where what a table puts out (N, ..., D) lies in the ids."""
        lookup, batch = self.lookups[number], Dim((Atom(None, Along(0)),))
        inner = list(output.shape[1:-1])
        if lookup.places is None:
            dims = [Dim.of(n, Along(i)) for i, n in enumerate(inner, start=1)]
        elif len(inner) == len(self.shape) == 1:
            steps = np.diff(lookup.places)
            even = len(steps) > 0 and steps[0] != 0 and np.all(steps == steps[0]) and min(lookup.places) >= 0
            along = Along(1, lookup.places[0], float(steps[0]), moved=True) if even else None
            dims = [Dim.of(inner[0], along)]
        else:
            return UNKNOWN
        return Layout((batch, *dims, Dim.of(lookup.width)))

    def replacing(
        self, point: Tensor, before: Mapping[tuple[int, int], Replacement]
    ) -> dict[tuple[int, int], Replacement]:
        """What the tables are to put out in a pass that is made at a point (N, *shape, D).

        before: what they are to put out for other inputs, which may be looked up in the same call.
        """
        replaced = dict(before)
        start = 0
        for lookup in self.lookups:
            width = lookup.width * self._blocks(lookup)
            part = point if len(self.lookups) == 1 else point[..., start : start + width]
            start += width
            if lookup.places is not None:
                part = self._placed(lookup, part)
            whole = lookup.places is None or min(lookup.places) >= 0
            key = id(lookup.layer), lookup.call
            replaced[key] = part if whole else functools.partial(_beside, lookup, part, before.get(key))
        return replaced

    def _placed(self, lookup: Lookup, part: Tensor) -> Tensor:
        """A lookup's part of a point, in the order in which it looks up; zeros for what is not the input's."""
        blocks, size = self._blocks(lookup), math.prod(self.shape)
        rows = tf.reshape(part, (-1, size, blocks, lookup.width))
        slots = tf.reshape(tf.transpose(rows, (0, 2, 1, 3)), (-1, blocks * size, lookup.width))
        placed = tf.einsum("bsd,ks->bkd", slots, tf.cast(self._slots(lookup), part.dtype))
        return tf.reshape(placed, (tf.shape(part)[0], *lookup.inner, lookup.width))

    def _laid(self, lookup: Lookup, output: Tensor) -> Tensor:
        if lookup.places is None:
            return output
        width, blocks = lookup.width, self._blocks(lookup)
        rows = tf.reshape(output, (-1, len(lookup.places), width))
        slots = tf.einsum("bkd,ks->bsd", rows, tf.cast(self._slots(lookup), output.dtype))
        laid = tf.reshape(slots, (-1, blocks, math.prod(self.shape), width))
        return tf.reshape(tf.transpose(laid, (0, 2, 1, 3)), (-1, *self.shape, blocks * width))

    def _blocks(self, lookup: Lookup) -> int:
        """How often a place is looked up at most, in this call."""
        counts = np.bincount(np.array(lookup.places or (), int) + 1)[1:]  # those of -1 come first
        return max([1, *map(int, counts)])

    def _slots(self, lookup: Lookup) -> NDArray[np.float32]:
        """(K, blocks x places): each looked up id's own slot, at its place."""
        places, size = np.array(lookup.places), math.prod(self.shape)
        seen = np.zeros(size, int)
        matrix = np.zeros((len(places), self._blocks(lookup) * size), np.float32)
        for k, place in enumerate(places):
            if place >= 0:
                matrix[k, seen[place] * size + place] = 1
                seen[place] += 1
        return matrix


def made(replacement: Replacement | None, output: Structure) -> Structure:
    """What a layer puts out in the place of its output, or of the first of several."""
    if replacement is None:
        return output
    first, *others = tf.nest.flatten(output)
    result: Tensor = replacement(first) if callable(replacement) else replacement
    return tf.nest.pack_sequence_as(output, [tf.cast(result, first.dtype), *others])


def _beside(lookup: Lookup, part: Tensor, before: Replacement | None, output: Tensor) -> Tensor:
    """A lookup's part of a point where it looks the input up; what it looks up beside it stays as it is, or was made."""
    rest = np.reshape(np.array(lookup.places) < 0, (*lookup.inner, 1))
    output = made(before, output)
    return tf.where(rest, output, tf.cast(part, output.dtype))


def places_of(ids: Tensor, source: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
    """For ids in the graph the numbers of the places of an input (N, ...) that they come from, as a tensor.

    Places of the whole batch are counted on, row after row; -1 for what does not come from one place alone, or from one
    that the data decide (sorted ids). None if the ids lie as the input does. inputs: all that the model has.
    """
    between = {op for op in operations_behind([ids], values_only=True) if _comes_from(op, source)} - {
        source.op
    }
    if all(_keeps(op, source) for op in between):
        return None
    numbers = tf.reshape(tf.range(tf.size(source)), tf.shape(source))
    return _Replay(source, numbers, between, {tensor.op for tensor in inputs}).at(ids)


def places_in_row(numbers: NDArray, size: int, rows: int = 2) -> tuple[int, ...] | None:
    """Places in a row of a given size, from those of a batch of rows; None where they are no places of each row by itself."""
    if not numbers.size or numbers.size % rows:
        return None
    first, *others = numbers.reshape(rows, -1)
    inside = (first >= 0) & (first < size)
    if not inside.any() or (first >= size).any():
        return None
    for number, other in enumerate(others, 1):
        if not np.array_equal(np.where(inside, first + number * size, first), other):
            return None
    return tuple(int(n) if n >= 0 else -1 for n in first)


def _comes_from(op: Operation, source: Tensor) -> bool:
    return source.op in operations_behind(op.outputs, values_only=True)


def _keeps(op: Operation, source: Tensor) -> bool:
    """Whether an operation gives a tensor of the input's shape, place by place."""
    if op.type not in EACH:
        return False
    shape = op.outputs[0].shape
    return shape.rank == source.shape.rank and shape[1:] == source.shape[1:]


@dataclasses.dataclass
class _Replay:
    """The operations between an input and ids, done again on the numbers of the places.

    inputs: the operations that all the model's inputs come from.
    """

    source: Tensor
    numbers: Tensor
    between: set[Operation]
    inputs: set[Operation]

    def __post_init__(self) -> None:
        self.done: dict[str, Tensor] = {self.source.name: self.numbers}

    def at(self, tensor: Tensor) -> Tensor:
        """The places that a tensor's entries come from."""
        if tensor.name not in self.done:
            self._do(tensor.op)
        return self.done[tensor.name]

    def _do(self, op: Operation) -> None:
        if op.type in MOVES and self._is_the_same_for_every_row(op):
            outputs = self._moved(op)
        elif op.type in EACH or self._is_table(op):
            outputs = [self._kept(op)] * len(op.outputs)
        else:
            outputs = [tf.fill(tf.shape(output), -1) for output in op.outputs]
        for output, numbers in zip(op.outputs, outputs, strict=True):
            self.done[output.name] = numbers

    def _is_moving(self, tensor: Tensor) -> bool:
        return tensor.name in self.done or tensor.op in self.between

    def _is_table(self, op: Operation) -> bool:
        """Whether ids are numbers of rows in a fixed table of other ids: these stay where they are."""
        return op.type in ("Gather", "GatherV2") and not self._depends(op.inputs[0])

    def _depends(self, tensor: Tensor) -> bool:
        return not self.inputs.isdisjoint(operations_behind([tensor], values_only=True))

    def _is_the_same_for_every_row(self, op: Operation) -> bool:
        """Whether what says where places go (an index, an order) is fixed, and what is moved are places."""
        joined = op.type in ("Pack", "ConcatV2", "Concat")
        first = {"Concat": 1, "Split": 1}.get(op.type, 0)
        moved = list(op.inputs)[first:] if joined else list(op.inputs)[first : first + 1]
        rest = [tensor for tensor in op.inputs if not any(tensor is each for each in moved)]
        return any(self._is_moving(tensor) for tensor in moved) and not any(map(self._depends, rest))

    def _moved(self, op: Operation) -> Sequence[Tensor]:
        if op.type in ("Pad", "PadV2"):  # what is put in front or behind comes from no place
            return [tf.pad(self.at(op.inputs[0]), op.inputs[1], constant_values=-1)]
        inputs = [
            self.at(tensor) if self._is_moving(tensor) else _nowhere(op, i, tensor)
            for i, tensor in enumerate(op.inputs)
        ]
        moved = again(op, *inputs)
        return moved if isinstance(moved, (list, tuple)) else [moved]

    def _kept(self, op: Operation) -> Tensor:
        """Of an operation that works place by place; -1 where several places meet."""
        output = op.outputs[0]
        given = [
            self.at(tensor) for tensor in op.inputs if self._is_moving(tensor) and tensor.dtype != tf.bool
        ]
        shape = tf.shape(output)
        if not given or not all(_spreads(places, output) for places in given):
            return tf.fill(shape, -1)
        first, *others = [tf.broadcast_to(places, shape) for places in given]
        for other in others:
            first = tf.where(first == other, first, -1)
        return first


def _spreads(places: Tensor, output: Tensor) -> bool:
    """Whether places can be broadcast to the shape of an output."""
    if places.shape.rank is None or output.shape.rank is None or places.shape.rank > output.shape.rank:
        return False
    behind = zip(reversed(places.shape.as_list()), reversed(output.shape.as_list()), strict=False)
    return all(small in (1, None, large) or large is None for small, large in behind)


def _nowhere(op: Operation, i: int, tensor: Tensor) -> Tensor:
    """An input of an operation that does not come from the ids: an index as it is, other ids as places that are none."""
    joins = op.type in ("Pack", "ConcatV2", "Concat")
    is_axis = (op.type == "ConcatV2" and i == len(op.inputs) - 1) or (op.type == "Concat" and i == 0)
    return -tf.ones(tf.shape(tensor), tf.int32) if joins and not is_axis else tensor
