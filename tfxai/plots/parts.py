"""What the pictures of parts share: what is drawn in parts, and what it is called."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import Labels
from tfxai.plots.protocol import Explained

WIDE = 6.5  # inches of a text or a series


KEY_OF_COLOURS = "red: for the class, blue: against it"


def has_words(explanation: Explained, input: str | int | None) -> bool:
    """Whether it is drawn as texts."""
    if getattr(explanation, "tokens", None) is None:
        return False
    explanation.one(input)  # an input that was not explained is an error
    return True


def has_columns(explanation: Explained, input: str | int | None) -> bool:
    """Whether it is drawn as bars with names: columns that come as inputs of their own, or cells that are words."""
    if input is None and not isinstance(explanation.inputs, np.ndarray):
        explained = [inputs for values, inputs in values_and_inputs(explanation) if values is not None]
        return all(inputs.ndim < 3 for inputs in explained) and any(
            inputs[0].size == 1 for inputs in explained
        )
    values, inputs = explanation.one(input)
    return values is not None and inputs.ndim < 3 and (inputs[0].size == 1 or inputs.dtype.kind in "OUS")


def values_and_inputs(explanation: Explained) -> list[tuple[NDArray | None, NDArray]]:
    """Values and array of each of several inputs."""
    keys = explanation.inputs if isinstance(explanation.inputs, dict) else range(len(explanation.inputs))
    return [(explanation.values[key], explanation.inputs[key]) for key in keys]


def per_target(explanation: Explained, name: str) -> NDArray:
    """A field of the explanation as (N, K, ...), also where each example has one target."""
    field = np.asarray(getattr(explanation, name))
    return field[:, None] if explanation.targets.ndim == 1 else field


def target_name(target: Any, labels: Labels | None, explanation: Explained) -> str:
    return canvas.class_name(target, labels) or explanation.score


def how_many_drawn(examples: Any, limit: int, what: str) -> str:
    return canvas.drawn(examples, limit).replace("examples", what)
