"""Activations of sets of images, in batches that are full across the borders of sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.set_batches import batches_of_sets, joined, taken
from tfxai.engines import layer_activations
from tfxai.model import LayerChoice
from tfxai.support import Inputs, Model


def set_activations(
    model: Model,
    layers: Sequence[LayerChoice],
    sets: Mapping[str, Inputs],
    batch_size: int,
    advance: Callable[[float], None],
) -> dict[str, list[NDArray[np.float32]]]:
    """For each set its activations (n, *shape of the layer) in each layer. Cost: a forward pass for each image.

    Raises ValueError, with the name of the set, if activations are not finite.
    """
    batches: dict[str, list[list[NDArray]]] = {name: [] for name in sets}
    for batch in batches_of_sets(sets, batch_size):
        images = joined([taken(sets[name], rows) for name, rows in batch])
        outputs = layer_activations(model, layers, images, "TCAV")
        start = 0
        for name, rows in batch:
            stop = start + rows.stop - rows.start
            batches[name].append([output[start:stop] for output in outputs])
            start = stop
        advance(start)
    return {
        name: [_checked_finite(np.concatenate(layer), name) for layer in zip(*parts, strict=True)]
        for name, parts in batches.items()
    }


def _checked_finite(activations: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not np.isfinite(activations).all():
        raise ValueError(
            f"The activations of {name} are not finite in a layer. Another layer, or float32, may help."
        )
    return activations
