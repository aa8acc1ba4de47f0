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
    Rescale,
    Rules,
    ScoredBody,
    Tracer,
    derivative,
    gradients,
    per_token,
    remember_twins,
    run_in_batches,
    starts_and_ends,
    sum_of_values,
    times,
    two_passes,
    with_twin,
)
from tfxai.support import Operation, PerInput, Tensor


@dataclasses.dataclass(frozen=True)
class DeepLIFT(Method):
    """How much of the score's difference to a baseline comes from each value?

    The rescale rule: a nonlinearity hands the gradient on with the slope between its values at baseline and input.
    Complete: the values add up to score(input) - score(baseline), and `delta` is the true gap. Products (gates,
    attention), quotients, max pooling, softmax and its logarithm share out finite differences too; any other nonlinear
    operation keeps its gradient, and a warning names it. Cost: a forward pass over inputs and one over baselines, and one
    backward pass.

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
        forward, targets, scores, base = two_passes(tracer, inputs, found, target_codes, self.plain)
        remember_twins(scores, base)
        multipliers = gradients(tracer, forward, scores, RULES, self.method)
        steps = [
            None if end is None else end - start for start, end in zip(found.starts, found.ends, strict=True)
        ]
        values = times(multipliers, steps)
        delta = sum_of_values(values) - (scores - base)
        return per_token(values, tracer.places), targets, scores, delta, base


def _middle(factors: Sequence[Tensor]) -> Tensor:
    value, reference = factors
    return (value + reference) / 2


def _quotient(rise: Tensor, step: Tensor, otherwise: Tensor, small: Tensor) -> Tensor:
    """rise / step, except where the step is too small for it."""
    quotient = tf.math.divide_no_nan(tf.cast(rise, tf.float32), tf.cast(step, tf.float32))
    return tf.cast(tf.where(small, tf.cast(otherwise, tf.float32), quotient), step.dtype)


def _slope(
    arguments: Sequence[Tensor],
    values: Sequence[Tensor],
    function: Callable[[Tensor], Tensor],
    straight: bool,
) -> Tensor:
    # Of straight lines the derivative counts only where both arguments are the same.
    point = tf.identity(arguments[0]) if straight else _middle(arguments)
    derivative = tf.gradients(function(point), point)[0]
    derivative = tf.zeros_like(point) if derivative is None else derivative  # of steps, such as rounding
    step, rise = (value - reference for value, reference in (arguments, values))
    small = step == 0
    if not straight:
        # Where a rise is mostly rounding, and the step short, the derivative in the middle is nearer to the slope.
        long, high = (
            tf.cast(tf.maximum(tf.abs(value), tf.abs(reference)), tf.float32)
            for value, reference in (arguments, values)
        )
        dtype = rise.dtype
        rounding = float(np.finfo(dtype.as_numpy_dtype).eps) if dtype != tf.bfloat16 else 2.0**-7
        uncertain = rounding * high > 1e-4 * tf.abs(tf.cast(rise, tf.float32))
        small |= uncertain & (tf.abs(tf.cast(step, tf.float32)) <= 1e-2 * tf.maximum(long, 1.0))
    return _quotient(rise, step, derivative, small)


def _pooled(op: Operation, incoming: Tensor) -> PerInput:
    """Max pooling: a rise goes to the place of the input's maximum, a fall to that of the baseline's."""
    passes = with_twin(op)
    new, old = (each.outputs[0] for each in passes)
    higher = tf.maximum(new, old)
    placed = [
        derivative(each, change * incoming)
        for each, change in zip(passes, (higher - old, new - higher), strict=True)
    ]
    step = passes[0].inputs[0] - passes[1].inputs[0]
    return [
        _quotient(placed[0] + placed[1], step, tf.zeros_like(step), step == 0),
        *(None for _ in op.inputs[1:]),
    ]


def _softmax(op: Operation, incoming: Tensor) -> Tensor:
    """The multiplier w (dy - sum(dy w) / sum(w)), with w = (p - p0) / (log p - log p0) for probabilities p.

    It is complete: log p = x - log sum exp(x), so (log p - log p0) w = p - p0 for each class, and what the common
    logarithm takes is shared out in proportion to w.
    """
    mean = _logarithmic_mean(op)
    dy = tf.cast(incoming, tf.float32)
    # Where one class has nearly all of w, dy - sum(dy w) / sum(w) would be mostly rounding there: measured from its dy.
    dy -= tf.reduce_sum(tf.math.multiply_no_nan(dy, _largest(mean)), axis=-1, keepdims=True)
    total = tf.reduce_sum(mean, axis=-1, keepdims=True)
    common = tf.math.divide_no_nan(tf.reduce_sum(dy * mean, axis=-1, keepdims=True), total)
    return tf.cast(mean * (dy - common), incoming.dtype)


def _log_softmax(op: Operation, incoming: Tensor) -> Tensor:
    """x - log sum exp(x): the logarithm of the sum is shared out in proportion to w, as in `_softmax`."""
    mean = _logarithmic_mean(op)
    dy = tf.cast(incoming, tf.float32)
    common = tf.math.divide_no_nan(
        tf.reduce_sum(dy, axis=-1, keepdims=True), tf.reduce_sum(mean, axis=-1, keepdims=True)
    )
    multipliers = dy - mean * common
    # What all logits have in common changes nothing, so they add up to zero: told to the largest class, where dy - w sum(dy) /
    # sum(w) may be mostly rounding.
    largest = _largest(mean)
    others = multipliers * (1 - largest)
    return tf.cast(others - largest * tf.reduce_sum(others, axis=-1, keepdims=True), incoming.dtype)


def _logarithmic_mean(op: Operation) -> Tensor:
    """(p - p0) / (log p - log p0) of each class, float32. Probabilities are at most 1, so that nothing overflows."""
    new, old = (tf.nn.log_softmax(tf.cast(each.inputs[0], tf.float32)) for each in with_twin(op))
    step = tf.where(new == old, tf.zeros_like(new), new - old)  # both are -inf where a mask says so
    small = tf.abs(step) < 1e-2
    middle = tf.exp((new + old) / 2) * (1 + step**2 / 24)
    return _quotient(tf.exp(new) - tf.exp(old), step, middle, small)


def _largest(mean: Tensor) -> Tensor:
    return tf.one_hot(tf.argmax(mean, -1), tf.shape(mean)[-1])


def _divided(op: Operation, incoming: Tensor) -> PerInput:
    """A quotient is a product with 1 / y, whose slope is -1 / (y y0)."""
    (x, y), (x0, y0) = (each.inputs for each in with_twin(op))
    left, right = tf.identity(x), tf.identity(y)
    return [
        tf.gradients(left * _middle((1 / y, 1 / y0)), left, grad_ys=incoming)[0],
        tf.gradients(_middle((x, x0)) * right, right, grad_ys=-incoming / (y * y0))[0],
    ]


RESCALE = Rescale(with_twin, _slope, _middle)
RULES = Rules(
    "deeplift",
    {
        **RESCALE.rules(),
        **dict.fromkeys(("MaxPool", "MaxPool3D", "Max"), _pooled),
        **dict.fromkeys(("RealDiv", "Div"), _divided),
        "Softmax": _softmax,
        "LogSoftmax": _log_softmax,
    },
    of_one=RESCALE.of_one(),
    warn=True,
    effect="the values need not add up, and `delta` says by how much they do not",
    in_scores=True,
)
