"""Data in batches of inputs with their classes: from arrays, or from a stream that is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfxai.inputs import flatten, is_frame, pack
from tfxai.predictions import probabilities
from tfxai.support import BatchSize, Inputs, Model

Classes = int | Sequence[int] | NDArray[np.integer] | None
"""One class for each input (N,), or one for all; None where the model is to be asked, or has none."""

Batch = tuple[Inputs, Classes]
"""Inputs (N, ...) and their classes."""


def batches_of(data: Any, targets: Classes, batch_size: int) -> tuple[Iterator[Batch], int]:
    """Every batch, and how many there are, 0 where that is not known.

    data, targets: as for `compare_methods`.

    Raises ValueError if there is no data or no end of it, or the targets do not fit.
    """
    if hasattr(data, "element_spec"):
        return _of_stream(data, targets)
    return _of_arrays(data, targets, batch_size)


def _of_stream(data: Any, targets: Classes) -> tuple[Iterator[Batch], int]:
    if targets is not None and np.ndim(targets) > 0:
        raise ValueError("targets of a stream are an int, or its own y: give a dataset of (x, y).")
    count = int(data.cardinality()) if hasattr(data, "cardinality") else 0
    if count == tf.data.INFINITE_CARDINALITY:
        raise ValueError("data repeats without end. Give a dataset that ends, such as data.take(10).")
    return _streamed(data, targets), max(count, 0)


def _streamed(data: Any, targets: Classes) -> Iterator[Batch]:
    for batch in data.as_numpy_iterator():
        # As Keras takes them: x, (x, y), or (x, y, weights of the examples).
        x, y = (batch[0], batch[1]) if isinstance(batch, tuple) and len(batch) in (2, 3) else (batch, None)
        yield x, targets if targets is not None or y is None else _labels(y)


def _labels(y: ArrayLike) -> NDArray[np.int64]:
    """Classes (N,) of ints, whole floats or one-hot rows. Raises ValueError for anything else."""
    array = np.asarray(y)
    fits = array.dtype.kind in "iufb" and bool(np.isfinite(array).all())
    if fits and array.ndim == 2 and array.shape[1] > 1:  # one-hot
        fits = bool((array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-3))
        array = array.argmax(axis=1)
    elif fits:
        fits = array.ndim <= 2 and bool((array == np.round(array)).all())
    if not fits:
        raise ValueError(
            f"The y of the data has shape {np.shape(y)} and is neither classes nor one-hot. Give (x, class), or targets=."
        )
    return array.reshape(-1).astype(np.int64)


def _of_arrays(data: Inputs, targets: Classes, batch_size: int) -> tuple[Iterator[Batch], int]:
    arrays = [np.asarray(array) for array in flatten(data)[0]]
    if len({np.shape(array)[:1] for array in arrays}) > 1:
        raise ValueError(
            f"The inputs have {[len(array) for array in arrays]} examples. Give the same number for each."
        )
    count = len(arrays[0]) if arrays and arrays[0].ndim else 0
    if count == 0:
        raise ValueError("data has no examples. Give inputs (N, ...), or a tf.data.Dataset of batches.")
    if targets is not None and np.ndim(targets) > 0 and np.shape(targets) != (count,):
        raise ValueError(
            f"targets has shape {np.shape(targets)} for {count} inputs. Give (N,) ints, an int, or None."
        )
    slices = [slice(start, start + batch_size) for start in range(0, count, batch_size)]
    if is_frame(data):
        return ((data.iloc[rows], _rows_of(targets, rows)) for rows in slices), len(slices)
    return ((pack(data, [x[rows] for x in arrays]), _rows_of(targets, rows)) for rows in slices), len(slices)


def _rows_of(targets: Classes, rows: slice) -> Classes:
    return targets if targets is None or np.ndim(targets) == 0 else np.asarray(targets)[rows]


def classes_of(model: Model, inputs: Inputs, targets: Classes, batch_size: BatchSize) -> Classes:
    """The classes to explain, the same for all methods: those given, else the predicted ones, None without classes."""
    if targets is not None:
        return targets
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1)
    except ValueError:
        return None
