"""Integrated gradients along a path that the model itself chooses."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import tensorflow as tf

from tfxai.baselines import Baseline
from tfxai.engines import (
    OTHER_BASELINE,
    Attribution,
    Method,
    Request,
    ScoredBody,
    Tracer,
    both_ends,
    per_token,
    run_in_batches,
    starts_and_ends,
    sum_of_values,
)
from tfxai.support import Count, PerInput, Tensor, number


@dataclasses.dataclass(frozen=True)
class GuidedIG(Method):
    """How much does each value contribute, on a way that avoids the model's noisy regions?

    Signed. At every step the values with the smallest gradients move towards the input first, those with equal ones
    together, as far as the step's share of the whole way; so no value is more than `max_distance` of the way off the
    straight path. `delta` is the true gap to score(input) - score(baseline). Cost: `steps` forward and backward passes per
    input and target, and two forward passes; the steps follow one another, so only inputs are batched.

    steps:        points on the path.
    fraction:     of the values that move together, those with the smallest gradients first, between 0 and 1.
    max_distance: how far a value may lag behind or run ahead of the straight path, as a fraction of it; 0 is
                  integrated gradients.
    baseline:     as for IntegratedGradients.

    Kapishnikov, Venugopalan, Avci, Wedin, Terry, Bolukbasi: Guided Integrated Gradients, 2021. arXiv:2106.09788,
    algorithm 1
    """

    steps: Count = 200
    fraction: Annotated[float, number(above=0, most=1)] = 0.1
    max_distance: Annotated[float, number(least=0, most=1)] = 0.02
    baseline: Baseline = None

    def attribute(self, request: Request) -> Attribution:
        body = _AlongTheFlattest(self.steps, self.fraction, self.max_distance, self.baseline is not None)
        found = run_in_batches(request, body, request.baselines_of(self.baseline))
        return Attribution(*found, remedy=f"Take more steps. {OTHER_BASELINE}")


@dataclasses.dataclass(frozen=True)
class _AlongTheFlattest(ScoredBody):
    """The path, and the gradients times the steps along it. The settings are those of the method; plain: see `both_ends`."""

    steps: int
    fraction: float
    max_distance: float
    plain: bool

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor, *baselines: Tensor
    ) -> Any:
        found = starts_and_ends(tracer, inputs, baselines)
        starts, ends = found.starts, found.ends
        targets, scores, base = both_ends(tracer, inputs, found, target_codes, self.plain)
        explained = [i for i, end in enumerate(ends) if end is not None]
        starts = [tf.cast(starts[i], tf.float32) for i in explained]
        ends = [tf.cast(ends[i], tf.float32) for i in explained]

        def step(number: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            points, sums = state[: len(explained)], state[len(explained) :]
            forward = tracer.forward(inputs, _placed(points, explained, len(inputs)))
            score, _ = tracer.scored(forward, targets)
            slopes = [gradient for gradient in forward.gradients(score) if gradient is not None]
            share = tf.cast(number + 1, tf.float32) / self.steps
            moved = [
                self._moved(point, slope, start, end, share)
                for point, slope, start, end in zip(points, slopes, starts, ends, strict=True)
            ]
            sums = [
                total + tf.math.multiply_no_nan(slope, new - old)
                for total, slope, new, old in zip(sums, slopes, moved, points, strict=True)
            ]
            return (number + 1, *moved, *sums)

        state = (tf.constant(0), *starts, *(tf.zeros_like(start) for start in starts))
        state = tf.while_loop(lambda number, *_: number < self.steps, step, state, parallel_iterations=1)
        values = _placed(state[1 + len(explained) :], explained, len(inputs))
        delta = sum_of_values(values) - (scores - base)
        return per_token(values, tracer.places), targets, scores, delta, base

    def _moved(self, point: Tensor, slope: Tensor, start: Tensor, end: Tensor, share: Tensor) -> Tensor:
        """The next point: the flattest values first, until the way still to go is (1 - share) of the whole."""
        shape, width = tf.shape(point), int(np.prod(point.shape[1:]))
        point, slope, start, end = (tf.reshape(t, (shape[0], width)) for t in (point, slope, start, end))
        lower = start + tf.maximum(share - self.max_distance, 0.0) * (end - start)
        upper = start + tf.minimum(share + self.max_distance, 1.0) * (end - start)
        way = tf.abs(end - start)
        point = tf.where(
            tf.abs(end - point) > tf.abs(end - lower), lower, point
        )  # who lags too far catches up
        needed = tf.reduce_sum(tf.abs(end - point), 1) - (1 - share) * tf.reduce_sum(way, 1)
        free = tf.abs(upper - point)
        steepness = tf.where(free > 0, tf.abs(slope), np.inf)
        size = max(int(self.fraction * (width - 1)) + 1, 1)
        part = _shares(steepness, free, tf.nn.relu(needed), size)
        return tf.reshape(point + part * (upper - point), shape)


def _shares(steepness: Tensor, free: Tensor, needed: Tensor, size: int) -> Tensor:
    """(B, width): which part of its `free` way each value goes, until all ways together are as `needed` (B,).

    Values move in groups of at least `size`, the flattest first, and those that are equally steep always together:
    whole groups while the step allows it, then a part of the next one.
    """
    levels = tf.sort(steepness, axis=1)

    def unfinished(level: Tensor, gone: Tensor, part: Tensor) -> Tensor:
        return tf.reduce_any((gone < needed) & (level < levels[:, -1]))

    def group(level: Tensor, gone: Tensor, part: Tensor) -> tuple[Tensor, ...]:
        before = tf.reduce_sum(tf.cast(steepness <= level[:, None], tf.int32), 1)
        last = tf.minimum(before + size, tf.shape(levels)[1]) - 1
        upto = tf.gather(levels, last, batch_dims=1)
        inside = (steepness > level[:, None]) & (steepness <= upto[:, None])
        way = tf.reduce_sum(tf.where(inside, free, 0.0), 1)
        share = tf.clip_by_value(tf.math.divide_no_nan(needed - gone, way), 0.0, 1.0)
        return upto, gone + way, tf.where(inside, share[:, None], part)

    state = (tf.fill(tf.shape(needed), -1.0), tf.zeros_like(needed), tf.zeros_like(free))
    return tf.while_loop(unfinished, group, state, parallel_iterations=1)[2]


def _placed(tensors: Sequence[Tensor], where: Sequence[int], count: int) -> PerInput:
    """Tensors at their places in a list that is None elsewhere."""
    places: PerInput = [None] * count
    for i, tensor in zip(where, tensors, strict=True):
        places[i] = tensor
    return places
