"""What layers put out, and how a score changes along directions of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import run_in_batches
from tfxai.engines.request import Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.model import (
    Body,
    ForwardPass,
    LayerChoice,
    Needs,
    Network,
    TracedFunction,
    TraceRecord,
    first_tensor,
    named_call,
    operations_behind,
)
from tfxai.support import Inputs, Model, Tensor

READS_LAYERS = Needs(layers=True)


def layer_activations(
    model: Model, layers: Sequence[LayerChoice], inputs: Inputs, method: str
) -> list[NDArray[np.float32]]:
    """What each layer puts out for one batch: arrays (N, *shape of the layer).

    Raises ValueError if a layer does not exist or puts out no numbers. Cost: a forward pass, as far as the last layer.
    """
    network = Network(model, inputs, READS_LAYERS, method)
    if network.batch is None:
        return [tensor.numpy() for tensor in _reading(network, layers, method)(*network.arrays)]
    parts = []
    size = network.batch.rows
    for start in range(0, len(network), size):
        network.at(start)
        arrays = [array[start : start + size] for array in network.arrays]
        parts.append([tensor.numpy() for tensor in _reading(network, layers, method)(*arrays)])
    return [np.concatenate(of_layer) for of_layer in zip(*parts, strict=True)]


def layer_paths(model: Model, layers: Sequence[LayerChoice], inputs: Inputs, method: str) -> list[str]:
    """The path of each layer, however it was named. Raises ValueError as `layer_activations`.

    Cost: traces, and runs nothing.
    """
    network = Network(model, inputs, READS_LAYERS, method)
    return _reading(network, layers, method).record.paths


def _reading(network: Network, layers: Sequence[LayerChoice], method: str) -> TracedFunction:
    return network.traced(_Activations(tuple(layers), method), network.arrays)


@dataclasses.dataclass
class _PathsRecord(TraceRecord):
    """The paths of the layers that were read."""

    paths: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Activations(Body):
    Record: ClassVar[type[TraceRecord]] = _PathsRecord
    layers: tuple[LayerChoice, ...]
    method: str

    def __call__(self, network: Network, record: _PathsRecord, *tensors: Tensor) -> list[Tensor]:
        forward = network.forward(tensors)
        record.paths = [named_call(network.adapter, forward, layer).path for layer in self.layers]
        read = [_tensor(network, forward, layer, self.method) for layer in self.layers]
        return [forward.kept(tf.cast(tensor, tf.float32)) for tensor in read]


def slopes(request: Request, layers: Sequence[LayerChoice], directions: Sequence[NDArray]) -> list[NDArray]:
    """The score's derivative along each direction of each layer: for each layer (rows, R).

    directions: for each layer float32 (R, *shape of the layer).

    Raises ValueError if the score does not depend on a layer.
    Cost: a forward pass and a backward pass as far as the first layer, however many layers and directions there are.
    """
    flat = [along.reshape(len(along), -1) for along in directions]
    return run_in_batches(request, _Slopes(tuple(layers), request.method), constants=flat)


@dataclasses.dataclass(frozen=True)
class _Slopes(ScoredBody):
    layers: tuple[LayerChoice, ...]
    method: str

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor, *directions: Tensor
    ) -> list[Tensor]:
        forward = tracer.forward(inputs)
        scores, _ = tracer.scored(forward, target_codes)
        tensors = [_tensor(tracer.network, forward, layer, self.method) for layer in self.layers]
        behind = operations_behind([scores], differentiable=True)
        for layer, tensor in zip(self.layers, tensors, strict=True):
            if tensor.op not in behind:
                raise ValueError(
                    f"The score does not depend on layer {getattr(layer, 'name', layer)!r}. Name one between the inputs "
                    "and the score."
                )
        return [
            forward.kept(
                tf.matmul(tf.reshape(gradient, (tf.shape(gradient)[0], -1)), along, transpose_b=True)
            )
            for gradient, along in zip(forward.gradients(scores, of=tensors), directions, strict=True)
        ]


def _tensor(network: Network, forward: ForwardPass, layer: LayerChoice, method: str) -> Tensor:
    call = named_call(network.adapter, forward, layer)
    tensor = first_tensor(call.output)
    if not tensor.dtype.is_floating or tensor.shape.rank is None or tensor.shape.rank < 2:
        raise ValueError(
            f"Layer {call.path!r} puts out {tensor.dtype.name} {tensor.shape}, {method} needs numbers (N, ...)."
        )
    return tensor
