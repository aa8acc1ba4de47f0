"""Gradients collected on the straight way from a baseline to the input."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, Several
from tfxai.engines import (
    OTHER_BASELINE,
    Attribution,
    Block,
    Chunk,
    Method,
    PathPoints,
    Paths,
    Request,
    Sum,
    attribution_along,
    sum_of_values,
)
from tfxai.stats import wanted
from tfxai.support import Count, Tensor, Tolerance, warn

PART = 5  # points of the Gauss-Legendre rule in each part of a refined path
ROUNDS = 20  # of halving
MOST = 200  # parts for each row


@dataclasses.dataclass(frozen=True)
class IntegratedGradients(Method):
    """How much does each value contribute to the change of the score from a baseline to this input?

    Signed. Complete up to the integration error: `delta` is that error, sum(values) - (score(input) -
    score(baseline)). On networks with many kinks the score is rough along the path and the error falls slowly with
    `steps`; `tolerance` puts the points where they are needed.

    Cost: `steps` forward and backward passes per input, target and baseline, and two forward passes. With a
    tolerance: the same to begin with, then 15 passes for every part of the path that has to be halved.

    steps:     points on the path.
    baseline:  what "absent" looks like: a number, an array that broadcasts, a function from tfxai.baselines, or
               tfxai.baselines.several(...) to average over some. Token ids are explained at their embedding: there a
               number means that number in every dimension, an array or function gives token ids. Unless given: zeros, or
               the padding id 0 of ids whose Embedding has mask_zero=True. The mask of the input stays as it is on the way.
    rule:      "gauss_legendre", "midpoint" or "trapezoid".
    tolerance: largest error wanted of the sum of all values (`delta`): in units of the score, or as a share of
               |score(input) - score(baseline)|, such as "1%". The path is cut into steps / 5 parts, whose errors are known from
               the scores at their ends, and the worst are halved, again and again (Gauss-Legendre in each, whatever the rule).
               Warns if 20 rounds or 200 parts do not suffice.

    >>> rows = np.array([[3.0, 1.0]], "float32")
    >>> found = tfxai.IntegratedGradients()(lambda x: x[:, 0] ** 2 - 2 * x[:, 1], rows)
    >>> found.values.round(3).tolist(), found.scores.tolist()
    ([[9.0, -2.0]], [7.0])

    Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017. arXiv:1703.01365, equation 1
    """

    steps: Count = 50
    baseline: Baseline = None
    rule: Literal["gauss_legendre", "midpoint", "trapezoid"] = "gauss_legendre"
    tolerance: Tolerance = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule == "trapezoid" and self.steps < 2:
            raise ValueError(
                f"steps is {self.steps}. Give 2 for the trapezoid rule, or more: it counts both ends."
            )

    def attribute(self, request: Request) -> Attribution:
        baselines = self.baseline.baselines if isinstance(self.baseline, Several) else (self.baseline,)
        attributions = [
            self._along(Paths(request, starts=request.baselines_of(b), plain=b is not None))
            for b in baselines
        ]
        if len(attributions) == 1:
            return attributions[0]
        parts = zip(*(attribution.values for attribution in attributions), strict=True)
        values = [None if each[0] is None else _mean(each) for each in parts]
        delta, base = (
            _mean([getattr(each, name) for each in attributions]) for name in ("delta", "base_scores")
        )
        return dataclasses.replace(attributions[0], values=values, delta=delta, base_scores=base)

    def _along(self, paths: Paths) -> Attribution:
        if self.tolerance is not None:
            return attribution_along(
                paths, lambda block: self._refined(paths, block), complete=True, remedy=OTHER_BASELINE
            )
        positions, weights = nodes(self.rule, self.steps)

        def values_of(block: Block) -> list[NDArray]:
            return paths.contributions(
                block, paths.run(block, PathPoints.of(block.count, positions, weights), Sum())
            )

        remedy = f'Take more steps, or give tolerance="1%". {OTHER_BASELINE}'
        return attribution_along(paths, values_of, complete=True, remedy=remedy)

    def _refined(self, paths: Paths, block: Block) -> list[NDArray]:
        """Halves the parts of the path with the largest errors until what is left is within the tolerance."""
        parts, errors = self._first_parts(paths, block)
        first = len(parts)
        values = self._added(paths, block, [zero.numpy() for zero in block.zeros], parts)
        for _ in range(ROUNDS):
            worst = [
                part
                for row, error in enumerate(errors)
                for part in _worst([p for p in parts if p.row == row], error)
            ]
            if not worst:
                return paths.contributions(block, values)
            middles = np.array([(part.low + part.high) / 2 for part in worst])
            scores = paths.scores_at(block, _points(np.array([part.row for part in worst]), middles))
            halves = [
                half
                for part, middle, score in zip(worst, middles, scores, strict=True)
                for half in part.halved(middle, float(score))
            ]
            values = self._added(paths, block, values, halves, without=worst)
            gone = {id(part) for part in worst}
            parts = [part for part in parts if id(part) not in gone] + halves
            if len(parts) > max(MOST * len(errors), 2 * first):
                break  # rounding, in half precision say, or kinks everywhere: more parts would not help
        warn(
            f"IntegratedGradients did not reach tolerance={self.tolerance!r} for every input; delta is the error left."
        )
        return paths.contributions(block, values)

    def _first_parts(self, paths: Paths, block: Block) -> tuple[list[_Stretch], NDArray]:
        """Each row's path in parts of one length, with the scores at their ends; and the error wanted (rows,)."""
        count, rows = max(self.steps // PART, 1), len(block.targets)
        edges = np.linspace(0, 1, count + 1)
        # A path through a layer begins where the rest of the model is still at the input: that score nobody knows yet.
        first = int(paths.network.inner is None)
        at = _points(np.repeat(np.arange(rows), count - first), np.tile(edges[first:-1], rows))
        inner = paths.scores_at(block, at).reshape(rows, count - first)
        starts = [block.base_scores] if first else []
        scores = np.column_stack([*starts, inner, block.scores]).astype(np.float64)
        parts = [
            _Stretch(row, *edges[i : i + 2], *scores[row, i : i + 2])
            for row in range(rows)
            for i in range(count)
        ]
        ends = np.abs(scores[:, -1]) + np.abs(scores[:, 0])
        # A change that is itself rounding cannot be met to a fraction of it.
        allowed = wanted(self.tolerance or 0.0, np.abs(scores[:, -1] - scores[:, 0]))
        return parts, np.maximum(allowed, 1e-6 * (ends + 1))

    def _added(
        self,
        paths: Paths,
        block: Block,
        values: list[NDArray],
        parts: list[_Stretch],
        without: Sequence[_Stretch] = (),
    ) -> list[NDArray]:
        """The sums with some parts added and others, evaluated once more, taken out; notes the parts' errors."""
        positions, weights = nodes("gauss_legendre", PART)
        every = [*((part, 1.0) for part in parts), *((part, -1.0) for part in without)]
        at = np.concatenate([part.low + (part.high - part.low) * positions for part, _ in every])
        share = np.concatenate([sign * (part.high - part.low) * weights for part, sign in every])
        rows = np.repeat([part.row for part, _ in every], PART)
        points = dataclasses.replace(_points(rows, at), weights=share.astype(np.float32))
        *sums, along = paths.run(block, points, SumAndSlopes(), share=0.0 if len(without) else 1.0)
        integrals = (along.astype(np.float64) * share).reshape(-1, PART).sum(1)
        for part, integral in zip(parts, integrals, strict=False):
            part.error = integral - (part.at_high - part.at_low)
        return [old + new for old, new in zip(values, sums, strict=True)]


@dataclasses.dataclass(eq=False)
class _Stretch:
    """A part of one row's path, the scores at its ends, and how far its integral is from their difference."""

    row: int
    low: float
    high: float
    at_low: float
    at_high: float
    error: float = 0.0

    def halved(self, middle: float, score: float) -> tuple[_Stretch, _Stretch]:
        """Its halves; score: at the middle."""
        return (
            _Stretch(self.row, self.low, middle, self.at_low, score),
            _Stretch(self.row, middle, self.high, score, self.at_high),
        )


def _worst(parts: list[_Stretch], wanted: float) -> list[_Stretch]:
    """The fewest parts to halve: none if the error is small enough, as a sum and without the help of signs."""
    errors = np.array([part.error for part in parts])
    if abs(errors.sum()) <= wanted and np.sqrt((errors**2).sum()) <= wanted:
        return []
    order = np.argsort(-np.abs(errors))
    left = np.sqrt(np.cumsum(errors[order][::-1] ** 2))[::-1]  # error if all before were exact
    return [parts[i] for i in order[: max(int((left > wanted / 2).sum()), 1)]]


@dataclasses.dataclass(frozen=True)
class SumAndSlopes(Sum):
    """The gradients' sum for each row, and at each point the score's slope along the path."""

    def start(self, zeros: list[Tensor], points: PathPoints) -> list[Tensor]:
        return [*zeros, tf.zeros([len(points.rows)])]

    def update(self, state: list[Tensor], chunk: Chunk) -> list[Tensor]:
        *sums, along = state
        along = tf.tensor_scatter_nd_update(along, chunk.numbers[:, None], sum_of_values(chunk.contributions))
        return [*super().update(sums, chunk), along]


def _mean(parts: Sequence[Any]) -> Any:
    return functools.reduce(operator.add, parts) / len(parts)


def nodes(rule: str, steps: int) -> tuple[NDArray, NDArray]:
    """Positions in 0..1 and weights, which sum to 1."""
    if rule == "gauss_legendre":
        positions, weights = np.polynomial.legendre.leggauss(steps)
        return (positions + 1) / 2, weights / 2
    if rule == "midpoint":
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


def _points(rows: NDArray, positions: NDArray) -> PathPoints:
    return PathPoints(
        rows.astype(np.int32), positions.astype(np.float32).reshape(-1, 1), np.zeros(len(rows), np.float32)
    )
