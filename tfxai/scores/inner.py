"""Scores of what lies inside of a model or beside its classes: units of layers, reconstructions, whole distributions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfxai.scores.outputs import OutputScore, Unit, chosen, in_unit
from tfxai.scores.referring import Asked, References, Referring, Seen, only_without_targets
from tfxai.support import Structure, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Activation(Referring):
    """What a unit, a channel or a direction of a layer says; made by `tfxai.scores.activation`."""

    layer: str
    channel: int | None = None
    place: tuple[int, ...] | None = None
    direction: np.ndarray | None = dataclasses.field(default=None, repr=False)
    takes_classes: ClassVar[bool] = False

    @property
    def words(self) -> str:
        channel = "" if self.channel is None else f", channel {self.channel}"
        return f"activation of {self.layer}{channel}" + ("" if self.place is None else f" at {self.place}")

    def refer(self, asked: Asked) -> References:
        only_without_targets("activation", asked)
        if self.direction is None:
            return References.without_classes(asked.count, {}, self)
        rows = np.broadcast_to(self.direction, (asked.count, *self.direction.shape)).astype(np.float32)
        return References.without_classes(
            asked.count, {"direction": rows}, dataclasses.replace(self, direction=None)
        )

    def read(self, seen: Seen) -> Tensor:
        """What the layer puts out, float32 (B, ..., channels)."""
        return tf.cast(seen.layer(self.layer), tf.float32)

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        shape = tuple(read.shape[1:])
        if self.place is not None:
            places = shape[:-1]
            inside = len(self.place) == len(places) and all(
                n is None or -n <= i < n for i, n in zip(self.place, places, strict=False)
            )
            if not inside:
                raise ValueError(
                    f"activation(place={self.place}): layer {self.layer!r} has places {places}. Give a number for each."
                )
            read = read[(slice(None), *self.place)]
        if self.channel is not None:
            if shape[-1] is not None and not -shape[-1] <= self.channel < shape[-1]:
                raise ValueError(
                    f"activation(channel={self.channel}): layer {self.layer!r} has {shape[-1]} channels."
                )
            read = read[..., self.channel]
        elif (direction := references.get("direction")) is not None:
            whole = direction.shape[1:] == read.shape[1:]
            if not whole and (direction.shape.rank != 2 or direction.shape[1] != shape[-1]):
                raise ValueError(
                    f"activation(direction=...) has the shape {tuple(direction.shape[1:])}, layer {self.layer!r} puts out "
                    f"{shape}. Give (channels,), or the whole shape."
                )
            if whole:  # such as a concept's vector in a layer that is read flat
                return tf.reduce_sum(tf.reshape(read * direction, (tf.shape(read)[0], -1)), 1)
            middle = [1] * (read.shape.rank - 2)
            read = tf.reduce_sum(read * tf.reshape(direction, (-1, *middle, direction.shape[1])), -1)
        return tf.reduce_mean(tf.reshape(read, (tf.shape(read)[0], -1)), 1)


@dataclasses.dataclass(frozen=True)
class ReconstructionError(Referring):
    """How far an output is from an input; made by `tfxai.scores.reconstruction_error`."""

    window: tuple[int, int] | None = None
    output: str | int | None = None
    input: int = 0
    takes_classes: ClassVar[bool] = False

    @property
    def words(self) -> str:
        return "error of the reconstruction" + ("" if self.window is None else f" in steps {self.window}")

    def refer(self, asked: Asked) -> References:
        only_without_targets("reconstruction_error", asked)
        return References.without_classes(asked.count, {}, self)

    def read(self, seen: Seen) -> tuple[Tensor, Tensor]:
        output = chosen(seen.outputs, self.output, "tfxai.scores.reconstruction_error(output=NAME)")
        if self.input >= len(seen.inputs):
            raise ValueError(
                f"reconstruction_error(input={self.input}): the model has {len(seen.inputs)} inputs."
            )
        return output, seen.inputs[self.input]

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        output, given = (tf.cast(tensor, tf.float32) for tensor in read)
        if output.shape[1:] != given.shape[1:]:
            raise ValueError(
                f"reconstruction_error: the output has shape {tuple(output.shape)}, the input {tuple(given.shape)}. Name an "
                "output of the input's shape with output=."
            )
        errors = tf.math.squared_difference(output, given)
        if self.window is not None:
            start, stop = self.window
            if not 0 <= start < stop or (errors.shape[1] is not None and stop > errors.shape[1]):
                raise ValueError(
                    f"reconstruction_error(window={self.window}): the series has {errors.shape[1]} steps, counted from 0."
                )
            errors = errors[:, start:stop]
        return tf.reduce_mean(tf.reshape(errors, (tf.shape(errors)[0], -1)), 1)


@dataclasses.dataclass(frozen=True, eq=False)
class Expected(OutputScore):
    """A weighted sum of an output; made by `tfxai.scores.expected`."""

    values: np.ndarray
    output: str | int | None = None
    unit: Unit = "probability"

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        tensor = chosen(outputs, self.output, "tfxai.scores.expected(values, output=NAME)")
        if tensor.shape.rank != 2 or tensor.shape[1] != len(self.values):
            raise ValueError(
                f"expected got {len(self.values)} values for an output {tuple(tensor.shape)}. Give one for each of (N, C)."
            )
        numbers, _ = in_unit(tensor, self.unit, single=tensor.shape[1] == 1)
        return tf.linalg.matvec(numbers, tf.constant(self.values, tf.float32))


@dataclasses.dataclass(frozen=True)
class Survival(OutputScore):
    """The log of the chance to get past a time; made by `tfxai.scores.survival`."""

    until: int
    output: str | int | None = None

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        tensor = chosen(outputs, self.output, "tfxai.scores.survival(until, output=NAME)")
        if tensor.shape.rank != 2 or not 0 < self.until <= tensor.shape[1]:
            raise ValueError(
                f"survival({self.until}): the output has shape {tuple(tensor.shape)}. Give hazards (N, T), and 1 to T steps."
            )
        hazards, kind = in_unit(tensor, "output", single=True)
        if kind == "Sigmoid":  # log(1 - sigmoid(z)), also where that is nearly 0
            logits, _ = in_unit(tensor, "logit", single=True)
            logs = -tf.nn.softplus(logits)
        else:
            logs = tf.math.log1p(-hazards)
        return tf.reduce_sum(logs[:, : self.until], 1)
