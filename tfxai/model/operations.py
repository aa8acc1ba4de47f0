"""Which operations of a graph lie between tensors, and one of them on other inputs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxai.support import Operation, Tensor

# Operations that read nothing of a tensor but its shape.
OF_SHAPE = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")


def operations_behind(
    tensors: Sequence[Tensor], differentiable: bool = False, values_only: bool = False
) -> set[Operation]:
    """Every operation that the tensors are computed from, their own included.

    differentiable: only what a gradient can go back to, so not through indices and conditions.
    values_only: not what only a shape or a condition (a mask, say) depends on.
    """
    operations, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in operations and not (values_only and op.type in OF_SHAPE):
            operations.add(op)
            waiting += [
                tensor.op
                for tensor in op.inputs
                if (not differentiable or _carries_gradient(tensor))
                and not (values_only and tensor.dtype == tf.bool)
            ]
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


def again(op: Operation, *inputs: Tensor) -> Any:
    """The same operation on other inputs: its output, or a list of them."""
    attributes: dict[str, Any] = {
        attribute.name: op.get_attr(attribute.name)
        for attribute in op.op_def.attr
        if attribute.type not in ("type", "list(type)") and not attribute.name.startswith("_")
    }
    attributes = {
        name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()
    }
    rest = list(inputs)
    given: dict[str, Any] = {}
    for argument in op.op_def.input_arg:
        # Some take one argument that is a list, such as Einsum.
        count = attributes.pop(argument.number_attr) if argument.number_attr else None
        given[argument.name] = rest.pop(0) if count is None else [rest.pop(0) for _ in range(count)]
    given |= attributes
    function = getattr(tf.raw_ops, op.type)
    # Axes have another name in Python with some operations, such as reductions and Squeeze: then one is left over.
    expected = [name for name in inspect.signature(function).parameters if name not in given]
    renamed = {name: expected.pop(0) for name in given if name not in inspect.signature(function).parameters}
    return function(**{renamed.get(name, name): value for name, value in given.items()})
