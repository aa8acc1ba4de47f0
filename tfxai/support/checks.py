"""Numbers that a person sets: refused with one sentence if they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def check_whole(method: Any, **least: int) -> None:
    """Raises ValueError if a setting is not a whole number of at least so much."""
    for name, lowest in least.items():
        value = getattr(method, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < lowest:
            setting = f"{type(method).__name__}({name}={value!r})"
            raise ValueError(f"{setting}: {name} is {value!r}. Give a whole number, {lowest} or more.")


def check_real(method: Any, name: str, fits: Callable[[Any], bool], wanted: str) -> None:
    """Raises ValueError if a setting is not a number that fits."""
    value = getattr(method, name)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not fits(value)
    ):
        raise ValueError(f"{type(method).__name__}({name}={value!r}): {name} is {value!r}. Give {wanted}.")


def whole_number(name: str, value: Any, least: int) -> int:
    """Raises ValueError if a setting is no whole number of at least so much."""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}. Give a whole number, {least} or more.")
    return int(value)


def at_least_zero(name: str, value: Any) -> float:
    """Raises ValueError if a setting is no finite number of zero or more."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not 0 <= value < np.inf
    ):
        raise ValueError(f"{name} is {value!r}. Give a number, 0 or more.")
    return float(value)
