"""A module as a Keras 3 layer, for transfer learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxai.hub.loading import load
from tfxai.hub.module import Endpoint, Module
from tfxai.support import Inputs, Structure, Tensor


def as_layer(module: Module, endpoint: str | None = None, trainable: bool = False) -> ModuleLayer:
    """A Keras 3 layer that runs a module, for transfer learning: `keras.Sequential([as_layer(module), Dense(5)])`.

    endpoint:  inner tensor that the layer puts out; unless given, the module's output.
    trainable: whether training changes the module's weights. May also be set later, on the layer.

    The layer has its own copy of the weights as Keras variables: training leaves the module as it is. Statistics of
    batch norm stay as they are. A model that holds it is saved with where the module came from, and its weights.

    Raises ValueError if there is no such endpoint, or no output to choose.
    """
    return ModuleLayer(module, endpoint, trainable=trainable)


@keras.saving.register_keras_serializable("tfxai")
class ModuleLayer(keras.layers.Layer):
    """See `as_layer`."""

    def __init__(
        self, module: Module, endpoint: str | None = None, *, trainable: bool = False, **more: Any
    ) -> None:
        super().__init__(**more)
        self._endpoint = endpoint
        self._module = _part(module, endpoint)
        names = {id(variable): name for name, variable in module.variables.items()}
        self._copies = [
            self.add_weight(
                name=names[id(variable)].replace("/", "."),
                shape=variable.shape,
                dtype=variable.dtype.name,
                initializer=lambda shape, dtype, variable=variable: variable.numpy(),
                trainable=variable.trainable and variable.dtype.is_floating,
                autocast=False,
            )
            for variable in self._module.read
        ]
        self.built = True
        self.trainable = trainable
        self._compiled = tf.function(self._answer, autograph=False)

    def call(self, inputs: Inputs) -> Tensor:
        """What the endpoint, or the output, puts out."""
        # As a compiled call: operations that are merely laid out would be unknown to a GradientTape.
        return self._compiled(self._module.named_inputs(inputs), self._values())

    def _values(self) -> list[Tensor]:
        return [tf.convert_to_tensor(copy.value) for copy in self._copies]

    def _answer(self, given: Mapping[str, Tensor], values: Sequence[Tensor]) -> Tensor:
        return next(iter(self._module.laid_out(given, self._by_variable(values))[0].values()))

    def _by_variable(self, values: Sequence[Tensor]) -> dict[int, Tensor]:
        return {id(variable): value for variable, value in zip(self._module.read, values, strict=True)}

    def compute_output_shape(self, input_shape: Structure) -> tuple[int | None, ...]:
        """The endpoint's shape, with any number of examples."""
        (spec,) = self._module.outputs.values()
        return (None, *spec.shape[1:])

    @property
    def batch(self) -> int | None:
        """How many examples it takes at once, where the module was saved for one number of them; None: any."""
        return self._module.batch

    @property
    def inner(self) -> list[tuple[str, Endpoint]]:
        """The inner tensors that can be named, as of a module."""
        return self._module.layers

    def laid_out(
        self, inputs: Inputs, replaced: Mapping[Endpoint, Tensor]
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """In a graph that is being traced: what `call` gives, and all inner tensors (see Module.laid_out)."""
        values = self._by_variable(self._values())
        wanted = [endpoint for _, endpoint in self.inner]
        given = self._module.named_inputs(inputs)
        outputs, inner = self._module.laid_out(given, values, replaced, wanted)
        return next(iter(outputs.values())), inner

    def get_config(self) -> dict[str, Any]:
        """Where the module came from, so that Keras can load it again."""
        own = {"module": self._module.how, "endpoint": self._endpoint, "trainable": self.trainable}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ModuleLayer:
        """Loads the module from where it came from; Keras then sets the weights."""
        config = dict(config)
        return cls(load(**config.pop("module")), **config)


def _part(module: Module, endpoint: str | None) -> Module:
    """The part of a module that a layer runs."""
    if not isinstance(module, Module):
        raise ValueError(f"as_layer got a {type(module).__name__}. Give a module: tfxai.hub.load(path).")
    if endpoint is None and module.output is None:
        raise ValueError(
            f"{module.source} has the outputs {', '.join(module.outputs)}. Say which with endpoint=."
        )
    part = module.until(endpoint)
    if part.in_loops:
        raise ValueError(
            f"{module.source} reads {part.in_loops[0]} inside a loop or condition, whose weights a layer cannot hold. "
            "Call the module itself, or an endpoint before the loop."
        )
    return part
