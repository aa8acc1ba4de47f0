"""What a call is given, as a model takes it: tables and texts as arrays, checked, and how the model is read for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.inputs import Frame, check_finite, checked_arrays, flatten, missing_words, read, specs_of
from tfxai.model.adapter import Adapter
from tfxai.model.tracing import TraceCache
from tfxai.support import Inputs, Model
from tfxai.text import Text


@dataclasses.dataclass(frozen=True)
class Taken:
    """Inputs as a model takes them.

    structure: array, dict, list or tuple, or texts.
    arrays:    the same as a flat list (N, ...), in the types that the model takes.
    frame:     the DataFrame that they came as, if they did.
    adapter:   how the model is read for them.
    """

    structure: Inputs
    arrays: list[NDArray]
    frame: Frame | None
    adapter: Adapter


def taken(model: Model, inputs: Inputs, adapter: Adapter, cache: TraceCache, gradients: bool) -> Taken:
    """The inputs, checked.

    Values may be missing (NaN; None among words) where there are no gradients and the model is a function on arrays: it
    knows what it makes of them, or fails.

    Raises ValueError if they do not fit the model; see `tfxai.model.Network`.
    """
    if isinstance(inputs, str):
        raise ValueError("inputs is a single text. Give a list of texts: [text].")
    if isinstance(inputs, (list, tuple)) and inputs and not any(np.ndim(x) for x in inputs):
        inputs = Text(inputs) if all(isinstance(x, str) for x in inputs) else np.asarray(inputs)
    names = [] if adapter.is_function else [spec.name for spec in specs_of(model)]
    inputs, frame = read(inputs, names, columns_apart=adapter.is_function)
    adapter.check_built()
    missing = adapter.is_function and not gradients
    arrays = checked_arrays(model, inputs, adapter.looks_up, missing)
    exact = arrays if frame is None else _exact(arrays, flatten(inputs)[0])
    if not gradients:
        table = None if frame is None else (frame, exact)
        adapter = adapter.without_gradients(cache, inputs, arrays, table)
    if missing and not adapter.runs_python:
        _refuse_missing(arrays, flatten(inputs)[1])
    return Taken(inputs, exact if adapter.makes_frames else arrays, frame, adapter)


def _exact(arrays: Sequence[NDArray], given: Sequence[NDArray]) -> list[NDArray]:
    """Numbers as the columns of a table hold them: float32 is too short for codes and thresholds."""
    return [
        array if array.dtype == object else np.asarray(own, np.float64)
        for array, own in zip(arrays, given, strict=True)
    ]


def _refuse_missing(arrays: Sequence[NDArray], names: Sequence[str]) -> None:
    for array, name in zip(arrays, names, strict=True):
        check_finite(array, name)
        if array.dtype == object and (bad := np.nonzero(missing_words(array))[0]).size:
            raise ValueError(
                f"{name} lacks words (None or NaN), first in number {bad[0]}. Give a word for what is missing."
            )
