"""What layer-wise relevance propagation does in transformers (AttnLRP): told by operations, not by families of models.

A statistic that a normalisation divides by hands nothing back; nor does the gate of a function such as GELU, which is made of
the same tensor as what it lets through. Two tensors that are multiplied share what comes, half and half. A softmax and its
logarithm hand back their derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfxai.engines.backward import BATCH_NORMS, PRODUCTS, Rule
from tfxai.engines.elementwise import RELU_LIKE, SMOOTH
from tfxai.model import again
from tfxai.support import Operation, PerInput, Tensor

_ROOTS = ("Rsqrt", "Sqrt", "Reciprocal", "Inv")
_SQUARES = ("Square", "SquaredDifference")
_PASSING = ("Identity", "Cast", "Reshape", "BroadcastTo", "ExpandDims", "Squeeze", "Tile")
_ELEMENTWISE = ("Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "Neg", "Pow")


def attention_rules(shared: Rule) -> Mapping[str, Rule]:
    """The rules for operations with more than weights in them. shared: that of a product of two that both change."""
    return {
        **dict.fromkeys(PRODUCTS, product_rule(shared, constant_factor)),
        **dict.fromkeys(("RealDiv", "Div", "DivNoNan"), _quotient),
        **dict.fromkeys(BATCH_NORMS, _normalised),
        "Softmax": _softmax,
        "LogSoftmax": _log_softmax,
    }


def product_rule(shared: Rule, constant_of: Callable[[Operation], int | None]) -> Rule:
    """The rule of a product of which one factor may hand nothing back. shared: where none is such a one."""

    def product(op: Operation, incoming: Tensor) -> PerInput:
        constant = constant_of(op)
        if constant is None:
            return shared(op, incoming)
        moving = tf.identity(op.inputs[1 - constant])
        factors = [moving if i != constant else tensor for i, tensor in enumerate(op.inputs)]
        back = tf.gradients(again(op, *factors), moving, grad_ys=incoming)[0]
        return [None if i == constant else back for i in range(2)]

    return product


def constant_factor(op: Operation) -> int | None:
    """Which of two factors hands nothing back: a statistic of a normalisation, or the gate of the other one."""
    if op.type not in ("Mul", "MulNoNan"):
        return None
    for which in (0, 1):
        if is_statistic(op.inputs[which]):
            return which
    return gate(op)


def gate(op: Operation) -> int | None:
    """Which of two factors is a function of the other one alone, as in z * sigmoid(z): together they are one function of it."""
    if op.type not in ("Mul", "MulNoNan"):
        return None
    for which in (0, 1):
        if _is_made_of(op.inputs[which], _scaled(op.inputs[1 - which])):
            return which
    return None


def is_statistic(tensor: Tensor) -> bool:
    """Whether a tensor is the root of a mean or sum of squares, or one over it, times or plus what does not change."""
    op = _before(tensor)
    if op.type in ("Reciprocal", "Inv"):
        return is_statistic(op.inputs[0])
    is_root = op.type in _ROOTS or (op.type == "Pow" and _exponent(op) in (0.5, -0.5))
    return is_root and _is_of_squares(op.inputs[0])


def _exponent(op: Operation) -> float | None:
    number = tf.get_static_value(op.inputs[1])
    return float(number) if number is not None and number.size == 1 else None


def _is_of_squares(tensor: Tensor) -> bool:
    """Whether a tensor is a mean or sum of squares, also as E[x^2] - E[x]^2."""
    op = _before(tensor)
    if op.type == "Sub":
        return _is_of_squares(op.inputs[0])
    if op.type not in ("Mean", "Sum"):
        return False
    squared = _before(op.inputs[0])
    same = squared.type == "Mul" and squared.inputs[0].name == squared.inputs[1].name
    return squared.type in _SQUARES or same or (squared.type == "Pow" and _exponent(squared) == 2)


def _before(tensor: Tensor) -> Operation:
    """The operation that a tensor comes from, before it is reshaped, or scaled, shifted or bounded by what is fixed."""
    while True:
        op = tensor.op
        if op.type in _PASSING or (op.type in _ELEMENTWISE and op.type != "Pow" and _varying(op) == [0]):
            tensor = op.inputs[0]
        elif op.type in _ELEMENTWISE and op.type not in ("RealDiv", "Pow", "Sub") and _varying(op) == [1]:
            tensor = op.inputs[1]
        else:
            return op


def _varying(op: Operation) -> list[int]:
    return [i for i, tensor in enumerate(op.inputs) if not _is_fixed(tensor)]


def _is_fixed(tensor: Tensor) -> bool:
    """Whether a tensor is a number, or a weight in some other shape."""
    op = tensor.op
    while op.type in (*_PASSING, "ReadVariableOp", "Neg") and len(op.inputs) > 0:
        if op.type == "ReadVariableOp":
            return True
        op = op.inputs[0].op
    if op.type == "Const":
        return True
    captured = {each.op.name for each in getattr(tensor.graph, "internal_captures", ())}
    return op.type == "Placeholder" and op.name in captured


def _scaled(tensor: Tensor) -> str:
    """The name of the tensor that another is, times a number."""
    while tensor.op.type in ("Mul", "RealDiv", "Identity", "Cast"):
        varying = [0] if tensor.op.type in ("Identity", "Cast") else _varying(tensor.op)
        if len(varying) != 1 or (tensor.op.type == "RealDiv" and varying != [0]):
            break
        tensor = tensor.op.inputs[varying[0]]
    return tensor.name


def _is_made_of(tensor: Tensor, source: str) -> bool:
    """Whether a tensor is an elementwise function of the one with this name, and of nothing else that changes."""
    waiting, seen = [tensor], set()
    while waiting:
        one = waiting.pop()
        if one.name in seen or _is_fixed(one):
            continue
        seen.add(one.name)
        if one.name != source:
            if one.op.type not in (*SMOOTH, *RELU_LIKE, *_ELEMENTWISE, "ClipByValue", "Identity", "Cast"):
                return False
            waiting += one.op.inputs
    return source in seen and _scaled(tensor) != source


def _quotient(op: Operation, incoming: Tensor) -> PerInput:
    """x / y: all to x where y is a statistic, or made of x; else a product of x and 1 / y, which share."""
    x, y = (tf.identity(tensor) for tensor in op.inputs)
    to_x, to_y = tf.gradients(again(op, x, y), [x, y], grad_ys=incoming)
    if is_statistic(op.inputs[1]) or _is_made_of(op.inputs[1], _scaled(op.inputs[0])):
        return [to_x, None]
    # The derivative to y is -x / y^2; what hands the half of x / y back to y is half of x / y^2.
    return [to_x / 2, -to_y / 2]


def _softmax(op: Operation, incoming: Tensor) -> Tensor:
    """Its Taylor expansion (proposition 3.1) times the input is its derivative times the input."""
    chances = op.outputs[0]
    return (incoming - tf.reduce_sum(incoming * chances, -1, keepdims=True)) * chances


def _log_softmax(op: Operation, incoming: Tensor) -> Tensor:
    """Its derivative, as of a softmax."""
    return incoming - tf.reduce_sum(incoming, -1, keepdims=True) * tf.exp(op.outputs[0])


def _normalised(op: Operation, incoming: Tensor, *others: Tensor) -> PerInput:
    """(x - mean) / deviation, as one operation: the deviation hands nothing back."""
    last = op.get_attr("data_format") in (b"NHWC", b"NDHWC")
    rank = op.inputs[0].shape.rank
    axes = list(range(rank - 1)) if last else [i for i in range(rank) if i != 1]
    x = tf.identity(op.inputs[0])
    scale = tf.reshape(op.inputs[1], [-1 if i not in axes else 1 for i in range(rank)])
    variance = tf.math.reduce_variance(tf.cast(op.inputs[0], tf.float32), axes, keepdims=True)
    factor = tf.cast(scale * tf.math.rsqrt(variance + op.get_attr("epsilon")), x.dtype)
    back = tf.gradients((x - tf.reduce_mean(x, axes, keepdims=True)) * factor, x, grad_ys=incoming)[0]
    return [back, *(None for _ in op.inputs[1:])]
