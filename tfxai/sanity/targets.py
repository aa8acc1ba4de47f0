"""The classes that are explained, the same for every model that is compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.predictions import probabilities
from tfxai.scores import Targets, Top
from tfxai.support import BatchSize, Inputs, Model

Classes = int | Sequence[int] | NDArray[np.integer] | None
"""One class for each input (N,), or one for all; None where a model has no classes."""


def fixed_targets(model: Model, inputs: Inputs, targets: Targets, batch_size: BatchSize) -> Classes:
    """Targets as they were given, else the classes (N,) that the model predicts; None where it has none.

    Raises ValueError for targets that would mean other classes for another model, or several for an input.
    """
    if isinstance(targets, Top):
        raise ValueError("top(k) would be other classes at every step. Give an int, (N,) ints, or None.")
    given: Any = targets
    if np.ndim(given) > 1:
        raise ValueError(f"targets has shape {np.shape(given)}. Give an int, (N,) ints, or None.")
    if given is not None:
        return given
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1)
    except ValueError:  # no classes: the methods know what their score is about
        return None
