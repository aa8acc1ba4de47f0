"""Backward rules that share out finite differences: what DeepLIFT and LRP have in common (arXiv:1711.06104, table 1).

A nonlinearity gets the slope of the line from its reference to its value, a product gives each factor the middle of
the other's two values. With the activations of a baseline as reference this is DeepLIFT; with zeros it is LRP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfxai.engines.backward import PRODUCTS, RELU_LIKE, Rule
from tfxai.model import again
from tfxai.support import Operation, PerInput, Tensor

# Elementwise functions of one tensor, beside those that look like a ReLU.
SMOOTH = (
    "Sigmoid", "Tanh", "Softplus", "Softsign", "Exp", "Expm1", "Log", "Log1p", "Sqrt", "Rsqrt", "Square", "Reciprocal",
    "Inv", "Erf", "Erfc", "Abs", "Sin", "Cos", "Atan",
)  # fmt: skip

STRAIGHT = ("Relu", "Relu6", "LeakyRelu", "Abs")
Slope = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor], bool], Tensor]
"""(argument, value, function, straight) -> multiplier of the argument's shape; value is function(argument), and
straight says that the function is made of straight lines."""


def elementwise(slope: Slope) -> Mapping[str, Rule]:
    """Rules for all elementwise functions of one tensor."""

    def unary(op: Operation, incoming: Tensor) -> Tensor:
        return incoming * slope(op.inputs[0], op.outputs[0], lambda x: again(op, x), op.type in STRAIGHT)

    def wrapped(op: Operation, incoming: Tensor, *others: Tensor) -> PerInput:
        """TensorFlow's wrapper of silu and the like, which have a gradient of their own: (value, argument, ...)."""
        value, argument = op.inputs[:2]
        multiplier = slope(argument, value, lambda x: x * tf.sigmoid(x), False)
        return [None, incoming * multiplier, *(None for _ in op.inputs[2:])]

    return {**dict.fromkeys((*RELU_LIKE, *SMOOTH), unary), "IdentityN": wrapped}


def products(middle: Callable[[Tensor], Tensor]) -> Mapping[str, Rule]:
    """Rules for products of two tensors that both depend on the inputs."""

    def product(op: Operation, incoming: Tensor) -> PerInput:
        left, right = (tf.identity(tensor) for tensor in op.inputs)
        # The gradient of the operation itself knows how to undo broadcasting and transposition.
        return [
            tf.gradients(again(op, left, middle(op.inputs[1])), left, grad_ys=incoming)[0],
            tf.gradients(again(op, middle(op.inputs[0]), right), right, grad_ys=incoming)[0],
        ]

    def squared_difference(op: Operation, incoming: Tensor) -> PerInput:
        left, right = (tf.identity(tensor) for tensor in op.inputs)
        return tf.gradients(left - right, [left, right], grad_ys=incoming * 2 * middle(left - right))

    return {**dict.fromkeys(PRODUCTS, product), "SquaredDifference": squared_difference}
