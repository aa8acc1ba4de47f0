"""What of a data set is still to be done, when some shards of it are there already."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.data import shards
from tfxai.data.rows import BROKEN, Rows, codes_of, in_shards, placed


def still_to_do(
    parts: Iterable[Rows],
    directory: Path,
    size: int,
    *,
    known: NDArray | None = None,
    total: int | None = None,
    by_position: bool = False,
    finished: bool = False,
) -> Iterator[tuple[int, Rows]]:
    """(number, rows) of each shard that is not there.

    Rows that are there are known by their ids, or positions, and must come again as they came: the same inputs and labels, to the bit.
    While rows come in the order of then, each shard has its own number; in another order what is missing is cut into new shards behind the
    old ones, and has no positions (-1).

    known: all ids of the data, where they can be told before. total: how many rows, where that is known.
    by_position: targets are given by position, so that rows must come in the order of then.
    finished: nothing may be left to do.

    Raises ValueError if rows come otherwise than they came, rows that are there do not come again, or an id comes twice.
    """
    done, there = _There(directory, by_position), set(shards.numbers_in(directory))
    done.check_known(np.arange(total) if known is None and total is not None else known)
    come, cut = _Come(), in_shards(placed(parts), size)
    for number, rows in enumerate(cut):
        come.add(rows.ids)
        held = done.has(rows)
        if held.all():
            continue
        if finished:
            raise ValueError(
                f"The run in {directory} is finished, and the data hold rows that it does not have, such as {rows.keys[~held].tolist()[0]!r}. "
                "Give another directory, or the data of then."
            )
        if held.any() or number in there:
            new = _not_there(itertools.chain([rows], cut), done, come, first=rows)
            yield from enumerate(in_shards(new, size), max(there) + 1)
            break
        yield number, rows
    done.check_all_came()


def _not_there(parts: Iterable[Rows], done: _There, come: _Come, first: Rows) -> Iterator[Rows]:
    """The rows whose ids are in no shard. first: which have been counted already."""
    for part in parts:
        if part is not first:
            come.add(part.ids)
        fresh = np.flatnonzero(~done.has(part))
        if len(fresh):
            yield part[fresh].without_positions()


class _There:
    """The rows of all shards, and whether each has come again: 25 bytes for each.

    by_position: whether each must come again where it stood.
    """

    def __init__(self, directory: Path, by_position: bool) -> None:
        self._directory, self._by_position = directory, by_position
        parts = [
            _columns(directory, number, "id", "digest", "position") for number in shards.numbers_in(directory)
        ]
        codes = np.concatenate([codes_of(keys) for keys, *_ in parts]) if parts else np.zeros(0, np.uint64)
        order = np.argsort(codes, kind="stable")
        self._codes = codes[order]
        self._digests = np.concatenate([digests for _, digests, _ in parts])[order] if parts else codes
        self._positions = np.concatenate([places for *_, places in parts])[order] if parts else codes
        self._came = np.zeros(len(codes), bool)

    def check_known(self, keys: NDArray | None) -> None:
        """Raises ValueError if a row that is there is not among all that will come. None: which those are is not known."""
        if keys is None or not len(self._codes):
            return
        lost = ~np.isin(self._codes, codes_of(keys))
        if lost.any():
            self._raise_lost(lost)

    def has(self, rows: Rows) -> NDArray[np.bool_]:
        """(n,) whether each row is there. Raises ValueError if one of them is another than then."""
        if not len(self._codes):
            return np.zeros(len(rows), bool)
        codes, digests = codes_of(rows.keys), rows.digests
        at = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        held = self._codes[at] == codes
        either_broken = (digests == BROKEN) | (self._digests[at] == BROKEN)  # it may have been mended
        other = held & (self._digests[at] != digests) & ~either_broken
        if other.any():
            key = rows.keys[other].tolist()[0]
            words = (
                "Give rows in the order of then (without shuffling), or begin with ids, by which rows are known in any order."
                if rows.ids is None
                else "Give the rows of then, prepared as they were then, or another directory."
            )
            raise ValueError(
                f"The row {key!r} comes otherwise than when the run in {self._directory} was begun: its inputs, or its label, are others. "
                + words
            )
        if self._by_position and (self._positions[at] != rows.positions)[held].any():
            raise ValueError(
                f"The rows come in another order than when the run in {self._directory} was begun, and targets are given by position. Give "
                'the order of then, or the targets as labels of the rows (targets="label").'
            )
        self._came[at[held]] = True
        return held

    def check_all_came(self) -> None:
        """Raises ValueError if a row that is there did not come again."""
        if not self._came.all():
            self._raise_lost(~self._came)

    def _raise_lost(self, lost: NDArray[np.bool_]) -> None:
        codes = self._codes[lost]
        numbers = shards.numbers_in(self._directory)
        keys = itertools.chain.from_iterable(_columns(self._directory, each, "id")[0] for each in numbers)
        name = next(key for key in keys if codes_of(np.array([key], object))[0] in codes)
        raise ValueError(
            f"{self._directory} has {len(codes)} rows that the data do not hold, such as {name!r}: it was begun with others, or with more. "
            "Give the data of then, or another directory."
        )


def _columns(directory: Path, number: int, *names: str) -> list[Any]:
    """Some columns of a shard, (rows,) each."""
    shard = shards.Shard(directory, number)
    try:
        return [shard.column(name).to_numpy(zero_copy_only=False) for name in names]
    finally:
        shard.close()


class _Come:
    """Ids that have come: eight bytes for each, in sorted arrays of which the shorter ones are merged."""

    def __init__(self) -> None:
        self._sorted: list[NDArray[np.uint64]] = []

    def add(self, ids: NDArray | None) -> None:
        """Raises ValueError if one of them has come before."""
        if ids is None:
            return
        codes = codes_of(ids)
        twice = np.zeros(len(codes), bool)
        for known in self._sorted:
            at = np.searchsorted(known, codes).clip(max=len(known) - 1)
            twice |= known[at] == codes
        codes = np.sort(codes)
        if twice.any() or (codes[1:] == codes[:-1]).any():
            listed = ids.tolist()
            which = ids[twice][0] if twice.any() else next(each for each in listed if listed.count(each) > 1)
            raise ValueError(f"The id {which} comes twice. Give each row an id of its own.")
        self._sorted.append(codes)
        while len(self._sorted) > 1 and len(self._sorted[-1]) >= len(self._sorted[-2]):
            self._sorted.append(np.sort(np.concatenate([self._sorted.pop(), self._sorted.pop()])))
