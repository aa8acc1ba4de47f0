"""The functions of a graph's library that its loops and conditions call."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.eager import context

_COPIES = itertools.count()


def carry_library(graph: GraphDef, to: GraphDef) -> None:
    """Copies the functions that the nodes of another graph still call."""
    functions = {function.signature.name: function for function in graph.library.function}
    wanted = _called(to.node)
    while wanted:
        name = wanted.pop()
        if name in functions:
            function = functions.pop(name)
            to.library.function.append(function)
            wanted |= _called(function.node_def)


def _called(nodes: Iterable[NodeDef]) -> set[str]:
    """Names of functions that these nodes may call, among them the types of all operations."""
    return {function.name for node in nodes for function in functions_of(node)} | {node.op for node in nodes}


def functions_of(node: NodeDef) -> list[Any]:
    """The functions that a node names in its attributes, those in lists too (the branches of a Case)."""
    named = [function for value in node.attr.values() for function in (value.func, *value.list.func)]
    return [function for function in named if function.name]


def fresh(graph: GraphDef) -> GraphDef:
    """The same graph with new names for the functions of its loops: TensorFlow takes a name only once in a process."""
    if not graph.library.function:
        return graph
    copy = tf.compat.v1.GraphDef()
    copy.CopyFrom(graph)
    number = next(_COPIES)
    renamed = {f.signature.name: f"{f.signature.name}_{number}" for f in graph.library.function}
    for function in copy.library.function:
        function.signature.name = renamed[function.signature.name]
    for node in [*copy.node, *(node for function in copy.library.function for node in function.node_def)]:
        node.op = renamed.get(node.op, node.op)
        for called in functions_of(node):
            called.name = renamed.get(called.name, called.name)
    eager: Any = context.context()  # where TensorFlow looks for them when the loop runs
    for function in copy.library.function:
        eager.add_function_def(function)
    return copy
