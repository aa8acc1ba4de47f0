"""One table of methods and metrics, with controls."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.inputs import flatten, pack
from tfxai.methods import called, named_methods
from tfxai.metrics.controls import CONTROLS, Control
from tfxai.metrics.registry import checked_metrics, control_for, measured
from tfxai.metrics.result import unwrapped
from tfxai.metrics.table import MethodTable
from tfxai.predictions import probabilities
from tfxai.support import progress_bar

DEFAULT = ("deletion", "insertion", "average_drop", "average_increase")


def compare_methods(
    methods: Any,
    model: Any,
    data: Any,
    metrics: Any = DEFAULT,
    targets: Any = None,
    *,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> MethodTable:
    """Which method should I believe on my model and my data? Every metric of every method, with controls.

    methods: a method, a list of them, or a dict name -> method, as for tfxai.sanity.
    data:    inputs (N, ...), or a tf.data.Dataset of batches x or (x, y), read once as a stream: memory holds one batch.
    metrics: names in tfxai.metrics, functions (functools.partial sets options), or a dict name -> function.
    targets: an int, (N,) ints for arrays, or None: then the y of the data (ints or one-hot), or the predicted classes.

    The controls are rows like others: "random" (noise) and "edges" (Sobel's filter, for images and series). A method that
    is no better than they are does not tell what the model does.

    Raises ValueError if there is no data, no method or metric, or a metric needs more than an explanation.
    Cost: the methods', and the metrics' for methods + 2 rows.
    """
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size!r}. Give a whole number, 1 or more.")
    named = dict(named_methods(methods))
    columns = checked_metrics(metrics)
    if taken := [name for name in CONTROLS if name in named]:
        raise ValueError(f"A method is called {taken[0]!r}, as one of the controls. Give it another name.")
    rows: dict[str, Any] = {**named, **{name: Control(name, seed) for name in CONTROLS}}
    found: dict[str, dict[str, list[NDArray]]] = {column: {name: [] for name in rows} for column in columns}
    seconds: dict[str, list[tuple[int, float]]] = {name: [] for name in rows}
    batches, total = _batches(data, targets, batch_size)
    with progress_bar(progress, "compare_methods", total * len(rows) * (len(columns) + 1)) as advance:
        for number, (inputs, asked) in enumerate(batches):
            asked = _classes(model, inputs, asked, batch_size)
            for name, method in [*rows.items()]:
                start = time.perf_counter()
                explanation = _explained(method, model, inputs, asked, batch_size, number)
                if explanation is None:  # edges of what has no neighbours
                    del rows[name]
                    continue
                if explanation.targets.ndim > 1:
                    raise ValueError(
                        "One target for each input, please: several cannot be told apart in a table."
                    )
                seconds[name].append((len(explanation.targets), time.perf_counter() - start))
                advance(1)
                for column, function in columns.items():
                    bound = control_for(method, number) if isinstance(method, Control) else method
                    result = measured(function, bound, model, inputs, asked, explanation, batch_size)
                    values = np.asarray(getattr(result, "values", np.nan), np.float32)
                    if values.shape != explanation.targets.shape:
                        raise ValueError(
                            f"The metric {column!r} gave {type(result).__name__} with values {values.shape} for "
                            f"{len(explanation.targets)} inputs. Give a MetricResult with one value for each."
                        )
                    found[column][name].append(values)
                    advance(1)
    if not any(seconds.values()):
        raise ValueError("data has no examples. Give at least one batch.")
    return MethodTable(
        list(rows),
        list(columns),
        {column: bool(unwrapped(function).higher_is_better) for column, function in columns.items()},
        {column: np.stack([np.concatenate(each[name]) for name in rows]) for column, each in found.items()},
        np.array([_per_example(seconds[name]) for name in rows]),
    )


def _explained(method: Any, model: Any, inputs: Any, targets: Any, batch_size: int, number: int) -> Any:
    if isinstance(method, Control):
        return method(model, inputs, targets, number)
    return called(method, model, inputs, targets, batch_size)


def _batches(data: Any, targets: Any, batch_size: int) -> tuple[Iterator[tuple[Any, Any]], float]:
    """(inputs, targets or None) of every batch, and how many there are, as far as is known."""
    if hasattr(data, "element_spec"):
        if targets is not None and np.ndim(targets) > 0:
            raise ValueError("targets of a stream are an int, or its own y: give a dataset of (x, y).")
        count = int(data.cardinality()) if hasattr(data, "cardinality") else 0
        if count == tf.data.INFINITE_CARDINALITY:
            raise ValueError("data repeats without end. Give a dataset that ends, such as data.take(10).")
        return _streamed(data, targets), max(count, 0)
    arrays = [np.asarray(each) for each in flatten(data)[0]]
    if len({np.shape(each)[:1] for each in arrays}) > 1:
        raise ValueError(
            f"The inputs have {[len(each) for each in arrays]} examples. Give the same number for each."
        )
    count = len(arrays[0]) if arrays and arrays[0].ndim else 0
    if count == 0:
        raise ValueError("data has no examples. Give inputs (N, ...), or a tf.data.Dataset of batches.")
    if targets is not None and np.ndim(targets) > 0 and np.shape(targets) != (count,):
        raise ValueError(
            f"targets has shape {np.shape(targets)} for {count} inputs. Give (N,) ints, an int, or None."
        )

    def sliced() -> Iterator[tuple[Any, Any]]:
        for start in range(0, count, batch_size):
            rows = slice(start, start + batch_size)
            asked = targets if targets is None or np.ndim(targets) == 0 else np.asarray(targets)[rows]
            yield pack(data, [each[rows] for each in arrays]), asked

    return sliced(), -(-count // batch_size)


def _streamed(data: Any, targets: Any) -> Iterator[tuple[Any, Any]]:
    for batch in data.as_numpy_iterator():
        # As Keras takes them: x, (x, y), or (x, y, weights of the examples).
        x, y = (batch[0], batch[1]) if isinstance(batch, tuple) and len(batch) in (2, 3) else (batch, None)
        yield x, targets if targets is not None or y is None else _labels(y)


def _labels(y: Any) -> NDArray:
    """Classes (N,) of ints, whole floats or one-hot rows. Raises ValueError for anything else."""
    array = np.asarray(y)
    one_hot = array.ndim == 2 and array.shape[1] > 1
    fits = array.dtype.kind in "iufb" and np.isfinite(array).all()
    if fits and one_hot:
        fits = bool((array >= 0).all() and np.allclose(array.sum(axis=1), 1, atol=1e-3))
        array = array.argmax(axis=1)
    elif fits:
        fits = array.ndim <= 2 and bool((array == np.round(array)).all())
    if not fits:
        raise ValueError(
            f"The y of the data has shape {np.shape(y)} and is neither classes nor one-hot. Give (x, class), or targets=."
        )
    return array.reshape(-1).astype(np.int64)


def _classes(model: Any, inputs: Any, targets: Any, batch_size: int) -> Any:
    """The classes to explain, the same for all methods; None where the model has none."""
    if targets is not None:
        return targets
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1)
    except ValueError:
        return None


def _per_example(parts: Sequence[tuple[int, float]]) -> float:
    counted = parts[1:] or parts
    return sum(seconds for _, seconds in counted) / sum(count for count, _ in counted)
