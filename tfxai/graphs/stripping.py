"""What is taken off an operation that moves to another graph."""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs.gradients import differentiable_as_it_is

_HINTS = ("_class", "_output_shapes")  # colocation with nodes that may go, shapes of batches that may differ


def data_inputs(node: NodeDef) -> Sequence[str]:
    """The tensors that a node reads; after them comes what must have run before."""
    return [name for name in node.input if not name.startswith("^")]


def wait_for_nothing(node: NodeDef) -> None:
    """Takes away what must have run before."""
    del node.input[len(data_inputs(node)) :]


def strip(node: NodeDef) -> None:
    """Takes away what only held where the operation was: its device, hints, and a gradient of which only the name is left."""
    node.device = ""
    for hint in _HINTS:
        node.attr.pop(hint, None)
    differentiable_as_it_is(node)
