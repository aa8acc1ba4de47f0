"""Backward rules that share out finite differences: what DeepLIFT and LRP have in common (arXiv:1711.06104, table 1).

A nonlinearity gets the slope of the line from its reference to its value, a product gives each factor the middle of
the other's two values. With the activations of a baseline as reference this is DeepLIFT; with zeros it is LRP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfxai.engines.backward import PRODUCTS, Rule
from tfxai.engines.elementwise import BINARY, RELU_LIKE, SMOOTH, STRAIGHT, wrapped_function
from tfxai.model import again
from tfxai.support import Operation, PerInput, Tensor

Slope = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor], bool], Tensor]
"""(argument, value, function, straight) -> multiplier of the argument's shape; value is function(argument), and
straight says that the function is made of straight lines."""


def elementwise(slope: Slope) -> Mapping[str, Rule]:
    """Rules for all elementwise functions of one tensor."""

    def unary(op: Operation, incoming: Tensor) -> Tensor:
        return incoming * slope(op.inputs[0], op.outputs[0], lambda x: again(op, x), op.type in STRAIGHT)

    def wrapped(op: Operation, incoming: Tensor, *others: Tensor) -> PerInput:
        """Silu and the like, which have a gradient of their own: (value, argument, ...)."""
        found = wrapped_function(
            getattr(op, "first", op)
        )  # of two passes at once, the first tells what is wrapped
        assert found is not None  # the rule is set on no other
        multiplier = slope(op.inputs[1], op.inputs[0], found, False)
        return [None, incoming * multiplier, *(None for _ in op.inputs[2:])]

    return {**dict.fromkeys((*RELU_LIKE, *SMOOTH), unary), "IdentityN": wrapped}


def of_one_of_two(slope: Slope) -> Mapping[str, tuple[Rule, Rule]]:
    """Rules for functions of two tensors of which one does not change: where the first changes, and the second."""

    def rule_of(which: int) -> Rule:
        def rule(op: Operation, incoming: Tensor) -> PerInput:
            point = tf.identity(op.inputs[which])
            wide = tf.broadcast_to(point, tf.shape(op.outputs[0]))

            def function(x: Tensor) -> Tensor:
                other = op.inputs[1 - which]
                if other.shape.rank == wide.shape.rank and other.shape[0] != 1:
                    other = other[: tf.shape(x)[0]]  # x may be the half of a batch
                return again(op, *((x, other) if which == 0 else (other, x)))

            multiplier = slope(wide, op.outputs[0], function, op.type in STRAIGHT)
            back = tf.gradients(wide, point, grad_ys=incoming * multiplier)[0]
            return [back if i == which else None for i in (0, 1)]

        return rule

    return dict.fromkeys(BINARY, (rule_of(0), rule_of(1)))


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
