"""How alike two maps are, by the four measures of the sanity checks (arXiv:1810.03292)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage.feature import hog
from skimage.metrics import structural_similarity

MEASURES = ("spearman", "spearman_abs", "ssim", "hog")


CELL = 16  # pixels of a cell of the histograms, as in the paper; smaller on small maps


WINDOW = 7  # of the structural similarity


class Reference:
    """A map that others are compared with: what is needed of it is computed once.

    heat: (H, W), signed; or of any other number of axes, for which there is no HOG.
    """

    def __init__(self, heat: NDArray) -> None:
        self.heat = np.asarray(heat)

    def similarity(self, other: NDArray) -> dict[str, float]:
        """Similarity to another map of the same shape, by each measure: 1 is the same, 0 is none.

        spearman:     rank correlation, -1 to 1. spearman_abs: of the magnitudes.
        ssim:         structural similarity of the maps over their largest magnitudes (data range 2).
        hog:          correlation of the histograms of oriented gradients, -1 to 1; NaN for maps that are no images.

        A map without structure (constant, or with numbers that are none) has similarity 0 to anything but itself.
        """
        that = Reference(other)
        if np.array_equal(self.heat, that.heat, equal_nan=True):
            found: dict[str, float] = dict.fromkeys(MEASURES, 1.0)
        elif self.flat or that.flat:
            found = dict.fromkeys(MEASURES, 0.0)
        else:
            found = {
                "spearman": _correlation(self.ranks, that.ranks),
                "spearman_abs": self.spearman_abs(that),
                "ssim": self._ssim(that),
                "hog": 0.0 if self.histograms is None else _correlation(self.histograms, that.histograms),
            }
        if self.heat.ndim != 2:
            found["hog"] = float("nan")
        return found

    def spearman(self, that: Reference) -> float:
        """`spearman` of `similarity` alone."""
        if np.array_equal(self.heat, that.heat, equal_nan=True):
            return 1.0
        return 0.0 if self.flat or that.flat else _correlation(self.ranks, that.ranks)

    def spearman_abs(self, that: Reference) -> float:
        """Rank correlation of the magnitudes, -1 to 1."""
        return _correlation(self.ranks_of_magnitude, that.ranks_of_magnitude)

    @functools.cached_property
    def known(self) -> NDArray:
        """Places that have a value: words of a shorter text end before."""
        return np.isfinite(self.heat)

    @functools.cached_property
    def flat(self) -> bool:
        values = self.heat[self.known]
        return values.size == 0 or values.min() == values.max()

    @functools.cached_property
    def scaled(self) -> NDArray:
        values = np.where(self.known, self.heat, 0.0).astype(np.float64)
        return values / np.abs(values).max()

    @functools.cached_property
    def ranks(self) -> NDArray:
        return ranks(self.heat[self.known])

    @functools.cached_property
    def ranks_of_magnitude(self) -> NDArray:
        return ranks(np.abs(self.heat[self.known]))

    @functools.cached_property
    def histograms(self) -> NDArray | None:
        if self.heat.ndim != 2:
            return None
        cell = max(1, min(CELL, min(self.heat.shape) // 3))  # at least one block of 3 x 3 cells
        if min(self.heat.shape) < 3:
            return None
        return np.asarray(hog(self.scaled, pixels_per_cell=(cell, cell)))

    def _ssim(self, that: Reference) -> float:
        size = min(WINDOW, *self.heat.shape)
        size -= 1 - size % 2
        if size < 3:
            return float("nan")
        found: Any = structural_similarity(self.scaled, that.scaled, data_range=2, win_size=size)
        return float(found)

    def random_twin(self, generator: np.random.Generator) -> NDArray:
        """A random map that is as rough or smooth as this one: the same spectrum, with the phases of noise."""
        phases = np.angle(np.fft.rfftn(generator.normal(size=self.heat.shape)))
        return np.fft.irfftn(
            np.abs(np.fft.rfftn(self.scaled)) * np.exp(1j * phases), self.heat.shape, range(self.heat.ndim)
        )


def ranks(values: NDArray) -> NDArray[np.float64]:
    """Ranks of values (places,), the mean rank for those that are equal; as scipy's rankdata, several times as fast on float32.

    Each value is put before its place in one whole number, so that sorting need not carry places along.
    """
    if values.dtype != np.float32:
        return rankdata(values)
    bits = (values + np.float32(0)).view(np.uint32)  # -0 becomes 0
    ordered = np.where(
        bits >> 31, ~bits, bits | np.uint32(1 << 31)
    )  # as whole numbers in the order of the values
    keys = np.sort(ordered.astype(np.uint64) << np.uint64(32) | np.arange(len(bits), dtype=np.uint64))
    found = (keys >> np.uint64(32)).astype(np.uint32)
    places = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    ends = np.append(np.flatnonzero(found[1:] != found[:-1]) + 1, len(found))
    starts = np.append(0, ends[:-1])
    result = np.empty(len(values))
    result[places] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return result


def _correlation(one: NDArray, other: NDArray | None) -> float:
    if other is None or one.shape != other.shape or one.std() == 0 or other.std() == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
