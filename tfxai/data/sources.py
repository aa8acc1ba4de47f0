"""Where rows come from: arrays, tf.data, PyDataset, generators, folders of pictures, Parquet."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tfxai import photos
from tfxai.data.rows import Rows, joined
from tfxai.data.source import IDS, LABELS, TOGETHER, Source, as_ids, as_words
from tfxai.data.table_source import Table, of_table
from tfxai.inputs import flatten, is_frame, pack, specs_of
from tfxai.photos import Crop
from tfxai.support import File, Model, check_settings, in_short
from tfxai.text import Text


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


def source_of(data: Any, model: Model, ids: ArrayLike | None = None) -> Source:
    """The rows of whatever a user calls a data set; see `explain_dataset`.

    Raises ValueError if it is nothing of the kind, or ids do not fit.
    """
    source = _source_of(data, model)
    if ids is None:
        return source
    known = as_ids(np.asarray(ids))
    if source.total is not None and len(known) != source.total:
        raise ValueError(f"{len(known)} ids came for {source.total} rows. Give one for each.")
    return dataclasses.replace(source, parts=_with_ids(source.parts, known), ids=known)


def all_rows(data: Any, model: Model) -> Rows:
    """All rows of a data set at once, in memory.

    Raises ValueError if it is nothing of the kind, has no rows, or one cannot be read.
    """
    parts = [*source_of(data, model).parts]
    if not parts:
        raise ValueError("The data have no rows. Give at least one.")
    rows = joined(parts)
    if rows.broken:
        row, why = next(iter(rows.broken.items()))
        raise ValueError(f"{len(rows.broken)} of {len(rows)} rows cannot be read, such as row {row}: {why}")
    return rows


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
        return of_table(data, model)
    if isinstance(data, tf.data.Dataset):
        return _of_dataset(data, model)
    if hasattr(data, "__getitem__") and hasattr(data, "num_batches"):  # keras.utils.PyDataset
        batches = data.num_batches
        if batches is None:
            raise ValueError("The PyDataset has no end. Give one that says how many batches it has.")
        return Source(element_rows(data[i], model) for i in range(batches))
    if isinstance(data, Text) or is_frame(data) or _are_arrays(data):
        return _of_arrays(data, model)
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


def _of_arrays(data: Any, model: Model) -> Source:
    """Slices of arrays, which may be memory maps, with labels and ids as elements of a data set have them."""
    if isinstance(data, Text) or is_frame(data):
        count = len(data.strings) if isinstance(data, Text) else len(data)
        raise ValueError(
            f"data is {in_short(data)} of {count} rows. Give arrays: of a table data.to_numpy() or a dict of its columns, of texts "
            "an array of strings, or the ids that the model takes."
        )
    labels = ids = None
    wanted = [spec.name for spec in specs_of(model)]
    if isinstance(data, dict) or (isinstance(data, tuple) and len(wanted) == 1 and len(data) in (2, 3)):
        data, labels, ids = _apart(data, model)
    beside = [np.asanyarray(each) for each in (labels, ids) if each is not None]
    arrays = [np.asanyarray(array) for array in flatten(data)[0]]
    if len(lengths := {len(array) for array in (*arrays, *beside)}) > 1:
        raise ValueError(f"The arrays have {sorted(lengths)} rows. Give the same number in each.")
    total = lengths.pop()
    known = None if ids is None else as_ids(np.asanyarray(ids))
    told = None if labels is None else as_words(np.asanyarray(labels))

    def parts() -> Iterator[Rows]:
        for i in range(0, total, TOGETHER):
            some = slice(i, i + TOGETHER)
            inputs = pack(data, [array[some] for array in arrays])
            yield Rows(inputs, None if known is None else known[some], None if told is None else told[some])

    return Source(parts(), total, known)


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
    words = [as_words(array) for array in arrays]
    rows = len(arrays[0])
    return Rows(
        pack(inputs, words),
        None if ids is None else _one_each(as_ids(np.asarray(ids)), rows, "ids"),
        None
        if labels is None or isinstance(labels, (dict, tuple))
        else _one_each(as_words(np.asarray(labels)), rows, "labels"),
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
