"""Inputs of any structure as a flat list of arrays, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from tfxai.support import Inputs, Structure
from tfxai.text import Text

Item = TypeVar("Item")


def flatten(inputs: Inputs) -> tuple[list[Inputs], list[str]]:
    """The arrays of any structure, and what messages call them."""
    if isinstance(inputs, Text):
        return [np.array(list(inputs.strings), object)], ["inputs"]
    if isinstance(inputs, dict):
        return list(inputs.values()), list(inputs)
    if isinstance(inputs, (list, tuple)) and all(np.ndim(x) > 0 for x in inputs):
        return list(inputs), [f"inputs[{i}]" for i in range(len(inputs))]
    return [inputs], ["inputs"]


def pack(structure: Inputs, flat: Sequence[Item]) -> dict[str, Item] | list[Item] | tuple[Item, ...] | Item:
    """A flat list in the structure of the inputs."""
    if isinstance(structure, dict):
        return dict(zip(structure, flat, strict=True))
    if isinstance(structure, (list, tuple)):
        return list(flat) if isinstance(structure, list) else tuple(flat)
    return flat[0]


def skeleton(structure: Inputs) -> Structure:
    """The structure alone, a star in the place of each array."""
    return pack(structure, ["*"] * len(flatten(structure)[0]))
