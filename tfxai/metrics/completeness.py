"""Completeness: how far values are from adding up to the change of the score."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import Perturbed, Tracer, at_inputs
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import rows_of
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import BatchSize, InputKey, Model, Tensor


@metric(higher_is_better=False)
def completeness(
    model: Model,
    explanation: Explanation,
    *,
    baseline: Baseline = 0.0,
    score: str | Score | None = None,
    input: InputKey = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MetricResult:
    """How far is the sum of all values from the score that they should share out? |sum - (f(x) - f(baseline))|.

    Lower is better, in score units; of the score that was explained unless another is given. Of several inputs all
    that were explained are summed and hidden, or the one that `input` names.

    Defaults: the paper's black image is 0 here. quantus asks whether both are equal to the bit, which rounding
    decides.

    Raises ValueError if the explanation does not fit the model, or is of a score that is a function and has to be given.
    Cost: 2 forward passes for each target.
    Criticism: only methods that promise a sum can be measured, and a sum says nothing about the parts.

    Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017. arXiv:1703.01365
    """
    score = _explained_score(explanation) if score is None else score
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    keys = _explained_keys(explanation) if input is None else [input]
    rows_of_inputs = [rows_of(model, explanation, score, batch_size, False, key) for key in keys]
    gone = [of_input.hidden(baseline) for of_input in rows_of_inputs]
    _, whole = at_inputs(rows.request)

    def fixed(row: int) -> list[NDArray]:
        return [base[row : row + 1] for base in gone]

    places = tuple(of_input.explained.which for of_input in rows_of_inputs)
    at_baseline = rows.perturbed(_Baselines(places), lambda _: [np.zeros(1, np.int32)], fixed)
    nothing = np.array([perturbed.scores[0, 0] for _, perturbed in at_baseline])
    sums = sum(
        of_input.share.reshape(len(rows), -1).sum(axis=1, dtype=np.float64) for of_input in rows_of_inputs
    )
    return rows.result(completeness, np.abs(sums - (whole[:, 0] - nothing)))


def _explained_score(explanation: Explanation) -> str:
    """The score by its name. Raises ValueError if it was a function."""
    if explanation.score not in ("logit", "probability", "output"):
        raise ValueError(
            f"The explanation is of the score {explanation.score}. Give it: completeness(..., score=...)."
        )
    return explanation.score


def _explained_keys(explanation: Explanation) -> list[Any]:
    """Keys of all inputs that were explained; None for a single array."""
    inputs = explanation.inputs
    if isinstance(inputs, np.ndarray):
        return [None]
    keys = list(inputs) if isinstance(inputs, dict) else range(len(inputs))
    return [key for key in keys if explanation.values[key] is not None]


@dataclasses.dataclass(frozen=True)
class _Baselines:
    """The baselines (fixed) in the place of some inputs, by their numbers."""

    which: tuple[int, ...]

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        tensors = list(inputs)
        for number, baseline in zip(self.which, fixed, strict=True):
            tensors[number] = baseline
        return Perturbed(tensors)
