"""Draws in pairs that mirror each other, and the linear part of what they give, which is known without error."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

PENALTIES = np.geomspace(1e-5, 100, 22)  # of the ridge regression, in units of the largest variance


@dataclasses.dataclass(frozen=True)
class LinearPart:
    """Of K numbers that draws gave, what a linear function of the draws' features explains.

    weights: (F, K) of the function, which is 0 at the features' mean.
    rest:    (N, K) what it leaves of each draw, if it is fitted without the pair of that draw.
    """

    weights: NDArray
    rest: NDArray


def linear_part(features: NDArray, mean: float, numbers: NDArray) -> LinearPart:
    """By ridge regression on the differences of pairs, which are free of all that mirrored draws have in common.

    Its penalty is that with the least error on pairs which were left out.

    features: (N, F), of the draws 0 and 1, 2 and 3 ... of pairs; a last one may be alone. mean: of each feature, over draws.
    numbers:  (N, K).

    Hoerl, Kennard: Ridge regression, 1970. doi:10.1080/00401706.1970.10488634; leaving out: Allen, 1974.
    doi:10.1080/00401706.1974.10489157; antithetic and control variates: Owen, Monte Carlo theory, methods and examples, 2013,
    chapter 8. https://artowen.su.domains/mc/
    """
    paired = len(features) // 2 * 2
    first, second = features[0:paired:2], features[1:paired:2]
    apart, centred = first - second, features - mean
    differences = numbers[0:paired:2] - numbers[1:paired:2]
    if not paired:
        return LinearPart(np.zeros((features.shape[1], numbers.shape[1])), numbers)
    sizes, directions = _spectrum(apart)
    along = apart @ directions
    weights, rest = np.empty((features.shape[1], numbers.shape[1])), np.empty(numbers.shape)
    for k, difference in enumerate(differences.T):
        tried = [
            _left_out(along, sizes, penalty * sizes.max(initial=1e-30), difference) for penalty in PENALTIES
        ]
        scale, coefficients, left = min(tried, key=lambda found: (found[2] ** 2).mean())
        weights[:, k] = directions @ coefficients
        rest[:, k] = numbers[:, k] - centred @ weights[:, k]
        # Without its own pair the function has other weights, which differ along that pair.
        moved = (centred[:paired] @ directions * scale).reshape(len(left), 2, len(sizes))
        rest[:paired, k] += (np.einsum("pif,pf->pi", moved, along) * left[:, None]).reshape(-1)
    return LinearPart(weights, rest)


def _spectrum(apart: NDArray) -> tuple[NDArray, NDArray]:
    """Squared singular values (R,), and directions (F, R) in the space of features."""
    if len(apart) >= apart.shape[1]:
        sizes, directions = np.linalg.eigh(apart.T @ apart)
        return np.maximum(sizes, 0), directions
    sizes, turned = np.linalg.eigh(apart @ apart.T)
    keep = sizes > 1e-12 * max(sizes[-1], 1e-30)
    return sizes[keep], apart.T @ turned[:, keep] / np.sqrt(sizes[keep])


def _left_out(
    along: NDArray, sizes: NDArray, penalty: float, difference: NDArray
) -> tuple[NDArray, NDArray, NDArray]:
    """Scale of each direction, coefficients, and what is left of each pair by a fit without it."""
    scale = 1 / (sizes + penalty)
    coefficients = scale * (along.T @ difference)
    taken = (along**2) @ scale
    return scale, coefficients, (difference - along @ coefficients) / np.maximum(1 - taken, 1e-6)
