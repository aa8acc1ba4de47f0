"""How many units of a layer a map needs."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import called, named_methods
from tfxai.model import thawed, weights_kept
from tfxai.sanity.reports import EfficientReport
from tfxai.sanity.steps import fixed_targets, steps_of
from tfxai.support import progress_bar


def efficient(
    methods: Any,
    model: Any,
    inputs: Any,
    targets: Any = None,
    *,
    bins: int = 100,
    init: Literal["layer", "uniform"] = "layer",
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> EfficientReport:
    """Do a trained model's maps say less than those of a random model? Two explanations instead of a cascade (eMPRT).

    No two maps are compared, so that no measure of similarity and no order of layers has to be chosen.

    bins: of the histogram over a map, which is divided by the root of its mean square first.

    Cost: twice the methods' own.
    Hedström et al.: Sanity Checks Revisited, 2024. arXiv:2401.06465
    """
    if not isinstance(bins, int) or bins < 2:
        raise ValueError(f"bins is {bins!r}. Give a whole number, 2 or more.")
    named = named_methods(methods)
    steps, _ = steps_of(model, inputs, "cascading", "bottom_up", None, init)
    targets = fixed_targets(model, inputs, targets, batch_size)
    found: list[list[list[float]]] = []
    with (
        thawed(),
        weights_kept(steps),
        progress_bar(progress, "efficient", 2 * len(named)) as advance,
    ):
        for destroyed in (False, True):
            if destroyed:
                for number, step in enumerate(steps):
                    step.redraw(init, [seed, number])
            found.append([])
            for method in named.values():
                maps = called(method, model, inputs, targets, batch_size).heatmap()
                found[-1].append([_entropy(heat, bins) for heat in maps])
                advance(1)
    return EfficientReport(list(named), np.array(found, np.float32))


def _entropy(heat: NDArray, bins: int) -> float:
    values = heat[np.isfinite(heat)]
    scale = np.sqrt((values**2).mean()) if values.size else 0.0
    counts = np.histogram(values / scale if scale else values, bins)[0]
    parts = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(parts * np.log(parts)).sum())
