"""DeepLIFT: contributions of the difference to a baseline, in one backward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    Method,
    Request,
    Rules,
    ScoredBody,
    Tracer,
    both_ends,
    elementwise,
    gradients,
    per_token,
    products,
    run_in_batches,
    starts_and_ends,
    sum_of_values,
)
from tfxai.model import again
from tfxai.support import Operation, Tensor


@dataclasses.dataclass(frozen=True)
class DeepLIFT(Method):
    """How much of the score's difference to a baseline comes from each value?

    The rescale rule: a nonlinearity hands the gradient on with the slope between its values at baseline and input.
    Complete: the values add up to score(input) - score(baseline), and `delta` is the true gap. Products (gates,
    attention), max pooling and softmax share out finite differences too; any other nonlinear operation keeps its
    gradient, and a warning names it. Cost: one forward and one backward pass over inputs and baselines.

    baseline: what "absent" looks like: a number, an array that broadcasts, or a function from tfxai.baselines.

    Shrikumar, Greenside, Kundaje: Learning Important Features Through Propagating Activation Differences, 2017.
    arXiv:1704.02685, section 3.5.1; as a changed chain rule: arXiv:1711.06104
    """

    baseline: Baseline = 0.0

    def attribute(self, request: Request) -> Attribution:
        body, baselines = _Contributions(request.method), request.baselines_of(self.baseline)
        return Attribution(*run_in_batches(request, body, baselines))


@dataclasses.dataclass(frozen=True)
class _Contributions(ScoredBody):
    method: str

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor, *baselines: Tensor
    ) -> Any:
        starts, ends = starts_and_ends(tracer, inputs, baselines)
        forward, targets, scores, base = both_ends(tracer, inputs, starts, ends, target_codes)
        values = [
            None if multiplier is None else _value(multiplier) * tf.cast(end - start, multiplier.dtype)
            for multiplier, start, end in zip(
                gradients(tracer, forward, scores, RULES, self.method), starts, ends, strict=True
            )
        ]
        delta = sum_of_values(values) - (scores - base)
        return per_token(values, tracer.places), targets, scores, delta


def _value(tensor: Tensor) -> Tensor:
    return tensor[: tf.shape(tensor)[0] // 2]


def _reference(tensor: Tensor) -> Tensor:
    return tensor[tf.shape(tensor)[0] // 2 :]


def _both(tensor: Tensor) -> Tensor:
    return tf.concat([tensor, tensor], 0)


def _middle(tensor: Tensor) -> Tensor:
    return _both((_value(tensor) + _reference(tensor)) / 2)


def _quotient(rise: Tensor, step: Tensor, otherwise: Tensor, smallest: Tensor) -> Tensor:
    """rise / step, except where the step is so small that the quotient is mostly rounding."""
    wide = tf.cast(step, tf.float32)
    small = tf.abs(wide) <= smallest
    quotient = tf.cast(rise, tf.float32) / tf.where(small, tf.ones_like(wide), wide)
    return tf.cast(tf.where(small, tf.cast(otherwise, tf.float32), quotient), step.dtype)


def _slope(argument: Tensor, value: Tensor, function: Callable[[Tensor], Tensor], straight: bool) -> Tensor:
    middle = (_value(argument) + _reference(argument)) / 2
    derivative = tf.gradients(function(middle), middle)[0]
    # Of a curve the derivative in the middle differs from the slope by the step squared only.
    smallest = 0.0 if straight else 1e-4 * (1 + tf.abs(tf.cast(middle, tf.float32)))
    rise, step = (_value(tensor) - _reference(tensor) for tensor in (value, argument))
    return _both(_quotient(rise, step, derivative, smallest))


def _pooled(op: Operation, incoming: Tensor) -> Tensor:
    """Max pooling: a rise goes to the place of the input's maximum, a fall to that of the baseline's."""
    new, old = _value(op.outputs[0]), _reference(op.outputs[0])
    higher = tf.maximum(new, old)
    both = tf.identity(op.inputs[0])
    change = tf.concat([higher - old, new - higher], 0) * _both(_value(incoming))
    placed = tf.gradients(again(op, both, *op.inputs[1:]), both, grad_ys=change)[0]
    step = _value(both) - _reference(both)
    shared = _quotient(_value(placed) + _reference(placed), step, tf.zeros_like(step), 0.0)
    return [tf.concat([shared, tf.zeros_like(shared)], 0), *(None for _ in op.inputs[1:])]


def _softmax(op: Operation, incoming: Tensor) -> Tensor:
    """exp(x) / sum(exp(x)): slopes for exp and 1 / sum, the product rule for their product."""
    x, x0 = _value(op.inputs[0]), _reference(op.inputs[0])
    shift = tf.reduce_max(
        tf.maximum(x, x0), axis=-1, keepdims=True
    )  # a shift of both does not change the softmax
    e, e0 = tf.exp(x - shift), tf.exp(x0 - shift)
    total, total0 = (tf.reduce_sum(t, axis=-1, keepdims=True) for t in (e, e0))
    middle_of_exp, middle_of_inverse = (e + e0) / 2, (1 / total + 1 / total0) / 2
    dy = _value(incoming)
    to_sum = tf.reduce_sum(dy * middle_of_exp, axis=-1, keepdims=True) * (-1 / (total * total0))
    slope = _quotient(e - e0, x - x0, tf.exp((x + x0) / 2 - shift), 1e-4)
    result = (dy * middle_of_inverse + to_sum) * slope
    return tf.concat([result, tf.zeros_like(result)], 0)


RULES = Rules(
    "deeplift",
    {
        **elementwise(_slope),
        **products(_middle),
        "MaxPool": _pooled,
        "MaxPool3D": _pooled,
        "Max": _pooled,
        "Softmax": _softmax,
    },
    warn=True,
)
