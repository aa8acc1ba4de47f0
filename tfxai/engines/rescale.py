"""Backward rules that share out finite differences: what DeepLIFT and LRP have in common (arXiv:1711.06104, table 1).

A nonlinearity gets the slope of the line from its reference to its value, a product gives each factor the middle of
the other's two values. With the activations of a baseline as reference this is DeepLIFT; with zeros it is LRP.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from tfxai.engines.backward import PRODUCTS, Rule
from tfxai.engines.elementwise import BINARY, GATES, RELU_LIKE, SMOOTH, STRAIGHT, wrapped_function
from tfxai.model import again
from tfxai.support import Operation, PerInput, Tensor

Slope = Callable[[Sequence[Tensor], Sequence[Tensor], Callable[[Tensor], Tensor], bool], Tensor]
"""(arguments, values, function, straight) -> multiplier of an argument's shape: of each pass, values are function(argument);
straight says that the function is made of straight lines."""


@dataclasses.dataclass(frozen=True)
class Rescale:
    """How finite differences are shared out.

    passes: operation -> itself, and what else it is compared with: the same operation in other passes.
    slope:  of nonlinearities.
    middle: of one factor of a product, of each pass: what the other factor's difference is multiplied by.
    """

    passes: Callable[[Operation], Sequence[Operation]]
    slope: Slope
    middle: Callable[[Sequence[Tensor]], Tensor]

    def rules(self) -> Mapping[str, Rule]:
        """Rules for elementwise functions of one tensor, and for products of two that both depend on the inputs."""
        return {
            **dict.fromkeys((*RELU_LIKE, *SMOOTH), self._unary),
            "IdentityN": self._wrapped,
            **dict.fromkeys(PRODUCTS, self._product),
            "SquaredDifference": self._squared_difference,
        }

    def of_one(self) -> Mapping[str, tuple[Rule, ...]]:
        """Rules for functions of several tensors of which one changes: where that is the first, the second, the third."""
        return dict.fromkeys((*BINARY, *GATES), tuple(self._of_one(which) for which in range(3)))

    def _unary(self, op: Operation, incoming: Tensor) -> Tensor:
        passes = self.passes(op)
        arguments, values = [each.inputs[0] for each in passes], [each.outputs[0] for each in passes]
        return incoming * self.slope(arguments, values, lambda x: again(op, x), op.type in STRAIGHT)

    def _wrapped(self, op: Operation, incoming: Tensor, *others: Tensor) -> PerInput:
        """Silu and the like, which have a gradient of their own: (value, argument, ...)."""
        function, passes = wrapped_function(op), self.passes(op)
        assert function is not None  # the rule is set on no other
        multiplier = self.slope(
            [each.inputs[1] for each in passes], [each.inputs[0] for each in passes], function, False
        )
        return [None, incoming * multiplier, *(None for _ in op.inputs[2:])]

    def _of_one(self, which: int) -> Rule:
        def rule(op: Operation, incoming: Tensor) -> PerInput:
            passes = self.passes(op)
            points = [tf.identity(each.inputs[which]) for each in passes]
            wide = [tf.broadcast_to(point, tf.shape(op.outputs[0])) for point in points]

            def function(x: Tensor) -> Tensor:
                return again(op, *(x if i == which else other for i, other in enumerate(op.inputs)))

            multiplier = self.slope(wide, [each.outputs[0] for each in passes], function, op.type in STRAIGHT)
            back = tf.gradients(wide[0], points[0], grad_ys=incoming * multiplier)[0]
            return [back if i == which else None for i in range(len(op.inputs))]

        return rule

    def _product(self, op: Operation, incoming: Tensor) -> PerInput:
        left, right = (tf.identity(tensor) for tensor in op.inputs)
        first, second = (self.middle([each.inputs[i] for each in self.passes(op)]) for i in (0, 1))
        # The gradient of the operation itself knows how to undo broadcasting and transposition.
        return [
            tf.gradients(again(op, left, second), left, grad_ys=incoming)[0],
            tf.gradients(again(op, first, right), right, grad_ys=incoming)[0],
        ]

    def _squared_difference(self, op: Operation, incoming: Tensor) -> PerInput:
        left, right = (tf.identity(tensor) for tensor in op.inputs)
        differences = [each.inputs[0] - each.inputs[1] for each in self.passes(op)]
        return tf.gradients(left - right, [left, right], grad_ys=incoming * 2 * self.middle(differences))
