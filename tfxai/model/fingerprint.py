"""What of a Keras model a trace reads once and for all."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import types
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import tensorflow as tf

from tfxai.support import Layer, Variable

Getter = Callable[[Any], tuple[Any, ...]]
TABLES = (tf.lookup.StaticHashTable, tf.lookup.experimental.MutableHashTable)  # of layers that were adapted
KERAS = ("keras", "tf_keras")  # packages whose layers' attributes are settings


def keras_fingerprint(
    layers: Sequence[tuple[str, Layer]], variables: Sequence[Variable]
) -> tuple[Hashable, list[Any]]:
    """The settings of a model's layers, and the objects that count by identity.

    Another layer, set of weights, activation, or setting of a Keras layer means another trace. Other attributes of a
    user's own classes are read when the model is traced, as tf.function does.
    """
    objects, settings = [], []
    for _, layer in layers:
        objects.append(layer)
        if not is_keras_own(type(layer)):
            continue
        values = _public_attributes(layer)
        counting = _counting(tuple(map(type, values)))
        settings.append(counting.values(values))
        objects += counting.objects(values)
    return tuple(settings), [*objects, *variables]


@functools.lru_cache(4096)
def is_keras_own(kind: type) -> bool:
    """Whether a layer's class is one of Keras' own, whose public attributes are its settings."""
    return kind.__module__.split(".")[0] in KERAS


_GETTERS: dict[tuple[type, int], Getter] = {}  # by class of a layer and the number of its attributes


def _public_attributes(layer: Layer) -> tuple[Any, ...]:
    """What the public attributes of one of Keras' own layers hold. Every call asks for it, so it must be quick."""
    attributes = vars(layer)
    getter = _GETTERS.get((type(layer), len(attributes)))
    with contextlib.suppress(KeyError):
        if getter is not None:
            return getter(attributes)
    getter = _getter([name for name in attributes if name[0] != "_"])
    _GETTERS[type(layer), len(attributes)] = getter
    return getter(attributes)


@dataclasses.dataclass(frozen=True)
class _Counting:
    """Which of some attributes count: by their value, or by their identity."""

    values: Getter
    objects: Getter


@functools.lru_cache(4096)
def _counting(kinds: tuple[type, ...]) -> _Counting:
    by_value = [i for i, kind in enumerate(kinds) if issubclass(kind, (bool, int, float, str))]
    by_identity = (types.FunctionType, tf.Tensor, *TABLES)
    return _Counting(
        _getter(by_value), _getter([i for i, kind in enumerate(kinds) if issubclass(kind, by_identity)])
    )


def _getter(keys: Sequence[Any]) -> Getter:
    """Gets these items of a mapping or sequence, as a tuple also of none or one."""
    if len(keys) > 1:
        return operator.itemgetter(*keys)
    return lambda items: tuple(items[key] for key in keys)
