"""How pictures read an explanation: as maps, as words or as columns, and what stands over the picture of a target."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from tfxai.plots.protocol import Explained
from tfxai.plots.titles import Labels, class_name, score_text
from tfxai.support import Values


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
        tables = all(inputs.ndim < 3 for inputs in explained)
        return tables and any(inputs[0].size == 1 for inputs in explained)
    values, inputs = explanation.one(input)
    return values is not None and inputs.ndim < 3 and (inputs[0].size == 1 or inputs.dtype.kind in "OUS")


def values_and_inputs(explanation: Explained) -> list[tuple[NDArray | None, NDArray]]:
    """Values and array of each of several inputs."""
    keys = explanation.inputs if isinstance(explanation.inputs, dict) else range(len(explanation.inputs))
    return [(explanation.values[key], explanation.inputs[key]) for key in keys]


def maps_and_inputs(explanation: Explained, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Maps (N, K, ...) and what they explain (N, ...).

    Raises ValueError if the explanation has words or single columns, or this input was not explained.
    """
    if has_words(explanation, input) or has_columns(explanation, input):
        raise ValueError(
            "Words and single columns make no maps to lay side by side. Draw each with plots.show."
        )
    values, inputs = explanation.one(input)
    if values is None:
        raise ValueError(f"input {input!r} was not explained: its values are None. Name another one.")
    maps = explanation.heatmap(input)
    return (maps[:, None] if explanation.targets.ndim == 1 else maps), np.asarray(inputs)


def ends(explanation: Explained) -> tuple[Explained, Explained] | None:
    """The explanation with the low and with the high ends of its intervals in place of its values; None where it has none."""
    interval = getattr(explanation, "interval", None)
    if interval is None or not dataclasses.is_dataclass(explanation):
        return None
    low, high = (_picked(interval, end) for end in (0, 1))
    return dataclasses.replace(explanation, values=low), dataclasses.replace(explanation, values=high)


def _picked(interval: Values, end: int) -> Values:
    if isinstance(interval, dict):
        return {key: _picked(each, end) for key, each in interval.items()}
    if isinstance(interval, (list, tuple)):
        return type(interval)(_picked(each, end) for each in interval)
    return None if interval is None else interval[..., end]


def with_errors(explanation: Explained) -> Explained:
    """The explanation with its standard errors in place of its values.

    Raises ValueError if it has none.
    """
    errors = getattr(explanation, "standard_error", None)
    if errors is None or not dataclasses.is_dataclass(explanation):
        raise ValueError(
            f'what is "standard_error", and {explanation.method or "the explanation"} has none. Methods that sample have: '
            "RISE, LIME, KernelSHAP, ExpectedGradients; SmoothGrad with a tolerance."
        )
    named = f"standard error of {explanation.method}"
    return dataclasses.replace(explanation, values=errors, method=named)


def per_target(explanation: Explained, name: str) -> NDArray:
    """A field of the explanation as (N, K, ...), also where each example has one target."""
    field = np.asarray(getattr(explanation, name))
    return field[:, None] if explanation.targets.ndim == 1 else field


def heading(explanation: Explained, row: int, k: int, labels: Labels | None) -> tuple[str, str]:
    """Name and score of the k-th target of an example; a score that needs no class is named by itself."""
    target, score = (per_target(explanation, name)[row, k] for name in ("targets", "scores"))
    return class_name(target, labels) or explanation.score, score_text(score, explanation.score)


def origin(explanation: Explained) -> tuple[str, str]:
    """The method and the score, for the footnote."""
    return explanation.method, f"score: {explanation.score}"
