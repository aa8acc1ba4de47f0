"""ROAD: what happens to the score when places are replaced by their neighbours, without holes or edges."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

from tfxai.engines import Perturbed, Tracer, shown
from tfxai.metrics.result import MetricResult, metric
from tfxai.metrics.rows import ranks_of, rows_of
from tfxai.results import Explanation
from tfxai.scores import Score
from tfxai.support import BatchSize, InputKey, Model, Seed, Tensor, number

DIRECT, DIAGONAL = 1 / 6, 1 / 12  # weights of neighbours, as in the paper


@dataclasses.dataclass(frozen=True, eq=False)
class RoadResult(MetricResult):
    """With `morf` and `lerf`, shape of the targets + (fractions,): scores when the most, or the least relevant places are gone."""

    morf: NDArray[np.float32] | None = None
    lerf: NDArray[np.float32] | None = None


@metric(higher_is_better=True)
def road(
    model: Model,
    explanation: Explanation,
    *,
    fractions: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9),
    noise: Annotated[float, number(least=0)] = 0.01,
    score: str | Score = "probability",
    input: InputKey = None,
    seed: Seed = 0,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> RoadResult:
    """How much more do the most relevant places matter than the least relevant ones? Remove and debias.

    Higher is better. Places are replaced by noisy linear imputation: each is the weighted mean of its neighbours
    (direct ones weigh twice as much as diagonal ones), solved for all at once, with a little noise on top. Such
    images show neither by holes nor by edges which places are gone. The value is the mean over fractions of
    score(least relevant gone) - score(most relevant gone), -1 to 1 for probabilities; the paper reports both curves
    (`lerf`, `morf`) of the accuracy.

    fractions: of the places that are replaced. noise: standard deviation, as a part of the example's range.

    Defaults: those of the paper's experiments (noise 0.01 for images in 0..1). pytorch-grad-cam takes 10 to 90 % in
    steps of 10 and half of the difference; quantus 1 to 99 % in steps of 2 and one curve, of the accuracy.

    Raises ValueError for inputs whose places have no neighbours (tables, token ids), and fractions outside of 0 to 1.
    Cost: 2 x fractions + 1 forward passes for each target, and as many sparse linear systems.
    Criticism: smooth textures can be imputed so well that nothing is removed.

    Rong et al.: A Consistent and Efficient Evaluation Strategy for Attribution Methods, 2022. arXiv:2202.00449
    """
    rows = rows_of(model, explanation, score, batch_size, progress, input)
    part = rows.explained
    _check_neighbours(part.array)
    counts = _counts(fractions, rows.places)

    def plan(row: int) -> list[NDArray]:
        generator = np.random.default_rng([seed, row])
        image, ranks = part.array[row], ranks_of(rows.heat[row], generator)
        width = noise * float(image.max() - image.min())
        gone = [ranks < count for count in counts] + [ranks >= rows.places - count for count in counts]
        return [np.stack([imputed(image, each, width, generator) for each in gone])]

    both = rows.perturbed(_Given(part.which), plan, lambda _: [])
    curves = np.stack([perturbed.scores[:, 0] for _, perturbed in both])
    morf, lerf = np.split(curves, 2, axis=1)
    values = (lerf - morf).mean(axis=1)
    return rows.result(road, values, RoadResult, morf=morf, lerf=lerf, fractions=fractions)


@dataclasses.dataclass(frozen=True)
class _Given:
    """Inputs that were made beforehand: the plan holds them."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        return Perturbed(shown(inputs, self.which, tf.cast(plan[0], inputs[self.which].dtype)))


def _check_neighbours(array: NDArray) -> None:
    """Raises ValueError unless places have neighbours."""
    if array.ndim not in (3, 4) or array.dtype.kind != "f":
        raise ValueError(
            f"road replaces places by their neighbours: it takes images (N, H, W, C) and series (N, T, F), not "
            f"{array.shape}. Use deletion."
        )


def _counts(fractions: Sequence[float], places: int) -> list[int]:
    """How many places go. At least one goes, and at least one stays for the others to be imputed from."""
    if len(fractions) == 0 or not all(0 < fraction < 1 for fraction in fractions):
        raise ValueError(f"fractions is {fractions}. Give numbers between 0 and 1.")
    return [min(max(round(float(fraction) * places), 1), places - 1) for fraction in fractions]


def imputed(image: NDArray, gone: NDArray[np.bool_], noise: float, generator: np.random.Generator) -> NDArray:
    """The image (*space, C) with the places that are gone (*space) replaced by noisy linear imputation.

    noise: standard deviation, in units of the image.
    """
    filled = image.copy()
    if gone.any():
        solved = _solved(image, gone)
        filled[gone] = solved + noise * generator.normal(size=solved.shape)
    return filled


def _solved(image: NDArray, gone: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(places that are gone, C): each the weighted mean of its neighbours, of which some are unknown, too."""
    count = int(gone.sum())
    numbers = np.full(gone.shape, -1)
    numbers[gone] = np.arange(count)
    totals, known = np.zeros(count), np.zeros((count, image.shape[-1]))
    entries: list[tuple[NDArray, NDArray, NDArray]] = []
    for weight, which, neighbours in _neighbours(gone):
        totals[which] += weight
        unknown = numbers[neighbours] >= 0
        entries.append((which[unknown], numbers[neighbours][unknown], np.full(int(unknown.sum()), -weight)))
        np.add.at(known, which[~unknown], weight * image[neighbours][~unknown])
    entries.append((np.arange(count), np.arange(count), totals))
    rows, columns, values = (np.concatenate(column) for column in zip(*entries, strict=True))
    system = sparse.csr_matrix((values, (rows, columns)), shape=(count, count))
    return np.asarray(spsolve(system.tocsc(), known)).reshape(count, -1)


def _neighbours(gone: NDArray[np.bool_]) -> Iterator[tuple[float, NDArray, tuple[NDArray, ...]]]:
    """For each direction its weight, the numbers of the places that have a neighbour there, and where these are."""
    places = np.argwhere(gone)
    for offset in np.ndindex(*[3] * gone.ndim):
        shift = np.array(offset) - 1
        distance = np.abs(shift).sum()
        if distance not in (1, 2):
            continue
        moved = places + shift
        inside = ((moved >= 0) & (moved < gone.shape)).all(axis=1)
        yield DIRECT if distance == 1 else DIAGONAL, np.flatnonzero(inside), tuple(moved[inside].T)
