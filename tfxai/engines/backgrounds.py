"""Training rows that stand for what is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.inputs import missing_values, numbers_if_all_are, words_of
from tfxai.model import Network

ROWS = 100  # of a background that are used at most

Background: TypeAlias = Any
"""What stands for hidden parts: rows (R, ...) like the input, a dict, list or tuple of such columns, one example, a number,
or a function of tfxai.baselines."""


def background_rows(
    network: Network, which: Sequence[int], given: Background, seed: int, method: str
) -> list[NDArray]:
    """For each hidden input the rows (R, ...) that stand for it, of data; at most 100 of them, drawn by seed.

    which: numbers of the hidden inputs.
    given: rows (R, ...) like the input, or a dict, list, tuple or table of such columns, if there are several.

    Raises ValueError if the data does not fit.
    """
    given = network.in_order(given)
    named = isinstance(given, dict) and isinstance(network.structure, dict)
    columns: Sequence[Any] = [given]
    if len(which) > 1 or named:
        columns = _columns(network, which, given, method)
    backgrounds = [
        _checked_rows(network, number, rows, method) for number, rows in zip(which, columns, strict=True)
    ]
    if len({len(rows) for rows in backgrounds}) > 1:
        raise ValueError(
            f"{method}: the columns of background have {[len(rows) for rows in backgrounds]} rows. Give the same number for each."
        )
    if len(backgrounds[0]) > ROWS:
        chosen = np.sort(np.random.default_rng(seed).choice(len(backgrounds[0]), ROWS, replace=False))
        backgrounds = [rows[chosen] for rows in backgrounds]
    return backgrounds


def _columns(network: Network, which: Sequence[int], given: Background, method: str) -> list[ArrayLike]:
    """The columns of a background that stand for the hidden inputs; those of inputs that stay may be left out."""
    if not isinstance(given, (dict, list, tuple)):
        raise ValueError(
            f"{method}: background is a {type(given).__name__}. Give what the inputs are: columns."
        )
    structure = network.structure
    inputs = list(structure) if isinstance(structure, dict) else list(range(len(network.arrays)))
    names = list(given) if isinstance(given, dict) else list(range(len(given)))
    if any(inputs[i] not in names for i in which) or any(name not in inputs for name in names):
        raise ValueError(
            f"{method}: background has the columns {names}, the inputs are {inputs}. Give the same."
        )
    return [given[inputs[i]] for i in which]


def _checked_rows(network: Network, which: int, given: Background, method: str) -> NDArray:
    array = network.arrays[which]
    rows = numbers_if_all_are(np.asarray(given))
    rows = words_of(rows, f"{method}: background") if array.dtype == object else rows.astype(array.dtype)
    if rows.ndim == 1 and array.shape[1:] == (1,):  # as Keras takes columns
        rows = rows[:, None]
    rows = network.viewed(which, rows)
    if rows.shape[1:] != array.shape[1:] or len(rows) == 0:
        raise ValueError(
            f"{method}: background has shape {rows.shape} for inputs {array.shape}. Give rows (R, ...) like them."
        )
    missing = network.takes_missing
    if array.dtype.kind == "f" and (np.isinf(rows) if missing else ~np.isfinite(rows)).any():
        raise ValueError(f"{method}: background holds NaN or infinite numbers. Clean them.")
    if not missing and missing_values(rows).any() and array.dtype == object:
        raise ValueError(f"{method}: background lacks words (None or NaN). Give a word for what is missing.")
    network.check_ids(which, rows, f"{method}: background")
    return rows
