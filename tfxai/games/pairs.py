"""Pairs of a coalition and its complement, drawn without repeats, a size at a time."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

LEAST = 1  # pair of each size, so that none goes unheard


class Pairs:
    """Draws of one game, which go on where they stopped: asked for more, it keeps what it has drawn.

    Small coalitions are few, weigh most, and together tell all effects of low order (all of sizes 1 and 2 those of up to
    three players), so sizes are taken whole that cost at most half of what is left; the other pairs are shared evenly among
    the rest, which tell what no low order explains.

    players: how many there are.
    seed:    of the draws.
    singles: whether each player alone comes first.
    """

    def __init__(self, players: int, seed: int, singles: bool = False) -> None:
        self.players, self._singles = players, singles
        self._generator = np.random.default_rng(seed)
        self.there = {size: count_of(players, size) for size in range(1, players // 2 + 1)}
        self.taken = dict.fromkeys(self.there, 0)
        self._seen: dict[int, set[tuple[int, ...]]] = {size: set() for size in self.there}
        self._waiting: dict[int, list[tuple[int, ...]]] = {}

    @property
    def every(self) -> int:
        """How many pairs the game has, without that of nobody and everybody."""
        return sum(self.there.values())

    def upto(self, pairs: int) -> NDArray[np.bool_]:
        """Draws until so many pairs are there; bool (M, players) the new ones, of each the coalition that is not larger."""
        before = dict(self.taken)
        self._share(min(pairs, self.every))
        drawn = [self._of_size(size, self.taken[size] - before[size]) for size in self.there]
        return np.concatenate([*drawn, np.zeros((0, self.players), bool)])

    def _share(self, pairs: int) -> None:
        """Decides how many there are to be of each size."""
        left = pairs - sum(self.taken.values())
        for size, most in self.there.items():  # the smallest sizes first, if there is no room for all
            least = most if self._singles and size == 1 else min(LEAST, most)
            more = min(max(least - self.taken[size], 0), left)
            self.taken[size] += more
            left -= more
        for size, most in self.there.items():
            if 2 * (most - self.taken[size]) > left:
                break
            left -= most - self.taken[size]
            self.taken[size] = most
        open_sizes = [size for size, most in self.there.items() if self.taken[size] < most]
        while left > 0 and open_sizes:
            level = min(self.taken[size] for size in open_sizes)
            lowest = [size for size in open_sizes if self.taken[size] == level]
            for size in lowest[:left]:
                self.taken[size] += 1
            left -= min(left, len(lowest))
            open_sizes = [size for size in open_sizes if self.taken[size] < self.there[size]]

    def _of_size(self, size: int, count: int) -> NDArray[np.bool_]:
        rows = np.zeros((count, self.players), bool)
        for row in rows:
            row[list(self._next(size))] = True
        return rows

    def _next(self, size: int) -> tuple[int, ...]:
        """The members of a coalition of this size that was not drawn before."""
        seen, half = self._seen[size], 2 * size == self.players
        if size not in self._waiting and 2 * len(seen) >= self.there[size]:  # too many repeats: list the rest
            # Of two halves, the one with the first player stands for both.
            every = itertools.combinations(range(self.players), size)
            rest = [members for members in every if members not in seen and not (half and members[0])]
            self._waiting[size] = [rest[i] for i in self._generator.permutation(len(rest))]
        if size in self._waiting:
            return self._waiting[size].pop()
        while True:
            chosen = self._generator.choice(self.players - half, size - half, replace=False) + half
            members = tuple(sorted([*[0] * half, *chosen.tolist()]))
            if members not in seen:
                seen.add(members)
                return members


def count_of(players: int, size: int) -> int:
    """How many pairs there are whose smaller coalition has this size."""
    return math.comb(players, size) // (2 if 2 * size == players else 1)
