"""DeepLIFT: contributions of the difference to a baseline, in one backward pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfxai.baselines import Baseline
from tfxai.engines import (
    OTHER_BASELINE,
    Attribution,
    Method,
    Request,
    Rules,
    ScoredBody,
    Tracer,
    both_ends,
    elementwise,
    gradients,
    of_one_of_two,
    on_twins,
    per_token,
    products,
    run_in_batches,
    starts_and_ends,
    sum_of_values,
    times,
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

    baseline: what "absent" looks like: a number, an array that broadcasts, or a function from tfxai.baselines; of token
              ids, and unless given, as for IntegratedGradients.

    Shrikumar, Greenside, Kundaje: Learning Important Features Through Propagating Activation Differences, 2017.
    arXiv:1704.02685, section 3.5.1; as a changed chain rule: arXiv:1711.06104
    """

    baseline: Baseline = None

    def attribute(self, request: Request) -> Attribution:
        body = _Contributions(request.method, self.baseline is not None)
        found = run_in_batches(request, body, request.baselines_of(self.baseline))
        return Attribution(*found, remedy=OTHER_BASELINE)


@dataclasses.dataclass(frozen=True)
class _Contributions(ScoredBody):
    method: str
    plain: bool

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor, *baselines: Tensor
    ) -> Any:
        found = starts_and_ends(tracer, inputs, baselines)
        forward, targets, scores, base = both_ends(tracer, inputs, found, target_codes, self.plain)
        together = tracer.network.batch is None
        rules = RULES if together else on_twins(RULES)
        multipliers = gradients(tracer, forward, scores, rules, self.method)
        steps = [
            None if end is None else end - start for start, end in zip(found.starts, found.ends, strict=True)
        ]
        values = times([m if m is None or not together else _value(m) for m in multipliers], steps)
        delta = sum_of_values(values) - (scores - base)
        return per_token(values, tracer.places), targets, scores, delta, base


def _value(tensor: Tensor) -> Tensor:
    return tensor[: tf.shape(tensor)[0] // 2]


def _reference(tensor: Tensor) -> Tensor:
    return tensor[tf.shape(tensor)[0] // 2 :]


def _both(tensor: Tensor) -> Tensor:
    return tf.concat([tensor, tensor], 0)


def _middle(tensor: Tensor) -> Tensor:
    return _both((_value(tensor) + _reference(tensor)) / 2)


def _quotient(rise: Tensor, step: Tensor, otherwise: Tensor, small: Tensor) -> Tensor:
    """rise / step, except where the step is too small for it."""
    wide = tf.cast(step, tf.float32)
    quotient = tf.cast(rise, tf.float32) / tf.where(small, tf.ones_like(wide), wide)
    return tf.cast(tf.where(small, tf.cast(otherwise, tf.float32), quotient), step.dtype)


def _slope(argument: Tensor, value: Tensor, function: Callable[[Tensor], Tensor], straight: bool) -> Tensor:
    middle = (_value(argument) + _reference(argument)) / 2
    derivative = tf.gradients(function(middle), middle)[0]
    derivative = tf.zeros_like(middle) if derivative is None else derivative  # of steps, such as rounding
    rise, step = (_value(tensor) - _reference(tensor) for tensor in (value, argument))
    small = step == 0
    if not straight:
        # Where a rise is mostly rounding, and the step short, the derivative in the middle is nearer to the slope.
        sizes = [tf.maximum(tf.abs(_value(t)), tf.abs(_reference(t))) for t in (argument, value)]
        long, high = (tf.cast(size, tf.float32) for size in sizes)
        rounding = float(np.finfo(value.dtype.as_numpy_dtype).eps) if value.dtype != tf.bfloat16 else 2.0**-7
        uncertain = rounding * high > 1e-4 * tf.abs(tf.cast(rise, tf.float32))
        small |= uncertain & (tf.abs(tf.cast(step, tf.float32)) <= 1e-2 * tf.maximum(long, 1.0))
    return _both(_quotient(rise, step, derivative, small))


def _pooled(op: Operation, incoming: Tensor) -> Tensor:
    """Max pooling: a rise goes to the place of the input's maximum, a fall to that of the baseline's."""
    new, old = _value(op.outputs[0]), _reference(op.outputs[0])
    higher = tf.maximum(new, old)
    both = tf.identity(op.inputs[0])
    change = tf.concat([higher - old, new - higher], 0) * _both(_value(incoming))
    placed = tf.gradients(again(op, both, *op.inputs[1:]), both, grad_ys=change)[0]
    step = _value(both) - _reference(both)
    shared = _quotient(_value(placed) + _reference(placed), step, tf.zeros_like(step), step == 0)
    return [tf.concat([shared, tf.zeros_like(shared)], 0), *(None for _ in op.inputs[1:])]


def _softmax(op: Operation, incoming: Tensor) -> Tensor:
    """The multiplier w (dy - sum(dy w) / sum(w)), with w = (p - p0) / (log p - log p0) for probabilities p.

    It is complete: log p = x - log sum exp(x), so (log p - log p0) w = p - p0 for each class, and what the common
    logarithm takes is shared out in proportion to w. Probabilities are at most 1, so that nothing overflows.
    """
    both = tf.nn.log_softmax(tf.cast(op.inputs[0], tf.float32))
    new, old = _value(both), _reference(both)
    step = new - old
    small = tf.abs(step) < 1e-2
    middle = tf.exp((new + old) / 2) * (1 + step**2 / 24)
    mean = _quotient(tf.exp(new) - tf.exp(old), step, middle, small)
    dy = tf.cast(_value(incoming), tf.float32)
    # Where one class has nearly all of w, dy - sum(dy w) / sum(w) would be mostly rounding there: measured from its dy.
    largest = tf.one_hot(tf.argmax(mean, -1), tf.shape(mean)[-1])
    dy -= tf.reduce_sum(tf.math.multiply_no_nan(dy, largest), axis=-1, keepdims=True)
    total = tf.reduce_sum(mean, axis=-1, keepdims=True)
    common = tf.reduce_sum(dy * mean, axis=-1, keepdims=True) / total
    result = tf.cast(mean * (dy - common), incoming.dtype)
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
    of_one=of_one_of_two(_slope),
    warn=True,
    effect="the values need not add up, and `delta` says by how much they do not",
)
