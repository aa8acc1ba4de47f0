"""Faithfulness correlation, mu-fidelity, monotonicity: does the score follow the evidence that is hidden or added?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import Example, Perturbed, PerturbedScores, Tracer, shown, visible
from tfxai.metrics.curves import stepwise
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, rows_of
from tfxai.metrics.sampled import Sampling
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.stats import pearson, spearman
from tfxai.support import (
    BatchSize,
    Confidence,
    Count,
    InputKey,
    Model,
    Seed,
    Tensor,
    Tolerance,
    number,
    whole,
)

Share = Annotated[float, number(above=0, below=1, noun="a share")]


@metric(higher_is_better=True)
def faithfulness_correlation(
    model: Model,
    explanation: Explanation,
    *,
    samples: Annotated[int, whole(3)] = 100,
    share: Share = 0.2,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    seed: Seed = 0,
    tolerance: Tolerance = None,
    confidence: Confidence = 0.95,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """Does the evidence of random places that are hidden together tell how far the score falls? Pearson's r, -1 to 1.

    Higher is better.

    samples:  random sets of places. share: of the places in each set, the same number in all, so that sums compare.
    baseline: what hidden places become.
    tolerance: draws until each number is within so much of that of infinitely many draws, such as 0.05, or as a share of the
              number, such as "10%"; `samples` are then the most. confidence: of that, for each number.

    Defaults: quantus draws 100 sets, too, of 224 numbers (not places), and puts the image's least number there.

    Raises ValueError if the explanation does not fit the model. Cost: samples + 1 forward passes for each target.
    Criticism: scattered pixels hardly change what a network sees; `mu_fidelity` hides whole cells.

    Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, 2020. arXiv:2005.00631
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    cells = np.arange(rows.places, dtype=np.int32).reshape(rows.explained.space)
    sampling = Sampling(samples, tolerance, confidence)
    return _correlated(faithfulness_correlation, rows, cells, sampling, share, baseline, seed, pearson)


@metric(higher_is_better=True)
def mu_fidelity(
    model: Model,
    explanation: Explanation,
    *,
    samples: Annotated[int, whole(3)] = 200,
    share: Share = 0.2,
    grid: Annotated[int, whole(2)] | None = 9,
    rank: bool = True,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    seed: Seed = 0,
    tolerance: Tolerance = None,
    confidence: Confidence = 0.95,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """Does the evidence of hidden cells of a grid tell how far the score falls? As the correlation above, by rank.

    Higher is better.

    grid: cells along each axis of an image, along a series; None for single places, as in the paper. rank: Spearman's
          correlation, else Pearson's.

    Everything else as for `faithfulness_correlation`. Defaults: those of xplique (200 sets, 9 x 9 cells, a fifth of
    them, zeros), which draws each cell alone, so that sets differ in size, and explains any output.
    Cost: samples + 1 forward passes for each target. Criticism: the answer depends on the size of cells and sets.

    Bhatt, Weller, Moura, 2020. arXiv:2005.00631; with cells as in Fel et al.: Look at the Variance!, 2021.
    arXiv:2111.04138
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    if grid is None or rows.explained.array.ndim < 3:
        cells = np.arange(rows.places, dtype=np.int32).reshape(rows.explained.space)
    else:
        cells = _grid_cells(rows.explained.space, grid)
    measure = spearman if rank else pearson
    sampling = Sampling(samples, tolerance, confidence)
    return _correlated(mu_fidelity, rows, cells, sampling, share, baseline, seed, measure)


def _grid_cells(space: tuple[int, ...], grid: int) -> NDArray[np.int32]:
    """(*space) number of the cell of each place, with `grid` cells along each axis, or as many as it has places."""
    cells = np.zeros(space, np.int32)
    for axis, side in enumerate(space):
        count = min(grid, side)
        along = np.arange(side, dtype=np.int32) * count // side
        cells = cells * count + along.reshape([-1 if i == axis else 1 for i in range(len(space))])
    return cells


@metric(higher_is_better=True)
def monotonicity(
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
    """Does the score never fall while places are added in order of their evidence, the least first? 1 if so, else 0.

    Higher is better. What counts against the class is added first of all, and the score is watched from then on.
    step: places added at a time; as for `deletion`. seed: of the order among places with the same evidence.

    Defaults: AIX360 and quantus add one number at a time (step=1 for tables); quantus goes by magnitudes and starts
    from the image's least number, AIX360 from what you give.

    Cost: places / step + 2 forward passes for each target. Criticism: one small step back counts as much as many, so with
    many places hardly any map passes; the curves tell more.

    Arya et al.: One Explanation Does Not Fit All, 2019. arXiv:1909.03012, whose code (AIX360) this follows
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    curves, fractions = stepwise(rows, rows.hidden(baseline), step, True, seed, -rows.heat)
    values = (np.diff(curves[:, 1:], axis=1) >= 0).all(axis=1)
    return rows.result(monotonicity, values, curves=curves, fractions=fractions)


def _correlated(
    function: Callable[..., MetricResult],
    rows: Rows,
    cells: NDArray[np.int32],
    sampling: Sampling,
    share: float,
    baseline: Baseline,
    seed: int,
    measure: Callable[[NDArray, NDArray], float],
) -> MetricResult:
    """How the evidence of random sets of cells goes with the fall of the score when they are hidden; 0 if constant.

    cells: (*space) number of the cell of each place. measure: a correlation.
    """
    count = int(cells.max()) + 1
    size = round(share * count)
    if not 0 < size < count:
        raise ValueError(
            f"share is {share}, of {count} parts. Give a share between 0 and 1 that is one part or more."
        )
    hidden, part = rows.hidden(baseline), rows.explained

    def plan(row: int) -> list[NDArray]:
        generator = np.random.default_rng([seed, row])
        return [_random_sets(sampling.samples, count, size, generator)]

    def fixed(row: int) -> list[NDArray]:
        return [cells[None], hidden[row : row + 1]]

    def followed(example: Example, drawn: Sequence[NDArray], perturbed: PerturbedScores) -> float:
        sums = np.bincount(cells.reshape(-1), rows.share[example.number].reshape(-1).astype(np.float64))
        falls = example.scores[0] - perturbed.scores[:, 0]
        return float(np.nan_to_num(measure(drawn[0] @ sums, falls)))

    values, more = sampling.run(rows, _Sets(part.which), plan, fixed, followed)
    return rows.result(function, values, **more)


def _random_sets(samples: int, count: int, size: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """(samples, count): in each row `size` are true."""
    sets = np.zeros((samples, count), bool)
    for row in sets:
        row[generator.choice(count, size, replace=False)] = True
    return sets


@dataclasses.dataclass(frozen=True)
class _Sets:
    """Sets of cells, hidden together: the plan tells which (B, cells), fixed are the cells' map and what hides."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        hidden = tf.gather(plan[0], fixed[0][0], axis=1)
        return Perturbed(shown(inputs, self.which, visible(inputs[self.which], fixed[1], ~hidden)))
