"""Correlation of two lists of numbers, of their values or of their ranks."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def pearson(first: NDArray, second: NDArray) -> float:
    """Pearson's correlation of two arrays of the same shape, -1 to 1; NaN where one of them is constant."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(np.corrcoef(first.reshape(-1), second.reshape(-1))[0, 1])


def spearman(first: NDArray, second: NDArray) -> float:
    """Spearman's rank correlation of two arrays of the same shape, -1 to 1; NaN where one of them is constant."""
    return pearson(ranks(first.reshape(-1)), ranks(second.reshape(-1)))


def spearman_of_pairs(maps: NDArray) -> NDArray[np.float64]:
    """(R, R) rank correlations of every pair of R maps (R, ...), over the places where all of them have a value.

    1 on the diagonal; NaN where one of two maps is constant.
    """
    flat = maps.reshape(len(maps), -1)
    known = flat[:, np.isfinite(flat).all(axis=0)]
    correlations = np.eye(len(flat))
    if known.size == 0:
        return np.where(correlations, 1.0, np.nan)
    for i, j in itertools.combinations(range(len(flat)), 2):
        correlations[i, j] = correlations[j, i] = spearman(known[i], known[j])
    return correlations


def ranks(values: NDArray) -> NDArray[np.float64]:
    """Ranks of values (places,), from 1; values that are equal share their mean rank.

    The same as SciPy's `rankdata`, and several times as fast for float32: each value is put before its place in one
    whole number, so that sorting does not have to carry the places along.
    """
    if values.dtype != np.float32:
        return rankdata(values)
    bits = (values + np.float32(0)).view(np.uint32)  # -0 becomes 0
    # Whole numbers in the order of the values: those below zero count backwards.
    ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    keys = np.sort(ordered.astype(np.uint64) << np.uint64(32) | np.arange(len(bits), dtype=np.uint64))
    sorted_values = (keys >> np.uint64(32)).astype(np.uint32)
    places = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    ends = np.append(np.flatnonzero(sorted_values[1:] != sorted_values[:-1]) + 1, len(sorted_values))
    starts = np.append(0, ends[:-1])
    ranked = np.empty(len(values))
    ranked[places] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranked
