"""What is kept of gradients at many points: a sum, or mean and variance."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import PerInput, Tensor


@dataclasses.dataclass(frozen=True)
class PathPoints:
    """The points of one block of rows.

    Arrays, or tensors while a call is traced as a whole.

    rows:       (M,) which row of the block each point belongs to.
    parameters: (M, P) what the path makes of it: position, number of the noise ...
    weights:    (M,) of its gradient.
    starts:     (M,) which of the path's starts it belongs to, where these are not one for each row.
    """

    rows: Any
    parameters: Any
    weights: Any
    starts: Any = None

    @property
    def count(self) -> int | Tensor:
        """How many there are."""
        return self.rows.shape[0] or tf.shape(self.rows)[0]

    @classmethod
    def of(
        cls, rows: int | Tensor, parameters: NDArray, weights: NDArray, starts: NDArray | None = None
    ) -> PathPoints:
        """The same points for every row. Points are the outer loop: rows that share one lie in the same chunk."""
        points = len(parameters)
        if tf.is_tensor(rows):  # while a call is traced as a whole
            repeat = functools.partial(tf.repeat, repeats=rows, axis=0)
            wide = np.asarray(parameters, np.float32).reshape(points, -1)
            numbers = tf.tile(tf.range(rows), [points])
            return cls(
                numbers,
                repeat(wide),
                repeat(np.asarray(weights, np.float32)),
                None if starts is None else repeat(np.asarray(starts, np.int32)),
            )
        return cls(
            np.tile(np.arange(rows, dtype=np.int32), points),
            np.repeat(np.asarray(parameters, np.float32).reshape(points, -1), rows, axis=0),
            np.repeat(np.asarray(weights, np.float32), rows),
            None if starts is None else np.repeat(np.asarray(starts, np.int32), rows),
        )


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What is known, inside the trace, about the points that are evaluated together (B of them).

    rows:       (B,) row of each point in the block; -1 for one that only fills the chunk up.  count: rows in the block.
    numbers:    (B,) position of each point in the table.
    parameters: (B, P) of each point.
    weights:    (B,) of each point.
    starts, ends: for each input the path's two ends (B, ...): the baseline's point and the input's.
    gradients:  for each input d score / d point, float32; None where it is not explained.
    """

    rows: Tensor
    count: Tensor
    numbers: Tensor
    parameters: Tensor
    weights: Tensor
    starts: PerInput
    ends: PerInput
    gradients: PerInput

    @property
    def contributions(self) -> list[Tensor]:
        """gradient x (end - start), of the inputs that are explained."""
        return [
            tf.math.multiply_no_nan(gradient, tf.cast(end - start, gradient.dtype))
            for gradient, start, end in zip(self.gradients, self.starts, self.ends, strict=True)
            if gradient is not None
        ]


class Statistic(Protocol):
    """What is kept of the gradients: a list of tensors that every chunk updates. A frozen dataclass."""

    def start(self, zeros: list[Tensor], points: PathPoints) -> list[Tensor]:
        """The state before the first chunk. zeros: for each explained input, (rows, ...)."""
        ...

    def update(self, state: list[Tensor], chunk: Chunk) -> list[Tensor]:
        """The state after a chunk, inside the trace."""
        ...


@dataclasses.dataclass(frozen=True)
class Sum:
    """Sum of weight x gradient for every row. contributions: of gradient x (end - start) instead."""

    contributions: bool = False

    def start(self, zeros: list[Tensor], points: PathPoints) -> list[Tensor]:
        return zeros

    def update(self, state: list[Tensor], chunk: Chunk) -> list[Tensor]:
        return [total + by_row(part, chunk) for total, part in zip(state, self.parts(chunk), strict=True)]

    def parts(self, chunk: Chunk) -> list[Tensor]:
        """What is summed, of each explained input (B, ...)."""
        if self.contributions:
            return chunk.contributions
        return [gradient for gradient in chunk.gradients if gradient is not None]


@dataclasses.dataclass(frozen=True)
class Moments:
    """Mean and sum of squared deviations for every row, by Chan's merging: one pass, no cancellation.

    contributions: of gradient x (end - start), not of the gradient.
    squared:       of the square of each.
    summed:        for each explained input, whether of its sums over the last axis, which is kept with length 1.
    pairs:         of the means of pairs: each row's points come in twos, one after the other, however they are cut into chunks;
                   then also the sum of squared halves of their differences.
    variance:      of half the squared difference of each pair, whose mean is the variance; needs pairs.

    Chan, Golub, LeVeque: Algorithms for Computing the Sample Variance, 1983. doi:10.1080/00031305.1983.10483115
    """

    contributions: bool = False
    squared: bool = False
    summed: tuple[bool, ...] = ()
    pairs: bool = False
    variance: bool = False

    def start(self, zeros: list[Tensor], points: PathPoints) -> list[Tensor]:
        given, zeros = zeros, self._summed(zeros)
        counts, empty = tf.zeros([tf.shape(zeros[0])[0]]), [tf.zeros_like(zero) for zero in zeros]
        if not self.pairs:
            return [counts, *zeros, *empty]
        # The first of a pair, which waits for the other.
        one = [tf.zeros([1, *zero.shape[1:]]) for zero in (given if self.variance else zeros)]
        return [counts, *zeros, *empty, *empty, tf.constant([-1]), *one]

    def read(self, state: Sequence[NDArray]) -> tuple[NDArray, list[NDArray], list[NDArray], list[NDArray]]:
        """Counts (rows,), and for each input means, squared deviations, and of pairs squared halves of differences."""
        inputs = (len(state) - 2) // 4 if self.pairs else (len(state) - 1) // 2
        means, squares, halves = (list(state[1 + i * inputs :][:inputs]) for i in range(3))
        return state[0], means, squares, halves if self.pairs else []

    def update(self, state: list[Tensor], chunk: Chunk) -> list[Tensor]:
        parts = chunk.contributions if self.contributions else [g for g in chunk.gradients if g is not None]
        parts = [tf.square(part) for part in parts] if self.squared else parts
        parts = parts if self.variance else self._summed(parts)
        inputs, rest = len(parts), []
        counts, means, squares = state[0], state[1 : 1 + inputs], state[1 + inputs : 1 + 2 * inputs]
        if self.pairs:
            paired = _Pairs.of(chunk.rows, state[1 + 3 * inputs])
            waiting = state[2 + 3 * inputs :]
            first, second, waiting = zip(
                *(paired.split(*of) for of in zip(parts, waiting, strict=True)), strict=True
            )
            chunk = dataclasses.replace(
                chunk, rows=paired.rows, weights=tf.ones_like(paired.rows, tf.float32)
            )
            halves = [tf.square((one - other) / 2) for one, other in zip(first, second, strict=True)]
            if self.variance:
                parts = halves = self._summed([2 * half for half in halves])
            else:
                parts = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
            earlier = state[1 + 2 * inputs : 1 + 3 * inputs]
            halves = [old + by_row(half, chunk) for old, half in zip(earlier, halves, strict=True)]
            rest = [*halves, paired.waits, *waiting]
        return [*self._merged(counts, means, squares, parts, chunk), *rest]

    def _merged(
        self, counts: Tensor, means: list[Tensor], squares: list[Tensor], parts: list[Tensor], chunk: Chunk
    ) -> list[Tensor]:
        chunk = dataclasses.replace(chunk, weights=tf.ones_like(chunk.weights))
        new = by_row(tf.ones_like(chunk.weights), chunk)
        total = counts + new
        share = tf.math.divide_no_nan(new, total)
        next_means, next_squares = [], []
        for part, mean, square in zip(parts, means, squares, strict=True):
            here = tf.math.divide_no_nan(by_row(part, chunk), aligned(new, part))
            within = by_row(tf.square(part - tf.gather(here, tf.maximum(chunk.rows, 0))), chunk)
            step = here - mean
            next_means.append(mean + step * aligned(share, part))
            next_squares.append(square + within + tf.square(step) * aligned(counts * share, part))
        return [total, *next_means, *next_squares]

    def _summed(self, parts: list[Tensor]) -> list[Tensor]:
        summed = self.summed or (False,) * len(parts)
        return [
            tf.reduce_sum(part, -1, keepdims=True) if over else part
            for part, over in zip(parts, summed, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """The pairs that are complete with a chunk of points, whose first one may have come with the chunk before.

    firsts: (P,) positions of each pair's first, in what waited and then the chunk. rows: (P,) of the block; -1 is none.
    waits:  (1,) the row that waits now; -1 if none does. last: where it is.
    """

    firsts: Tensor
    rows: Tensor
    waits: Tensor
    last: Tensor

    @classmethod
    def of(cls, rows: Tensor, waited: Tensor) -> _Pairs:
        """rows: (B,) of the points, -1 at the end if there are fewer. waited: (1,) the row that waited."""
        every = tf.concat([waited, rows], 0)
        begin = tf.cast(waited[0] < 0, tf.int32)
        there = tf.reduce_sum(tf.cast(every >= 0, tf.int32))
        most = (tf.shape(rows)[0] + 1) // 2 if rows.shape[0] is None else (rows.shape[0] + 1) // 2
        numbers = tf.range(most)
        firsts = tf.minimum(begin + 2 * numbers, tf.shape(every)[0] - 2)
        last = tf.minimum(begin + there - 1, tf.shape(every)[0] - 1)
        odd = tf.equal(tf.math.floormod(there, 2), 1)
        return cls(
            firsts,
            tf.where(numbers < there // 2, tf.gather(every, firsts), -1),
            tf.where(odd, tf.gather(every, [last]), [-1]),
            last,
        )

    def split(self, part: Tensor, waited: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Firsts and seconds (P, ...) of all pairs, and what waits now (1, ...)."""
        every = tf.concat([waited, part], 0)
        return tf.gather(every, self.firsts), tf.gather(every, self.firsts + 1), tf.gather(every, [self.last])


def by_row(parts: Tensor, chunk: Chunk) -> Tensor:
    """(B, ...) summed by weight over the points of each row."""
    # Not a product with a matrix of zeros and ones: a NaN of one row would reach all others.
    return tf.math.unsorted_segment_sum(parts * aligned(chunk.weights, parts), chunk.rows, chunk.count)


def aligned(vector: Tensor, like: Tensor) -> Tensor:
    """(B,) as (B, 1, 1 ...), to multiply with `like` (B, ...)."""
    return tf.reshape(tf.cast(vector, like.dtype), [-1] + [1] * (like.shape.rank - 1))
