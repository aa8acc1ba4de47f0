"""A graph written anew, operation by operation, with rules; whatever follows from shapes alone becomes a constant."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.python.eager import context
from tensorflow.python.framework import function_def_to_graph

from tfxai.exporting.calls import OTHER, Call, Lengths, Refused, Rules, run, single
from tfxai.support import Operation, Tensor

LARGEST = (
    2**16
)  # numbers of a constant that is computed here, unless it is made of one as large; larger ones stay operations
KEPT = ("Const", "Placeholder", "NoOp")
CALLED = ("PartitionedCall", "StatefulPartitionedCall")
LOOPS = ("While", "StatelessWhile")
BRANCHES = ("If", "StatelessIf")
DRAWS = (
    "Random",
    "StatelessRandom",
    "Multinomial",
    "ParameterizedTruncatedNormal",
    "StatelessTruncatedNormal",
    "StatelessMultinomial",
    "TruncatedNormal",
)


@dataclasses.dataclass
class Notes:
    """What was found out with one number of rows.

    values: tensors that are the same whatever the data, by their names (with the calls and loops around them).
    shapes: of every tensor.
    """

    values: dict[str, NDArray] = dataclasses.field(default_factory=dict)
    shapes: dict[str, list[int | None] | None] = dataclasses.field(default_factory=dict)


class Rebuilder:
    """Writes graphs anew, in the graph that is being traced.

    rules:   what is written in place of an operation, by its type.
    notes:   where what is found out is written down.
    samples: notes of the same graph with other, fixed numbers of rows: what is the same in all of them is a constant, and what
             grows with the number of rows is computed of it. Without samples every shape must be known.
    rows:    the number of rows, int32, for graphs with samples.
    """

    def __init__(
        self,
        rules: Rules,
        notes: Notes,
        samples: Sequence[tuple[int, Notes]] = (),
        rows: Tensor | None = None,
    ):
        self.library: dict[str, FunctionDef] = {}
        self.rules, self.notes, self.samples, self.rows = rules, notes, samples, rows

    def rebuilt(
        self,
        graph: tf.Graph,
        outputs: Sequence[Tensor],
        given: Mapping[str, Tensor],
        prefix: str = "",
        known: Mapping[str, NDArray] | None = None,
    ) -> list[Tensor]:
        """The outputs of a graph in the graph that is being traced.

        given: the tensors that stand for its placeholders, by the names of the old ones. known: of these those that are constants.
        """
        for function in graph.as_graph_def().library.function:
            self._add_function(function)
        made: dict[str, Tensor] = dict(given)
        for name, value in (known or {}).items():
            self.notes.values[prefix + name] = value
        needed = _behind(outputs, made)
        for op in graph.get_operations():
            if op.name in needed and any(output.name not in made for output in op.outputs):
                self._add(op, made, prefix)
        return [self._tensor(output, made, prefix) for output in outputs]

    def _add(self, op: Operation, made: dict[str, Tensor], prefix: str) -> None:
        names = [prefix + output.name for output in op.outputs]
        values = self._values(op, made, prefix)
        if values is not None:
            self.notes.values.update(zip(names, values, strict=True))
            return
        if names and all(self._value(name) is not None or self._lengths(name) is not None for name in names):
            return  # each is written where it is read
        tensors = self._written(op, made, prefix)
        for output, name, tensor in zip(op.outputs, names, tensors, strict=True):
            shape = self._shape(name)
            if shape is not None and tensor.shape.rank in (None, len(shape)):
                tensor.set_shape(shape)
            made[output.name] = tensor
            self.notes.shapes[name] = tensor.shape.as_list() if tensor.shape.rank is not None else None

    def _written(self, op: Operation, made: dict[str, Tensor], prefix: str) -> Sequence[Tensor]:
        inputs = [self._tensor(tensor, made, prefix) for tensor in op.inputs]
        names = [prefix + tensor.name for tensor in op.inputs]
        values = [self._value(name) for name in names]
        if op.type in CALLED:
            return self._called(op, inputs, values, f"{prefix}{op.name}/")
        if op.type in LOOPS:
            return self._loop(op, inputs, f"{prefix}{op.name}/")
        if op.type in BRANCHES:
            return self._branches(op, inputs, f"{prefix}{op.name}/")
        _refuse_draws(op.type, op.name)
        call = Call(
            op,
            inputs,
            values,
            [self._lengths(name) for name in names],
            self._shape(prefix + op.outputs[0].name),
        )
        scope = op.name.rpartition("/")[0]
        with tf.name_scope(f"{scope}/" if scope else ""):
            written = self.rules[op.type](call) if op.type in self.rules else None
            if written is None:
                written = call.as_it_is()
        return written if isinstance(written, (list, tuple)) else [written]

    # Calls and loops

    def _add_function(self, function: FunctionDef) -> None:
        name = function.signature.name
        if name not in self.library:
            self.library[name] = function
            eager: Any = context.context()  # where TensorFlow looks for what the bodies call
            if not eager.has_function(name):
                eager.add_function_def(function)

    def _body(self, op: Operation, attribute: str, inputs: Sequence[Tensor]) -> Any:
        """A function that an operation runs, as a graph of its own."""
        function = self.library[op.get_attr(attribute).name]
        for node in function.node_def:
            _refuse_draws(node.op, node.name)
        try:
            return function_def_to_graph.function_def_to_graph(function, [tensor.shape for tensor in inputs])
        except ValueError as error:
            raise Refused(f"{op.type} ('{op.name}') with loops inside") from error

    def _called(
        self, op: Operation, inputs: Sequence[Tensor], values: Sequence[NDArray | None], prefix: str
    ) -> Sequence[Tensor]:
        """The body of a called function, in place of the call."""
        body = self._body(op, "f", inputs)
        names = [argument.name for argument in body.inputs]
        known = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        return self.rebuilt(body, body.outputs, dict(zip(names, inputs, strict=True)), prefix, known)

    def _loop(self, op: Operation, inputs: Sequence[Tensor], prefix: str) -> Sequence[Tensor]:
        bodies = {part: self._body(op, part, inputs) for part in ("cond", "body")}

        def of(part: str, state: Sequence[Tensor]) -> list[Tensor]:
            given = dict(zip((each.name for each in bodies[part].inputs), state, strict=True))
            return self.rebuilt(bodies[part], bodies[part].outputs, given, f"{prefix}{part}/")

        try:
            return tf.while_loop(
                lambda *state: tf.reshape(of("cond", state)[0], []),
                lambda *state: of("body", state),
                list(inputs),
            )
        except Refused:
            raise
        except ValueError as error:
            raise Refused(f"{op.type} ('{op.name}'), a loop whose tensors change their sizes") from error

    def _branches(self, op: Operation, inputs: Sequence[Tensor], prefix: str) -> Sequence[Tensor]:
        def of(part: str) -> list[Tensor]:
            body = self._body(op, part, inputs[1:])
            given = dict(zip((each.name for each in body.inputs), inputs[1:], strict=True))
            return self.rebuilt(body, body.outputs, given, f"{prefix}{part}/")

        return tf.cond(tf.reshape(inputs[0], []), lambda: of("then_branch"), lambda: of("else_branch"))

    # What is known of a tensor

    def _values(self, op: Operation, made: dict[str, Tensor], prefix: str) -> list[NDArray] | None:
        """The outputs of an operation, if they are the same whatever the data."""
        names = [prefix + output.name for output in op.outputs]
        if op.type == "Const":
            value = tf.make_ndarray(op.get_attr("value"))
            return [value.astype(np.float32) if op.outputs[0].dtype in OTHER else value]
        if self.samples:
            found = [value for name in names if (value := self._value(name)) is not None]
            return found if names and len(found) == len(names) else None
        if op.type in ("Shape", "ShapeN", "Size", "Rank"):
            return self._measured(op, made, prefix)
        if (
            op.type in KEPT
            or op.op_def.is_stateful
            or not op.outputs
            or not op.inputs
            or op.type in CALLED + LOOPS + BRANCHES
        ):
            return None
        inputs = [self._value(prefix + tensor.name) for tensor in op.inputs]
        if not _all(inputs) or any(tensor.dtype in (tf.resource, tf.variant) for tensor in op.outputs):
            return None
        with tf.init_scope(), tf.device("CPU"):
            found = run(op, [tf.constant(value) for value in inputs if value is not None])
            arrays = [each.numpy() for each in found]
        largest = max([LARGEST, *(value.size for value in inputs if value is not None)])
        return arrays if all(np.size(each) <= largest for each in arrays) else None

    def _measured(self, op: Operation, made: dict[str, Tensor], prefix: str) -> list[NDArray] | None:
        kind = op.outputs[0].dtype.as_numpy_dtype
        shapes = [self._shape_of(tensor, made, prefix) for tensor in op.inputs]
        if op.type == "Rank" and shapes[0] is not None:
            return [np.asarray(len(shapes[0]), kind)]
        if any(shape is None or None in shape for shape in shapes):
            return None
        arrays = [np.asarray(shape, kind) for shape in shapes]
        return [np.asarray(np.prod(arrays[0]), kind)] if op.type == "Size" else arrays

    def _shape_of(self, tensor: Tensor, made: dict[str, Tensor], prefix: str) -> list[int | None] | None:
        value = self._value(prefix + tensor.name)
        if value is not None:
            return list(np.shape(value))
        shape = made[tensor.name].shape
        return None if shape.rank is None else shape.as_list()

    def _value(self, name: str) -> NDArray | None:
        if name in self.notes.values or not self.samples:
            return self.notes.values.get(name)
        found = [notes.values.get(name) for _, notes in self.samples]
        first = found[0]
        same = first is not None and all(
            each is not None and each.shape == first.shape and each.tobytes() == first.tobytes()
            for each in found
        )
        return first if same else None

    def _lengths(self, name: str) -> Lengths | None:
        """How whole numbers grow with the number of rows; None for what does not, or not along a line."""
        found = [notes.values.get(name) for _, notes in self.samples]
        if not found or not _all(found) or self._value(name) is not None:
            return None
        arrays = [np.asarray(each) for each in found]
        if arrays[0].dtype.kind not in "iu" or any(each.shape != arrays[0].shape for each in arrays):
            return None
        counts = [count for count, _ in self.samples]
        slope = (arrays[1] - arrays[0]) // (counts[1] - counts[0])
        offset = arrays[0] - slope * counts[0]
        on_a_line = all(
            np.array_equal(slope * count + offset, each) for count, each in zip(counts, arrays, strict=True)
        )
        return Lengths(slope, offset) if on_a_line else None

    def _shape(self, name: str) -> list[int | None] | None:
        """Of a tensor, None for axes that differ between the samples."""
        found = [notes.shapes.get(name) for _, notes in self.samples]
        if not found or any(each is None for each in found):
            return None
        return [axis[0] if len({*axis}) == 1 else None for axis in zip(*found, strict=True)]

    def _tensor(self, tensor: Tensor, made: dict[str, Tensor], prefix: str) -> Tensor:
        """In the new graph."""
        if tensor.name in made:
            return made[tensor.name]
        name = prefix + tensor.name
        value, lengths = self._value(name), self._lengths(name)
        if value is not None:
            new = tf.constant(value, single(tensor.dtype))
        elif lengths is not None and self.rows is not None:
            new = _lengths_of(tf.cast(self.rows, tensor.dtype), lengths)
        else:
            raise Refused(f"{tensor.op.type} ('{tensor.op.name}')")
        made[tensor.name] = new
        return new


def _refuse_draws(kind: str, name: str) -> None:
    if kind.startswith(DRAWS):
        raise Refused(f"{kind} ('{name}'), which would draw other numbers than here")


def _lengths_of(rows: Tensor, lengths: Lengths) -> Tensor:
    if lengths.slope.ndim != 1:
        return rows * lengths.slope + lengths.offset
    # Side by side, so that a converter sees which of them are constants.
    pairs = zip(lengths.slope, lengths.offset, strict=True)
    each = [rows * slope + offset if slope else tf.constant(offset, rows.dtype) for slope, offset in pairs]
    return tf.stack(each)


def _all(found: Sequence[NDArray | None]) -> bool:
    return all(each is not None for each in found)


def _behind(outputs: Sequence[Tensor], given: Mapping[str, Tensor]) -> set[str]:
    """Names of the operations that the outputs are computed of."""
    found: set[str] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        if tensor.name not in given and tensor.op.name not in found:
            found.add(tensor.op.name)
            waiting += tensor.op.inputs
    return found
