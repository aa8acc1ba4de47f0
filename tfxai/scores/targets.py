"""Which classes to explain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tfxai.scores.detections import Boxes
from tfxai.support import Count, check_settings

Targets: TypeAlias = (
    "int | Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer] | Top | Boxes | None"
)
"""Classes to explain: None (the predicted one), an int for all, (N,) ints, (N, K) ints, `tfxai.top(k)`, or `tfxai.boxes(...)` of a detector."""


@dataclasses.dataclass(frozen=True)
class Top:
    """The `k` classes that the model ranks highest for each input; made by `tfxai.top`."""

    k: Count

    def __post_init__(self) -> None:
        check_settings(self)

    def __repr__(self) -> str:
        return f"top({self.k})"


def top(k: int) -> Top:
    """As `targets`: explain each input for the k classes that the model ranks highest, best first.

    >>> classes = lambda x: x @ np.array([[1.0, 0.0, 2.0]], "float32")
    >>> tfxai.Gradient()(classes, np.ones((1, 1), "float32"), tfxai.top(2)).targets.tolist()
    [[2, 0]]
    """
    return Top(k)
