"""How alike two maps are, by the four measures of the sanity checks (arXiv:1810.03292)."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.feature import hog
from skimage.metrics import structural_similarity

from tfxai.stats.correlation import pearson, ranks

MEASURES = ("spearman", "spearman_abs", "ssim", "hog")
CELL = 16  # pixels of a cell of the histograms, as in the paper; smaller on small maps
WINDOW = 7  # pixels of a side, of the structural similarity


class Reference:
    """A map that others are compared with: what is needed of it is computed once.

    heat: (H, W), signed; or of any other number of axes, for which there is no HOG.
    """

    def __init__(self, heat: NDArray) -> None:
        self.heat = np.asarray(heat)

    def similarity(self, heat: NDArray) -> dict[str, float]:
        """Similarity to another map of the same shape, by each measure: 1 is the same, 0 is none.

        spearman:     rank correlation, -1 to 1. spearman_abs: of the magnitudes.
        ssim:         structural similarity of the maps over their largest magnitudes (data range 2).
        hog:          correlation of the histograms of oriented gradients, -1 to 1; NaN for maps that are not images.

        A map without structure (constant, or without finite values) has similarity 0 to anything but itself.
        """
        compared = Reference(heat)
        if np.array_equal(self.heat, compared.heat, equal_nan=True):
            similarity: dict[str, float] = dict.fromkeys(MEASURES, 1.0)
        elif self.flat or compared.flat:
            similarity = dict.fromkeys(MEASURES, 0.0)
        else:
            similarity = {
                "spearman": _correlation(self.ranks, compared.ranks),
                "spearman_abs": self.spearman_abs(compared),
                "ssim": self._ssim(compared),
                "hog": self._hog(compared),
            }
        return similarity if self.heat.ndim == 2 else {**similarity, "hog": float("nan")}

    def spearman(self, compared: Reference) -> float:
        """`spearman` of `similarity` alone."""
        if np.array_equal(self.heat, compared.heat, equal_nan=True):
            return 1.0
        return 0.0 if self.flat or compared.flat else _correlation(self.ranks, compared.ranks)

    def spearman_abs(self, compared: Reference) -> float:
        """Rank correlation of the magnitudes, -1 to 1."""
        return _correlation(self.ranks_of_magnitude, compared.ranks_of_magnitude)

    def random_twin(self, generator: np.random.Generator) -> NDArray:
        """A random map that is as rough or smooth as this one: the same spectrum, with the phases of noise."""
        phases = np.angle(np.fft.rfftn(generator.normal(size=self.heat.shape)))
        spectrum = np.abs(np.fft.rfftn(self.scaled)) * np.exp(1j * phases)
        return np.fft.irfftn(spectrum, self.heat.shape, range(self.heat.ndim))

    @functools.cached_property
    def known(self) -> NDArray[np.bool_]:
        """Which places have a value: words of a shorter text end before."""
        return np.isfinite(self.heat)

    @functools.cached_property
    def flat(self) -> bool:
        """Whether all values are the same, or there are none."""
        values = self.heat[self.known]
        return values.size == 0 or bool(values.min() == values.max())

    @functools.cached_property
    def scaled(self) -> NDArray[np.float64]:
        """The map over its largest magnitude, -1 to 1; 0 in places without a value."""
        values = np.where(self.known, self.heat, 0.0).astype(np.float64)
        return values / np.abs(values).max()

    @functools.cached_property
    def ranks(self) -> NDArray[np.float64]:
        """(known places,) ranks of the values."""
        return ranks(self.heat[self.known])

    @functools.cached_property
    def ranks_of_magnitude(self) -> NDArray[np.float64]:
        """(known places,) ranks of the values without their signs."""
        return ranks(np.abs(self.heat[self.known]))

    @functools.cached_property
    def histograms(self) -> NDArray | None:
        """Histograms of oriented gradients, flat; None where the map is not an image of at least 3 x 3 places."""
        if self.heat.ndim != 2 or min(self.heat.shape) < 3:
            return None
        cell = min(CELL, min(self.heat.shape) // 3)  # at least one block of 3 x 3 cells
        return np.asarray(hog(self.scaled, pixels_per_cell=(cell, cell)))

    def _ssim(self, compared: Reference) -> float:
        size = min(WINDOW, *self.heat.shape)
        size -= 1 - size % 2
        if size < 3:
            return float("nan")
        similarity: Any = structural_similarity(self.scaled, compared.scaled, data_range=2, win_size=size)
        return float(similarity)

    def _hog(self, compared: Reference) -> float:
        if self.histograms is None or compared.histograms is None:
            return 0.0
        return _correlation(self.histograms, compared.histograms)


def _correlation(first: NDArray, second: NDArray) -> float:
    """Pearson's; 0 where one is constant, or they have values in different places."""
    return float(np.nan_to_num(pearson(first, second))) if first.shape == second.shape else 0.0


def by_measure(similarities: Sequence[Sequence[Any]]) -> dict[str, NDArray[np.float32]]:
    """Measure -> array of the same shape, from nested lists of what `Reference.similarity` gives."""
    nested = np.array(similarities, object)
    return {name: np.vectorize(operator.itemgetter(name), otypes=[np.float32])(nested) for name in MEASURES}


def in_common(maps: NDArray, others: NDArray) -> NDArray[np.float32]:
    """(N,) share of the evidence that two maps have in common, in the same places with the same sign: 0 to 1, the same up to a factor.

    It is 1 less half the sum of |a - b|, where the magnitudes of each map sum to 1. Two maps without evidence have all in common, one
    with and one without have nothing. Places without a value hold no evidence.

    maps, others: (N, ...), of the same shape.

    For signs it is what histogram intersection is without: Swain, Ballard: Color indexing, 1991. doi:10.1007/BF00130487
    """
    first, second = (_shares(np.asarray(each)) for each in (maps, others))
    apart = np.abs(first - second).sum(1) / 2
    empty = ~first.any(1), ~second.any(1)
    return np.where(empty[0] ^ empty[1], 0.0, np.clip(1 - apart, 0, 1)).astype(np.float32)


def _shares(maps: NDArray) -> NDArray[np.float64]:
    """(N, places) with magnitudes that sum to 1; all 0 where a map has no evidence."""
    flat = np.nan_to_num(maps.reshape(len(maps), -1).astype(np.float64), posinf=0.0, neginf=0.0)
    total = np.abs(flat).sum(1, keepdims=True)
    return np.divide(flat, total, out=np.zeros_like(flat), where=total > 0)
