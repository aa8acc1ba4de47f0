"""Rows of Parquet files: numbers, and lists of them, as inputs; ids and labels beside them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.data.parquet import pyarrow
from tfxai.data.rows import Rows
from tfxai.data.source import IDS, LABELS, TOGETHER, Source, as_ids
from tfxai.inputs import specs_of
from tfxai.support import File, Model, check_settings

_NO_NUMBERS = "The column {!r} holds {}, and no numbers or lists of them. Say which columns to take: tfxai.data.Table(path, columns=[...])."


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of a Parquet file, or of all Parquet files of a folder in the order of their names.

    path:    the file or folder.
    columns: that the model takes, in this order; None: its inputs by name, else all numbers but id and label. Columns that hold
             lists are arrays; a row without one, or with one of another length, is a row that fails.
    id:      column of ids; None: that called "id" or "ids", else positions.
    label:   column of labels; None: that called "label", "labels", "y" or "target", if there is one.
    """

    path: File
    columns: Sequence[str] | None = None
    id: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)


def of_table(table: Table, model: Model) -> Source:
    """The rows of Parquet files as a model takes them. Raises ValueError if they cannot be read, or have no such columns."""
    parquet = pyarrow().parquet
    path = Path(table.path)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise ValueError(f"{path} is no Parquet file, and no folder of them.")
    try:
        opened = [parquet.ParquetFile(file) for file in files]
        schema, total = opened[0].schema_arrow, sum(file.metadata.num_rows for file in opened)
    except pyarrow().ArrowInvalid as error:
        raise ValueError(f"{path} cannot be read as Parquet: {error}") from None
    wanted = [spec.name for spec in specs_of(model)]
    table = _with_own_names(
        table, [name for name in schema.names if name not in (*wanted, *(table.columns or ()))]
    )
    names = _columns_of(table, schema, wanted)
    told = f"columns={names}, id={table.id!r}, label={table.label!r}"
    return Source(_table_rows(table, files, names), total, prepared=told)


def _with_own_names(table: Table, names: Sequence[str]) -> Table:
    """The table with the columns of ids and labels that its names tell, as of a dict."""
    found = {
        "id": table.id or next((name for name in IDS if name in names), None),
        "label": table.label or next((name for name in LABELS if name in names), None),
    }
    return dataclasses.replace(table, **found)


def _columns_of(table: Table, schema: Any, wanted: list[str]) -> list[str] | dict[str, str]:
    """Columns of one matrix, or those of each input by its name."""
    if missing := [
        name for name in (table.id, table.label, *(table.columns or ())) if name and name not in schema.names
    ]:
        raise ValueError(
            f"{table.path} has no column {missing[0]!r}. It has {', '.join(map(str, schema.names))}."
        )
    if table.columns is None and wanted and all(name in schema.names for name in wanted):
        return {name: name for name in wanted}
    kinds = pyarrow().types
    numbers = [
        field.name
        for field in schema
        if field.name not in (table.id, table.label)
        and (kinds.is_integer(field.type) or kinds.is_floating(field.type) or kinds.is_boolean(field.type))
    ]
    names = list(table.columns) if table.columns is not None else numbers
    if not names:
        raise ValueError(
            f"{table.path} has no columns of numbers. Say which to take: tfxai.data.Table(path, columns=[...])."
        )
    if len(wanted) == len(names) > 1:
        return dict(zip(wanted, names, strict=True))
    return names


def _table_rows(table: Table, files: list[Path], names: list[str] | dict[str, str]) -> Iterator[Rows]:
    parquet = pyarrow().parquet
    inputs = list(names.values()) if isinstance(names, dict) else names
    read, shapes = [*inputs, table.id, table.label], dict[str, tuple[int, ...]]()
    for file in files:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(TOGETHER * 16, columns=[*dict.fromkeys(filter(None, read))]):
                broken: dict[int, str] = {}
                arrays = {name: _column(batch.column(name), name, shapes, broken) for name in inputs}
                given: Any
                if isinstance(names, dict):
                    by_name = {name: arrays[held] for name, held in names.items()}
                    given = by_name if len(by_name) > 1 else next(iter(by_name.values()))
                else:
                    if words := [name for name in names if arrays[name].dtype.kind in "OUS"]:
                        raise ValueError(_NO_NUMBERS.format(words[0], "texts"))
                    given = matrix([arrays[name] for name in names])
                ids, labels = (
                    None if name is None else batch.column(name).to_numpy(zero_copy_only=False)
                    for name in (table.id, table.label)
                )
                yield Rows(given, None if ids is None else as_ids(ids), labels, broken)


def _column(column: Any, name: str, shapes: dict[str, tuple[int, ...]], broken: dict[int, str]) -> NDArray:
    """(n, ...) of one column of numbers or of lists of them; rows without fit get zeros, and a reason in `broken`.

    shapes: of the lists of each column, as the first whole one had it.

    Raises ValueError if the column holds neither.
    """
    array = column.to_numpy(zero_copy_only=False)
    if array.dtype.kind in "iufb":
        return array
    kinds = pyarrow().types
    if kinds.is_string(column.type) or kinds.is_large_string(column.type):
        return array  # texts, which some models take
    rows = [None if each is None else _array_of_list(each) for each in array]
    held = next((row.shape for row in rows if row is not None), None)
    shape = shapes.setdefault(name, held) if held is not None else shapes.get(name)
    if shape is None or not (
        kinds.is_list(column.type)
        or kinds.is_large_list(column.type)
        or kinds.is_fixed_size_list(column.type)
    ):
        raise ValueError(_NO_NUMBERS.format(name, column.type))
    for i, row in enumerate(rows):
        if row is None or row.shape != shape:
            told = "has gaps" if row is None else f"holds {row.shape}, where other rows hold {shape}"
            broken[i] = f"The column {name!r} {told}."
    kind = next((row.dtype for row in rows if row is not None), np.dtype(np.float32))
    whole = [np.zeros(shape, kind) if i in broken else row for i, row in enumerate(rows)]
    return np.stack(whole)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _array_of_list(each: Any) -> NDArray | None:
    """A list of numbers, or of such lists; None if it has gaps."""
    if isinstance(each, np.ndarray) and each.dtype != object:
        return each
    try:
        return np.stack([_array_of_list(part) for part in each])  # pyright: ignore[reportArgumentType, reportCallIssue]
    except (TypeError, ValueError):
        return None


def matrix(columns: list[NDArray]) -> NDArray:
    """(n, columns); a single column of arrays as it is."""
    if len(columns) == 1 and columns[0].ndim > 1:
        return columns[0]
    return np.stack([column.astype(np.float32) for column in columns], axis=1)
