"""Class activation maps: weigh a layer's maps, keep what is positive, enlarge to the input."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfxai.engines.batches import run_in_batches
from tfxai.engines.inside import along
from tfxai.engines.perturb import Example
from tfxai.engines.request import Attribution, Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.model import Cells, ForwardPass, Grid, LayerChoice, MapPiece, TraceRecord, activation_maps
from tfxai.support import Layer, PerInput, Tensor, warn

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
        pieces = activation_maps(tracer.network, forward, scores, self.layer, self.method, tracer.record)
        return weighed_maps(forward, pieces, scores, self.weigh, self.gradients), targets, scores


def weighed_maps(
    forward: ForwardPass,
    pieces: Sequence[MapPiece],
    scores: Tensor,
    weigh: Weigh,
    gradients: bool = True,
) -> PerInput:
    """For each input the sum of the weighed maps that line up with it, enlarged; None where none do."""
    slopes: PerInput = [None] * len(pieces)
    is_read: PerInput = [None] * len(pieces)
    if gradients:
        found = forward.gradients(scores, of=[piece.tensor for piece in pieces], partial=True)
        slopes = [piece.spread(slope) for piece, slope in zip(pieces, found, strict=True)]
    else:
        is_read = levels_read(forward, pieces, scores)
    heats: dict[tuple[str, Grid], Tensor] = {}  # what calls of one layer say of the same places is one map
    for piece, slope, read in zip(pieces, slopes, is_read, strict=True):
        heat = forward.kept(weigh(piece.spread(piece.tensor), slope))
        if read is not None:
            heat = tf.where(tf.reshape(read, [-1, *[1] * (heat.shape.rank - 1)]), heat, 0.0)
        key = piece.path, piece.grid
        heats[key] = heat + heats[key] if key in heats else heat
    values: PerInput = [None] * len(forward.fed)
    for piece in {(piece.path, piece.grid): piece for piece in pieces}.values():
        large = lined_up(piece.grid, forward.fed[piece.which], tf.nn.relu(heats[piece.path, piece.grid]))
        before = values[piece.which]
        values[piece.which] = large if before is None else before + large
    return values


def levels_read(forward: ForwardPass, pieces: Sequence[MapPiece], scores: Tensor) -> PerInput:
    """Whether a score reads a piece, (B,) bool, where several lie on one place: levels of a detector. None for the others.

    A method without gradients could not tell: its maps say something of every level. If the score seems to read none, all
    count.
    """
    places = [(piece.which, piece.grid.fixed) for piece in pieces]
    levels = [i for i, place in enumerate(places) if places.count(place) > 1]
    if not levels:
        return [None] * len(pieces)
    tensors = [pieces[i].tensor for i in levels]
    # One class after the other: a sum of them may cancel.
    columns = tf.unstack(scores, axis=1) if scores.shape.rank == 2 else [scores]
    slopes = [forward.gradients(column, of=tensors, partial=True) for column in columns]
    reads = [
        forward.kept(functools.reduce(tf.logical_or, [_moves(slope) for slope in of_one]))
        for of_one in zip(*slopes, strict=True)
    ]
    some = tf.reduce_any(tf.stack(reads), axis=0)
    found = dict(zip(levels, reads, strict=True))
    return [found[i] | ~some if i in found else None for i in range(len(pieces))]


def _moves(slope: Tensor) -> Tensor:
    """Of which examples (B,) a gradient is not zero everywhere."""
    return tf.reduce_any(slope != 0, list(range(1, slope.shape.rank)))


def layer_maps(request: Request, layer: LayerChoice, example: Example) -> list[LayerMaps]:
    """One example's maps of a layer, of each call that has some and that the score reads. Cost: a forward pass."""
    arguments = [*example.inputs, tf.cast(example.targets[None], tf.int32)]
    body, layers = _ReadMaps(layer, request.method), request.network.layers
    maps = []
    if request.inside is not None:
        record: Any = body.new_record()
        found = request.inside.called(request.network, request.scoring, body, *arguments, record=record)
        for (raw, spread, is_read), (position, call), grid in zip(
            found, record.calls, record.grids, strict=True
        ):
            channels_first = tf.transpose(spread[0], [spread.shape.rank - 2, *range(spread.shape.rank - 2)])
            # A level that the score does not read says nothing.
            channels_first *= tf.cast(tf.reduce_any(is_read), spread.dtype)
            maps.append(LayerMaps(grid, layers[position][1], call, raw, channels_first))
        return maps
    function = request.traced(body, arguments)
    record = function.record
    for message in record.warnings if example.number == 0 else ():
        warn(message)
    for (raw, spread, is_read), (position, call), grid in zip(
        function(*arguments), record.calls, record.grids, strict=True
    ):
        if is_read.numpy().any():
            called = layers[position][1]
            of_channels = np.moveaxis(spread.numpy()[0], -1, 0)
            if not np.isfinite(of_channels).all():
                warn(
                    f"{request.method}: maps of the layer are infinite or not a number (NaN) for input {example.number}, so that its map "
                    "says nothing. The usual causes: weights that are infinite or far too large, or such inputs."
                )
            maps.append(LayerMaps(grid, called, call, raw.numpy(), of_channels))
    return maps


@dataclasses.dataclass
class _ReadMapsRecord(TraceRecord):
    """The calls (position of the layer, number) that put maps out, and how these line up."""

    calls: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    grids: list[Grid] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _ReadMaps(ScoredBody):
    Record: ClassVar[type[TraceRecord]] = _ReadMapsRecord
    layer: LayerChoice
    method: str

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        *inputs, target_codes = tensors
        forward = tracer.forward(inputs)
        scores, _ = tracer.scored_each(forward, target_codes)
        pieces = activation_maps(tracer.network, forward, scores, self.layer, self.method, tracer.record)
        tracer.record.calls = [piece.call for piece in pieces]
        tracer.record.grids = [piece.grid for piece in pieces]
        is_read = levels_read(forward, pieces, scores)
        return [
            (
                forward.kept(piece.tensor),
                forward.kept(piece.spread(piece.tensor)),
                tf.constant([True]) if read is None else read,
            )
            for piece, read in zip(pieces, is_read, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class LayerMaps:
    """The activations of one call of a layer for one example.

    grid:  how the maps line up with an input.
    layer, call: the layer, and which of its calls.
    raw:   (1, ...) as the layer puts them out.
    maps:  (channels, h, w ...).
    """

    grid: Grid
    layer: Layer
    call: int
    raw: Any
    maps: Any

    @property
    def which(self) -> int:
        """Number of the input that the maps line up with."""
        return self.grid.which

    def enlarged(self, request: Request, weighed: Any) -> list[Any]:
        """For each input None, but for one the maps (K, h, w ...), enlarged to it; what is below zero then is set to it."""
        values: list[Any] = [None] * len(request.arrays)
        source = tf.convert_to_tensor(request.arrays[self.which][:1])
        large = lined_up(self.grid, source, tf.cast(weighed, tf.float32))
        values[self.which] = request.read(tf.nn.relu(large))
        return values


def weighed_sum(weights: Any, maps: Any, *, cut: bool = False) -> Any:
    """(K, h, w ...) the sum of maps (channels, h, w ...) with weights (channels, K). cut: what is below zero is set to it."""
    if tf.is_tensor(weights):
        heat = tf.tensordot(weights, tf.cast(maps, weights.dtype), ([0], [0]))
        return tf.nn.relu(heat) if cut else heat
    heat = np.tensordot(weights, maps, (0, 0))
    return np.maximum(heat, 0) if cut else heat


def added(parts: Sequence[Sequence[Any]]) -> list[Any]:
    """The sum of what several calls of a layer say of each input; None where none says anything."""
    given = ([values for values in each if values is not None] for each in zip(*parts, strict=True))
    return [functools.reduce(operator.add, each) if each else None for each in given]


def lined_up(grid: Grid, source: Tensor, heat: Tensor) -> Tensor:
    """Maps (B, h, w ...) enlarged to an input of shape (N, ...), with one channel where it has channels."""
    large = spread_out(grid, source, heat)
    return large if large.shape.rank == source.shape.rank else large[..., None]


def spread_out(grid: Grid, source: Tensor, heat: Tensor) -> Tensor:
    """Maps (B, h, w ...) enlarged to the space of an input: (B, H, W ...)."""
    dynamic = tf.shape(source)
    sizes = [dynamic[i + 1] if n is None else n for i, n in enumerate(grid.space)]
    for axis, cells in enumerate(grid.cells, start=1):
        count = heat.shape[axis] or tf.shape(heat)[axis]
        heat = along(heat, axis, _placing(cells, count, sizes[cells.axis]))
    for axis, place in sorted(grid.fixed):
        row = tf.one_hot(place, sizes[axis])
        heat = tf.expand_dims(heat, axis + 1) * tf.reshape(row, [-1, *[1] * (heat.shape.rank - axis - 1)])
    return heat


def enlarged(heat: Tensor, size: Sequence[int | Tensor]) -> Tensor:
    """Maps (B, h, w ...) resized to (B, *size) by linear interpolation along each axis, with any number of axes."""
    for axis, length in enumerate(size, start=1):
        heat = along(heat, axis, _interpolation(heat.shape[axis] or tf.shape(heat)[axis], length))
    return heat


def _placing(cells: Cells, small: int | Tensor, large: int | Tensor) -> Tensor:
    """(large, small) weights that put cells where they belong; zeros where the layer sees nothing of the input."""
    if cells.along is None:
        return _interpolation(small, large)
    last = tf.cast(small, tf.float32) - 1
    place = (tf.range(large, dtype=tf.float32) - cells.along.start) / cells.along.step
    weights = _weights(place, small)
    if not cells.covers_a_part:
        return weights
    seen = (place >= -0.5 - 1e-4) & (place <= last + 0.5 + 1e-4)
    return tf.where(seen[:, None], weights, 0.0)


def _interpolation(small: int | Tensor, large: int | Tensor) -> Tensor:
    """(large, small) weights; pixels are squares, so their centres line up, and the border is repeated."""
    scale = tf.cast(small, tf.float32) / tf.cast(large, tf.float32)
    return _weights((tf.range(large, dtype=tf.float32) + 0.5) * scale - 0.5, small)


def _weights(places: Tensor, small: int | Tensor) -> Tensor:
    """(large, small) weights of the two cells next to each place; the border is repeated."""
    centre = tf.clip_by_value(places, 0.0, tf.cast(small, tf.float32) - 1)
    distance = tf.abs(centre[:, None] - tf.range(small, dtype=tf.float32)[None])
    return tf.nn.relu(1 - distance)


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Each channel weighs as much as its gradient, averaged over space (arXiv:1610.02391, equations 1 and 2)."""
    weights = tf.reduce_mean(gradients, spatial_axes(gradients))
    return tf.einsum("b...c,bc->b...", activations, weights)


def spatial_axes(maps: Tensor) -> list[int]:
    """The axes of maps (B, h, w ..., channels) along which places lie."""
    return list(range(1, maps.shape.rank - 1))
