"""How the numbers of an input are to be read, where its shape does not say: a row of pixels is an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True, eq=False)
class Axes:
    """An input whose examples have other axes than its array shows, channels last.

        tfxai.Occlusion(window=4)(model, tfxai.Axes(rows, (28, 28, 1)))

    Every method then takes each example for an image (a series, a volume) of that shape, and gives values in the shape
    of the array. A model that reshapes its input before anything else, as `Reshape((28, 28, 1))` does, says so itself,
    and needs none of this.

    array: (N, ...) as the model takes it. shape: of one example, as many numbers as in the array, in the same order.

    Raises ValueError if the numbers do not match.
    """

    array: ArrayLike
    shape: Sequence[int]

    def __post_init__(self) -> None:
        row = np.shape(self.array)[1:]
        if not row or np.ndim(self.shape) != 1 or int(np.prod(row)) != int(np.prod(self.shape)):
            raise ValueError(
                f"Axes has an array of shape {np.shape(self.array)} and the shape {self.shape!r} for each example. Give a "
                "shape of as many numbers as an example has, channels last."
            )


def with_axes(inputs: Any, shapes: Any) -> Any:
    """Inputs with Axes again, where shapes (in their structure, or None for all) are told."""
    if shapes is None:
        return inputs
    if isinstance(inputs, dict):
        return {name: with_axes(x, shapes[name]) for name, x in inputs.items()}
    if isinstance(inputs, (list, tuple)):
        return type(inputs)(with_axes(x, shape) for x, shape in zip(inputs, shapes, strict=True))
    return Axes(inputs, shapes)


def without_axes(inputs: Any) -> tuple[Any, list[tuple[int, ...] | None]]:
    """Inputs without their Axes, and the shapes that these tell, one for each; none where there are no Axes."""
    if isinstance(inputs, Axes):
        return inputs.array, [tuple(inputs.shape)]
    if isinstance(inputs, dict) and any(isinstance(x, Axes) for x in inputs.values()):
        given, shapes = without_axes(list(inputs.values()))
        return dict(zip(inputs, given, strict=True)), shapes
    if isinstance(inputs, (list, tuple)) and any(isinstance(x, Axes) for x in inputs):
        return (
            type(inputs)(x.array if isinstance(x, Axes) else x for x in inputs),
            [tuple(x.shape) if isinstance(x, Axes) else None for x in inputs],
        )
    return inputs, []
