"""What can be said of maps without the model: how much they tell, where they point, and whether they agree."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import checked_heat, ranks_of, result
from tfxai.results import Explanation
from tfxai.support import whole_number


@metric(higher_is_better=True)
def sparseness(explanation: Explanation, *, input: str | int | None = None) -> MetricResult:
    """How few places hold the evidence? Gini index of the magnitudes: 0 if all are equal, near 1 if one holds it all.

    Higher is better. Defaults: channels are summed first; xplique means their magnitudes, quantus counts each number.

    Cost: none. Criticism: a sparse map may be sparse in the wrong place.

    Chalasani et al.: Concise Explanations of Neural Networks using Adversarial Training, 2018. arXiv:1810.06583
    """
    _, heat = checked_heat(explanation, input)
    sizes = np.sort(np.abs(heat.reshape(len(heat), -1)).astype(np.float64), axis=1)
    count = sizes.shape[1]
    ranks = np.arange(1, count + 1)
    total = sizes.sum(axis=1)
    gini = 1 - 2 * (sizes * (count - ranks + 0.5)).sum(axis=1) / (np.maximum(total, 1e-300) * count)
    return result(sparseness, np.where(total > 0, gini, 0.0).reshape(explanation.targets.shape))


@metric(higher_is_better=False)
def complexity(explanation: Explanation, *, input: str | int | None = None) -> MetricResult:
    """Over how many places is the evidence spread? Entropy of the magnitudes' shares, in nats: 0 to ln(places).

    Lower is better. Defaults: channels are summed first; xplique means their magnitudes, quantus counts each number.

    Cost: none. Criticism: as for `sparseness`.

    Bhatt, Weller, Moura, 2020. arXiv:2005.00631
    """
    _, heat = checked_heat(explanation, input)
    return result(complexity, entropy(heat).reshape(explanation.targets.shape))


def entropy(heat: NDArray) -> NDArray[np.float64]:
    """(rows,) entropy in nats of how the magnitudes of maps (rows, ...) are spread; an empty map is spread evenly.

    Places without a value (NaN), as beyond the end of a text, do not count.
    """
    if not np.isfinite(heat).all():
        return np.array([entropy(row[np.isfinite(row)][None])[0] for row in heat])
    sizes = np.abs(heat.reshape(len(heat), -1)).astype(np.float64)
    total = sizes.sum(axis=1, keepdims=True)
    shares = np.where(total > 0, sizes / np.maximum(total, 1e-300), 1 / sizes.shape[1])
    return -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)


@metric(higher_is_better=True)
def pointing_game(
    explanation: Explanation, regions: ArrayLike, *, margin: int = 0, input: str | int | None = None
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
    if whole_number("margin", margin, 0):
        near = np.argwhere(np.ones([2 * margin + 1] * (masks.ndim - 1), bool)) - margin
        near = near[(near**2).sum(axis=1) <= margin**2]
    else:
        near = np.zeros((1, masks.ndim - 1), int)
    hits = []
    for one, mask in zip(heat, masks, strict=True):
        places = np.array(np.unravel_index(one.argmax(), one.shape)) + near
        inside = places[((places >= 0) & (places < mask.shape)).all(axis=1)]
        hits.append(mask[tuple(inside.T)].any() and one.max() > one.min())
    return result(pointing_game, np.array(hits, float).reshape(explanation.targets.shape))


@dataclasses.dataclass(frozen=True, eq=False)
class LocalisationResult(MetricResult):
    """With `iou`: overlap of the region with as many places as it has, those with most evidence; 0 to 1."""

    iou: Any = None


@metric(higher_is_better=True)
def localisation(
    explanation: Explanation, regions: ArrayLike, *, input: str | int | None = None
) -> LocalisationResult:
    """Which share of the positive evidence lies in the region of the class? 0 to 1; 0 for a map without any.

    Higher is better. regions: as for `pointing_game`. `iou` of the result compares areas instead.

    Defaults: boxes as in the paper. quantus lets negative evidence lessen both sums (RelevanceMassAccuracy), or takes
    magnitudes (AttributionLocalisation).

    Raises ValueError if regions do not fit. Cost: none. Criticism: the model may rightly look at the surroundings.

    Wang et al.: Score-CAM, 2020. arXiv:1910.01279 (energy-based pointing game)
    """
    _, heat = checked_heat(explanation, input)
    lead = explanation.targets.shape
    masks = masks_of(regions, heat.shape, lead)
    inside, flat = share_inside(heat, masks), masks.reshape(len(masks), -1)
    overlaps = []
    for row, (one, mask) in enumerate(zip(heat.reshape(len(heat), -1), flat, strict=True)):
        best = ranks_of(one, np.random.default_rng([0, row])) < mask.sum()
        overlaps.append((best & mask).sum() / (best | mask).sum())
    iou = np.array(overlaps, np.float32).reshape(lead)
    return result(localisation, inside.reshape(lead), LocalisationResult, iou=iou)


def share_inside(heat: NDArray, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(rows,) share of the positive values of maps (rows, ...) that lies inside masks of the same shape; 0 without any."""
    positive = np.maximum(heat, 0).reshape(len(heat), -1)
    total = positive.sum(axis=1, dtype=np.float64)
    inside = np.where(masks.reshape(len(masks), -1), positive, 0).sum(axis=1, dtype=np.float64)
    return np.where(total > 0, inside / np.maximum(total, 1e-300), 0.0)


def masks_of(regions: ArrayLike, shape: tuple[int, ...], lead: tuple[int, ...]) -> NDArray[np.bool_]:
    """(rows, *space) masks for maps of that shape, of regions for each example, or for each target."""
    array, space = np.asarray(regions), shape[1:]
    examples, each = lead[0], int(np.prod(lead[1:]))
    if array.shape[: len(lead)] != lead or array.shape[len(lead) :] not in (
        space,
        (4,),
    ):  # one for all targets
        array = np.repeat(array, each, axis=0) if len(array) == examples else array
    else:
        array = array.reshape(-1, *array.shape[len(lead) :])
    if len(space) == 2 and array.shape == (examples * each, 4):
        masks = np.zeros((len(array), *space), bool)
        for mask, box in zip(masks, array, strict=True):
            y0, x0, y1, x1 = box
            if not (0 <= y0 < y1 <= space[0] and 0 <= x0 < x1 <= space[1]) or (box != np.round(box)).any():
                raise ValueError(
                    f"The box {tuple(box.tolist())} does not lie in maps of {space}. Give y0, x0, y1, x1 in whole places."
                )
            mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    elif array.shape == (examples * each, *space) and np.isin(array, (0, 1)).all():
        masks = array.astype(bool)
    else:
        raise ValueError(
            f"regions has shape {np.shape(regions)} for maps {(examples, *space)}. Give masks of that shape, of 0 and 1"
            + (f", or boxes ({examples}, 4) as y0, x0, y1, x1." if len(space) == 2 else ".")
        )
    if (empty := ~masks.reshape(len(masks), -1).any(axis=1)).any():
        raise ValueError(f"The region of example {empty.argmax()} is empty. Give each at least one place.")
    return masks


@dataclasses.dataclass(frozen=True, eq=False)
class ConsistencyResult(MetricResult):
    """With `pairs`: float32, shape of the targets + (R, R): the rank correlation of every pair of explanations."""

    pairs: Any = None


@metric(higher_is_better=True)
def consistency(explanations: Sequence[Explanation], *, input: str | int | None = None) -> ConsistencyResult:
    """Do explanations of the same inputs agree? Mean rank correlation of every pair, -1 to 1.

    Higher is better.

    explanations: two or more, of other seeds, settings or methods, or of models trained alike.

    Defaults: of signed maps, where the paper has both these and magnitudes. quantus' Consistency is something else:
    do examples with like maps have one class?

    Raises ValueError if there are fewer than two, or they explain different things. Cost: none.
    Criticism: methods may agree and be wrong together.

    Spearman's rank correlation, as in Adebayo et al., 2018. arXiv:1810.03292
    """
    if not isinstance(explanations, (list, tuple)) or len(explanations) < 2:
        raise ValueError("explanations has fewer than two. Give a list of explanations of the same inputs.")
    maps = [checked_heat(each, input)[1] for each in explanations]
    lead = explanations[0].targets.shape
    for number, (one, each) in enumerate(zip(maps, explanations, strict=True)):
        same = np.array_equal(each.targets, explanations[0].targets) and one.shape == maps[0].shape
        if not same or not np.array_equal(each.one(input)[1], explanations[0].one(input)[1]):
            raise ValueError(
                f"Explanation {number} is of other inputs or classes than the first. Give all the same."
            )
    count = len(maps)
    pairs = np.tile(np.eye(count, dtype=np.float32), (len(maps[0]), 1, 1))
    for i, j in itertools.combinations(range(count), 2):
        for row, (one, other) in enumerate(zip(maps[i], maps[j], strict=True)):
            same = np.ptp(one) == 0 or np.ptp(other) == 0
            found = np.nan if same else float(np.asarray(spearmanr(one.reshape(-1), other.reshape(-1)))[0])
            pairs[row, i, j] = pairs[row, j, i] = found
    upper = np.triu_indices(count, 1)
    values = pairs[:, upper[0], upper[1]].mean(axis=1)
    return result(
        consistency, values.reshape(lead), ConsistencyResult, pairs=pairs.reshape(*lead, count, count)
    )
