"""Gradients at noisy copies of the input: their mean, variance and mean square."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any

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
    Rounds,
    Sum,
    aligned,
    attribution_along,
    of_tokens,
    uncertainty_of,
)
from tfxai.support import Confidence, Count, Seed, Tensor, Tolerance, number


@dataclasses.dataclass(frozen=True)
class NoisyGradients(Method):
    """Shared settings of the three.

    samples:    noisy copies of each input; with a tolerance at most, and an even number of them.
    noise:      standard deviation of the noise, as a fraction of each example's own range (largest - smallest value).
    seed:       of the noise; it is the same for every example, so each is explained as if it were alone.
    tolerance:  draws copies until every value of a map is within so much of that of infinitely many: in units of the values (of
                SquareGrad and VarGrad squares of the gradient's), or a share of the map's largest, such as "1%". The result then
                carries `standard_error`, `interval`, `passes` and `converged`.
    confidence: of the intervals, for all values of one map together, between 0 and 1. They cover the chance of the noise.

    Every other copy mirrors the one before (its noise has the other sign; not of VarGrad), so that what is linear in the noise
    falls out: of smooth networks half the copies do; of rough ones it changes little. The two are one draw.
    """

    samples: Count = 50
    noise: Annotated[float, number(least=0, noun="a fraction of the input's range")] = 0.15
    seed: Seed = 0
    tolerance: Tolerance = None
    confidence: Confidence = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tolerance is not None and self.samples < 4:
            raise ValueError(
                f"samples is {self.samples}, which tells no spread. Give 4 or more, or no tolerance."
            )

    def paths(self, request: Request, mirrored: bool = False) -> Paths:
        """The engine: points are noisy copies. mirrored: every other one has the noise of the one before, with the other sign."""
        held = self.samples if request.inside is not None and request.inside.apart else None
        return Paths(request, _Noise(self.noise, self.seed, mirrored, held))

    def points(self, rows: int | Tensor) -> PathPoints:
        """The noisy copies of a block of rows, by their numbers."""
        return PathPoints.of(rows, np.arange(self.samples), np.full(self.samples, 1 / self.samples))

    def moments(
        self, request: Request, combined: Callable[[NDArray, NDArray], NDArray], mirrored: bool = False
    ) -> Attribution:
        """Values made of the mean and the variance of the gradients."""
        paths = self.paths(request, mirrored)

        def values_of(block: Block) -> list[NDArray]:
            _, means, squares, _ = Moments().read(paths.run(block, self.points(block.count), Moments()))
            return [
                combined(mean, square / self.samples) for mean, square in zip(means, squares, strict=True)
            ]

        return attribution_along(paths, values_of)

    def until_sure(self, request: Request, squared: bool = False, variance: bool = False) -> Attribution:
        """The mean gradient, or the mean of its square, or its variance, with how sure it is."""
        paths, sampled = self.paths(request, mirrored=not variance), []
        sizes = squared or variance  # never negative; of a token their sum
        rounds = Rounds(
            paths,
            lambda numbers: (numbers, None),
            self.samples,
            Moments(squared=squared, summed=of_tokens(paths) if sizes else (), pairs=True, variance=variance),
            self.tolerance,
            self.confidence,
            lengths=not sizes,
        )

        def values_of(block: Block) -> list[NDArray]:
            sampled.append(rounds.run(block))
            return sampled[-1].means

        found = attribution_along(paths, values_of, sensitivities=not sizes)
        return dataclasses.replace(found, uncertainty=uncertainty_of(paths, sampled, lengths=not sizes))


@dataclasses.dataclass(frozen=True)
class _Noise:
    """A path function: the example plus the noise of the number that is its parameter.

    noise: standard deviation, as a fraction of the example's range. seed: of the noise. mirrored: see `NoisyGradients.paths`.
    held:  so many samples' noise is held as numbers, for engines that do not draw.
    """

    noise: float
    seed: int
    mirrored: bool = False
    held: int | None = None

    def __call__(self, start: Tensor, end: Tensor, parameters: Tensor, which: int) -> Tensor:
        numbers = tf.cast(parameters[:, 0], tf.int32)
        signs = 1 - 2 * (numbers % 2) if self.mirrored else tf.ones_like(numbers)
        numbers = numbers // 2 if self.mirrored else numbers
        axes = list(range(1, end.shape.rank))
        spread = tf.reduce_max(end, axes, keepdims=True) - tf.reduce_min(end, axes, keepdims=True)
        if self.held is not None:
            noise = tf.gather(self._numbers(end, which), numbers)
            return end + aligned(signs, end) * self.noise * spread * tf.cast(noise, end.dtype)
        # In a chunk the numbers are near each other, so few different noises are drawn; XLA wants to know how many.
        fixed = parameters.shape[0] is not None
        first = tf.reduce_min(numbers)
        drawn = numbers if fixed else tf.range(first, tf.reduce_max(numbers) + 1)
        draw = _normal_of_bits if fixed else tf.random.stateless_normal
        draws = tf.map_fn(
            lambda number: draw(tf.shape(end)[1:], tf.stack([self.seed, 64 * number + which])),
            drawn,
            fn_output_signature=tf.TensorSpec(end.shape[1:], tf.float32),
        )
        noise = draws if fixed else tf.gather(draws, numbers - first)
        return end + aligned(signs, end) * self.noise * spread * tf.cast(noise, end.dtype)

    def _numbers(self, end: Tensor, which: int) -> NDArray:
        """(samples, ...) the noise itself, as it is drawn otherwise."""
        count = -(-(self.held or 0) // 2) if self.mirrored else self.held or 0
        with tf.init_scope():
            seeds = ((self.seed, 64 * number + which) for number in range(count))
            return np.stack([tf.random.stateless_normal(end.shape[1:], seed).numpy() for seed in seeds])


def _normal_of_bits(shape: Tensor, seed: Tensor) -> Tensor:
    """What `tf.random.stateless_normal` draws on a CPU, from the same bits: XLA makes other normal numbers of them.

    Salmon et al.: Parallel random numbers, 2011 (Philox); Box, Muller, 1958, on pairs of neighbours.
    """
    count = tf.reduce_prod(shape)
    pairs: Tensor = tf.stack([(count + 1) // 2, 2])
    all_bits: Any = None  # of TensorFlow's range for whole numbers
    bits: Tensor = tf.random.stateless_uniform(pairs, seed, all_bits, all_bits, tf.uint32, alg="philox")
    mantissa = tf.bitwise.bitwise_and(bits, tf.constant(0x7FFFFF, tf.uint32))
    length, angle = tf.unstack(tf.cast(mantissa, tf.float32) / 2**23, axis=1)
    radius, angle = tf.sqrt(-2 * tf.math.log(tf.maximum(length, 1e-7))), 2 * np.pi * angle
    pairs = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], 1)
    return tf.reshape(tf.reshape(pairs, [-1])[:count], shape)


@dataclasses.dataclass(frozen=True)
class SmoothGrad(NoisyGradients):
    """Which values matter, once the fine wiggles of the gradient are averaged away?

    Mean signed gradient at noisy copies; of token ids, whose embedding gets the noise, its length (L2). Cost: `samples`
    forward and backward passes per input and target.

    samples, noise, seed, tolerance, confidence: see `tfxai.methods.smoothgrad`.

    Smilkov, Thorat, Kim, Viégas, Wattenberg: SmoothGrad, 2017. arXiv:1706.03825
    """

    def attribute(self, request: Request) -> Attribution:
        if self.tolerance is not None:
            return self.until_sure(request)
        paths = self.paths(request, mirrored=True)
        return attribution_along(
            paths,
            lambda block: paths.run(block, self.points(block.count), Sum()),
            sensitivities=True,
        )


@dataclasses.dataclass(frozen=True)
class VarGrad(NoisyGradients):
    """Where does the gradient depend most on small noise?

    Variance of the gradient (over `samples`, not `samples - 1`) at noisy copies, each with noise of its own; never negative.
    With a tolerance it is the mean of half the squared differences of pairs, whose intervals are known, and which take up to
    twice the copies. Settings as of SmoothGrad. Cost: as SmoothGrad.

    Adebayo, Gilmer, Goodfellow, Kim: Local Explanation Methods for Deep Neural Networks Lack Sensitivity to
    Parameter Values, 2018. arXiv:1810.03307
    """

    def attribute(self, request: Request) -> Attribution:
        if self.tolerance is not None:
            return self.until_sure(request, variance=True)
        return self.moments(request, lambda mean, variance: variance)


@dataclasses.dataclass(frozen=True)
class SquareGrad(NoisyGradients):
    """Where is the gradient large, whatever its sign, around this input?

    Mean squared gradient at noisy copies; never negative. Settings as of SmoothGrad. Cost: as SmoothGrad.

    Hooker, Erhan, Kindermans, Kim: A Benchmark for Interpretability Methods, 2018. arXiv:1806.10758
    """

    def attribute(self, request: Request) -> Attribution:
        if self.tolerance is not None:
            return self.until_sure(request, squared=True)
        return self.moments(request, lambda mean, variance: mean**2 + variance, mirrored=True)
