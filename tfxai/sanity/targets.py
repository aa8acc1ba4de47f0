"""The classes that are explained, the same for every model that is compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfxai.predictions import probabilities
from tfxai.scores import Top
from tfxai.support import Inputs, Model


def fixed_targets(model: Model, inputs: Inputs, targets: Any, batch_size: int) -> Any:
    """Targets as they were given, else the classes (N,) that the model predicts; None where it has none.

    Raises ValueError for targets that would mean other classes for another model, or several for an input.
    """
    if isinstance(targets, Top):
        raise ValueError("top(k) would be other classes at every step. Give an int, (N,) ints, or None.")
    if np.ndim(targets) > 1:
        raise ValueError(f"targets has shape {np.shape(targets)}. Give an int, (N,) ints, or None.")
    if targets is not None:
        return targets
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1)
    except ValueError:  # no classes: the methods know what their score is about
        return None
