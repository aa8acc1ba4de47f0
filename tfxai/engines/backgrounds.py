"""Training rows that stand for what is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.model import Network

ROWS = 100  # of a background that are used at most

Background: TypeAlias = Any
"""What stands for hidden parts: rows (R, ...) like the input, a dict, list or tuple of such columns, one example, a number,
or a function of tfxai.baselines."""


def background_rows(
    network: Network, which: Sequence[int], given: Background, seed: int, method: str
) -> list[NDArray]:
    """For each hidden input the rows (R, ...) that stand for it, of data; at most 100 of them, drawn by seed.

    which: numbers of the hidden inputs: one, or all columns of a table that come one by one.
    given: rows (R, ...) like the input, or a dict, list or tuple of such columns.

    Raises ValueError if the data does not fit.
    """
    columns = _columns(network, given, method) if len(which) > 1 else [given]
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


def _columns(network: Network, given: Background, method: str) -> list[ArrayLike]:
    """The columns of a background in the order of the inputs."""
    if not isinstance(given, (dict, list, tuple)):
        raise ValueError(
            f"{method}: background is a {type(given).__name__}. Give what the inputs are: columns."
        )
    structure = network.structure
    wanted = list(structure) if isinstance(structure, dict) else list(range(len(network.arrays)))
    names = list(given) if isinstance(given, dict) else list(range(len(given)))
    if any(name not in names for name in wanted) or len(names) != len(wanted):
        raise ValueError(
            f"{method}: background has the columns {names}, the inputs are {wanted}. Give the same."
        )
    return [given[name] for name in wanted]


def _checked_rows(network: Network, which: int, given: Background, method: str) -> NDArray:
    array = network.arrays[which]
    rows = np.asarray(given)
    rows = rows.astype(object if array.dtype == object else array.dtype)
    if rows.shape[1:] != array.shape[1:] or len(rows) == 0:
        raise ValueError(
            f"{method}: background has shape {rows.shape} for inputs {array.shape}. Give rows (R, ...) like them."
        )
    if array.dtype.kind == "f" and not np.isfinite(rows).all():
        raise ValueError(f"{method}: background holds NaN or infinite numbers. Clean them.")
    network.check_ids(which, rows, f"{method}: background")
    return rows
