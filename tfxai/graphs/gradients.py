"""Gradients that the maker of an operation registered, where only the operations are left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs.tensor_names import op_name

OWN = "_gradient_op_type"  # the attribute that names a gradient
CAPTURED = "_tfxai_captured"  # the attribute that tells how many tensors a saved gradient captured
SAVED = b"tfxai.saved."  # what the names begin with of those that a SavedModel keeps


_REGISTERED: set[str] = set()


def registered(name: str, rule: Callable[..., Any]) -> str:
    """The name of a gradient, after TensorFlow has learnt the rule under it: it takes a name only once in a process."""
    if name not in _REGISTERED:
        tf.RegisterGradient(name)(rule)
        _REGISTERED.add(name)
    return name


def differentiable_as_it_is(node: NodeDef) -> None:
    """Takes away the gradient that its maker registered, if nothing but its name is left.

    The wrapper of such a function (silu ...) hands on the result and the argument: going back by the first is exact.
    """
    if node.op != "IdentityN" or OWN not in node.attr:
        node.attr.pop(OWN, None)
    elif not node.attr[OWN].s.startswith(SAVED):
        node.attr[OWN].s = AS_IT_IS.encode()


# The gradient of an IdentityN without a mark: each result's goes back into the function that it wraps.
AS_IT_IS = "tfxai.as_it_is"
tf.RegisterGradient(AS_IT_IS)(lambda op, *incoming: list(incoming))


def changes_the_derivative(node: NodeDef, nodes: Mapping[str, NodeDef]) -> bool:
    """Whether an operation may have a gradient of its own that is not the derivative: silu's is, others are not known."""
    if node.op != "IdentityN" or OWN not in node.attr or node.attr[OWN].s == AS_IT_IS.encode():
        return False
    result = nodes[op_name(node.input[0])]
    factors = [nodes[op_name(name)].op for name in result.input] if result.op == "Mul" else []
    return "Sigmoid" not in factors
