"""Where in memory weights lie, by which two readings are known to be one without a look at any number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.support import Tensor


def addresses(weights: Sequence[Tensor | NDArray]) -> list[int | None]:
    """The address of each weight; None of words, and of what lies on another device. It counts while they are held."""
    return [_address(weight) for weight in weights]


def _address(weight: Tensor | NDArray) -> int | None:
    if isinstance(weight, np.ndarray):
        return id(weight)  # a constant
    if "CPU" not in weight.device:
        return None
    array = np.asarray(weight)  # the same memory
    return array.__array_interface__["data"][0] if array.dtype != object else None
