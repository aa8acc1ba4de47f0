"""Where token ids are looked up."""

from __future__ import annotations

import collections
import sys
from collections.abc import Sequence

import keras
import tensorflow as tf

from tfxai.hub import Endpoint
from tfxai.model.forward_pass import LayerCall
from tfxai.model.operations import operations_behind
from tfxai.support import Layer, Tensor

HANDING_ON = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze")  # operations that leave ids as they are


def is_embedding(layer: Layer) -> bool:
    """Whether a layer looks ids up in a table of weights."""
    if isinstance(layer, Endpoint):
        return layer.ids is not None
    legacy = sys.modules.get("tf_keras")
    return isinstance(layer, keras.layers.Embedding) or (
        legacy is not None and isinstance(layer, legacy.layers.Embedding)
    )


def embedding_of(tensor: Tensor, calls: Sequence[LayerCall]) -> tuple[Layer, int] | None:
    """The layer of the first embedding call that looks this input up, and which call of that layer it is."""
    counts: collections.Counter[int] = collections.Counter()
    for call in calls:
        if is_embedding(call.layer):
            # Positions 0, 1, 2 ... depend on the ids too, but only on how many there are.
            ids = tf.nest.flatten(call.inputs)[0]
            if tensor is ids or tensor.op in operations_behind([ids], through_shapes=False):
                return call.layer, counts[id(call.layer)]
            counts[id(call.layer)] += 1
    return None


def table_size_of(tensor: Tensor, calls: Sequence[LayerCall]) -> int | None:
    """The size of the smallest Keras embedding that looks this input up as it is."""

    def is_handed_on(ids: Tensor) -> bool:
        while ids is not tensor and ids.op.type in HANDING_ON:
            ids = ids.op.inputs[0]
        return ids is tensor

    lookups = [call for call in calls if is_embedding(call.layer) and not isinstance(call.layer, Endpoint)]
    sizes = [call.layer.input_dim for call in lookups if is_handed_on(tf.nest.flatten(call.inputs)[0])]
    return min(sizes, default=None)
