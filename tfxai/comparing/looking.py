"""What one model looks at in examples, and how alike that is to what another one looks at."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import Explainer, called
from tfxai.metrics import masks_of, share_inside
from tfxai.predictions import probabilities
from tfxai.sanity import Classes
from tfxai.stats import in_common
from tfxai.support import BatchSize, Inputs, Model


@dataclasses.dataclass(frozen=True)
class Looks:
    """What one model looks at.

    maps:        float32 (N, ...): magnitudes with signs, summed over channels.
    inputs:      (N, ...): the input under the maps.
    targets:     int (N,): explained classes; -1 where there are none.
    predictions: int (N,): the class that the model gives each input; -1 where it has none.
    inside:      float64 (N,): share of the positive evidence inside regions; None where none were given.
    method:      as text.
    """

    maps: NDArray[np.float32]
    inputs: NDArray
    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]
    inside: NDArray[np.float64] | None
    method: str


def looks_of(
    model: Model, inputs: Inputs, method: Explainer, targets: Classes, regions: object, batch_size: BatchSize
) -> Looks:
    """Maps of one target of each input. regions: as for `tfxai.metrics.localisation`, or None.

    Raises ValueError if the method explains several targets, its maps hold NaN, or regions do not fit.
    """
    explanation = called(method, model, inputs, targets, batch_size)
    if explanation.targets.ndim > 1:
        raise ValueError("One target for each input, please: maps of several cannot be told apart here.")
    maps = explanation.heatmap()
    if getattr(explanation, "tokens", None) is None and not np.isfinite(maps).all():
        raise ValueError(
            "The maps hold NaN or infinite numbers, which are like no other map. See whether the weights of each model give numbers."
        )
    inside = None
    if regions is not None:
        masks = masks_of(np.asarray(regions), maps.shape, explanation.targets.shape)
        inside = share_inside(maps, masks)
    of_layer = maps[..., None] if maps.ndim > 2 else maps
    under = explanation.one()[1] if explanation.at is None else of_layer
    return Looks(
        maps,
        np.asarray(under),
        explanation.targets,
        predicted(model, inputs, len(maps), batch_size),
        inside,
        explanation.method,
    )


def predicted(model: Model, inputs: Inputs, count: int, batch_size: BatchSize) -> NDArray[np.int64]:
    """(N,) classes, -1 where the model has none."""
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1).astype(np.int64)
    except ValueError:
        return np.full(count, -1, np.int64)


def likeness(maps: NDArray, others: NDArray) -> NDArray[np.float32]:
    """(N,) share of the evidence that the maps of two models have in common, 0 to 1.

    Not the rank correlation of the sanity checks: any two networks' maps of a picture on an empty ground have it near 1, for the
    places without evidence are the same, and a mark of a few pixels that takes all evidence moves few ranks.

    Raises ValueError if the maps are not of the same shape.
    """
    if maps.shape != others.shape:
        raise ValueError(
            f"The maps of one model are {maps.shape}, those of the other {others.shape}. Compare models that take the same inputs, "
            "by a method that gives maps of the same size for both."
        )
    return in_common(maps, others)
