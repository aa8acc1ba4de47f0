"""A shard of a run: one Parquet file, which is there whole or not at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.data import arrow_columns as tables
from tfxai.data.arrow_columns import spread
from tfxai.data.explaining import Explained
from tfxai.data.kept import Kept
from tfxai.data.kept import columns as kept_columns
from tfxai.data.parquet import pyarrow
from tfxai.data.rows import Rows
from tfxai.results import Explanation, Receipt, as_json
from tfxai.support import whole_file

GROUP = 4 * 2**20  # bytes of rows that are compressed together, and so read to get at one of them
FOLDER = "rows"  # in the directory of a run, so that others can read it as one table
KEY = b"tfxai"  # of what the file tells of itself, in its metadata


def path_of(directory: Path, number: int) -> Path:
    """The file of a shard."""
    return directory / FOLDER / f"shard-{number:06d}.parquet"


def numbers_in(directory: Path) -> list[int]:
    """Shards that are there, in order."""
    names = (path.stem.removeprefix("shard-") for path in (directory / FOLDER).glob("shard-*.parquet"))
    return sorted(int(name) for name in names if name.isdigit())


def write(directory: Path, number: int, rows: Rows, found: Mapping[str, Explained], kept: Kept) -> None:
    """Writes a shard, and returns when it is on the disk.

    Raises OSError if it cannot be written; there is then no file of its name.
    """
    arrow = pyarrow()
    for name, each in found.items():
        keep_receipt(directory, name, each)
    count, columns = len(rows), _own_columns(rows, found)
    failed = len(next(iter(found.values())).failed)
    told: dict[str, Any] = {
        "rows": count,
        "failed": failed,
        "methods": {},
    }
    for name, each in found.items():
        told["methods"][name] = None
        if each.explanation is not None:
            told["methods"][name] = _add(columns, name, each, count, kept)
    table = arrow.table(columns).replace_schema_metadata({KEY: json.dumps(as_json(told))})
    leaves = {_leaf(field): field.type for field in table.schema}
    with whole_file(path_of(directory, number), sync=True) as part:
        arrow.parquet.write_table(
            table,
            part,
            compression="zstd",
            write_page_checksum=True,
            use_dictionary=[name for name, kind in leaves.items() if arrow.types.is_string(kind)],
            use_byte_stream_split=[name for name, kind in leaves.items() if _has_fractions(kind)],
            write_statistics=["id", "position"],
            row_group_size=max(1, min(count, GROUP * count // max(table.nbytes, 1))),
        )


def _leaf(field: Any) -> str:
    """What Parquet calls the numbers of a column."""
    kind = getattr(field.type, "storage_type", field.type)
    return f"{field.name}.list.element" if hasattr(kind, "value_type") else field.name


def _has_fractions(kind: Any) -> bool:
    kind = getattr(kind, "storage_type", kind)
    return pyarrow().types.is_floating(getattr(kind, "value_type", kind))


def _own_columns(rows: Rows, found: Mapping[str, Explained]) -> dict[str, Any]:
    """What is told of each row beside its explanations."""
    arrow, count = pyarrow(), len(rows)
    failed = next(iter(found.values())).failed
    reasons = [failed.get(row) for row in range(count)]
    columns = {
        "id": arrow.array(rows.keys),
        "position": arrow.array(rows.positions),
        "failed": arrow.array(reasons, arrow.string()),
        "digest": arrow.array(rows.digests),
    }
    if rows.labels is not None:
        columns["label"] = tables.column_of(rows.labels, range(count), count)
    first = next(iter(found.values()))
    if first.predicted is not None:
        columns["predicted"] = tables.column_of(
            spread(first.predicted, first.rows, count), range(count), count
        )
    return columns


def _add(columns: dict[str, Any], name: str, found: Explained, count: int, kept: Kept) -> dict[str, Any]:
    """Puts one method's columns beside the others; gives what the file tells of them."""
    assert found.explanation is not None
    told, arrays = kept_columns(found.explanation, kept)
    for field, values in arrays.items():
        head = field.partition(".")[0]
        if head == "inputs":
            if kept.inputs and field not in columns:
                columns[field] = tables.column_of(values, found.rows, count)
        elif isinstance(values, list) or not _is_ragged(head, found.explanation):
            columns[f"{name}.{field}"] = tables.column_of(values, found.rows, count)
        else:
            columns[f"{name}.{field}"] = tables.ragged_column_of(np.asarray(values), found.rows, count)
    return {**told, "call": _call_of(found.explanation.receipt)}


def _call_of(receipt: Receipt | None) -> dict[str, Any] | None:
    """What a receipt says of this shard alone."""
    if receipt is None:
        return None
    targets = receipt.targets.tolist() if isinstance(receipt.targets, np.ndarray) else None
    return {
        "inputs": receipt.inputs,
        "targets": targets,
        "warnings": receipt.warnings,
        "passes": receipt.passes,
        "batch_size": receipt.batch_size,
        "rows": None if receipt.rows is None else receipt.rows.tolist(),
    }


def receipt_path(directory: Path, method: str) -> Path:
    """The file with what receipts of all shards have in common."""
    return directory / f"{method}.receipt.npz"


def keep_receipt(directory: Path, method: str, found: Explained) -> None:
    """Writes that file, unless it is there."""
    path = receipt_path(directory, method)
    if found.explanation is not None and found.explanation.receipt is not None and not path.exists():
        common = {
            "weights": None,
            "structure": None,
            "inputs": {},
            "warnings": [],
            "passes": None,
            "rows": None,
        }
        dataclasses.replace(found.explanation.receipt, **common).save(path)


def receipt_of(
    directory: Path,
    method: str,
    model: Mapping[str, Any],
    call: Mapping[str, Any] | None,
    rows: NDArray | None,
) -> Receipt | None:
    """The receipt of a shard, or of some rows among those that it explained. model: what the run's header tells of it."""
    path = receipt_path(directory, method)
    if call is None or not path.exists():
        return None
    told = {name: call[name] for name in ("inputs", "warnings", "passes", "batch_size")}
    if call["targets"] is not None:
        told["targets"] = np.array(call["targets"])
    held = None if call["rows"] is None else np.array(call["rows"])
    try:
        common = Receipt.load(path)
    except ValueError as error:
        raise ValueError(f"{error} Without {path} all else of the run is still read: take it away.") from None
    whole = dataclasses.replace(common, **model, **told, rows=held)
    return whole if rows is None else whole.of_rows(rows)


def _is_ragged(field: str, explanation: Explanation) -> bool:
    """Whether a field's arrays are as long as a call's longest example needs."""
    words = getattr(explanation, "tokens", None) is not None
    return field in tables.RAGGED or (words and field in tables.SMALLER)


def _damaged(path: Path, error: Exception) -> Exception:
    """What to say of a file that cannot be read; a file that is not there is none."""
    if isinstance(error, FileNotFoundError):
        return error
    return ValueError(
        f"{path} is damaged, or no shard of a run ({error}). Take it away, and call explain_dataset again: it makes the shard anew."
    )


class Shard:
    """A shard that is read. told: what the file says of itself.

    Raises ValueError if the file is none.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self.number = number
        path, arrow = path_of(directory, number), pyarrow()
        try:
            self._file = arrow.parquet.ParquetFile(path, page_checksum_verification=True)
            self.told: dict[str, Any] = json.loads(self._file.schema_arrow.metadata[KEY])
        except (arrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
            raise _damaged(path, error) from None
        self._path = path
        self.names: list[str] = self._file.schema_arrow.names

    def __len__(self) -> int:
        return self.told["rows"]

    def column(self, name: str) -> Any:
        """One column, whole, as an Arrow array. Raises ValueError, as all that reads, if the file is damaged there."""
        return self._read(self._file.read, [name]).column(0).combine_chunks()

    def table(self, names: Iterable[str]) -> Any:
        """Some columns as an Arrow table."""
        return self._read(self._file.read, [name for name in names if name in self.names])

    def _read(self, read: Callable[..., Any], *what: Any) -> Any:
        try:
            return read(*what)
        except (pyarrow().ArrowException, OSError) as error:
            raise _damaged(self._path, error) from None

    def row(self, names: Sequence[str], number: int) -> Any:
        """Some columns of one row as an Arrow table: only the rows that are compressed with it are read."""
        before = 0
        for group in range(self._file.num_row_groups):
            size = self._file.metadata.row_group(group).num_rows
            if number < before + size:
                return self._read(self._file.read_row_group, group, list(names)).slice(number - before, 1)
            before += size
        raise IndexError(number)

    def close(self) -> None:
        """Lets go of the file."""
        self._file.close()
