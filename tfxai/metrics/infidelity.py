"""Infidelity: how well values forecast what a perturbation does to the score."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import Example, Perturbed, PerturbedScores, Tracer, shown, space_of, visible
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, rows_of
from tfxai.metrics.sampled import Sampling
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import BatchSize, Confidence, InputKey, Model, Seed, Tensor, Tolerance, number, whole


@metric(higher_is_better=False)
def infidelity(
    model: Model,
    explanation: Explanation,
    *,
    reads: Literal["weights", "contributions"] = "contributions",
    perturbation: Literal["square", "noise"] = "square",
    samples: Annotated[int, whole(2)] = 100,
    noise: Annotated[float, number(least=0)] = 0.2,
    scaled: bool = False,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    seed: Seed = 0,
    tolerance: Tolerance = None,
    confidence: Confidence = 0.95,
    batch_size: BatchSize = 32,
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
    tolerance:    draws until each number is within so much of that of infinitely many draws: in squares of score units, or as
                  a share of the number, such as "10%"; `samples` are then the most. confidence: of that, for each number.

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
    part, squares = rows.explained, perturbation == "square"
    _check(reads, perturbation, part.array)

    plan = _plans(part.space, samples, seed) if squares else _keys(samples, seed)
    fixed = _fixed(rows, rows.hidden(baseline), noise)
    forecast = _Forecast(part.which, squares, reads == "weights")

    def measure(example: Example, _: object, perturbed: PerturbedScores) -> float:
        return _error(example, perturbed, scaled)

    sampling = Sampling(samples, tolerance, confidence)
    values, more = sampling.run(rows, forecast, plan, fixed, measure, notes=1)
    return rows.result(infidelity, values, **more)


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
    array = rows.explained.array

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


@dataclasses.dataclass(frozen=True)
class _Forecast:
    """Squares that are hidden, or noise that is added; it notes by how much the values say that the score will fall.

    squares: the plan holds squares (B, axes, 2), else the keys of noise (B, 2).
    weights: values are multiplied with the change of the input, else with the part of it that is gone.
    fixed:   values, what hides, and the noise's standard deviation, each with a leading axis of 1.
    """

    which: int
    squares: bool
    weights: bool

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        x, (values, hidden, width) = inputs[self.which], fixed
        gone: Tensor = None
        if self.squares:
            inside = _inside(plan[0], space_of(x))
            y = visible(x, hidden, ~inside)
            gone = tf.cast(inside if inside.shape.rank == x.shape.rank else inside[..., None], tf.float32)
        else:
            noise = tf.map_fn(
                lambda key: tf.random.stateless_normal(x.shape[1:], key),
                plan[0],
                fn_output_signature=tf.float32,
            )
            y = x - width[0] * noise
        step = tf.cast(x, tf.float32) - tf.cast(y, tf.float32)
        if self.weights:
            forecast = values * step
        elif self.squares:
            forecast = values * gone
        else:
            ratio = tf.math.divide_no_nan(step, tf.cast(x - hidden, tf.float32))
            one_channel = values.shape[-1] == 1 and values.shape.rank == ratio.shape.rank
            forecast = values * (tf.reduce_mean(ratio, -1, keepdims=True) if one_channel else ratio)
        forecast = tf.reduce_sum(tf.reshape(forecast, (tf.shape(forecast)[0], -1)), 1, keepdims=True)
        return Perturbed(shown(inputs, self.which, tf.cast(y, x.dtype)), notes=forecast)


def _inside(squares: Tensor, space: tuple[int, ...]) -> Tensor:
    """(B, *space): which places lie in a square (B, axes, 2)."""
    inside: Any = True
    for axis, length in enumerate(space):
        places = tf.range(length)[None]
        hit = (places >= squares[:, axis, :1]) & (places < squares[:, axis, 1:])
        inside = inside & tf.reshape(hit, (-1, *[length if i == axis else 1 for i in range(len(space))]))
    return inside
