"""Numbers that a person sets: refused with one sentence if they do not fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeGuard

import numpy as np


def check_whole(method: object, **least: int) -> None:
    """Raises ValueError if a setting of a method is not a whole number of at least so much."""
    for name, lowest in least.items():
        value = getattr(method, name)
        if not _is_whole(value) or value < lowest:
            raise ValueError(
                f"{_setting(method, name)}: {name} is {value!r}. Give a whole number, {lowest} or more."
            )


def check_real(method: object, name: str, fits: Callable[[Any], bool], wanted: str) -> None:
    """Raises ValueError if a setting of a method is not a number that fits."""
    value = getattr(method, name)
    if not _is_real(value) or not fits(value):
        raise ValueError(f"{_setting(method, name)}: {name} is {value!r}. Give {wanted}.")


def whole_number(name: str, value: object, least: int) -> int:
    """The value as an int. Raises ValueError if it is not a whole number of at least so much."""
    if not _is_whole(value) or value < least:
        raise ValueError(f"{name} is {value!r}. Give a whole number, {least} or more.")
    return int(value)


def at_least_zero(name: str, value: object) -> float:
    """The value as a float. Raises ValueError if it is not a finite number of zero or more."""
    if not _is_real(value) or not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value!r}. Give a number, 0 or more.")
    return float(value)


def _setting(method: object, name: str) -> str:
    return f"{type(method).__name__}({name}={getattr(method, name)!r})"


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_real(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
