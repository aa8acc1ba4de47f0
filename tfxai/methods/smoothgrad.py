"""Gradients at noisy copies of the input: their mean, variance and mean square."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines import (
    Attribution,
    Block,
    Method,
    Moments,
    PathPoints,
    Paths,
    Request,
    Sum,
    attribution_along,
)
from tfxai.support import Tensor, check_real, check_whole


@dataclasses.dataclass(frozen=True)
class NoisyGradients(Method):
    """Shared settings of the three.

    samples: noisy copies of each input.
    noise:   standard deviation of the noise, as a fraction of each example's own range (largest - smallest value).
    seed:    of the noise; it is the same for every example, so each is explained as if it were alone.
    """

    samples: int = 50
    noise: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(self, samples=1)
        check_real(self, "noise", lambda x: 0 <= x < np.inf, "a fraction of the input's range, 0 or more")

    def paths(self, request: Request) -> Paths:
        """The engine: points are noisy copies."""
        return Paths(request, _Noise(self.noise, self.seed))

    def points(self, rows: int) -> PathPoints:
        """The noisy copies of a block of rows, by their numbers."""
        return PathPoints.of(rows, np.arange(self.samples), np.full(self.samples, 1 / self.samples))

    def moments(self, request: Request, combined: Callable[[NDArray, NDArray], NDArray]) -> Attribution:
        """Values made of the mean and the variance of the gradients."""
        paths = self.paths(request)

        def values_of(block: Block) -> list[NDArray]:
            _, *moments = paths.run(block, self.points(len(block.targets)), Moments())
            means, squares = moments[: len(moments) // 2], moments[len(moments) // 2 :]
            return [
                combined(mean, square / self.samples) for mean, square in zip(means, squares, strict=True)
            ]

        return attribution_along(paths, values_of)


@dataclasses.dataclass(frozen=True)
class _Noise:
    """A path function: the example plus the noise of the number that is its parameter.

    noise: standard deviation, as a fraction of the example's range. seed: of the noise.
    """

    noise: float
    seed: int

    def __call__(self, start: Tensor, end: Tensor, parameters: Tensor, which: int) -> Tensor:
        # In a chunk the numbers are in order, so few different noises are drawn.
        numbers = tf.cast(parameters[:, 0], tf.int32)
        draws = tf.map_fn(
            lambda number: tf.random.stateless_normal(
                tf.shape(end)[1:], tf.stack([self.seed, 64 * number + which])
            ),
            tf.range(numbers[0], numbers[-1] + 1),
            fn_output_signature=tf.float32,
        )
        axes = list(range(1, end.shape.rank))
        spread = tf.reduce_max(end, axes, keepdims=True) - tf.reduce_min(end, axes, keepdims=True)
        return end + self.noise * spread * tf.cast(tf.gather(draws, numbers - numbers[0]), end.dtype)


@dataclasses.dataclass(frozen=True)
class SmoothGrad(NoisyGradients):
    """Which values matter, once the fine wiggles of the gradient are averaged away?

    Mean signed gradient at noisy copies; of token ids, whose embedding gets the noise, its length (L2). Cost: `samples`
    forward and backward passes per input and target.

    samples, noise, seed: see `tfxai.methods.smoothgrad.NoisyGradients`.

    Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad, 2017. arXiv:1706.03825
    """

    def attribute(self, request: Request) -> Attribution:
        paths = self.paths(request)
        return attribution_along(
            paths,
            lambda block: paths.run(block, self.points(len(block.targets)), Sum()),
            sensitivities=True,
        )


@dataclasses.dataclass(frozen=True)
class VarGrad(NoisyGradients):
    """Where does the gradient depend most on small noise?

    Variance of the gradient (over `samples`, not `samples - 1`) at noisy copies; never negative. Cost: as SmoothGrad.

    Adebayo, Gilmer, Goodfellow, Kim: Local Explanation Methods for Deep Neural Networks Lack Sensitivity to
    Parameter Values, 2018. arXiv:1810.03307
    """

    def attribute(self, request: Request) -> Attribution:
        return self.moments(request, lambda mean, variance: variance)


@dataclasses.dataclass(frozen=True)
class SquareGrad(NoisyGradients):
    """Where is the gradient large, whatever its sign, around this input?

    Mean squared gradient at noisy copies; never negative. Cost: as SmoothGrad.

    Hooker, Erhan, Kindermans, Kim: A Benchmark for Interpretability Methods, 2018. arXiv:1806.10758
    """

    def attribute(self, request: Request) -> Attribution:
        return self.moments(request, lambda mean, variance: mean**2 + variance)
