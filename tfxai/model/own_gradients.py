"""Functions with a gradient of their own (tf.custom_gradient, tf.recompute_grad) in a traced graph.

TensorFlow writes the operations of such a function into the graph, and behind them an IdentityN of (results,
arguments, variables) that carries the name of the gradient: a gradient goes from the results straight to the arguments.
Laid out from a file, what its gradient captured comes after them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.framework import ops as framework

from tfxai.graphs import AS_IT_IS, CAPTURED, OWN
from tfxai.support import Operation, Tensor


def gradient_mark(op: Operation) -> str | None:
    """The name of the gradient that an operation was told to have, if it was."""
    if op.type != "IdentityN":
        return None
    marked = [value for name, value in op.node_def.attr.items() if name == OWN]
    return marked[0].s.decode() if marked else None


def is_wrapper(op: Operation) -> bool:
    """Whether an operation stands behind a function with a gradient of its own, opened or not."""
    return gradient_mark(op) is not None


def has_own_gradient(op: Operation) -> bool:
    """Whether a gradient jumps from the operation to the arguments of a function, past what lies in it."""
    return gradient_mark(op) not in (None, AS_IT_IS)


def results_of(op: Operation) -> int:
    """How many of a wrapper's tensors are results; arguments and variables come after them, and nothing reads those."""
    used = [
        i
        for i, output in enumerate(op.outputs)
        if any(reader.type != "ZerosLike" for reader in output.consumers())  # those are gradients' own
    ]
    return 1 + max(used, default=0)


def arguments_of(op: Operation) -> list[Tensor]:
    """What a wrapped function was called on, and its variables; not what a saved gradient captured, which gets none."""
    return list(op.inputs)[results_of(op) : len(op.inputs) - op.node_def.attr[CAPTURED].i]


def open_recomputed(graph: tf.Graph) -> None:
    """Opens functions of tf.recompute_grad: theirs is the gradient of what lies in them.

    It is only computed in another way, to save memory, and layers inside can be read once they are open.
    """
    for op in graph.get_operations():
        mark = gradient_mark(op)
        if mark is not None and _is_recomputed(mark):
            op._set_attr(OWN, tf.compat.v1.AttrValue(s=AS_IT_IS.encode()))


def _is_recomputed(mark: str) -> bool:
    try:
        function = framework.gradient_registry.lookup(mark)
    except LookupError:
        return False
    names, waiting = [], [function]
    for _ in range(3):  # the registered function holds one that holds the gradient
        waiting = [value for each in waiting for value in _held_functions(each)]
        names += [each.__qualname__ for each in waiting]
    return any(name.startswith("recompute_grad.") for name in names)


def _held_functions(function: Callable[..., object]) -> list[Callable[..., object]]:
    return [
        value for value in inspect.getclosurevars(function).nonlocals.values() if inspect.isfunction(value)
    ]
