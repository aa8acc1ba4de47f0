"""Columns in, the same columns and their explanations out: the form in which engines for data sets call a function."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.data.arrow_columns import spread
from tfxai.data.carrying import load_model
from tfxai.data.explaining import Explained, ExplainingAll, first_row, named_methods
from tfxai.data.kept import Kept
from tfxai.data.kept import columns as kept_columns
from tfxai.data.rows import Rows
from tfxai.data.source import IDS, LABELS
from tfxai.data.sources import element_rows
from tfxai.data.table_source import matrix
from tfxai.engines import Method
from tfxai.inputs import flatten, pack, specs_of
from tfxai.model import At
from tfxai.scores import Score, Targets
from tfxai.support import BatchSize, File, Model, checked

MODELS = 4  # that a process keeps, for explainers that it gets one after another


class Explainer:
    """Explains batches of columns: `explainer(batch) -> batch`. It can be pickled, and holds settings alone.

    method:     a method, several, or a dict that names them.
    model:      a path that every process can read (.keras, .h5, SavedModel, frozen graph, TF-Hub handle), or a function without
                arguments that makes the model. It is loaded at the first call, once in each process.
    columns:    what the model takes: a column of arrays, or several of numbers, in this order; None: those that are named as its
                inputs, else all but ids and labels.
    targets:    None (the predicted class), an int, `tfxai.top(k)`, or "label": the column "label".
    keep:       "values", "heatmap" (summed over channels) or "summary" (sums of that in 16 x 16 cells).
    float16:    values as half-precision numbers, with a column of exponents: of maps (n, H, W, C) the values are
                np.ldexp(column.astype("float32"), exponent[:, None, None, None]).
    batch_size, score, at: as for a method.

    A call takes columns (n, ...) and returns them, with METHOD.values, METHOD.targets, METHOD.scores, and what else the method
    gives, for each method, and "failed": why a row could not be explained, or None. Its values are NaN then.

    Raises ValueError if an argument does not fit; at the first call also if there is no model, or the method does not fit it.
    """

    @checked
    def __init__(
        self,
        method: Method | Sequence[Method] | Mapping[str, Method],
        model: File | Callable[[], Model],
        *,
        columns: str | Sequence[str] | None = None,
        targets: Targets | Literal["label"] = None,
        keep: Literal["values", "heatmap", "summary"] = "values",
        float16: bool = False,
        batch_size: BatchSize = "auto",
        score: str | Score | None = None,
        at: At = None,
    ) -> None:
        self._methods = named_methods(method)
        if hasattr(model, "trainable_weights"):
            raise ValueError(
                f"model is a {type(model).__name__}. Every process loads its own: give the path of a file (model.save), or a function that "
                "makes the model."
            )
        self._source = model if callable(model) else str(model)
        self._columns, self._targets, self._kept = columns, targets, Kept(keep, False, float16)
        self._batch_size: BatchSize = batch_size
        self._call = {"score": score, "at": at}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_explaining"}

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a batch and those of its explanations, (n, ...)."""
        columns = {name: _stacked(array) for name, array in batch.items()}
        rows = self._rows(columns)
        targets = self._targets_of(columns)
        found = self._explaining(rows, targets, proven=True)
        given: dict[str, Any] = {}
        for name, each in found.items():
            given |= self._given(name, each, rows, targets)
        failed = next(iter(found.values())).failed
        words = np.array([failed.get(row) for row in range(len(rows))], object)
        return {**columns, **given, "failed": words}

    @functools.cached_property
    def _model(self) -> Model:
        if callable(self._source):
            return self._source()
        path = Path(self._source)
        return _model_of(self._source, path.stat().st_mtime if path.exists() else 0.0)

    @functools.cached_property
    def _explaining(self) -> ExplainingAll:
        return ExplainingAll.of(self._methods, self._model, self._batch_size, self._call)

    def _rows(self, columns: Mapping[str, NDArray]) -> Rows:
        """What the model takes. Raises ValueError if the batch does not have it."""
        if not columns or not len(next(iter(columns.values()))):
            raise ValueError("The batch has no rows. Give columns of at least one.")
        wanted = [spec.name for spec in specs_of(self._model)]
        chosen = [self._columns] if isinstance(self._columns, str) else self._columns
        if chosen is None and wanted and all(name in columns for name in wanted):
            chosen = wanted
        if chosen is None:
            chosen = [name for name in columns if name not in (*IDS, *LABELS)]
        if missing := [name for name in chosen if name not in columns]:
            raise ValueError(
                f"The batch has no column {missing[0]!r}. It has {', '.join(columns)}: name them with columns=."
            )
        arrays = [columns[name] for name in chosen]
        inputs: Any
        if len(wanted) == len(chosen) > 1:
            inputs = dict(zip(wanted, arrays, strict=True))
        elif len(arrays) == 1:
            inputs = arrays[0]
        elif all(array.ndim == 1 and array.dtype.kind in "iufb" for array in arrays):
            inputs = matrix(arrays)
        else:
            raise ValueError(
                f"The batch has the columns {', '.join(chosen)}, and the model takes {len(wanted) or 'one'}. Say which: columns=."
            )
        return element_rows((inputs,), self._model)

    def _targets_of(self, columns: Mapping[str, NDArray]) -> Any:
        if not isinstance(self._targets, str):
            return self._targets
        labels = next((columns[name] for name in LABELS if name in columns), None)
        if labels is None or labels.dtype.kind not in "iu" or labels.ndim != 1:
            told = "none" if labels is None else f"{labels.dtype} {labels.shape}"
            raise ValueError(f'targets="label", and the column "label" is {told}. Give a class for each row.')
        return labels.astype(int)

    def _given(self, name: str, found: Explained, rows: Rows, targets: Any) -> dict[str, Any]:
        """The columns of one method, for every row of the batch."""
        explanation, where = found.explanation, found.rows
        if explanation is None:  # its columns all the same, so that every batch has them
            explanation, where = self._of_nothing(name, rows, targets), np.array([], int)
        _, arrays = kept_columns(explanation, self._kept)
        return {
            f"{name}.{field}": _for_all(values, where, len(rows))
            for field, values in arrays.items()
            if field.partition(".")[0] != "inputs"
        }

    def _of_nothing(self, name: str, rows: Rows, targets: Any) -> Any:
        """An explanation of zeros. Raises ValueError if there is none either: then the call is wrong, not the rows."""
        arrays = [
            np.full(array.shape, "", object) if array.dtype.kind in "OUS" else np.zeros_like(array)
            for array in flatten(first_row(rows))[0]
        ]
        one = targets[:1] if isinstance(targets, np.ndarray) else targets
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nobody asked for zeros
            return self._methods[name](
                self._model, pack(rows.inputs, arrays), one, batch_size=self._batch_size, **self._call
            )


@functools.lru_cache(MODELS)
def _model_of(path: str, _changed: float) -> Model:
    return load_model(path)


def _stacked(column: Any) -> NDArray:
    """An array of a column, also of one that holds lists, or numbers and None."""
    array = np.asarray(column)
    if array.dtype != object or array.ndim != 1:
        return array
    held = [each for each in array.tolist() if each is not None]
    if held and all(isinstance(each, (np.ndarray, list)) for each in held):
        return np.stack([np.asarray(each) for each in held]) if len(held) == len(array) else array
    if held and all(isinstance(each, (int, float)) for each in held):
        return array.astype(float)  # None becomes NaN
    return array


def _for_all(values: Any, where: NDArray, count: int) -> NDArray:
    """(count, ...) the values at their rows."""
    if isinstance(values, list):
        spelt = np.full(count, None, object)
        for row, each in zip(where, values, strict=False):
            spelt[row] = each
        return spelt
    return values if len(where) == count else spread(values[: len(where)], where, count)
