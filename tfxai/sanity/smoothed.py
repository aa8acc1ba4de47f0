"""A method averaged over noisy copies of the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfxai.methods import called, named_methods
from tfxai.results import Explanation
from tfxai.sanity.randomize_model import randomize_model
from tfxai.sanity.reports import SanityReport


def smooth(
    methods: Any,
    model: Any,
    inputs: Any,
    targets: Any = None,
    *,
    samples: int = 50,
    noise: float = 0.1,
    order: str | Sequence[str] = "bottom_up",
    seed: int = 0,
    **settings: Any,
) -> SanityReport:
    """As `randomize_model`, with every map averaged over noisy copies of the input (sMPRT).

    What noise alone does to a map is then not taken for a change of the model; and layers are destroyed from the input
    up, since from the output down they leave much of the map's origin as it was.

    samples: noisy copies. noise: standard deviation, as a part of each input's own range. settings: see randomize_model.

    Cost: `samples` times that of randomize_model.
    Hedström et al.: Sanity Checks Revisited, 2024. arXiv:2401.06465
    """
    if not isinstance(samples, int) or samples < 1 or not isinstance(noise, (int, float)) or noise < 0:
        raise ValueError(
            f"samples={samples!r}, noise={noise!r}. Give 1 or more samples, and noise of 0 or more."
        )
    smoothed = {
        name: Smoothed(method, samples, noise, seed) for name, method in named_methods(methods).items()
    }
    return randomize_model(smoothed, model, inputs, targets, order=order, seed=seed, **settings)


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """A method whose values are means over noisy copies of the input; the noise is the same for every model."""

    method: Any
    samples: int
    noise: float
    seed: int

    def __call__(self, model: Any, inputs: Any, targets: Any = None, *, batch_size: int = 32) -> Explanation:
        if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "fiu":
            raise ValueError("Noise needs one array of numbers as inputs.")
        generator = np.random.default_rng(self.seed)
        axes = tuple(range(1, inputs.ndim))
        width = self.noise * (inputs.max(axis=axes, keepdims=True) - inputs.min(axis=axes, keepdims=True))
        total, found = 0.0, None
        for _ in range(self.samples):
            noise = generator.normal(size=(1, *inputs.shape[1:])).astype(np.float32)
            found = called(self.method, model, inputs + width.astype(np.float32) * noise, targets, batch_size)
            total = total + found.values / self.samples
        assert found is not None
        return dataclasses.replace(found, values=total, inputs=np.asarray(inputs, np.float32))
