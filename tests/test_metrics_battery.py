"""Metrics on every kind of model, against slow loops over the hand-written twins."""

from __future__ import annotations

from typing import Any

import masked
import numpy as np
import pytest
import truth
from covering import every
from test_masked_battery import NAMES, any_kind

import tfxai
from tfxai import metrics


def random_explanation(kind: Any) -> tfxai.Explanation:
    """A random map of the input that can be hidden in parts."""
    x = kind.flat[kind.image]
    heat = np.random.default_rng(0).normal(size=(len(x), *masked.space(kind))).astype(np.float32)
    values: Any = [None] * len(kind.flat)
    values[kind.image] = truth.with_channel(heat, kind, kind.image)
    return tfxai.Explanation(
        kind.structured(values), kind.inputs, truth.predicted(kind), np.zeros(len(x), np.float32)
    )


@every(5, name=NAMES)
def test_curves_and_correlations(name: str) -> None:
    kind = any_kind(name)
    explanation = random_explanation(kind)
    key = explanation.key()
    places, x = int(np.prod(masked.space(kind))), kind.flat[kind.image]
    step = -(-places // 3)
    score = kind.score or "logit"
    found = metrics.deletion(kind.model, explanation, step=step, score=score, input=key)
    fidelity = metrics.faithfulness_correlation(
        kind.model, explanation, samples=5, share=0.4, score=score, input=key, seed=3
    )
    close = 1e-4 if kind.exact else 3e-2
    for i, scored in enumerate(masked.scorers(kind)):
        heat = explanation.one(key)[0][i].reshape(-1)  # one channel at most
        order = np.lexsort((np.random.default_rng([0, i]).random(places), -heat))
        one = x[i : i + 1]

        def left(sets: Any, one: Any = one, scored: Any = scored) -> np.ndarray:
            masks = np.ones((len(sets), places))
            for mask, gone in zip(masks, sets, strict=True):
                mask[gone] = 0
            return scored(masked.hidden(one, masks.reshape(-1, *masked.space(kind))))

        wanted = left([order[:count] for count in sorted({*range(0, places, step), places})])
        np.testing.assert_allclose(found.curves[i], wanted, rtol=close, atol=close * np.abs(wanted).max())
        generator = np.random.default_rng([3, i])
        sets = [generator.choice(places, round(0.4 * places), replace=False) for _ in range(5)]
        falls = scored(one) - left(sets)
        if kind.exact and np.std(falls) > 1e-3 * np.abs(wanted).max():
            sums = [heat[gone].sum() for gone in sets]
            assert fidelity.values[i] == pytest.approx(np.corrcoef(sums, falls)[0, 1], abs=1e-2)
