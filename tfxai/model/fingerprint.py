"""What of a model a trace reads once and for all."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import operator
import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_Getter = Callable[[Any], tuple[Any, ...]]


_PUBLIC: dict[tuple[type, int], _Getter] = {}  # by class of a layer and the number of its attributes


def public_attributes(layer: Any) -> tuple[Any, ...]:
    """What the public attributes of one of Keras' own layers hold. Every call asks for it, so it must be quick."""
    own = vars(layer)
    getter = _PUBLIC.get((type(layer), len(own)))
    with contextlib.suppress(KeyError):
        if getter is not None:
            return getter(own)
    getter = _PUBLIC[type(layer), len(own)] = _getter([name for name in own if name[0] != "_"])
    return getter(own)


@dataclasses.dataclass(frozen=True)
class _Counted:
    """Which of some attributes count: by their value, or by their identity."""

    values: _Getter
    objects: _Getter


@functools.lru_cache(4096)
def counted_attributes(kinds: tuple[type, ...]) -> _Counted:
    by_value = [i for i, kind in enumerate(kinds) if issubclass(kind, (bool, int, float, str))]
    functions = (types.FunctionType, tf.Tensor, *_TABLES)
    return _Counted(
        _getter(by_value), _getter([i for i, kind in enumerate(kinds) if issubclass(kind, functions)])
    )


def _getter(keys: Sequence[Any]) -> _Getter:
    """Gets these items of a mapping or sequence, as a tuple also of none or one."""
    if len(keys) > 1:
        return operator.itemgetter(*keys)
    return lambda items: tuple(items[key] for key in keys)


_TABLES = (tf.lookup.StaticHashTable, tf.lookup.experimental.MutableHashTable)  # of layers that were adapted
