"""The configuration of a Keras model as a text that depends on no counter: names of layers are replaced by numbers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from typing import Any

from tfxai.support import Layer, Model, Variable

WITHOUT_MEANING = ("build_config", "compile_config", "trainable", "module", "registered_name")  # for a call
REFERRING = ("keras_history", "inbound_nodes", "input_layers", "output_layers")  # hold names of layers


def structure_text(model: Model, layers: Sequence[tuple[str, Layer]]) -> str:
    """Classes and settings of all layers, and how they hang together where the model tells it, as JSON."""
    config = _config(model)
    if not isinstance(config, dict) or "layers" not in config:
        config = [config, *([type(layer).__name__, _config(layer)] for _, layer in layers)]
    data = json.loads(json.dumps(config, default=lambda value: type(value).__name__))
    names: dict[str, str] = {}
    _find_names(data, names)
    return json.dumps([type(model).__name__, _without_names(data, names)], sort_keys=True)


def _config(layer: Layer) -> Any:
    """The settings of a layer; None where its class does not tell them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about lambdas in files; nothing is written here
            return layer.get_config()
    except Exception:  # what a user's own class may raise
        return None


def _find_names(data: Any, names: dict[str, str]) -> None:
    """The names of layers, numbered as they come."""
    if isinstance(data, dict) and "Policy" not in str(data.get("class_name")):  # whose names are types
        if isinstance(name := data.get("name"), str):
            names.setdefault(name, f"layer {len(names)}")
        for item in data.values():
            _find_names(item, names)
    elif isinstance(data, list):
        for item in data:
            _find_names(item, names)


def _without_names(data: Any, names: dict[str, str], referring: bool = False) -> Any:
    if isinstance(data, list):
        return [_without_names(item, names, referring) for item in data]
    if not isinstance(data, dict):
        return names.get(data, data) if referring and isinstance(data, str) else data
    if "Policy" in str(data.get("class_name")):
        return data
    if data.get("class_name") == "__lambda__":  # bytes that a second load writes otherwise
        return "lambda"
    return {
        key: _without_names(item, names, referring or key == "name" or key in REFERRING)
        for key, item in data.items()
        if key not in WITHOUT_MEANING
    }


def weights_by_path(model: Model, layers: Sequence[tuple[str, Layer]]) -> list[tuple[str, Variable]]:
    """Every weight of a model with the path of the innermost layer that owns it: `backbone/conv/kernel`."""
    owners: dict[int, str] = {}
    for path, layer in layers:  # what is inside comes later
        owners |= {id(variable): path for variable in getattr(layer, "weights", ())}
    named = []
    for variable in model.weights:
        path, own = owners.get(id(variable)), variable.name.split(":")[0].split("/")[-1]
        named.append((f"{path}/{own}" if path else own, variable))
    return named
