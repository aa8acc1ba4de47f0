"""Curves over segments and with inpainting: IROF and ROAD."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse
from scipy.integrate import trapezoid
from scipy.sparse.linalg import spsolve

from tfxai import baselines
from tfxai.baselines import Baseline
from tfxai.engines import Perturbed, Tracer, shown, visible
from tfxai.inputs import parts
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import Rows, ranks_of, rows_of
from tfxai.results import Explanation
from tfxai.support import Tensor, at_least_zero, whole_number


@metric(higher_is_better=True)
def irof(
    model: Any,
    explanation: Explanation,
    *,
    segments: int = 60,
    segmenter: Any = "slic",
    baseline: Baseline | None = None,
    score: Any = "probability",
    input: str | int | None = None,
    batch_size: int = 32,
    progress: bool = False,
) -> MetricResult:
    """How fast does the score fall when whole segments are taken away, those with most evidence first?

    Higher is better. Area over the curve of the score relative to that of the whole input, 0 to 1 (and beyond where
    the score rises); NaN where that is not above zero. The evidence of a segment is the mean over its places.

    segments, segmenter: as for LIME; each example is cut once. baseline: the example's mean colour unless given; for
                         tables 0.

    Defaults: quantus has SLIC and the mean, too, but 100 segments and one mean for all channels, and its area counts
    segments instead of parts of 1.

    Cost: segments + 2 forward passes for each target. Criticism: the answer depends on how the image is cut.

    Rieger, Hansen: IROF, 2020. arXiv:2003.08747
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    segments = whole_number("segments", segments, 2)
    part = rows.part
    if baseline is None:
        baseline = baselines.mean() if part.array.ndim > 2 else 0.0
    hidden = rows.hidden(baseline)
    cut = _cuts(rows, segmenter, segments)

    def plan(row: int) -> list[NDArray]:
        return [np.arange(cut[row].max() + 2, dtype=np.int32)]

    def fixed(row: int) -> list[NDArray]:
        labels = cut[row].reshape(-1)
        means = np.bincount(labels, rows.heat[row].reshape(-1)) / np.bincount(labels)
        rank = np.argsort(np.argsort(-means, kind="stable"), kind="stable").astype(np.int32)
        return [rank[cut[row]][None], hidden[row : row + 1]]

    values = []
    for _, perturbed in rows.perturbed(_FirstSegments(part.which), plan, fixed):
        curve = perturbed.scores[:, 0]
        values.append(1 - trapezoid(curve / curve[0], dx=1 / (len(curve) - 1)) if curve[0] > 0 else np.nan)
    return rows.result(irof, values)


@dataclasses.dataclass(frozen=True)
class _FirstSegments:
    """The first segments, as many as the plan says, by their ranks on each place (fixed), hidden behind what is given."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        ranks, hidden = fixed
        kept = ranks >= tf.reshape(plan[0], (-1, *[1] * (ranks.shape.rank - 1)))
        return Perturbed(shown(inputs, self.which, visible(inputs[self.which], hidden, kept)))


def _cuts(rows: Rows, segmenter: Any, segments: int) -> list[NDArray[np.int32]]:
    """The label map of every row. An example is cut once, however many targets it has.

    Label maps that were given may also be one for each row.
    """
    array, each = rows.part.array, len(rows) // rows.lead[0]
    if np.shape(segmenter) != (len(rows), *rows.part.space):
        array = array[::each]
    found = [parts(array, number, segmenter, segments).astype(np.int32) for number in range(len(array))]
    return [labels for labels in found for _ in range(len(rows) // len(array))]


@dataclasses.dataclass(frozen=True, eq=False)
class RoadResult(MetricResult):
    """With `morf` and `lerf`: the scores when the most, or the least relevant places are gone, (N, fractions)."""

    morf: Any = None
    lerf: Any = None


@metric(higher_is_better=True)
def road(
    model: Any,
    explanation: Explanation,
    *,
    fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9),
    noise: float = 0.01,
    score: Any = "probability",
    input: str | int | None = None,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> RoadResult:
    """Remove and debias: how much more do the most relevant places matter than the least relevant ones?

    Higher is better. Places are replaced by noisy linear imputation: each is the weighted mean of its neighbours
    (direct ones weigh twice as much as diagonal ones), solved for all at once, with a little noise on top. Such
    images betray neither by holes nor by edges which places are gone. The value is the mean over fractions of
    score(least relevant gone) - score(most relevant gone), -1 to 1 for probabilities; the paper reports both curves
    (`lerf`, `morf`) of the accuracy.

    fractions: of the places that are replaced. noise: standard deviation, as a part of the example's range.

    Defaults: those of the paper's experiments (noise 0.01 for images in 0..1). pytorch-grad-cam takes 10 to 90 % in
    steps of 10 and half of the difference; quantus 1 to 99 % in steps of 2 and one curve, of the accuracy.

    Raises ValueError for inputs whose places have no neighbours (tables, token ids).
    Cost: 2 x fractions + 1 forward passes for each target, and as many sparse linear systems.
    Criticism: smooth textures can be imputed so well that nothing is removed.

    Rong et al.: A Consistent and Efficient Evaluation Strategy for Attribution Methods, 2022. arXiv:2202.00449
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    part = rows.part
    if part.array.ndim not in (3, 4) or part.array.dtype.kind != "f":
        raise ValueError(
            f"road replaces places by their neighbours: it takes images (N, H, W, C) and series (N, T, F), not "
            f"{part.array.shape}. Use deletion."
        )
    noise = at_least_zero("noise", noise)
    fractions = [float(fraction) for fraction in fractions]
    if not fractions or not all(0 < fraction < 1 for fraction in fractions):
        raise ValueError(f"fractions is {fractions}. Give numbers between 0 and 1.")

    def plan(row: int) -> list[NDArray]:
        generator = np.random.default_rng([seed, row])
        image, ranks = part.array[row], ranks_of(rows.heat[row], generator)
        width = noise * float(image.max() - image.min())
        # At least one place goes, and at least one stays for the others to be imputed from.
        counts = [min(max(round(fraction * rows.places), 1), rows.places - 1) for fraction in fractions]
        gone = [ranks < count for count in counts] + [ranks >= rows.places - count for count in counts]
        return [np.stack([imputed(image, each, width, generator) for each in gone])]

    both = rows.perturbed(_Given(part.which), plan, lambda _: [])
    morf, lerf = np.split(np.stack([perturbed.scores[:, 0] for _, perturbed in both]), 2, axis=1)
    return rows.result(
        road, (lerf - morf).mean(axis=1), RoadResult, morf=morf, lerf=lerf, fractions=np.array(fractions)
    )


@dataclasses.dataclass(frozen=True)
class _Given:
    """Inputs that were made beforehand: the plan holds them."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        return Perturbed(shown(inputs, self.which, tf.cast(plan[0], inputs[self.which].dtype)))


def imputed(image: NDArray, gone: NDArray, noise: float, generator: np.random.Generator) -> NDArray:
    """The image (*space, C) with the places that are gone replaced by noisy linear imputation."""
    space, found = gone.shape, image.copy()
    if not gone.any():
        return found
    numbers = np.full(space, -1)
    numbers[gone] = np.arange(gone.sum())
    places = np.argwhere(gone)
    totals, known = np.zeros(len(places)), np.zeros((len(places), image.shape[-1]))
    entries: list[tuple[NDArray, NDArray, float]] = []
    for offset in np.ndindex(*[3] * len(space)):
        shift = np.array(offset) - 1
        distance = np.abs(shift).sum()
        if distance == 0 or distance > 2:
            continue
        weight = 1 / 6 if distance == 1 else 1 / 12
        there = places + shift
        inside = ((there >= 0) & (there < space)).all(axis=1)
        at = tuple(there[inside].T)
        which = np.flatnonzero(inside)
        totals[which] += weight
        unknown = numbers[at] >= 0
        entries.append((which[unknown], numbers[at][unknown], -weight))
        np.add.at(known, which[~unknown], weight * image[at][~unknown])
    rows = np.concatenate([*(rows for rows, _, _ in entries), np.arange(len(places))])
    columns = np.concatenate([*(columns for _, columns, _ in entries), np.arange(len(places))])
    values = np.concatenate([*(np.full(len(rows), w) for rows, _, w in entries), totals])
    system = sparse.csr_matrix((values, (rows, columns)), shape=(len(places), len(places)))
    solved = np.asarray(spsolve(system.tocsc(), known)).reshape(len(places), -1)
    found[gone] = solved + noise * generator.normal(size=solved.shape)
    return found
