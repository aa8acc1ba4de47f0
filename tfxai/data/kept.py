"""What of an explanation a run writes: all, maps summed over channels, or small maps; in which precision."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.data.arrow_columns import EXPONENT, SMALLER, described
from tfxai.inputs import pack
from tfxai.results import Explanation

MOST = {1: 256, 2: 16, 3: 6}  # cells along each axis of a small map with so many axes


@dataclasses.dataclass(frozen=True)
class Kept:
    """What of an explanation is written.

    what:    "values", "heatmap" (summed over channels) or "summary" (sums of that in a few cells; of texts nothing but `summary`).
    inputs:  what was explained, too.
    float16: values as half-precision numbers, each row by a power of two of its own.
    """

    what: str = "values"
    inputs: bool = True
    float16: bool = False

    def of(self, explanation: Explanation) -> Explanation:
        """The explanation that is kept."""
        if self.what == "values":
            return explanation
        if getattr(explanation, "tokens", None) is not None:  # of words there is one value each already
            return dataclasses.replace(explanation, standard_error=None, interval=None)
        fields = {field.name: getattr(explanation, field.name) for field in dataclasses.fields(Explanation)}
        fields |= {"standard_error": None, "interval": None, "values": _summed(explanation)}
        if explanation.at is None and explanation.axes is not None:  # then read as they are
            arrays = [explanation.one(key)[1] for key in _keys(explanation.inputs)]
            fields |= {"inputs": pack(explanation.inputs, arrays), "axes": None}
        return _small(Explanation(**fields)) if self.what == "summary" else Explanation(**fields)


def _keys(structure: Any) -> list[Any]:
    if isinstance(structure, dict):
        return list(structure)
    return list(range(len(structure))) if isinstance(structure, (list, tuple)) else [None]


def maps_of(explanation: Explanation) -> dict[Any, NDArray]:
    """The map of each input, or layer, that was explained: values summed over channels."""
    lead = explanation.targets.ndim
    if explanation.at is not None:
        named = explanation.values if isinstance(explanation.values, dict) else {None: explanation.values}
        return {key: each.sum(-1) if each.ndim - lead >= 2 else each for key, each in named.items()}
    values: Any = explanation.values
    keys = _keys(explanation.inputs)
    held = [key for key in keys if (values if key is None else values[key]) is not None]
    return {key: explanation.heatmap(key) for key in held}


def _summed(explanation: Explanation) -> Any:
    """Values of one channel, in the structure of the values."""
    maps = maps_of(explanation)

    def with_channel(key: Any, before: NDArray) -> NDArray:
        return maps[key] if maps[key].shape == before.shape else maps[key][..., None]

    if explanation.at is not None:
        values = explanation.values
        if isinstance(values, dict):
            return {key: with_channel(key, each) for key, each in values.items()}
        return with_channel(None, np.asarray(values))
    keys = _keys(explanation.inputs)
    return pack(
        explanation.inputs,
        [with_channel(key, explanation.one(key)[0]) if key in maps else None for key in keys],
    )


def _small(explanation: Explanation) -> Explanation:
    """The sums of heatmaps in a few cells, and the means of the inputs there; tables as they are."""
    lead = explanation.targets.ndim
    found = dataclasses.replace(explanation, values=_of_each(explanation.values, lead, "sum"))
    if explanation.at is None:
        found = dataclasses.replace(found, inputs=_of_each(explanation.inputs, 1, "mean"))
    return found


def _of_each(structure: Any, lead: int, how: str) -> Any:
    """The cells of each array of inputs or values, where there is one."""
    if structure is None or isinstance(structure, np.ndarray):
        return None if structure is None else _cells(structure, lead, how)
    return pack(structure, [_of_each(structure[key], lead, how) for key in _keys(structure)])


def _cells(array: NDArray, lead: int, how: str) -> NDArray:
    """(..., cells, channels) of numbers in space behind so many other axes; what is not in space as it is."""
    axes = range(lead, array.ndim - 1)
    if array.dtype.kind != "f" or len(axes) not in MOST:
        return array
    for axis in axes:
        length = array.shape[axis]
        cells = min(length, MOST[len(axes)])
        edges = np.arange(cells) * length // cells
        array = np.add.reduceat(array, edges, axis)
        if how == "mean":
            sizes = np.diff([*edges, length]).astype(array.dtype)
            array = array / sizes.reshape(-1, *[1] * (array.ndim - axis - 1))
    return array


def summary(explanation: Explanation) -> dict[str, NDArray]:
    """Numbers of each map, over all inputs or layers: what speaks for the class and against it, the largest value and where it is.

    largest_at counts the places of all maps, one input after the other.
    """
    lead = explanation.targets.shape
    flat = np.concatenate([maps.reshape(*lead, -1) for maps in maps_of(explanation).values()], axis=-1)
    flat = np.nan_to_num(flat.astype(np.float64))
    largest = np.abs(flat).argmax(-1)
    return {
        "positive": np.where(flat > 0, flat, 0).sum(-1).astype(np.float32),
        "negative": np.where(flat < 0, flat, 0).sum(-1).astype(np.float32),
        "largest": np.take_along_axis(flat, largest[..., None], -1)[..., 0].astype(np.float32),
        "largest_at": largest.astype(np.int32),
    }


def columns(explanation: Explanation, kept: Kept) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is kept of it: as JSON, and its arrays by the names of columns, those of the inputs first named "inputs".

    Each half-precision column has one of exponents beside it.
    """
    told, arrays = described(kept.of(explanation))
    words = kept.what == "summary" and getattr(explanation, "tokens", None) is not None
    found: dict[str, Any] = {}
    for field, values in {**arrays, **summary(explanation)}.items():
        head = field.partition(".")[0]
        if words and head in (*SMALLER, "segments", "tokens"):
            continue
        if kept.float16 and head in SMALLER and values.dtype == np.float32:
            values, found[f"{field}{EXPONENT}"] = halved(values)
        found[field] = values
    return told, found


def halved(values: NDArray) -> tuple[NDArray[np.float16], NDArray[np.int16]]:
    """Half-precision numbers, and of each row the power of two by which they are to be multiplied.

    Without it gradients below 6e-8 would become 0, and what is above 65504 infinite.
    """
    rows = values.reshape(len(values), -1)
    finite = np.where(np.isfinite(rows), np.abs(rows), 0)
    exponents = np.frexp(finite.max(1, initial=0.0))[1].astype(np.int16)
    scaled = np.ldexp(rows.astype(np.float64), -exponents[:, None].astype(int))
    return scaled.astype(np.float16).reshape(values.shape), exponents
