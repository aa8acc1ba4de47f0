"""Do values say how much the score changes when parts of the input do?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tfxai.baselines import Baseline
from tfxai.engines.perturb import Perturbed, at_inputs, shown, visible
from tfxai.explanation import Explanation
from tfxai.metrics.curves import stepwise
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, at_least_zero, correlation, rows_of, whole_number


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

    def perturb(inputs: Sequence[Any], fixed: Sequence[Any], plan: Sequence[Any]) -> Perturbed:
        gone = tf.gather(plan[0], fixed[0][0], axis=1)
        return Perturbed(shown(inputs, part.which, visible(inputs[part.which], fixed[1], ~gone)))

    def plan(row: int) -> list[NDArray]:
        generator = np.random.default_rng([seed, row])
        return [random_sets(samples, count, size, generator)]

    def fixed(row: int) -> list[NDArray]:
        return [cells[None], hidden[row : row + 1]]

    for example, seen in rows.seen(("sets",), perturb, plan, fixed):
        sums = np.bincount(cells.reshape(-1), rows.share[example.number].reshape(-1).astype(np.float64))
        values.append(measure(plan(example.number)[0] @ sums, example.scores[0] - seen.scores[:, 0]))
    return rows.result(function, values)


def random_sets(samples: int, count: int, size: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """(samples, count): in each row `size` are true."""
    found = np.zeros((samples, count), bool)
    for row in found:
        row[generator.choice(count, size, replace=False)] = True
    return found


def _spearman(ones: NDArray, others: NDArray) -> float:
    if np.ptp(ones) == 0 or np.ptp(others) == 0:
        return 0.0
    return float(np.asarray(spearmanr(ones, others))[0])


@metric(higher_is_better=False)
def infidelity(
    model: Any,
    explanation: Explanation,
    *,
    reads: Literal["weights", "contributions"] = "contributions",
    perturbation: Literal["square", "noise"] = "square",
    samples: int = 100,
    noise: float = 0.2,
    scaled: bool = False,
    baseline: Baseline = 0.0,
    score: Any = "probability",
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> MetricResult:
    """Mean squared error of the values as a forecast of what perturbations do to the score: E[(I.map - change)^2].

    reads:        "weights": the values are a slope, such as a gradient, and forecast the sum of values times the step
                  from the perturbed to the original input; "contributions": they are parts of the score, and what is
                  hidden takes its parts along (for "noise": values times step over input - baseline).
    perturbation: "square": a random square (stretch of a series, neighbouring columns) becomes the baseline; "noise": normal
                  noise is subtracted everywhere.
    noise:        its standard deviation, as a part of the example's range.
    scaled:       forecasts are scaled to fit best, since many methods only mean ratios.

    Lower is better, in squares of score units. Values of one channel count for all channels of a place: as one slope,
    or as one contribution.

    Defaults: the paper's code has this noise; of it 10000 draws, or all squares of 1 to 10 pixels, and scales
    forecasts. captum and quantus take 10 draws, and do not scale: captum of a perturbation that you give, quantus of
    patches of 4 pixels.

    Raises ValueError if the explanation does not fit the model. Cost: samples + 1 forward passes for each target.
    Criticism: without `scaled` it compares units before it compares maps.

    Yeh et al.: On the (In)fidelity and Sensitivity of Explanations, 2019. arXiv:1901.09392
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    if reads not in ("weights", "contributions") or perturbation not in ("square", "noise"):
        raise ValueError(
            f'reads={reads!r}, perturbation={perturbation!r}. Give "weights" or "contributions", "square" or "noise".'
        )
    samples, noise = whole_number("samples", samples, 2), at_least_zero("noise", noise)
    part, hidden = rows.part, rows.hidden(baseline)
    if perturbation == "noise" and part.array.dtype.kind != "f":
        raise ValueError('perturbation="noise" needs inputs of numbers, not token ids. Use "square".')
    if reads == "weights" and part.array.dtype.kind != "f":
        raise ValueError('reads="weights" needs inputs of numbers, not token ids. Use "contributions".')
    squares = perturbation == "square"
    one = [1] * len(part.space)

    def perturb(inputs: Sequence[Any], fixed: Sequence[Any], plan: Sequence[Any]) -> Perturbed:
        x, (full, base, width) = inputs[part.which], fixed
        mask: Any = None
        if squares:
            gone = _inside(plan[0], part.space)
            y = visible(x, base, ~gone)
            mask = tf.cast(gone if gone.shape.rank == x.shape.rank else gone[..., None], tf.float32)
        else:
            drawn = tf.map_fn(
                lambda key: tf.random.stateless_normal(x.shape[1:], key),
                plan[0],
                fn_output_signature=tf.float32,
            )
            y = x - width[0] * drawn
        step = tf.cast(x, tf.float32) - tf.cast(y, tf.float32)
        if reads == "weights":
            forecast = full * step
        elif squares:
            forecast = full * mask
        else:
            ratio = tf.math.divide_no_nan(step, tf.cast(x - base, tf.float32))
            alone = full.shape[-1] == 1 and full.shape.rank == ratio.shape.rank
            forecast = full * (tf.reduce_mean(ratio, -1, keepdims=True) if alone else ratio)
        forecast = tf.reduce_sum(tf.reshape(forecast, (tf.shape(forecast)[0], -1)), 1, keepdims=True)
        return Perturbed(shown(inputs, part.which, tf.cast(y, x.dtype)), notes=forecast)

    def plan(row: int) -> list[NDArray]:
        generator = np.random.default_rng([seed, row])
        if squares:
            return [random_squares(samples, part.space, generator)]
        return [generator.integers(0, 2**31, (samples, 2)).astype(np.int32)]

    def fixed(row: int) -> list[NDArray]:
        x = part.array[row].astype(np.float32)
        width = np.full(
            (1, *one, *[1] * (part.array.ndim - 1 - len(one))), noise * float(x.max() - x.min()), np.float32
        )
        return [rows.full[row : row + 1], hidden[row : row + 1], width]

    values = []
    for example, seen in rows.seen(("infidelity", reads, perturbation), perturb, plan, fixed, notes=1):
        change = (example.scores[0] - seen.scores[:, 0]).astype(np.float64)
        forecast = seen.notes[:, 0].astype(np.float64)
        if scaled:
            forecast = forecast * (forecast @ change) / max(forecast @ forecast, 1e-30)
        values.append(np.mean((forecast - change) ** 2))
    return rows.result(infidelity, values)


def random_squares(samples: int, space: tuple[int, ...], generator: np.random.Generator) -> NDArray[np.int32]:
    """(samples, axes, 2): first place and the one after the last, along each axis; sides up to the half of the axis."""
    sides = generator.integers(1, max(min(space) // 2, 1) + 1, samples)
    starts = [generator.integers(0, length - np.minimum(sides, length) + 1) for length in space]
    return np.stack([np.stack([start, start + sides], axis=1) for start in starts], axis=1).astype(np.int32)


def _inside(squares: Any, space: tuple[int, ...]) -> Any:
    """(B, *space): which places lie in a square (B, axes, 2)."""
    inside: Any = True
    for axis, length in enumerate(space):
        places = tf.range(length)[None]
        hit = (places >= squares[:, axis, :1]) & (places < squares[:, axis, 1:])
        inside = inside & tf.reshape(hit, (-1, *[length if i == axis else 1 for i in range(len(space))]))
    return inside


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


@metric(higher_is_better=False)
def completeness(
    model: Any,
    explanation: Explanation,
    *,
    baseline: Baseline = 0.0,
    score: Any = None,
    input: str | int | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> MetricResult:
    """How far is the sum of all values from the score that they should share out? |sum - (f(x) - f(baseline))|.

    Lower is better, in score units; of the score that was explained unless another is given. Of several inputs all
    that were explained are summed and hidden, or the one that `input` names.

    Defaults: the paper's black image is 0 here. quantus asks whether both are equal to the bit, which rounding
    decides.

    Cost: 2 forward passes for each target.
    Criticism: only methods that promise a sum can be measured, and a sum says nothing about the parts.

    Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017. arXiv:1703.01365
    """
    score = explanation_score(explanation) if score is None else score
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    keys: list[Any] = [input]
    if input is None and not isinstance(explanation.inputs, np.ndarray):
        given = explanation.inputs
        names = list(given) if isinstance(given, dict) else range(len(given))
        keys = [key for key in names if explanation.values[key] is not None]
    several = [rows_of(model, explanation, score, batch_size, False, key) for key in keys]
    gone = [each.hidden(baseline) for each in several]
    _, whole = at_inputs(rows.question)

    def perturb(inputs: Sequence[Any], fixed: Sequence[Any], plan: Sequence[Any]) -> Perturbed:
        found = list(inputs)
        for each, base in zip(several, fixed, strict=True):
            found[each.part.which] = base
        return Perturbed(found)

    def fixed(row: int) -> list[NDArray]:
        return [base[row : row + 1] for base in gone]

    places = tuple(each.part.which for each in several)
    seen = rows.seen(("baseline", places), perturb, lambda _: [np.zeros(1, np.int32)], fixed)
    nothing = np.array([found.scores[0, 0] for _, found in seen])
    sums = sum(each.share.reshape(len(rows), -1).sum(axis=1, dtype=np.float64) for each in several)
    return rows.result(completeness, np.abs(sums - (whole[:, 0] - nothing)))


def explanation_score(explanation: Explanation) -> Any:
    """The score by its name. Raises ValueError if it was a function."""
    found = explanation.score
    if found in ("logit", "probability", "output"):
        return found
    raise ValueError(f"The explanation is of the score {found}. Give it: completeness(..., score=...).")
