"""Statistics: what is chance, how alike two maps are, how sure a mean is."""

from __future__ import annotations

from tfxai.stats.intervals import interval
from tfxai.stats.significance import CORRECTIONS, Correction, corrected, paired, permutation, smallest, welch
from tfxai.stats.similarity import MEASURES, Reference

__all__ = [
    "CORRECTIONS",
    "Correction",
    "MEASURES",
    "Reference",
    "corrected",
    "interval",
    "paired",
    "permutation",
    "smallest",
    "welch",
]
