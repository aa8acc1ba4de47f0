"""Stability: how much a method's answer moves between seeds and segmenters."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results import Explanation
from tfxai.scores import Targets
from tfxai.stats import spearman_of_pairs
from tfxai.support import Explainer, InputKey, Inputs, Model, checked


@dataclasses.dataclass(frozen=True, eq=False)
class Stability:
    """How far do explanations of the same inputs agree under changed settings?

    explanations: by the name of the change, such as "seed=1".
    agreement:    float32, targets.shape + (R, R): Spearman's rank correlation of each pair of the R maps, -1 to 1; NaN
                  where a map is constant.
    """

    explanations: Mapping[str, Explanation]
    agreement: NDArray[np.float32]

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean agreement of all pairs, shape of targets."""
        pairs = np.triu_indices(len(self.explanations), 1)
        return _mean(self.agreement[..., pairs[0], pairs[1]], axis=-1)

    def _repr_html_(self) -> str:
        """The maps side by side where there are maps, and the table; for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook, reading

        first = next(iter(self.explanations.values()))
        maps = not reading.has_words(first, None) and not reading.has_columns(first, None)
        return notebook.inlined(plots.compare(self.explanations) if maps else None, repr(self))

    def __repr__(self) -> str:
        means = _mean(self.agreement.reshape(-1, *self.agreement.shape[-2:]), axis=0)
        mean = _mean(self.mean.reshape(-1), axis=0)
        lines = [
            f"  {first:>24} {second:24} {means[i, j]:6.2f}"
            for (i, first), (j, second) in itertools.combinations(enumerate(self.explanations), 2)
        ]
        return "\n".join([f"Stability(mean rank correlation {mean:.2f})", *lines])


@checked
def stability(
    method: Explainer,
    model: Model,
    inputs: Inputs,
    targets: Targets = None,
    *,
    seeds: int | Iterable[int] = 3,
    segmenters: str | Iterable[Any] = (),
    input: InputKey = None,
    **call: Any,
) -> Stability:
    """How much does this method's answer move between seeds, and between segmenters?

    Every change is made alone, from the method as it is. An answer that moves much needs more samples, or fewer
    segments; if it still moves between segmenters, it is about the segments and not about the model.
    Cost: a whole explanation for every seed and segmenter.

    method:     a method with a `seed`, and with a `segmenter` if some are given.
    seeds:      how many (counted from the method's own on), or which ones.
    segmenters: as LIME takes them.
    input:      which of several inputs is compared; the first explained image unless given.
    call:       score, batch_size ... as for every method.

    Raises ValueError if the method lacks such a setting, or there are fewer than two explanations to compare.
    Slack, Hilgard, Singh, Lakkaraju: Reliable Post hoc Explanations, 2021. arXiv:2008.05030; Schallner, Rabold, Scholz,
    Schmid: Effect of Superpixel Aggregation on Explanations in LIME, 2019. arXiv:1910.07856
    """
    changes = _changes(method, seeds, [segmenters] if isinstance(segmenters, str) else list(segmenters))
    explanations = {
        f"{name}={value if isinstance(value, (int, str)) else f'#{number}'}": _changed(method, name, value)(
            model, inputs, targets, **call
        )
        for number, (name, value) in enumerate(changes)
    }
    maps = [explanation.heatmap(input) for explanation in explanations.values()]
    lead = next(iter(explanations.values())).targets.shape
    by_row = np.stack([heat.reshape(int(np.prod(lead)), -1) for heat in maps], axis=1)  # (rows, R, places)
    agreement = np.array([spearman_of_pairs(of_row) for of_row in by_row], np.float32)
    return Stability(explanations, agreement.reshape(*lead, len(maps), len(maps)))


def _changes(method: Any, seeds: int | Iterable[int], segmenters: list[Any]) -> list[tuple[str, Any]]:
    """The settings that are changed, each with its value.

    Raises ValueError if the method lacks one of them, or there are fewer than two changes.
    """
    settings = getattr(method, "__dataclass_fields__", {})
    for name, asked in (("seed", seeds != 1), ("segmenter", bool(segmenters))):
        if asked and name not in settings:
            raise ValueError(
                f"{type(method).__name__} has no {name}, so nothing could change. Give a method that has one, such as "
                "tfxai.LIME()."
            )
    drawn = range(method.seed, method.seed + seeds) if isinstance(seeds, int) else list(seeds)
    changes = [("seed", seed) for seed in drawn] + [("segmenter", segmenter) for segmenter in segmenters]
    if len(changes) < 2 or len({str(change) for change in changes}) < len(changes):
        raise ValueError(
            f"{len(changes)} explanations cannot be compared. Give two or more different seeds or segmenters."
        )
    return changes


def _changed(method: Any, name: str, value: Any) -> Callable[..., Explanation]:
    return dataclasses.replace(method, **{name: value})


def _mean(values: NDArray, axis: int) -> Any:
    """Mean of what could be compared; NaN where nothing could."""
    there = np.isfinite(values)
    count = there.sum(axis)
    return np.where(count, np.where(there, values, 0).sum(axis) / np.maximum(count, 1), np.nan)
