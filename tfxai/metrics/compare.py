"""One table: methods in rows, metrics in columns, and what chance and edges would reach."""

from __future__ import annotations

import csv
import dataclasses
import functools
import inspect
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from skimage.filters import sobel

from tfxai.explanation import Explanation
from tfxai.inputs import flatten, pack
from tfxai.metrics.result import interval, plain
from tfxai.names import named_methods
from tfxai.network import Network
from tfxai.predictions import probabilities
from tfxai.progress import progress_bar
from tfxai.sanity import called
from tfxai.significance import paired

DEFAULT = ("deletion", "insertion", "average_drop", "average_increase")
CONTROLS = ("random", "edges")
ALPHA = 0.05
GIVEN = ("model", "explanation", "method", "inputs", "targets")  # to a metric of a table


@dataclasses.dataclass(frozen=True, eq=False)
class MethodTable:
    """Methods by metrics, over the same N examples.

    methods:          names of the rows; the last ones are the controls "random" and, for images and series, "edges".
    metrics:          names of the columns.
    higher_is_better: metric -> direction.
    values:           metric -> float32 (methods, N).
    seconds:          float64 (methods,): of the method alone, for each example; the first batch, in which models are
                      traced, does not count where there are more.
    """

    methods: list[str]
    metrics: list[str]
    higher_is_better: dict[str, bool]
    values: dict[str, NDArray[np.float32]]
    seconds: NDArray[np.float64]

    def mean(self, method: str, metric: str) -> float:
        """Over all examples that have a value."""
        return _mean(self._row(method, metric))

    def interval(self, method: str, metric: str) -> tuple[float, float]:
        """95 % bootstrap interval of the mean."""
        if (method, metric) not in self._intervals:
            row = self._row(method, metric)
            self._intervals[method, metric] = interval(row[np.isfinite(row)].astype(np.float64))
        return self._intervals[method, metric]

    @functools.cached_property
    def _intervals(self) -> dict[tuple[str, str], tuple[float, float]]:
        return {}  # bootstrap takes a moment, and every way of showing the table asks again

    @property
    def best(self) -> dict[str, str | None]:
        """metric -> the method with the best mean, if it is better than the next one at p < 0.05 (paired t-test).

        Which two are tested is seen in the same numbers, and columns are not corrected for: a hint, no proof.
        """
        found: dict[str, str | None] = {}
        for metric in self.metrics:
            rows = self.values[metric].astype(np.float64)
            sign = 1 if self.higher_is_better[metric] else -1
            means = np.array([_mean(row) for row in rows]) * sign
            order = [
                i
                for i in np.argsort(-np.nan_to_num(means, nan=-np.inf), kind="stable")
                if np.isfinite(means[i])
            ]
            found[metric] = None
            if len(order) > 1:
                both = np.isfinite(rows[order[0]]) & np.isfinite(rows[order[1]])
                ours, theirs = (rows[i][both] for i in order[:2])
                ahead = both.sum() > 2 and (ours - theirs).mean() * sign > 0
                if ahead and paired(ours, theirs) < ALPHA:
                    found[metric] = self.methods[order[0]]
        return found

    def to_csv(self, path: str | Path) -> Path:
        """Writes mean, low and high of every metric, and seconds, a line for each method; returns the path."""
        path = Path(path)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["method", *(f"{m}{end}" for m in self.metrics for end in ("", "_low", "_high")), "seconds"]
            )
            for method, seconds in zip(self.methods, self.seconds, strict=True):
                cells = [n for m in self.metrics for n in (self.mean(method, m), *self.interval(method, m))]
                writer.writerow([method, *(f"{n:.6g}" for n in cells), f"{seconds:.4g}"])
        return path

    def to_markdown(self) -> str:
        """The table as GitHub and notebooks show it; what is significantly best is bold."""
        heads, rows = self._cells("**{}**")
        lines = [
            " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells)
            for cells in (heads, *rows)
        ]
        return "\n".join(f"| {line} |" for line in (lines[0], " | ".join(["---"] * len(heads)), *lines[1:]))

    def _repr_html_(self) -> str:
        """The chart and the table, for notebooks."""
        from tfxai import charts, html  # only when it is looked at: they load matplotlib

        return html.inlined(charts.leaderboard(self), repr(self))

    def __repr__(self) -> str:
        heads, rows = self._cells()
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [heads, *rows]
        ]
        count = next(iter(self.values.values())).shape[1]
        note = f"{count} examples; mean and 95 % interval; * better than the next one at p < {ALPHA}"
        return "\n".join([*lines, note])

    def _cells(self, marked: str = "{} *") -> tuple[list[str], list[list[str]]]:
        heads = [
            "method",
            *(f"{m} {'↑' if self.higher_is_better[m] else '↓'}" for m in self.metrics),
            "seconds",
        ]
        best, rows = self.best, []
        for method, seconds in zip(self.methods, self.seconds, strict=True):
            cells = []
            for metric in self.metrics:
                low, high = self.interval(method, metric)
                span = "" if np.isnan(low) else f" ({low:.3g} to {high:.3g})"
                cell = f"{self.mean(method, metric):.3g}{span}"
                cells.append(marked.format(cell) if best[metric] == method else cell)
            rows.append([method, *cells, f"{seconds:.3g}"])
        return heads, rows

    def _row(self, method: str, metric: str) -> NDArray:
        if method not in self.methods or metric not in self.metrics:
            raise ValueError(
                f"There is no row {method!r} or column {metric!r}. Rows: {', '.join(self.methods)}; columns: "
                f"{', '.join(self.metrics)}."
            )
        return self.values[metric][self.methods.index(method)]


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
    rows: dict[str, Any] = {**named, **{name: _Control(name, seed) for name in CONTROLS}}
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
                    bound = _bound(method, number) if isinstance(method, _Control) else method
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
        {column: bool(plain(function).higher_is_better) for column, function in columns.items()},
        {column: np.stack([np.concatenate(each[name]) for name in rows]) for column, each in found.items()},
        np.array([_per_example(seconds[name]) for name in rows]),
    )


# Inside


@dataclasses.dataclass(frozen=True)
class _Control:
    """What has the form of a method, and knows nothing of the model."""

    name: str
    seed: int

    def __call__(
        self, model: Any, inputs: Any, targets: Any, number: int = 0, call: int = 0
    ) -> Explanation | None:
        network = Network(model, inputs)
        arrays = [array if array.dtype.kind == "f" else None for array in network.arrays]
        image = next((i for i, x in enumerate(arrays) if x is not None and x.ndim == 4), 0)
        x = network.arrays[image]
        space = x.shape[1:-1] if x.ndim > 2 else x.shape[1:]
        if self.name == "random":
            heat = np.random.default_rng([self.seed, number, call]).normal(size=(len(x), *space))
        elif x.ndim < 3 or x.dtype.kind != "f":
            return None
        else:
            heat = np.stack([np.abs(sobel(each.mean(axis=-1))) for each in x])
        values: list[Any] = [None] * len(network.arrays)
        values[image] = (heat[..., None] if x.ndim > 2 else heat).astype(np.float32)
        classes = np.full(len(x), -1) if targets is None else np.broadcast_to(targets, len(x))
        nothing = np.zeros(len(x), np.float32)
        return Explanation(
            network.pack(values),
            network.pack(network.arrays),
            classes.astype(np.int64),
            nothing,
            None,
            self.name,
            "logit",  # which methods explain unless told otherwise: `completeness` asks for it
        )


def _bound(control: _Control, number: int) -> Callable[..., Any]:
    """A control for one batch of the data, to be called again by a metric: noise is another each time."""
    calls = itertools.count()
    return lambda model, inputs, targets=None, batch_size=32: control(
        model, inputs, targets, number, next(calls)
    )


def checked_metrics(metrics: Any) -> dict[str, Any]:
    """Metrics by name.

    Raises ValueError if there is none, one does not exist, or one needs more than a table can give it.
    """
    from tfxai import metrics as known  # which this module is a part of

    measures = [
        name for name in known.__all__ if hasattr(getattr(known, name), "higher_is_better") and name.islower()
    ]
    if isinstance(metrics, Mapping):
        given = {str(name): function for name, function in metrics.items()}
    else:
        listed = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
        given = {
            each if isinstance(each, str) else getattr(plain(each), "__name__", "metric"): each
            for each in listed
        }
        if len(given) < len(listed):
            raise ValueError("Two metrics have the same name. Give a dict name -> function.")
    usable = ", ".join(name for name in measures if set(_needed(getattr(known, name))) <= {*GIVEN})
    if not given:
        raise ValueError(f"metrics is empty. Give names: {usable}.")
    columns = {}
    for name, function in given.items():
        if isinstance(function, str):
            if function not in measures:
                raise ValueError(f"There is no metric {function!r} for a table. There are: {usable}.")
            function = getattr(known, function)
        if not callable(function) or not hasattr(plain(function), "higher_is_better"):
            raise ValueError(
                f"The metric {name!r} is no function with `higher_is_better`. Give one of tfxai.metrics, or set it."
            )
        try:
            inspect.signature(function)
        except ValueError as error:
            raise ValueError(f"The metric {name!r} has settings that do not exist ({error}).") from error
        if not set(needed := _needed(function)) <= {*GIVEN}:
            raise ValueError(
                f"The metric {name!r} needs {', '.join(needed)}, which a table cannot give it. Call it for each explanation."
            )
        columns[name] = function
    return columns


def _needed(function: Callable[..., Any]) -> list[str]:
    """What must be given to a metric."""
    return [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]


def measured(
    function: Callable[..., Any],
    method: Any,
    model: Any,
    inputs: Any,
    targets: Any,
    explanation: Explanation,
    batch_size: int,
) -> Any:
    if getattr(plain(function), "explains_again", False):
        return function(method, model, inputs, targets, batch_size=batch_size)
    if "model" not in inspect.signature(function).parameters:
        return function(explanation)
    if "batch_size" in inspect.signature(function).parameters or _takes_any(function):
        return function(model, explanation, batch_size=batch_size)
    return function(model, explanation)


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(each.kind is each.VAR_KEYWORD for each in inspect.signature(function).parameters.values())


def _explained(method: Any, model: Any, inputs: Any, targets: Any, batch_size: int, number: int) -> Any:
    if isinstance(method, _Control):
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


def _mean(row: NDArray) -> float:
    known = row[np.isfinite(row)]
    return float(known.mean()) if known.size else float("nan")
