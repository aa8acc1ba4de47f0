"""Pointing game and localisation: does the evidence lie in the region of the class?"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.metrics.result import MetricResult, metric, metric_result
from tfxai.metrics.rows import checked_heat, ranks_of
from tfxai.results import Explanation
from tfxai.support import InputKey, Numbers, whole


@metric(higher_is_better=True, reads_model=False, needs=("regions",))
def pointing_game(
    explanation: Explanation,
    regions: ArrayLike,
    *,
    margin: Annotated[int, whole(0)] = 0,
    input: InputKey = None,
) -> MetricResult:
    """Does the place with most evidence lie in the region of the class? 1 if so, else 0; the mean is a share.

    Higher is better.

    regions: masks (N, H, W) that are true inside, or boxes (N, 4) as y0, x0, y1, x1 (the last ones outside). margin:
             places beside the region that count, too.

    Defaults: no margin, as in quantus; the paper takes 15 pixels, and so does TorchRay.

    Raises ValueError if regions do not fit. Cost: none. Criticism: one place stands for the whole map; large regions are
    hit by chance.

    Zhang et al.: Top-down Neural Attention by Excitation Backprop, 2016. arXiv:1608.00507
    """
    _, heat = checked_heat(explanation, input)
    masks = masks_of(regions, heat.shape, explanation.targets.shape)
    near = np.argwhere(np.ones([2 * margin + 1] * (masks.ndim - 1), bool)) - margin
    near = near[(near**2).sum(axis=1) <= margin**2]
    hits = []
    for row, mask in zip(heat, masks, strict=True):
        places = np.array(np.unravel_index(row.argmax(), row.shape)) + near
        inside = places[((places >= 0) & (places < mask.shape)).all(axis=1)]
        hits.append(mask[tuple(inside.T)].any() and row.max() > row.min())
    return metric_result(pointing_game, np.array(hits).reshape(explanation.targets.shape))


@dataclasses.dataclass(frozen=True, eq=False)
class LocalisationResult(MetricResult):
    """With `iou`, float32, shape of the targets: overlap of a region with as many places, those with most evidence; 0 to 1."""

    iou: NDArray[np.float32] | None = None


@metric(higher_is_better=True, reads_model=False, needs=("regions",))
def localisation(explanation: Explanation, regions: Numbers, *, input: InputKey = None) -> LocalisationResult:
    """Which share of the positive evidence lies in the region of the class? 0 to 1; 0 for a map without any.

    Higher is better. regions: as for `pointing_game`. `iou` of the result compares areas instead.

    Defaults: boxes as in the paper. quantus lets negative evidence reduce both sums (RelevanceMassAccuracy), or takes
    magnitudes (AttributionLocalisation).

    Raises ValueError if regions do not fit. Cost: none. Criticism: the model may rightly look at the surroundings.

    Wang et al.: Score-CAM, 2020. arXiv:1910.01279 (energy-based pointing game)
    """
    _, heat = checked_heat(explanation, input)
    lead = explanation.targets.shape
    masks = masks_of(regions, heat.shape, lead)
    inside, flat = share_inside(heat, masks), masks.reshape(len(masks), -1)
    overlaps = []
    for number, (row, mask) in enumerate(zip(heat.reshape(len(heat), -1), flat, strict=True)):
        best = ranks_of(row, np.random.default_rng([0, number])) < mask.sum()
        overlaps.append((best & mask).sum() / (best | mask).sum())
    iou = np.array(overlaps, np.float32).reshape(lead)
    return metric_result(localisation, inside.reshape(lead), LocalisationResult, iou=iou)


def share_inside(heat: NDArray, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(rows,) share of the positive values of maps (rows, ...) that lies inside masks of the same shape; 0 without any."""
    positive = np.maximum(heat, 0).reshape(len(heat), -1)
    total = positive.sum(axis=1, dtype=np.float64)
    inside = np.where(masks.reshape(len(masks), -1), positive, 0).sum(axis=1, dtype=np.float64)
    return np.where(total > 0, inside / np.maximum(total, 1e-300), 0.0)


def masks_of(regions: ArrayLike, shape: tuple[int, ...], lead: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, *space) masks for maps of that shape, of regions for each example, or for each target.

    lead: shape of the targets.

    Raises ValueError if the regions are neither masks nor boxes for these maps, or one is empty.
    """
    array, space = _one_for_each_row(np.asarray(regions), shape[1:], lead), shape[1:]
    rows = int(np.prod(lead))
    if len(space) == 2 and array.shape == (rows, 4):
        masks = np.stack([_box_mask(box, space) for box in array])
    elif array.shape == (rows, *space) and np.isin(array, (0, 1)).all():
        masks = array.astype(bool)
    else:
        boxes = f", or boxes ({lead[0]}, 4) as y0, x0, y1, x1." if len(space) == 2 else "."
        raise ValueError(
            f"regions has shape {np.shape(regions)} for maps {(lead[0], *space)}. Give masks of that shape, of 0 and 1"
            + boxes
        )
    if (empty := ~masks.reshape(len(masks), -1).any(axis=1)).any():
        raise ValueError(f"The region of example {empty.argmax()} is empty. Give each at least one place.")
    return masks


def _one_for_each_row(regions: NDArray, space: tuple[int, ...], lead: tuple[int, ...]) -> NDArray:
    """Regions (rows, ...): those of each target one after the other, or those of an example for all its targets."""
    if regions.ndim == 0:
        return regions
    own = regions.shape[len(lead) :]
    if regions.shape[: len(lead)] == lead and own in (space, (4,)):
        return regions.reshape(-1, *own)
    return np.repeat(regions, int(np.prod(lead[1:])), axis=0) if len(regions) == lead[0] else regions


def _box_mask(box: NDArray, space: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of that shape, true inside the box. Raises ValueError if the box is not inside of it."""
    y0, x0, y1, x1 = box
    if not (0 <= y0 < y1 <= space[0] and 0 <= x0 < x1 <= space[1]) or (box != np.round(box)).any():
        raise ValueError(
            f"The box {tuple(box.tolist())} does not lie in maps of {space}. Give y0, x0, y1, x1 in whole places."
        )
    mask = np.zeros(space, bool)
    mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return mask
