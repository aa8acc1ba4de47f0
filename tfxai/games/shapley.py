"""Shapley values from some of the pairs of a game: a surrogate's, corrected by what it leaves unexplained."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfxai.games.pairs import count_of
from tfxai.games.surrogate import Fit, Surrogate

TRUST = 4.0  # draws that what is known of the spread over all sizes counts for, beside those of one size


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Shapley values of K games.

    values:    (players, K) with the least error.
    corrected: (players, K) without bias; `error` is of these.
    error:     (players, K) standard error, from the spread of what the surrogate leaves unexplained.
    freedom:   degrees of freedom of the error; 0 where every coalition was seen, and the error is 0.
    """

    values: NDArray
    corrected: NDArray
    error: NDArray
    freedom: int


def estimated(surrogate: Surrogate, rows: NDArray[np.bool_], differences: NDArray, gain: NDArray) -> Estimate:
    """From pairs as `Pairs` draws them, in which each size is a sample without repeats.

    A player's share is a mean over the pairs of each size, added up over sizes: of c (v(S) - v(all but S)), with c = 1 / s for
    the s members of S, and -1 / (n - s) for the others, and half of it for pairs of halves. So what the surrogate f leaves
    unexplained is estimated by a stratified sample (each pair's by the surrogate that was learned without it), and added to
    its own shares. `values` take as much of the correction as stands out of chance (James and Stein).

    surrogate:   of the rows with that of everybody put first.
    rows:        bool (M, players), of each pair the coalition that is not larger.
    differences: (M, K) v(S) - v(all but S).
    gain:        (K,) v(everybody) - v(nobody).
    """
    players, sizes = rows.shape[1], rows.sum(1)
    even = gain / players
    rest = differences - (2 * sizes - players)[:, None] * even
    fit = surrogate.fit(np.concatenate([np.zeros((1, len(gain))), rest]))
    found = even + fit.values + fit.left[:1] / players
    correction, variance, freedom = np.zeros_like(found), np.zeros_like(found), 0
    everywhere = Unexplained.of(fit, sizes, players)
    for size in range(1, players // 2 + 1):
        chosen = np.flatnonzero(sizes == size)
        seen, there = len(chosen), count_of(players, size)
        shares = _shares(rows[chosen], size)
        found += shares.T @ fit.left[1 + chosen] / there
        if seen < there:
            parts = shares[:, :, None] * fit.unseen[1 + chosen][:, None]
            correction += (1 - seen / there) * parts.sum(0) / max(seen, 1)
            variance += (1 - seen / there) * everywhere.variance(parts, fit.unseen[1 + chosen], size)
            freedom += max(seen - 1, 0)
    share = _beyond_chance(correction, variance)
    unsure = len(rows) < sum(count_of(players, size) for size in range(1, players // 2 + 1))
    return Estimate(
        found + share * correction, found + correction, np.sqrt(variance), max(freedom, 1) if unsure else 0
    )


@dataclasses.dataclass(frozen=True)
class Unexplained:
    """What a surrogate leaves unexplained in the sizes of which not all pairs were seen.

    players: of the game.
    pooled:  (K,) its mean square over these sizes.
    worst:   (K,) its largest square over all.
    """

    players: int
    pooled: NDArray
    worst: NDArray

    @classmethod
    def of(cls, fit: Fit, sizes: NDArray, players: int) -> Unexplained:
        """sizes: (M,) of the pairs."""
        squares = fit.unseen[1:] ** 2
        if not len(squares):  # nothing was seen, so it may be anything
            unknown = np.full(squares.shape[1], np.inf)
            return cls(players, unknown, unknown)
        whole = [size for size in np.unique(sizes) if (sizes == size).sum() == count_of(players, int(size))]
        chosen = squares[~np.isin(sizes, whole)]
        return cls(players, (chosen if len(chosen) else squares).mean(0), squares.max(0))

    def variance(self, parts: NDArray, unseen: NDArray, size: int) -> NDArray:
        """(players, K) of the mean over one size, were its pairs without end.

        parts: (M, players, K) what each pair adds to the mean; unseen: (M, K) the same without the players' weights.
        """
        seen = len(parts)
        weight = 1 / (size * (self.players - size)) / (4 if 2 * size == self.players else 1)
        known = np.maximum(self.pooled, (unseen**2).mean(0)) if seen else self.pooled
        own = parts.var(0, ddof=1) if seen > 1 else np.zeros((self.players, len(known)))
        trusted = max(seen - 1, 0)
        spread = (trusted * own + TRUST * known * weight) / (trusted + TRUST)
        # The next one may be like the worst that was seen of any size: no spread among a few proves nothing.
        surprise = self.worst * weight / (seen + 1)
        return (spread + surprise) / max(seen, 1)


def _shares(rows: NDArray[np.bool_], size: int) -> NDArray[np.float64]:
    """(M, players) with what a pair's difference counts for each player."""
    players = rows.shape[1]
    shares = np.where(rows, 1 / size, -1 / (players - size))
    return shares / 2 if 2 * size == players else shares


def _beyond_chance(correction: NDArray, variance: NDArray) -> NDArray:
    """(K,) the share of the correction that is not expected of chance alone, 0 to 1."""
    size = (correction**2).sum(0)
    return np.maximum(0, 1 - np.divide(variance.sum(0), size, out=np.ones_like(size), where=size > 0))
