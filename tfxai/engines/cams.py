"""Class activation maps: weigh a layer's maps, keep what is positive, enlarge to the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import run_in_batches
from tfxai.engines.perturb import Example
from tfxai.engines.request import Attribution, Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.model import Embedded, LayerChoice, Place, TraceRecord, activation_maps
from tfxai.support import Layer, PerInput, Tensor

Weigh = Callable[[Tensor, Any], Tensor]
"""(activations, gradients), each (B, h, w ..., channels) -> map (B, h, w ...). A plain function of a module."""


def activation_map(
    request: Request, layer: LayerChoice, weigh: Weigh, *, gradients: bool = True
) -> Attribution:
    """Explains every row by the weighed maps of one layer.

    gradients: whether they are needed; without, `weigh` gets None for them.
    """
    return Attribution(*run_in_batches(request, _WeighedMap(layer, weigh, gradients, request.method)))


@dataclasses.dataclass(frozen=True)
class _WeighedMap(ScoredBody):
    layer: LayerChoice
    weigh: Weigh
    gradients: bool
    method: str

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        maps = activation_maps(tracer.network, forward, scores, self.layer, self.method)
        slopes = None
        if self.gradients:
            slopes = maps.spread(forward.gradients(scores, of=[maps.tensor])[0])
        heat = forward.kept(tf.nn.relu(self.weigh(maps.spread(maps.tensor), slopes)))
        return lined_up(tracer.places, inputs, maps.which, heat), targets, scores


def layer_maps(request: Request, layer: LayerChoice, example: Example) -> LayerMaps:
    """One example's maps of a layer. Cost: a forward pass."""
    arguments = [*example.inputs, example.targets[None].astype(np.int32)]
    function = request.traced(_ReadMaps(layer, request.method), arguments)
    raw, spread = (tensor.numpy() for tensor in function(*arguments))
    record: _ReadMapsRecord = function.record
    position, call = record.call
    read = request.network.layers[position][1]
    return LayerMaps(record.which, read, call, raw, np.moveaxis(spread[0], -1, 0))


@dataclasses.dataclass
class _ReadMapsRecord(TraceRecord):
    """The input that the maps line up with, and the call (position of the layer, number) that puts them out."""

    which: int = 0
    call: tuple[int, int] = (0, 0)


@dataclasses.dataclass(frozen=True)
class _ReadMaps(ScoredBody):
    Record: ClassVar[type[TraceRecord]] = _ReadMapsRecord
    layer: LayerChoice
    method: str

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        *inputs, target_codes = tensors
        forward = tracer.forward(inputs)
        scores, _ = tracer.scored_each(forward, target_codes)
        maps = activation_maps(tracer.network, forward, scores, self.layer, self.method)
        tracer.record.which, tracer.record.call = maps.which, maps.call
        return forward.kept(maps.tensor), forward.kept(maps.spread(maps.tensor))


@dataclasses.dataclass(frozen=True)
class LayerMaps:
    """A layer's activations for one example.

    which: number of the input that the maps line up with.
    layer, call: the layer, and which of its calls.
    raw:   (1, ...) as the layer puts them out.
    maps:  (channels, h, w ...).
    """

    which: int
    layer: Layer
    call: int
    raw: NDArray
    maps: NDArray

    def enlarged(self, request: Request, weighed: NDArray) -> list[NDArray | None]:
        """For each input None, but for one the maps (K, h, w ...), enlarged to it; what is below zero then is set to it."""
        heat = tf.constant(weighed, tf.float32)
        inputs = [tf.constant(array[:1]) for array in request.network.arrays]
        values = lined_up(request.network.places, inputs, self.which, heat)
        return [None if value is None else np.maximum(value.numpy(), 0) for value in values]


def lined_up(places: Sequence[Place], inputs: Sequence[Tensor], which: int, heat: Tensor) -> PerInput:
    """For each input None, but for one the maps (B, h, w ...) enlarged to it, with one channel."""
    values: PerInput = [None] * len(inputs)
    tokens = isinstance(places[which], Embedded)
    size = inputs[which].shape[1:] if tokens else inputs[which].shape[1:-1]
    dynamic = tf.shape(inputs[which])
    large = enlarged(heat, [n if n is not None else dynamic[i + 1] for i, n in enumerate(size)])
    values[which] = large if tokens else large[..., None]
    return values


def enlarged(heat: Tensor, size: Sequence[int | Tensor]) -> Tensor:
    """Maps (B, h, w ...) resized to (B, *size) by linear interpolation along each axis, with any number of axes."""
    for axis, length in enumerate(size, start=1):
        matrix = _interpolation(heat.shape[axis] or tf.shape(heat)[axis], length)
        rest = [i for i in range(heat.shape.rank) if i != axis]
        moved = tf.tensordot(heat, matrix, [[axis], [1]])  # the axis goes to the end ...
        heat = tf.transpose(moved, np.argsort([*rest, axis]))  # ... and back
    return heat


def _interpolation(small: int | Tensor, large: int | Tensor) -> Tensor:
    """(large, small) weights; pixels are squares, so their centres line up, and the border is repeated."""
    scale = tf.cast(small, tf.float32) / tf.cast(large, tf.float32)
    centre = (tf.range(large, dtype=tf.float32) + 0.5) * scale - 0.5
    centre = tf.clip_by_value(centre, 0.0, tf.cast(small, tf.float32) - 1)
    distance = tf.abs(centre[:, None] - tf.range(small, dtype=tf.float32)[None])
    return tf.nn.relu(1 - distance)


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Each channel weighs as much as its gradient, averaged over space (arXiv:1610.02391, equations 1 and 2)."""
    weights = tf.reduce_mean(gradients, spatial_axes(gradients))
    return tf.einsum("b...c,bc->b...", activations, weights)


def spatial_axes(maps: Tensor) -> list[int]:
    """The axes of maps (B, h, w ..., channels) along which places lie."""
    return list(range(1, maps.shape.rank - 1))
