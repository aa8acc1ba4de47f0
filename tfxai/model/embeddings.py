"""Where token ids are looked up."""

from __future__ import annotations

import collections
import sys
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfxai.hub import Endpoint
from tfxai.model.layer_call import LayerCall
from tfxai.model.operations import OF_SHAPE, operations_behind
from tfxai.support import Layer, Operation, Structure, Tensor

HANDING_ON = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze")  # operations that leave ids as they are


def is_embedding(layer: Layer) -> bool:
    """Whether a layer looks ids up in a table of weights."""
    if isinstance(layer, Endpoint):
        return layer.ids is not None
    legacy = sys.modules.get("tf_keras")
    return isinstance(layer, keras.layers.Embedding) or (
        legacy is not None and isinstance(layer, legacy.layers.Embedding)
    )


def lookups_of(tensor: Tensor, calls: Sequence[LayerCall]) -> list[tuple[LayerCall, int]]:
    """Every call of an embedding that looks this input up, and which call of its layer it is."""
    counts: collections.Counter[int] = collections.Counter()
    found: dict[str, tuple[LayerCall, int]] = {}  # in a module one tensor may have several names
    for call in calls:
        if is_embedding(call.layer):
            if _looks_up(call, tensor):
                found.setdefault(call.output.name, (call, counts[id(call.layer)]))
            counts[id(call.layer)] += 1
    return list(found.values())


def _looks_up(call: LayerCall, tensor: Tensor) -> bool:
    ids = tf.nest.flatten(call.inputs)[0]
    # A tied table that is multiplied with at the end (reverse=True) looks nothing up: its result has no further axis.
    if ids.shape.rank is not None and call.output.shape.rank != ids.shape.rank + 1:
        return False
    # Positions 0, 1, 2 ... depend on the ids too, but only on how many there are, or which of them are padding.
    return tensor is ids or tensor.op in operations_behind([ids], values_only=True)


def other_readers(tensor: Tensor, lookups: Sequence[LayerCall]) -> list[Operation]:
    """Operations that make other numbers of the ids than the lookups do, such as a one-hot code.

    Comparisons (which tell padding from words) are none.
    """
    in_tables = operations_behind([call.output for call in lookups])
    found, seen, waiting = [], set(), [tensor]
    while waiting:
        ids = waiting.pop()
        for op in ids.consumers():
            if op in seen or op.type in OF_SHAPE:
                continue
            seen.add(op)
            if any(output.dtype.is_floating for output in op.outputs) and not ids.dtype.is_floating:
                found += [] if op in in_tables else [op]
            else:
                waiting += [output for output in op.outputs if output.dtype != tf.bool]
    return found


def is_padding_mask(output: Structure, ids: Tensor) -> bool:
    """Whether what a layer puts out says which of these ids are not 0."""
    if not tf.is_tensor(output) or output.dtype != tf.bool or output.op.type != "NotEqual":
        return False
    compared, other = output.op.inputs
    return _is_handed_on(compared, ids) and bool(np.all(np.equal(tf.get_static_value(other), 0)))


def table_size_of(tensor: Tensor, calls: Sequence[LayerCall]) -> int | None:
    """The size of the smallest Keras embedding that looks this input up as it is."""
    lookups = [call for call in calls if is_embedding(call.layer) and not isinstance(call.layer, Endpoint)]
    sizes = [
        call.layer.input_dim for call in lookups if _is_handed_on(tf.nest.flatten(call.inputs)[0], tensor)
    ]
    return min(sizes, default=None)


def _is_handed_on(ids: Tensor, tensor: Tensor) -> bool:
    while ids is not tensor and ids.op.type in HANDING_ON:
        ids = ids.op.inputs[0]
    return ids is tensor
