"""How many bytes the operations of a graph put out for each row of a batch, inside functions and loops, too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs.library import functions_of
from tfxai.graphs.tensor_names import op_name

NUMBER = 4  # bytes: what most are, and what half-precision ones become on a CPU
LOOPS = ("While", "StatelessWhile")
LONGEST = 10**6  # steps: what is larger is a bound that says nothing


def bytes_of_a_row(graph: GraphDef) -> int:
    """graph: with shapes (`as_graph_def(add_shapes=True)`). Of tensors (n, ...) with n rows of known size; others count nothing."""
    functions = {function.signature.name: function.node_def for function in graph.library.function}
    return _bytes(graph.node, functions)


def _bytes(nodes: Sequence[NodeDef], functions: Mapping[str, Sequence[NodeDef]]) -> int:
    named, total = {node.name: node for node in nodes}, 0
    for node in nodes:
        inside = [
            _bytes(functions[each.name], functions) for each in functions_of(node) if each.name in functions
        ]
        if node.op in LOOPS:
            inside = [size * _steps(node, named) for size in inside]
        if node.op in functions:  # a function of TensorFlow 1, called by its name
            inside.append(_bytes(functions[node.op], functions))
        own = sum(_size(shape) for shape in node.attr["_output_shapes"].list.shape)
        total += max(own, *inside, sum(inside)) if inside else own
    return total


def _size(shape: tf.compat.v1.TensorShape) -> int:
    sizes = [dim.size for dim in shape.dim]
    if shape.unknown_rank or not sizes or sizes[0] != -1 or -1 in sizes[1:]:
        return 0
    return NUMBER * math.prod(sizes[1:])


def _steps(loop: NodeDef, nodes: Mapping[str, NodeDef]) -> int:
    """Of a loop: as many as the longest list that goes through it, or the largest whole number at its beginning."""
    found = [1]
    for name in loop.input:
        node = nodes.get(op_name(name))
        if node is None:
            continue
        if node.op == "TensorListReserve":
            found.append(_whole_number(nodes.get(op_name(node.input[1]))))
        elif node.op == "TensorListFromTensor":
            shapes = (
                nodes[op_name(node.input[0])].attr["_output_shapes"].list.shape
                if op_name(node.input[0]) in nodes
                else ()
            )
            found += [shape.dim[0].size for shape in shapes if shape.dim]
        else:
            found.append(_whole_number(node))
    return max(each for each in found if each <= LONGEST)


def _whole_number(node: NodeDef | None) -> int:
    """What a constant says; 0 for what is none."""
    if node is None or node.op != "Const":
        return 0
    value = tf.make_ndarray(node.attr["value"].tensor)
    return int(value) if value.ndim == 0 and value.dtype.kind in "iu" else 0
