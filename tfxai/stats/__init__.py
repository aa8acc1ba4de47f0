"""Statistics: what is chance, how alike two maps are, how sure a mean is."""

from __future__ import annotations

from tfxai.stats.antithetic import Mirrored, linear_part
from tfxai.stats.correlation import pearson, spearman, spearman_of_pairs
from tfxai.stats.intervals import interval
from tfxai.stats.jackknife import jackknife
from tfxai.stats.moderation import moderated
from tfxai.stats.significance import Correction, corrected, one_more, paired, permutation, smallest, welch
from tfxai.stats.similarity import MEASURES, Reference, by_measure, in_common
from tfxai.stats.stopping import Looks, reach, wanted

__all__ = [
    "Mirrored",
    "Correction",
    "Looks",
    "MEASURES",
    "Reference",
    "by_measure",
    "corrected",
    "in_common",
    "interval",
    "jackknife",
    "linear_part",
    "moderated",
    "one_more",
    "paired",
    "pearson",
    "permutation",
    "reach",
    "smallest",
    "spearman",
    "spearman_of_pairs",
    "wanted",
    "welch",
]
