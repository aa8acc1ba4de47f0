"""Class activation maps: weigh a layer's maps, keep what is positive, enlarge to the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import run_in_batches
from tfxai.engines.method import Attribution
from tfxai.engines.perturb import Example, scored
from tfxai.engines.request import Request
from tfxai.model import Embedded, LayerChoice, Network, activation_maps, check_layers, layer_key

Weigh = Callable[[Any, Any], Any]
"""(activations, gradients), each (B, h, w ..., channels) -> map (B, h, w ...)."""


def activation_map(
    request: Request, layer: LayerChoice, weigh: Weigh, *settings: Hashable, gradients: bool = True
) -> Attribution:
    """Explains every row by the weighed maps of one layer."""
    network = request.network
    check_layers(network, request.name)

    def body(facts: dict[str, Any], inputs: Any, target_codes: Any) -> Any:
        trace = network.forward(inputs)
        scores, targets = request.scored(trace, target_codes, facts)
        found = activation_maps(network, trace, scores, layer, request.name)
        activations = found.spread(found.tensor)
        slopes = found.spread(trace.gradients(scores, of=[found.tensor])[0]) if gradients else None
        heat = tf.nn.relu(weigh(activations, slopes))
        return lined_up(network, inputs, found.which, heat), targets, scores

    return Attribution(*run_in_batches(request, [layer_key(layer), *settings], body))


def layer_maps(request: Request, layer: LayerChoice, example: Example) -> LayerMaps:
    """One example's maps of a layer. Cost: a forward pass."""
    network = request.network

    def body(facts: dict[str, Any], *tensors: Any) -> Any:
        trace = network.forward(tensors[:-1])
        scores, _ = scored(request, trace, tensors[-1], facts)
        found = activation_maps(network, trace, scores, layer, request.name)
        facts["at"] = found.which, found.call
        return found.tensor, found.spread(found.tensor)

    arguments = [*example.inputs, example.targets[None].astype(np.int32)]
    compiled = request.compiled([layer_key(layer), "maps"], body, arguments)
    raw, spread = (tensor.numpy() for tensor in compiled(*arguments))
    which, (position, call) = compiled.facts["at"]
    return LayerMaps(which, (id(network.layers[position][1]), call), raw, np.moveaxis(spread[0], -1, 0))


@dataclasses.dataclass(frozen=True)
class LayerMaps:
    """A layer's activations for one example.

    which: number of the input that the maps line up with.
    call:  (id of the layer, number of its call), as Network.forward replaces it.
    raw:   (1, ...) as the layer puts them out.
    maps:  (channels, h, w ...).
    """

    which: int
    call: tuple[int, int]
    raw: NDArray
    maps: NDArray

    def enlarged(self, request: Request, weighed: NDArray) -> list[NDArray | None]:
        """For each input None, but for one the positive part of maps (K, h, w ...), enlarged to it."""
        heat = tf.nn.relu(tf.constant(weighed, tf.float32))
        inputs = [tf.constant(array[:1]) for array in request.network.arrays]
        found = lined_up(request.network, inputs, self.which, heat)
        return [None if each is None else each.numpy() for each in found]


def lined_up(network: Network, inputs: Sequence[Any], which: int, heat: Any) -> list[Any]:
    """For each input None, but for one the maps (B, h, w ...) enlarged to it, with one channel."""
    values: list[Any] = [None] * len(inputs)
    tokens = isinstance(network.places[which], Embedded)
    size = inputs[which].shape[1:] if tokens else inputs[which].shape[1:-1]
    dynamic = tf.shape(inputs[which])
    large = enlarged(heat, [n if n is not None else dynamic[i + 1] for i, n in enumerate(size)])
    values[which] = large if tokens else large[..., None]
    return values


def enlarged(heat: Any, size: Sequence[Any]) -> Any:
    """Maps (B, h, w ...) resized to (B, *size) by linear interpolation along each axis, with any number of axes."""
    for axis, length in enumerate(size, start=1):
        matrix = _interpolation(heat.shape[axis] or tf.shape(heat)[axis], length)
        rest = [i for i in range(heat.shape.rank) if i != axis]
        moved = tf.tensordot(heat, matrix, [[axis], [1]])  # the axis goes to the end ...
        heat = tf.transpose(moved, np.argsort([*rest, axis]))  # ... and back
    return heat


def _interpolation(small: Any, large: Any) -> Any:
    """(large, small) weights; pixels are squares, so their centres line up, and the border is repeated."""
    scale = tf.cast(small, tf.float32) / tf.cast(large, tf.float32)
    centre = (tf.range(large, dtype=tf.float32) + 0.5) * scale - 0.5
    centre = tf.clip_by_value(centre, 0.0, tf.cast(small, tf.float32) - 1)
    distance = tf.abs(centre[:, None] - tf.range(small, dtype=tf.float32)[None])
    return tf.nn.relu(1 - distance)


def grad_cam(activations: Any, gradients: Any) -> Any:
    """Each channel weighs as much as its gradient, averaged over space (arXiv:1610.02391, equations 1 and 2)."""
    return tf.einsum("b...c,bc->b...", activations, tf.reduce_mean(gradients, space(gradients)))


def space(tensor: Any) -> list[int]:
    return list(range(1, tensor.shape.rank - 1))
