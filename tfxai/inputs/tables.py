"""Tables as people hold them: pandas DataFrames and Series, known by what they can do, since pandas need not be there."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.inputs.words import restored, words_of
from tfxai.support import Inputs


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """How a DataFrame was held, so that a function which was written for DataFrames gets one.

    make:    its class.
    columns: its names, as pandas holds them.
    dtypes:  of the columns.
    whole:   it is read as one array (N, F) of numbers; else each column is an input of its own.
    """

    make: type
    columns: Any
    dtypes: tuple[Any, ...]
    whole: bool

    @classmethod
    def of(cls, frame: Any) -> Frame:
        """Of a DataFrame."""
        dtypes = tuple(frame.dtypes)
        return cls(
            type(frame), frame.columns, dtypes, all(_column(c).dtype != object for c in _columns(frame))
        )

    @property
    def key(self) -> Hashable:
        """All that a trace depends on."""
        kinds = [(str(kind), *map(str, getattr(kind, "categories", ()))) for kind in self.dtypes]
        return self.make.__qualname__, tuple(map(repr, self.columns)), tuple(kinds)

    def rebuilt(self, arrays: Sequence[NDArray]) -> Any:
        """A DataFrame of the same columns and types, from arrays: one (N, F), or one (N,) for each column."""
        columns = list(arrays[0].T) if self.whole else arrays
        made = self.make({i: _cells(column) for i, column in enumerate(columns)})
        fitting = {i: kind for i, kind in enumerate(self.dtypes) if _fits(np.asarray(columns[i]), kind)}
        made = made.astype(fitting)
        made.columns = self.columns
        return made


def is_frame(given: object) -> bool:
    """Whether this is a pandas DataFrame, or as good as one."""
    return hasattr(given, "columns") and _is_pandas(given)


def is_series(given: object) -> bool:
    """Whether this is a pandas Series, or as good as one."""
    return not hasattr(given, "columns") and _is_pandas(given)


def _is_pandas(given: object) -> bool:
    return hasattr(given, "iloc") and hasattr(given, "to_numpy")


def read(
    inputs: Inputs, names: Sequence[str] = (), columns_apart: bool = False
) -> tuple[Inputs, Frame | None]:
    """Arrays in the place of DataFrames and Series, and what makes the DataFrame again if the inputs were a single one.

    names:         of a model's inputs, if there are several: a DataFrame then is a dict of its columns.
    columns_apart: a DataFrame in which are words is a dict of its columns, too; else it is one array.

    Raises ValueError if a column holds neither numbers nor words, or words stand beside numbers in what is one array.
    """
    if is_frame(inputs):
        frame = Frame.of(inputs)
        if len(names) > 1 or (columns_apart and not frame.whole):
            return _by_name(inputs), None if len(names) > 1 else frame
        return array_of(inputs), frame
    return _arrays_in(inputs), None


def _arrays_in(given: Any) -> Any:
    """Arrays in the place of DataFrames and Series, however many there are; anything else stays as it is."""
    if isinstance(given, dict):
        return {name: _arrays_in(each) for name, each in given.items()}
    if isinstance(given, (list, tuple)) and any(map(_is_pandas, given)):
        return type(given)(_arrays_in(each) for each in given)
    return array_of(given) if _is_pandas(given) else given


def in_order(given: Any, inputs: Inputs, frame: Frame | None) -> Any:
    """What belongs to the inputs (a background, a baseline), with arrays in the place of tables, columns in the inputs' order.

    inputs, frame: as `read` gave them.

    Raises ValueError if a DataFrame has other columns than the inputs.
    """
    if is_series(given) and frame is not None and frame.whole and set(given.index) == set(frame.columns):
        given = given[list(frame.columns)]  # one value for each column, such as their means
    if is_series(given) and isinstance(inputs, dict) and set(given.index) == set(inputs):
        return {name: given[name] for name in inputs}
    if not is_frame(given) or (frame is None and not isinstance(inputs, dict)):
        return _arrays_in(given)
    wanted = list(inputs) if isinstance(inputs, dict) else list(frame.columns) if frame else []
    if set(given.columns) != set(wanted) or len(given.columns) != len(wanted):
        raise ValueError(
            f"A table with the columns {list(given.columns)} came for inputs with the columns {wanted}. Give the same columns."
        )
    return _by_name(given[wanted]) if isinstance(inputs, dict) else array_of(given[wanted])


def _by_name(frame: Any) -> dict[Any, NDArray]:
    """The columns (N,) by their names."""
    names = list(frame.columns)
    if len(set(names)) < len(names):
        raise ValueError(
            f"The table has the columns {names}: two have the same name. Give each a name of its own."
        )
    return dict(zip(names, map(_column, _columns(frame)), strict=True))


def array_of(given: Any) -> NDArray:
    """A DataFrame (N, F) or a Series (N,) as an array of numbers, NaN where one is missing, or of words.

    Raises ValueError if words stand beside numbers, or if there is anything else.
    """
    if is_series(given):
        return _column(given)
    columns = [_column(column) for column in _columns(given)]
    words = [str(name) for name, column in zip(given.columns, columns, strict=True) if column.dtype == object]
    if words and len(words) < len(columns):
        raise ValueError(
            f"The table has columns of words ({', '.join(words)}) beside numbers, and here it is one array. Give a dict of "
            "its columns, or numbers in their place."
        )
    return np.stack(columns, axis=1) if columns else np.zeros((len(given), 0))


def _columns(frame: Any) -> list[Any]:
    return [frame.iloc[:, i] for i in range(len(frame.columns))]  # by place: names may occur twice


def _column(series: Any) -> NDArray:
    """(N,) numbers, NaN where one is missing, or words as objects."""
    if hasattr(series.dtype, "categories"):
        series = series.astype(object)
    kind = series.dtype.kind
    if kind not in "biufO":
        raise ValueError(f"The column {series.name!r} is of type {series.dtype}; expected numbers or words.")
    if kind != "O":
        plain = isinstance(series.dtype, np.dtype)
        return series.to_numpy() if plain else _numbers(series.to_numpy(dtype=object), series.dtype.kind)
    objects = series.to_numpy(dtype=object)
    if all(isinstance(each, (str, bytes)) for each in objects):
        return objects
    present = [each for each in objects if not _is_missing(each)]
    if present and all(isinstance(each, (bool, int, float, np.number, np.bool_)) for each in present):
        return _numbers(objects, "f")
    return words_of(objects, f"The column {series.name!r}")


def _numbers(objects: NDArray, kind: str) -> NDArray:
    """Numbers that pandas keeps with a sign of its own for what is missing."""
    missing = np.array([_is_missing(each) for each in objects], bool)
    if kind in "biu" and not missing.any():
        return objects.astype({"b": bool, "i": np.int64, "u": np.uint64}[kind])
    return np.where(missing, np.nan, objects).astype(np.float64)


def _is_missing(each: object) -> bool:
    return each is None or each is not_there() or (isinstance(each, float) and each != each)


def not_there() -> object:
    """What pandas writes where a value is missing (NA); None while there is no pandas."""
    return getattr(sys.modules.get("pandas"), "NA", None)


def _cells(column: NDArray) -> Any:
    """A column as a DataFrame takes it."""
    return column if column.dtype != object else restored(column, {"NA": not_there()})


def _fits(column: NDArray, kind: Any) -> bool:
    """Whether numbers can be of a column's own type without being changed: halves, say, are not whole."""
    if column.dtype == object or getattr(kind, "kind", "O") not in "biu":
        return True
    plain = isinstance(kind, np.dtype)
    if plain and np.isnan(column).any():
        return False
    there = column[~np.isnan(column)]
    return bool(np.isin(there, (0, 1)).all() if kind.kind == "b" else (there == np.round(there)).all())
