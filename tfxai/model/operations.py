"""Which operations of a graph lie between tensors."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfxai.support import Operation, Tensor


def operations_behind(
    tensors: Sequence[Tensor], differentiable: bool = False, through_shapes: bool = True
) -> set[Operation]:
    """Every operation that the tensors are computed from, their own included.

    differentiable: only what a gradient can go back to, so not through indices and conditions.
    through_shapes: also what only the shape of depends on.
    """
    operations, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in operations and (through_shapes or op.type not in ("Shape", "ShapeN", "Size", "Rank")):
            operations.add(op)
            waiting += [tensor.op for tensor in op.inputs if not differentiable or _carries_gradient(tensor)]
    return operations


def operations_ahead(tensors: Sequence[Tensor], differentiable: bool = False) -> set[Operation]:
    """Every operation that depends on one of the tensors.

    differentiable: only what a gradient can come back from, so not through indices and conditions.
    """
    operations, waiting = set(), [op for tensor in tensors for op in tensor.consumers()]
    while waiting:
        op = waiting.pop()
        if op not in operations:
            operations.add(op)
            outputs = [tensor for tensor in op.outputs if not differentiable or _carries_gradient(tensor)]
            waiting += [consumer for tensor in outputs for consumer in tensor.consumers()]
    return operations


def _carries_gradient(tensor: Tensor) -> bool:
    # Variants are the lists that loops of RNNs fill.
    return tensor.dtype.is_floating or tensor.dtype == tf.variant
