"""Sizes that change from call to call: which axes of the arguments a trace leaves open."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

KINDS = 64  # of calls whose sizes are remembered
FEW = 3  # different sizes after which the axes that differ are left open

Shapes = tuple[tuple[int | None, ...], ...]
"""The shape of each argument, None for an axis of any length."""


@dataclasses.dataclass
class Sizes:
    """Which sizes one kind of call has come in.

    common: of all of them, None for an axis that differs. count: how many there were. closed: axes cannot be left open.
    """

    common: Shapes
    count: int = 1
    closed: bool = False

    def add(self, shapes: Shapes) -> None:
        """Another size."""
        pairs = zip(self.common, shapes, strict=True)
        self.common = tuple(
            tuple(a if a == b else None for a, b in zip(one, other, strict=True)) for one, other in pairs
        )
        self.count += 1


def sizes_of(known: dict[Hashable, Sizes], kind: Hashable, shapes: Shapes) -> Sizes:
    """What is known of a kind of call, after it came in another size. The kind that was last seen first is forgotten first."""
    if kind in known:
        sizes = known[kind] = known.pop(kind)
        sizes.add(shapes)
        return sizes
    while len(known) >= KINDS:
        known.pop(next(iter(known)))
    return known.setdefault(kind, Sizes(shapes))


@dataclasses.dataclass(frozen=True)
class OfAnySize:
    """What a trace with open axes may know of an input: no length that differs from call to call."""

    shape: tuple[int | None, ...]
    dtype: Any

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)


def of_any_size(arrays: list[NDArray], specs: list[tf.TensorSpec]) -> list[Any]:
    """Inputs as a trace with open axes may know them: those with an argument's shape without its open axes.

    specs: of all arguments.
    """

    def opened(array: NDArray) -> Any:
        for spec in specs:
            if spec.shape.rank == array.ndim and spec.shape[1:].is_compatible_with(array.shape[1:]):
                return OfAnySize((None, *spec.shape.as_list()[1:]), array.dtype)
        return array

    return [opened(array) for array in arrays]
