"""Are a trained model's maps simpler than those of a random one? Two explanations instead of a cascade (eMPRT)."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import called, named_methods
from tfxai.model import thawed, weights_kept
from tfxai.sanity.randomize_model import Explainers
from tfxai.sanity.reports import EfficientReport
from tfxai.sanity.steps import ordered_steps
from tfxai.sanity.targets import fixed_targets
from tfxai.scores import Targets
from tfxai.support import BatchSize, Inputs, Model, Seed, checked, progress_bar, whole


@checked
def efficient(
    methods: Explainers,
    model: Model,
    inputs: Inputs,
    targets: Targets = None,
    *,
    bins: Annotated[int, whole(2)] = 100,
    init: Literal["layer", "uniform"] = "layer",
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> EfficientReport:
    """Are a trained model's maps simpler than those of a random model? Two explanations instead of a cascade (eMPRT).

    No two maps are compared, so that no measure of similarity and no order of layers has to be chosen.

    bins: of the histogram over a map, which is divided by the root of its mean square first.
    methods, model, targets, init: as for `randomize_model`.

    Raises ValueError as `randomize_model`. Cost: twice the methods' own.
    Hedström et al.: Sanity Checks Revisited, 2024. arXiv:2401.06465
    """
    named = named_methods(methods)
    steps, _ = ordered_steps(model, inputs, "bottom_up", None)
    targets = fixed_targets(model, inputs, targets, batch_size)
    entropies: list[list[list[float]]] = []
    with thawed(), weights_kept(steps), progress_bar(progress, "efficient", 2 * len(named)) as advance:
        for destroyed in (False, True):
            for number, step in enumerate(steps if destroyed else ()):
                step.redraw(init, [seed, number])
            entropies.append([])
            for method in named.values():
                maps = called(method, model, inputs, targets, batch_size).heatmap()
                entropies[-1].append([_entropy(heat, bins) for heat in maps])
                advance(1)
    return EfficientReport(list(named), np.array(entropies, np.float32))


def _entropy(heat: NDArray, bins: int) -> float:
    """Of a map's histogram, in nats."""
    values = heat[np.isfinite(heat)]
    scale = np.sqrt((values**2).mean()) if values.size else 0.0
    counts = np.histogram(values / scale if scale else values, bins)[0]
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())
