"""Which adapter reads a model: the one place that knows all families."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfxai.hub import Module
from tfxai.inputs import flatten
from tfxai.model.adapter import Adapter
from tfxai.model.callable_adapter import CallableAdapter
from tfxai.model.keras_adapter import KerasAdapter, LegacyKerasAdapter
from tfxai.model.module_adapter import ModuleAdapter
from tfxai.support import Inputs, Model


def adapter_of(model: Model) -> Adapter:
    """The adapter of a model's family; it may hold another object than was given, see `itself`.

    Raises ValueError if it is not a model, or runs on another backend than TensorFlow.
    """
    model = itself(model)
    if isinstance(model, Module):
        return ModuleAdapter(model)
    if isinstance(model, keras.layers.Layer):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"This model runs on Keras' {keras.backend.backend()} backend; tfxai reads TensorFlow graphs. Set "
                "KERAS_BACKEND=tensorflow before keras is imported and load the model again."
            )
        return KerasAdapter(model)
    legacy = sys.modules.get("tf_keras")
    if legacy is not None and isinstance(model, legacy.layers.Layer):
        return LegacyKerasAdapter(model)
    _refuse_loaded(model)
    if isinstance(model, type):
        raise ValueError(f"model is the class {model.__name__}. Give a model, which such a class makes.")
    if isinstance(model, str | Path):
        raise ValueError(
            f"model is the name {str(model)!r}. Load the file first: keras.models.load_model(...), or "
            "tfxai.hub.load(...) for a SavedModel."
        )
    if not callable(model):
        raise ValueError(
            f"model is a {type(model).__name__}. Give a Keras model, or a callable from a batch to scores."
        )
    return CallableAdapter(model)


def itself(model: Model) -> Model:
    """The model whose own method this is, such as `model.predict`, which is slow and prints; what was given otherwise."""
    owner = getattr(model, "__self__", None)
    if getattr(model, "__name__", "") not in ("predict", "predict_on_batch", "call", "__call__"):
        return model
    legacy = sys.modules.get("tf_keras")
    kinds = (keras.Model,) if legacy is None else (keras.Model, legacy.Model)
    return owner if isinstance(owner, kinds) else model


def _refuse_loaded(model: Model) -> None:
    """Raises ValueError for what `tf.saved_model.load` gives, and for its signatures: sealed, where a module is open."""
    file = isinstance(getattr(model, "signatures", None), Mapping) and hasattr(model, "tensorflow_version")
    signature = isinstance(model, tf.types.experimental.ConcreteFunction) and _takes_names(model)
    if file or signature:
        what = "an object of tf.saved_model.load" if file else "a signature, which takes its inputs by name"
        choice = "path" if file else "path, signature=NAME"
        raise ValueError(
            f"model is {what}; its layers and logits are sealed. Load it with tfxai.hub.load({choice}), which every "
            "method takes."
        )


def _takes_names(function: Any) -> bool:
    arguments, names = function.structured_input_signature
    return bool(names) and not arguments


def build(model: Model, inputs: Inputs) -> None:
    """Gives a model that waits for its first batch its weights, for inputs like these. Of Keras 3 models nothing is run.

    Raises ValueError if the model cannot take such inputs.
    """
    adapter_of(model).build(inputs, [np.asarray(array) for array in flatten(inputs)[0]])
