"""Maps that know nothing of the model: noise and edges."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from skimage.filters import sobel

from tfxai.model import Network
from tfxai.results import Explanation

CONTROLS = ("random", "edges")


@dataclasses.dataclass(frozen=True)
class Control:
    """What has the form of a method, and knows nothing of the model."""

    name: str
    seed: int

    def __call__(
        self, model: Any, inputs: Any, targets: Any, number: int = 0, call: int = 0
    ) -> Explanation | None:
        network = Network(model, inputs)
        arrays = [array if array.dtype.kind == "f" else None for array in network.arrays]
        image = next((i for i, x in enumerate(arrays) if x is not None and x.ndim == 4), 0)
        x = network.arrays[image]
        space = x.shape[1:-1] if x.ndim > 2 else x.shape[1:]
        if self.name == "random":
            heat = np.random.default_rng([self.seed, number, call]).normal(size=(len(x), *space))
        elif x.ndim < 3 or x.dtype.kind != "f":
            return None
        else:
            heat = np.stack([np.abs(sobel(each.mean(axis=-1))) for each in x])
        values: list[Any] = [None] * len(network.arrays)
        values[image] = (heat[..., None] if x.ndim > 2 else heat).astype(np.float32)
        classes = np.full(len(x), -1) if targets is None else np.broadcast_to(targets, len(x))
        nothing = np.zeros(len(x), np.float32)
        return Explanation(
            network.pack(values),
            network.pack(network.arrays),
            classes.astype(np.int64),
            nothing,
            None,
            self.name,
            "logit",  # which methods explain unless told otherwise: `completeness` asks for it
        )
