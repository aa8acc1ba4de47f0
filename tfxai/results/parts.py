"""Numbers of parts, read off the places that they are repeated on; and whether an order of parts is certain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.support import Values


def of_parts(values: Values, labels: Values, lead: tuple[int, ...], count: int) -> NDArray[np.float32]:
    """lead + (parts, ...), NaN where an example has fewer parts: what stands on the first place of each.

    values: in the structure of the inputs, lead + (places) + (...). labels: which part each place belongs to, (N, places), of
    one or several inputs; None where every place is a part, in order.
    """
    found: NDArray | None = None
    start = 0
    for value, of_input in _pairs(values, labels):
        if value is None:
            continue
        numbers = _numbers(value, of_input, lead, start)
        flat = value.reshape(*lead, numbers.shape[1], -1)
        if found is None:
            found = np.full((*lead, count, flat.shape[-1]), np.nan, np.float32)
        for example, of_place in enumerate(numbers):
            parts, first = np.unique(of_place, return_index=True)
            found[example][..., parts, :] = flat[example][..., first, :]
        start = int(numbers.max()) + 1
    if found is None:
        raise ValueError("No input was explained.")
    return found


def _numbers(value: NDArray, labels: Any, lead: tuple[int, ...], start: int) -> NDArray[np.int64]:
    """(N, places) the part of each place."""
    if labels is not None:
        return np.asarray(labels).reshape(len(labels), -1)
    places = value.shape[len(lead)]
    return np.broadcast_to(np.arange(start, start + places), (lead[0], places))


def _pairs(values: Values, labels: Values) -> list[tuple[Any, Any]]:
    """Values and labels of each input. Labels of a single array are those of the one input that is explained."""
    if not isinstance(values, (dict, list, tuple)):
        return [(values, labels)]
    keys: Any = values if isinstance(values, dict) else range(len(values))
    if labels is None or isinstance(labels, np.ndarray):
        return [(values[key], labels) for key in keys]
    return [(values[key], labels[key]) for key in keys]


def certainly_largest(low: NDArray, high: NDArray, values: NDArray, k: int) -> bool:
    """Whether the k largest values are the k largest wherever in their intervals each of them lies; NaN is no value."""
    there = np.flatnonzero(~np.isnan(values))
    order = there[np.argsort(-values[there], kind="stable")]
    if len(order) <= k:
        return True
    return bool(low[order[:k]].min() > high[order[k:]].max())
