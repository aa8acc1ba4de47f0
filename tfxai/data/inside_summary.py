"""Which share of the evidence lies where it should, over all rows of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.data.map_summary import Mean, flat_maps
from tfxai.data.results import Results
from tfxai.metrics import masks_of, share_inside
from tfxai.results import Explanation, Stored
from tfxai.support import Count, checked


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Inside(Stored):
    """Share of the positive evidence inside regions, 0 to 1; 0 for a map without any.

    rows:     how many maps were looked at. mean, interval: float, (2,), over all of them.
    classes:  (C,) in order; counts, means: (C,); intervals: (C, 2): of each class.
    lowest:   the ids with the least inside, in order: (id, class, share).

    Intervals: where the mean over infinitely many rows like these lies, at 95 % (t; 0 to 1 where there is one row).
    """

    called = "shares inside"

    rows: int
    mean: float
    interval: NDArray[np.float64]
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]
    means: NDArray[np.float64]
    intervals: NDArray[np.float64]
    lowest: list[tuple[Any, int, float]]

    def __repr__(self) -> str:
        low, high = self.interval
        lines = [f"Inside({self.mean:.3f}, {low:.3f} to {high:.3f}, of {self.rows} maps)"]
        rows = zip(self.classes.tolist(), self.counts.tolist(), self.means.tolist(), strict=True)
        lines += [f"  class {name}: {mean:.3f} of {count} maps" for name, count, mean in rows]
        return "\n".join(lines)


@checked
def inside(
    results: Results,
    regions: Mapping[Any, ArrayLike] | Callable[[list[Any], Explanation], ArrayLike] | ArrayLike,
    *,
    method: str | None = None,
    count: Count = 10,
) -> Inside:
    """Which share of the positive evidence lies inside the regions? One pass over the run, in constant memory.

    regions: one for all rows, or by id: a mask of the map's size that is true inside, or a box y0, x0, y1, x1 (the last ones
             outside); or a function (ids, explanation) -> regions (n, ...) of the rows of a shard. Rows without an entry in a dict
             are left out.
    method:  of a run with several. count: how many rows are listed in `lowest`.

    Wang et al.: Score-CAM, 2020. arXiv:1910.01279 (energy-based pointing game); as `tfxai.metrics.localisation`.

    Raises ValueError if a region does not fit, no row has one, or the run kept small maps alone.
    """
    if results.settings["keep"] == "summary":
        raise ValueError(
            'The run kept the cells of small maps (keep="summary"), which regions cut. Keep "heatmap" or "values".'
        )
    whole, of_class = Mean(), dict[int, Mean]()
    lowest: list[tuple[Any, int, float]] = []
    for ids, explanation in results.with_ids(method):
        which = [i for i, each in enumerate(ids) if not isinstance(regions, Mapping) or each in regions]
        if not which:
            continue
        names, part = [ids[i] for i in which], explanation[np.array(which)]
        maps, targets = flat_maps(part)
        each = len(maps) // len(names)
        wanted = np.repeat(_regions_of(regions, names, part), each, axis=0)
        found = share_inside(maps, masks_of(wanted, maps.shape, (len(maps),)))
        whole.add(found)
        for target in np.unique(targets).tolist():
            of_class.setdefault(target, Mean()).add(found[targets == target])
        rows = zip(targets.tolist(), found.tolist(), strict=True)
        lowest += [(names[i // each], target, share) for i, (target, share) in enumerate(rows)]
        lowest = sorted(lowest, key=lambda row: row[2])[:count]
    if not whole.count:
        raise ValueError("No row that was explained has a region. Give regions by the ids of the run.")
    classes = sorted(of_class)
    return Inside(
        whole.count,
        float(whole.mean()),
        _ends(whole),
        np.array(classes),
        np.array([of_class[name].count for name in classes]),
        np.array([of_class[name].mean() for name in classes]),
        np.stack([_ends(of_class[name]) for name in classes]),
        lowest,
    )


def _regions_of(regions: Any, ids: list[Any], explanation: Explanation) -> NDArray:
    """(n, ...) regions of some rows."""
    if isinstance(regions, Mapping):
        return np.stack([np.asarray(regions[each]) for each in ids])
    if callable(regions):
        found = np.asarray(regions(ids, explanation))
        if not found.ndim or len(found) != len(ids):
            raise ValueError(f"regions gave {found.shape} for {len(ids)} rows. Give one for each.")
        return found
    one = np.asarray(regions)
    return np.broadcast_to(one, (len(ids), *one.shape))


def _ends(mean: Mean) -> NDArray[np.float64]:
    """The interval of a share, which cannot leave 0 to 1."""
    return np.array([mean.mean() - mean.half(), mean.mean() + mean.half()]).clip(0, 1)
