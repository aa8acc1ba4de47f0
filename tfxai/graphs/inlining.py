"""Called functions laid out in place of their calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

import tensorflow as tf
from tensorflow.core.framework.function_pb2 import FunctionDef
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import function_def_to_graph

from tfxai.graphs.saved_gradients import SavedGradient
from tfxai.graphs.stripping import data_inputs
from tfxai.graphs.tensor_names import full, op_name

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


def inlined(graph: GraphDef, gradients: Set[str] = frozenset()) -> tuple[dict[str, NodeDef], dict[str, str]]:
    """All nodes by name, with the bodies of called functions in place of the calls; and tensors that have moved.

    The second is {the output of a call: the tensor in the body that it is now}.

    gradients: names of those that TensorFlow registered when it loaded the graph's file. Others are of something else.
    """
    inliner = _Inliner(graph, gradients)
    inliner.add(graph.node, "", {})
    inliner.connect()
    return inliner.nodes, {tensor: inliner.now(tensor) for tensor in inliner.moved}


class _Inliner:
    """Lays out one graph.

    functions: of its library, by name. gradients: names of those that its file keeps.
    nodes: those laid out so far.
    moved: output of a call -> tensor in the body, which may be a call's output itself.
    given: prefix of a body -> the tensors that stand for its arguments.
    wrappers: those with a gradient that the file keeps, by name, with the prefix of the body that they lie in.
    """

    def __init__(self, graph: GraphDef, gradients: Set[str]) -> None:
        self.gradients = gradients
        self.functions = {function.signature.name: function for function in graph.library.function}
        self.nodes: dict[str, NodeDef] = {}
        self.moved: dict[str, str] = {}
        self.given: dict[str, Mapping[str, str]] = {}
        self.wrappers: dict[str, tuple[SavedGradient, str]] = {}

    def add(self, nodes: Iterable[NodeDef], prefix: str, arguments: Mapping[str, str]) -> None:
        """Copies nodes under a prefix, calls replaced by what they call.

        arguments: the tensors that stand for the arguments of the function whose body this is.
        """
        self.given[prefix] = arguments
        for original in nodes:
            node = tf.compat.v1.NodeDef()
            node.CopyFrom(original)
            node.name = prefix + node.name
            for i, name in enumerate(node.input):
                if name.startswith("^"):
                    node.input[i] = f"^{op_name(arguments.get(name[1:], prefix + name[1:]))}"
                else:
                    node.input[i] = arguments.get(full(name), prefix + name)
            called = node.attr["f"].func.name if node.op in CALLS else node.op
            if called in self.functions:
                self._add_body(node, self.functions[called])
            else:
                self.nodes[node.name] = node
                if (gradient := SavedGradient.of(node, self.gradients)) is not None:
                    self.wrappers[node.name] = gradient, prefix

    def _add_body(self, call: NodeDef, function: FunctionDef) -> None:
        """The body of a called function; its results take the place of the call's outputs."""
        body, flat_names = function_def_to_graph.function_def_to_graph_def(function)
        given = zip(function.signature.input_arg, data_inputs(call), strict=True)
        arguments = {argument.name: tensor for argument, tensor in given}
        numbered = {f"{name}:0": tensor for name, tensor in arguments.items()}
        inner = [node for node in body.node if node.name not in arguments]
        self.add(inner, f"{call.name}/", {**numbered, **arguments})
        for i, result in enumerate(function.signature.output_arg):
            tensor = full(flat_names.get(function.ret[result.name], function.ret[result.name]))
            self.moved[f"{call.name}:{i}"] = numbered.get(tensor, f"{call.name}/{tensor}")

    def connect(self) -> None:
        """Makes every node read tensors where they are now, and wait for no call that is gone."""
        for name, (gradient, prefix) in self.wrappers.items():
            captured = [self._seen_from(prefix, tensor) for tensor in gradient.captured]
            if None not in captured:
                gradient.set_on(self.nodes[name], [tensor for tensor in captured if tensor is not None])
        for node in self.nodes.values():
            inputs = []
            for name in node.input:
                if not name.startswith("^"):
                    inputs.append(self.now(full(name)))
                elif name[1:] in self.nodes:
                    inputs.append(name)
            del node.input[:]
            node.input.extend(inputs)

    def _seen_from(self, prefix: str, tensor: str) -> str | None:
        """A tensor of the body with this prefix, or of the bodies that it is called in; None if it is in none of them."""
        while True:
            if prefix in self.given:  # no scope of names between two bodies
                if tensor in self.given[prefix]:
                    return self.given[prefix][tensor]
                if op_name(prefix + tensor) in self.nodes or prefix + tensor in self.moved:
                    return prefix + tensor
            if not prefix:
                return None
            prefix = prefix[: prefix.rstrip("/").rfind("/") + 1]

    def now(self, tensor: str) -> str:
        """The tensor that an output of a call has become, through all calls."""
        while tensor in self.moved:
            tensor = full(self.moved[tensor])
        return tensor
