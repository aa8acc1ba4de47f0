"""Explanations at a layer, as pictures read them: laid over the input where the layer has its axes, else as units."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.plots.protocol import Explained
from tfxai.support import InputKey


@dataclasses.dataclass(frozen=True)
class LaidOut:
    """What can be drawn of an explanation at a layer; see `tfxai.plots.protocol.Explained`.

    units: names of the layer's units where it has no axes of the input: values are then (N, K, units), inputs empty cells.
    """

    values: NDArray
    inputs: NDArray
    targets: NDArray
    scores: NDArray
    method: str
    score: str
    references: Any
    units: list[str] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    def heatmap(self, input: InputKey = None) -> NDArray:
        """The values: channels have been summed."""
        return self.values

    def one(self, input: InputKey = None) -> tuple[NDArray, NDArray]:
        """Values and inputs."""
        return self.values, self.inputs


def laid_out(explanation: Explained, input: InputKey) -> LaidOut:
    """An explanation at a layer, with each cell of the layer on its part of the input.

    input: the layer, of several.
    """
    heat, lead = explanation.heatmap(input), explanation.targets.ndim
    given = explanation.inputs
    arrays = list(given.values()) if isinstance(given, dict) else [given]
    arrays = list(given) if isinstance(given, (list, tuple)) else arrays
    cells = heat.shape[lead:]
    below = next((array for array in arrays if _lies_on(cells, array)), None)
    units = None
    if below is None:
        heat = heat.reshape(*explanation.targets.shape, -1)
        units = [f"unit {i}" for i in range(heat.shape[-1])]
        below = np.full((len(explanation), heat.shape[-1]), "", object)
    else:
        for axis, (cells_along, places) in enumerate(zip(cells, below.shape[1:], strict=False), start=lead):
            heat = np.take(heat, (np.arange(places) * 2 + 1) * cells_along // (2 * places), axis=axis)
    where: Any = getattr(explanation, "at", "")
    layer = where if isinstance(where, str) else where[0] if input is None else input
    return LaidOut(
        heat,
        below,
        explanation.targets,
        explanation.scores,
        f"{explanation.method} at {layer}",
        explanation.score,
        getattr(explanation, "references", None),
        units,
    )


def _lies_on(cells: tuple[int, ...], array: NDArray) -> bool:
    """Whether a layer's places (h, w) may be those of images (N, H, W, C), those of steps (t,) of series (N, T, C) or ids (N, T)."""
    if len(cells) == 2:
        return array.ndim == 4 and cells[0] <= array.shape[1] and cells[1] <= array.shape[2]
    ids = array.ndim == 2 and array.dtype.kind in "iu" and array.shape[1:] == cells
    return len(cells) == 1 and (ids or (array.ndim == 3 and 1 < cells[0] <= array.shape[1]))
