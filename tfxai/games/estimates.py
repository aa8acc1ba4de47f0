"""Shapley values and interactions from some of the pairs of a game: a surrogate's, corrected by what it leaves unexplained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.games.functionals import Functional, Index, alone, shapley, sums_by_members, together
from tfxai.games.pairs import count_of
from tfxai.games.surrogate import Fit, Surrogate

ENDLESS = 10**300  # pairs of a size: more have no place in a number, and none of them counts
TRUST = 4.0  # draws that what is known of the spread over all sizes counts for, beside those of one size


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What is known of K games: a number for each player (players, K), or for each two (players, players, K).

    values:    with the least error.
    corrected: without bias; `error` is of these.
    error:     standard error, from the spread of what the surrogate leaves unexplained.
    freedom:   degrees of freedom of the error; None where every coalition was seen, and the error is 0.
    """

    values: NDArray
    corrected: NDArray
    error: NDArray
    freedom: int | None

    @property
    def count(self) -> int:
        """How many numbers there are of each game."""
        players, *others = self.values.shape[:-1]
        return players * (players + 1) // 2 if others else players


@dataclasses.dataclass(frozen=True)
class Sample:
    """Pairs as `Pairs` draws them, in which each size is a sample without repeats, and what surrogates learned from them.

    rows: bool (M, players), of each pair the coalition that is not larger; that of everybody first.
    fits: surrogates of v(S) - v(all but S), less an even share of the gain; and of v(S) + v(all but S), if it is asked for.
    gain: (K,) v(everybody) - v(nobody).
    """

    rows: NDArray[np.bool_]
    fits: Sequence[Fit]
    gain: NDArray

    @classmethod
    def of(
        cls, rows: NDArray[np.bool_], inside: NDArray, outside: NDArray, surrogates: Sequence[Surrogate]
    ) -> Sample:
        """inside, outside: (M, K) what each coalition and the rest of the players are worth. surrogates: of the rows."""
        differences, sums = inside - outside, inside + outside
        gain, players = differences[0], rows.shape[1]
        odd = differences - (2 * rows.sum(1) - players)[:, None] * gain / players
        games = list(zip(surrogates, (odd, sums - sums.mean(0)), strict=False))
        if len(rows) < 2 ** (players - 1):
            return cls(rows, [of.fit(game) for of, game in games], gain)
        # All that there are: neither the order in which they came nor the rounding of a fit may show in the last bits.
        order = np.append(0, 1 + np.lexsort(rows[1:].T))
        return cls(rows[order], [Fit.of_nothing(rows[:1], game[order]) for _, game in games], gain)


def estimated(functional: Functional, sample: Sample) -> Estimate:
    """What a functional is of the games.

    It is a mean over the pairs of each size, added up over sizes. So what the surrogates leave unexplained is estimated by a
    stratified sample (each pair's by the surrogate that was learned without it), and added to their own numbers. `values`
    take as much of the correction as stands out of chance (James and Stein).
    """
    rows, fits = sample.rows, sample.fits
    sizes, players = rows.sum(1), rows.shape[1]
    found = np.asarray(sum(fit.read(functional) for fit in fits))
    if functional.members == 1:
        found += sample.gain / players
    seen_parts, unseen_parts = (
        np.empty((len(rows), functional.members + 1, found.shape[-1])) for _ in range(2)
    )
    seen_parts[:1], unseen_parts[:1] = _parts(functional, players, [fit.left[:1] for fit in fits]), 0
    variance, freedom = np.zeros_like(found), 0
    everywhere = Unexplained.of(fits, sizes[1:])
    for size in range(1, players // 2 + 1):
        chosen = 1 + np.flatnonzero(sizes[1:] == size)
        seen, there = len(chosen), float(min(count_of(players, size), ENDLESS))
        left, unseen = ([getattr(fit, name)[chosen] for fit in fits] for name in ("left", "unseen"))
        seen_parts[chosen] = _parts(functional, size, left) / there
        unseen_parts[chosen] = _parts(functional, size, unseen) * (1 - seen / there) / max(seen, 1)
        if seen < there:
            variance += (1 - seen / there) * everywhere.of_size(functional, size, rows[chosen], unseen)
            freedom += max(seen - 1, 0)
    found += sums_by_members(rows, seen_parts)
    correction = sums_by_members(rows, unseen_parts)
    if functional.members == 2:
        variance = np.where(_apart(players), variance, 0.0)
    share = _beyond_chance(correction, variance)
    unsure = len(rows) - 1 < sum(count_of(players, size) for size in range(1, players // 2 + 1))
    return Estimate(
        found + share * correction, found + correction, np.sqrt(variance), max(freedom, 1) if unsure else None
    )


def _parts(functional: Functional, size: int, left: Sequence[NDArray]) -> NDArray[np.float64]:
    """(M, members + 1, K) what each pair adds, by how many of the members are missing in its coalition.

    left: of M pairs of a size, of v(S) - v(all but S) and perhaps of the sum (M, K).
    """
    counts = functional.pair(size)
    return np.asarray(sum(count[:, None] * of[:, None] for count, of in zip(counts, left, strict=False)))


@dataclasses.dataclass(frozen=True)
class Unexplained:
    """What surrogates leave unexplained in the sizes of which not all pairs were seen.

    pooled: for each surrogate (K,) its mean square over these sizes.
    worst:  for each (K,) its largest square over all.
    """

    pooled: Sequence[NDArray]
    worst: Sequence[NDArray]

    @classmethod
    def of(cls, fits: Sequence[Fit], sizes: NDArray) -> Unexplained:
        """sizes: (M,) of the pairs, without that of everybody."""
        players = fits[0].learned.shape[1]
        squares = [fit.unseen[1:] ** 2 for fit in fits]
        if not len(sizes):  # nothing was seen, so it may be anything
            unknown = [np.full(square.shape[1], np.inf) for square in squares]
            return cls(unknown, unknown)
        whole = [size for size in np.unique(sizes) if (sizes == size).sum() == count_of(players, int(size))]
        chosen = ~np.isin(sizes, whole)
        chosen = chosen if chosen.any() else np.ones(len(sizes), bool)
        return cls([square[chosen].mean(0) for square in squares], [square.max(0) for square in squares])

    def of_size(
        self, functional: Functional, size: int, rows: NDArray[np.bool_], unseen: Sequence[NDArray]
    ) -> NDArray[np.float64]:
        """The variance of the mean of what pairs of one size add, were there pairs without end.

        rows: bool (M, players). unseen: for each surrogate (M, K).
        """
        seen = len(rows)
        weights = (functional.pair(size) ** 2 * functional.share(size)).sum(
            1
        )  # of what is left, squared, for a member
        known = [
            np.maximum(pooled, (of**2).mean(0)) if seen else pooled
            for pooled, of in zip(self.pooled, unseen, strict=True)
        ]
        # The next one may be like the worst that was seen of any size: no spread among a few proves nothing.
        surprise = _weighed(weights, self.worst) / (seen + 1)
        if seen < 2:
            return _weighed(weights, known) + surprise
        parts = _parts(functional, size, unseen)
        sums, squares = sums_by_members(rows, parts), sums_by_members(rows, parts**2)
        own = np.maximum(squares - sums**2 / seen, 0) / (seen - 1)
        spread = ((seen - 1) * own + TRUST * _weighed(weights, known)) / (seen - 1 + TRUST)
        return (spread + surprise) / seen


def _weighed(weights: NDArray, numbers: Sequence[NDArray]) -> NDArray[np.float64]:
    """(K,) a sum with weights; what has no weight may be endless."""
    return np.sum([weight * of for weight, of in zip(weights, numbers, strict=False) if weight], axis=0)


def _beyond_chance(correction: NDArray, variance: NDArray) -> NDArray:
    """(K,) the share of the correction that is not expected of chance alone, 0 to 1."""
    axes = tuple(range(correction.ndim - 1))
    size = (correction**2).sum(axes)
    return np.maximum(0, 1 - np.divide(variance.sum(axes), size, out=np.ones_like(size), where=size > 0))


def interactions(index: Index, sample: Sample) -> tuple[Estimate, Estimate]:
    """Shapley values, and all terms of an index in one matrix, on whose diagonal is what is left to each player alone.

    sample: with surrogates of differences and of sums; for "STII" it must hold each player alone.
    """
    players, gain = sample.rows.shape[1], sample.gain
    shares = estimated(shapley(players), dataclasses.replace(sample, fits=sample.fits[:1]))
    if players == 1:
        fields = {name: getattr(shares, name)[None] for name in ("values", "corrected", "error")}
        return shares, dataclasses.replace(shares, **fields)
    two, one = (estimated(of(players, index), sample) for of in (together, alone))
    if index != "STII":
        one = dataclasses.replace(one, values=shares.values - two.values.sum(1) / 2)
        return shares, _with_diagonal(two, one)
    # Single players are known, and what is missing to the gain is shared by all twos.
    values, corrected = (
        twos
        + (gain - one.values.sum(0) - twos.sum((0, 1)) / 2) * 2 / (players * (players - 1)) * _apart(players)
        for twos in (two.values, two.corrected)
    )
    return shares, _with_diagonal(dataclasses.replace(two, values=values, corrected=corrected), one)


def _with_diagonal(two: Estimate, one: Estimate) -> Estimate:
    twos = _apart(len(one.values))
    fields = {
        name: np.where(twos, getattr(two, name), getattr(one, name)[:, None])
        for name in ("values", "corrected", "error")
    }
    if two.freedom is None:  # the same but for rounding, which must not look like an interval
        fields["values"] = fields["corrected"]
    return dataclasses.replace(two, **fields)


def _apart(players: int) -> NDArray[np.bool_]:
    """(players, players, 1) true for each two, not on the diagonal."""
    return ~np.eye(players, dtype=bool)[..., None]
