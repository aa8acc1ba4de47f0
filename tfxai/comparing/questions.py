"""The tests of a new model: is it one more twin?

Given the old model and the examples, the mean distance of its maps from the old ones is one number for each twin and for the new
model, and if that is nothing but trained again, it is one more draw of these. The examples are the same for all, so what is easy or
hard about them cancels; what is left of their chance is in the spread of the draws, which cannot be smaller than it.

Distances have a long tail to the right: some retrainings turn out other than most. Their logarithms are nearly normal; so are shares
as angles (Fisher's arcsine).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t

from tfxai.stats import corrected, moderated, one_more

RISK = 0.05
TWINS = 3  # at least: of two nobody can tell how far they usually lie apart
FEW = 5  # examples of a class, from which it is asked about by itself
ROUNDING = 1e-4  # of a mean similarity or share: what the last digits of float32 maps move


def less_alike(similarity: NDArray, twins: NDArray) -> float:
    """p-value of "the new maps are as like the old ones as twins' are"; NaN without 3 twins.

    similarity: (N,). twins: (K, N).
    """
    if len(twins) < TWINS or not similarity.size:
        return float("nan")
    alike = twins.mean(1, dtype=np.float64)
    least = max(ROUNDING, sampling_error(twins)) / max(float(1 - alike.mean()), ROUNDING)
    return one_more(
        -float(_log_distance(similarity.mean(dtype=np.float64))), -_log_distance(alike), least, "less"
    )


def _log_distance(similarity: NDArray | np.floating) -> NDArray[np.float64]:
    return np.log(np.maximum(1 - np.asarray(similarity, np.float64), ROUNDING))


def by_class(similarity: NDArray, twins: NDArray, targets: NDArray) -> dict[int, float]:
    """Class -> p-value of "its maps are as like the old ones as twins' are", corrected for all classes (Holm).

    Empty where there is no second class with 5 examples; NaN without 3 twins.

    By itself a class would have K - 1 degrees of freedom, which see next to nothing in one class of ten. So its variance is the sum of
    what a model's classes have in common, and of what is left, in which classes are nearly independent and borrow from each other;
    the degrees of freedom of the sum are Satterthwaite's.
    """
    names, counts = np.unique(targets, return_counts=True)
    asked = [int(name) for name, count in zip(names, counts, strict=True) if count >= FEW]
    if len(asked) < 2:
        return {}
    if len(twins) < TWINS:
        return dict.fromkeys(asked, float("nan"))
    models = np.concatenate([similarity[None], twins])
    means = np.stack([models[:, targets == name].mean(1, dtype=np.float64) for name in asked], 1)
    logs, free = _log_distance(means), len(twins) - 1
    common, rest = logs[1:].mean(1), logs[1:] - logs[1:].mean(1, keepdims=True)
    rounding = ROUNDING / np.maximum(1 - means[1:].mean(0), ROUNDING)
    own, freedom = moderated(np.maximum(rest.var(0, ddof=1), rounding**2), free)
    shared, freedom = common.var(ddof=1), min(freedom, free * (len(asked) - 1))
    apart = (logs[0] - logs[1:].mean(0)) / np.sqrt((shared + own) * (1 + 1 / len(twins)))
    together = (shared + own) ** 2 / (shared**2 / free + own**2 / freedom)
    return dict(zip(asked, map(float, corrected(t.sf(apart, together), "holm")), strict=True))


def inside_p_value(inside: NDArray) -> float:
    """p-value of "as much of the evidence lies inside as in the others' maps"; NaN without 3 twins.

    inside: (K + 2, N), of the old model, the new one, and the twins. Here the old model is one of the twins.
    """
    others = np.delete(inside, 1, axis=0)
    if len(others) <= TWINS or not inside.size:
        return float("nan")
    shares = inside.mean(1)
    usual = float(np.clip(others.mean(), ROUNDING, 1 - ROUNDING))
    least = max(ROUNDING, sampling_error(others)) / (2 * np.sqrt(usual * (1 - usual)))
    old, new, *twins = np.arcsin(np.sqrt(np.clip(shares, 0, 1)))
    return one_more(float(new), [old, *twins], float(least))


def sampling_error(numbers: NDArray) -> float:
    """Standard error of a model's mean that is due to the examples alone, from what is left of (K, N) numbers without row and column means.

    It has (K - 1) (N - 1) degrees of freedom where the spread of the means has K - 1: three means that lie close by luck do not
    make a small difference large.
    """
    models, count = numbers.shape
    if count < 2:
        return 0.0
    numbers = numbers.astype(np.float64)
    rest = numbers - numbers.mean(0) - numbers.mean(1, keepdims=True) + numbers.mean()
    return float(np.sqrt((rest**2).sum() / ((models - 1) * (count - 1)) / count))
