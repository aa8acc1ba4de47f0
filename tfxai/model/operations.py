"""Which operations of a graph lie between tensors, and one of them on other inputs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxai.graphs import CALLS
from tfxai.model.own_gradients import arguments_of, has_own_gradient
from tfxai.support import Operation, Structure, Tensor

# Operations that read nothing of a tensor but its shape.
OF_SHAPE = ("Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike")

# Compiled functions, loops and conditions, into which nothing outside reaches.
SEALED = (*CALLS, "While", "StatelessWhile", "If", "StatelessIf", "Case", "StatelessCase")

# Operations through which no gradient goes, although their output is made of their input's values.
BARRIERS = ("StopGradient", "PreventGradient")


def tensors_in(structure: Structure) -> list[Tensor]:
    """The tensors of a structure, without what is none: a cache that is not kept."""
    return [each for each in tf.nest.flatten(structure) if tf.is_tensor(each)]


def operations_behind(
    tensors: Sequence[Tensor], differentiable: bool = False, values_only: bool = False
) -> set[Operation]:
    """Every operation that the tensors are computed from, their own included.

    differentiable: only what a gradient can go back to, so not through indices and conditions, nor what lies inside a
                    function with a gradient of its own.
    values_only: not what only a shape or a condition (a mask, say) depends on.
    """
    operations, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in operations and not (values_only and op.type in OF_SHAPE):
            operations.add(op)
            waiting += [
                tensor.op
                for tensor in (differentiable_inputs(op) if differentiable else op.inputs)
                if not (values_only and tensor.dtype == tf.bool)
            ]
    return operations


def operations_ahead(
    tensors: Sequence[Tensor], differentiable: bool = False, values_only: bool = False
) -> set[Operation]:
    """Every operation that depends on one of the tensors.

    differentiable: only what a gradient can come back from, so not through indices and conditions.
    values_only: not what only depends on a shape.
    """
    operations, waiting = set(), [op for tensor in tensors for op in tensor.consumers()]
    while waiting:
        op = waiting.pop()
        if op not in operations and not (values_only and op.type in OF_SHAPE):
            operations.add(op)
            outputs = [tensor for tensor in op.outputs if not differentiable or carries_gradient(tensor)]
            waiting += [consumer for tensor in outputs for consumer in tensor.consumers()]
    return operations


def differentiable_inputs(op: Operation) -> list[Tensor]:
    """The inputs of an operation to which a gradient goes back."""
    if op.type in BARRIERS:
        return []
    inputs = arguments_of(op) if has_own_gradient(op) else op.inputs
    return [tensor for tensor in inputs if carries_gradient(tensor)]


def carries_gradient(tensor: Tensor) -> bool:
    """Whether a gradient can go back to a tensor, by its type."""
    # Variants are the lists that loops of RNNs fill.
    return tensor.dtype.is_floating or tensor.dtype.is_complex or tensor.dtype == tf.variant


def again(op: Operation, *inputs: Tensor) -> Any:
    """The same operation on other inputs: its output, or a list of them."""
    # Types follow from the inputs, but for those of a Cast and the like.
    inferred = {
        name for argument in op.op_def.input_arg for name in (argument.type_attr, argument.type_list_attr)
    }
    attributes: dict[str, Any] = {
        attribute.name: op.get_attr(attribute.name)
        for attribute in op.op_def.attr
        if attribute.name not in inferred and not attribute.name.startswith("_")
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


def read_instead(old: Tensor, new: Tensor) -> None:
    """Makes all that reads a tensor read another one, but for what that is made by."""
    for reader in old.consumers():
        for index, tensor in enumerate(reader.inputs):
            if tensor.name == old.name and reader is not new.op:
                reader._update_input(index, new)


def called_graph(op: Operation) -> Any:
    """The graph of the function that an operation calls; None if it cannot be had."""
    functions: Any = getattr(op.graph, "_functions", {})  # of a graph that is being traced, by name
    return getattr(functions.get(op.get_attr("f").name), "graph", None)
