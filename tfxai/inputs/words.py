"""Words as TensorFlow holds them, and what stands in the place of one that is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARK = "\0missing "
"""TensorFlow's strings know no None: a word that no text has, followed by what was there."""


def words_of(array: NDArray, name: str) -> NDArray[np.object_]:
    """Words as objects, with marks where there was none (None, NaN or pandas' NA).

    Raises ValueError if there is something else among them.
    """
    return np.array([_word(each, name) for each in array.reshape(-1)] or [], object).reshape(array.shape)


def _word(each: Any, name: str) -> str | bytes:
    if isinstance(each, (str, bytes)):
        return each
    if each is None:
        return MARK + "None"
    if type(each).__name__ == "NAType":
        return MARK + "NA"
    if isinstance(each, float) and each != each:
        return MARK + "NaN"
    raise ValueError(
        f"{name} holds {each!r} ({type(each).__name__}) among words; expected numbers or words. Give what is mixed as a "
        "pandas DataFrame or as a dict of columns, and times as numbers."
    )


def missing_words(array: NDArray) -> NDArray[np.bool_]:
    """Where words are missing."""
    return np.array([_is_mark(each) for each in array.reshape(-1)], bool).reshape(array.shape)


def restored(array: NDArray, more: Mapping[str, Any] | None = None) -> NDArray[np.object_]:
    """The words again, without marks. more: what else to put where there was none, by the name of it."""
    signs = {"None": None, "NaN": float("nan"), "NA": None, **(more or {})}
    out = np.empty(array.shape, object)
    for place, each in np.ndenumerate(array):
        each = each.decode() if isinstance(each, bytes) else each
        out[place] = signs[each.removeprefix(MARK)] if _is_mark(each) else each
    return out


def _is_mark(each: Any) -> bool:
    return isinstance(each, str) and each.startswith(MARK)


def numbers_if_all_are(array: NDArray) -> NDArray:
    """Numbers that came as objects, as numbers (None is NaN then); anything else as it is."""
    if array.dtype != object or any(isinstance(each, (str, bytes)) for each in array.reshape(-1)[:1]):
        return array
    present = [each for each in array.reshape(-1) if each is not None]
    if present and all(isinstance(each, (bool, int, float, np.number, np.bool_)) for each in present):
        return array.astype(np.float64)
    return array


def missing_values(array: NDArray) -> NDArray[np.bool_]:
    """(N,) which examples of numbers or words (N, ...) lack any."""
    if array.dtype == object:
        lacking = missing_words(array)
    else:
        lacking = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    return np.asarray(lacking.reshape(len(array), -1).any(1))
