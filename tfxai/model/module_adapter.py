"""Modules of tfxai.hub: their graph is imported into the trace, and inner tensors stand for layers."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import Module
from tfxai.model.adapter import Adapter, Constants, ModelOutput, NamedWeights, by_input_name, float_values
from tfxai.model.fixed_batch import FixedBatch, differ_by_row
from tfxai.model.watching import Replaced, inner_calls, replaced_endpoints
from tfxai.results import text_digest
from tfxai.support import Inputs, Layer, Tensor, Variable, first_line


class ModuleAdapter(Adapter):
    """A module of tfxai.hub."""

    can_freeze = True
    has_aliases = True

    def find_layers(self) -> list[tuple[str, Layer]]:
        return self.model.layers

    def fingerprint(self) -> tuple[Hashable, list[Any]]:
        return (), []  # it is as it was loaded, apart from what its variables hold

    @property
    def batch(self) -> FixedBatch | None:
        size = self.model.batch
        if size is None:
            return None
        return FixedBatch(size, alone=size > 1 and differ_by_row(self.model.states, size))

    def weights(self) -> list[tuple[Variable, NDArray]]:
        return float_values(self.model.read, self.model.read)

    def named_weights(self) -> NamedWeights:
        return [*self.model.variables.items(), *self.model.constants.items()]

    def structure_digest(self) -> str:
        return text_digest(self.model.structure)

    def check_redrawable(self) -> None:
        if not self.model.variables:
            raise ValueError(
                f"{self.model.source} is a frozen graph: its weights are constants, which cannot be drawn anew. Load the "
                "SavedModel or module that it was made from."
            )

    @property
    def scoped_module(self) -> Module:
        return self.model

    def layer_at(self, index: int) -> Layer:
        raise ValueError(f"layer={index}: the inner tensors of a module go by name, see module.endpoints.")

    def layer_named(self, name: str) -> Layer:
        return self.model.endpoint(name)

    def run(
        self, inputs: Inputs, flat: Sequence[Tensor], replaced: Replaced, constants: Constants
    ) -> ModelOutput:
        module = self.model
        values = {id(variable): tf.constant(array) for variable, array in constants}
        given = by_input_name(list(module.inputs), inputs, flat)
        changed = replaced_endpoints(self.layers, replaced)
        named, inner = module.laid_out(given, values, changed, [endpoint for _, endpoint in self.layers])
        outputs = named if module.output is None else named[module.output]
        return ModelOutput(outputs, named, inner_calls("", self.layers, inner, module.batch))

    def refusal(self, shapes: str, error: Exception) -> str:
        return f"{self.model.source} cannot be called on {shapes}: {first_line(error)}"
