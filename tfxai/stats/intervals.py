"""How far a mean may be off: bootstrap intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, norm

SURE = 0.95  # of an interval


MANY = 2000


def interval(values: NDArray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean; always the same for the same values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    if len(values) > MANY:  # where both are the same, and resampling takes seconds
        reach = norm.ppf((1 + SURE) / 2) * values.std(ddof=1) / np.sqrt(len(values))
        return float(values.mean() - reach), float(values.mean() + reach)
    found: Any = bootstrap(
        (values,),
        np.mean,
        confidence_level=SURE,
        method="percentile",
        vectorized=True,
        batch=max(1, 1_000_000 // len(values)),
        random_state=np.random.default_rng(0),  # pyright: ignore[reportCallIssue]
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
