"""Random grids of bits, shifted and enlarged to masks: sums over many of them, without making any at full size."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import Tensor

NODES = 2  # places along a side for each cell, where masks are looked at as numbers of a regression
MOST = 20  # places along a side, at most


@dataclasses.dataclass(frozen=True)
class GridMasks:
    """A mask is a grid of cells x cells bits, enlarged linearly to (cells + 1) x step along each side, seen from a shift on.

    So it is down[y] @ bits @ across[x].T for one of few shifts (y, x), and a sum of masks with weights is that of the sum of
    their bits for each shift.

    sides: of the image. Shifts are from 0 to below the steps.
    """

    cells: int
    sides: tuple[int, int]

    @property
    def steps(self) -> tuple[int, int]:
        """Pixels of a cell along each side."""
        down, across = self.sides
        return -(-down // self.cells), -(-across // self.cells)

    @functools.cached_property
    def _sides(self) -> list[NDArray]:
        """For both sides (shifts, side, cells)."""
        with tf.init_scope():  # numbers also while a graph is made
            return [
                enlarging(self.cells, step, side, tf.range(step)).numpy().astype(np.float64)
                for step, side in zip(self.steps, self.sides, strict=True)
            ]

    @functools.cached_property
    def _neighbours(self) -> tuple[NDArray, NDArray]:
        """Numbers of the cells of all ordered twos that are the same or side by side; no place lies in others."""
        twos = [(i, j) for i in range(self.cells) for j in range(i - 1, i + 2) if 0 <= j < self.cells]
        first, second = np.array(twos).T
        return first, second

    def sums(self, bits: NDArray, shifts: NDArray, weights: NDArray) -> NDArray[np.float64]:
        """(K, H, W) the sum of masks, each with K weights.

        bits: (N, cells, cells). shifts: int (N, 2). weights: (N, K).
        """
        return self._summed(self._sides, bits.astype(np.float64), shifts, weights)

    def products(
        self, bits: NDArray, others: NDArray, shifts: NDArray, weights: NDArray
    ) -> NDArray[np.float64]:
        """(K, H, W) the sum of products of two masks of one shift, each with K weights."""
        first, second = self._neighbours
        both = bits[:, first[:, None], first] & others[:, second[:, None], second]
        sides = [side[..., first] * side[..., second] for side in self._sides]
        return self._summed(sides, both.astype(np.float64), shifts, weights)

    def _summed(
        self, sides: list[NDArray], grids: NDArray, shifts: NDArray, weights: NDArray
    ) -> NDArray[np.float64]:
        down, across = sides
        found = np.zeros((weights.shape[1], *self.sides))
        for shift in np.unique(shifts[:, 0]):
            rows = np.flatnonzero(shifts[:, 0] == shift)
            along, of_row = np.unique(shifts[rows, 1], return_inverse=True)
            at = (np.arange(len(along))[:, None] == of_row).astype(np.float64)  # (shifts, rows)
            for k, column in enumerate(weights[rows].T):
                grid = (at * column) @ grids[rows].reshape(len(rows), -1)  # (shifts, cells * cells)
                grid = grid.reshape(len(along), *grids.shape[1:])
                found[k] += down[shift] @ np.tensordot(grid, across[along], ([0, 2], [0, 2]))
        return found

    @functools.cached_property
    def _nodes(self) -> list[NDArray]:
        """Along both sides the numbers of a few places, evenly spread."""
        counts = [min(NODES * self.cells, MOST, side) for side in self.sides]
        return [
            np.linspace(0, side - 1, count).round().astype(int)
            for count, side in zip(counts, self.sides, strict=True)
        ]

    def at_nodes(self, bits: NDArray, shifts: NDArray) -> NDArray[np.float64]:
        """(N, nodes) the masks at a few places."""
        down, across = (side[:, nodes] for side, nodes in zip(self._sides, self._nodes, strict=True))
        found = down[shifts[:, 0]] @ bits.astype(np.float64) @ np.swapaxes(across[shifts[:, 1]], 1, 2)
        return found.reshape(len(bits), -1)

    def covariances(self, weights: NDArray) -> NDArray[np.float64]:
        """(K, H, W) for each place, how the mask there goes with a sum of masks at the nodes, (nodes, K) weights, on average.

        A covariance, in units of the variance of one bit: over all shifts, and bits that are independent.
        """
        down, across = self._with_nodes
        grids = weights.T.reshape(-1, down.shape[1], across.shape[1])
        return down @ grids @ across.T

    @functools.cached_property
    def _with_nodes(self) -> list[NDArray]:
        """Along both sides (side, nodes) how places go with the nodes."""
        return [
            np.einsum("shc,snc->hn", side, side[:, nodes]) / len(side)
            for side, nodes in zip(self._sides, self._nodes, strict=True)
        ]

    # Of a call that is traced as a whole

    def sums_in_graph(self, bits: NDArray, shifts: NDArray, weights: Tensor) -> Tensor:
        """(H, W) float64, what `sums` finds of one weight (N,) for each mask."""
        down, across = self._sides
        shift = shifts[:, 0] * len(across) + shifts[:, 1]
        grids = weights[:, None, None] * bits.astype(np.float64)
        of_shift = tf.math.unsorted_segment_sum(grids, shift, len(down) * len(across))
        of_shift = tf.reshape(of_shift, (len(down), len(across), *bits.shape[1:]))
        return tf.einsum("yhs,yxst,xwt->hw", down, of_shift, across)

    def covariances_in_graph(self, weights: Tensor) -> Tensor:
        """(H, W) float64, what `covariances` finds of one sum, of (nodes,) weights."""
        down, across = self._with_nodes
        grid = tf.reshape(weights, (down.shape[1], across.shape[1]))
        return tf.matmul(tf.matmul(down, grid), across, transpose_b=True)


def enlarging(cells: int, step: int, side: int, shifts: Tensor) -> Tensor:
    """(B, side, cells): a side of the grid, enlarged linearly to (cells + 1) steps and seen from a shift on."""
    scale = cells / ((cells + 1) * step)
    centre = (tf.cast(tf.range(side) + shifts[:, None], tf.float32) + 0.5) * scale - 0.5
    centre = tf.clip_by_value(centre, 0.0, cells - 1.0)
    return tf.nn.relu(1 - tf.abs(tf.expand_dims(centre, -1) - tf.range(cells, dtype=tf.float32)))
