"""Which layers are destroyed, in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfxai.model import WeightedLayer, chosen_layers, weighted_layers
from tfxai.support import Inputs, Model


def ordered_steps(
    model: Model, inputs: Inputs, order: str | Sequence[str], layers: str | Sequence[str] | None
) -> tuple[list[WeightedLayer], str]:
    """The layers to destroy one after the other; and "top_down", "bottom_up", or "list" for any other order.

    order, layers: as for `randomize_model`.

    Raises ValueError if a name or the order does not fit, or the model has no weights that could be drawn anew.
    """
    _check_names("layers", layers)
    _check_names("order", order)
    layers = [layers] if isinstance(layers, str) else layers
    weighted = weighted_layers(model, inputs)
    if not weighted:
        raise ValueError("The model has no layers with weights that could be drawn anew.")
    name, position = getattr(model, "name", None), _positions(weighted)
    allowed = weighted if layers is None else sorted(chosen_layers(weighted, layers, name), key=position)
    if isinstance(order, str):
        if order not in ("top_down", "bottom_up"):
            raise ValueError(f'order is {order!r}. Give "top_down", "bottom_up" or a list of names.')
        return (allowed[::-1] if order == "top_down" else allowed), order
    steps = chosen_layers(weighted, order, name)
    inside = set().union(*map(_variables, allowed))
    if outside := [step.path for step in steps if not _variables(step) <= inside]:
        raise ValueError(f"order has {outside}, which layers= leaves out.")
    positions = [position(step) for step in steps]
    return steps, "top_down" if positions == sorted(positions, reverse=True) else "list"


def _check_names(setting: str, value: object) -> None:
    """Raises ValueError unless a setting is left out, one name, or a list of names."""
    if value is None or isinstance(value, str):
        return
    if not isinstance(value, (list, tuple)) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{setting} is {value!r}. Give names of layers, one or more.")
    if len(set(value)) < len(value):
        twice = next(name for name in value if value.count(name) > 1)
        raise ValueError(f"{setting} names {twice!r} more than once. Give each layer once.")


def _positions(layers: Sequence[WeightedLayer]) -> Callable[[WeightedLayer], int]:
    """The function that tells where a step runs: a step of several layers is where the last of them is."""
    position = {variable: i for i, layer in enumerate(layers) for variable in _variables(layer)}
    return lambda step: max(position[variable] for variable in _variables(step))


def _variables(layer: WeightedLayer) -> set[int]:
    return {id(weight.variable) for weight in layer.weights}
