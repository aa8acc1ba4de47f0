"""Which family a model belongs to: Keras 3, tf_keras, a module, or any callable."""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np

from tfxai.hub import Module
from tfxai.inputs import flatten, pack
from tfxai.model.embeddings import is_embedding
from tfxai.model.layer_paths import named_layers
from tfxai.support import first_line


def build(model: Any, inputs: Any) -> None:
    """Gives a model that waits for its first batch its weights, for inputs like these. Of Keras 3 models nothing is run.

    Raises ValueError if the model cannot take such inputs.
    """
    kind = family_of(model)
    if kind not in ("keras", "tf_keras") or model.built:
        return
    arrays = [np.asarray(each) for each in flatten(inputs)[0]]
    if any(array.ndim == 0 or array.dtype == object for array in arrays):
        raise ValueError(
            f"The model {model.name!r} has no weights yet, and inputs is no array (N, ...) of numbers."
        )
    looks_up = any(is_embedding(layer) for _, layer in named_layers(model))
    types = ["int32" if array.dtype.kind in "iu" and looks_up else "float32" for array in arrays]
    try:
        if kind == "keras":
            # Symbols run nothing: dropout that is always on, or a counter, would move.
            shapes = [(None, *array.shape[1:]) for array in arrays]
            model(
                pack(inputs, [keras.KerasTensor(*each) for each in zip(shapes, types, strict=True)]),
                training=False,
            )
        else:
            model(pack(inputs, [a[:1].astype(t) for a, t in zip(arrays, types, strict=True)]), training=False)
    except Exception as error:
        shapes = [array.shape for array in arrays]
        raise ValueError(
            f"The model {model.name!r} has no weights yet, and cannot be built for inputs of shape "
            f"{shapes[0] if len(shapes) == 1 else shapes}: {first_line(error)}"
        ) from error


def family_of(model: Any) -> str:
    if isinstance(model, Module):
        return "hub"
    if isinstance(model, keras.layers.Layer):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"This model runs on Keras' {keras.backend.backend()} backend; tfxai reads TensorFlow graphs. Set "
                "KERAS_BACKEND=tensorflow before keras is imported and load the model again."
            )
        return "keras"
    legacy = sys.modules.get("tf_keras")
    if legacy is not None and isinstance(model, legacy.layers.Layer):
        return "tf_keras"
    if not callable(model):
        raise ValueError(
            f"model is a {type(model).__name__}. Give a Keras model, or a callable from a batch to scores."
        )
    return "callable"
