"""The part of the input that is hidden, and what stands in its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, filled
from tfxai.engines.request import Request
from tfxai.model import Network
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class HiddenInput:
    """The input that is hidden in parts, of the inputs of a model.

    which: its number.
    """

    network: Network
    which: int

    @property
    def array(self) -> NDArray:
        """The input (N, ...)."""
        return self.network.arrays[self.which]

    @property
    def space(self) -> tuple[int, ...]:
        """The axes along which parts are told apart: (H, W) of an image, (T,) of a series, (F,) of a row."""
        return space_of(self.array)

    def values(self, maps: NDArray) -> list[NDArray | None]:
        """For each input None, but for this one the maps (rows, *space) with one channel."""
        values: list[NDArray | None] = [None] * len(self.network.arrays)
        values[self.which] = maps[..., None] if self.array.ndim > 2 else maps
        return values

    def hidden(self, baseline: Baseline) -> NDArray:
        """What hidden parts look like, of the input's shape.

        Raises ValueError for token ids that are not whole numbers, or outside of the vocabulary.
        """
        is_number = not callable(baseline) and np.ndim(baseline) == 0
        if is_number and self.array.dtype.kind == "i" and float(np.asarray(baseline)) % 1:
            raise ValueError(
                f"baseline is {baseline}; this input is token ids. Give the id that stands for none."
            )
        values = filled(baseline, self.array)
        self.network.check_ids(self.which, values, "baseline")
        return values


def hidden_input(request: Request, input: str | int | None, method: str) -> HiddenInput:
    """The input named by its key or number; unless named the first image, else the first one.

    Raises ValueError if there is no such input, or it is text.
    """
    which = chosen_input(request, input)
    array = request.network.arrays[which]
    if array.dtype == object or array.ndim < 2:
        raise ValueError(
            f"{method} hides parts of arrays (N, ...) of numbers; this input has shape {array.shape} and type "
            f"{'text' if array.dtype == object else array.dtype}. Use LIME, KernelSHAP or PartitionSHAP for texts."
        )
    return HiddenInput(request.network, which)


def chosen_input(request: Request, input: str | int | None) -> int:
    """The number of the input that is named by its key or number; unless named the first image, else the first one.

    Raises ValueError if there is no such input.
    """
    network = request.network
    if input is None:
        return next((i for i, array in enumerate(network.arrays) if array.ndim == 4), 0)
    names: list[Any] = list(
        network.structure if isinstance(network.structure, dict) else range(len(network.arrays))
    )
    if input not in names:
        raise ValueError(f"input={input!r}: the inputs are {', '.join(map(repr, names))}. Give one of them.")
    return names.index(input)


def space_of(array: NDArray) -> tuple[int, ...]:
    """The axes of an input (N, ...) along which parts are told apart: all but a last one of channels."""
    return array.shape[1:-1] if array.ndim > 2 else array.shape[1:]


# Inside a trace


def visible(x: Tensor, hidden: Tensor, masks: Tensor, soft: bool = False) -> Tensor:
    """The input where masks (B, *space) are 1, what it is hidden by where they are 0.

    soft: masks may also lie between.
    """
    masks = masks if masks.shape.rank == x.shape.rank else masks[..., None]
    if not soft or not x.dtype.is_floating:
        return tf.where(masks if masks.dtype == tf.bool else masks > 0.5, x, hidden)
    return hidden + tf.cast(masks, x.dtype) * (x - hidden)


def shown(inputs: Sequence[Tensor], which: int, perturbed: Tensor) -> list[Tensor]:
    """All inputs of the model (B, ...), one of them perturbed."""
    tensors = repeated(inputs, tf.shape(perturbed)[0])
    tensors[which] = perturbed
    return tensors


def repeated(inputs: Sequence[Tensor], count: Tensor) -> list[Tensor]:
    """Every input (1, ...) as (count, ...)."""
    return [tf.repeat(x, count, axis=0) for x in inputs]
