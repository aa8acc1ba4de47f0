"""A layer inside the model as the place where it is explained, instead of the inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.layer_call import LayerCall
from tfxai.model.lookups import Replacement
from tfxai.support import Layer, Tensor


@dataclasses.dataclass(frozen=True)
class Inner:
    """What layers put out; that of several lies side by side on the last axis.

    layers: each is called once. paths: their names.
    shapes: of what each puts out for one row.
    common: for each whether one output serves all rows, as positions do: rows then get a copy each.
    listed: whether several were asked for.
    """

    layers: tuple[Layer, ...]
    paths: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    common: tuple[bool, ...]
    listed: bool

    @property
    def names(self) -> str | list[str]:
        """The path of the layer, or of each that was listed."""
        return list(self.paths) if self.listed else self.paths[0]

    def joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """What the layers put out, or its gradients, as one tensor (N, ..., D)."""
        return outputs[0] if len(outputs) == 1 else tf.concat(outputs, -1)

    def among(self, calls: Sequence[LayerCall]) -> list[Tensor]:
        """What the layers put out."""
        found = {id(call.layer): tf.nest.flatten(call.output)[0] for call in calls}
        return [found[id(layer)] for layer in self.layers]

    def replacing(self, point: Tensor | None, rows: Tensor) -> dict[tuple[int, int], Replacement]:
        """What the layers are to put out in a pass at a point (N, ..., D); without one, what makes rows independent.

        rows: how many there are, for outputs that serve all of them.
        """
        if point is None:
            copies = zip(self.layers, self.common, strict=True)
            return {
                (id(layer), 0): lambda output: _for_each_row(output, rows)
                for layer, all_rows in copies
                if all_rows
            }
        parts = (
            [point] if len(self.layers) == 1 else tf.split(point, [shape[-1] for shape in self.shapes], -1)
        )
        return {(id(layer), 0): part for layer, part in zip(self.layers, parts, strict=True)}

    def apart(self, values: NDArray) -> NDArray | dict[str, NDArray]:
        """Values (rows, ..., D) as users get them: an array, or one for each of the layers that were listed."""
        if not self.listed:
            return values
        ends = np.cumsum([shape[-1] for shape in self.shapes])[:-1]
        return dict(zip(self.paths, np.split(values, ends, axis=-1), strict=True))


def _for_each_row(output: Tensor, rows: Tensor) -> Tensor:
    return tf.repeat(output if one_for_all(tuple(output.shape)) else output[None], rows, 0)


def one_for_all(shape: tuple[int | None, ...]) -> bool:
    """Whether the first axis of what serves all rows is in the place of theirs: (1, T, D), not (T, D)."""
    return len(shape) > 2 and shape[0] == 1
