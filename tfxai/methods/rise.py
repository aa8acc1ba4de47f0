"""Average the random masks that an input was seen through, each weighed by the score it left."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    Method,
    Perturb,
    Perturbed,
    PerturbedScores,
    Request,
    Tracer,
    attribution_of,
    hidden_input,
    shown,
    visible,
)
from tfxai.model import Needs
from tfxai.support import Count, InputKey, Seed, Tensor, number, whole


@dataclasses.dataclass(frozen=True)
class RISE(Method):
    """A pixel matters if the score is high, on average, whenever it is visible.

    Values estimate the expected score given that the pixel is visible, in units of the score; what counts are the
    differences between places. A model whose score never moves gets a flat map: the mean score is taken out of the
    paper's sum and put back as itself, which leaves the expectation as it is and most of the noise out. Images only.
    Cost: `samples` forward passes per image, whatever the number of classes.

    samples:  random masks; 4000 (VGG16) and 8000 (ResNet-50) in the paper.
    cells:    of the grid of random bits, along each side; the smaller, the finer the map and the more masks it needs.
    keep:     probability that a cell stays visible, between 0 and 1.
    baseline: what is hidden looks like this (a number, an array, a function of tfxai.baselines).
    seed:     of the masks, which are the same for every image.
    input:    which of several inputs is hidden (key or number); unless given the first image.

    Raises ValueError if the input is no image (N, H, W, channels).
    Petsiuk, Das, Saenko: RISE, 2018. arXiv:1806.07421, sections 3.1 and 3.2
    """

    samples: Count = 4000
    cells: Annotated[int, whole(2)] = 7
    keep: Annotated[float, number(above=0, below=1, noun="a probability")] = 0.5
    baseline: Baseline = 0.0
    seed: Seed = 0
    input: InputKey = None
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
            maps.append(self._map(engine.run(grid, example, [grids, shifts], behind, sums=sides)))
            examples.append(example)
        return attribution_of(examples, part.values(np.concatenate(maps)))

    def _map(self, perturbed: PerturbedScores) -> NDArray:
        """(K, H, W). What a constant score would add to the sum is known; what chance made of it is noise."""
        sums, masks = perturbed.sums[:-1], perturbed.sums[-1]
        mean = perturbed.scores.mean(0, dtype=np.float64)[:, None, None]
        return mean + (sums - mean * masks) / (self.samples * self.keep)


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
