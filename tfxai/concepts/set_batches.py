"""Sets of images in batches: their length, some of their rows, and whole batches across the borders of sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.inputs import flatten, pack
from tfxai.support import Inputs


def length_of(images: Inputs) -> int:
    """How many images a set has."""
    return len(flatten(images)[0][0])


def taken(images: Inputs, rows: slice | NDArray[np.integer]) -> Inputs:
    """Some rows of a set, in its own structure."""
    return pack(images, [np.asarray(array)[rows] for array in flatten(images)[0]])


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Sets of the same structure, one after the other."""
    if len(parts) == 1:
        return parts[0]
    arrays = zip(*(flatten(part)[0] for part in parts), strict=True)
    return pack(parts[0], [np.concatenate(pieces) for pieces in arrays])


def batches_of_sets(sets: Mapping[str, Inputs], batch_size: int) -> Iterator[list[tuple[str, slice]]]:
    """Batches of (name of a set, rows of it), full across the borders of sets; other shapes begin a new batch."""
    batch: list[tuple[str, slice]] = []
    room, batch_shapes = batch_size, None
    for name, images in sets.items():
        shapes = [np.shape(array)[1:] for array in flatten(images)[0]]
        start, count = 0, length_of(images)
        while start < count:
            if batch and (room == 0 or shapes != batch_shapes):
                yield batch
                batch, room = [], batch_size
            batch_shapes, stop = shapes, min(start + room, count)
            batch.append((name, slice(start, stop)))
            room -= stop - start
            start = stop
    if batch:
        yield batch
