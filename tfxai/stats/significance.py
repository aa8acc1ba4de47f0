"""Is a score larger than chance? Tests between runs, and their correction where there are many."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Correction = Literal["holm", "bonferroni", "benjamini_hochberg", "none"]
RESAMPLES = 9999  # permutations that are drawn where there are more


def welch(scores: ArrayLike, chance: ArrayLike, overlap: float = 0.0, seed: int = 0) -> float:
    """Two-sided p-value of "both kinds of runs have the same mean", by Welch's t-test.

    Where neither kind varies there is no t; the p-value is then that of `permutation`. It is never below `smallest`.

    scores, chance: (R,) and (Q,), one number for each run.
    overlap:        for `scores`: variance that the runs share, over the variance between them. Runs that draw again and
                    again from the same few images agree more than independent ones would; the variance of their mean is
                    made larger by as much.

    Nadeau, Bengio: Inference for the Generalization Error, 2003. doi:10.1023/A:1024068626366
    """
    scores, chance = np.asarray(scores, np.float64), np.asarray(chance, np.float64)
    if np.ptp(scores) == 0 and np.ptp(chance) == 0:
        return permutation(scores, chance, seed)
    spread = scores.std(ddof=1) * math.sqrt(1 + overlap * len(scores))
    test = stats.ttest_ind_from_stats(
        *(scores.mean(), spread, len(scores)),
        *(chance.mean(), chance.std(ddof=1), len(chance)),
        equal_var=False,
    )
    return max(float(test.pvalue), smallest(min(len(scores), len(chance))))


def permutation(scores: ArrayLike, chance: ArrayLike, seed: int = 0) -> float:
    """Two-sided p-value of the same, by which runs are of which kind: exact for up to 7 of each, else from 9999 draws.

    It needs no distribution, but takes all runs for independent. scores, chance: (R,) and (Q,).
    """
    return _permuted(np.asarray(scores), np.asarray(chance), "independent", seed)


def paired(first: ArrayLike, second: ArrayLike, overlap: float = 0.0, seed: int = 0) -> float:
    """Two-sided p-value of "run by run, the mean difference is zero", by a t-test.

    first, second: (R,), of the same runs. overlap: as for `welch`.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    if np.ptp(difference) == 0:
        return _permuted(difference, np.zeros_like(difference), "samples", seed)
    error = difference.std(ddof=1) * math.sqrt(1 / len(difference) + overlap)
    return float(2 * stats.t.sf(abs(difference.mean()) / error, len(difference) - 1))


def one_more(
    number: float,
    others: ArrayLike,
    least: float = 0.0,
    alternative: Literal["two-sided", "less"] = "two-sided",
) -> float:
    """p-value of "this number is one more draw from where the others came from", by the t-test of a prediction.

    NaN for fewer than two others, of which nobody can tell how far draws lie apart.

    others:      (K,), of a normal distribution; its mean and its spread are estimated from them, which the test knows.
    least:       standard deviation below which that of the draws cannot be, whatever the others look like.
    alternative: "less" asks only whether the number is too small.

    Hahn, Meeker: Statistical Intervals, 1991, chapter 4 (prediction of a single future observation)
    """
    others = np.asarray(others, np.float64)
    if len(others) < 2 or not np.isfinite([number, *others]).all():
        return float("nan")
    spread = max(float(others.std(ddof=1)), least) * math.sqrt(1 + 1 / len(others))
    apart = float(number - others.mean())
    t = apart / spread if spread > 0 else math.copysign(math.inf, apart) if apart else 0.0
    freedom = len(others) - 1
    return float(stats.t.cdf(t, freedom) if alternative == "less" else 2 * stats.t.sf(abs(t), freedom))


def smallest(runs: int) -> float:
    """The smallest p-value that a permutation test can give with so many runs of each kind; `welch` keeps to it too."""
    return 2 / min(math.comb(2 * runs, runs), RESAMPLES + 1)


def corrected(p_values: ArrayLike, correction: Correction) -> NDArray[np.float64]:
    """p-values of any shape as they are after so many tests; NaN (not tested) stays NaN and does not count.

    correction: "holm" or "bonferroni" (one false alarm among all tests), "benjamini_hochberg" (their share among the
                alarms), "none".
    """
    values = np.array(p_values, np.float64)
    tested = np.isfinite(values)
    raw = values[tested]
    if not raw.size or correction == "none":
        return values
    if correction == "bonferroni":
        values[tested] = np.minimum(raw * len(raw), 1)
    elif correction == "holm":
        values[tested] = _holm(raw)
    else:
        values[tested] = stats.false_discovery_control(raw)
    return values


def _holm(p_values: NDArray) -> NDArray:
    order = np.argsort(p_values)
    stepped = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def _permuted(first: NDArray, second: NDArray, kind: Literal["independent", "samples"], seed: int) -> float:
    if np.ptp(np.concatenate([first, second])) == 0:
        return 1.0
    test = stats.permutation_test(
        (first, second),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        permutation_type=kind,
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(seed),  # pyright: ignore[reportCallIssue]
    )
    return float(test.pvalue)
