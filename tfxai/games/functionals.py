"""What a player, or two together, add to a game: sums over all coalitions that treat players alike."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Index = Literal["k-SII", "STII", "FSII"]


@dataclasses.dataclass(frozen=True, eq=False)
class Functional:
    """A number for each player (members 1) or each two (members 2).

    It is linear in what coalitions are worth: the sum over sizes of the mean over the coalitions of a size of their worth, each
    times what the table says.

    players: of the game.
    members: 1 or 2.
    table:   (players + 1, members + 1) by size, and by how many of the members are not in the coalition.
    """

    players: int
    members: int
    table: NDArray[np.float64]

    def pair(self, size: int) -> NDArray[np.float64]:
        """(2, members + 1): the same for pairs whose coalition S has this size, of v(S) - v(all but S), and of their sum."""
        one, other = self.table[size], self.table[self.players - size][::-1]
        halves = 2 if 2 * size == self.players else 1  # either may stand for the pair
        return np.stack([one - other, one + other]) / 2 / halves

    def share(self, size: int) -> NDArray[np.float64]:
        """(members + 1,) how often so many of the members are missing in a coalition of a size."""
        inside, outside, every = size, self.players - size, self.players
        if self.members == 1:
            return np.array([inside, outside]) / every
        ways = [inside * (inside - 1), 2 * inside * outside, outside * (outside - 1)]
        return np.array(ways) / (every * (every - 1))

    def effect(self, order: int) -> float:
        """What the members get of a game that is the product of the signs (visible +, hidden -) of so many players, them among these."""
        return _effect(self, order)


@functools.lru_cache(maxsize=256)
def _effect(functional: Functional, order: int) -> float:
    rest, others = functional.players - functional.members, order - functional.members
    if others < 0:
        return 0.0
    mean = krawtchouk(rest, others) / math.comb(rest, others)
    found = 0.0
    for size, row in enumerate(functional.table):
        for missing, share in enumerate(functional.share(size)):
            hidden = functional.players - size - missing  # of the others
            if share and 0 <= hidden <= rest:
                found += row[missing] * share * (-1) ** missing * mean[hidden]
    return found


@functools.lru_cache(maxsize=64)
def shapley(players: int) -> Functional:
    """The Shapley value: (mean with a player - mean without) / size, over sizes."""
    table = np.zeros((players + 1, 2))
    table[1:, 0] = 1 / np.arange(1, players + 1)
    table[:-1, 1] = -1 / np.arange(players, 0, -1)
    return Functional(players, 1, table)


@functools.lru_cache(maxsize=64)
def together(players: int, index: Index) -> Functional:
    """What two players add together, beyond what each adds: v(T + both) - v(T + one) - v(T + other) + v(T), a mean over T.

    The indices differ in how much each size of T counts: "k-SII" all alike (Grabisch, Roubens, 1999), "STII" small ones more
    (Dhamdhere, Agarwal, Sundararajan, 2020. arXiv:1902.05622, definition 1), "FSII" middle ones (Tsai, Yeh, Ravikumar, 2022.
    arXiv:2203.00870, theorem 19).
    """
    n, sizes = players, np.arange(players - 1)
    counts = {
        "k-SII": np.full(n - 1, 1 / (n - 1)),
        "STII": 2 * (n - 1 - sizes) / (n * (n - 1)),
        "FSII": 6 * (sizes + 1) * (n - 1 - sizes) / ((n + 1) * n * (n - 1)),
    }[index]
    table = np.zeros((n + 1, 3))
    table[2:, 0] = counts * n * (n - 1) / ((sizes + 2) * (sizes + 1))
    table[1:-1, 1] = -counts * n * (n - 1) / ((sizes + 1) * (n - 1 - sizes))
    table[:-2, 2] = counts * n * (n - 1) / ((n - sizes) * (n - 1 - sizes))
    return Functional(n, 2, table)


@functools.lru_cache(maxsize=64)
def alone(players: int, index: Index) -> Functional:
    """What is left to a player alone beside all twos, so that all of them add up to v(all) - v(none).

    Of "STII" v(the player) - v(none). Of the others the Shapley value less half of what it adds together with each other.
    """
    if index == "STII":
        table = np.zeros((players + 1, 2))
        table[1, 0], table[0, 1] = players, -1
        return Functional(players, 1, table)
    table, two = shapley(players).table.copy(), together(players, index).table
    inside = np.arange(players + 1)
    outside = players - inside
    table[1:, 0] -= (np.maximum(inside - 1, 0) * two[:, 0] + outside * two[:, 1])[1:] / 2
    table[:-1, 1] -= (np.maximum(outside - 1, 0) * two[:, 2] + inside * two[:, 1])[:-1] / 2
    return Functional(players, 1, table)


def sums_by_members(rows: NDArray[np.bool_], numbers: NDArray) -> NDArray[np.float64]:
    """(players, K), or (players, players, K): for each player, or each two, the sum of the numbers of all coalitions; 0 diagonal.

    rows: bool (M, players). numbers: (M, members + 1, K), by how many of the members are missing in a coalition.
    """
    inside, outside = rows.astype(np.float64), (~rows).astype(np.float64)
    if numbers.shape[1] == 2:
        return inside.T @ numbers[:, 0] + outside.T @ numbers[:, 1]
    found = np.empty((rows.shape[1], rows.shape[1], numbers.shape[2]))
    for game, (both, one, none) in enumerate(np.moveaxis(numbers, (2, 1), (0, 1))):
        mixed = (inside * one[:, None]).T @ outside
        found[..., game] = (
            (inside * both[:, None]).T @ inside + (outside * none[:, None]).T @ outside + mixed + mixed.T
        )
        np.fill_diagonal(found[..., game], 0)
    return found


@functools.lru_cache(maxsize=256)
def krawtchouk(players: int, order: int) -> NDArray[np.float64]:
    """(players + 1,): the sum of the products of all `order` of so many signs, by how many of them are -1."""
    return np.array(
        [
            float(
                sum((-1) ** j * math.comb(m, j) * math.comb(players - m, order - j) for j in range(order + 1))
            )
            for m in range(players + 1)
        ]
    )
