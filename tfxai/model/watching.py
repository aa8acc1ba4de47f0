"""Layers watched while a model is traced: what each puts out, and what it is told to put out instead."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxai.hub import Endpoint, ModuleLayer, is_endpoint
from tfxai.model.layer_call import LayerCall
from tfxai.model.lookups import Replacement, made
from tfxai.support import Layer, Structure, Tensor

Replaced = Mapping[tuple[int, int], Replacement]
"""{(id of a layer, number of its call): what it puts out instead of its own}."""

LOSSES = (
    "_losses",
    "_loss_ids",
    "_eager_losses",
)  # what a model forgets of its last call when it is called again


@contextlib.contextmanager
def watched(
    layers: Sequence[tuple[str, Layer]], keepers: Sequence[dict[str, Any]], replaced: Replaced
) -> Iterator[list[LayerCall]]:
    """Swaps the `call` of each layer for one that notes its output, or replaces it, and puts all back in the end.

    layers:  with their paths.
    keepers: dictionaries of attributes in which the user's last call may have left losses.
    """
    watch, patched = _Watch(replaced), set()
    with contextlib.ExitStack() as undo:
        for keeper in keepers:
            _keep_losses(keeper, undo)
        for path, layer in layers:
            if id(layer) not in patched and not isinstance(layer, Endpoint):
                patched.add(id(layer))
                name = calling_name(layer)
                _patch(layer, name, watch.watching(path, layer, name), undo)
        yield watch.calls


def calling_name(layer: Layer) -> str:
    """The method that Keras calls a layer by: quantised ones have another."""
    return "call" if getattr(layer, "quantization_mode", None) is None else "quantized_call"


def _patch(layer: Layer, name: str, call: Callable[..., Any], undo: contextlib.ExitStack) -> None:
    # Around Keras' own attribute tracking, which would change the layer.
    attributes = vars(layer)
    # The undo comes first: an interruption may come between any two lines.
    if name in attributes:
        undo.callback(attributes.__setitem__, name, attributes[name])
    else:
        undo.callback(attributes.pop, name, None)
    attributes[name] = call


def _keep_losses(keeper: dict[str, Any], undo: contextlib.ExitStack) -> None:
    for name in LOSSES:
        losses = keeper.get(name)
        if isinstance(losses, (list, set)):
            undo.callback(_give_back, keeper, name, losses, type(losses)(losses))


def _give_back(keeper: dict[str, Any], name: str, losses: Any, before: Any) -> None:
    losses.clear()
    (losses.extend if isinstance(losses, list) else losses.update)(before)
    keeper[name] = losses


@dataclasses.dataclass
class _Watch:
    """What is seen while one model is traced, by one thread."""

    replaced: Replaced
    calls: list[LayerCall] = dataclasses.field(default_factory=list)
    counts: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)
    thread: int = dataclasses.field(default_factory=threading.get_ident)

    def watching(self, path: str, layer: Layer, name: str) -> Callable[..., Any]:
        """A layer's `call`, or whatever name it goes by, that also notes what it does."""
        original = getattr(layer, name)
        call = self._laid_out(path, layer) if isinstance(layer, ModuleLayer) else uncompiled(layer, name)

        def watched_call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.thread:  # somebody else's use of the model, at the same time
                return original(*args, **kwargs)
            start = operation_count()
            output = call(*args, **kwargs)
            replacement = self.replaced.get((id(layer), self.counts[id(layer)]))
            self.counts[id(layer)] += 1
            output = made(replacement, output)
            inputs = args[0] if args else next(iter(kwargs.values()), None)
            span = start, operation_count()
            self.calls.append(LayerCall(path, layer, _in_graph(inputs), _in_graph(output), span))
            return output

        return watched_call

    def _laid_out(self, path: str, layer: ModuleLayer) -> Callable[..., Any]:
        """The `call` of a layer that is a module, whose inner tensors count as layers, too."""

        def call(inputs: Structure) -> Structure:
            output, inner = layer.laid_out(inputs, replaced_endpoints(layer.inner, self.replaced))
            self.calls.extend(inner_calls(path + "/", layer.inner, inner, layer.batch))
            return output

        return call


def operation_count() -> int:
    """How many operations the graph has that is being traced; 0 outside of one."""
    return 0 if tf.executing_eagerly() else tf.compat.v1.get_default_graph().version


def uncompiled(layer: Layer, name: str) -> Callable[..., Any]:
    """The layer's `call`; if it is a tf.function, its Python code, so that its operations land in our graph."""
    call = getattr(layer, name)
    python = getattr(call, "python_function", None)
    if python is None:
        return call
    try:
        converted = tf.autograph.to_graph(getattr(getattr(type(layer), name), "python_function", python))
    except Exception:
        # No source to convert (a shell, a notebook that was closed): stay with the compiled call.
        return call
    return converted.__get__(layer)


def replaced_endpoints(layers: Sequence[tuple[str, Layer]], replaced: Replaced) -> dict[Endpoint, Tensor]:
    """What the endpoints of a module put out instead of their own."""
    return {endpoint: replaced[id(endpoint), 0] for _, endpoint in layers if (id(endpoint), 0) in replaced}


def inner_calls(
    prefix: str,
    layers: Sequence[tuple[str, Endpoint]],
    inner: Sequence[tuple[Tensor, Tensor]],
    batch: int | None = None,
) -> list[LayerCall]:
    """The endpoints of a module as layer calls. inner: what each is made of, and itself. batch: rows, where they are fixed."""
    return [
        LayerCall(prefix + name, endpoint, before, tensor)
        for (name, endpoint), (before, tensor) in zip(layers, inner, strict=True)
        if is_endpoint(tensor, batch)
    ]


def _in_graph(structure: Structure) -> Structure:
    """What was stored when a layer was built (positions, a table) as tensors of the graph; all else as it is."""
    return tf.nest.map_structure(
        lambda value: tf.identity(tf.convert_to_tensor(value)) if _is_stored(value) else value, structure
    )


def _is_stored(value: Any) -> bool:
    is_tensor = isinstance(value, tf.Tensor) and not tf.is_symbolic_tensor(value)
    return is_tensor or isinstance(value, (tf.Variable, keras.Variable))
