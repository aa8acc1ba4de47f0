"""What layers put out, and how a score changes along directions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.activations import Layer, check_layers, first, layer_key, named
from tfxai.engines.method import Question, each
from tfxai.graphs import operations_behind
from tfxai.network import Compiled, Network, Pass


def activations(model: Any, layers: Sequence[Layer], inputs: Any, method: str) -> list[NDArray[np.float32]]:
    """What each layer puts out for one batch: arrays (N, *shape of the layer).

    Raises ValueError if a layer does not exist or puts out no numbers. Cost: a forward pass, as far as the last layer.
    """
    network = Network(model, inputs)
    return [tensor.numpy() for tensor in _reading(network, layers, method)(*network.arrays)]


def paths(model: Any, layers: Sequence[Layer], inputs: Any, method: str) -> list[str]:
    """The path of each layer, however it was named. Raises ValueError as `activations`. Cost: traces, runs nothing."""
    return _reading(Network(model, inputs), layers, method).facts["paths"]


def _reading(network: Network, layers: Sequence[Layer], method: str) -> Compiled:
    check_layers(network, method)

    def body(facts: dict[str, Any], *tensors: Any) -> Any:
        trace = network.forward(tensors)
        facts["paths"] = [named(network, trace, layer).path for layer in layers]
        return [tf.cast(_tensor(network, trace, layer, method), tf.float32) for layer in layers]

    return network.compiled(("activations", *map(layer_key, layers)), body, network.arrays)


def slopes(question: Question, layers: Sequence[Layer], directions: Sequence[NDArray]) -> list[NDArray]:
    """The score's derivative along each direction of each layer: for each layer (rows, R).

    directions: for each layer float32 (R, *shape of the layer).

    Raises ValueError if the score does not depend on a layer.
    Cost: a forward pass and a backward pass as far as the first layer, however many layers and directions there are.
    """
    network = question.network

    def body(facts: dict[str, Any], inputs: Any, codes: Any, *flat: Any) -> Any:
        trace = network.forward(inputs)
        scores, _ = question.scored(trace, codes, facts)
        tensors = [_tensor(network, trace, layer, question.name) for layer in layers]
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
    return each(question, ["slopes", *map(layer_key, layers)], body, constants=flat)


def _tensor(network: Network, trace: Pass, layer: Layer, method: str) -> Any:
    call = named(network, trace, layer)
    tensor = first(call.output)
    if not tensor.dtype.is_floating or tensor.shape.rank is None or tensor.shape.rank < 2:
        raise ValueError(
            f"Layer {call.path!r} puts out {tensor.dtype.name} {tensor.shape}, {method} needs numbers (N, ...)."
        )
    return tensor
