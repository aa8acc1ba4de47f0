"""Where token ids are looked up."""

from __future__ import annotations

import collections
import sys
from typing import Any

import keras
import tensorflow as tf

from tfxai.hub import Endpoint
from tfxai.model.forward_pass import Call
from tfxai.model.operations import operations_behind


def is_embedding(layer: Any) -> bool:
    if isinstance(layer, Endpoint):
        return layer.ids is not None
    legacy = sys.modules.get("tf_keras")
    return isinstance(layer, keras.layers.Embedding) or (
        legacy is not None and isinstance(layer, legacy.layers.Embedding)
    )


def embedding_of(tensor: Any, calls: list[Call]) -> tuple[Any, int] | None:
    """The first embedding call that looks this input up, and which call of its layer that is."""
    counts: collections.Counter[int] = collections.Counter()
    for call in calls:
        if is_embedding(call.layer):
            # Positions 0, 1, 2 ... depend on the ids too, but only on how many there are.
            ids = tf.nest.flatten(call.inputs)[0]
            if tensor is ids or tensor.op in operations_behind([ids], through_shapes=False):
                return call.layer, counts[id(call.layer)]
            counts[id(call.layer)] += 1
    return None


def table_size_of(tensor: Any, calls: list[Call]) -> int | None:
    """The size of the smallest Keras embedding that looks this input up as it is."""

    def handed_on(ids: Any) -> bool:
        while ids is not tensor and ids.op.type in _HANDING_ON:
            ids = ids.op.inputs[0]
        return ids is tensor

    looked_up = [call for call in calls if is_embedding(call.layer) and not isinstance(call.layer, Endpoint)]
    sizes = [c.layer.input_dim for c in looked_up if handed_on(tf.nest.flatten(c.inputs)[0])]
    return min(sizes, default=None)


def position_of(layers: list[Any], layer: Any) -> int:
    return next(i for i, other in enumerate(layers) if other is layer)


_HANDING_ON = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze")
