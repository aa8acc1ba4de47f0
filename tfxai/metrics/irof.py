"""IROF: what happens to the score when whole segments are taken away in the order of their evidence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import trapezoid

from tfxai import baselines
from tfxai.baselines import Baseline
from tfxai.engines import Perturbed, Tracer, shown, visible
from tfxai.inputs import parts
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, rows_of
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import BatchSize, InputKey, Model, Tensor, whole

Segmenter = str | ArrayLike | Callable[[NDArray], ArrayLike]


@metric(higher_is_better=True)
def irof(
    model: Model,
    explanation: Explanation,
    *,
    segments: Annotated[int, whole(2)] = 60,
    segmenter: Segmenter = "slic",
    baseline: Baseline | None = None,
    score: str | Score = "probability",
    input: InputKey = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """How fast does the score fall when whole segments are taken away, those with most evidence first?

    Higher is better. Area over the curve of the score relative to that of the whole input, 0 to 1 (and beyond where
    the score rises); NaN where that is not above zero. The evidence of a segment is the mean over its places.

    segments, segmenter: as for LIME; each example is cut once. baseline: the example's mean colour unless given; for
                         tables 0.

    Defaults: quantus has SLIC and the mean, too, but 100 segments and one mean for all channels, and its area counts
    segments instead of parts of 1.

    Raises ValueError if the explanation or the segmenter does not fit. Cost: segments + 2 forward passes for each target.
    Criticism: the answer depends on how the image is cut.

    Rieger, Hansen: IROF, 2020. arXiv:2003.08747
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    explained = rows.explained
    if baseline is None:
        baseline = baselines.mean() if explained.array.ndim > 2 else 0.0
    hidden = rows.hidden(baseline)
    cut = _label_maps(rows, segmenter, segments)

    def plan(row: int) -> list[NDArray]:
        return [np.arange(cut[row].max() + 2, dtype=np.int32)]

    def fixed(row: int) -> list[NDArray]:
        labels = cut[row].reshape(-1)
        means = np.bincount(labels, rows.heat[row].reshape(-1)) / np.bincount(labels)
        rank = np.argsort(np.argsort(-means, kind="stable"), kind="stable").astype(np.int32)
        return [rank[cut[row]][None], hidden[row : row + 1]]

    without = rows.perturbed(_FirstSegments(rows.explained.which), plan, fixed)
    curves = [perturbed.scores[:, 0] for _, perturbed in without]
    return rows.result(irof, [_area_over(curve) for curve in curves])


def _label_maps(rows: Rows, segmenter: Segmenter, segments: int) -> list[NDArray[np.int32]]:
    """The label map (*space) of every row. An example is cut once, however many targets it has.

    Label maps that were given may also be one for each row.
    """
    array, targets_each = rows.explained.array, len(rows) // rows.lead[0]
    given: Any = segmenter
    if np.shape(given) != (len(rows), *rows.explained.space):
        array = array[::targets_each]
    label_maps = [parts(array, number, segmenter, segments).astype(np.int32) for number in range(len(array))]
    return [labels for labels in label_maps for _ in range(len(rows) // len(array))]


def _area_over(curve: NDArray) -> float:
    """Area over a curve of scores relative to the first one, on a width of 1; NaN where that is not above zero."""
    if curve[0] <= 0:
        return float("nan")
    return 1 - float(trapezoid(curve / curve[0], dx=1 / (len(curve) - 1)))


@dataclasses.dataclass(frozen=True)
class _FirstSegments:
    """The first segments, as many as the plan says, by their ranks on each place (fixed), hidden behind what is given."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        ranks, hidden = fixed
        kept = ranks >= tf.reshape(plan[0], (-1, *[1] * (ranks.shape.rank - 1)))
        return Perturbed(shown(inputs, self.which, visible(inputs[self.which], hidden, kept)))
