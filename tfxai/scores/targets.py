"""Which classes to explain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Targets: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer] | Top | None"
"""Classes to explain: None (the predicted one), an int for all, (N,) ints, (N, K) ints, or `tfxai.top(k)`."""


@dataclasses.dataclass(frozen=True)
class Top:
    """The `k` classes that the model ranks highest for each input; made by `tfxai.top`."""

    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.k, (int, np.integer)) or isinstance(self.k, bool) or self.k < 1:
            raise ValueError(f"top({self.k!r}): expected the number of classes to explain, 1 or more.")


def top(k: int) -> Top:
    """As `targets`: explain each input for the k classes that the model ranks highest, best first."""
    return Top(k)
