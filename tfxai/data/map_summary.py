"""What maps of a class have in common, and which examples are least like the rest: in one or two passes over a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from tfxai.data.column_summary import explanations_in
from tfxai.data.results import Results
from tfxai.results import Explanation, Stored
from tfxai.support import Count, checked

RISK = 0.05


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ClassMaps(Stored):
    """The mean map of each class that came up. Draw it with `tfxai.plots.class_maps`.

    classes:  (C,) in order; counts: (C,) maps of each.
    means:    float32 (C, H, W) or (C, T), of heatmaps.
    interval: float32, shape of means + (2,): where the mean of infinitely many maps like these lies, each place on its own, at 95 %
              (a t-interval; infinite where there is one map).
    inputs:   float32 (C, H, W, channels): mean input of each class, to draw the maps on; None where the inputs were not kept.
    """

    called = "class maps"

    classes: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float32]
    interval: NDArray[np.float32]
    inputs: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return (
            f"ClassMaps({int(self.counts.sum())} maps of {len(self.classes)} classes, {self.means.shape[1:]})"
        )


@checked
def class_maps(
    explained: Explanation | Results | Iterable[Explanation], *, method: str | None = None
) -> ClassMaps:
    """Where does the evidence for each class lie, on average? One pass; memory grows with the number of classes.

    explained: an explanation of images or series of one size; a run, finished or not; or explanations in turn.
    method:    of a run with several.

    Maps of several targets each count for their class.

    Raises ValueError if there are no maps, or their sizes differ.
    """
    sums, pictures = _of_classes(explained, method)
    classes = sorted(sums)
    means = np.stack([sums[target].mean() for target in classes])
    halves = np.stack([sums[target].half() for target in classes])
    return ClassMaps(
        np.array(classes),
        np.array([sums[target].count for target in classes]),
        means.astype(np.float32),
        np.stack([means - halves, means + halves], -1).astype(np.float32),
        np.stack([pictures[target].mean() for target in classes]).astype(np.float32) if pictures else None,
    )


def _of_classes(
    explained: Explanation | Results | Iterable[Explanation], method: str | None
) -> tuple[dict[int, Mean], dict[int, Mean]]:
    """Maps of each class, and inputs, where they were kept. Raises ValueError if there are no maps."""
    sums: dict[int, Mean] = {}
    pictures: dict[int, Mean] = {}
    for explanation in explanations_in(explained, method):
        maps, targets = flat_maps(explanation)
        inputs = explanation.one()[1] if explanation.at is None else None
        each = maps.shape[0] // max(len(explanation), 1)
        for target in np.unique(targets).tolist():
            which = np.flatnonzero(targets == target)
            sums.setdefault(target, Mean()).add(maps[which])
            if inputs is not None and inputs.dtype.kind in "iufb" and not np.isnan(inputs.flat[0]):
                pictures.setdefault(target, Mean()).add(inputs[which // each])
    if not sums:
        raise ValueError("There are no maps to sum up.")
    return sums, pictures


def flat_maps(explanation: Explanation) -> tuple[NDArray, NDArray]:
    """(maps, ...) heatmaps of all targets, and the class of each."""
    maps = explanation.heatmap()
    lead = explanation.targets.ndim
    return maps.reshape(-1, *maps.shape[lead:]), explanation.targets.reshape(-1)


class Mean:
    """The mean of arrays that come in parts, and how far it may be off."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: Any = 0.0
        self._squares: Any = 0.0

    def add(self, parts: NDArray) -> None:
        """(n, ...) more of them (Chan, Golub and LeVeque's rule, which loses no digits)."""
        if self.count and parts.shape[1:] != np.shape(self._mean):
            raise ValueError(
                f"Maps have the sizes {np.shape(self._mean)} and {parts.shape[1:]}. Sum up maps of one size."
            )
        parts = parts.astype(np.float64)
        count, mean = len(parts), parts.mean(0)
        apart, together = mean - self._mean, self.count + count
        self._squares = (
            self._squares + ((parts - mean) ** 2).sum(0) + apart**2 * self.count * count / together
        )
        self._mean = self._mean + apart * count / together
        self.count = together

    def mean(self) -> NDArray:
        return np.asarray(self._mean)

    def half(self) -> NDArray:
        """Half of the interval."""
        if self.count < 2:
            return np.full(np.shape(self._mean), np.inf)
        error = np.sqrt(self._squares / (self.count - 1) / self.count)
        return error * float(t.isf(RISK / 2, self.count - 1))


class Likeness(NamedTuple):
    """One map beside the mean of the others of its class: their cosine, from -1 to 1; NaN where one of them is zero."""

    id: Any
    target: int
    likeness: float


@checked
def typical(
    results: Results,
    count: Count = 10,
    *,
    which: Literal["least", "most"] = "least",
    method: str | None = None,
) -> list[Likeness]:
    """Which rows were explained unlike the rest of their class, or most like it? Two passes over the run.

    A map is compared with the mean of all others of its class, so that it does not count for itself. Classes with one map have
    nothing to compare.

    count: how many rows are listed. which: those that are "least" or "most" like their class. method: of a run with several.
    """
    sums, _ = _of_classes(results, method)
    best: list[Likeness] = []
    sign = 1 if which == "least" else -1
    for ids, explanation in results.with_ids(method):
        maps, targets = flat_maps(explanation)
        counts = np.array([sums[target].count for target in targets.tolist()], np.float64)
        own = maps.reshape(len(maps), -1).astype(np.float64)
        total = np.stack([sums[target].mean().reshape(-1) for target in targets.tolist()]) * counts[:, None]
        found = _cosine(own, total - own)
        each = len(maps) // len(ids)
        best += [
            Likeness(ids[i // each], int(targets[i]), float(found[i]))
            for i in np.flatnonzero((counts > 1) & np.isfinite(found)).tolist()
        ]
        best = sorted(best, key=lambda row: sign * row.likeness)[:count]
    return best


def _cosine(one: NDArray, other: NDArray) -> NDArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (one * other).sum(1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
