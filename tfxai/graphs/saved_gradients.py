"""Gradients of their own that the functions of a loaded SavedModel have (tf.custom_gradient), where calls are laid out flat.

TensorFlow registers them when it loads the file, as functions of the gradients that come in and of tensors inside of the
model's functions, which they capture. Laid out flat such a tensor is another one: the wrapper behind the function gets it
as one more input, and the gradient reads it there.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Set
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import ops as framework

from tfxai.graphs.gradients import CAPTURED, OWN, SAVED, registered
from tfxai.graphs.stripping import wait_for_nothing
from tfxai.support import Operation, PerInput, Tensor


def registered_gradients() -> set[str]:
    """Names of all gradients that TensorFlow knows in this process."""
    return set(framework.gradient_registry.list())


@dataclasses.dataclass(frozen=True)
class SavedGradient:
    """The gradient of one wrapper.

    function: (gradients of the wrapper's results and arguments, captured tensors) -> gradients of its inputs.
    captured: names of tensors in the function that the wrapper lies in, or in one around it.
    """

    function: Any
    captured: tuple[str, ...]

    @classmethod
    def of(cls, node: NodeDef, names: Set[str]) -> SavedGradient | None:
        """That of an operation; None if it has none with one of these names, or none that can be laid out."""
        if node.op != "IdentityN" or OWN not in node.attr or node.attr[OWN].s.decode() not in names:
            return None
        registered = framework.gradient_registry.lookup(node.attr[OWN].s.decode())
        function = inspect.getclosurevars(registered).nonlocals.get("func")
        captured = getattr(function, "captured_inputs", None)
        if captured is None or any(not tf.is_symbolic_tensor(tensor) for tensor in captured):
            return None
        return cls(function, tuple(tensor.name for tensor in captured))

    def set_on(self, node: NodeDef, captured: list[str]) -> None:
        """Gives the wrapper the captured tensors, by the names that they have now, and a gradient that reads them."""
        name = registered((SAVED + node.attr[OWN].s).decode(), self._back)
        node.attr[OWN].s = name.encode()
        node.input.extend(captured)
        types = [tensor.dtype.as_datatype_enum for tensor in self.function.captured_inputs]
        node.attr["T"].list.type.extend(types)
        node.attr[CAPTURED].i = len(captured)

    def _back(self, op: Operation, *incoming: Tensor) -> PerInput:
        graph = self.function.graph
        own = len(op.inputs) - len(self.captured)
        given = [
            tf.zeros_like(tensor) if gradient is None else gradient
            for gradient, tensor in zip(incoming[:own], op.inputs[:own], strict=True)
        ]
        placeholders = [tensor.name for tensor in graph.inputs]
        # None for what gets no gradient; the others in the order of the outputs.
        results = tf.nest.flatten(graph.structured_outputs)
        definition = graph.as_graph_def()
        for node in definition.node:  # what it waits for is the placeholders
            wait_for_nothing(node)
        found = iter(
            tf.graph_util.import_graph_def(
                definition,
                input_map=dict(zip(placeholders, [*given, *op.inputs[own:]], strict=True)),
                return_elements=[tensor.name for tensor in graph.outputs],
                name="saved_gradient",
            )
        )
        back: PerInput = [None if result is None else next(found) for result in results]
        return [*back, *[None] * (len(op.inputs) - len(back))]
