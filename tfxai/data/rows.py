"""Rows of a data set on their way to a model: as they come from a source, and cut into shards."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.inputs import flatten, pack
from tfxai.support import Inputs

BROKEN = np.uint64(0)  # the digest of a row that could not be read


@dataclasses.dataclass(frozen=True)
class Rows:
    """Some rows, one after another.

    inputs: arrays (n, ...) in the structure that the model takes.
    ids:    (n,) whole numbers or words by which rows are known; None: their positions.
    labels: (n,) or (n, ...), what the source says of each; None where it says nothing.
    broken: number of a row here -> why it could not be read; its inputs are zeros.
    positions: (n,) in the whole data set; None: not known yet; -1: not those of the run's beginning.
    """

    inputs: Inputs
    ids: NDArray | None = None
    labels: NDArray | None = None
    broken: dict[int, str] = dataclasses.field(default_factory=dict)
    positions: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(flatten(self.inputs)[0][0])

    def __getitem__(self, which: slice | NDArray | list[int]) -> Rows:
        """Some of them, in this order."""
        order = np.arange(len(self))[which]
        place = {int(row): i for i, row in enumerate(order)}
        arrays, _ = flatten(self.inputs)
        return Rows(
            pack(self.inputs, [array[which] for array in arrays]),
            None if self.ids is None else self.ids[which],
            None if self.labels is None else self.labels[which],
            {place[row]: why for row, why in self.broken.items() if row in place},
            None if self.positions is None else self.positions[which],
        )

    @property
    def keys(self) -> NDArray:
        """Ids; positions where there are none."""
        keys = self.positions if self.ids is None else self.ids
        assert keys is not None
        return keys

    @functools.cached_property
    def digests(self) -> NDArray[np.uint64]:
        """(n,) of the inputs and the label of each row."""
        given = [*flatten(self.inputs)[0], *([] if self.labels is None else [self.labels])]
        arrays = [np.asarray(array) for array in given]
        kinds = "".join(f"{array.dtype}{array.shape[1:]}" for array in arrays).encode()
        person = hashlib.blake2b(kinds, digest_size=16).digest()
        words = (
            hashlib.blake2b(row, digest_size=8, person=person).digest()
            for row in _bytes_of_rows(arrays, len(self))
        )
        found = np.frombuffer(b"".join(words), np.uint64).copy()
        found[found == BROKEN] = 1
        found[list(self.broken)] = BROKEN
        return found

    def without_positions(self) -> Rows:
        """The same rows, of which nobody knows where they stood."""
        return dataclasses.replace(self, positions=np.full(len(self), -1))


def _bytes_of_rows(arrays: Sequence[NDArray], rows: int) -> Iterator[Any]:
    """What each row consists of, in all arrays."""
    if any(array.dtype == object for array in arrays):
        for row in zip(*arrays, strict=True):
            parts = [np.asarray(part) for part in row]
            yield b"\0".join(
                "\0".join(map(str, part.reshape(-1).tolist())).encode()
                if part.dtype == object
                else part.tobytes()
                for part in parts
            )
        return
    bytes_ = [np.ascontiguousarray(array).reshape(rows, -1).view(np.uint8) for array in arrays]
    together = bytes_[0] if len(bytes_) == 1 else np.concatenate(bytes_, axis=1)
    whole = memoryview(together.tobytes())
    width = len(whole) // max(rows, 1)
    yield from (whole[i : i + width] for i in range(0, len(whole), width))


def codes_of(keys: NDArray) -> NDArray[np.uint64]:
    """(n,) numbers that stand for ids, or positions."""
    words = (hashlib.blake2b(str(each).encode(), digest_size=8).digest() for each in keys.tolist())
    return np.frombuffer(b"".join(words), np.uint64)


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows that follow each other.

    Raises ValueError if their shapes differ.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    broken, before = {}, 0
    for part in parts:
        broken |= {before + row: why for row, why in part.broken.items()}
        before += len(part)
    columns = zip(*(flatten(part.inputs)[0] for part in parts), strict=True)
    return Rows(
        pack(first.inputs, [_joined_arrays(each) for each in columns]),
        _joined_or_none([part.ids for part in parts]),
        _joined_or_none([part.labels for part in parts]),
        broken,
        _joined_or_none([part.positions for part in parts]),
    )


def _joined_arrays(arrays: Sequence[NDArray]) -> NDArray:
    try:
        return np.concatenate(arrays)
    except ValueError:
        shapes = sorted({array.shape[1:] for array in arrays})
        raise ValueError(
            f"Examples have different shapes, such as {shapes[0]} and {shapes[-1]}. Give them padded or resized to one shape."
        ) from None


def _joined_or_none(arrays: Sequence[NDArray | None]) -> NDArray | None:
    given = [array for array in arrays if array is not None]
    return np.concatenate(given) if given else None


def placed(parts: Iterable[Rows]) -> Iterator[Rows]:
    """The same, each with its position in the whole data set.

    Raises ValueError if ids or labels come with some parts only, or are sometimes numbers and sometimes words.
    """
    position, first = 0, None
    for part in parts:
        first = part if first is None else first
        for name in ("ids", "labels"):
            kinds = [
                None if array is None else _kind(array)
                for array in (getattr(first, name), getattr(part, name))
            ]
            if kinds[0] != kinds[1]:
                raise ValueError(
                    f"From row {position} on the {name} are {kinds[1] or 'missing'}, and they were {kinds[0] or 'missing'} before. Give "
                    "all rows the same."
                )
        yield dataclasses.replace(part, positions=np.arange(position, position + len(part)))
        position += len(part)


def _kind(array: NDArray) -> str:
    return "words" if array.dtype.kind in "OUS" else "numbers"


def in_shards(parts: Iterable[Rows], size: int) -> Iterator[Rows]:
    """The same rows, so many at a time; the last are fewer. Holds no more than one shard and one part."""
    waiting: list[Rows] = []
    for part in parts:
        waiting.append(part)
        while (have := sum(map(len, waiting))) >= size:
            whole = joined(waiting)
            yield whole[slice(0, size)]
            waiting = [whole[slice(size, None)]] if have > size else []
    if waiting:
        yield joined(waiting)


def not_finite(inputs: Inputs) -> NDArray[np.bool_]:
    """(n,) whether a row holds a number that is NaN or infinite."""
    arrays: list[Any] = [np.asarray(array) for array in flatten(inputs)[0]]
    found = np.zeros(len(arrays[0]), bool)
    for array in arrays:
        if array.dtype.kind == "f":
            found |= ~np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    return found
