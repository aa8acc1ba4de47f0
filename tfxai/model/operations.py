"""Which operations of a graph lie between tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def operations_behind(
    tensors: Sequence[Any], differentiable: bool = False, through_shapes: bool = True
) -> set[Any]:
    """Every operation that the tensors are computed from, their own included.

    differentiable: only what a gradient can go back to, so not through indices and conditions.
    through_shapes: also what only the shape of depends on.
    """
    found, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in found and (through_shapes or op.type not in ("Shape", "ShapeN", "Size", "Rank")):
            found.add(op)
            waiting += [tensor.op for tensor in op.inputs if not differentiable or _carries_gradient(tensor)]
    return found


def operations_ahead(tensors: Sequence[Any], differentiable: bool = False) -> set[Any]:
    """Every operation that depends on one of the tensors.

    differentiable: only what a gradient can come back from, so not through indices and conditions.
    """
    found, waiting = set(), [op for tensor in tensors for op in tensor.consumers()]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            outputs = [tensor for tensor in op.outputs if not differentiable or _carries_gradient(tensor)]
            waiting += [consumer for tensor in outputs for consumer in tensor.consumers()]
    return found


def _carries_gradient(tensor: Any) -> bool:
    return (
        tensor.dtype.is_floating or tensor.dtype == tf.variant
    )  # variants: the lists that loops of RNNs fill
