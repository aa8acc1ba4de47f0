"""Average drop, increase and gain: what the model makes of the input when the map dims it (Grad-CAM++)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import ScoredBody, Tracer, run_in_batches, visible
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, rows_of
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import BatchSize, InputKey, Model, Tensor


@metric(higher_is_better=False)
def average_drop(
    model: Model,
    explanation: Explanation,
    *,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """How much of its probability does the class lose when only the evidence is shown? max(0, Y - O) / Y, 0 to 1.

    Lower is better. Y is the probability of the explained class for the input, O that for the input times the map.
    Negative evidence is cut at zero, and the map scaled to 0..1 for each example. The paper gives the mean in
    percent. Token ids are hidden where the scaled map is below a half.

    baseline: what the dark parts become; 0 as in the paper. score: a probability. input: which of several inputs; the
              explained image unless given.

    Defaults: as in the paper, the input is multiplied by the map. xplique takes magnitudes, from the least to the
    largest as 0..1; pytorch-grad-cam the map as it is, and Y - O that is not divided by Y.

    Raises ValueError if the explanation does not fit the model, or the score is not a probability.
    Cost: 2 forward passes for each target.
    Criticism: a map that is bright everywhere loses nothing; look at it beside `average_gain` or `complexity`.

    Chattopadhay et al.: Grad-CAM++, 2018. arXiv:1710.11063
    """
    rows, whole, dimmed = _whole_and_dimmed(model, explanation, baseline, score, input, batch_size, progress)
    _check_probabilities("average_drop", whole, dimmed)
    return rows.result(average_drop, np.maximum(whole - dimmed, 0) / np.maximum(whole, 1e-30))


@metric(higher_is_better=True)
def average_increase(
    model: Model,
    explanation: Explanation,
    *,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """Does the probability rise when only the evidence is shown? 1 where it does, else 0; the mean is a share.

    Higher is better. Settings and errors as for `average_drop`, but any score will do. Defaults: xplique and
    pytorch-grad-cam differ as they do there. Cost: 2 forward passes for each target.
    Criticism: a rise by nothing counts as much as one by half; see `average_gain`.

    Chattopadhay et al.: Grad-CAM++, 2018. arXiv:1710.11063
    """
    rows, whole, dimmed = _whole_and_dimmed(model, explanation, baseline, score, input, batch_size, progress)
    return rows.result(average_increase, dimmed > whole)


@metric(higher_is_better=True)
def average_gain(
    model: Model,
    explanation: Explanation,
    *,
    baseline: Baseline = 0.0,
    score: str | Score = "probability",
    input: InputKey = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """How much of what was missing does the probability gain when only the evidence is shown? max(0, O - Y) / (1 - Y).

    Higher is better; the counterpart of `average_drop`, with the same settings and errors. Defaults: xplique reads maps
    as it does there. Cost: 2 forward passes for each target. Criticism: near Y = 1 there is nothing to gain.

    Zhang et al.: Opti-CAM, 2023. arXiv:2301.07002
    """
    rows, whole, dimmed = _whole_and_dimmed(model, explanation, baseline, score, input, batch_size, progress)
    _check_probabilities("average_gain", whole, dimmed)
    return rows.result(average_gain, np.maximum(dimmed - whole, 0) / np.maximum(1 - whole, 1e-30))


def _whole_and_dimmed(
    model: Model,
    explanation: Explanation,
    baseline: Baseline,
    score: str | Score,
    input: str | int | None,
    batch_size: BatchSize,
    progress: bool,
) -> tuple[Rows, NDArray[np.float64], NDArray[np.float64]]:
    """The rows, and the scores (rows,) of the whole inputs and of the inputs times the maps."""
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    request, which = rows.request, rows.explained.which
    positive = np.maximum(rows.heat, 0)
    largest = positive.reshape(len(positive), -1).max(axis=1)
    masks = positive / np.maximum(largest, 1e-30).reshape(-1, *[1] * (positive.ndim - 1))
    soft = rows.explained.array.dtype.kind == "f"

    body = _Dimmed(which, soft)
    whole, dimmed = run_in_batches(request, body, [masks, rows.hidden(baseline)])
    return rows, whole.astype(np.float64), dimmed.astype(np.float64)


@dataclasses.dataclass(frozen=True)
class _Dimmed(ScoredBody):
    """Scores (B,) of the inputs as they are, and of what masks leave of one of them.

    which: its number. soft: masks may also lie between 0 and 1.
    """

    which: int
    soft: bool

    def __call__(
        self,
        tracer: Tracer,
        inputs: Sequence[Tensor],
        target_codes: Tensor,
        masks: Tensor,
        hidden: Tensor,
    ) -> tuple[Tensor, Tensor]:
        whole, _ = tracer.scored(tracer.forward(inputs), target_codes)
        dimmed = list(inputs)
        dimmed[self.which] = visible(inputs[self.which], hidden, masks, soft=self.soft)
        left, _ = tracer.scored(tracer.forward(dimmed), target_codes)
        return tf.cast(whole, tf.float32), tf.cast(left, tf.float32)


def _check_probabilities(name: str, *scores: NDArray) -> None:
    """Raises ValueError unless all scores lie between 0 and 1."""
    if any(each.min() < -1e-6 or each.max() > 1 + 1e-6 for each in scores):
        raise ValueError(
            f"{name} is a part of a probability; the score lies outside of 0..1. Leave score as it is."
        )
