"""One table of methods and metrics, with controls."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import Explainers, called, named_methods
from tfxai.metrics.batches import Classes, batches_of, classes_of
from tfxai.metrics.controls import CONTROLS, Control, control_for
from tfxai.metrics.registry import Metrics, checked_metrics, measured
from tfxai.metrics.result import unwrapped
from tfxai.metrics.table import MethodTable
from tfxai.model import number_of_rows
from tfxai.results import Explanation
from tfxai.support import BatchSize, Inputs, Model, Seed, checked, progress_bar

DEFAULT = ("deletion", "insertion", "average_drop", "average_increase")


@checked
def compare_methods(
    methods: Explainers,
    model: Model,
    data: Any,
    metrics: Metrics = DEFAULT,
    targets: Classes = None,
    *,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> MethodTable:
    """Which method should I believe on my model and my data? Every metric of every method, with controls.

    methods: a method, a list of them, or a dict name -> method, as for tfxai.sanity.
    data:    inputs (N, ...), or a tf.data.Dataset of batches x or (x, y), read once as a stream: memory holds one batch.
    metrics: names in tfxai.metrics, functions (functools.partial sets options), or a dict name -> function.
    targets: an int, (N,) ints for arrays, or None: then the y of the data (ints or one-hot), or the predicted classes.

    The controls are rows like others: "random" (noise) and "edges" (Sobel's filter, for images and series). A method that
    is not better than they are does not tell what the model does.

    Raises ValueError if data, methods or metrics are missing, or a metric needs more than an explanation.
    Cost: the methods', and the metrics' for methods + 2 rows.
    """
    comparison = Comparison(model, _rows(methods, seed), checked_metrics(metrics), batch_size)
    batches, total = batches_of(data, targets, _rows_at_once(model, data, batch_size))
    steps = total * len(comparison.rows) * (len(comparison.columns) + 1)
    with progress_bar(progress, "compare_methods", steps) as advance:
        for number, (inputs, given) in enumerate(batches):
            comparison.add(number, inputs, classes_of(model, inputs, given, batch_size), advance)
    return comparison.table()


def _rows_at_once(model: Model, data: Any, batch_size: BatchSize) -> int:
    """Examples of one batch of arrays; 0 for a stream, which has batches of its own."""
    if batch_size != "auto" or hasattr(data, "element_spec"):
        return 0 if batch_size == "auto" else int(batch_size)
    first, _ = next(batches_of(data, None, 1)[0])
    return number_of_rows(batch_size, model, first, "compare_methods")


def _rows(methods: Any, seed: int) -> dict[str, Any]:
    """Methods and controls by name. Raises ValueError if a method is called like a control."""
    named = named_methods(methods)
    if taken := [name for name in CONTROLS if name in named]:
        raise ValueError(f"A method is called {taken[0]!r}, as one of the controls. Give it another name.")
    return {**named, **{name: Control(name, seed) for name in CONTROLS}}


@dataclasses.dataclass
class Comparison:
    """A table in the making, batch by batch.

    rows:    methods and controls by name.
    columns: metrics by name.
    values:  (metric, method) -> an array for each batch.
    seconds: method -> (examples, seconds) for each batch.
    """

    model: Model
    rows: dict[str, Any]
    columns: Mapping[str, Callable[..., Any]]
    batch_size: BatchSize
    values: dict[tuple[str, str], list[NDArray[np.float32]]] = dataclasses.field(default_factory=dict)
    seconds: dict[str, list[tuple[int, float]]] = dataclasses.field(default_factory=dict)

    def add(self, number: int, inputs: Inputs, targets: Classes, advance: Callable[[float], None]) -> None:
        """Explains and measures one more batch. A row that cannot explain these inputs goes.

        Raises ValueError if a method explains several targets of an input, or a metric does not give one value for each.
        """
        for name, method in [*self.rows.items()]:
            start = time.perf_counter()
            explanation = self._explained(method, number, inputs, targets)
            if explanation is None:  # edges of what has no neighbours
                del self.rows[name]
                continue
            if explanation.targets.ndim > 1:
                raise ValueError(
                    "One target for each input, please: several cannot be told apart in a table."
                )
            seconds = time.perf_counter() - start
            self.seconds.setdefault(name, []).append((len(explanation), seconds))
            advance(1)
            for column, function in self.columns.items():
                bound = _bound(method, number)
                result = measured(function, bound, self.model, inputs, targets, explanation, self.batch_size)
                self.values.setdefault((column, name), []).append(_values(column, result, len(explanation)))
                advance(1)

    def _explained(self, method: Any, number: int, inputs: Inputs, targets: Classes) -> Explanation | None:
        if isinstance(method, Control):
            return method(self.model, inputs, targets, number)
        return called(method, self.model, inputs, targets, self.batch_size)

    def table(self) -> MethodTable:
        """All batches together. Raises ValueError if there were none."""
        if not self.seconds:
            raise ValueError("data has no examples. Give at least one batch.")
        directions = {
            column: bool(unwrapped(function).higher_is_better) for column, function in self.columns.items()
        }
        values = {
            column: np.stack([np.concatenate(self.values[column, name]) for name in self.rows])
            for column in self.columns
        }
        seconds = np.array([_seconds_each(self.seconds[name]) for name in self.rows])
        return MethodTable(list(self.rows), list(self.columns), directions, values, seconds)


def _bound(method: Any, number: int) -> Any:
    """A method as it is; of a control what it draws for one batch, from the start."""
    return control_for(method, number) if isinstance(method, Control) else method


def _values(column: str, result: Any, count: int) -> NDArray[np.float32]:
    """The values of a metric's result. Raises ValueError unless there is one for each of `count` examples."""
    values = np.asarray(getattr(result, "values", np.nan), np.float32)
    if values.shape != (count,):
        raise ValueError(
            f"The metric {column!r} gave {type(result).__name__} with values {values.shape} for {count} inputs. Give a "
            "MetricResult with one value for each."
        )
    return values


def _seconds_each(batches: Sequence[tuple[int, float]]) -> float:
    """Seconds for each example; without the first batch, in which models are traced, where there are more."""
    counted = batches[1:] or batches
    return sum(seconds for _, seconds in counted) / sum(count for count, _ in counted)
