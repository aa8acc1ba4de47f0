"""What flows through each unit of a layer on the way from a baseline to the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxai.baselines import Baseline
from tfxai.engines import (
    OTHER_BASELINE,
    Attribution,
    Ends,
    Method,
    Request,
    ScoredBody,
    Tracer,
    per_token,
    run_in_batches,
    starts_and_ends,
    sum_of_values,
    two_passes,
)
from tfxai.support import Count, PerInput, Tensor


@dataclasses.dataclass(frozen=True)
class Conductance(Method):
    """How much of the change of the score from a baseline to this input flows through each unit of a layer?

    Signed. The input moves straight from the baseline; each unit gets the sum of its own steps times the derivative of the
    score by it. That is integrated gradients, of which each unit gets the part that passes through it; at the inputs (no `at`)
    it is integrated gradients itself. `IntegratedGradients` with `at` moves the layer straight instead. Complete for a layer
    that everything passes through: `delta` is sum(values) - (score(input) - score(baseline)). Cost: `steps` + 1 forward and
    backward passes per input and target, and two forward passes; the steps follow one another, so only inputs are batched.

    steps:    of the path (trapezoid rule: the error falls with their square where the score is smooth).
    baseline: as for IntegratedGradients.

    Dhamdhere, Sundararajan, Yan: How Important Is a Neuron?, 2018. arXiv:1805.12233, section 3
    """

    steps: Count = 50
    baseline: Baseline = None

    def attribute(self, request: Request) -> Attribution:
        body = _Flow(self.steps, self.baseline is not None)
        found = run_in_batches(request, body, request.baselines_of(self.baseline))
        return Attribution(*found, remedy=f"Take more steps. {OTHER_BASELINE}")


@dataclasses.dataclass(frozen=True)
class _Flow(ScoredBody):
    """Steps of the units times the slopes there. plain: see `both_ends`."""

    steps: int
    plain: bool

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor, *baselines: Tensor
    ) -> Any:
        ends = starts_and_ends(tracer, inputs, baselines)
        _, targets, scores, base = two_passes(tracer, inputs, ends, target_codes, self.plain)

        def units_at(share: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            """What the units are at a place of the path, and the slopes of the score there."""
            forward = self._forward(tracer, inputs, ends, share)
            score, _ = tracer.scored(forward, targets)
            slopes = [slope for slope in forward.gradients(score) if slope is not None]
            return [tf.cast(point, tf.float32) for point in forward.points if point is not None], slopes

        def step(number: Tensor, units: list[Tensor], slopes: list[Tensor], sums: list[Tensor]) -> tuple:
            new_units, new_slopes = units_at(tf.cast(number + 1, tf.float32) / self.steps)
            rows = zip(sums, units, new_units, slopes, new_slopes, strict=True)
            sums = [
                total + tf.math.multiply_no_nan((old + new) / 2, there - here)
                for total, here, there, old, new in rows
            ]
            return number + 1, new_units, new_slopes, sums

        units, slopes = units_at(tf.constant(0.0))
        state = (tf.constant(0), units, slopes, [tf.zeros_like(unit) for unit in units])
        *_, sums = tf.while_loop(lambda number, *_: number < self.steps, step, state, parallel_iterations=1)
        rest = iter(sums)
        values: PerInput = [None if place is None else next(rest) for place in tracer.places]
        delta = sum_of_values(values) - (scores - base)
        return per_token(values, tracer.places), targets, scores, delta, base

    def _forward(self, tracer: Tracer, inputs: Sequence[Tensor], ends: Ends, share: Tensor) -> Any:
        own = ends.below or ends
        points = [
            None if end is None else start + tf.cast(share, end.dtype) * (end - start)
            for start, end in zip(own.starts, own.ends, strict=True)
        ]
        return tracer.forward(inputs, points) if ends.below is None else tracer.forward(inputs, own=points)
