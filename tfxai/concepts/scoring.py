"""TCAV scores from derivatives along concept vectors, and whether they are more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tfxai.concepts.runs import Runs
from tfxai.stats import permutation, welch

CHANCE = 0.95  # quantile of the accuracy of guessing that a concept's must exceed


def scores_and_magnitudes(
    slopes: Sequence[Sequence[NDArray]], runs: Runs
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two arrays (T, C + 1, L, R): the share of images with a positive derivative, and the mean derivative.

    slopes: for each target and layer (N, (C + 1) * R), random vectors last.
    """
    by_run = [
        [along.reshape(len(along), -1, runs.count) for along in of_target] for of_target in slopes
    ]  # (T, L, N, C + 1, R)
    scores = [[(along > 0).mean(axis=0) for along in of_target] for of_target in by_run]
    magnitudes = [[along.mean(axis=0) for along in of_target] for of_target in by_run]
    return (
        np.moveaxis(np.array(scores, np.float32), 1, 2),
        np.moveaxis(np.array(magnitudes, np.float32), 1, 2),
    )


def learned(accuracies: NDArray[np.float32], runs: Runs) -> NDArray[np.bool_]:
    """(C, L): whether a concept's mean accuracy is above what guessing reaches in 19 of 20 cases.

    accuracies: (C, L, R), on held-out images.
    """
    # Guessing is measured on as many held-out images of each kind as there are of the smaller.
    tested = 2 * (np.minimum(runs.positives, runs.negatives) // 2)
    guessed = binom.ppf(CHANCE, tested, 0.5) / tested
    return accuracies.mean(axis=-1) > guessed[:, None]


def overlaps(runs: Runs) -> NDArray[np.float64]:
    """(C,): variance that a concept's runs share, over that between them; see `tfxai.stats.significance.welch`."""
    if runs.against == "concepts":  # all images are the same in every run
        return np.ones(len(runs.concepts))
    # Variance of a mean of n images is 1 / n, that of a random half of them 1 / n more; random sets are new each run.
    shared = 1 / runs.positives
    return shared / (shared + 2 / runs.negatives)


def p_values(
    scores: NDArray[np.float32], learned: NDArray[np.bool_], overlaps: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two arrays (T, C, L), by Welch's test and by permutations; NaN where a concept is not learned.

    scores: (T, C + 1, L, R), those of random sets last. learned: (C, L). overlaps: (C,).
    """
    shape = (len(scores), *learned.shape)
    by_welch, by_permutation = np.full(shape, np.nan), np.full(shape, np.nan)
    for t, c, k in np.ndindex(shape):
        if learned[c, k]:
            tested, chance = scores[t, c, k], scores[t, -1, k]
            by_welch[t, c, k] = welch(tested, chance, float(overlaps[c]), seed)
            by_permutation[t, c, k] = permutation(tested, chance, seed)
    return by_welch, by_permutation
