"""The layer that is read, as it was named or by default, and its maps, lined up with the input."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tfxai.hub import Endpoint
from tfxai.model.forward_pass import ForwardPass
from tfxai.model.layer_call import LayerCall
from tfxai.model.lookups import Embedded
from tfxai.model.network import Network
from tfxai.model.operations import operations_behind
from tfxai.support import Layer, Structure, Tensor

# Not as text, and a number before a name: settings on the command line are read by these types.
LayerChoice: TypeAlias = int | str | Layer | None
"""A layer by its path, its name, its index in model.layers, or itself; None for the default."""


@dataclasses.dataclass(frozen=True)
class Grid:
    """How an activation lines up with an input.

    which: number of the input.
    shape: (h, w ...) of the maps.
    extra: tokens in front of the grid (class token), for layers of tokens of an image.
    """

    which: int
    shape: tuple[int | Tensor, ...]
    extra: int = 0


@dataclasses.dataclass(frozen=True)
class Maps:
    """A layer's activation maps, lined up with the input they explain.

    path:   of the layer.
    call:   position of the layer in Network.layers, and which of its calls.
    tensor: the activations as the layer puts them out.
    """

    path: str
    call: tuple[int, int]
    tensor: Tensor
    grid: Grid

    @property
    def which(self) -> int:
        """Number of the input that the maps line up with."""
        return self.grid.which

    def spread(self, tensor: Tensor) -> Tensor:
        """Activations, or their gradients, as float32 maps (B, h, w ..., channels)."""
        maps = tf.cast(tensor, tf.float32)
        maps = maps[:, self.grid.extra :] if self.grid.extra else maps
        if len(self.grid.shape) + 2 == maps.shape.rank:
            return maps
        return tf.reshape(maps, (-1, *self.grid.shape, maps.shape[-1]))


def activation_maps(
    network: Network, forward: ForwardPass, score: Tensor, layer: LayerChoice, method: str
) -> Maps:
    """Inside a trace: the named layer's maps, or those of the last spatial layer that the score depends on.

    Raises ValueError, with the layers that there are, if the layer does not exist or has no spatial maps.
    """
    call = default_call(network, forward, [score]) if layer is None else named_call(network, forward, layer)
    if call is None:
        raise ValueError(
            f"{method} needs a layer with spatial maps, such as (N, h, w, channels), between the inputs and the score. "
            f"It has: {_listed(forward)}."
        )
    tensor = first_tensor(call.output)
    if getattr(call.layer, "data_format", None) in ("channels_first", "NCHW"):
        raise ValueError(
            f"Layer {call.path!r} puts its channels first; {method} reads maps with channels last."
        )
    grid = grid_of(network, forward, tensor)
    if grid is None:
        raise ValueError(
            f"Layer {call.path!r} puts out {tuple(tensor.shape)}, which has no spatial maps that line up with an input. "
            f"{method} can read: {_listed(forward, lambda t: grid_of(network, forward, t) is not None)}."
        )
    if (
        network.is_any_size
    ):  # of a smaller input the maps may be a single point, which another layer is read for
        tf.debugging.Assert(tf.reduce_prod(tf.stack(grid.shape)) > 1, [call.path])
    position = next(i for i, (_, candidate) in enumerate(network.layers) if candidate is call.layer)
    calls = [each for each in forward.calls if each.layer is call.layer]
    return Maps(call.path, (position, calls.index(call)), tensor, grid)


def default_call(network: Network, forward: ForwardPass, scores: Sequence[Tensor]) -> LayerCall | None:
    """The last layer with spatial maps that a score depends on, pooling apart: it only makes maps coarser.

    Where the score reads a class token, its last layer sees no grid: then the one before the last attention.
    """
    behind = operations_behind(scores, differentiable=True)
    attention = _attention_paths(forward)
    sources: set[str] = (
        set()
    )  # a model, and a dropout at rest, put out the tensor of a layer inside or before
    candidates: list[LayerCall] = []
    for call in forward.calls:
        tensor = first_tensor(call.output)
        if not call.path or not tf.is_tensor(tensor) or _is_inside(call, attention):
            continue
        source = _source(tensor)
        if source.name in sources:
            continue
        sources.add(source.name)
        is_pooling = "Pool" in class_of(call.layer)
        if source.op in behind and not is_pooling and grid_of(network, forward, tensor) is not None:
            candidates.append(call)
    if candidates and attention:
        grid = grid_of(network, forward, first_tensor(candidates[-1].output))
        if grid is not None and grid.extra:
            candidates = _before(attention[-1], candidates, forward) or candidates
    return candidates[-1] if candidates else None


def _is_inside(call: LayerCall, paths: Sequence[str]) -> bool:
    return any(call.path.startswith(path + "/") for path in paths)


def _before(path: str, candidates: Sequence[LayerCall], forward: ForwardPass) -> list[LayerCall]:
    """The candidates that ran before a layer, and what is inside it, began to."""
    inside = [call.path == path or call.path.startswith(path + "/") for call in forward.calls]
    earlier = {id(call) for call in forward.calls[: inside.index(True)]}
    return [call for call in candidates if id(call) in earlier]


def grid_of(network: Network, forward: ForwardPass, tensor: Tensor) -> Grid | None:
    """How an activation lines up with the first input that it depends on; None if it does not."""
    shape = tensor.shape
    if not tensor.dtype.is_floating or shape.rank is None or shape.rank < 3 or shape[-1] is None:
        return None
    sides = tuple(shape[1:-1])
    for which, (array, place) in enumerate(zip(network.arrays, network.places, strict=True)):
        if place is None or not forward.reaches(which, tensor):
            continue
        rank = array.ndim + 1 if isinstance(place, Embedded) else array.ndim
        if rank == shape.rank and any(n is None or n > 1 for n in sides):
            return Grid(
                which, tuple(tf.shape(tensor)[i + 1] if n is None else n for i, n in enumerate(sides))
            )
        if rank == 4 and shape.rank == 3 and sides[0] is not None:
            height, width = array.shape[1:3]
            if (grid := _grid_of_tokens(which, sides[0], height, width)) is not None:
                return grid
    return None


def _grid_of_tokens(which: int, tokens: int, height: int, width: int) -> Grid | None:
    """The grid of an image's tokens, with up to two further tokens in front of it."""
    for extra in (0, 1, 2):
        rows = round(((tokens - extra) * height / width) ** 0.5) if tokens > extra else 0
        columns = (tokens - extra) // rows if rows else 0
        if rows * columns == tokens - extra > 1 and rows * width == columns * height:
            return Grid(which, (rows, columns), extra)
    return None


def named_call(network: Network, forward: ForwardPass, layer: LayerChoice) -> LayerCall:
    """Inside a trace: the last call of the named layer.

    Raises ValueError, with the layers that there are, if it does not exist.
    """
    calls = [call for call in forward.calls if call.path and tf.is_tensor(first_tensor(call.output))]
    if isinstance(layer, (int, np.integer)) and not isinstance(layer, bool):
        layer = network.adapter.layer_at(int(layer))
    elif isinstance(layer, str):
        layer = network.adapter.layer_named(layer) or layer
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
        is_unused = any(path == name or each is layer for path, each in network.layers)
        problem = "is not used when the model is called" if is_unused else "does not exist"
        raise ValueError(f"Layer {name!r} {problem}.{nearest} The model has: {_listed(forward)}.")
    return matching[-1]


def _attention_paths(forward: ForwardPass) -> list[str]:
    """Paths of attention layers, by their class, or in a module by their name, in order."""
    paths: dict[str, None] = {}
    for call in forward.calls:
        if not isinstance(call.layer, Endpoint):
            paths |= {call.path: None} if "Attention" in type(call.layer).__name__ else {}
            continue
        scopes = call.path.split("/")[:-1]
        depths = [i for i, scope in enumerate(scopes, 1) if "attention" in scope.lower()]
        paths |= {"/".join(scopes[: depths[-1]]): None} if depths else {}
    return list(paths)


def class_of(layer: Layer) -> str:
    """The class of a layer; of an inner tensor of a module the operation that makes it."""
    return layer.kind if isinstance(layer, Endpoint) else type(layer).__name__


def _listed(forward: ForwardPass, wanted: Callable[[Tensor], bool] = lambda tensor: True) -> str:
    tensors = {
        call.path: first_tensor(call.output)
        for call in forward.calls
        if call.path and tf.is_tensor(first_tensor(call.output))
    }
    names = [f"{path} {tuple(tensor.shape)}" for path, tensor in tensors.items() if wanted(tensor)]
    return "; ".join(names) or "no layers"


def first_tensor(output: Structure) -> Tensor:
    """A layer's output, or the first of several."""
    flat = tf.nest.flatten(output)
    return flat[0] if flat else None


def _source(tensor: Tensor) -> Tensor:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor
