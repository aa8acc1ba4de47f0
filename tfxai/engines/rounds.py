"""Means of gradients at random points, in rounds: each row of a block draws until it is known well enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.engines.paths import Block, Paths
from tfxai.engines.statistics import Moments, PathPoints
from tfxai.engines.uncertainty import Uncertainty
from tfxai.model import Embedded
from tfxai.stats import Looks, reach

FIRST = 20  # passes before the first look

Drawn = Callable[[NDArray], tuple[NDArray, NDArray | None]]
"""Numbers of points (M,) -> the path's parameters (M, P), and its starts (M,) where these are not one for each row."""


@dataclasses.dataclass(frozen=True)
class Sampled:
    """What a block's rows have come to.

    means:  of each explained input (rows, ...). errors, widths: standard errors, and half of the intervals, likewise.
    counts: (rows,) points. converged: (rows,); None without a tolerance.
    """

    means: list[NDArray]
    errors: list[NDArray]
    widths: list[NDArray]
    counts: NDArray
    converged: NDArray | None


@dataclasses.dataclass(frozen=True)
class Rounds:
    """The engine for one call.

    drawn:      what the points of these numbers are; they are the same for every row.
    samples:    points of each row, at most; an odd one of pairs is left out.
    statistic:  what is averaged. Of pairs, points 0 and 1, 2 and 3 ... are one draw.
    tolerance:  see tfxai.support.Tolerance; None: all samples in one round.
    confidence: of the intervals of all values of one row together.
    population: of pairs, out of how many different ones they are drawn, each as often as the others; None: without end.
    lengths:    of token ids, the value is the length of the mean over embeddings, and moves by the length of its errors at
                most; otherwise it is a sum, of which the statistic takes care.
    """

    paths: Paths
    drawn: Drawn
    samples: int
    statistic: Moments
    tolerance: float | str | None
    confidence: float
    population: int | None = None
    lengths: bool = False

    @property
    def together(self) -> int:
        """Points of a draw."""
        return 2 if self.statistic.pairs else 1

    def run(self, block: Block) -> Sampled:
        """Draws for all rows of a block. Each stops by itself, so that its map does not depend on its neighbours."""
        rows = len(block.targets)
        most, first = max(self.samples // self.together, 1), FIRST // self.together
        looks = [Looks(self.tolerance, self.confidence, most, first) for _ in range(rows)]
        total, open_rows, needs = _Total(np.zeros(rows, int)), np.arange(rows), np.zeros(rows)
        while len(open_rows):
            wanted = np.array([look.draws for look in looks])
            share = float((wanted - total.counts)[open_rows].sum()) / (rows * most)
            points = self._points(open_rows, self.together * total.counts, self.together * wanted)
            total = total.with_more(
                *self.statistic.read(self.paths.run(block, points, self.statistic, share))
            )
            needs[open_rows] = self._needs(total, looks)[open_rows]
            open_rows = np.array(
                [row for row in open_rows.tolist() if not looks[row].end(needs[row], total.values)], int
            )
        told = None if self.tolerance is None else needs <= 1
        errors, widths = total.errors(self.population), self._widths(total, looks)
        return Sampled(total.means, errors, widths, self.together * total.counts, told)

    def _points(self, rows: NDArray, done: NDArray, wanted: NDArray) -> PathPoints:
        """New points of some rows. Draws are the outer loop, rows that share one lie in the same chunk; then the rows."""
        numbers = [np.arange(int(done[row]), int(wanted[row])) for row in rows.tolist()]
        of_row = np.repeat(rows, [len(each) for each in numbers])
        flat = np.concatenate(numbers).astype(int)
        order = np.argsort(flat // self.together, kind="stable")
        parameters, starts = self.drawn(flat[order])
        weights = np.ones(len(flat), np.float32)
        return PathPoints(
            of_row[order].astype(np.int32),
            np.asarray(parameters, np.float32).reshape(len(flat), -1),
            weights,
            None if starts is None else np.asarray(starts, np.int32),
        )

    def _needs(self, total: _Total, looks: Sequence[Looks]) -> NDArray:
        """(rows,) half of the widest interval of each row, in tolerances."""
        means, widths = total.means, self._widths(total, looks)
        if self.lengths:  # what is promised is that of the values that are shown
            means, widths = (_lengths(self.paths, arrays) for arrays in (means, widths))
        means, widths = _side_by_side(means), _side_by_side(widths)
        return np.concatenate([look.need(means[:, [i]], widths[:, [i]]) for i, look in enumerate(looks)])

    def _widths(self, total: _Total, looks: Sequence[Looks]) -> list[NDArray]:
        """Half of the intervals of each input (rows, ...)."""
        rows = list(zip(total.counts.tolist(), [look.risk for look in looks], strict=True))
        return [
            np.stack(
                [
                    reach(of, count - 1, total.values, risk)
                    for of, (count, risk) in zip(error, rows, strict=True)
                ]
            )
            for error in total.errors(self.population, careful=True)
        ]


def _lengths(paths: Paths, arrays: Sequence[NDArray]) -> list[NDArray]:
    """Of token ids the length of each embedding."""
    pairs = zip(of_tokens(paths), arrays, strict=True)
    return [np.linalg.norm(array, axis=-1) if tokens else array for tokens, array in pairs]


def _side_by_side(arrays: Sequence[NDArray]) -> NDArray:
    """(values, rows) of all inputs."""
    return np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1).T


@dataclasses.dataclass(frozen=True)
class _Total:
    """Counts of draws (rows,), and for each input means, sums of squared deviations, and of pairs of squared halves of differences."""

    counts: NDArray
    means: list[NDArray] = dataclasses.field(default_factory=list)
    squares: list[NDArray] = dataclasses.field(default_factory=list)
    halves: list[NDArray] = dataclasses.field(default_factory=list)

    def with_more(
        self,
        counts: NDArray,
        new_means: Sequence[NDArray],
        new_squares: Sequence[NDArray],
        new_halves: Sequence[NDArray],
    ) -> _Total:
        """Merged with what `Moments` found of new draws. Chan, Golub, LeVeque, 1983."""
        both = self.counts + counts.astype(int)
        if not self.means:
            return _Total(both, list(new_means), list(new_squares), list(new_halves))
        means, squares = [], []
        for mean, square, other, other_square in zip(
            self.means, self.squares, new_means, new_squares, strict=True
        ):
            share = _like(counts / np.maximum(both, 1), mean)
            step = other - mean
            means.append((mean + share * step).astype(np.float32))
            apart = step**2 * _like(self.counts, mean) * share
            squares.append((square + other_square + apart).astype(np.float32))
        halves = [one + other for one, other in zip(self.halves, new_halves, strict=True)]
        return _Total(both, means, squares, halves)

    @property
    def values(self) -> int:
        """How many a row has."""
        return sum(int(np.prod(mean.shape[1:])) for mean in self.means)

    def errors(self, population: int | None = None, careful: bool = False) -> list[NDArray]:
        """Standard errors of the means.

        population: see `Rounds`. Between draws that have all come equally often there is no chance left, only within them; the
        others are a sample without repeats in two stages (Cochran: Sampling Techniques, 1977, section 10.3).
        careful: the next draw may move any value by as much as the most restless one is spread: that a value has not moved
        in a few draws proves nothing.
        """
        counts = np.maximum(self.counts, 1)
        spreads = [square / _like(np.maximum(counts - 1, 1), square) for square in self.squares]
        if population is not None:
            once_more = counts % population
            between = (
                once_more * (1 - once_more / population) / counts
            )  # the share of the spread between draws that counts
            spreads = [
                _like(between, spread) * spread + _like(1 - between, half) * half / _like(counts, half)
                for spread, half in zip(spreads, self.halves, strict=True)
            ]
        restless = np.max([spread.reshape(len(counts), -1).max(1) for spread in spreads], axis=0)
        more = restless / (counts + 1) * careful
        return [
            np.sqrt((spread + _like(more, spread)) / _like(counts, spread)).astype(np.float32)
            for spread in spreads
        ]


def _like(of_rows: NDArray, array: NDArray) -> NDArray:
    """(rows,) as (rows, 1, 1 ...)."""
    return of_rows.reshape(-1, *[1] * (array.ndim - 1))


def of_tokens(paths: Paths) -> tuple[bool, ...]:
    """For each explained input, whether it is token ids, which are explained at their embeddings."""
    return tuple(isinstance(place, Embedded) for place in paths.network.places if place is not None)


def uncertainty_of(paths: Paths, blocks: Sequence[Sampled], lengths: bool = False) -> Uncertainty:
    """How sure the values of all blocks are.

    lengths: of token ids, the value is the length of a mean over embeddings, and moves by the length of its errors at most;
    otherwise it is a sum, of which the statistic took care.
    """
    parts: dict[str, list[list[NDArray]]] = {"errors": [], "lows": [], "highs": []}
    for block in blocks:
        for part in parts.values():
            part.append([])
        for tokens, *arrays in zip(of_tokens(paths), block.means, block.errors, block.widths, strict=True):
            mean, error, width = arrays
            if tokens:
                mean = np.linalg.norm(mean, axis=-1) if lengths else mean.sum(-1)
                error, width = np.linalg.norm(error, axis=-1), np.linalg.norm(width, axis=-1)
            for name, array in (("errors", error), ("lows", mean - width), ("highs", mean + width)):
                parts[name][-1].append(array)
    joined = {name: [np.concatenate(each) for each in zip(*of, strict=True)] for name, of in parts.items()}
    half = (_side_by_side(joined["highs"]) - _side_by_side(joined["lows"])).max(0) / 2
    converged = [block.converged for block in blocks if block.converged is not None]
    return Uncertainty(
        **{name: _in_places(paths, arrays) for name, arrays in joined.items()},
        passes=np.concatenate([block.counts for block in blocks]),
        reached=half,
        converged=np.concatenate(converged) if converged else None,
    )


def _in_places(paths: Paths, arrays: Sequence[NDArray]) -> list[NDArray | None]:
    rest = iter(arrays)
    return [None if place is None else next(rest) for place in paths.network.places]
