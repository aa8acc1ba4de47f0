"""Elementwise functions in a graph: which operations are some, and which wrapped functions are made of nothing else."""

from __future__ import annotations

from collections.abc import Callable

from tfxai.model import again, has_own_gradient, is_wrapper, results_of
from tfxai.support import Operation, Tensor

# Functions of one number that act as a gate.
RELU_LIKE = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu")

# Elementwise functions of one tensor, beside those that look like a ReLU.
SMOOTH = (
    "Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Square", "Reciprocal",
    "Inv", "Erf", "Erfc", "Abs", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh",
    "Digamma", "Lgamma", "Ndtri", "Erfinv", "Round", "Rint", "Floor", "Ceil", "Sign",
)  # fmt: skip

# Functions of two tensors, elementwise in one of them where the other does not change.
BINARY = ("Pow", "Maximum", "Minimum", "RealDiv", "Div", "DivNoNan", "Xdivy", "Xlogy", "Atan2")

# Those that are made of straight lines.
STRAIGHT = (
    "Relu", "Relu6", "LeakyRelu", "Abs", "Maximum", "Minimum", "Round", "Rint", "Floor", "Ceil", "Sign",
)  # fmt: skip

_INSIDE = {
    *RELU_LIKE, *SMOOTH, *BINARY, "Add", "AddV2", "Sub", "Mul", "Neg", "Identity", "Cast", "StopGradient",
}  # fmt: skip


def wrapped_function(op: Operation) -> Callable[[Tensor], Tensor] | None:
    """The function of one argument that a wrapper stands behind, if that is elementwise: silu and the like.

    It is read off the operations inside: they must be elementwise, of the one argument and of single numbers.
    None for any other function, of which only its own gradient is known.
    """
    if not is_wrapper(op) or results_of(op) != 1 or len(op.inputs) < 2:
        return None
    value, argument = op.inputs[:2]
    if value.shape.rank is None or value.shape.as_list() != argument.shape.as_list():
        return None
    inside = _between(value, argument)
    if inside is None or all(tensor is not argument for each in inside for tensor in each.inputs):
        return None
    return lambda x: _replayed(value, {argument.name: x}, inside)


def is_sealed(op: Operation) -> bool:
    """Whether an operation stands behind a function of which only its own gradient is known."""
    return has_own_gradient(op) and wrapped_function(op) is None


def _between(value: Tensor, argument: Tensor) -> set[Operation] | None:
    """The operations between them; None if one is not elementwise, or reads a tensor beside the argument."""
    inside: set[Operation] = set()
    waiting = [value]
    while waiting:
        tensor = waiting.pop()
        if (
            tensor is argument
            or tensor.op in inside
            or (tensor.shape.num_elements() == 1 and _is_fixed(tensor))
        ):
            continue
        if tensor.op.type not in _INSIDE:
            return None
        inside.add(tensor.op)
        waiting += tensor.op.inputs
    return inside


def _is_fixed(tensor: Tensor) -> bool:
    op = tensor.op
    while op.type in ("Identity", "Cast", "ReadVariableOp") and len(op.inputs) > 0:
        op = op.inputs[0].op
    return len(op.inputs) == 0


def _replayed(tensor: Tensor, done: dict[str, Tensor], inside: set[Operation]) -> Tensor:
    """A tensor made again from other values of the argument."""
    if tensor.name in done:
        return done[tensor.name]
    if tensor.op not in inside:
        return tensor
    inputs = [_replayed(each, done, inside) for each in tensor.op.inputs]
    done[tensor.name] = again(tensor.op, *inputs)
    return done[tensor.name]
