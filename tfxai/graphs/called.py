"""A function that a graph calls: its body as operations, and a part of it laid out where it is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs.gradients import changes_the_derivative
from tfxai.graphs.inlining import CALLS, inlined
from tfxai.graphs.library import carry_library, fresh
from tfxai.graphs.stripping import data_inputs, strip, wait_for_nothing
from tfxai.graphs.tensor_names import full, op_name
from tfxai.support import Operation, Tensor

_WRITING = (
    "Assign",
    "ResourceScatter",
    "ResourceApply",
    "ResourceSparseApply",
    "LookupTableI",
    "PyFunc",
    "EagerPyF",
)


@dataclasses.dataclass(frozen=True)
class Called:
    """The body of a called function, those that it calls itself laid out in their place.

    graph:   the library of the graph that calls it.
    nodes:   its operations by name; those of its arguments are placeholders.
    arguments: their names. results: names of the tensors that it returns.
    """

    graph: GraphDef
    nodes: Mapping[str, NodeDef]
    arguments: tuple[str, ...]
    results: tuple[str, ...]

    @classmethod
    def of(cls, name: str, library: GraphDef) -> Called | None:
        """The function of this name; None if the library does not have it. library: a graph that calls it."""
        function = next((f for f in library.library.function if f.signature.name == name), None)
        if function is None:
            return None
        graph = tf.compat.v1.GraphDef(versions=library.versions, library=library.library)
        call = graph.node.add(name="call", op="PartitionedCall")
        call.attr["f"].func.name = name
        arguments = tuple(f"argument_{i}" for i in range(len(function.signature.input_arg)))
        for argument, signature in zip(arguments, function.signature.input_arg, strict=True):
            graph.node.add(name=argument, op="Placeholder").attr["dtype"].type = signature.type
            call.input.append(argument)
        nodes, moved = inlined(graph)
        results = [f"call:{i}" for i in range(len(function.signature.output_arg))]
        return cls(graph, nodes, arguments, tuple(full(moved[result]) for result in results))

    def within(self, name: str) -> Called | None:
        """A function that one of its operations runs, such as the body of a loop."""
        return Called.of(name, self.graph)

    def obstacle(self, tensor: str) -> str | None:
        """Why a tensor of the body cannot be computed apart from the call, in words; None if it can."""
        if writing := next((n for n in self.nodes.values() if n.op.startswith(_WRITING)), None):
            return f"which changes something when it runs ({writing.op})"
        behind = self._behind(tensor)
        if called := next((n for n in behind.values() if n.op in CALLS), None):
            return f"of which a part is not at hand ({called.name})"
        if own := next((n for n in behind.values() if changes_the_derivative(n, self.nodes)), None):
            return f"with a gradient of its own in it ({own.name})"
        return None

    def laid_out(self, tensor: str, arguments: Sequence[Tensor], replaced: Mapping[str, str]) -> Tensor:
        """In the graph that is being traced: a tensor of the body, without the call.

        arguments: what the function is called with.
        replaced:  tensors of the body, and others that are put in their place.
        """
        part, nodes = tf.compat.v1.GraphDef(versions=self.graph.versions), self._rewired(replaced)
        behind = self._behind(tensor, replaced)
        given = {
            f"{name}:0": _here(value)
            for name, value in zip(self.arguments, arguments, strict=True)
            if name in behind
        }
        wanted = replaced.get(tensor, tensor)
        if wanted in given:  # an argument that is handed on as it is
            return given[wanted]
        # Not the placeholders, which would be left over: XLA has none.
        part.node.extend(nodes[name] for name in behind if f"{name}:0" not in given)
        for node in part.node:
            strip(node)
            wait_for_nothing(node)
        carry_library(self.graph, part)
        (found,) = tf.graph_util.import_graph_def(
            fresh(part), input_map=given, return_elements=[wanted], name="laid_out"
        )
        return found

    def _rewired(self, replaced: Mapping[str, str]) -> Mapping[str, NodeDef]:
        if not replaced:
            return self.nodes
        nodes = {}
        for name, node in self.nodes.items():
            nodes[name] = copy = tf.compat.v1.NodeDef()
            copy.CopyFrom(node)
            for i, source in enumerate(data_inputs(node)):
                copy.input[i] = replaced.get(full(source), source)
        return nodes

    def _behind(self, tensor: str, replaced: Mapping[str, str] | None = None) -> dict[str, NodeDef]:
        """The operations that a tensor is computed from."""
        replaced = replaced or {}
        found: dict[str, NodeDef] = {}
        waiting = [tensor]
        while waiting:
            source = full(waiting.pop())
            name = op_name(replaced.get(source, source))
            if name not in found:
                found[name] = self.nodes[name]
                waiting += data_inputs(self.nodes[name])
        return found


def redone(op: Operation, which: int, tensor: Tensor, output: int) -> Tensor:
    """An operation once more, in the graph that is being traced, with another tensor as one of its inputs.

    which: number of the input. output: number of the output that is given back.
    """
    graph = tf.compat.v1.GraphDef()
    node = graph.node.add()
    node.CopyFrom(op.node_def)
    node.name = "again"
    strip(node)
    wait_for_nothing(node)
    given = {}
    for i, before in enumerate(op.inputs):
        node.input[i] = f"input_{i}"
        given[f"input_{i}:0"] = _here(tensor if i == which else before)
    (found,) = tf.graph_util.import_graph_def(
        graph, input_map=given, return_elements=[f"again:{output}"], name="again"
    )
    return found


def _here(tensor: Tensor) -> Tensor:
    # A tensor from outside of a loop is captured by operations alone, not by an import.
    return tf.identity(tensor) if tensor.graph is not tf.compat.v1.get_default_graph() else tensor
