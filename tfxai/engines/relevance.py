"""The rules of layer-wise relevance propagation, as multipliers: relevance per unit of output in, per unit of input out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import tensorflow as tf

from tfxai.engines.attention import attention_rules, gate, product_rule
from tfxai.engines.backward import Rule, Rules, derivative
from tfxai.engines.rescale import Rescale
from tfxai.model import again, operations_behind
from tfxai.support import Operation, PerInput, Tensor

RelevanceRule: TypeAlias = Literal["epsilon", "alpha_beta", "composite", "attention"]


def relevance_rules(
    rule: RelevanceRule, epsilon: float = 1e-6, alpha: float = 2.0, beta: float = 1.0
) -> Rules:
    """The backward rules of these settings; see `tfxai.LRP`."""
    rescale = Rescale(lambda op: (op,), _through, lambda factors: factors[0] / 2)
    by_type = {**rescale.rules(), **WINNERS}
    if rule == "attention":
        by_type |= attention_rules(by_type["Mul"])
    else:
        by_type["Mul"] = product_rule(by_type["Mul"], gate)
    stabilised: dict[str, Rule] = dict.fromkeys(WEIGHED, _epsilon(epsilon))
    linear = dict(stabilised)
    if rule == "composite":
        linear |= dict.fromkeys(CONVOLUTIONS, _alpha_beta(1.0, 0.0, epsilon))
    elif rule == "alpha_beta":
        linear |= dict.fromkeys((*CONVOLUTIONS, *DENSE), _alpha_beta(alpha, beta, epsilon))
    effect = "relevance is not kept, and `delta` says by how much"
    name = f"lrp({rule}, {epsilon!r}, {alpha!r}, {beta!r})"
    return Rules(name, by_type, linear, stabilised, rescale.of_one(), warn=True, effect=effect)


CONVOLUTIONS: tuple[str, ...] = ("Conv2D", "DepthwiseConv2dNative", "Conv3D")
DENSE: tuple[str, ...] = ("MatMul", "BatchMatMulV2")
WEIGHED = (
    *CONVOLUTIONS, *DENSE, "BatchMatMul", "BatchMatMulV3", "Einsum", "Conv2DBackpropInput", "Conv3DBackpropInputV2",
)  # fmt: skip
AFFINE = ("BiasAdd", "AddV2", "Add", "Sub", "Mul", "FusedBatchNormV3")


def _stabilised(tensor: Tensor, epsilon: float) -> Tensor:
    away = tf.where(tensor >= 0, tf.ones_like(tensor), -tf.ones_like(tensor))
    return tensor + tf.cast(epsilon, tensor.dtype) * away


def _through(
    arguments: Sequence[Tensor],
    values: Sequence[Tensor],
    function: Callable[[Tensor], Tensor],
    straight: bool,
) -> Tensor:
    """f(z) / z: a nonlinearity hands on what it gets. Of one with f(0) other than 0, such as a gate, what it rises by."""
    (argument,), (value,) = arguments, values
    point = tf.identity(argument)
    slope = tf.gradients(function(point), point)[0]
    slope = tf.zeros_like(point) if slope is None else slope  # of steps, such as rounding
    at_zero = function(tf.zeros_like(argument))
    at_zero = tf.where(tf.math.is_finite(at_zero), at_zero, tf.zeros_like(at_zero))
    # Near zero a difference is mostly rounding, and the derivative is the limit; straight lines have no rounding.
    small = tf.abs(argument) <= tf.cast(0.0 if straight else 1e-3, argument.dtype)
    quotient = (value - at_zero) / tf.where(small, tf.ones_like(argument), argument)
    return tf.where(small, slope, quotient)


def _epsilon(epsilon: float) -> Rule:
    """Equation 58 as a multiplier: what is handed back is in proportion to x w, over the sum that is made larger."""

    def rule(op: Operation, incoming: Tensor) -> PerInput:
        after = _preactivation(op)
        kept = incoming * tf.cast(after / _stabilised(after, epsilon), incoming.dtype)
        points = [tf.identity(tensor) if tensor.dtype.is_floating else tensor for tensor in op.inputs]
        floats = [point for point in points if point.dtype.is_floating]
        gradients = iter(tf.gradients(again(op, *points), floats, grad_ys=kept))
        return [next(gradients) if point.dtype.is_floating else None for point in points]

    return rule


def _alpha_beta(alpha: float, beta: float, epsilon: float) -> Rule:
    """Equation 60 as a multiplier: relevance per unit of output comes in, relevance per unit of input goes out."""

    def rule(op: Operation, incoming: Tensor) -> PerInput:
        x, weight = op.inputs
        output, after = op.outputs[0], _preactivation(op)
        # Bias and batch norm belong to their layer, after = scale * output + shift: the shift is one more contribution.
        scale = tf.ones_like(output) if after is output else tf.gradients(after, output)[0]
        shift = after - scale * output
        relevance = tf.math.divide_no_nan(incoming, scale) * after
        up, down = tf.nn.relu(x), -tf.nn.relu(-x)
        plus, minus = tf.nn.relu(weight), -tf.nn.relu(-weight)
        upwards = scale * (again(op, up, plus) + again(op, down, minus))
        downwards = scale * (again(op, up, minus) + again(op, down, plus))
        upright = scale >= 0
        positive = tf.where(upright, upwards, downwards) + tf.nn.relu(shift)
        negative = tf.where(upright, downwards, upwards) - tf.nn.relu(-shift)
        supports = scale * alpha * relevance / _stabilised(positive, epsilon)
        opposes = scale * beta * relevance / _stabilised(-negative, epsilon)
        of_upwards, of_downwards = tf.where(upright, supports, opposes), tf.where(upright, opposes, supports)

        def back(kernel: Tensor, outputs: Tensor) -> Tensor:
            point = tf.identity(x)
            return tf.gradients(again(op, point, kernel), point, grad_ys=outputs)[0]

        of_up = back(plus, of_upwards) + back(minus, of_downwards)
        of_down = back(minus, of_upwards) + back(plus, of_downwards)
        return [tf.where(x >= 0, of_up, of_down), None]

    return rule


def _preactivation(op: Operation) -> Tensor:
    """What a layer's linear operation becomes after its bias and batch norm, in the shape of its output."""
    tensor = op.outputs[0]
    while True:
        following = [c for c in tensor.consumers() if _belongs(c, tensor)]
        if not following:
            break
        tensor = following[0].outputs[0]
    same = tensor.shape.rank == op.outputs[0].shape.rank
    return tensor if same else tf.reshape(tensor, tf.shape(op.outputs[0]))


def _belongs(op: Operation, tensor: Tensor) -> bool:
    """Whether an operation on a linear one's output is part of its layer: a bias, a batch norm, the axes put back."""
    if op.type in ("Reshape", "Squeeze"):
        return tensor.shape[-1] is not None and op.outputs[0].shape[-1] == tensor.shape[-1]
    return op.type in AFFINE and _is_per_channel(op, tensor)


def _is_per_channel(op: Operation, tensor: Tensor) -> bool:
    others = [other for other in op.inputs if other.name != tensor.name]
    return bool(others) and all(
        other.shape.is_fully_defined() and all(n == 1 for n in other.shape[:-1]) and _is_of_weights(other)
        for other in others
    )


def _is_of_weights(tensor: Tensor) -> bool:
    """Whether a tensor is a weight, or made of weights, and not of the inputs: one example has few numbers, too."""
    captured = {each.op.name for each in getattr(tensor.graph, "internal_captures", ())}
    behind = operations_behind([tensor])
    return all(op.type != "Placeholder" or op.name in captured for op in behind)


def _winner(op: Operation, *incoming: Tensor) -> PerInput:
    """Max pooling hands everything to the winner, which is its gradient."""
    return [derivative(op, incoming[0]), *(None for _ in op.inputs[1:])]


WINNERS = dict.fromkeys(("MaxPool", "MaxPool3D", "Max"), _winner)
