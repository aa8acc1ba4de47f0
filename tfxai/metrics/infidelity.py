"""Infidelity: how well values forecast what a perturbation does to the score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import Example, Perturbed, PerturbedScores, shown, visible
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, rows_of
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import Model, Tensor, at_least_zero, whole_number


@metric(higher_is_better=False)
def infidelity(
    model: Model,
    explanation: Explanation,
    *,
    reads: Literal["weights", "contributions"] = "contributions",
    perturbation: Literal["square", "noise"] = "square",
    samples: int = 100,
    noise: float = 0.2,
    scaled: bool = False,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> MetricResult:
    """How far off are the values as a forecast of what perturbations do to the score? E[(I.map - change)^2].

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
    part, squares = rows.part, perturbation == "square"
    _check(reads, perturbation, part.array)
    samples, noise = whole_number("samples", samples, 2), at_least_zero("noise", noise)

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

    plan = _plans(part.space, samples, seed) if squares else _keys(samples, seed)
    fixed = _fixed(rows, rows.hidden(baseline), noise)
    settings = ("infidelity", reads, perturbation)
    seen = rows.seen(settings, perturb, plan, fixed, notes=1)
    return rows.result(infidelity, [_error(example, perturbed, scaled) for example, perturbed in seen])


def _check(reads: str, perturbation: str, array: NDArray) -> None:
    """Raises ValueError unless the settings are known and fit the input."""
    if reads not in ("weights", "contributions") or perturbation not in ("square", "noise"):
        raise ValueError(
            f'reads={reads!r}, perturbation={perturbation!r}. Give "weights" or "contributions", "square" or "noise".'
        )
    if perturbation == "noise" and array.dtype.kind != "f":
        raise ValueError('perturbation="noise" needs inputs of numbers, not token ids. Use "square".')
    if reads == "weights" and array.dtype.kind != "f":
        raise ValueError('reads="weights" needs inputs of numbers, not token ids. Use "contributions".')


def _inside(squares: Tensor, space: tuple[int, ...]) -> Tensor:
    """(B, *space): which places lie in a square (B, axes, 2)."""
    inside: Any = True
    for axis, length in enumerate(space):
        places = tf.range(length)[None]
        hit = (places >= squares[:, axis, :1]) & (places < squares[:, axis, 1:])
        inside = inside & tf.reshape(hit, (-1, *[length if i == axis else 1 for i in range(len(space))]))
    return inside


def _plans(space: tuple[int, ...], samples: int, seed: int) -> Callable[[int], list[NDArray]]:
    """row -> its random squares."""
    return lambda row: [_random_squares(samples, space, np.random.default_rng([seed, row]))]


def _random_squares(
    samples: int, space: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.int32]:
    """(samples, axes, 2): first place and the one after the last, along each axis; sides up to the half of the axis."""
    sides = generator.integers(1, max(min(space) // 2, 1) + 1, samples)
    starts = [generator.integers(0, length - np.minimum(sides, length) + 1) for length in space]
    return np.stack([np.stack([start, start + sides], axis=1) for start in starts], axis=1).astype(np.int32)


def _keys(samples: int, seed: int) -> Callable[[int], list[NDArray]]:
    """row -> keys (samples, 2) of noise that is drawn in the trace."""
    return lambda row: [np.random.default_rng([seed, row]).integers(0, 2**31, (samples, 2)).astype(np.int32)]


def _fixed(rows: Rows, hidden: NDArray, noise: float) -> Callable[[int], list[NDArray]]:
    """row -> its values, its baseline, and the standard deviation of its noise."""
    array = rows.part.array

    def fixed(row: int) -> list[NDArray]:
        x = array[row].astype(np.float32)
        width = np.full([1] * array.ndim, noise * float(x.max() - x.min()), np.float32)
        return [rows.full[row : row + 1], hidden[row : row + 1], width]

    return fixed


def _error(example: Example, perturbed: PerturbedScores, scaled: bool) -> float:
    """Mean squared error of the forecasts, which are the notes of the passes."""
    change = (example.scores[0] - perturbed.scores[:, 0]).astype(np.float64)
    forecast = perturbed.notes[:, 0].astype(np.float64)
    if scaled:
        forecast = forecast * (forecast @ change) / max(forecast @ forecast, 1e-30)
    return float(np.mean((forecast - change) ** 2))
