"""An explanation as columns of a table, and back: one row for each example."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.data.parquet import pyarrow
from tfxai.results import KINDS, Explanation

RAGGED = ("weights", "tokens")  # fields whose second axis is as long as a call's longest example needs
SMALLER = ("values", "standard_error", "interval", "weights")  # fields that float16 makes smaller
EXPONENT = "_exponent"  # behind the name of a column: the power of two by which its half-precision numbers are multiplied
WHOLE = ("method", "score", "axes", "at")  # fields that belong to all rows


def described(explanation: Explanation) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is in it as JSON, and its arrays by the names of columns."""
    columns: dict[str, Any] = {}
    fields = {}
    for field in dataclasses.fields(explanation):
        value = getattr(explanation, field.name)
        if field.name == "receipt" or value is None:
            continue
        fields[field.name] = _plain(value) if field.name in WHOLE else _leaves(value, field.name, columns)
    return {"kind": type(explanation).__name__, "fields": fields}, columns


def _plain(value: Any) -> Any:
    """What belongs to all rows; tuples stay tuples."""
    if isinstance(value, dict):
        return {"dict": [[key, _plain(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return {"list" if isinstance(value, list) else "tuple": [_plain(item) for item in value]}
    return {"plain": value}


def _leaves(value: Any, name: str, columns: dict[str, Any]) -> Any:
    if value is None:
        return {"plain": None}
    if isinstance(value, dict):
        return {"dict": [[key, _leaves(item, f"{name}.{key}", columns)] for key, item in value.items()]}
    if name != "tokens" and isinstance(value, (list, tuple)):
        items = [_leaves(item, f"{name}.{i}", columns) for i, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    columns[name] = value
    if name == "tokens":
        return {"column": name, "dtype": "tokens"}
    kind = "words" if value.dtype.kind in "OUS" else str(value.dtype)
    return {"column": name, "dtype": kind, "shape": list(value.shape[1:])}


def rebuilt(told: Mapping[str, Any], columns: Mapping[str, Any]) -> Explanation:
    """The explanation of which `described` told this.

    columns: column -> Arrow array of the rows that are wanted, without empty ones.
    """
    fields = {name: _value(item, columns) for name, item in told["fields"].items()}
    return KINDS[told["kind"]](**fields)  # pyright: ignore[reportReturnType]


def _value(told: Mapping[str, Any], columns: Mapping[str, Any]) -> Any:
    if "column" in told:
        return read(told, columns)
    ((kind, content),) = told.items()
    if kind == "dict":
        return {key: _value(item, columns) for key, item in content}
    if kind in ("list", "tuple"):
        return (list if kind == "list" else tuple)(_value(item, columns) for item in content)
    return content


def read(leaf: Mapping[str, Any], columns: Mapping[str, Any]) -> Any:
    """The array of one column of a description."""
    name = leaf["column"]
    if leaf.get("absent"):  # of inputs that were not kept only the shape is known
        return np.broadcast_to(np.float32(np.nan), (leaf["absent"], *leaf["shape"]))
    array = array_of(columns[name], leaf["dtype"], leaf.get("shape", ()))
    if f"{name}{EXPONENT}" not in columns:
        return array
    exponents = array_of(columns[f"{name}{EXPONENT}"], "int32", ())
    return np.ldexp(array, exponents.reshape(-1, *[1] * (array.ndim - 1)))


def leaves(told: Any) -> list[dict[str, Any]]:
    """The columns that a description names, with the types and shapes of their arrays."""
    if isinstance(told, dict):
        own = [told] if "column" in told else []
        return own + [leaf for value in told.values() for leaf in leaves(value)]
    return [leaf for item in told for leaf in leaves(item)] if isinstance(told, list) else []


def column_of(values: Any, rows: Iterable[int], count: int) -> Any:
    """An Arrow array of so many rows; those that are not among `rows` are empty.

    values: (len(rows), ...) array, or lists of words. Arrays with more than one axis become fixed-shape tensors, whose empty rows
            are NaN, or -1: many versions of Arrow write rows that are missing there, and cannot read them.
    """
    arrow = pyarrow()
    if isinstance(values, list):
        return _spread(arrow.array(values, arrow.list_(arrow.string())), rows, count)
    array = np.asarray(values)
    kind = arrow.string() if array.dtype.kind in "OUS" else arrow.from_numpy_dtype(array.dtype)
    if array.ndim == 1:
        return _spread(arrow.array(array, kind), rows, count)
    if len(array) < count:
        array = spread(array, rows, count)
    size = int(np.prod(array.shape[1:]))
    held = arrow.FixedSizeListArray.from_arrays(arrow.array(array.reshape(-1), kind), size)
    if array.dtype.kind in "OUSb" or not size:
        return held
    return arrow.ExtensionArray.from_storage(arrow.fixed_shape_tensor(kind, array.shape[1:]), held)


def spread(array: NDArray, rows: Iterable[int], count: int) -> NDArray:
    """(count, ...) the rows that there are at their places, NaN, -1 or an empty word at the others."""
    nothing = {"f": np.nan, "c": np.nan, "i": -1, "O": ""}.get(array.dtype.kind, 0)
    found = np.full((count, *array.shape[1:]), nothing, array.dtype)
    found[list(rows)] = array
    return found


def ragged_column_of(array: NDArray, rows: Iterable[int], count: int) -> Any:
    """The same as lists, whose length may differ from shard to shard."""
    arrow = pyarrow()
    kind = arrow.from_numpy_dtype(array.dtype)
    return _spread(arrow.array(list(array.reshape(len(array), -1)), arrow.list_(kind)), rows, count)


def _spread(found: Any, rows: Iterable[int], count: int) -> Any:
    """The rows that there are at their places, nothing at the others."""
    if len(found) == count:
        return found
    place: list[int | None] = [None] * count
    for i, row in enumerate(rows):
        place[row] = i
    return found.take(pyarrow().array(place, pyarrow().int64()))


def array_of(column: Any, dtype: str, shape: Sequence[int]) -> Any:
    """The NumPy array of a column without empty rows, in the type that it had."""
    if dtype == "tokens":
        return column.to_pylist()
    storage = getattr(column, "storage", column)
    flat = storage.flatten() if hasattr(storage, "flatten") and not _is_flat(storage) else storage
    if dtype == "words":
        return np.array(flat.to_pylist(), object).reshape(len(column), *shape)
    numbers = flat.to_numpy(zero_copy_only=False)
    return numbers.astype(dtype, copy=False).reshape(len(column), *shape)


def _is_flat(storage: Any) -> bool:
    kinds = pyarrow().types
    return not (kinds.is_list(storage.type) or kinds.is_fixed_size_list(storage.type))
