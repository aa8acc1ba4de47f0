"""Which layers are destroyed, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfxai.model import WeightedLayer, chosen_layers, weighted_layers
from tfxai.predictions import probabilities
from tfxai.scores import Top


def steps_of(
    model: Any,
    inputs: Any,
    mode: str,
    order: str | Sequence[str],
    layers: str | Sequence[str] | None,
    init: str,
) -> tuple[list[WeightedLayer], str]:
    if mode not in ("cascading", "independent"):
        raise ValueError(f'mode is {mode!r}. Give "cascading" or "independent".')
    if init not in ("layer", "uniform"):
        raise ValueError(f'init is {init!r}. Give "layer" or "uniform".')
    for name, value in (("layers", layers), ("order", order)):
        if value is None or isinstance(value, str):
            continue
        if (
            not isinstance(value, (list, tuple))
            or not value
            or not all(isinstance(one, str) for one in value)
        ):
            raise ValueError(f"{name} is {value!r}. Give names of layers, one or more.")
    layers = [layers] if isinstance(layers, str) else layers
    found = weighted_layers(model, inputs)
    if not found:
        raise ValueError("The model has no layers with weights that could be drawn anew.")
    rank = {id(weight.variable): i for i, layer in enumerate(found) for weight in layer.weights}

    def runs(step: WeightedLayer) -> int:
        return max(rank[id(weight.variable)] for weight in step.weights)

    name = getattr(model, "name", None)
    allowed = found if layers is None else sorted(chosen_layers(found, layers, name), key=runs)
    if isinstance(order, str):
        if order not in ("top_down", "bottom_up"):
            raise ValueError(f'order is {order!r}. Give "top_down", "bottom_up" or a list of names.')
        return (allowed[::-1] if order == "top_down" else allowed), order
    steps = chosen_layers(found, order, name)
    inside = {id(weight.variable) for layer in allowed for weight in layer.weights}
    if outside := [s.path for s in steps if not {id(weight.variable) for weight in s.weights} <= inside]:
        raise ValueError(f"order has {outside}, which layers= leaves out.")
    falling = [runs(step) for step in steps]
    return steps, "top_down" if falling == sorted(falling, reverse=True) else "list"


def fixed_targets(model: Any, inputs: Any, targets: Any, batch_size: int) -> Any:
    """The classes that are explained at every step."""
    if isinstance(targets, Top):
        raise ValueError("top(k) would be other classes at every step. Give an int, (N,) ints, or None.")
    if targets is not None:
        if np.ndim(targets) > 1:
            raise ValueError(f"targets has shape {np.shape(targets)}. Give an int, (N,) ints, or None.")
        return targets
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1)
    except ValueError:  # no classes: the methods know what their score is about
        return None
