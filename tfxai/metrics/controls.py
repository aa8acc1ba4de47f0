"""Maps that know nothing of the model: noise and edges."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.filters import sobel

from tfxai.metrics.batches import Classes
from tfxai.model import Network
from tfxai.results import Explanation
from tfxai.support import Inputs, Model

CONTROLS = ("random", "edges")


@dataclasses.dataclass(frozen=True)
class Control:
    """A row of a table that is called like a method, and knows nothing of the model.

    name: "random" (normal noise), or "edges" (Sobel's filter).
    """

    name: str
    seed: int

    def __call__(
        self, model: Model, inputs: Inputs, targets: Classes, number: int = 0, call: int = 0
    ) -> Explanation | None:
        """The maps of one batch, of the first image among the inputs; None for edges of what has no neighbours.

        number: of the batch. call: how often it was explained before; noise is another each time.
        """
        network = Network(model, inputs)
        arrays = [array if array.dtype.kind == "f" else None for array in network.arrays]
        image = next((i for i, x in enumerate(arrays) if x is not None and x.ndim == 4), 0)
        x = network.arrays[image]
        if self.name == "random":
            heat = self._noise(x, number, call)
        elif x.ndim < 3 or x.dtype.kind != "f":
            return None
        else:
            heat = np.stack([np.abs(sobel(example.mean(axis=-1))) for example in x])
        values: list[NDArray | None] = [None] * len(network.arrays)
        values[image] = (heat[..., None] if x.ndim > 2 else heat).astype(np.float32)
        return Explanation(
            network.pack([None if v is None else network.as_given(i, v) for i, v in enumerate(values)]),
            network.pack([network.as_given(i, array) for i, array in enumerate(network.arrays)]),
            np.broadcast_to(-1 if targets is None else targets, len(x)).astype(np.int64),
            np.zeros(len(x), np.float32),
            None,
            self.name,
            "logit",  # which methods explain unless told otherwise: `completeness` asks for it
            network.axes,
        )

    def _noise(self, x: NDArray, number: int, call: int) -> NDArray:
        space = x.shape[1:-1] if x.ndim > 2 else x.shape[1:]
        return np.random.default_rng([self.seed, number, call]).normal(size=(len(x), *space))


def control_for(control: Control, number: int) -> Callable[..., Explanation | None]:
    """A control for one batch of the data, to be called again by a metric: noise is another each time."""
    calls = itertools.count()

    def explained(
        model: Model, inputs: Inputs, targets: Classes = None, batch_size: int = 32
    ) -> Explanation | None:
        return control(model, inputs, targets, number, next(calls))

    return explained
