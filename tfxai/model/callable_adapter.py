"""Plain callables: of tensors, or, for methods that need no gradients, of NumPy arrays and lists of strings."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.inputs import Frame, missing_values, pack, restored, skeleton
from tfxai.model.adapter import Adapter, Constants, ModelOutput, NamedWeights, named_outputs
from tfxai.model.fixed_batch import FixedBatch, size_among
from tfxai.model.tracing import TRACING, TraceCache, shapes_of
from tfxai.model.watching import Replaced
from tfxai.support import Inputs, Layer, Model, Structure, Tensor, first_line


class CallableAdapter(Adapter):
    """A function from a batch of tensors to scores."""

    has_layers = False
    is_function = True

    def find_layers(self) -> list[tuple[str, Layer]]:
        return []

    def fingerprint(self) -> tuple[Hashable, list[Any]]:
        return (), []

    @property
    def batch(self) -> FixedBatch | None:
        size = size_among(spec.shape for spec in _signature(self.model))
        return None if size is None else FixedBatch(size)

    def named_weights(self) -> NamedWeights | None:
        if not isinstance(self.model, tf.Module):
            return None
        return [(variable.name.split(":")[0], variable) for variable in self.model.variables]

    def check_redrawable(self) -> None:
        raise ValueError(
            "The weights of a plain callable cannot be changed. Give a Keras model, or one of tfxai.hub."
        )

    def run(
        self, inputs: Inputs, flat: Sequence[Tensor], replaced: Replaced, constants: Constants
    ) -> ModelOutput:
        outputs = self.model(inputs)
        if not all(tf.is_tensor(output) for output in tf.nest.flatten(outputs)):
            raise TypeError("it returned something that is not a tensor")
        return ModelOutput(outputs, named_outputs(self.model, outputs), [])

    def without_gradients(
        self,
        cache: TraceCache,
        inputs: Inputs,
        arrays: Sequence[NDArray],
        table: tuple[Frame, Sequence[NDArray]] | None = None,
    ) -> Adapter:
        """An adapter for arrays, if the function does not run on tensors. It is tried once for each kind of inputs."""
        kinds = repr(skeleton(inputs)) + str([(array.shape[1:], array.dtype.str) for array in arrays])
        kinds += repr(None if table is None else table[0].key)
        if kinds not in cache.array_outputs:
            runs = self._runs_on_tensors(inputs, arrays)
            cache.array_outputs[kinds] = None if runs else self._found(skeleton(inputs), table, arrays, cache)
        found = cache.array_outputs[kinds]
        return self if found is None else ArrayCallableAdapter(self.model, *found)

    def _runs_on_tensors(self, inputs: Inputs, arrays: Sequence[NDArray]) -> bool:
        call = tf.function(
            lambda *tensors: self.run(pack(inputs, tensors), tensors, {}, ()).outputs, autograph=False
        )
        try:
            with TRACING, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is called again, on what it takes
                call.get_concrete_function(*shapes_of(list(arrays)))
            return True
        except Exception:  # whatever it does not like about tensors, it may like arrays
            return False

    def _found(
        self,
        structure: Structure,
        table: tuple[Frame, Sequence[NDArray]] | None,
        arrays: Sequence[NDArray],
        cache: TraceCache,
    ) -> tuple[Structure | Frame, Any]:
        """What it takes (a DataFrame, if it came and the function likes it), and what it returns for one example."""
        # One that misses a value, if there is any, tells most.
        number = int(np.argmax(np.any([missing_values(array) for array in arrays], axis=0)))
        one = [array[number : number + 1] for array in arrays]
        if table is None:
            return structure, self._tried(structure, one, arrays, cache)
        frame, exact = table
        try:
            return frame, tried(self.model, frame, [array[number : number + 1] for array in exact])
        except ValueError as error:
            try:
                return structure, tried(self.model, structure, one)
            except ValueError:
                raise error from None

    def _tried(
        self, structure: Structure, one: Sequence[NDArray], arrays: Sequence[NDArray], cache: TraceCache
    ) -> Any:
        """What it returns for one example, by itself or among as many as the user gave."""
        try:
            return tried(self.model, structure, one)
        except ValueError as error:
            with contextlib.suppress(ValueError):  # it may take just as many as the user gave
                outputs = tried(self.model, structure, arrays)
                cache.batch = len(arrays[0])
                return tf.nest.map_structure(lambda output: output[:1], outputs)
            raise error

    def refusal(self, shapes: str, error: Exception) -> str:
        if isinstance(error, (NotImplementedError, AttributeError, TypeError)):
            return (
                f"This callable does not run on TensorFlow tensors ({first_line(error)}). Gradients need a model written "
                "with TensorFlow operations; methods that only hide parts (Occlusion, RISE, LIME, KernelSHAP ...) take "
                "any callable."
            )
        return super().refusal(shapes, error)


class ArrayCallableAdapter(CallableAdapter):
    """A function from a batch of arrays, or of lists of strings, to arrays. It is called from the graph.

    structure: of the inputs, empty, or the DataFrame that they come as. sample: what it returned for one example.
    """

    runs_python = True

    def __init__(self, model: Model, structure: Structure | Frame, sample: Structure) -> None:
        super().__init__(model)
        self.structure, self.sample = structure, sample

    @property
    def makes_frames(self) -> bool:
        return isinstance(self.structure, Frame)

    def fingerprint(self) -> tuple[Hashable, list[Any]]:
        return self.structure.key if isinstance(self.structure, Frame) else (), []

    def run(
        self, inputs: Inputs, flat: Sequence[Tensor], replaced: Replaced, constants: Constants
    ) -> ModelOutput:
        samples = tf.nest.flatten(self.sample)
        tensors = tf.numpy_function(self._call(), list(flat), [tf.float32] * len(samples))
        for tensor, sample in zip(tensors, samples, strict=True):
            tensor.set_shape([None, *sample.shape[1:]])
        outputs = tf.nest.pack_sequence_as(self.sample, tensors)
        return ModelOutput(outputs, named_outputs(self.model, outputs), [])

    def _call(self) -> Callable[..., list[NDArray]]:
        """The function on a flat list of arrays; it does not keep the user's function alive."""
        structure, model = self.structure, _weakly(self.model)

        def call(*arrays: NDArray) -> list[NDArray]:
            with _quietly():
                outputs = tf.nest.flatten(as_arrays(model()(fed(structure, arrays))))
            if any(output.shape[:1] != (len(arrays[0]),) for output in outputs):
                raise ValueError(
                    f"The callable returned shape {outputs[0].shape} for {len(arrays[0])} examples. Return one row of "
                    "scores per example."
                )
            return outputs

        return call


def _signature(model: Model) -> list[tf.TensorSpec]:
    """What a function that TensorFlow compiled says it takes; empty if it does not say."""
    given = getattr(model, "input_signature", None) or getattr(model, "structured_input_signature", None)
    return [spec for spec in tf.nest.flatten(given) if isinstance(spec, tf.TensorSpec)]


def _weakly(model: Model) -> Callable[[], Model]:
    try:
        return weakref.ref(model)
    except TypeError:
        return lambda: model


def tried(model: Model, structure: Structure | Frame, arrays: Sequence[NDArray]) -> Any:
    """What a callable returns for some examples, as arrays. Raises ValueError if it fails, or returns no such rows."""
    try:
        with _quietly():
            outputs = as_arrays(model(fed(structure, arrays)))
    except Exception as error:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(
            f"The callable fails on arrays of shape {shapes} (numbers come as float32): {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    for output in tf.nest.flatten(outputs):
        if output.shape[:1] != (count := len(arrays[0]),):
            examples = "one example" if count == 1 else f"{count} examples"
            raise ValueError(
                f"The callable returned shape {output.shape} for {examples}. Return one row of scores per example."
            )
    return outputs


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keras' `predict` draws a progress bar at every call, unless it is told otherwise; in this thread it is."""
    talks = keras.config.is_interactive_logging_enabled()
    keras.config.disable_interactive_logging()
    try:
        yield
    finally:
        if talks:
            keras.config.enable_interactive_logging()


def as_arrays(outputs: Any) -> Any:
    """What a callable returned, as float32 arrays: one, or a dict of them."""
    if isinstance(outputs, Mapping):
        return {name: np.asarray(output, np.float32) for name, output in outputs.items()}
    if isinstance(outputs, tuple):
        raise ValueError("it returns a tuple. Return one array, or a dict of them by name.")
    return np.asarray(outputs, np.float32)


def fed(structure: Structure | Frame, arrays: Sequence[NDArray]) -> Any:
    """What a callable is given: arrays and lists of strings in their structure, or a DataFrame."""
    if isinstance(structure, Frame):
        return structure.rebuilt(arrays)
    return pack(structure, [readable(array) for array in arrays])


def readable(array: NDArray) -> Any:
    """Strings come out of TensorFlow as bytes; functions of texts expect a list of str."""
    return array if array.dtype != object else restored(array).tolist()
