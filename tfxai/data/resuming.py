"""What of a data set is still to be done, when some shards of it are there already."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfxai.data import shards
from tfxai.data.rows import Rows, in_shards, placed
from tfxai.engines import input_digests


def still_to_do(
    parts: Iterable[Rows], directory: Path, size: int, by_position: bool = False
) -> Iterator[tuple[int, Rows]]:
    """(number, rows) of each shard that is not there.

    Shards that are there are passed over, if their rows come again as they came: the same ids, inputs equal to the bit. Where they
    come in another order, rows are told by their ids alone, and what is missing is cut into new shards behind the old ones.

    by_position: targets are given by position, so that rows must come in the order of then.

    Raises ValueError if rows without ids come otherwise than they came, or an id comes twice.
    """
    there = set(shards.numbers_in(directory))
    seen, cut, number, last = _Seen(), in_shards(placed(parts), size), -1, None
    for number, rows in enumerate(cut):
        if number in there and not is_same(directory, number, rows):
            if rows.ids is None:
                raise ValueError(
                    f"The rows come otherwise than when the run in {directory} was begun: shard {number} held others. Give them in "
                    "the order of then (without shuffling), or begin with ids, by which rows are known in any order."
                )
            if by_position:
                raise ValueError(
                    f"The rows come in another order than when the run in {directory} was begun, and targets are given by position. Give "
                    'the order of then, or the targets as labels of the rows (targets="label").'
                )
            yield from _by_id(itertools.chain([rows], cut), directory, size, seen)
            return
        seen.add(rows.ids)
        last = rows.keys[-1]
        if number not in there:
            yield number, rows
    if more := there - set(range(number + 1)):
        raise ValueError(
            f"The data hold {last!r} as the last row, and {directory} has {len(more)} shards behind it: it was begun with "
            "more rows."
        )


def is_same(directory: Path, number: int, rows: Rows) -> bool:
    """Whether a shard holds these rows: the same ids, inputs equal to the bit."""
    shard = shards.Shard(directory, number)
    try:
        keys = shard.column("id").to_pylist()
        return keys == rows.keys.tolist() and shard.told["inputs"] == input_digests(rows.inputs)
    finally:
        shard.close()


def _by_id(parts: Iterable[Rows], directory: Path, size: int, seen: _Seen) -> Iterator[tuple[int, Rows]]:
    """Shards of the rows whose ids are in none that is there. seen: the ids that have come before."""
    there = shards.numbers_in(directory)
    done = _Seen()
    for number in there:
        shard = shards.Shard(directory, number)
        done.add(np.array(shard.column("id").to_pylist(), object))
        shard.close()

    def new() -> Iterator[Rows]:
        for part in parts:
            seen.add(part.ids)
            fresh = np.flatnonzero(~done.has(part.keys))
            if len(fresh):
                yield part[fresh]

    for number, part in enumerate(in_shards(new(), size), there[-1] + 1):
        yield number, part


class _Seen:
    """Ids that have come: eight bytes for each, in sorted arrays of which the shorter ones are merged."""

    def __init__(self) -> None:
        self._sorted: list[NDArray[np.uint64]] = []

    def has(self, ids: NDArray) -> NDArray[np.bool_]:
        """(n,) whether each has come."""
        codes = _codes(ids)
        found = np.zeros(len(codes), bool)
        for known in self._sorted:
            at = np.searchsorted(known, codes).clip(max=len(known) - 1)
            found |= known[at] == codes
        return found

    def add(self, ids: NDArray | None) -> None:
        """Raises ValueError if one of them has come before."""
        if ids is None:
            return
        codes = np.sort(_codes(ids))
        twice = self.has(ids)
        if twice.any() or (codes[1:] == codes[:-1]).any():
            listed = ids.tolist()
            which = ids[twice][0] if twice.any() else next(each for each in listed if listed.count(each) > 1)
            raise ValueError(f"The id {which} comes twice. Give each row an id of its own.")
        self._sorted.append(codes)
        while len(self._sorted) > 1 and len(self._sorted[-1]) >= len(self._sorted[-2]):
            self._sorted.append(np.sort(np.concatenate([self._sorted.pop(), self._sorted.pop()])))


def _codes(ids: NDArray) -> NDArray[np.uint64]:
    words = (hashlib.blake2b(str(each).encode(), digest_size=8).digest() for each in ids.tolist())
    return np.frombuffer(b"".join(words), np.uint64)
