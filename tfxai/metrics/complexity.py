"""Sparseness and complexity: over how many places a map spreads its evidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tfxai.metrics.result import MetricResult, metric, metric_result
from tfxai.metrics.rows import checked_heat
from tfxai.results import Explanation
from tfxai.support import InputKey


@metric(higher_is_better=True, reads_model=False)
def sparseness(explanation: Explanation, *, input: InputKey = None) -> MetricResult:
    """How few places hold the evidence? Gini index of the magnitudes: 0 if all are equal, near 1 if one holds it all.

    Higher is better. Defaults: channels are summed first; xplique averages their magnitudes, quantus counts each number.

    Raises ValueError if the map holds NaN. Cost: none. Criticism: a sparse map may be sparse in the wrong place.

    Chalasani et al.: Concise Explanations of Neural Networks using Adversarial Training, 2018. arXiv:1810.06583
    """
    _, heat = checked_heat(explanation, input)
    sizes = np.sort(np.abs(heat.reshape(len(heat), -1)).astype(np.float64), axis=1)
    count = sizes.shape[1]
    ranks = np.arange(1, count + 1)
    total = sizes.sum(axis=1)
    gini = 1 - 2 * (sizes * (count - ranks + 0.5)).sum(axis=1) / (np.maximum(total, 1e-300) * count)
    return metric_result(sparseness, np.where(total > 0, gini, 0.0).reshape(explanation.targets.shape))


@metric(higher_is_better=False, reads_model=False)
def complexity(explanation: Explanation, *, input: InputKey = None) -> MetricResult:
    """Over how many places is the evidence spread? Entropy of the magnitudes' shares, in nats: 0 to ln(places).

    Lower is better. Defaults: channels are summed first; xplique averages their magnitudes, quantus counts each number.

    Raises ValueError if the map holds NaN. Cost: none. Criticism: as for `sparseness`.

    Bhatt, Weller, Moura, 2020. arXiv:2005.00631
    """
    _, heat = checked_heat(explanation, input)
    return metric_result(complexity, entropy(heat).reshape(explanation.targets.shape))


def entropy(heat: NDArray) -> NDArray[np.float64]:
    """(rows,) entropy in nats of how the magnitudes of maps (rows, ...) are spread; an empty map is spread evenly.

    Places without a value (NaN), as beyond the end of a text, do not count.
    """
    if not np.isfinite(heat).all():
        return np.array([entropy(row[np.isfinite(row)][None])[0] for row in heat])
    sizes = np.abs(heat.reshape(len(heat), -1)).astype(np.float64)
    total = sizes.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, sizes / np.maximum(total, 1e-300), 1 / sizes.shape[1])
    return -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)
