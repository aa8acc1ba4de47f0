"""Which classes to explain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tfxai.support import Count, check_settings

Targets: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer] | Top | None"
"""Classes to explain: None (the predicted one), an int for all, (N,) ints, (N, K) ints, or `tfxai.top(k)`."""


@dataclasses.dataclass(frozen=True)
class Top:
    """The `k` classes that the model ranks highest for each input; made by `tfxai.top`."""

    k: Count

    def __post_init__(self) -> None:
        check_settings(self)


def top(k: int) -> Top:
    """As `targets`: explain each input for the k classes that the model ranks highest, best first."""
    return Top(k)
