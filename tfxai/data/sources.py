"""Where rows come from: arrays, tf.data, PyDataset, generators, folders of pictures, Parquet."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tfxai import photos
from tfxai.data.parquet import pyarrow
from tfxai.data.rows import Rows
from tfxai.inputs import flatten, is_frame, pack, specs_of
from tfxai.photos import Crop
from tfxai.support import File, Model, check_settings, in_short
from tfxai.text import Text

TOGETHER = 256  # rows that are taken from a source at once, where it does not come in batches
IDS, LABELS = (
    ("id", "ids"),
    ("label", "labels", "y", "target"),
)  # names of what a dict holds beside the inputs


@dataclasses.dataclass(frozen=True)
class Folder:
    """Pictures of a folder and of all folders in it, in the order of their paths, which are their ids.

    Files whose endings are not those of pictures are passed over; a picture that cannot be read is a row that fails. Labels are
    the names of sub-folders, where there are any.

    path:       the folder.
    preprocess: how the model wants them; see `tfxai.photos.scale`.
    crop:       part of the height and width to keep.
    size:       (height, width); None: as the model takes them.
    channels:   3 (RGB), 1 (grey); None: as the model takes them, else 3.
    """

    path: File
    preprocess: str = "none"
    crop: Crop = 1.0
    size: tuple[int, int] | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of a Parquet file, or of all Parquet files of a folder in the order of their names.

    path:    the file or folder.
    columns: that the model takes, in this order; None: its inputs by name, else all numbers but id and label. Columns that hold
             lists are arrays.
    id:      column of ids; None: positions.
    label:   column of labels.
    """

    path: File
    columns: Sequence[str] | None = None
    id: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows that can be read from the start, again and again where the data allow it.

    total: how many there are; None where that is not known before.
    ids: of all of them; None where they are not known before, or there are none.
    prepared: how files become inputs, as settings of the run.
    """

    parts: Iterable[Rows]
    total: int | None = None
    ids: NDArray | None = None
    prepared: str | None = None


def source_of(data: Any, model: Model, ids: ArrayLike | None = None) -> Source:
    """The rows of whatever a user calls a data set; see `explain_dataset`.

    Raises ValueError if it is nothing of the kind, or ids do not fit.
    """
    source = _source_of(data, model)
    if ids is None:
        return source
    known = _ids(np.asarray(ids))
    if source.total is not None and len(known) != source.total:
        raise ValueError(f"{len(known)} ids came for {source.total} rows. Give one for each.")
    return dataclasses.replace(source, parts=_with_ids(source.parts, known), ids=known)


def _with_ids(parts: Iterable[Rows], ids: NDArray) -> Iterator[Rows]:
    before = 0
    for part in parts:
        after = before + len(part)
        if after > len(ids):
            raise ValueError(f"{len(ids)} ids came, and there are more rows. Give one for each.")
        yield dataclasses.replace(part, ids=ids[before:after])
        before = after


def _source_of(data: Any, model: Model) -> Source:
    if isinstance(data, (str, Path)):
        path = Path(data)
        if not path.exists():
            raise ValueError(f"There is no file or folder {data}.")
        tables = path.is_file() or any(path.glob("*.parquet"))
        data = Table(path) if tables else Folder(path)
    if isinstance(data, Folder):
        return _of_folder(data, model)
    if isinstance(data, Table):
        return _of_table(data, model)
    if isinstance(data, tf.data.Dataset):
        return _of_dataset(data, model)
    if hasattr(data, "__getitem__") and hasattr(data, "num_batches"):  # keras.utils.PyDataset
        batches = data.num_batches
        if batches is None:
            raise ValueError("The PyDataset has no end. Give one that says how many batches it has.")
        return Source(element_rows(data[i], model) for i in range(batches))
    if isinstance(data, Text) or is_frame(data) or _are_arrays(data):
        return _of_arrays(data)
    if isinstance(data, Iterable):
        return Source(element_rows(element, model) for element in data)
    raise ValueError(
        f"data is {in_short(data)}. Give arrays, a tf.data.Dataset, a keras.utils.PyDataset, a generator of batches, a folder of "
        "pictures, or a Parquet file."
    )


def _are_arrays(data: Any) -> bool:
    items = list(data.values()) if isinstance(data, dict) else data
    return hasattr(items, "__array__") or (
        isinstance(items, (list, tuple)) and bool(items) and all(hasattr(item, "__array__") for item in items)
    )


def _of_arrays(data: Any) -> Source:
    """Slices of arrays, which may be memory maps."""
    if isinstance(data, Text) or is_frame(data):
        count = len(data.strings) if isinstance(data, Text) else len(data)
        raise ValueError(
            f"data is {in_short(data)} of {count} rows. Give arrays: of a table data.to_numpy() or a dict of its columns, of texts "
            "an array of strings, or the ids that the model takes."
        )
    arrays = [np.asanyarray(array) for array in flatten(data)[0]]
    if len(lengths := {len(array) for array in arrays}) > 1:
        raise ValueError(f"The arrays have {sorted(lengths)} rows. Give the same number in each.")
    total = lengths.pop()
    return Source(
        (Rows(pack(data, [array[i : i + TOGETHER] for array in arrays])) for i in range(0, total, TOGETHER)),
        total,
    )


def _of_dataset(data: tf.data.Dataset, model: Model) -> Source:
    """A dataset of batches, or of single examples, as the model's inputs tell."""
    inputs, _, _ = _apart(data.element_spec, model)
    first = flatten(inputs)[0][0]
    shape, specs = getattr(first, "shape", None), specs_of(model)
    if shape is None or shape.rank is None or not isinstance(first, tf.TensorSpec):
        raise ValueError(
            f"The dataset gives {in_short(first)}. Give one of dense tensors: ragged ones as .to_tensor()."
        )
    wanted = specs[0].shape if specs else None
    rank = None if wanted is None else len(wanted)
    total = int(data.cardinality())
    if total == tf.data.INFINITE_CARDINALITY:
        raise ValueError("The dataset has no end. Give dataset.take(n), or leave out repeat().")
    if rank is not None and shape.rank == rank - 1:
        rows = (element_rows(element, model) for element in data.batch(TOGETHER).as_numpy_iterator())
        return Source(rows, total if total >= 0 else None)
    if rank is None and shape.rank and shape[0] is not None:
        raise ValueError(
            f"The dataset gives tensors {tuple(shape)}, and the model does not say which shape it takes, so that one example looks "
            "like a batch. Give dataset.batch(32), without drop_remainder."
        )
    return Source(element_rows(element, model) for element in data.as_numpy_iterator())


def element_rows(element: Any, model: Model) -> Rows:
    """One batch, as Keras reads it: inputs, (inputs, labels) or (inputs, labels, ids). Labels of several outputs are left out."""
    inputs, labels, ids = _apart(element, model)
    arrays = [np.asarray(array) for array in flatten(inputs)[0]]
    if arrays[0].ndim == 0 or not len(arrays[0]):
        raise ValueError(
            f"A batch has the shape {arrays[0].shape}. Give batches (n, ...) of one row or more."
        )
    words = [_words(array) for array in arrays]
    rows = len(arrays[0])
    return Rows(
        pack(inputs, words),
        None if ids is None else _one_each(_ids(np.asarray(ids)), rows, "ids"),
        None
        if labels is None or isinstance(labels, (dict, tuple))
        else _one_each(_words(np.asarray(labels)), rows, "labels"),
    )


def _one_each(array: NDArray, rows: int, name: str) -> NDArray:
    if array.ndim == 0 or len(array) != rows:
        raise ValueError(f"A batch of {rows} rows has {name} of shape {array.shape}. Give one for each row.")
    return array


def _apart(element: Any, model: Model) -> tuple[Any, Any, Any]:
    """Inputs, labels and ids of an element of a data set."""
    if isinstance(element, tuple):
        if not 1 <= len(element) <= 3:
            raise ValueError(
                f"Elements are tuples of {len(element)}. Give inputs, (inputs, labels) or (inputs, labels, ids)."
            )
        inputs, labels, ids, *_ = (*element, None, None)
        return inputs, labels, ids
    if not isinstance(element, dict):
        return element, None, None
    wanted = [spec.name for spec in specs_of(model)]
    if wanted and all(name in element for name in wanted):
        inputs: Any = {name: element[name] for name in wanted}
    else:
        inputs = {name: value for name, value in element.items() if name not in (*IDS, *LABELS)}
    if len(inputs) == 1 and len(wanted) <= 1:
        inputs = next(iter(inputs.values()))
    rest = {name: value for name, value in element.items() if name not in wanted}
    labels = next((rest[name] for name in LABELS if name in rest), None)
    return inputs, labels, next((rest[name] for name in IDS if name in rest), None)


def _words(array: NDArray) -> NDArray:
    """Texts as Python's strings, which TensorFlow gives as bytes."""
    if array.dtype.kind not in "OS":
        return array
    flat = [item.decode() if isinstance(item, bytes) else item for item in array.reshape(-1).tolist()]
    return np.array(flat, object).reshape(array.shape)


def _ids(array: NDArray) -> NDArray:
    """(n,) ids as int64 or as strings. Raises ValueError if they are neither."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1 and array.dtype.kind in "iu" and (not array.size or array.max() < 2**63):
        return array.astype(np.int64)
    words = _words(array.astype(object) if array.dtype.kind == "U" else array)
    if array.ndim != 1 or not all(isinstance(item, str) for item in words.tolist()):
        raise ValueError(
            f"ids are {array.dtype} of shape {array.shape}. Give a whole number below 2**63 or a word for each row; weights of samples are no ids."
        )
    return words


def _of_folder(folder: Folder, model: Model) -> Source:
    root, endings = Path(folder.path), Image.registered_extensions()
    if not root.is_dir():
        raise ValueError(f"There is no folder {root}.")
    inside = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in endings)
    files = sorted(path.as_posix() for path in inside if not any(part[0] == "." for part in path.parts))
    if not files:
        raise ValueError(f"{root} has no pictures, and no Parquet files.")
    specs = specs_of(model)
    fits = len(specs) == 1 and len(specs[0].shape) == 4
    height, width, deep = specs[0].shape[1:] if fits else (None, None, None)
    height, width = folder.size or (height, width)
    channels = folder.channels or deep or 3
    if height is None or width is None:
        raise ValueError(
            "The model does not say which size of pictures it takes. Give tfxai.data.Folder(path, size=(224, 224))."
        )
    photos.scale(np.zeros((1, 1, 1, channels)), folder.preprocess)  # a wrong name is told before any work
    told = (
        f"preprocess={folder.preprocess!r}, crop={folder.crop}, size={(height, width)}, channels={channels}"
    )
    parts = _pictures(folder, root, files, (height, width), channels)
    return Source(parts, len(files), np.array(files, object), told)


def _pictures(
    folder: Folder, root: Path, files: list[str], size: tuple[int, int], channels: int
) -> Iterator[Rows]:
    has_labels = any("/" in file for file in files)

    def read(file: str) -> NDArray[np.float32] | str:
        try:
            return photos.fit(photos.read(root / file, channels), size, folder.crop)
        except ValueError as error:
            return str(error).replace(str(root / file), file)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as readers:
        for first in range(0, len(files), TOGETHER // 8):
            names = files[first : first + TOGETHER // 8]
            found = list(readers.map(read, names))
            broken = {i: why for i, why in enumerate(found) if isinstance(why, str)}
            nothing = np.zeros((*size, channels), np.float32)
            pixels = np.stack([nothing if isinstance(each, str) else each for each in found])
            labels = np.array([name.rpartition("/")[0] for name in names], object)
            yield Rows(
                photos.scale(pixels, folder.preprocess),
                np.array(names, object),
                labels if has_labels else None,
                broken,
            )


def _of_table(table: Table, model: Model) -> Source:
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
    names = _columns_of(table, schema, [spec.name for spec in specs_of(model)])
    told = f"columns={names}, id={table.id!r}, label={table.label!r}"
    return Source(_table_rows(table, files, names), total, prepared=told)


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
    read = [*(names.values() if isinstance(names, dict) else names), table.id, table.label]
    for file in files:
        with parquet.ParquetFile(file) as opened:
            for batch in opened.iter_batches(TOGETHER * 16, columns=[*dict.fromkeys(filter(None, read))]):

                def column(name: str, batch: Any = batch) -> NDArray:
                    values = batch.column(name).to_numpy(zero_copy_only=False)
                    return (
                        np.stack(values)
                        if values.dtype == object and isinstance(values[0], np.ndarray)
                        else values
                    )

                inputs: Any
                if isinstance(names, dict):
                    arrays = {name: column(held) for name, held in names.items()}
                    inputs = arrays if len(arrays) > 1 else next(iter(arrays.values()))
                else:
                    inputs = matrix([column(name) for name in names])
                yield Rows(
                    inputs,
                    None if table.id is None else _ids(column(table.id)),
                    None if table.label is None else column(table.label),
                )


def matrix(columns: list[NDArray]) -> NDArray:
    """(n, columns); a single column of arrays as it is."""
    if len(columns) == 1 and columns[0].ndim > 1:
        return columns[0]
    return np.stack([column.astype(np.float32) for column in columns], axis=1)
