"""Average the random masks that an input was seen through, each weighed by the score it left."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    Example,
    GridMasks,
    HiddenInput,
    Method,
    Perturb,
    Perturbed,
    Request,
    Tracer,
    Uncertainty,
    attribution_of,
    enlarging,
    hidden_input,
    linear_in_graph,
    shown,
    visible,
)
from tfxai.model import Needs
from tfxai.stats import Looks, linear_part, reach
from tfxai.support import Confidence, Count, InputKey, PerInput, Seed, Tensor, Tolerance, number, whole

FIRST = 100  # pairs of masks before the first look


@dataclasses.dataclass(frozen=True)
class RISE(Method):
    """A pixel matters if the score is high, on average, whenever it is visible.

    Values estimate the expected score given that the pixel is visible, in units of the score; what counts are the
    differences between places. Masks come in pairs, of which one shows what the other hides; a linear function of the mask is
    fitted to the scores, whose expectations are known, and only what it leaves unexplained is averaged as in the paper. That
    leaves the expectation as it is, and most of the noise out. A model whose score never moves gets a flat map. Images only.
    Cost: `samples` forward passes per image, whatever the number of classes.

    samples:  random masks, with a tolerance at most; 4000 (VGG16) and 8000 (ResNet-50) in the paper.
    cells:    of the grid of random bits, along each side; the smaller, the finer the map and the more masks it needs.
    keep:     probability that a cell stays visible, between 0 and 1.
    baseline: what is hidden looks like this (a number, an array, a function of tfxai.baselines).
    seed:     of the masks, which are the same for every image.
    input:    which of several inputs is hidden (key or number); unless given the first image.
    tolerance: draws masks until every value is within so much of that of infinitely many masks: in units of the score, or a
              share of the largest difference from the mean score, such as "1%". Warns where `samples` do not suffice.
    confidence: of the intervals, for all places of one map together, between 0 and 1. They cover the chance of the masks.

    The result also carries `standard_error`, `interval`, `passes` and, with a tolerance, `converged`.

    Raises ValueError if the input is no image (N, H, W, channels).
    Petsiuk, Das, Saenko: RISE, 2018. arXiv:1806.07421, sections 3.1 and 3.2
    """

    samples: Count = 4000
    cells: Annotated[int, whole(2)] = 7
    keep: Annotated[float, number(above=0, below=1, noun="a probability")] = 0.5
    baseline: Baseline = 0.0
    seed: Seed = 0
    input: InputKey = None
    tolerance: Tolerance = None
    confidence: Confidence = 0.95
    needs = Needs(gradients=False)
    default_score = "output"
    only_images = True

    def attribute(self, request: Request) -> Attribution:
        part = hidden_input(request, self.input, "RISE")
        if part.array.ndim != 4:
            raise ValueError(
                f"RISE is for images, (N, H, W, channels); this input has shape {part.array.shape}. Use Occlusion, LIME "
                "or KernelSHAP."
            )
        if np.isnan(part.array).any():
            raise ValueError(
                "RISE blends images with what hides them, and the inputs hold missing values (NaN). Clean them, or use Occlusion."
            )
        plan = self._plan(GridMasks(self.cells, (part.space[0], part.space[1])))
        hidden = part.hidden(self.baseline)
        engine = Perturb(request, self.samples * len(part.array))
        grids = _Grids(part.which, plan.masks)
        if request.inside is not None:
            return self._in_graph(engine, part, plan, hidden)
        examples, maps = [], []
        for example in engine.examples():
            behind = [hidden[example.number : example.number + 1]]

            def scored(first: int, last: int, example: Example = example, behind: list = behind) -> NDArray:
                some, share = slice(first, last), (last - first) / self.samples
                return engine.run(
                    grids, example, [plan.bits[some], plan.shifts[some]], behind, share=share
                ).scores

            maps.append(self._until_sure(plan, scored))
            examples.append(example)
        found = attribution_of(examples, part.values(np.concatenate([each.values for each in maps])))
        return dataclasses.replace(found, uncertainty=self._uncertainty(part, maps))

    def _in_graph(self, engine: Perturb, part: HiddenInput, plan: _Plan, hidden: Tensor) -> Attribution:
        """The map alone, of a call that is traced as a whole."""
        masks, keep = plan.masks, self.keep
        features = masks.at_nodes(plan.bits, plan.shifts)

        def explain(example: Example) -> PerInput:
            behind = [hidden[example.number : example.number + 1]]
            found = engine.run(_Grids(part.which, masks), example, [plan.bits, plan.shifts], behind)
            linear = linear_in_graph(features, keep, found.scores[:, 0])
            mean = tf.reduce_mean(linear.rest)
            known = (1 - keep) * masks.covariances_in_graph(linear.weights)
            left = masks.sums_in_graph(plan.bits, plan.shifts, linear.rest - mean) / (self.samples * keep)
            return part.values((mean + known + left)[None])

        return engine.explained(explain)

    def _plan(self, masks: GridMasks) -> _Plan:
        """Each pair has a shift of its own, so that cell borders leave no trace in the average."""
        generator, pairs = np.random.default_rng(self.seed), -(-self.samples // 2)
        chances = generator.random((pairs, self.cells, self.cells))
        bits = np.stack([chances < self.keep, chances >= 1 - self.keep], axis=1)
        shifts = generator.integers(0, masks.steps, (pairs, 2)).astype(np.int32)
        return _Plan(
            masks, bits.reshape(-1, *chances.shape[1:])[: self.samples], shifts.repeat(2, 0)[: self.samples]
        )

    def _until_sure(self, plan: _Plan, scored: Callable[[int, int], NDArray]) -> _Map:
        """One image's maps. scored: what masks from one number to another leave."""
        looks = Looks(self.tolerance, self.confidence, -(-self.samples // 2), FIRST)
        scores: list[NDArray] = []
        while True:
            draws = min(2 * looks.draws, self.samples)
            scores.append(scored(sum(map(len, scores)), draws))
            seen = self._seen(plan.upto(draws), np.concatenate(scores).astype(np.float64))
            widths = reach(seen.careful, looks.draws - 1, seen.values[0].size, looks.risk)
            # What counts in a map are differences: the largest value is the one furthest from the mean score.
            offsets = seen.values - seen.mean[:, None, None]
            need = looks.need(*(each.reshape(len(each), -1).T for each in (offsets, widths)))
            if looks.end(need.max(), seen.values[0].size):
                return _Map(seen.values, seen.errors, widths, draws, looks.converged(need))

    def _seen(self, plan: _Plan, scores: NDArray) -> _Seen:
        """What the scores (M, K) of so many masks tell."""
        masks, keep, draws = plan.masks, self.keep, len(scores)
        linear = linear_part(masks.at_nodes(plan.bits, plan.shifts), keep, scores)
        mean = linear.rest.mean(0)
        rest = linear.rest - mean
        known = (1 - keep) * masks.covariances(linear.weights)
        left = masks.sums(plan.bits, plan.shifts, rest) / (draws * keep)
        values = mean[:, None, None] + known + left
        spread = self._variance(plan, rest, left)
        # The next pair may be like the worst that was seen: no spread among a few proves nothing.
        worst = (rest**2).max(0)[:, None, None] / keep / draws / (draws + 1)
        return _Seen(values, mean, np.sqrt(spread), np.sqrt(spread + worst))

    def _variance(self, plan: _Plan, rest: NDArray, left: NDArray) -> NDArray[np.float64]:
        """(K, H, W) of `left`, the mean over masks of rest (M, K) x mask / keep: from what the two masks of a pair add together."""
        draws, paired = len(rest), len(rest) // 2 * 2
        one, other, pairs = slice(0, paired, 2), slice(1, paired, 2), -(-draws // 2)
        squares = plan.masks.products(plan.bits, plan.bits, plan.shifts, rest**2)
        squares += plan.masks.products(
            plan.bits[one], plan.bits[other], plan.shifts[one], 2 * rest[one] * rest[other]
        )
        spread = squares / self.keep**2 - (left * draws) ** 2 / pairs
        return np.maximum(spread, 0) / draws**2 * pairs / max(pairs - 1, 1)

    def _uncertainty(self, part: HiddenInput, maps: Sequence[_Map]) -> Uncertainty:
        values, errors, widths = (
            np.concatenate([getattr(each, name) for each in maps]) for name in ("values", "errors", "widths")
        )
        told = [each.converged for each in maps if each.converged is not None]
        return Uncertainty(
            part.values(errors),
            part.values(values - widths),
            part.values(values + widths),
            np.repeat([each.draws for each in maps], [len(each.values) for each in maps]),
            widths.max((1, 2)),
            np.concatenate(told) if told else None,
        )


@dataclasses.dataclass(frozen=True)
class _Plan:
    """Masks 0 and 1, 2 and 3 ... are pairs. bits: (M, cells, cells). shifts: (M, 2)."""

    masks: GridMasks
    bits: NDArray[np.bool_]
    shifts: NDArray[np.int32]

    def upto(self, count: int) -> _Plan:
        """The first masks."""
        return _Plan(self.masks, self.bits[:count], self.shifts[:count])


@dataclasses.dataclass(frozen=True)
class _Seen:
    """values, errors, careful: (K, H, W), the last for intervals. mean: (K,) of all scores, without chance in their linear part."""

    values: NDArray
    mean: NDArray
    errors: NDArray
    careful: NDArray


@dataclasses.dataclass(frozen=True)
class _Map:
    """One image's maps (K, H, W), their standard errors and half of their intervals; converged (K,)."""

    values: NDArray
    errors: NDArray
    widths: NDArray
    draws: int
    converged: NDArray | None


@dataclasses.dataclass(frozen=True)
class _Grids:
    """Grids of bits and their shifts (plan), enlarged to masks through which the input is seen."""

    which: int
    masks: GridMasks

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        down, across = (
            enlarging(self.masks.cells, step, side, plan[1][:, axis])
            for axis, (step, side) in enumerate(zip(self.masks.steps, self.masks.sides, strict=True))
        )
        masks = tf.einsum("bhs,bst,bwt->bhw", down, tf.cast(plan[0], tf.float32), across)
        image = visible(inputs[self.which], fixed[0], masks, soft=True)
        return Perturbed(shown(inputs, self.which, image))
