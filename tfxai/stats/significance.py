"""Is a score larger than chance? Tests between runs, and their correction where there are many."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Correction = Literal["holm", "bonferroni", "benjamini_hochberg", "none"]


CORRECTIONS = ("holm", "bonferroni", "benjamini_hochberg", "none")


RESAMPLES = 9999  # permutations, where there are more


def welch(scores: ArrayLike, chance: ArrayLike, overlap: float = 0.0, seed: int = 0) -> float:
    """Two-sided p-value of "both kinds of runs have the same mean", by Welch's t-test.

    Where neither kind varies there is no t: then it is that of `permutation`. And it is never below `smallest`.

    scores, chance: (R,) and (Q,), of runs.
    overlap:        for `scores`: variance that the runs share, over the variance between them. Runs that draw again and
                    again from the same few images agree more than independent ones would; the variance of their mean is
                    made larger by as much.

    Nadeau, Bengio: Inference for the Generalization Error, 2003. doi:10.1023/A:1024068626366
    """
    ours, theirs = np.asarray(scores, np.float64), np.asarray(chance, np.float64)
    if np.ptp(ours) == 0 and np.ptp(theirs) == 0:
        return permutation(ours, theirs, seed)
    spread = ours.std(ddof=1) * math.sqrt(1 + overlap * len(ours))
    found = stats.ttest_ind_from_stats(
        *(ours.mean(), spread, len(ours)),
        *(theirs.mean(), theirs.std(ddof=1), len(theirs)),
        equal_var=False,
    )
    return max(float(found.pvalue), smallest(min(len(ours), len(theirs))))


def permutation(scores: ArrayLike, chance: ArrayLike, seed: int = 0) -> float:
    """Two-sided p-value of the same, by which runs are of which kind: exact for up to 7 of each, else from 9999 draws.

    It needs no distribution, but takes all runs for independent.
    """
    return _permuted(np.asarray(scores), np.asarray(chance), "independent", seed)


def paired(ones: ArrayLike, others: ArrayLike, overlap: float = 0.0, seed: int = 0) -> float:
    """Two-sided p-value of "run by run, the mean difference is zero", by a t-test.

    ones, others: (R,), of the same runs. overlap: as for `welch`.
    """
    difference = np.asarray(ones, np.float64) - np.asarray(others, np.float64)
    if np.ptp(difference) == 0:
        return _permuted(difference, np.zeros_like(difference), "samples", seed)
    error = difference.std(ddof=1) * math.sqrt(1 / len(difference) + overlap)
    return float(2 * stats.t.sf(abs(difference.mean()) / error, len(difference) - 1))


def smallest(runs: int) -> float:
    """The smallest p-value of a permutation test with so many runs of each kind; also of the others here."""
    return 2 / min(math.comb(2 * runs, runs), RESAMPLES + 1)


def corrected(p_values: ArrayLike, how: Correction) -> NDArray[np.float64]:
    """p-values as they are after so many tests; NaN (not tested) stays NaN and does not count.

    how: "holm" or "bonferroni" (one false alarm among all tests), "benjamini_hochberg" (their share among the alarms),
         "none".
    """
    values = np.array(p_values, np.float64)
    tested = np.isfinite(values)
    found = values[tested]
    count = len(found)
    if count and how == "bonferroni":
        values[tested] = np.minimum(found * count, 1)
    elif count and how == "holm":
        order = np.argsort(found)
        stepped = np.maximum.accumulate(found[order] * np.arange(count, 0, -1))
        found[order] = np.minimum(stepped, 1)
        values[tested] = found
    elif count and how == "benjamini_hochberg":
        values[tested] = stats.false_discovery_control(found)
    return values


def _permuted(ones: NDArray, others: NDArray, kind: str, seed: int) -> float:
    if np.ptp(np.concatenate([ones, others])) == 0:
        return 1.0
    return float(
        stats.permutation_test(
            (ones, others),
            lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
            permutation_type=kind,
            vectorized=True,
            n_resamples=RESAMPLES,
            random_state=np.random.default_rng(seed),  # pyright: ignore[reportCallIssue]
        ).pvalue
    )
