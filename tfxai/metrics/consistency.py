"""Consistency: do explanations of the same inputs agree?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.metrics.result import MetricResult, metric, metric_result
from tfxai.metrics.rows import checked_heat
from tfxai.results import Explanation
from tfxai.stats import spearman_of_pairs
from tfxai.support import InputKey


@dataclasses.dataclass(frozen=True, eq=False)
class ConsistencyResult(MetricResult):
    """With `pairs`: float32, shape of the targets + (R, R): the rank correlation of every pair of explanations."""

    pairs: NDArray[np.float32] | None = None


@metric(higher_is_better=True, reads_model=False, needs=("explanations",))
def consistency(explanations: Sequence[Explanation], *, input: InputKey = None) -> ConsistencyResult:
    """Do explanations of the same inputs agree? Mean rank correlation of every pair, -1 to 1; NaN with a constant map.

    Higher is better.

    explanations: two or more, of other seeds, settings or methods, or of models trained alike.

    Defaults: of signed maps, where the paper has both these and magnitudes. quantus' Consistency is something else:
    do examples with like maps have one class?

    Raises ValueError if there are fewer than two, or they explain different things. Cost: none.
    Criticism: methods may agree and be wrong together.

    Spearman's rank correlation, as in Adebayo et al., 2018. arXiv:1810.03292
    """
    if len(explanations) < 2:
        raise ValueError("explanations has fewer than two. Give a list of explanations of the same inputs.")
    maps = [checked_heat(explanation, input)[1] for explanation in explanations]
    for number, explanation in enumerate(explanations):
        if maps[number].shape != maps[0].shape or not _same_question(explanation, explanations[0], input):
            raise ValueError(
                f"Explanation {number} is of other inputs or classes than the first. Give all the same."
            )
    pairs = np.array([spearman_of_pairs(of_row) for of_row in np.stack(maps, axis=1)], np.float32)
    upper = np.triu_indices(len(maps), 1)
    values = pairs[:, upper[0], upper[1]].mean(axis=1)
    lead = explanations[0].targets.shape
    pairs = pairs.reshape(*lead, *pairs.shape[1:])
    return metric_result(consistency, values.reshape(lead), ConsistencyResult, pairs=pairs)


def _same_question(explanation: Explanation, first: Explanation, input: str | int | None) -> bool:
    """Whether both explain the same classes of the same inputs."""
    same_targets = np.array_equal(explanation.targets, first.targets)
    return same_targets and np.array_equal(explanation.one(input)[1], first.one(input)[1])
