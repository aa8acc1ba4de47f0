"""One operation of a graph that is written anew: what a rule sees of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import Operation, Tensor


class Refused(ValueError):
    """An operation that a kind of file cannot hold. The message names it and says what would work."""


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Whole numbers that follow from the number of rows: slope * rows + offset, each an array of the same shape."""

    slope: NDArray
    offset: NDArray


@dataclasses.dataclass(frozen=True)
class Call:
    """An operation, where a rule may write something else in its place.

    op:      as it stands in the old graph; for its type and its attributes.
    inputs:  what it reads, in the new graph.
    values:  of each input the array, where it is a constant; else None.
    lengths: of each input how it follows from the number of rows, where it does and differs with it; else None.
    result:  the shape of the first output, None for the axis of rows where that is open; None where that is not known
             before it is written.
    """

    op: Operation
    inputs: Sequence[Tensor]
    values: Sequence[NDArray | None]
    lengths: Sequence[Lengths | None]
    result: list[int | None] | None = None

    def attr(self, name: str) -> Any:
        """An attribute; text as str."""
        value = self.op.get_attr(name)
        return value.decode() if isinstance(value, bytes) else value

    def shape(self, which: int) -> list[int | None]:
        """Of an input; None for the axis of rows where that is open."""
        return self.inputs[which].shape.as_list()

    def numbers(self, which: int) -> list[int | None]:
        """The whole numbers of an input (n,), None for each that follows from the number of rows.

        Raises Refused if they are no constants, but computed from data.
        """
        value, lengths = self.values[which], self.lengths[which]
        if value is not None:
            return [int(each) for each in np.ravel(value)]
        if lengths is None:
            raise Refused(f"{self.op.type} ('{self.op.name}') with a shape that depends on data")
        pairs = zip(np.ravel(lengths.slope), np.ravel(lengths.offset), strict=True)
        return [None if slope else int(offset) for slope, offset in pairs]

    def constant(self, which: int) -> NDArray:
        """An input that must be a constant. Raises Refused if it is none."""
        value = self.values[which]
        if value is None:
            raise Refused(f"{self.op.type} ('{self.op.name}') with settings that depend on data")
        return value

    def as_it_is(self, inputs: Sequence[Tensor] | None = None) -> list[Tensor]:
        """The same operation in the new graph, or at once where TensorFlow runs eagerly; maybe of other tensors."""
        return run(self.op, self.inputs if inputs is None else inputs)


Rule = Callable[[Call], "Sequence[Tensor] | Tensor | None"]
"""(call) -> what is put in place of the operation: its outputs, of one the tensor; None to leave it as it is."""

Rules = Mapping[str, Rule]
"""By the type of an operation."""

OTHER = (tf.float16, tf.bfloat16, tf.float64)


def single(dtype: tf.DType) -> tf.DType:
    """The type that numbers have in the new graph: float32 for all that are no whole numbers."""
    return tf.float32 if dtype in OTHER else dtype


# What Python calls otherwise than the graph does.
_IN_PYTHON = {
    "reduction_indices": "axis",
    "dim": "axis",
    "split_dim": "axis",
    "squeeze_dims": "axis",
    "Select.t": "x",
    "Select.e": "y",
    "Where.input": "condition",
}


def run(op: Operation, inputs: Sequence[Tensor]) -> list[Tensor]:
    """An operation with the attributes of another one. No mark of a gradient, no device and no waiting goes with it, and
    numbers that are no whole ones are float32.

    Raises Refused if TensorFlow cannot make it from Python.
    """
    make = getattr(tf.raw_ops, op.type, None)
    if make is None:
        raise Refused(f"{op.type} ('{op.name}')")
    given, waiting, inferred = {}, list(inputs), set()
    for argument in op.op_def.input_arg:
        count = 1
        if argument.number_attr:
            count = op.get_attr(argument.number_attr)
        elif argument.type_list_attr:
            count = len(op.get_attr(argument.type_list_attr))
        is_list = argument.number_attr or argument.type_list_attr
        given[argument.name] = waiting[:count] if is_list else waiting[0]
        del waiting[:count]
        inferred |= {argument.number_attr, argument.type_list_attr, argument.type_attr}
    for attribute in op.op_def.attr:
        if attribute.name not in inferred and not attribute.name.startswith("_"):
            value = op.get_attr(attribute.name)
            given[attribute.name] = single(value) if isinstance(value, tf.DType) else value
    made = make(**{_python(op, name): value for name, value in given.items()})
    if isinstance(made, tf.Operation) or made is None:
        return []
    return list(made) if isinstance(made, (tuple, list)) else [made]


def _python(op: Operation, name: str) -> str:
    return _IN_PYTHON.get(f"{op.type}.{name}", _IN_PYTHON.get(name, name))
