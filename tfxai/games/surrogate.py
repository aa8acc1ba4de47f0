"""A stand-in for a game whose Shapley values are known, learned from the coalitions that were seen."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from threadpoolctl import ThreadpoolController

from tfxai.games.functionals import Functional, krawtchouk, sums_by_members

ODD = (1, 3, 5)  # orders of effects on v(S) - v(all but S), where those of even orders take each other off
EVEN = (0, 2, 4, 6)  # of those on v(S) + v(all but S)
FITTED = 1024  # pairs that it is learned from, at most: solving takes their number to the third
TRIED = 200  # pairs on which its settings are chosen
SECOND = (0.0, 0.03, 0.1, 0.3, 1.0)  # variance of orders 3 and 4, beside 1 of those below
THIRD = (0.0, 0.1, 0.5)  # of orders 5 and 6, beside those of 3 and 4
REST = (1e-6, 0.01, 0.05, 0.2)  # of what no order explains, beside all of them
KEPT = 4  # settings whose inverse covariances are kept, of 8 MB each at most
CHUNK = 4096  # pairs that are predicted at a time


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fitted surrogate of K games.

    left:    (M, K) what it leaves unexplained of each pair.
    unseen:  (M, K) what it would leave unexplained of each pair if it had not been learned from it.
    learned: bool (L, players) the coalitions that it was learned from.
    effects: by order (L, K), by how much each of these pulls the effects of an order, on average over these.
    """

    left: NDArray
    unseen: NDArray
    learned: NDArray[np.bool_]
    effects: dict[int, NDArray]

    @classmethod
    def of_nothing(cls, learned: NDArray[np.bool_], game: NDArray) -> Fit:
        """One that explains nothing of a game (M, K)."""
        return cls(game, game, learned, {})

    def read(self, functional: Functional) -> NDArray[np.float64]:
        """What each player, or each two, are said to add to it; v is half the function of pairs that it has learned."""
        players, members = self.learned.shape[1], functional.members
        hidden = (~self.learned).sum(1)
        numbers = np.zeros((len(self.learned), members + 1, self.left.shape[1]))
        for order, pulls in self.effects.items():
            if order < members:
                continue
            others = krawtchouk(players - members, order - members)
            scale = functional.effect(order) / 2 / math.comb(players, order)
            for missing in range(members + 1):
                of_others = others[np.clip(hidden - missing, 0, players - members)]
                numbers[:, missing] += (-1) ** missing * scale * of_others[:, None] * pulls
        return sums_by_members(self.learned, numbers)


class Surrogate:
    """Gaussian process on pairs: f(S) = v(S) - v(all but S), a sum of effects of one, three and five players.

    Or, even, f(S) = v(S) + v(all but S), a sum of a constant and effects of two, four and six.

    All effects of one order have the same variance a priori, so that the covariance of two pairs depends on how many players
    they agree on (a Krawtchouk polynomial); the variances are those under which what was seen is most likely.

    rows: bool (M, players), of each pair one coalition; everybody (with nobody) first.
    even: whether it is of sums.

    Rasmussen, Williams: Gaussian Processes for Machine Learning, 2006, equations 2.25, 2.30 and 5.12; that pairs know odd
    orders alone: arXiv:2601.18608
    """

    def __init__(self, rows: NDArray[np.bool_], even: bool = False) -> None:
        self.players = rows.shape[1]
        self._rows = rows
        self._signs = np.where(rows, 1.0, -1.0)
        self._learned = _evenly(rows, FITTED)
        self._orders = [order for order in (EVEN if even else ODD) if order <= self.players]
        self._inverses: dict[tuple[float, ...], NDArray] = {}
        self._covariances = {order: covariance(self.players, order) for order in self._orders}

    def fit(self, games: NDArray) -> Fit:
        """Of the pairs' numbers (M, K), one column for each game."""
        # Threads would gain little here, cost seconds where another process has the cores, and change the last bits.
        with _libraries().limit(limits=1, user_api="blas"):
            columns = [self._fitted(self._chosen(column), column) for column in games.T]
        lefts, unseens, effects = zip(*columns, strict=True)
        by_order = {order: np.stack([of[order] for of in effects], axis=1) for order in self._orders}
        return Fit(np.stack(lefts, 1), np.stack(unseens, 1), self._rows[self._learned], by_order)

    def _fitted(
        self, settings: tuple[float, ...], game: NDArray
    ) -> tuple[NDArray, NDArray, dict[int, NDArray]]:
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
        return left, unseen, {order: weight * factors for order, weight in weights.items()}

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
        for settings in _grid(self._orders):
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


@functools.cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def covariance(players: int, order: int) -> NDArray[np.float64]:
    """(players + 1,) by how many players two coalitions differ in; 1 where they are the same."""
    return krawtchouk(players, order) / math.comb(players, order)


def _grid(orders: list[int]) -> list[tuple[float, ...]]:
    above = sum(order > 2 for order in orders)
    seconds, thirds = SECOND if above else SECOND[:1], THIRD if above > 1 else THIRD[:1]
    return [
        (second, third, rest)
        for second in seconds
        for third in (thirds if second else (0.0,))
        for rest in REST
    ]


def _weights(orders: list[int], settings: tuple[float, ...]) -> tuple[dict[int, float], float]:
    """Variance of each order, and of the rest."""
    second, third, rest = settings
    of_steps = (
        1.0,
        second,
        second * third,
    )  # orders 1 and 2, 3 and 4, 5 and 6; a constant is like the lowest
    weights = {order: of_steps[max(order - 1, 0) // 2] for order in orders}
    return weights, rest * sum(weights.values())


def _evenly(rows: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Numbers of at most so many rows, the first of each size in turn; the row of everybody is the first of all."""
    sizes = np.minimum(rows.sum(1), (~rows).sum(1))
    turn = np.empty(len(rows), int)
    for size in np.unique(sizes):
        of_size = np.flatnonzero(sizes == size)
        turn[of_size] = np.arange(len(of_size))
    return np.sort(np.argsort(turn, kind="stable")[:most])
