"""Games so small that all coalitions can be listed, with their Shapley values by definition.

A game of n players is a table (2^n,) of what each coalition is worth; bit i of its number says whether player i is in it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np


def members(players: int) -> np.ndarray:
    """bool (2^n, n), in the order of a table."""
    return (np.arange(2**players)[:, None] >> np.arange(players)) & 1 == 1


def shapley_values(table: np.ndarray) -> np.ndarray:
    """(n,) by definition: what a player adds, over all orders in which they could come."""
    players = int(math.log2(len(table)))
    inside, values = members(players), np.zeros(players)
    sizes = inside.sum(1)
    chances = np.array([1 / (players * math.comb(players - 1, size)) for size in range(players)])
    for player in range(players):
        without = np.flatnonzero(~inside[:, player])
        values[player] = (chances[sizes[without]] * (table[without + 2**player] - table[without])).sum()
    return values


def dividends(table: np.ndarray) -> np.ndarray:
    """(2^n,) what each set of players adds that none of its parts adds (Harsanyi, Möbius)."""
    found = table.astype(float).copy()
    for player in range(int(math.log2(len(table)))):
        inside = np.flatnonzero(members(int(math.log2(len(table))))[:, player])
        found[inside] -= found[inside - 2**player]
    return found


def interactions(table: np.ndarray, index: str) -> np.ndarray:
    """(n, n) what each two players add together, by definition; on the diagonal what is left to each.

    From dividends (Grabisch, 1997; Sundararajan and others, 2020), or by the closest game of second order (Tsai and others, 2022).
    """
    players = int(math.log2(len(table)))
    if index == "FSII":
        return closest_of_second_order(table)
    inside, worth, found = members(players), dividends(table), np.zeros((players, players))
    sizes = inside.sum(1)
    for i, j in itertools.combinations(range(players), 2):
        both = np.flatnonzero(inside[:, i] & inside[:, j])
        ways = sizes[both] - 1 if index == "k-SII" else sizes[both] * (sizes[both] - 1) / 2
        found[i, j] = found[j, i] = (worth[both] / ways).sum()
    alone = worth[2 ** np.arange(players)]
    if index == "k-SII":
        alone = shapley_values(table) - found.sum(1) / 2
    return found + np.diag(alone)


def closest_of_second_order(table: np.ndarray) -> np.ndarray:
    """Least squares over all coalitions, weighed by the Shapley kernel; that of nobody and of everybody are met."""
    players = int(math.log2(len(table)))
    inside = members(players)
    twos = list(itertools.combinations(range(players), 2))
    x = np.concatenate([inside, np.stack([inside[:, i] & inside[:, j] for i, j in twos], 1)], 1).astype(float)
    sizes = inside.sum(1)
    some = np.flatnonzero((sizes > 0) & (sizes < players))
    weights = [1 / (math.comb(players, size) * size * (players - size)) for size in sizes[some].tolist()]
    normal = x[some].T @ (np.array(weights)[:, None] * x[some])
    right = x[some].T @ (weights * (table[some] - table[0]))
    whole = np.block([[normal, x[-1:].T], [x[-1:], np.zeros((1, 1))]])
    solved = np.linalg.lstsq(whole, np.append(right, table[-1] - table[0]), rcond=None)[0]
    found = np.diag(solved[:players])
    for (i, j), value in zip(twos, solved[players:], strict=False):
        found[i, j] = found[j, i] = value
    return found


def pairwise(players: int, generator: np.random.Generator) -> np.ndarray:
    """Effects of players and of some pairs."""
    inside = members(players).astype(float)
    among = np.triu(generator.normal(size=(players, players)), 1) * (
        generator.random((players, players)) < 0.3
    )
    return inside @ generator.normal(size=players) + np.einsum("mi,ij,mj->m", inside, among, inside)


def network(players: int, generator: np.random.Generator) -> np.ndarray:
    """A network with two hidden layers."""
    hidden = members(players).astype(float)
    for width in (players, 16):
        hidden = np.maximum(hidden @ generator.normal(size=(width, 16)) + generator.normal(size=16), 0)
    return hidden @ generator.normal(size=16) / 16


def softmax(players: int, generator: np.random.Generator) -> np.ndarray:
    """The probability of one of three classes of a linear model."""
    logits = members(players) @ generator.normal(size=(players, 3)) + generator.normal(size=3)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds[:, 0] / odds.sum(1)


def rules(players: int, generator: np.random.Generator) -> np.ndarray:
    """A sum of "all of these" and "any of these", of two to four players each."""
    table = np.zeros(2**players)
    for _ in range(8):
        some = generator.choice(players, generator.integers(2, 5), replace=False)
        inside = members(players)[:, some]
        table += generator.normal() * (inside.all(1) if generator.random() < 0.5 else inside.any(1))
    return table


def unanimity(players: int, generator: np.random.Generator) -> np.ndarray:
    """Almost nothing, unless half of the players or more are all there."""
    some = generator.choice(players, generator.integers(players // 2, players), replace=False)
    return members(players)[:, some].all(1) + 0.02 * members(players) @ generator.normal(size=players)


def rare(players: int, generator: np.random.Generator) -> np.ndarray:
    """Small effects, and large ones of four to six players together."""
    table = 0.3 * members(players) @ generator.normal(size=players)
    for _ in range(3):
        some = generator.choice(players, generator.integers(4, min(7, players)), replace=False)
        table = table + 3 * generator.normal() * members(players)[:, some].all(1)
    return table


def spikes(players: int, generator: np.random.Generator) -> np.ndarray:
    """A network, and one coalition in a hundred is worth anything, as much as all others differ."""
    table = network(players, generator)
    chosen = generator.random(2**players) < 0.01
    return table + chosen * generator.normal(size=2**players) * np.ptp(table)


def noise(players: int, generator: np.random.Generator) -> np.ndarray:
    """Each coalition by itself."""
    return generator.normal(size=2**players)


USUAL: dict[str, Callable] = {f.__name__: f for f in (pairwise, network, softmax, rules)}
HARD: dict[str, Callable] = {f.__name__: f for f in (unanimity, rare, spikes, noise)}


def of_order(players: int, order: int, generator: np.random.Generator) -> np.ndarray:
    """Effects of up to so many players together, all of the same size."""
    table = np.zeros(2**players)
    for size in range(1, order + 1):
        for some in itertools.combinations(range(players), size):
            table += generator.normal() * members(players)[:, some].all(1)
    return table
