"""Scores of dense outputs (N, H, W, C): the mean of a class over an area, which may be another one for each image."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.scores.outputs import OutputScore, Unit, chosen, in_unit
from tfxai.scores.referring import Asked, References, Referring, Seen, image_size
from tfxai.support import Structure, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Area(Referring):
    """The mean over an area; a subclass says which.

    channel: the class; None: the target. output: name or position of the output.
    """

    channel: int | None = None
    output: str | int | None = None
    unit: Unit = "logit"

    def __post_init__(self) -> None:
        if self.unit not in typing.get_args(Unit):
            raise ValueError(f'{self._called}(unit={self.unit!r}): give "logit", "probability" or "output".')

    @property
    def words(self) -> str:
        channel = "" if self.channel is None else f" of channel {self.channel}"
        return f"{self.unit}{channel} in the area"

    @property
    def _called(self) -> str:
        return type(self).__name__.lower()

    def refer(self, asked: Asked) -> References:
        raise NotImplementedError

    def count(self, read: Any) -> int | None:
        """How many classes a target can mean."""
        return read.shape[-1]

    def read(self, seen: Seen) -> Tensor:
        """Dense outputs in the unit, float32 (B, H, W, C)."""
        tensor = chosen(seen.outputs, self.output, f"tfxai.scores.{self._called}(..., output=NAME)")
        if tensor.shape.rank != 4:
            raise ValueError(
                f"The output has shape {tuple(tensor.shape)}; {self._called} needs (N, H, W, C)."
            )
        maps, _ = in_unit(tensor, self.unit, single=tensor.shape[-1] == 1)
        return maps

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        maps = self._of_channel(read, targets, given="classes" in references)
        masks = _resized(tf.cast(references["masks"], tf.float32), maps)
        total = tf.reduce_sum(masks, (1, 2))
        # No 0 x infinity: what lies outside of the area must not matter.
        return tf.math.divide_no_nan(tf.reduce_sum(tf.math.multiply_no_nan(maps, masks), (1, 2)), total)

    def _of_channel(self, maps: Tensor, targets: Tensor, given: bool) -> Tensor:
        count = maps.shape[-1]
        if self.channel is not None and not -count <= self.channel < count:
            raise ValueError(f"channel {self.channel}: the output has {count} channels, counted from 0.")
        if self.channel is not None:
            return maps[..., self.channel]
        if not given and count > 1:
            raise ValueError(f"Which of the {count} classes? Give channel=, or targets= with the call.")
        if not given:
            return maps[..., 0]
        return tf.gather(tf.transpose(maps, (0, 3, 1, 2)), targets, axis=1, batch_dims=1)

    def _referred(self, asked: Asked, masks: NDArray, bare: Area, **more: NDArray) -> References:
        """The references of masks, (N, H, W) or (H, W), with the classes that were given."""
        classes = asked.given
        masks = np.broadcast_to(masks, (asked.count, *masks.shape[-2:]))
        if classes is None:
            return References.without_classes(asked.count, {"masks": masks, **more}, bare)
        arrays = {"masks": masks, **more}
        if classes.ndim == 2:
            arrays = {name: np.repeat(array[:, None], classes.shape[1], 1) for name, array in arrays.items()}
        return References(classes, {**arrays, "classes": classes}, bare)


def _resized(masks: Tensor, maps: Tensor) -> Tensor:
    """Masks (B, h, w) in the size of maps (B, H, W): shares of cells that lie inside."""
    if masks.shape[1:] == maps.shape[1:]:
        return masks
    size = tf.shape(maps)[1:]
    grown = tf.image.resize(masks[..., None], size, "area" if _is_smaller(maps, masks) else "bilinear")
    return grown[..., 0]


def _is_smaller(maps: Tensor, masks: Tensor) -> bool:
    pairs = zip(maps.shape[1:], masks.shape[1:], strict=True)
    return all(a is not None and b is not None and a <= b for a, b in pairs)


@dataclasses.dataclass(frozen=True, eq=False)
class Region(Area):
    """The mean inside of masks, (H, W) or (N, H, W); made by `tfxai.scores.region`."""

    mask: NDArray | None = dataclasses.field(default=None, repr=False)

    def refer(self, asked: Asked) -> References:
        mask = np.zeros((0, 0), bool) if self.mask is None else self.mask
        fits = mask.ndim == 2 or (mask.ndim == 3 and len(mask) == asked.count)
        if not fits or not mask.size or not mask.any(axis=(-2, -1)).all():
            raise ValueError(
                f"region got a mask of shape {mask.shape} with {mask.sum()} cells inside, for {asked.count} inputs. Give (H, W) "
                "or one for each, (N, H, W), with at least one cell inside."
            )
        return self._referred(asked, mask, dataclasses.replace(self, mask=None))

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        _check_alike(tuple(references["masks"].shape[1:]), tuple(read.shape[1:3]))
        return super().compare(read, references, targets)

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        """The score of outputs at hand, as a user's own score function calls it; the mask is (H, W)."""
        maps = self.read(Seen(outputs, outputs, (), lambda path: None))
        mask = self.mask if self.mask is not None else np.zeros((0, 0), bool)
        references = {"masks": tf.constant(mask[None])}
        return self.compare(
            maps, references if targets is None else {**references, "classes": targets}, targets
        )


def _check_alike(mask: tuple[int, ...], maps: tuple[int | None, ...]) -> None:
    """Raises ValueError if a mask is no picture of the same proportions as an output."""
    (h, w), (height, width) = mask, maps
    if height is None or width is None or mask == maps:
        return
    if abs(h * width - w * height) > max(h * width, w * height) * 0.1:
        raise ValueError(
            f"region got a mask of shape {mask} for output maps of {maps}. Give (H, W) of the output's or the image's size."
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Click(Area):
    """The mean around a pixel of the image, another for each; made by `tfxai.scores.click`."""

    points: NDArray | None = dataclasses.field(default=None, repr=False)
    radius: int = 0
    input: int = 0

    def refer(self, asked: Asked) -> References:
        size = image_size("click", asked, self.input)
        points = np.asarray(self.points)
        fits = points.dtype.kind in "iu" and points.shape in ((2,), (asked.count, 2))
        if not fits or (points < 0).any() or (points >= size).any():
            raise ValueError(
                f"click got {np.asarray(self.points).tolist()} for {asked.count} images of {size}. Give (y, x), or one for each, "
                "(N, 2), in whole pixels of the image."
            )
        points = np.broadcast_to(points, (asked.count, 2))
        rows, columns = np.ogrid[: size[0], : size[1]]
        masks = np.stack(
            [(abs(rows - y) <= self.radius) & (abs(columns - x) <= self.radius) for y, x in points]
        )
        bare = dataclasses.replace(self, points=None)
        if asked.targets is None and self.channel is None:
            classes = asked.read(bare, None, lambda maps, rows: _classes_at(maps, masks[rows]))
            asked = dataclasses.replace(asked, targets=classes)
        return self._referred(asked, masks, bare, points=points)


def _classes_at(maps: NDArray, masks: NDArray) -> NDArray[np.int64]:
    """The likeliest class (B,) of what lies inside of masks."""
    shares = _resized(tf.constant(masks, tf.float32), tf.constant(maps[..., 0])).numpy()
    return np.einsum("bhwc,bhw->bc", maps, shares).argmax(-1).astype(np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class PredictedArea(Area):
    """The mean over what the model gives to a class; made by `tfxai.scores.predicted_area`."""

    threshold: float = 0.5

    def refer(self, asked: Asked) -> References:
        classes = asked.given
        if classes is not None and classes.ndim == 2:
            raise ValueError("predicted_area takes one class for each image. Give (N,) targets.")

        def area(maps: NDArray, rows: slice) -> NDArray[np.bool_]:
            count = maps.shape[-1]
            if count == 1:
                return maps[..., 0] > self.threshold
            if self.channel is not None and not -count <= self.channel < count:
                raise ValueError(f"channel {self.channel}: the output has {count} channels, counted from 0.")
            if self.channel is not None:
                wanted = np.full(len(maps), self.channel)
            elif classes is not None:
                wanted = classes[rows]
            else:
                raise ValueError(f"Which of the {count} classes? Give channel=, or targets= with the call.")
            return maps.argmax(-1) == np.where(wanted < 0, wanted + count, wanted)[:, None, None]

        masks = asked.read(dataclasses.replace(self, unit="probability"), None, area)
        if not masks.any((1, 2)).all():
            row = int(np.argmin(masks.any((1, 2))))
            raise ValueError(
                f"predicted_area: in image {row} no pixel is given to the class. Name one that the model sees there, or an "
                "area with tfxai.scores.region."
            )
        return self._referred(asked, masks, self)


@dataclasses.dataclass(frozen=True)
class Box(OutputScore):
    corners: tuple[int, int, int, int]
    channel: int | None
    output: str | int | None
    unit: Unit = "logit"

    def __post_init__(self) -> None:
        if self.unit not in typing.get_args(Unit):
            raise ValueError(f'box(unit={self.unit!r}): give "logit", "probability" or "output".')

    def count(self, outputs: Structure) -> int | None:
        """How many classes a target can mean."""
        return chosen(outputs, self.output, "tfxai.scores.box(corners, output=NAME)").shape[-1]

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        area = Region(self.channel, self.output, self.unit)
        read = area.read(Seen(outputs, outputs, (), lambda path: None))
        maps = area._of_channel(read, targets, given=targets is not None)
        y0, x0, y1, x1 = self.corners
        height, width = maps.shape[1:]
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ValueError(
                f"box{self.corners} does not lie inside output maps of {tuple(maps.shape[1:])} (y0, x0, y1, x1)."
            )
        return tf.reduce_mean(maps[:, y0:y1, x0:x1], axis=(1, 2))
