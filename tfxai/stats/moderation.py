"""Variances of many groups that have few numbers each: every group borrows from the others, as far as they are alike."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, polygamma


def moderated(variances: NDArray, freedom: int) -> tuple[NDArray[np.float64], float]:
    """(C,) better estimates of C variances, and their degrees of freedom; infinite where the groups show no differences.

    The groups' true variances are taken for draws of a scaled inverse chi-squared distribution, whose two numbers are estimated from
    all of them; an estimate is the mean of the group's own and the common one, each by its degrees of freedom.

    variances: (C,), above 0, of groups that are independent of each other. freedom: of each, 1 or more.

    Smyth: Linear models and empirical Bayes methods, 2004, section 6.2. doi:10.2202/1544-6115.1027
    """
    if len(variances) < 2:
        return np.asarray(variances, np.float64), float(freedom)
    logs = np.log(variances) - digamma(freedom / 2) + math.log(freedom / 2)
    extra = float(logs.var(ddof=1) - polygamma(1, freedom / 2))
    if extra <= 0:
        return np.full(len(variances), float(np.mean(variances))), math.inf
    prior = 2 * _trigamma_inverse(extra)
    common = math.exp(logs.mean() + digamma(prior / 2) - math.log(prior / 2))
    return (prior * common + freedom * np.asarray(variances)) / (prior + freedom), prior + freedom


def _trigamma_inverse(value: float) -> float:
    """The number whose trigamma is the value, by Newton's steps on 1 / trigamma, which is convex."""
    found = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, found))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, found))
        found += step
        if -step < 1e-8 * found:
            break
    return found
