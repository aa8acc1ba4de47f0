"""Owen values over a tree of ever smaller regions, the most important regions first."""

from __future__ import annotations

import dataclasses
import functools
import heapq
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import average
from scipy.ndimage import uniform_filter
from scipy.spatial.distance import squareform

from tfxai import baselines
from tfxai.engines import (
    Attribution,
    Background,
    Coalitions,
    Example,
    LinearGame,
    Method,
    NotOneGraph,
    Parts,
    Perturb,
    Request,
    inpainted,
)
from tfxai.model import Needs
from tfxai.results import Explanation, PartsExplanation
from tfxai.support import InputKey, Seed, whole

REMEDY = (
    "Where every part is halved to the end, all weights are fixed: of few columns or tokens, with evals of their number squared. Of "
    'images LIME(segmenter="grid") has fixed weights.'
)

TOGETHER = 16  # regions that are split at a time


@dataclasses.dataclass(frozen=True)
class PartitionSHAP(Method):
    """How much does each region add to the score, shared fairly between the halves of halves of the input?

    The input is halved again and again, always where the score moves most, and each half gets its Owen value. The
    values are spread evenly over the places of the smallest regions reached and add up to score(input) - score(all
    hidden), as `delta` tells. Images and volumes are halved along their longest side, series and texts in the middle,
    tables by the correlation of their columns, several inputs in their order. All classes of a call share one choice of
    regions. Cost: at most `evals` forward passes per input (times the rows of the background), whatever the number of classes.

    evals:  budget of coalitions, 2 or more; two for the whole and the empty input, two for every split.
    masker: what hides: "blur(h,w)" (a box of so many pixels; of a series, its first number), "inpaint" (from what is
            still visible around), "mean" (each example's mean colour), a number, an array of one example, a function of
            tfxai.baselines, or training rows (R, ...) like the inputs, over which the score is averaged (more than 100
            are thinned to 100; needed for tables). Token ids: by the padding id, 0, unless another is given. Hidden
            words are left out, or masked as tfxai.Text says.
    seed:   of the thinning.
    input:  as for LIME.

    Raises ValueError if a setting is wrong or does not fit the inputs.
    Owen values: Lundberg, https://shap.readthedocs.io; Owen, Values of Games with a Priori Unions, 1977.
    doi:10.1007/978-3-642-45494-3_7
    """

    evals: Annotated[int, whole(2)] = 500
    masker: Any = "blur(32,32)"
    seed: Seed = 0
    input: InputKey = None
    needs = Needs(gradients=False)
    default_score = "output"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (
            isinstance(self.masker, str)
            and self.masker not in ("inpaint", "mean")
            and _box(self.masker) is None
        ):
            raise ValueError(
                f'PartitionSHAP(masker={self.masker!r}): give "blur(h,w)", "inpaint", "mean", a number, an array, training '
                "rows or a tfxai.baselines function."
            )

    def attribute(self, request: Request) -> Attribution:
        coalitions = Coalitions.of(request, self.input, "PartitionSHAP")
        coalitions.refuse_for_texts("PartitionSHAP", masker=(self.masker, type(self).masker))
        inpaints = isinstance(self.masker, str) and self.masker == "inpaint" and coalitions.text is None
        if inpaints and not coalitions.rows:
            if coalitions.array.ndim != 4:
                raise ValueError(
                    'PartitionSHAP(masker="inpaint") is for images (N, H, W, channels). Give another masker.'
                )
            coalitions = dataclasses.replace(coalitions, fill=inpainted)
        if request.inside is not None and not coalitions.rows:
            raise NotOneGraph(
                f"PartitionSHAP cannot be exported for these inputs: it halves where the score moves. {REMEDY}"
            )
        behind = coalitions.behind(self._hides(coalitions), self.seed, "PartitionSHAP")
        together = coalitions.several or coalitions.tokens  # halved in their order
        correlated = coalitions.rows and not together and coalitions.is_data(self.masker)
        engine = coalitions.engine(self.evals * len(request.network))
        if request.inside is not None:
            return self._in_graph(coalitions, engine, behind, correlated)
        examples, cut, weights, deltas = [], [], [], []
        for example in engine.examples():
            parts = coalitions.places(example.number)
            hidden = behind(example.number)
            root = Cluster.of(hidden[0]) if correlated else Box.whole(parts.labels.shape)

            scored = functools.partial(self._scores, coalitions, engine, example, parts, hidden)
            values, gain = owen(root, parts.labels.shape, scored, self.evals)
            weights.append(values.reshape(len(values), -1))
            deltas.append(values.reshape(len(values), -1).astype(np.float32).sum(1, dtype=np.float64) - gain)
            examples.append(example)
            cut.append(parts)
        kind = Explanation if coalitions.text is None else PartsExplanation
        return coalitions.attribution(examples, cut, weights, kind, np.concatenate(deltas))

    def _in_graph(
        self, coalitions: Coalitions, engine: Perturb, behind: Callable[[Any], list[Any]], correlated: bool
    ) -> Attribution:
        """The same of a call that is traced as a whole: where every part is halved to the end, sums with fixed weights."""
        parts = coalitions.places(0)
        space = parts.labels.shape
        root = Cluster.of(behind(0)[0]) if correlated else Box.whole(space)

        def play(worth: Callable[[NDArray], NDArray]) -> NDArray:
            values, _ = owen(
                root, space, lambda masks: worth(np.stack(masks).reshape(len(masks), -1)), self.evals
            )
            return values.reshape(len(values), -1)

        game = LinearGame.of(play, "PartitionSHAP", REMEDY)
        return coalitions.linear(engine, parts, game, lambda each: behind(each.number), evenly=True)

    def _scores(
        self,
        coalitions: Coalitions,
        engine: Perturb,
        example: Example,
        parts: Parts,
        hidden: Sequence[NDArray],
        masks: Sequence[NDArray],
    ) -> NDArray:
        """(M, K) scores of what M masks leave."""
        visible = np.stack(masks).reshape(len(masks), -1)
        share = len(masks) / self.evals
        return coalitions.scores(engine, example, parts, visible, hidden, share=share)

    def _hides(self, coalitions: Coalitions) -> Background:
        if coalitions.tokens and isinstance(self.masker, str) and _box(self.masker) is None:
            raise ValueError(
                f"PartitionSHAP(masker={self.masker!r}) is not for token ids. Give the id that stands for none, or rows of ids."
            )
        if not isinstance(self.masker, str) or coalitions.rows:
            return self.masker
        box = _box(self.masker)
        return baselines.mean() if box is None else _BoxBlur(box)


def _box(masker: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"blur\((\d+),\s*(\d+)\)", masker)
    return (int(found[1]), int(found[2])) if found and int(found[1]) and int(found[2]) else None


@dataclasses.dataclass(frozen=True)
class _BoxBlur:
    """Mean over a box around each place; of volumes, of its first length along all axes but the last two."""

    box: tuple[int, int]

    def __call__(self, array: NDArray) -> NDArray:
        if np.isnan(array).any():
            raise ValueError(
                'PartitionSHAP: the inputs hold missing values (NaN), which cannot be blurred. Give another masker, such as "mean".'
            )
        axes = array.ndim - 2
        sizes: Any = (*self.box[:1] * max(axes - 1, 1), *self.box[1:] * (axes > 1), 1)
        return np.stack([uniform_filter(x, sizes, mode="mirror") for x in array]).astype(array.dtype)


def owen(
    root: Region, space: tuple[int, ...], scored: Callable[[list[NDArray]], NDArray], evals: int
) -> tuple[NDArray, NDArray]:
    """Owen values (K, *space), and score(all visible) - score(all hidden) (K,).

    scored: masks, each bool (*space), True where visible -> scores (M, K).
    """
    empty, full = scored([np.zeros(space, bool), np.ones(space, bool)])
    order = itertools.count()
    waiting = [(0.0, next(order), Task(root, None, empty, full, 1.0))]
    values = np.zeros((len(full), *space))
    left = evals - 2
    while waiting and left >= 2:
        tasks: list[tuple[Task, Region, Region]] = []
        while waiting and len(tasks) < min(TOGETHER, left // 2):
            task = heapq.heappop(waiting)[-1]
            halves = task.region.halves()
            if halves is None:
                task.settle(values)
            else:
                tasks.append((task, *halves))
        if not tasks:
            break
        masks = [task.mask(space, half) for task, *both in tasks for half in both]
        left -= len(masks)
        scores = scored(masks).reshape(len(tasks), 2, -1)
        for (task, first, second), (with_first, with_second) in zip(tasks, scores, strict=True):
            for half, rest, with_half, with_rest in (
                (first, second, with_first, with_second),
                (second, first, with_second, with_first),
            ):
                # A half is worth what it adds to nothing, and what it adds to the other half: the mean of both.
                for new in (
                    Task(half, task.context, task.empty, with_half, task.weight / 2),
                    Task(half, (task.context, rest.cells), with_rest, task.full, task.weight / 2),
                ):
                    heapq.heappush(waiting, (-new.importance(), next(order), new))
    for _, _, task in waiting:
        task.settle(values)
    return values, full - empty


@dataclasses.dataclass(frozen=True)
class Task:
    """A region whose worth is to be shared among its parts, in one context of what else is visible.

    context:     chain of visible regions, (chain, cells) or None: masks would take memory by the gigabyte.
    empty, full: (K,) scores of the context without and with the region.
    weight:      with which this context counts.
    """

    region: Region
    context: Any
    empty: NDArray
    full: NDArray
    weight: float

    def importance(self) -> float:
        """By how much the region moves any class's score, at most."""
        return float(np.abs(self.full - self.empty).max() * self.weight)

    def mask(self, space: tuple[int, ...], half: Region) -> NDArray:
        """What is visible when the context gets one half of the region."""
        mask, context = np.zeros(space, bool), self.context
        mask[half.cells] = True
        while context is not None:
            context, cells = context
            mask[cells] = True
        return mask

    def settle(self, values: NDArray) -> None:
        """Spreads the worth evenly."""
        cells = (slice(None), *self.region.cells)
        share = self.weight * (self.full - self.empty) / values[0][self.region.cells].size
        values[cells] += share.reshape(-1, *[1] * (values[cells].ndim - 1))


class Region(Protocol):
    """A part of the input that can be halved."""

    @property
    def cells(self) -> tuple[Any, ...]:
        """Index of its places in an array of the input's space."""
        ...

    def halves(self) -> tuple[Region, Region] | None:
        """Two parts; None if it cannot be halved."""
        ...


@dataclasses.dataclass(frozen=True)
class Box:
    """Places between bounds along each axis; halved along the longest."""

    cells: tuple[slice, ...]

    @classmethod
    def whole(cls, space: tuple[int, ...]) -> Box:
        """All places."""
        return cls(tuple(slice(0, length) for length in space))

    def halves(self) -> tuple[Box, Box] | None:
        lengths = [side.stop - side.start for side in self.cells]
        axis = int(np.argmax(lengths))
        if lengths[axis] < 2:
            return None
        side = self.cells[axis]
        middle = side.start + lengths[axis] // 2
        first, second = (
            Box((*self.cells[:axis], half, *self.cells[axis + 1 :]))
            for half in (slice(side.start, middle), slice(middle, side.stop))
        )
        return first, second


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Columns of a table that go together, and the two clusters that they were made of."""

    cells: tuple[NDArray]
    inside: tuple[Cluster, Cluster] | None = None

    @classmethod
    def of(cls, rows: NDArray) -> Cluster | Box:
        """From the correlation of the columns of rows (R, F); in their order if there is nothing to correlate."""
        columns = rows.shape[1]
        if len(rows) < 3 or rows.dtype.kind not in "fiu":
            return Box.whole((columns,))
        with np.errstate(invalid="ignore", divide="ignore"):
            missing = np.isnan(rows).any()
            found = np.ma.corrcoef(np.ma.masked_invalid(rows), rowvar=False).filled(0) if missing else None
            found = np.corrcoef(rows, rowvar=False) if found is None else found
            alike = np.nan_to_num(np.abs(found))  # constant columns are like no other
        apart = np.clip(1 - alike, 0, 1)
        np.fill_diagonal(apart, 0)
        clusters = [cls((np.array([column]),)) for column in range(columns)]
        for first, second in average(squareform(apart, checks=False))[:, :2].astype(int):
            pair = clusters[first], clusters[second]
            clusters.append(cls((np.concatenate([p.cells[0] for p in pair]),), pair))
        return clusters[-1]

    def halves(self) -> tuple[Cluster, Cluster] | None:
        return self.inside
