"""Layers as users name them, and what their calls put out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfxai.hub import Endpoint
from tfxai.model.adapter import Adapter
from tfxai.model.forward_pass import ForwardPass
from tfxai.model.layer_call import LayerCall
from tfxai.support import Layer, Setting, Structure, Tensor


def _is_choice(value: Any) -> bool:
    return not isinstance(value, (list, tuple, dict, set, float, bool, bytes, np.ndarray, tf.Tensor))


# Not as text, and a number before a name: settings on the command line are read by these types.
LayerChoice: TypeAlias = Annotated[
    int | str | Layer | None,
    Setting(
        _is_choice,
        "a layer's path, name or number, the layer itself, or None",
    ),
]
"""A layer by its path, its name, its index in model.layers, or itself; None for the default."""

At: TypeAlias = Annotated[
    int | str | Layer | Sequence[int | str | Layer] | None,
    Setting(
        lambda value: (
            all(map(_is_choice, value)) and len(value) > 0
            if isinstance(value, (list, tuple))
            else _is_choice(value)
        ),
        "a layer's path, name or number, the layer itself, a list of these, or None",
    ),
]
"""A layer; or several, whose outputs differ at most in their last axis; None for the inputs."""


def named_call(adapter: Adapter, forward: ForwardPass, layer: LayerChoice) -> LayerCall:
    """Inside a trace: the last call of the named layer.

    Raises ValueError, with the layers that there are, if it does not exist.
    """
    calls = [call for call in forward.calls if call.path and tf.is_tensor(first_tensor(call.output))]
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        layer = adapter.layer_at(int(layer))
    elif isinstance(layer, str):
        layer = adapter.layer_named(layer) or layer
    if isinstance(layer, str):
        matching = [call for call in calls if call.path == layer]
        matching = matching or [call for call in calls if call.path.split("/")[-1] == layer]
        paths = sorted({call.path for call in matching})
        if len(paths) > 1:
            raise ValueError(
                f"There are {len(paths)} layers named {layer!r}: {', '.join(paths)}. Give the whole path."
            )
    else:
        matching = [call for call in calls if call.layer is layer]
    if not matching:
        name = layer if isinstance(layer, str) else getattr(layer, "name", layer)
        near = difflib.get_close_matches(str(name), [call.path for call in calls], n=3, cutoff=0.5)
        nearest = f" Nearest: {', '.join(near)}." if near else ""
        is_unused = any(path == name or each is layer for path, each in adapter.layers)
        problem = (
            "is not used when the model is called, or only in a compiled function, which cannot be looked into"
            if is_unused
            else "does not exist"
        )
        raise ValueError(f"Layer {name!r} {problem}.{nearest} The model has: {listed(forward)}.")
    return matching[-1]


def listed(forward: ForwardPass, wanted: Callable[[Tensor], bool] = lambda tensor: True) -> str:
    """Layers with the shapes of what they put out, as text; those whose tensor is wanted."""
    tensors = {
        call.path: first_tensor(call.output)
        for call in forward.calls
        if call.path and tf.is_tensor(first_tensor(call.output))
    }
    names = [f"{path} {tuple(tensor.shape)}" for path, tensor in tensors.items() if wanted(tensor)]
    return "; ".join(names) or "no layers"


def class_of(layer: Layer) -> str:
    """The class of a layer; of an inner tensor of a module the operation that makes it."""
    return layer.kind if isinstance(layer, Endpoint) else type(layer).__name__


def first_tensor(output: Structure) -> Tensor:
    """A layer's output, or the first of several; None if that is no plain tensor."""
    flat = tf.nest.flatten(output)
    return flat[0] if flat and isinstance(flat[0], tf.Tensor) else None
