"""A model on its way to another process: by its path, or packed up."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tfxai import hub
from tfxai.support import File, Model, first_line

ENDINGS = (".keras", ".h5", ".hdf5")  # of what Keras itself saves


def load_model(source: File | Callable[[], Model]) -> Model:
    """The model of a path (.keras, .h5, SavedModel, frozen graph, TF-Hub handle), or the one that a function makes.

    Raises ValueError if there is none.
    """
    if callable(source):
        return source()
    path = Path(source)
    if path.suffix.lower() not in ENDINGS:
        return hub.load(source)
    if not path.is_file():
        raise ValueError(f"There is no model {source}. Give a path that this process can read.")
    return keras.saving.load_model(path, compile=False)


def carried(model: Model, pack: Callable[[Any], bytes]) -> Callable[[], Model]:
    """A model as it can be sent to other processes: called there, it gives the model.

    pack: pickles, with the classes and functions of the script that was started, such as cloudpickle's `dumps`.

    Raises ValueError if that cannot be done.
    """
    if isinstance(model, hub.Module):
        return _HubModule(dict(model.how))
    if not _has_layers(model):
        return _Plain(model)  # a function: whoever sends it packs it up
    try:
        return _Keras(pack(model), _own_classes(model))
    except Exception as error:  # whatever a model's own get_config raises
        raise ValueError(
            f"The model cannot be sent to other processes: {first_line(error)} Save it, and give what tfxai.hub.load or "
            "keras.saving.load_model makes of the file."
        ) from error


@dataclasses.dataclass(frozen=True)
class _HubModule:
    how: dict[str, Any]

    def __call__(self) -> Model:
        return hub.load(**self.how)


@dataclasses.dataclass(frozen=True)
class _Plain:
    model: Model

    def __call__(self) -> Model:
        return self.model


@dataclasses.dataclass(frozen=True)
class _Keras:
    """own: classes of a user, which another process might not find; they are sent with it."""

    packed: bytes
    own: dict[str, type]

    def __call__(self) -> Model:
        with keras.saving.custom_object_scope(self.own) if self.own else contextlib.nullcontext():
            return pickle.loads(self.packed)


def _has_layers(model: Any) -> bool:
    return hasattr(model, "layers") and hasattr(model, "get_config")


def _own_classes(model: Any) -> dict[str, type]:
    """Classes that are not Keras' own, of the model and the layers in it, by the names by which Keras looks for them."""
    found: dict[str, type] = {}
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        kind = type(layer)
        if kind.__module__.partition(".")[0] not in ("keras", "tf_keras"):
            found |= {kind.__name__: kind, keras.saving.get_registered_name(kind): kind}
        waiting += getattr(layer, "_layers", None) or getattr(layer, "layers", None) or []
    return found
