"""Layer-wise relevance propagation: the score is handed back, layer by layer, to what it was made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

import tensorflow as tf

from tfxai.engines import (
    Attribution,
    Method,
    Request,
    Rule,
    Rules,
    ScoredBody,
    Tracer,
    elementwise,
    gradients,
    per_token,
    products,
    run_in_batches,
    sum_of_values,
    times,
)
from tfxai.model import again
from tfxai.support import Operation, PerInput, Tensor


@dataclasses.dataclass(frozen=True)
class LRP(Method):
    """Which parts does the score come from, if every unit hands its relevance back to its inputs in proportion?

    Signed. `delta` is the sum of the values minus the score: what biases and the stabiliser keep for themselves.
    Written as gradient x input with f(z) / z in place of f'(z), so it works on any architecture; operations without
    a rule keep their gradient, and a warning names them. Cost: one forward pass, one backward pass ("epsilon") or
    about three ("alpha_beta").

    rule:    "epsilon": in proportion to x w. "alpha_beta": positive and negative contributions are shared out apart,
             alpha of the one minus beta of the other. "composite": alpha_beta with alpha 1, beta 0 in convolutions,
             epsilon in dense layers.
    epsilon: stabiliser added to the magnitude of denominators, in units of the activations.
    alpha, beta: of alpha_beta; alpha - beta must be 1, so that relevance is kept.

    Bach et al.: On Pixel-Wise Explanations, 2015, equations 58 and 60; arXiv:1604.00825; arXiv:1711.06104, table 1;
    composite: Kohlbrenner et al., 2019. arXiv:1910.09840
    """

    rule: Literal["epsilon", "alpha_beta", "composite"] = "epsilon"
    epsilon: float = 1e-6
    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        if self.rule not in ("epsilon", "alpha_beta", "composite"):
            raise ValueError(f'LRP rule is {self.rule!r}. Give "epsilon", "alpha_beta" or "composite".')
        if not self.epsilon > 0:
            raise ValueError(f"LRP epsilon is {self.epsilon}. Give a number above 0.")
        if not abs(self.alpha - self.beta - 1) <= 1e-6 or not self.beta >= 0:
            raise ValueError(
                f"LRP alpha {self.alpha} and beta {self.beta}: expected alpha - beta = 1 and beta >= 0."
            )

    def attribute(self, request: Request) -> Attribution:
        return Attribution(*run_in_batches(request, _Relevance(self, request.method)))

    def rules(self) -> Rules:
        """The backward rules of these settings."""

        def slope(
            argument: Tensor, value: Tensor, function: Callable[[Tensor], Tensor], straight: bool
        ) -> Tensor:
            return value / _stabilised(argument, self.epsilon)

        by_type = {**elementwise(slope), **products(lambda tensor: tensor / 2), **WINNERS}
        if self.rule == "epsilon":
            linear: dict[str, Rule] = {}
        elif self.rule == "composite":
            linear = dict.fromkeys(CONVOLUTIONS, _alpha_beta(1.0, 0.0, self.epsilon))
        else:
            linear = dict.fromkeys((*CONVOLUTIONS, *DENSE), _alpha_beta(self.alpha, self.beta, self.epsilon))
        return Rules(repr(self), by_type, linear, warn=True)


@dataclasses.dataclass(frozen=True)
class _Relevance(ScoredBody):
    lrp: LRP
    method: str

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        values = times(gradients(tracer, forward, scores, self.lrp.rules(), self.method), forward.points)
        return per_token(values, tracer.places), targets, scores, sum_of_values(values) - scores


CONVOLUTIONS: tuple[str, ...] = ("Conv2D", "DepthwiseConv2dNative", "Conv3D")
DENSE: tuple[str, ...] = ("MatMul", "BatchMatMulV2")
AFFINE = ("BiasAdd", "AddV2", "Add", "Sub", "Mul", "FusedBatchNormV3")


def _stabilised(tensor: Tensor, epsilon: float) -> Tensor:
    away = tf.where(tensor >= 0, tf.ones_like(tensor), -tf.ones_like(tensor))
    return tensor + tf.cast(epsilon, tensor.dtype) * away


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
    """What a layer's linear operation becomes after its bias and batch norm."""
    tensor = op.outputs[0]
    while True:
        following = [c for c in tensor.consumers() if c.type in AFFINE and _is_per_channel(c, tensor)]
        if not following:
            return tensor
        tensor = following[0].outputs[0]


def _is_per_channel(op: Operation, tensor: Tensor) -> bool:
    others = [other for other in op.inputs if other.name != tensor.name]
    return bool(others) and all(
        other.shape.is_fully_defined() and all(n == 1 for n in other.shape[:-1]) for other in others
    )


def _winner(op: Operation, *incoming: Tensor) -> Tensor:
    """Max pooling hands everything to the winner, which is its gradient."""
    point = tf.identity(op.inputs[0])
    gradient = tf.gradients(again(op, point, *op.inputs[1:]), point, grad_ys=incoming[0])[0]
    return [gradient, *(None for _ in op.inputs[1:])]


WINNERS = dict.fromkeys(("MaxPool", "MaxPool3D", "Max"), _winner)
