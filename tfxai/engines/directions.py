"""What layers put out, and how a score changes along directions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import run_in_batches
from tfxai.engines.request import Request
from tfxai.model import (
    Compiled,
    ForwardPass,
    LayerChoice,
    Network,
    check_layers,
    first_tensor,
    layer_key,
    named_call,
    operations_behind,
)


def layer_activations(
    model: Any, layers: Sequence[LayerChoice], inputs: Any, method: str
) -> list[NDArray[np.float32]]:
    """What each layer puts out for one batch: arrays (N, *shape of the layer).

    Raises ValueError if a layer does not exist or puts out no numbers. Cost: a forward pass, as far as the last layer.
    """
    network = Network(model, inputs)
    return [tensor.numpy() for tensor in _reading(network, layers, method)(*network.arrays)]


def layer_paths(model: Any, layers: Sequence[LayerChoice], inputs: Any, method: str) -> list[str]:
    """The path of each layer, however it was named. Raises ValueError as `activations`. Cost: traces, runs nothing."""
    return _reading(Network(model, inputs), layers, method).facts["paths"]


def _reading(network: Network, layers: Sequence[LayerChoice], method: str) -> Compiled:
    check_layers(network, method)

    def body(facts: dict[str, Any], *tensors: Any) -> Any:
        trace = network.forward(tensors)
        facts["paths"] = [named_call(network, trace, layer).path for layer in layers]
        return [tf.cast(_tensor(network, trace, layer, method), tf.float32) for layer in layers]

    return network.compiled(("activations", *map(layer_key, layers)), body, network.arrays)


def slopes(request: Request, layers: Sequence[LayerChoice], directions: Sequence[NDArray]) -> list[NDArray]:
    """The score's derivative along each direction of each layer: for each layer (rows, R).

    directions: for each layer float32 (R, *shape of the layer).

    Raises ValueError if the score does not depend on a layer.
    Cost: a forward pass and a backward pass as far as the first layer, however many layers and directions there are.
    """
    network = request.network

    def body(facts: dict[str, Any], inputs: Any, target_codes: Any, *flat: Any) -> Any:
        trace = network.forward(inputs)
        scores, _ = request.scored(trace, target_codes, facts)
        tensors = [_tensor(network, trace, layer, request.name) for layer in layers]
        behind = operations_behind([scores], differentiable=True)
        for layer, tensor in zip(layers, tensors, strict=True):
            if tensor.op not in behind:
                raise ValueError(
                    f"The score does not depend on layer {getattr(layer, 'name', layer)!r}. Name one between the inputs "
                    "and the score."
                )
        gradients = trace.gradients(scores, of=tensors)
        return [
            tf.matmul(tf.reshape(gradient, (tf.shape(gradient)[0], -1)), along, transpose_b=True)
            for gradient, along in zip(gradients, flat, strict=True)
        ]

    flat = [along.reshape(len(along), -1) for along in directions]
    return run_in_batches(request, ["slopes", *map(layer_key, layers)], body, constants=flat)


def _tensor(network: Network, trace: ForwardPass, layer: LayerChoice, method: str) -> Any:
    call = named_call(network, trace, layer)
    tensor = first_tensor(call.output)
    if not tensor.dtype.is_floating or tensor.shape.rank is None or tensor.shape.rank < 2:
        raise ValueError(
            f"Layer {call.path!r} puts out {tensor.dtype.name} {tensor.shape}, {method} needs numbers (N, ...)."
        )
    return tensor
