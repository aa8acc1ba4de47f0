"""Layers watched while a model is traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfxai.hub import Endpoint, is_endpoint
from tfxai.model.forward_pass import Call


def uncompiled(layer: Any) -> Callable[..., Any]:
    """The layer's `call`; if it is a tf.function, its Python code, so that its operations land in our graph."""
    call = layer.call
    python = getattr(call, "python_function", None)
    if python is None:
        return call
    try:
        converted = tf.autograph.to_graph(getattr(type(layer).call, "python_function", python))
    except (
        Exception
    ):  # no source to convert (a shell, a notebook that was closed): stay with the compiled call
        return call
    return converted.__get__(layer)


def replaced_endpoints(
    layers: Sequence[tuple[str, Endpoint]], replaced: Mapping[tuple[int, int], Any]
) -> dict[Endpoint, Any]:
    return {e: replaced[id(e), 0] for _, e in layers if (id(e), 0) in replaced}


def inner_calls(prefix: str, layers: Sequence[tuple[str, Endpoint]], inner: Sequence[Any]) -> list[Call]:
    return [
        Call(prefix + name, endpoint, before, tensor)
        for (name, endpoint), (before, tensor) in zip(layers, inner, strict=True)
        if is_endpoint(tensor)
    ]
