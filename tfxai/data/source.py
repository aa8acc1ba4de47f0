"""What a source of rows is, and what is said of its rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tfxai.data.rows import Rows

TOGETHER = 256  # rows that are taken from a source at once, where it does not come in batches
IDS, LABELS = (
    ("id", "ids"),
    ("label", "labels", "y", "target"),
)  # names of what a dict holds beside the inputs


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows that can be read from the start, again and again where the data allow it.

    total: how many there are; None where that is not known before.
    ids: of all of them; None where they are not known before, or there are none.
    prepared: how files become inputs, as settings of the run.
    """

    parts: Iterable[Rows]
    total: int | None = None
    ids: NDArray | None = None
    prepared: str | None = None


def as_words(array: NDArray) -> NDArray:
    """Texts as Python's strings, which TensorFlow gives as bytes."""
    if array.dtype.kind not in "OS":
        return array
    flat = [item.decode() if isinstance(item, bytes) else item for item in array.reshape(-1).tolist()]
    return np.array(flat, object).reshape(array.shape)


def as_ids(array: NDArray) -> NDArray:
    """(n,) ids as int64 or as strings. Raises ValueError if they are neither."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and array.dtype.kind in "iu" and (not array.size or array.max() < 2**63):
        return array.astype(np.int64)
    words = as_words(array.astype(object) if array.dtype.kind == "U" else array)
    if array.ndim != 1 or not all(isinstance(item, str) for item in words.tolist()):
        raise ValueError(
            f"ids are {array.dtype} of shape {array.shape}. Give a whole number below 2**63 or a word for each row; weights of samples are no ids."
        )
    return words
