"""A graph as a text by which it is known again, and the weights that are written into it."""

from __future__ import annotations

from collections.abc import Container

import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.graph_pb2 import GraphDef

SMALL = 16  # numbers from which a constant is a weight; shapes, axes and factors are smaller


def constants_of(graph: GraphDef) -> dict[str, NDArray]:
    """Name of an operation -> its floating numbers, of every constant that is large enough to be a weight."""
    found = {}
    for node in graph.node:
        if node.op == "Const" and tf.as_dtype(node.attr["dtype"].type).is_floating:
            array = tf.make_ndarray(node.attr["value"].tensor)
            if array.size >= SMALL:
                found[node.name] = array
    return found


def structure_of(graph: GraphDef, weights: Container[str]) -> str:
    """Every operation with its inputs and settings, in the order of their names, and the functions of loops.

    weights: constants whose numbers are left out.
    """
    lines = []
    for node in graph.node:
        if node.name in weights:
            bare = type(node)(name=node.name, op=node.op, input=node.input)
            lines.append(bare.SerializeToString(deterministic=True).hex())
        else:
            lines.append(node.SerializeToString(deterministic=True).hex())
    functions = [function.SerializeToString(deterministic=True).hex() for function in graph.library.function]
    return "\n".join([*sorted(lines), *sorted(functions)])
