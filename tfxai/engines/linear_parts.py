"""The linear part of what mirrored draws give, as a part of a graph; see `tfxai.stats.linear_part`, which knows why."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
from numpy.typing import NDArray

from tfxai.stats import Mirrored
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class LinearInGraph:
    """weights: (F,) of the function, which is 0 at the features' mean. rest: (N,) what it leaves of each draw."""

    weights: Tensor
    rest: Tensor


def linear_in_graph(features: NDArray, mean: float, numbers: Tensor) -> LinearInGraph:
    """What `tfxai.stats.linear_part` finds, of one number (N,) for each draw, a float64 tensor."""
    mirrored = Mirrored.of(features, mean)
    paired = 2 * mirrored.pairs
    difference = numbers[0:paired:2] - numbers[1:paired:2]
    coefficients = mirrored.scales * tf.linalg.matvec(mirrored.along, difference, transpose_a=True)
    left = (difference - tf.matmul(coefficients, mirrored.along, transpose_b=True)) / mirrored.untaken
    best = tf.argmin(tf.reduce_mean(left**2, 1))
    weights = tf.linalg.matvec(mirrored.directions, tf.gather(coefficients, best))
    moved = tf.linalg.matvec(mirrored.at_draws, tf.gather(mirrored.scales, best))  # (pairs, 2)
    rest = numbers - tf.linalg.matvec(mirrored.centred, weights)
    more = tf.reshape(moved * tf.gather(left, best)[:, None], [-1])
    return LinearInGraph(weights, rest + tf.pad(more, [[0, numbers.shape[0] - paired]]))
