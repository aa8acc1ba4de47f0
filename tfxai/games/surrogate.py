"""A stand-in for a game whose Shapley values are known, learned from the coalitions that were seen."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from threadpoolctl import ThreadpoolController

ORDERS = (1, 3, 5)  # of interactions; what even ones add, a pair takes off again
FITTED = 1024  # pairs that it is learned from, at most: solving takes their number to the third
TRIED = 200  # pairs on which its settings are chosen
THIRD = (0.0, 0.03, 0.1, 0.3, 1.0)  # variance of third orders, beside 1 of the first
FIFTH = (0.0, 0.1, 0.5)  # of fifth orders, beside the third
REST = (1e-6, 0.01, 0.05, 0.2)  # of what no order explains, beside all of them
KEPT = 4  # settings whose inverse covariances are kept, of 8 MB each at most
CHUNK = 4096  # pairs that are predicted at a time


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fitted surrogate of K games.

    values: (players, K) its Shapley values.
    left:   (M, K) what it leaves unexplained of each pair.
    unseen: (M, K) what it would leave unexplained of each pair if it had not been learned from it.
    """

    values: NDArray
    left: NDArray
    unseen: NDArray


class Surrogate:
    """Gaussian process on pairs: f(S) = v(S) - v(all but S), a sum of effects of one, three and five players.

    All effects of one order have the same variance a priori, so that the covariance of two pairs depends on how many players
    they agree on (a Krawtchouk polynomial); the variances are those under which what was seen is most likely.

    rows: bool (M, players), of each pair one coalition; everybody (against nobody) first.

    Rasmussen, Williams: Gaussian Processes for Machine Learning, 2006, equations 2.25, 2.30 and 5.12; that pairs know odd
    orders alone: arXiv:2601.18608
    """

    def __init__(self, rows: NDArray[np.bool_]) -> None:
        self.players = rows.shape[1]
        self._signs = np.where(rows, 1.0, -1.0)
        self._learned = _evenly(rows, FITTED)
        self._orders = [order for order in ORDERS if order <= self.players]
        self._inverses: dict[tuple[float, ...], NDArray] = {}
        self._covariances = {order: covariance(self.players, order) for order in self._orders}

    def fit(self, games: NDArray) -> Fit:
        """Of the pairs' numbers (M, K), one column for each game."""
        # Threads would gain little here, cost seconds where another process has the cores, and change the last bits.
        with _libraries().limit(limits=1, user_api="blas"):
            columns = [self._fitted(self._chosen(column), column) for column in games.T]
        return Fit(*(np.stack(parts, axis=1) for parts in zip(*columns, strict=True)))

    def _fitted(self, settings: tuple[float, ...], game: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        weights, rest = _weights(self._orders, settings)
        learned = self._learned
        inverse = self._inverse(settings)
        factors = inverse @ game[learned]
        left = np.empty_like(game)
        left[learned] = rest * factors
        unseen = np.empty_like(game)
        unseen[learned] = factors / np.diag(inverse)
        others = np.setdiff1d(np.arange(len(game)), learned)
        for first in range(0, len(others), CHUNK):
            part = others[first : first + CHUNK]
            left[part] = unseen[part] = game[part] - self._between(part, learned, weights) @ factors
        return self._sections(weights) @ factors, left, unseen

    def _chosen(self, game: NDArray) -> tuple[float, ...]:
        """The settings under which the game is most likely, whatever its scale."""
        tried = game[self._tried]
        likelihoods = []
        for _, triangle, logarithm in self._triangles:
            white = solve_triangular(triangle, tried, lower=True, check_finite=False)
            likelihoods.append(-len(tried) / 2 * np.log(white @ white + 1e-300) - logarithm)
        return self._triangles[int(np.argmax(likelihoods))][0]

    @functools.cached_property
    def _tried(self) -> NDArray[np.int64]:
        order = np.random.default_rng(0).permutation(len(self._learned) - 1)[: TRIED - 1]
        return self._learned[np.append(0, 1 + order)]

    @functools.cached_property
    def _triangles(self) -> list[tuple[tuple[float, ...], NDArray, float]]:
        """For all settings the Cholesky factor of the covariance of the pairs tried, and the logarithm of its determinant's root."""
        found = []
        for settings in _grid(self.players):
            weights, rest = _weights(self._orders, settings)
            matrix = self._between(self._tried, self._tried, weights)
            triangle = np.linalg.cholesky(matrix + rest * np.eye(len(matrix)))
            found.append((settings, triangle, float(np.log(np.diag(triangle)).sum())))
        return found

    def _inverse(self, settings: tuple[float, ...]) -> NDArray:
        """Of the covariance of the pairs that are learned from; the last few are kept."""
        if settings in self._inverses:
            return self._inverses[settings]
        weights, rest = _weights(self._orders, settings)
        matrix = self._between(self._learned, self._learned, weights)
        factor = cho_factor(matrix + rest * np.eye(len(matrix)), check_finite=False)
        if len(self._inverses) == KEPT:
            del self._inverses[next(iter(self._inverses))]
        self._inverses[settings] = cho_solve(factor, np.eye(len(matrix)), check_finite=False)
        return self._inverses[settings]

    def _between(self, first: NDArray, second: NDArray, weights: dict[int, float]) -> NDArray:
        """Covariances (M, N) of pairs."""
        differ = np.rint((self.players - self._signs[first] @ self._signs[second].T) / 2).astype(int)
        table = sum(weight * self._covariances[order] for order, weight in weights.items())
        return np.asarray(table)[differ]

    def _sections(self, weights: dict[int, float]) -> NDArray:
        """(players, M) Shapley values of the covariance with each pair that was learned from.

        An effect of k players, of size 1, gives each of them 1 / k.
        """
        signs = self._signs[self._learned]
        hidden = (signs < 0).sum(1)
        found = np.zeros((self.players, len(signs)))
        for order, weight in weights.items():
            others = krawtchouk(self.players - 1, order - 1)
            others_hidden = hidden[None] - (signs.T < 0)
            scale = weight / (order * math.comb(self.players, order))
            found += scale * signs.T * others[others_hidden]
        return found


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


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


def covariance(players: int, order: int) -> NDArray[np.float64]:
    """(players + 1,) by how many players two coalitions differ in; 1 where they are the same."""
    return krawtchouk(players, order) / math.comb(players, order)


def _grid(players: int) -> list[tuple[float, ...]]:
    thirds = THIRD if players >= 3 else THIRD[:1]
    fifths = FIFTH if players >= 5 else FIFTH[:1]
    return [
        (third, fifth, rest) for third in thirds for fifth in (fifths if third else (0.0,)) for rest in REST
    ]


def _weights(orders: list[int], settings: tuple[float, ...]) -> tuple[dict[int, float], float]:
    """Variance of each order, and of the rest."""
    third, fifth, rest = settings
    weights = {order: (1.0, third, third * fifth)[order // 2] for order in orders}
    return weights, rest * sum(weights.values())


def _evenly(rows: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Numbers of at most so many rows, the first of each size in turn; the row of everybody is the first of all."""
    sizes = np.minimum(rows.sum(1), (~rows).sum(1))
    turn = np.empty(len(rows), int)
    for size in np.unique(sizes):
        of_size = np.flatnonzero(sizes == size)
        turn[of_size] = np.arange(len(of_size))
    return np.sort(np.argsort(turn, kind="stable")[:most])
