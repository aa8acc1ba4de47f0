"""Deletion and insertion: the score while the input is taken away, or given back, in the order of the evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from tfxai import baselines
from tfxai.baselines import Baseline
from tfxai.engines import Perturbed, Tracer, shown, visible
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, ranks_of, rows_of
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import BatchSize, Count, InputKey, Model, Seed, Tensor


@metric(higher_is_better=False)
def deletion(
    model: Model,
    explanation: Explanation,
    *,
    step: Count | None = None,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """How fast does the score fall when the places with most evidence are taken away first? Area under the curve.

    Lower is better: the evidence was where the model needs it. Trapezoids over fractions 0 to 1, so between 0 and 1
    for probabilities.

    step:     places taken away at a time; unless given, as many as an image row has, one column of a table, one time
              step of a series.
    baseline: what they are replaced by; 0 as in the paper. See tfxai.baselines.
    score:    as for every method; the probability of the explained class unless given.
    input:    which of several inputs; the explained image unless given.
    seed:     of the order among places with the same evidence, which others take by position.

    Defaults: those of the paper's code (224 of 224 x 224 pixels at a time, zeros, probabilities). xplique takes 10
    steps of any output; quantus (PixelFlipping) replaces one number at a time by the image's least, and keeps the
    whole curve.

    Raises ValueError if the explanation does not fit the model. Cost: places / step + 2 forward passes for each target.
    Criticism: inputs with holes lie outside of what the model was trained on, and their scores are partly about that.

    Petsiuk, Das, Saenko: RISE, 2018. arXiv:1806.07421
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    return _curve(deletion, rows, rows.hidden(baseline), step, seed, keep=False)


@metric(higher_is_better=True)
def insertion(
    model: Model,
    explanation: Explanation,
    *,
    step: Count | None = None,
    baseline: Baseline | None = None,
    score: str | Score = "probability",
    input: InputKey = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """How fast does the score rise when the places with most evidence are given back first? Area under the curve.

    Higher is better.

    baseline: what is there before. Unless given, the input blurred by a Gaussian of 11 pixels and sigma 5; for tables
              and token ids 0.

    Everything else as for `deletion`, errors too. Defaults: those of the paper's code; xplique starts from zeros, in 10 steps.
    Cost: as for `deletion`. Criticism: a blurred image may keep its class.

    Petsiuk, Das, Saenko: RISE, 2018. arXiv:1806.07421
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    if baseline is None:
        baseline = baselines.blur(5, size=11) if rows.explained.array.ndim > 2 else 0.0
    return _curve(insertion, rows, rows.hidden(baseline), step, seed, keep=True)


def _curve(
    function: Callable[..., MetricResult],
    rows: Rows,
    hidden: NDArray,
    step: int | None,
    seed: int,
    keep: bool,
) -> MetricResult:
    """Area under the curve. keep: the first places are those that are seen, not those that are hidden."""
    curves, fractions = stepwise(rows, hidden, step, keep, seed, rows.heat)
    return rows.result(function, trapezoid(curves, fractions, axis=1), curves=curves, fractions=fractions)


def stepwise(
    rows: Rows, hidden: NDArray, step: int | None, keep: bool, seed: int, order: NDArray
) -> tuple[NDArray, NDArray]:
    """Scores (rows, steps + 1) while places are hidden, or shown if `keep`, and the fractions (steps + 1,) that are.

    hidden: (rows, ...), what hidden places become. step: places at a time; an image row, one column or time step if None.
    order:  (rows, *space): the places with the largest numbers come first. seed: of the order of equal ones.
    """
    if step is None:
        step = rows.explained.space[-1] if len(rows.explained.space) > 1 else 1
    counts = np.unique([*range(0, rows.places, step), rows.places]).astype(np.int32)

    def fixed(row: int) -> list[NDArray]:
        ranks = ranks_of(order[row], np.random.default_rng([seed, row]))
        return [ranks[None], hidden[row : row + 1]]

    steps = rows.perturbed(_FirstPlaces(rows.explained.which, keep), lambda _: [counts], fixed)
    return np.stack([perturbed.scores[:, 0] for _, perturbed in steps]), counts / rows.places


@dataclasses.dataclass(frozen=True)
class _FirstPlaces:
    """The first places, as many as the plan says, by their ranks (fixed): kept, or hidden behind what is given (fixed)."""

    which: int
    keep: bool

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        ranks, hidden = fixed
        first = ranks < tf.reshape(plan[0], (-1, *[1] * (ranks.shape.rank - 1)))
        x = visible(inputs[self.which], hidden, first if self.keep else ~first)
        return Perturbed(shown(inputs, self.which, x))
