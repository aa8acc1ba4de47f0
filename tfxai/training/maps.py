"""Numbers that catch trouble in maps: drift, entropy, the share of evidence in regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.metrics import entropy, masks_of, share_inside
from tfxai.results import Explanation
from tfxai.stats import Reference

NAMES = ("drift", "entropy", "region")  # of the numbers; no metric can be called after one of them


def map_numbers(
    explanation: Explanation, regions: NDArray | None, examples: int | None = None
) -> dict[str, float]:
    """Means over maps: "entropy", in nats, and "region", 0 to 1, if there are regions.

    regions:  masks (N, H, W) or boxes (N, 4) of all examples.
    examples: N, where these are maps of the first examples only.

    Raises ValueError if regions do not fit the maps.
    """
    heat = maps_of(explanation)
    numbers = {"entropy": float(entropy(heat).mean())}
    if regions is not None:
        targets = len(heat) // len(explanation)  # of each example
        examples = len(explanation) if examples is None else examples
        shape, lead = (examples * targets, *heat.shape[1:]), (examples, *explanation.targets.shape[1:])
        masks = masks_of(regions, shape, lead)
        numbers["region"] = float(share_inside(heat, masks[: len(heat)]).mean())
    return numbers


def check_finite(explanation: Explanation) -> None:
    """Raises ValueError if the model has become NaN, and its maps with it.

    A map with some values passes: texts of different length have none beyond their end.
    """
    known = np.isfinite(maps_of(explanation)).reshape(explanation.targets.size, -1).any(axis=1)
    bad = ~np.isfinite(explanation.scores).reshape(-1) | ~known
    if bad.any():
        raise ValueError(
            f"The score or the map is not a number for {bad.sum()} of {bad.size} explanations: look at the model's weights."
        )


def maps_of(explanation: Explanation) -> NDArray[np.float32]:
    """(rows, ...): the maps of all examples and targets."""
    heat = explanation.heatmap()
    return heat.reshape(-1, *heat.shape[explanation.targets.ndim :])


def references_of(explanation: Explanation) -> list[Reference]:
    """Each map, ready to be compared with later ones."""
    return [Reference(heat) for heat in maps_of(explanation)]


def drift(now: Sequence[Reference], before: Sequence[Reference]) -> float:
    """1 - rank correlation of maps with those before, mean over maps: 0 to 2."""
    return float(1 - np.mean([new.spearman(old) for new, old in zip(now, before, strict=True)]))


def array_of(regions: ArrayLike) -> NDArray:
    """Regions as one array. Raises ValueError if they differ in size."""
    try:
        return np.asarray(regions)
    except ValueError as error:
        raise ValueError(
            "regions differ in size. Give masks (N, H, W), or boxes (N, 4), one for each input."
        ) from error
