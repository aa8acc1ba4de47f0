"""Draws in pairs that mirror each other, and the linear part of what they give, which is known without error."""

from __future__ import annotations

import dataclasses
import functools

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
    if len(features) < 2:
        return LinearPart(np.zeros((features.shape[1], numbers.shape[1])), numbers)
    mirrored = Mirrored.of(features, mean)
    paired = 2 * mirrored.pairs
    differences = numbers[0:paired:2] - numbers[1:paired:2]
    weights, rest = np.empty((features.shape[1], numbers.shape[1])), np.empty(numbers.shape)
    for k, difference in enumerate(differences.T):
        coefficients = mirrored.scales * (mirrored.along.T @ difference)
        left = (difference - coefficients @ mirrored.along.T) / mirrored.untaken
        best = int(np.argmin((left**2).mean(1)))
        weights[:, k] = mirrored.directions @ coefficients[best]
        rest[:, k] = numbers[:, k] - mirrored.centred @ weights[:, k]
        # Without its own pair the function has other weights, which differ along that pair.
        moved = mirrored.moved(best)
        rest[:paired, k] += (moved * left[best][:, None]).reshape(-1)
    return LinearPart(weights, rest)


@dataclasses.dataclass(frozen=True)
class Mirrored:
    """What a fit to pairs needs of their features, whatever the numbers are.

    centred:    (N, F) features less their mean. directions: (F, R) in their space. along: (pairs, R) the pairs' differences there.
    scales:     (penalties, R). untaken: (penalties, pairs) what a fit leaves to each pair of itself.
    """

    centred: NDArray
    directions: NDArray
    along: NDArray
    scales: NDArray
    untaken: NDArray

    @classmethod
    def of(cls, features: NDArray, mean: float) -> Mirrored:
        """features, mean: as of `linear_part`."""
        paired = len(features) // 2 * 2
        apart = features[0:paired:2] - features[1:paired:2]
        sizes, directions = _spectrum(apart)
        along = apart @ directions
        scales = 1 / (sizes + PENALTIES[:, None] * sizes.max(initial=1e-30))
        untaken = np.maximum(1 - scales @ (along**2).T, 1e-6)
        return cls(features - mean, directions, along, scales, untaken)

    @property
    def pairs(self) -> int:
        """How many there are."""
        return len(self.along)

    def moved(self, penalty: int) -> NDArray:
        """(pairs, 2) how far a pair's own difference moves the function at its two draws."""
        return self.at_draws @ self.scales[penalty]

    @functools.cached_property
    def at_draws(self) -> NDArray:
        """(pairs, 2, R) the same along each direction, before its scale."""
        draws = (self.centred[: 2 * self.pairs] @ self.directions).reshape(self.pairs, 2, -1)
        return draws * self.along[:, None]


def _spectrum(apart: NDArray) -> tuple[NDArray, NDArray]:
    """Squared singular values (R,), and directions (F, R) in the space of features."""
    if len(apart) >= apart.shape[1]:
        sizes, directions = np.linalg.eigh(apart.T @ apart)
        return np.maximum(sizes, 0), directions
    sizes, turned = np.linalg.eigh(apart @ apart.T)
    keep = sizes > 1e-12 * max(sizes[-1], 1e-30)
    return sizes[keep], apart.T @ turned[:, keep] / np.sqrt(sizes[keep])
