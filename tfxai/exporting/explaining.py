"""What an explaining signature does, as the body of one trace: a method's own work on rows that are tensors."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfxai.engines import Attribution, Inside, Method, NotOneGraph, Request
from tfxai.model import Body, Network, TraceRecord
from tfxai.support import Tensor


@dataclasses.dataclass
class NamedRecord(TraceRecord):
    """names: of what the body returns."""

    names: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Predicting(Body):
    """The model as it is, its outputs by name. outputs: these names, where the model has some."""

    Record: ClassVar[type[TraceRecord]] = NamedRecord
    outputs: tuple[str, ...]

    def __call__(self, network: Network, record: NamedRecord, *tensors: Tensor) -> list[Tensor]:
        forward = network.forward(tensors)
        found: Any = forward.named
        if not isinstance(found, dict):
            flat = tf.nest.flatten(found)
            names = (
                self.outputs if len(self.outputs) == len(flat) else [f"output_{i}" for i in range(len(flat))]
            )
            found = dict(zip(names, flat, strict=True))
        named: dict[str, Tensor] = {}
        for name, each in found.items():  # one may be a list of several, or the second of a name
            parts = tf.nest.flatten(each)
            for i, part in enumerate(parts):
                named[re.sub(r"\W", "_", str(name)) + (f"_{i}" if len(parts) > 1 else "")] = part
        record.names = list(named)
        return [forward.kept(part) for part in named.values()]


@dataclasses.dataclass(frozen=True)
class Explaining(Body):
    """A method's explanation of rows: `values`, `target`, `score`, and where there is one `baseline_score` and `delta`.

    request:    the call, of one example. names: of the model's inputs.
    apart:      whether another engine than TensorFlow will run it: all shapes are known then, if the batch is fixed.
    """

    Record: ClassVar[type[TraceRecord]] = NamedRecord
    method: Method
    request: Request
    names: tuple[str, ...]
    apart: bool

    def __call__(self, network: Network, record: NamedRecord, *tensors: Tensor) -> list[Tensor]:
        *inputs, codes = tensors
        inputs = [
            x if view is None else tf.reshape(x, (x.shape[0] or -1, *view))
            for x, view in zip(inputs, network.views, strict=True)
        ]
        name, inside = type(self.method).__name__, Inside(inputs, codes, record, self.apart)
        request = dataclasses.replace(
            self.request, inside=inside, jit_compile=self.apart and codes.shape[0] is not None
        )
        try:
            found = self.method.attribute(request)
        except (AttributeError, NotImplementedError, TypeError) as error:  # of an array that is a tensor here
            is_open = any(None in x.shape[1:] for x in inputs)
            why = (
                "they need Python while it explains"
                if not is_open
                else "they need the sizes of the inputs, which are open"
            )
            remedy = " Give inputs of one size." if is_open else ""
            raise NotOneGraph(
                f"{name} cannot be exported with these settings: {why} ({error}).{remedy}"
            ) from error
        results = self._named(network, found)
        record.names = list(results)
        return [_unless_outside(each, codes, record.classes) for each in results.values()]

    def _named(self, network: Network, found: Attribution) -> dict[str, Tensor]:
        explained = [i for i, values in enumerate(found.values) if values is not None]
        if not explained:
            raise NotOneGraph(f"{type(self.method).__name__} explains none of the inputs of this model.")
        named: dict[str, Tensor] = {}
        maps: Sequence[Any] = found.values
        for i in explained:
            name = "values" if len(explained) == 1 else f"values_{self.names[i]}"
            named[name] = as_given(network, i, tf.cast(maps[i], tf.float32))
            lengths = network.rows[i][: named[name].shape.rank - 2]  # the last axis may be one channel
            named[name].set_shape([None, *lengths, *named[name].shape[1 + len(lengths) :]])
        named["target"] = tf.cast(found.targets, tf.int32)
        named["score"] = tf.cast(found.scores, tf.float32)
        for name, each in (("baseline_score", found.base_scores), ("delta", found.delta)):
            if each is not None:
                named[name] = tf.cast(each, tf.float32)
        return named


def as_given(network: Network, which: int, values: Tensor) -> Tensor:
    """Values (B, ...) of an input in the shape that it was given in; see `Network.as_given`."""
    view, row = network.views[which], network.rows[which]
    if view is None:
        return values
    rows = tf.shape(values)[0]
    shape = values.shape[1:].as_list()
    whole = tf.broadcast_to(values, tf.concat([[rows], view], 0))
    return tf.reshape(whole, (rows, *row)) * (np.prod(shape) / np.prod(row))


def _unless_outside(result: Tensor, codes: Tensor, classes: int | None) -> Tensor:
    """A result, but NaN in rows whose target is no class (-1 is the model's own choice): a wrong map would look like one."""
    if classes is None or not result.dtype.is_floating:
        return result
    inside = tf.reshape((codes >= -1) & (codes < classes), [-1, *[1] * (result.shape.rank - 1)])
    return tf.where(inside, result, np.nan)
