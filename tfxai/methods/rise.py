"""Average the random masks that an input was seen through, each weighed by the score it left."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    Example,
    HiddenInput,
    Method,
    Perturb,
    Perturbed,
    PerturbedScores,
    Request,
    Tracer,
    Uncertainty,
    attribution_of,
    hidden_input,
    shown,
    visible,
)
from tfxai.model import Needs
from tfxai.stats import Looks, reach
from tfxai.support import Confidence, Count, InputKey, Seed, Tensor, Tolerance, number, whole

FIRST = 200  # masks before the first look


@dataclasses.dataclass(frozen=True)
class RISE(Method):
    """A pixel matters if the score is high, on average, whenever it is visible.

    Values estimate the expected score given that the pixel is visible, in units of the score; what counts are the
    differences between places. A model whose score never moves gets a flat map: the mean score is taken out of the
    paper's sum and put back as itself, which leaves the expectation as it is and most of the noise out. Images only.
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
        sides = part.space
        steps = [-(-side // self.cells) for side in sides]
        generator = np.random.default_rng(self.seed)
        grids = generator.random((self.samples, self.cells, self.cells)) < self.keep
        # Every mask has a shift of its own, so that cell borders leave no trace in the average.
        shifts = generator.integers(0, steps, (self.samples, 2)).astype(np.int32)
        hidden = part.hidden(self.baseline)

        engine = Perturb(request, self.samples * len(part.array))
        grid = _Grids(part.which, self.cells, tuple(steps), tuple(sides))
        examples, maps = [], []
        for example in engine.examples():
            number = example.number
            behind = [hidden[number : number + 1]]
            scored = functools.partial(_scored, engine, grid, example, [grids, shifts], behind, sides)
            maps.append(self._until_sure(scored))
            examples.append(example)
        found = attribution_of(examples, part.values(np.concatenate([each.values for each in maps])))
        return dataclasses.replace(found, uncertainty=self._uncertainty(part, maps))

    def _until_sure(self, scored: Callable[[int, int], PerturbedScores]) -> _Map:
        """One image's maps. scored: what masks from one number to another leave."""
        looks, seen = Looks(self.tolerance, self.confidence, self.samples, FIRST), None
        while True:
            more = scored(0 if seen is None else len(seen.scores), looks.draws)
            seen = more if seen is None else _added(seen, more)
            values, errors = self._map(seen), self._errors(seen)
            widths = reach(errors, looks.draws - 1, values[0].size, looks.risk)
            # What counts in a map are differences: the largest value is the one furthest from the mean score.
            offsets = values - seen.scores.mean(0)[:, None, None]
            need = looks.need(*(each.reshape(len(each), -1).T for each in (offsets, widths)))
            if looks.end(need.max()):
                return _Map(values, errors, widths, looks.draws, looks.converged(need))

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

    def _map(self, perturbed: PerturbedScores) -> NDArray:
        """(K, H, W). What a constant score would add to the sum is known; what chance made of it is noise."""
        sums, masks = perturbed.sums[:-1], perturbed.sums[-1]
        mean = perturbed.scores.mean(0, dtype=np.float64)[:, None, None]
        return mean + (sums - mean * masks) / (len(perturbed.scores) * self.keep)

    def _errors(self, perturbed: PerturbedScores) -> NDArray:
        """(K, H, W) standard errors. A draw moves a value by (its score - the mean) x its mask / keep."""
        draws, classes = perturbed.scores.shape
        mean = perturbed.scores.mean(0, dtype=np.float64)[:, None, None]
        twice, once, masks = np.split(perturbed.squares, [classes, 2 * classes])
        square = (twice - 2 * mean * once + mean**2 * masks) / draws
        first = (perturbed.sums[:-1] - mean * perturbed.sums[-1]) / draws
        spread = np.maximum(square - first**2, 0) / self.keep**2
        return np.sqrt(spread / max(draws - 1, 1))


@dataclasses.dataclass(frozen=True)
class _Map:
    """One image's maps (K, H, W), their standard errors and half of their intervals; converged (K,)."""

    values: NDArray
    errors: NDArray
    widths: NDArray
    draws: int
    converged: NDArray | None


def _scored(
    engine: Perturb,
    grid: _Grids,
    example: Example,
    plan: Sequence[NDArray],
    behind: Sequence[NDArray],
    sides: tuple[int, ...],
    first: int,
    last: int,
) -> PerturbedScores:
    share = (last - first) / len(plan[0])
    return engine.run(grid, example, [array[first:last] for array in plan], behind, sums=sides, share=share)


def _added(one: PerturbedScores, other: PerturbedScores) -> PerturbedScores:
    return PerturbedScores(
        np.concatenate([one.scores, other.scores]),
        np.concatenate([one.notes, other.notes]),
        one.sums + other.sums,
        one.squares + other.squares,
    )


@dataclasses.dataclass(frozen=True)
class _Grids:
    """Grids of bits and their shifts (plan), enlarged to masks through which the input is seen.

    steps: pixels of a cell along each side; sides: of the image.
    """

    which: int
    cells: int
    steps: tuple[int, ...]
    sides: tuple[int, ...]

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        down, across = (
            _enlarging(self.cells, step, side, plan[1][:, axis])
            for axis, (step, side) in enumerate(zip(self.steps, self.sides, strict=True))
        )
        masks = tf.einsum("bhs,bst,bwt->bhw", down, tf.cast(plan[0], tf.float32), across)
        image = visible(inputs[self.which], fixed[0], masks, soft=True)
        return Perturbed(shown(inputs, self.which, image), masks)


def _enlarging(cells: int, step: int, side: int, shifts: Tensor) -> Tensor:
    """(B, side, cells): a side of the grid, enlarged linearly to (cells + 1) steps and seen from a shift on."""
    scale = cells / ((cells + 1) * step)
    centre = (tf.cast(tf.range(side) + shifts[:, None], tf.float32) + 0.5) * scale - 0.5
    centre = tf.clip_by_value(centre, 0.0, cells - 1.0)
    return tf.nn.relu(1 - tf.abs(tf.expand_dims(centre, -1) - tf.range(cells, dtype=tf.float32)))
