"""Traced functions: kept per model, by what they depend on."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import re
import weakref
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfxai.inputs import tensor_of
from tfxai.support import first_line


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A traced function, and the facts that its tracing found out (number of classes, chosen layer ...).

    read: weak references to what the fingerprint names by identity: once one is gone, its identity may come back.
    """

    function: Callable[..., Any]
    facts: dict[str, Any]
    read: list[Any]

    def __call__(self, *arguments: Any) -> Any:
        tensors = tf.nest.map_structure(tensor_of, arguments)
        if not self.facts.get("arrays"):
            return self._run(*tensors)
        try:
            return self.function(*tensors)
        except tf.errors.OpError as error:  # which wraps what the user's callable raised
            lines = [line.strip() for line in error.message.splitlines() if "Error: " in line]
            raise ValueError(f"The callable failed: {[*lines, first_line(error)][0]}") from error

    def _run(self, *tensors: Any) -> Any:
        try:
            return self.function(*tensors)
        except tf.errors.InvalidArgumentError as error:
            # Of models that change ids before they look them up, and of files: their tables are not known before.
            if (found := OUTSIDE.search(error.message)) is None:
                raise
            raise ValueError(
                outside_vocabulary("The model looks up", int(found[1]), int(found[2]))
            ) from error


OUTSIDE = re.compile(r"= (-?\d+) is not in \[0, (\d+)\)")  # as TensorFlow says it of a lookup


def outside_vocabulary(what: str, number: int, size: int) -> str:
    return f"{what} the token id {number}, the vocabulary has {size}. Give ids from 0 to {size - 1}."


def weak_references(objects: list[Any]) -> list[Any]:
    found = []
    for value in objects:
        with contextlib.suppress(TypeError):  # what cannot be referred to weakly
            found.append(weakref.ref(value))
    return found


class State:
    """What is kept for a model for as long as the user keeps it."""

    def __init__(self) -> None:
        self.functions: collections.OrderedDict[Any, Compiled] = collections.OrderedDict()
        self.traces = 0
        self.array_outputs: dict[str, Any] = {}  # of a callable on arrays: what it returns for one example


STATES: weakref.WeakKeyDictionary[Any, State] = weakref.WeakKeyDictionary()


def traces(model: Any) -> int:
    """How many functions have been traced for a model so far."""
    return STATES[model].traces if model in STATES else 0
