"""How a model is read, whatever family it belongs to. Each family has one adapter; nothing else asks for the family."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tfxai.hub import Module
from tfxai.inputs import Frame, is_float, specs_of
from tfxai.model.embeddings import is_embedding
from tfxai.model.fixed_batch import FixedBatch, size_among
from tfxai.model.layer_call import LayerCall
from tfxai.model.tracing import TraceCache
from tfxai.model.watching import Replaced
from tfxai.support import Inputs, Layer, Model, Structure, Tensor, Variable, first_line

Constants = Sequence[tuple[Variable, NDArray]]
"""Weights that are written into a trace as constants, with their values."""

NamedWeights = Sequence[tuple[str, Any]]
"""Path of a weight, and its variable; of a frozen graph a constant, as an array."""


@dataclasses.dataclass(frozen=True)
class ModelOutput:
    """What one call of a model in a trace gave.

    outputs: as the model returns them.
    named:   the same by name, where the model names them.
    calls:   of its layers.
    """

    outputs: Structure
    named: Structure
    calls: list[LayerCall]


class Adapter(abc.ABC):
    """One model of one family.

    has_layers:  its layers can be named and watched.
    can_freeze:  its weights can be written into a trace.
    has_aliases: several of its layers may be names of one tensor; the shortest comes first.
    runs_python: it is called from the graph, in Python.
    is_function: it is a plain function, which takes whatever it takes.
    """

    has_layers: ClassVar[bool] = True
    can_freeze: ClassVar[bool] = False
    has_aliases: ClassVar[bool] = False
    runs_python: ClassVar[bool] = False
    is_function: ClassVar[bool] = False

    def __init__(self, model: Model) -> None:
        self.model = model

    @functools.cached_property
    def layers(self) -> list[tuple[str, Layer]]:
        """Every layer, however deep, with its path."""
        return self.find_layers()

    @property
    def looks_up(self) -> bool:
        """Whether it looks ids up in tables of weights."""
        return any(is_embedding(layer) for _, layer in self.layers)

    @property
    def batch(self) -> FixedBatch | None:
        """How many rows it takes at once, where it takes no other number."""
        size = size_among(spec.shape for spec in specs_of(self.model))
        return None if size is None else FixedBatch(size)

    @property
    def may_reshape(self) -> bool:
        """Whether the model may give its inputs more axes before anything else, as far as it tells without being called."""
        return not self.runs_python

    @abc.abstractmethod
    def find_layers(self) -> list[tuple[str, Layer]]:
        """Every layer with its path, in an order that does not change."""

    @abc.abstractmethod
    def fingerprint(self) -> tuple[Hashable, list[Any]]:
        """What a trace reads once and for all: settings by value, and objects that count by identity."""

    @abc.abstractmethod
    def run(
        self, inputs: Inputs, flat: Sequence[Tensor], replaced: Replaced, constants: Constants
    ) -> ModelOutput:
        """Calls the model in a graph that is being traced, in inference mode, and leaves it as it was.

        inputs: tensors in the structure that the user gave. flat: the same as a list.
        """

    def check_built(self) -> None:  # noqa: B027 most are
        """Raises ValueError if the model has no weights yet."""

    def build(self, inputs: Inputs, arrays: Sequence[NDArray]) -> None:  # noqa: B027 few wait
        """Gives a model that waits for its first batch its weights, for inputs like these."""

    def weights(self) -> list[tuple[Variable, NDArray]]:
        """Its floating variables with their values."""
        return []

    def named_weights(self) -> NamedWeights | None:
        """Everything that a training may change, in an order that does not change; None where that is not known."""
        return None

    def structure_digest(self) -> str | None:
        """A digest of what the model is beside its weights, the same in every process; None where that is not known."""
        return None

    def check_redrawable(self) -> None:  # noqa: B027 most can
        """Raises ValueError if its weights cannot be changed."""

    @property
    def scoped_module(self) -> Module | None:
        """The module whose weights belong to scopes of names; None where layers own them."""
        return None

    def layer_at(self, index: int) -> Layer:
        """The layer that a number means, counted from 0 or from the end. Raises ValueError if there is none."""
        listed = self.model.layers
        if not -len(listed) <= index < len(listed):
            raise ValueError(
                f"layer={index}: the model has {len(listed)} layers, counted from 0 or from the end."
            )
        return listed[index]

    def layer_named(self, name: str) -> Layer | None:
        """The layer of this name, where names are the model's own business; None: look through the paths."""
        return None

    @property
    def makes_frames(self) -> bool:
        """Whether the model is given DataFrames."""
        return False

    def without_gradients(
        self,
        cache: TraceCache,
        inputs: Inputs,
        arrays: Sequence[NDArray],
        table: tuple[Frame, Sequence[NDArray]] | None = None,
    ) -> Adapter:
        """The adapter for a method that needs no gradients, which may take models that others cannot.

        table: the DataFrame that the inputs came as, with their arrays in float64.
        """
        return self

    def refusal(self, shapes: str, error: Exception) -> str:
        """What to tell the user when the model fails on a batch of such shapes."""
        return f"The model cannot be called on {shapes}: {first_line(error)}"


def float_values(variables: Sequence[Variable], values: Sequence[Any]) -> list[tuple[Variable, NDArray]]:
    """Floating variables with their values as arrays."""
    return [
        (variable, np.atleast_1d(value.numpy()).reshape(variable.shape))
        for variable, value in zip(variables, values, strict=True)
        if is_float(variable.dtype)
    ]


def named_outputs(model: Model, outputs: Structure) -> Structure:
    """A list of outputs as a dict, where the model names them; of one name the second is "name#2", as of layers."""
    names = getattr(model, "output_names", None)
    if not isinstance(outputs, (list, tuple)) or names is None or len(names) != len(outputs):
        return outputs
    named: dict[str, Tensor] = {}
    for name, output in zip(names, outputs, strict=True):
        own, count = name, 2
        while own in named:
            own, count = f"{name}#{count}", count + 1
        named[own] = output
    return named


def by_input_name(names: Sequence[str], inputs: Inputs, flat: Sequence[Tensor]) -> Mapping[str, Tensor]:
    """Inputs as a dict: as it is, or by the order of the names."""
    return inputs if isinstance(inputs, dict) else dict(zip(names, flat, strict=True))
