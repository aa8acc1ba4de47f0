"""Scores of dense outputs (N, H, W, C): the mean over a region."""

from __future__ import annotations

import dataclasses
import typing

import numpy as np
import tensorflow as tf

from tfxai.scores.outputs import OutputScore, Unit, chosen, in_unit
from tfxai.support import Structure, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Region(OutputScore):
    mask: np.ndarray
    channel: int | None
    output: str | int | None
    unit: Unit = "logit"

    def __post_init__(self) -> None:
        _check_unit(self.unit, "region")

    def count(self, outputs: Structure) -> int | None:
        """How many classes a target can mean."""
        return chosen(outputs, self.output, "tfxai.scores.region(mask, output=NAME)").shape[-1]

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        tensor = chosen(outputs, self.output, "tfxai.scores.region(mask, output=NAME)")
        maps = channel_maps(tensor, self.unit, self.channel, targets)
        if tuple(maps.shape[1:]) != self.mask.shape or not self.mask.any():
            raise ValueError(
                f"region got a mask of shape {self.mask.shape} with {self.mask.sum()} cells inside, for output maps of "
                f"{tuple(maps.shape[1:])}. Give a mask (H, W) of the output's size with at least one cell inside."
            )
        return tf.reduce_mean(tf.boolean_mask(maps, self.mask, axis=1), axis=1)


@dataclasses.dataclass(frozen=True)
class Box(OutputScore):
    corners: tuple[int, int, int, int]
    channel: int | None
    output: str | int | None
    unit: Unit = "logit"

    def __post_init__(self) -> None:
        _check_unit(self.unit, "box")

    def count(self, outputs: Structure) -> int | None:
        """How many classes a target can mean."""
        return chosen(outputs, self.output, "tfxai.scores.box(corners, output=NAME)").shape[-1]

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        tensor = chosen(outputs, self.output, "tfxai.scores.box(corners, output=NAME)")
        maps = channel_maps(tensor, self.unit, self.channel, targets)
        y0, x0, y1, x1 = self.corners
        height, width = maps.shape[1:]
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ValueError(
                f"box{self.corners} does not lie inside output maps of {tuple(maps.shape[1:])} (y0, x0, y1, x1)."
            )
        return tf.reduce_mean(maps[:, y0:y1, x0:x1], axis=(1, 2))


def channel_maps(tensor: Tensor, unit: Unit, channel: int | None, targets: Tensor) -> Tensor:
    """(N, H, W) of one class of a dense output (N, H, W, C), in a unit."""
    if tensor.shape.rank != 4:
        raise ValueError(f"The output has shape {tuple(tensor.shape)}; a region or box needs (N, H, W, C).")
    count = tensor.shape[-1]
    if channel is not None and not -count <= channel < count:
        raise ValueError(f"channel {channel}: the output has {count} channels, counted from 0.")
    if channel is None and targets is None and count > 1:
        raise ValueError(f"Which of the {count} classes? Give channel=, or targets= with the call.")
    maps, _ = in_unit(tensor, unit, single=count == 1)
    if channel is not None:
        return maps[..., channel]
    if targets is None:
        return maps[..., 0]
    return tf.gather(tf.transpose(maps, (0, 3, 1, 2)), targets, axis=1, batch_dims=1)


def _check_unit(unit: str, score: str) -> None:
    if unit not in typing.get_args(Unit):
        raise ValueError(f'{score}(unit={unit!r}): give "logit", "probability" or "output".')
