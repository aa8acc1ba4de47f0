"""The layer that a class activation map reads, lined up with the input."""

from __future__ import annotations

import dataclasses
import difflib
import weakref
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfxai.hub import Endpoint, Module
from tfxai.model.forward_pass import Call, Embedded, ForwardPass
from tfxai.model.network import Network
from tfxai.model.operations import operations_behind

LayerChoice = Any  # None (chosen), a layer, its name, its path, or its index in model.layers


@dataclasses.dataclass(frozen=True)
class Maps:
    """A layer's activation maps, lined up with the input they explain.

    path:   of the layer.
    call:   which layer of the network, counted as in Network.layers, and which of its calls.
    tensor: the activations as the layer puts them out.
    which:  number of the input.
    grid:   (h, w ...) of the maps.
    extra:  tokens in front of the grid (class token), for layers of tokens of an image.
    """

    path: str
    call: tuple[int, int]
    tensor: Any
    which: int
    grid: tuple[Any, ...]
    extra: int

    def spread(self, tensor: Any) -> Any:
        """Activations, or their gradients, as float32 maps (B, h, w ..., channels)."""
        tensor = tf.cast(tensor, tf.float32)[:, self.extra :] if self.extra else tf.cast(tensor, tf.float32)
        return (
            tf.reshape(tensor, (-1, *self.grid, tensor.shape[-1]))
            if len(self.grid) + 2 != tensor.shape.rank
            else tensor
        )


def layer_key(layer: LayerChoice) -> Hashable:
    """A layer in a key: an instance weakly, so that the key does not keep the model alive."""
    if isinstance(layer, np.integer):
        return int(layer)
    return layer if layer is None or isinstance(layer, (str, int)) else weakref.ref(layer)


def check_layers(network: Network, method: str) -> None:
    """Raises ValueError if the model has no layers that could be read."""
    if network.kind == "callable":
        raise ValueError(
            f"{method} reads the activations of a layer, and a plain callable has none. Give a Keras model, or one of tfxai.hub."
        )


def activation_maps(
    network: Network, trace: ForwardPass, score: Any, layer: LayerChoice, method: str
) -> Maps:
    """Inside a trace: the named layer's maps, or those of the last spatial layer that the score depends on.

    Raises ValueError, with the layers that there are, if the layer does not exist or has no spatial maps.
    """
    call = default_call(network, trace, [score]) if layer is None else named_call(network, trace, layer)
    if call is None:
        raise ValueError(
            f"{method} needs a layer with spatial maps, such as (N, h, w, channels), between the inputs and the score. "
            f"This model has none: {_listed(trace)}."
        )
    tensor = first_tensor(call.output)
    if getattr(call.layer, "data_format", None) in ("channels_first", "NCHW"):
        raise ValueError(
            f"Layer {call.path!r} puts its channels first; {method} reads maps with channels last."
        )
    space = grid_of(network, trace, tensor)
    if space is None:
        raise ValueError(
            f"Layer {call.path!r} puts out {tuple(tensor.shape)}, which has no spatial maps that line up with an input. "
            f"{method} can read: {_listed(trace, lambda t: grid_of(network, trace, t) is not None)}."
        )
    position = next(i for i, (_, other) in enumerate(network.layers) if other is call.layer)
    calls = [other for other in trace.calls if other.layer is call.layer]
    return Maps(call.path, (position, calls.index(call)), tensor, *space)


def default_call(network: Network, trace: ForwardPass, scores: Sequence[Any]) -> Call | None:
    """The last layer with spatial maps that a score depends on, pooling apart: it only makes maps coarser.

    Where the score reads a class token, its last layer sees no grid: then the one before the last attention.
    """
    behind = operations_behind(scores, differentiable=True)
    seen: set[str] = set()  # a model, and a dropout at rest, put out the tensor of a layer inside or before
    candidates: list[Call] = []
    attention = _attention(trace)
    for call in trace.calls:
        tensor = first_tensor(call.output)
        if (
            not tf.is_tensor(tensor)
            or not call.path
            or any(call.path.startswith(path + "/") for path in attention)
        ):
            continue
        source = _source(tensor)
        if source.name in seen:
            continue
        seen.add(source.name)
        pooling = "Pool" in class_of(call.layer)
        if source.op in behind and not pooling and grid_of(network, trace, tensor) is not None:
            candidates.append(call)
    if candidates and attention:
        space = grid_of(network, trace, first_tensor(candidates[-1].output))
        if space is not None and space[2]:
            inside = [
                call.path == attention[-1] or call.path.startswith(attention[-1] + "/")
                for call in trace.calls
            ]
            earlier = {id(call) for call in trace.calls[: inside.index(True)]}
            before = [call for call in candidates if id(call) in earlier]
            candidates = before or candidates
    return candidates[-1] if candidates else None


def grid_of(network: Network, trace: ForwardPass, tensor: Any) -> tuple[int, tuple[Any, ...], int] | None:
    """(number of the input, grid, extra tokens) with which an activation lines up, or None."""
    shape = tensor.shape
    if not tensor.dtype.is_floating or shape.rank is None or shape.rank < 3 or shape[-1] is None:
        return None
    grid = tuple(shape[1:-1])
    for which, (array, place) in enumerate(zip(network.arrays, network.places, strict=True)):
        if place is None or not trace.reaches(which, tensor):
            continue
        rank = array.ndim + 1 if isinstance(place, Embedded) else array.ndim
        if rank == shape.rank and any(n is None or n > 1 for n in grid):
            known = tuple(tf.shape(tensor)[i + 1] if n is None else n for i, n in enumerate(grid))
            return which, known, 0
        if rank == 4 and shape.rank == 3 and grid[0] is not None:
            height, width = array.shape[1:3]
            for extra in (0, 1, 2):
                rows = round(((grid[0] - extra) * height / width) ** 0.5) if grid[0] > extra else 0
                columns = (grid[0] - extra) // rows if rows else 0
                if rows * columns == grid[0] - extra > 1 and rows * width == columns * height:
                    return which, (rows, columns), extra
    return None


def named_call(network: Network, trace: ForwardPass, layer: LayerChoice) -> Call:
    """Inside a trace: the last call of the named layer.

    Raises ValueError, with the layers that there are, if it does not exist.
    """
    calls = [call for call in trace.calls if call.path and tf.is_tensor(first_tensor(call.output))]
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        if isinstance(network.model, Module):
            raise ValueError(
                f"layer={layer}: the inner tensors of a module go by name, see module.endpoints."
            )
        listed = network.model.layers
        if not -len(listed) <= layer < len(listed):
            raise ValueError(
                f"layer={layer}: the model has {len(listed)} layers, counted from 0 or from the end."
            )
        layer = listed[layer]
    if isinstance(layer, str) and isinstance(network.model, Module):
        layer = network.model.endpoint(layer)
    if isinstance(layer, str):
        found = [call for call in calls if call.path == layer] or [
            c for c in calls if c.path.split("/")[-1] == layer
        ]
        paths = sorted({call.path for call in found})
        if len(paths) > 1:
            raise ValueError(
                f"There are {len(paths)} layers named {layer!r}: {', '.join(paths)}. Give the whole path."
            )
    else:
        found = [call for call in calls if call.layer is layer]
    if not found:
        name = layer if isinstance(layer, str) else getattr(layer, "name", layer)
        near = difflib.get_close_matches(str(name), [call.path for call in calls], n=3, cutoff=0.5)
        nearest = f" Nearest: {', '.join(near)}." if near else ""
        unused = any(path == name or other is layer for path, other in network.layers)
        problem = "is not used when the model is called" if unused else "does not exist"
        raise ValueError(f"Layer {name!r} {problem}.{nearest} The model has: {_listed(trace)}.")
    return found[-1]


def _attention(trace: ForwardPass) -> list[str]:
    """Paths of attention layers, by their class, or in a module by their name, in order."""
    found: dict[str, None] = {}
    for call in trace.calls:
        if not isinstance(call.layer, Endpoint):
            found |= {call.path: None} if "Attention" in type(call.layer).__name__ else {}
            continue
        scopes = call.path.split("/")[:-1]
        named = [i for i, scope in enumerate(scopes, 1) if "attention" in scope.lower()]
        found |= {"/".join(scopes[: named[-1]]): None} if named else {}
    return list(found)


def class_of(layer: Any) -> str:
    return layer.kind if isinstance(layer, Endpoint) else type(layer).__name__


def _listed(trace: ForwardPass, wanted: Any = lambda tensor: True) -> str:
    seen = {
        call.path: first_tensor(call.output)
        for call in trace.calls
        if call.path and tf.is_tensor(first_tensor(call.output))
    }
    names = [f"{path} {tuple(tensor.shape)}" for path, tensor in seen.items() if wanted(tensor)]
    return "; ".join(names) or "no layers"


def first_tensor(output: Any) -> Any:
    """A layer's output, or the first of several."""
    flat = tf.nest.flatten(output)
    return flat[0] if flat else None


def _source(tensor: Any) -> Any:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor
