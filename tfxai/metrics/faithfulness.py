"""Does what is hidden take away as much of the score as the map says?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tfxai.baselines import Baseline
from tfxai.engines import Perturbed, Tracer, shown, visible
from tfxai.metrics.curves import stepwise
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, correlation, rows_of
from tfxai.results import Explanation
from tfxai.support import Tensor, whole_number


@metric(higher_is_better=True)
def faithfulness_correlation(
    model: Any,
    explanation: Explanation,
    *,
    samples: int = 100,
    share: float = 0.2,
    baseline: Baseline = 0.0,
    score: Any = "probability",
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> MetricResult:
    """Does the evidence of random places that are hidden together tell how far the score falls? Pearson's r, -1 to 1.

    Higher is better.

    samples:  random sets of places. share: of the places in each set, the same number in all, so that sums compare.
    baseline: what hidden places become.

    Defaults: quantus draws 100 sets, too, of 224 numbers (not places), and puts the image's least number there.

    Raises ValueError if the explanation does not fit the model. Cost: samples + 1 forward passes for each target.
    Criticism: scattered pixels hardly change what a network sees; `mu_fidelity` hides whole cells.

    Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, 2020. arXiv:2005.00631
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    cells = np.arange(rows.places, dtype=np.int32).reshape(rows.part.space)
    return _correlated(faithfulness_correlation, rows, cells, samples, share, baseline, seed, correlation)


@metric(higher_is_better=True)
def mu_fidelity(
    model: Any,
    explanation: Explanation,
    *,
    samples: int = 200,
    share: float = 0.2,
    grid: int | None = 9,
    rank: bool = True,
    baseline: Baseline = 0.0,
    score: Any = "probability",
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> MetricResult:
    """The same of whole cells of a grid, by rank: does the evidence of hidden cells tell how far the score falls?

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
    space = rows.part.space
    if grid is None or rows.part.array.ndim < 3:
        cells = np.arange(rows.places, dtype=np.int32).reshape(space)
    else:
        grid = whole_number("grid", grid, 2)
        axes = [np.arange(side) * min(grid, side) // side for side in space]
        cells = np.zeros(space, np.int64)
        for axis, (numbers, side) in enumerate(zip(axes, space, strict=True)):
            shape = [-1 if i == axis else 1 for i in range(len(space))]
            cells = cells * min(grid, side) + numbers.reshape(shape)
        cells = cells.astype(np.int32)
    return _correlated(
        mu_fidelity, rows, cells, samples, share, baseline, seed, _spearman if rank else correlation
    )


def _correlated(
    function: Any,
    rows: Rows,
    cells: NDArray[np.int32],
    samples: int,
    share: float,
    baseline: Baseline,
    seed: int,
    measure: Callable[[NDArray, NDArray], float],
) -> MetricResult:
    samples = whole_number("samples", samples, 3)
    count = int(cells.max()) + 1
    size = round(share * count) if 0 < share < 1 else 0
    if not 0 < size < count:
        raise ValueError(
            f"share is {share}, of {count} parts. Give a share between 0 and 1 that is one part or more."
        )
    hidden, part = rows.hidden(baseline), rows.part
    values = []

    def plan(row: int) -> list[NDArray]:
        generator = np.random.default_rng([seed, row])
        return [random_sets(samples, count, size, generator)]

    def fixed(row: int) -> list[NDArray]:
        return [cells[None], hidden[row : row + 1]]

    for example, seen in rows.perturbed(_Sets(part.which), plan, fixed):
        sums = np.bincount(cells.reshape(-1), rows.share[example.number].reshape(-1).astype(np.float64))
        values.append(measure(plan(example.number)[0] @ sums, example.scores[0] - seen.scores[:, 0]))
    return rows.result(function, values)


def random_sets(samples: int, count: int, size: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """(samples, count): in each row `size` are true."""
    found = np.zeros((samples, count), bool)
    for row in found:
        row[generator.choice(count, size, replace=False)] = True
    return found


@dataclasses.dataclass(frozen=True)
class _Sets:
    """Sets of cells, hidden together: the plan tells which (B, cells), fixed are the cells' map and what hides."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        hidden = tf.gather(plan[0], fixed[0][0], axis=1)
        return Perturbed(shown(inputs, self.which, visible(inputs[self.which], fixed[1], ~hidden)))


def _spearman(ones: NDArray, others: NDArray) -> float:
    if np.ptp(ones) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.asarray(spearmanr(ones, others))[0])


@metric(higher_is_better=True)
def monotonicity(
    model: Any,
    explanation: Explanation,
    *,
    step: int | None = None,
    baseline: Baseline = 0.0,
    score: Any = "probability",
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
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
