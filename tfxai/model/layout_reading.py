"""What the rules of layouts read of an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.layouts import Dim, Layout
from tfxai.support import Operation, Tensor

Given = Sequence["Layout | None"]
Rule = Callable[[Operation, Given], Sequence[Layout]]
"""(operation, layouts of its inputs, None for those that do not depend on the input) -> layouts of its outputs."""


def shape_of(tensor: Tensor) -> list[int | None]:
    """Its lengths, None for those that tracing does not tell."""
    return list(tensor.shape)


def value_of(tensor: Tensor) -> NDArray:
    """The value of a tensor that says what an operation does. Raises ValueError if it is not constant."""
    value = tf.get_static_value(tensor)
    if value is None:
        raise ValueError(f"{tensor.name} is not constant")
    return np.asarray(value)


def axis_of(value: int, rank: int) -> int:
    """The number of an axis, counted from the first."""
    return int(value) % rank


def dims_of(layout: Layout | None) -> list[Dim]:
    """The axes of a layout that is known."""
    assert layout is not None and layout.dims is not None
    return list(layout.dims)


def at(given: Given, i: int) -> Layout | None:
    """The layout of the input of this number, if there is one."""
    return given[i] if i < len(given) else None
