"""Randomization of a model (sMPRT) with maps that are averaged over noisy copies of the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import Explainer, Explainers, called, named_methods
from tfxai.results import Explanation
from tfxai.sanity.randomize_model import randomize_model
from tfxai.sanity.reports import SanityReport
from tfxai.scores import Targets
from tfxai.support import Count, Inputs, Model, Seed, checked, number


@checked
def smooth(
    methods: Explainers,
    model: Model,
    inputs: Inputs,
    targets: Targets = None,
    *,
    samples: Count = 50,
    noise: Annotated[float, number(least=0)] = 0.1,
    order: str | Sequence[str] = "bottom_up",
    seed: Seed = 0,
    **settings: Any,
) -> SanityReport:
    """Do maps depend on the weights, apart from what noise does to them? As `randomize_model`, with smoothed maps.

    Every map is a mean over noisy copies of the input, so that what noise alone does to a map is not taken for a change
    of the model. Layers are destroyed from the input up: from the output down, much of a map's origin stays as it was.

    inputs:  one array of numbers (N, ...).
    samples: noisy copies. noise: standard deviation, as a part of each input's own range.
    settings: all others, see `randomize_model`.

    Raises ValueError as `randomize_model`, and for inputs that are not one array of numbers.
    Cost: `samples` times that of randomize_model.
    Hedström et al.: Sanity Checks Revisited, 2024. arXiv:2401.06465
    """
    smoothed = {
        name: Smoothed(method, samples, noise, seed) for name, method in named_methods(methods).items()
    }
    return randomize_model(smoothed, model, inputs, targets, order=order, seed=seed, **settings)


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """A method whose values are means over noisy copies of the input; the noise is the same for every model."""

    method: Explainer
    samples: int
    noise: float
    seed: int

    def __call__(
        self, model: Model, inputs: NDArray, targets: Targets = None, *, batch_size: int = 32
    ) -> Explanation:
        if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "fiu":
            raise ValueError("Noise needs one array of numbers as inputs.")
        explanations = (
            called(self.method, model, copy, targets, batch_size) for copy in self._noisy_copies(inputs)
        )
        explanation = next(explanations)
        values = explanation.values / self.samples
        for explanation in explanations:
            values = values + explanation.values / self.samples
        inputs = np.asarray(inputs, np.float32)
        of_one = dict.fromkeys(("standard_error", "interval", "passes", "converged", "receipt"))
        return dataclasses.replace(explanation, values=values, inputs=inputs, **of_one)

    def _noisy_copies(self, inputs: NDArray) -> Iterator[NDArray]:
        generator = np.random.default_rng(self.seed)
        axes = tuple(range(1, inputs.ndim))
        width = self.noise * (inputs.max(axis=axes, keepdims=True) - inputs.min(axis=axes, keepdims=True))
        for _ in range(self.samples):
            noise = generator.normal(size=(1, *inputs.shape[1:])).astype(np.float32)
            yield inputs + width.astype(np.float32) * noise
