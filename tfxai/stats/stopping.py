"""When is a mean known well enough? Looks at it that share one error probability, and how many draws the next one needs."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

SPENT = 0.7  # of the error probability that is left, by each look at which drawing may stop
FURTHEST = 1.6  # times as many draws at the next look: on the way, predictions get better
NEAREST = 1.07
HOPELESS = 1e6  # tolerances, beyond which a prediction says nothing
HOPE = 0.9  # of the way to the predicted number: the error often falls faster than its prediction


def reach(error: NDArray, freedom: int, values: int, risk: float) -> NDArray:
    """Half the width of intervals that hold for so many values together, but for a risk: a t-quantile (Bonferroni) x error.

    error: standard errors. freedom: degrees of freedom of these; 0 where nothing is left to chance.
    """
    if freedom < 1:
        return np.zeros_like(error)
    return error * float(t.isf(risk / (2 * max(values, 1)), freedom))


def needed(tolerance: float | str, values: NDArray, width: NDArray) -> NDArray:
    """(K,) how many tolerances wide half of the widest interval of each map is; at most 1 where it has converged.

    tolerance: a number, in units of the values, or a share of the largest magnitude among them, such as "1%".
    values, width: (parts, K) with half of the intervals.
    """
    largest = np.abs(values).max(0, initial=0.0)
    wanted = (
        float(tolerance.rstrip(" %")) / 100 * largest
        if isinstance(tolerance, str)
        else np.full_like(largest, tolerance)
    )
    widest = width.max(0, initial=0.0)
    unmet = np.where(np.isnan(widest), np.nan, np.where(widest > 0, np.inf, 0.0))
    return np.divide(widest, wanted, out=unmet, where=wanted > 0)


@dataclasses.dataclass
class Looks:
    """Draws in rounds, until all values lie within a tolerance.

    A plain interval does not hold at a moment that was chosen because it looked narrow. So drawing may stop only at looks for
    which the number of draws was fixed before, from the error that was seen until then (Stein's stages), and these looks share
    the risk: 0.7 of it, then 0.7 of what is left ... Between them numbers grow by at most 1.6, and nothing is decided.

    confidence: with which all intervals of all looks hold together.
    most:       draws, after which there are no more.
    everything: draws after which nothing is left to chance; None where they can go on for ever.

    Stein: A two-sample test for a linear hypothesis whose power is independent of the variance, 1945.
    doi:10.1214/aoms/1177731088
    """

    confidence: float
    most: int
    everything: int | None = None
    planned: bool = False
    left: float = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.left = 1 - self.confidence

    @property
    def risk(self) -> float:
        """That the interval of this look does not hold."""
        return self.left * SPENT

    def ends(self, draws: int, need: float) -> bool:
        """Whether drawing stops here. need: half the widest interval, in tolerances; NaN where values are no numbers."""
        return draws >= self.most or bool(np.isnan(need)) or (self.planned and need <= 1)

    def following(self, draws: int, need: float) -> int:
        """How many draws there should be at the next look; spends this one's risk if it could have been the last."""
        if self.planned:
            self.left -= self.risk
        rest = 0.0 if self.everything is None else 1 / self.everything
        wanted = 1 / (rest + (1 / draws - rest) / min(max(need, 1.0), HOPELESS) ** 2)
        self.planned = wanted <= FURTHEST * draws
        wanted = draws + HOPE * (wanted - draws)
        return min(int(np.clip(wanted, NEAREST * draws, FURTHEST * draws)) + 1, self.most)
