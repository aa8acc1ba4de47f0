"""Keras 3 models, and those of tf_keras: their layers are watched while they are called."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import ModuleLayer
from tfxai.inputs import pack, specs_of
from tfxai.model.adapter import Adapter, Constants, ModelOutput, NamedWeights, float_values, named_outputs
from tfxai.model.fingerprint import is_keras_own, keras_fingerprint
from tfxai.model.fixed_batch import FixedBatch, differ_by_row, size_among, states_of
from tfxai.model.layer_paths import named_layers
from tfxai.model.structure import structure_text, weights_by_path
from tfxai.model.watching import Replaced, watched
from tfxai.results import text_digest
from tfxai.support import Inputs, Layer, Structure, Tensor, Variable, first_line

STATISTICS = re.compile(
    r"(mean|variance|var|count|seed\w*|ids?)(_\d+)?(:0)?$"
)  # of a layer, not of the rows of a batch


# Keras' own layers and operations that may give an input more axes, or run whatever they are told.
RESHAPING = ("Reshape", "ExpandDims", "Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")


class LegacyKerasAdapter(Adapter):
    """A model of tf_keras, and what it has in common with one of Keras 3."""

    def find_layers(self) -> list[tuple[str, Layer]]:
        return named_layers(self.model)

    @property
    def may_reshape(self) -> bool:
        layers = [self.model, *(layer for _, layer in self.layers)]
        return any(not is_keras_own(type(layer)) or type(layer).__name__ in RESHAPING for layer in layers)

    @property
    def batch(self) -> FixedBatch | None:
        states = states_of([self.model, *(layer for _, layer in self.layers)])
        declared = [spec.shape for spec in specs_of(self.model)]
        modules = [layer for _, layer in self.layers if isinstance(layer, ModuleLayer)]
        size = size_among(
            [*declared, *(state.shape for state in states), *([each.batch] for each in modules)]
        )
        if size is None:
            return None
        # Other layers may hold a state for each row, too.
        states += [v for v in self.model.non_trainable_variables if not STATISTICS.search(v.name)]
        return FixedBatch(size, alone=size > 1 and differ_by_row(states, size))

    def check_built(self) -> None:
        if not self.model.built:
            raise ValueError(
                f"The model {self.model.name!r} is not built: it has no weights yet. Call it once on a batch, or load "
                "weights, before explaining it."
            )

    def fingerprint(self) -> tuple[Hashable, list[Any]]:
        return keras_fingerprint(self.layers, self.model.variables)

    def weights(self) -> list[tuple[Variable, NDArray]]:
        return float_values(self.model.variables, self.model.variables)

    def named_weights(self) -> NamedWeights:
        return weights_by_path(self.model, self.layers)

    def structure_digest(self) -> str:
        return text_digest(structure_text(self.model, self.layers))

    def run(
        self, inputs: Inputs, flat: Sequence[Tensor], replaced: Replaced, constants: Constants
    ) -> ModelOutput:
        layers = [("", self.model), *self.layers]
        with watched(layers, [self.losses_of(layer) for _, layer in layers], replaced) as calls:
            outputs = self.call(inputs, constants)
        return ModelOutput(outputs, named_outputs(self.model, outputs), calls)

    def call(self, inputs: Inputs, constants: Constants) -> Structure:
        """The model's outputs, in inference mode."""
        return self.model(inputs, training=False)

    def losses_of(self, layer: Layer) -> dict[str, Any]:
        """The attributes of a layer among which are the losses of its last call."""
        return vars(layer._thread_local) if hasattr(layer, "_thread_local") else {}

    def build(self, inputs: Inputs, arrays: Sequence[NDArray]) -> None:
        if self.model.built:
            return
        if any(array.ndim == 0 or array.dtype == object for array in arrays):
            raise ValueError(
                f"The model {self.model.name!r} has no weights yet, and inputs is not an array (N, ...) of numbers."
            )
        types = ["int32" if array.dtype.kind in "iu" and self.looks_up else "float32" for array in arrays]
        try:
            self.model(pack(inputs, self.examples(arrays, types)), training=False)
        except Exception as error:
            shapes = [array.shape for array in arrays]
            raise ValueError(
                f"The model {self.model.name!r} has no weights yet, and cannot be built for inputs of shape "
                f"{shapes[0] if len(shapes) == 1 else shapes}: {first_line(error)}"
            ) from error

    def examples(self, arrays: Sequence[NDArray], types: Sequence[str]) -> list[Any]:
        """What the model is called on to be built."""
        return [array[:1].astype(kind) for array, kind in zip(arrays, types, strict=True)]


class KerasAdapter(LegacyKerasAdapter):
    """A model of Keras 3."""

    can_freeze = True

    def weights(self) -> list[tuple[Variable, NDArray]]:
        variables = self.model.variables
        return float_values(variables, [variable.value for variable in variables])

    def call(self, inputs: Inputs, constants: Constants) -> Structure:
        # Nothing that the model does while it is traced (losses, seeds, statistics) may reach its own state.
        mapping = [(variable, tf.constant(array)) for variable, array in constants]
        with keras.StatelessScope(state_mapping=mapping):
            return self.model(inputs, training=False)

    def losses_of(self, layer: Layer) -> dict[str, Any]:
        return vars(layer)

    def examples(self, arrays: Sequence[NDArray], types: Sequence[str]) -> list[Any]:
        # Symbols run nothing: dropout that is always on, or a counter, would move.
        return [
            keras.KerasTensor((None, *array.shape[1:]), kind)
            for array, kind in zip(arrays, types, strict=True)
        ]
