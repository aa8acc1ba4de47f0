"""How far a mean may be off: bootstrap intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, norm

CONFIDENCE = 0.95
MANY = 2000  # values, from which a normal interval is as good, and resampling takes seconds


def interval(values: NDArray) -> tuple[float, float]:
    """Low and high end of the 95 % bootstrap interval of the mean of values (N,); the same for the same values.

    NaN for fewer than two values.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if len(values) > MANY:
        reach = norm.ppf((1 + CONFIDENCE) / 2) * values.std(ddof=1) / np.sqrt(len(values))
        return float(values.mean() - reach), float(values.mean() + reach)
    resampled: Any = bootstrap(
        (values,),
        np.mean,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        batch=max(1, 1_000_000 // len(values)),
        random_state=np.random.default_rng(0),  # pyright: ignore[reportCallIssue]
    )
    return float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)
