"""A part of a graph that is being traced, to run apart from it."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef

from tfxai.graphs.library import carry_library, fresh
from tfxai.graphs.stripping import wait_for_nothing
from tfxai.support import Operation, Tensor


def apart(tensor: Tensor, sources: set[str], rows: int) -> tuple[dict[str, Tensor], GraphDef]:
    """What stands between a tensor and its sources, and what it takes in beside them: {name of a placeholder: value}.

    sources: names of tensors. rows: the length of axes that are open, of arguments of the trace; these are zeros.

    Raises ValueError if it takes something in from a graph around this one, whose value is not known.
    """
    operations = _between(tensor, sources)
    part = tf.compat.v1.GraphDef(versions=tensor.graph.graph_def_versions)
    for op in operations:
        node = part.node.add()
        node.CopyFrom(op.node_def)
        wait_for_nothing(node)
    carry_library(tensor.graph.as_graph_def(), part)
    captured = {inner.op.name: outer for outer, inner in getattr(tensor.graph, "captures", ())}
    given: dict[str, Tensor] = {}
    for op in operations:
        if op.type == "Placeholder":
            argument = op.outputs[0]
            given[argument.name] = captured[op.name] if op.name in captured else _zeros(argument, rows)
    if any(not hasattr(value, "numpy") for value in given.values()):
        raise ValueError("What stands between belongs to a graph around this one.")
    return given, fresh(part)


def _zeros(argument: Tensor, rows: int) -> Tensor:
    with tf.init_scope():
        return tf.zeros([n or rows for n in argument.shape], argument.dtype)


def _between(tensor: Tensor, sources: set[str]) -> list[Operation]:
    operations: dict[str, Operation] = {}
    waiting = [tensor]
    while waiting:
        each = waiting.pop()
        if each.op.name not in operations:
            operations[each.op.name] = each.op
            waiting += [before for before in each.op.inputs if before.name not in sources]
    return [*operations.values()]
