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

# Those that let a tensor pass where a comparison says so: elementwise if it is a comparison of the tensor itself.
GATES = ("Mul", "MulNoNan", "Select", "SelectV2")
_COMPARISONS = ("Greater", "GreaterEqual", "Less", "LessEqual")

# Those that are made of straight lines.
STRAIGHT = (
    "Relu", "Relu6", "LeakyRelu", "Abs", "Maximum", "Minimum", "Round", "Rint", "Floor", "Ceil", "Sign", *GATES,
)  # fmt: skip

_INSIDE = {
    *RELU_LIKE, *SMOOTH, *BINARY, "Add", "AddV2", "Sub", "Mul", "Neg", "Identity", "Cast", "StopGradient",
}  # fmt: skip


def own_gate(op: Operation) -> int | None:
    """Which input a gate lets pass where that itself is large or small, as in where(x > 0, x, 0); None if it is no such gate."""
    if op.type not in GATES:
        return None
    is_choice = op.type.startswith("Select")
    for which in (1, 2) if is_choice else (0, 1):
        deciding = op.inputs[0 if is_choice else 1 - which].op
        while deciding.type in ("Cast", "Identity"):
            deciding = deciding.inputs[0].op
        compared = [tensor.name for tensor in deciding.inputs] if deciding.type in _COMPARISONS else []
        if op.inputs[which].name in compared:
            return which
    return None


def mirrored_half(op: Operation) -> Tensor | None:
    """The slope below zero of relu(x) + a relu(-x), as Keras writes its PReLU, at the second ReLU; None at any other operation."""
    if op.type != "Relu" or op.inputs[0].op.type != "Neg":
        return None
    argument = op.inputs[0].op.inputs[0].name
    for product in op.outputs[0].consumers():
        if product.type != "Mul":
            continue
        halves = [
            half.op
            for after in product.outputs[0].consumers()
            if after.type == "AddV2"
            for half in after.inputs
        ]
        if any(half.type == "Relu" and half.inputs[0].name == argument for half in halves):
            return next(tensor for tensor in product.inputs if tensor.name != op.outputs[0].name)
    return None


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
