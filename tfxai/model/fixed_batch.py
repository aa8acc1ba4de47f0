"""Models that take one number of rows and no other: what is run is filled up to it, and the rest is cut off afterwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfxai.support import Layer, Tensor, Variable


@dataclasses.dataclass(frozen=True)
class FixedBatch:
    """How many rows a model takes at once.

    size:  the number of rows.
    alone: its places in a batch hold different states, so that a row must run at its own place; the others then hold
           copies of it, whose answers nobody reads.
    """

    size: int
    alone: bool = False

    @property
    def rows(self) -> int:
        """How many different rows can be run at once."""
        return 1 if self.alone else self.size


@dataclasses.dataclass(frozen=True)
class Filled:
    """The rows of one forward pass among those of a batch of fixed size, inside a trace.

    size: of the batch. count: of the rows. first: where the first one lies.
    """

    size: int
    count: Tensor
    first: Tensor

    @classmethod
    def of(cls, batch: FixedBatch, rows: Tensor, place: Tensor) -> Filled:
        """rows: a tensor (n, ...), n up to the batch's size. place: where a row lies that is run alone."""
        return cls(batch.size, tf.shape(rows)[0], place if batch.alone else tf.constant(0))

    def filled(self, rows: Tensor) -> Tensor:
        """(n, ...) as (size, ...), the last row again and again."""
        return tf.gather(rows, tf.minimum(tf.range(self.size), self.count - 1))

    def kept(self, batch: Tensor) -> Tensor:
        """(size, ...) as (n, ...)."""
        return batch[self.first : self.first + self.count]


def size_among(shapes: Iterable[Any]) -> int | None:
    """The number of rows that shapes (N, ...) of inputs or states name; None if they leave it open."""
    ranked = [shape for shape in map(tf.TensorShape, shapes) if shape.rank]
    return next((shape[0] for shape in ranked if shape[0] is not None), None)


def states_of(layers: Sequence[Layer]) -> list[Variable]:
    """The states that recurrent layers keep from batch to batch, (rows, units ...) each."""
    # Only layers that keep them have a size of their own; others list None, or what they made for one call.
    keepers = [layer for layer in layers if getattr(layer, "stateful", False) is True]
    held = [tf.nest.flatten(getattr(layer, "states", None)) for layer in keepers]
    return [state for states in held for state in states if hasattr(state, "assign")]


def differ_by_row(variables: Iterable[Variable], size: int) -> bool:
    """Whether any variable holds another state for each of the rows of a batch."""
    arrays = [np.asarray(v.numpy()) for v in variables if len(v.shape) > 1 and v.shape[0] == size]
    return any((array != array[:1]).any() for array in arrays if array.dtype != object)
