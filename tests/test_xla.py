"""`jit_compile=True`: every method compiles, and gives the values that it gives without it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from covering import OF_ATTENTION, every
from models import kind

import tfxai

SETTINGS: dict[str, dict[str, Any]] = {
    **{key: {"samples": 9} for key in ("SmoothGrad", "SquareGrad", "VarGrad")},
    **{key: {"steps": 6} for key in ("IntegratedGradients", "BlurIG", "GuidedIG")},
    "ExpectedGradients": {"background": kind("sequential").inputs, "samples": 7},
    "KernelSHAP": {"samples": 30, "segments": 6, "segmenter": "grid"},
    "LIME": {"samples": 30, "segments": 6, "segmenter": "grid"},
    "PartitionSHAP": {"evals": 30},
    "RISE": {"samples": 30},
    "ShapleyInteractions": {"samples": 30, "segments": 6, "segmenter": "grid"},
    "XRAI": {"steps": 5, "min_size": 10, "smallest_gain": 5},
}
METHODS = {
    name: getattr(tfxai, name)(**SETTINGS.get(name, {}))
    for name in tfxai.methods.__all__
    if name not in OF_ATTENTION
}
METHODS |= {
    "to a tolerance": tfxai.IntegratedGradients(steps=10, tolerance="0.1%"),
    "all rules": tfxai.LRP("alpha_beta"),
    "inpainted": tfxai.PartitionSHAP(evals=30, masker="inpaint"),
    "from several": tfxai.IntegratedGradients(steps=4, baseline=tfxai.baselines.several(0.0, 1.0)),
}


@every(24, name=METHODS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_xla_gives_the_same_values(name: str) -> None:
    """Blocks of 3 of 5 rows, so that the last chunk must be filled up."""
    model = kind("sequential")
    inputs = np.concatenate([model.inputs, 0.5 * model.inputs, model.inputs[:1] ** 2])
    plain = METHODS[name](model.model, inputs, batch_size=3)
    compiled = METHODS[name](model.model, inputs, batch_size=3, jit_compile=True)
    np.testing.assert_array_equal(compiled.targets, plain.targets)
    np.testing.assert_allclose(compiled.scores, plain.scores, rtol=1e-4, atol=1e-5)
    largest = np.abs(plain.values).max()
    np.testing.assert_allclose(compiled.values, plain.values, atol=1e-4 * largest)
    if plain.delta is not None:
        np.testing.assert_allclose(compiled.delta, plain.delta, atol=1e-4 * np.abs(plain.scores).max())
