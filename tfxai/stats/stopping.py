"""When is a mean known well enough? Looks at it that share one error probability, and how many draws the next one needs."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

SPENT = 0.7  # of the error probability that is left, by each look at which drawing may stop
FURTHEST = 1.6  # times as many draws at the next look: on the way, predictions get better
NEAREST = 1.07
HOPELESS = 1e6  # tolerances, beyond which a prediction says nothing
HOPE = 0.9  # of the way to the predicted number: the error often falls faster than its prediction


def reach(error: NDArray, freedom: int | None, values: int, risk: float) -> NDArray:
    """Half the width of intervals that hold for so many values together, but for a risk: a t-quantile (Bonferroni) x error.

    error: standard errors. freedom: degrees of freedom of these; None where nothing is left to chance. Of none, anything may be.
    """
    if freedom is None:
        return np.zeros_like(error)
    if freedom < 1:
        return np.full_like(error, np.inf)
    return error * float(t.isf(risk / (2 * max(values, 1)), freedom))


def needed(tolerance: float | str, values: NDArray, width: NDArray) -> NDArray:
    """(K,) how many tolerances wide half of the widest interval of each map is; at most 1 where it has converged.

    tolerance: a number, in units of the values, or a share of the largest magnitude among them, such as "1%".
    values, width: (parts, K) with half of the intervals.
    """
    limit = wanted(tolerance, np.abs(values).max(0, initial=0.0))
    widest = width.max(0, initial=0.0)
    unmet = np.where(np.isnan(widest), np.nan, np.where(widest > 0, np.inf, 0.0))
    return np.divide(widest, limit, out=unmet, where=limit > 0)


def wanted(tolerance: float | str, largest: NDArray) -> NDArray:
    """A tolerance in units of the values: itself, or its share of the largest, such as "1%"."""
    if isinstance(tolerance, str):
        return float(tolerance.rstrip(" %")) / 100 * largest
    return np.full_like(largest, tolerance)


@dataclasses.dataclass
class Looks:
    """Draws in rounds, until all values lie within a tolerance; without one, all draws in one round.

    A plain interval does not hold at a moment that was chosen because it looked narrow. So drawing may stop only at looks for
    which the number of draws was fixed before, from the error that was seen until then (Stein's stages), and these looks share
    the risk: 0.7 of it, then 0.7 of what is left ... Between them numbers grow by at most 1.6, and nothing is decided.

    tolerance:  see `needed`; None for none.
    confidence: with which all intervals of all looks hold together.
    most:       draws, after which there are no more.
    first:      draws before the first look.
    everything: draws after which nothing is left to chance; None where they can go on for ever.

    draws: how many there are to be at this look.

    Stein: A two-sample test for a linear hypothesis whose power is independent of the variance, 1945.
    doi:10.1214/aoms/1177731088
    """

    tolerance: float | str | None
    confidence: float
    most: int
    first: int
    everything: int | None = None
    draws: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.draws = self.most if self.tolerance is None else min(self.first, self.most)
        self._left, self._planned = 1 - self.confidence, False

    @property
    def risk(self) -> float:
        """That the intervals of this look do not hold."""
        return self._left if self.tolerance is None else self._left * SPENT

    def need(self, values: NDArray, width: NDArray) -> NDArray:
        """(K,) how many tolerances wide half of the widest interval of each map is; 0 without a tolerance. See `needed`."""
        if self.tolerance is None:
            return np.zeros(values.shape[1])
        return needed(self.tolerance, values, width)

    def converged(self, need: NDArray) -> NDArray[np.bool_] | None:
        """Which maps are within the tolerance; None without one."""
        return None if self.tolerance is None else need <= 1

    def end(self, need: float, values: int = 1) -> bool:
        """Whether drawing stops here; else `draws` are from now on those of the next look.

        need: half the widest interval, in tolerances; NaN where values are no numbers. values: that the intervals hold for.
        """
        if self.draws >= self.most or bool(np.isnan(need)) or (self._planned and need <= 1):
            return True
        if (
            self._planned
        ):  # this look could have been the last: its risk is spent, and the next interval is wider
            before = norm.isf(self.risk / (2 * values))
            self._left -= self.risk
            need *= float(norm.isf(self.risk / (2 * values)) / before)
        rest = 0.0 if self.everything is None else 1 / self.everything
        wanted = 1 / (rest + (1 / self.draws - rest) / min(max(need, 1.0), HOPELESS) ** 2)
        self._planned = wanted <= FURTHEST * self.draws
        wanted = self.draws + HOPE * (wanted - self.draws)
        wanted = int(np.clip(wanted, NEAREST * self.draws, FURTHEST * self.draws)) + 1
        self.draws = min(wanted, self.most)
        return False
