"""What parts count together: an explanation with a number for each two parts."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfxai.results.explanation import PartsExplanation


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class InteractionsExplanation(PartsExplanation):
    """An explanation part by part, and by twos.

    interactions:          float32, targets.shape + (parts, parts), symmetric: what each two parts add together; on the diagonal
                           what is left to each alone. NaN where an example has fewer parts.
    interactions_error:    the same shape: standard error of each number.
    interactions_interval: targets.shape + (parts, parts, 2), low and high, for all numbers of one map together with those of
                           `interval`.
    """

    interactions: NDArray[np.float32] = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    interactions_error: NDArray[np.float32] | None = None
    interactions_interval: NDArray[np.float32] | None = None

    def problem(self) -> str:
        """See `Stored.problem`: there is a number for each two parts of `weights`."""
        if found := super().problem():
            return found
        wanted = (*self.weights.shape, self.weights.shape[-1])
        for name, shape in (
            ("interactions", wanted),
            ("interactions_error", wanted),
            ("interactions_interval", (*wanted, 2)),
        ):
            value = getattr(self, name)
            if value is not None and np.shape(value) != shape:
                return f"{name} have the shape {np.shape(value)}, which weights {self.weights.shape} need to be {shape}"
        return ""
