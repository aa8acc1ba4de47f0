"""The only thing that touches a user's model: its inputs, its traced graph, its inner layers.

Everything happens inside a graph that is traced once and kept. Inner activations are found by watching the live layers
while the model is being traced, so nested and subclassed models need no rebuilding; the model is left as it was.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import Endpoint
from tfxai.inputs import checked_arrays, flatten, pack, skeleton
from tfxai.model.adapter import Adapter, Constants, ModelOutput
from tfxai.model.embeddings import lookups_of, other_readers, table_size_of
from tfxai.model.families import adapter_of
from tfxai.model.forward_pass import ForwardPass, Place
from tfxai.model.lookups import Embedded, Lookup, places_in_row, places_of
from tfxai.model.tracing import (
    TRACING,
    Body,
    TracedFunction,
    TraceRecord,
    cache_of,
    digest_of,
    key_of,
    outside_vocabulary,
    shapes_of,
    weak_references,
)
from tfxai.model.watching import Replaced
from tfxai.support import Inputs, Layer, Model, Operation, Tensor, Values, warn
from tfxai.text import Text

FREEZABLE = 5e8  # bytes of weights that a trace may hold; a graph ends at 2 GB

_freezing: contextvars.ContextVar[bool] = contextvars.ContextVar("freezing", default=True)


@contextlib.contextmanager
def thawed() -> Iterator[None]:
    """Inside, no weights are written into traces: for studies that change them again and again."""
    before = _freezing.set(False)
    try:
        yield
    finally:
        _freezing.reset(before)


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a method needs of a model and its inputs.

    gradients:   the score is differentiated; where it is not, callables on arrays or strings will do, too.
    layers:      a layer's output is read.
    images_only: only images (N, H, W, channels) are explained; other inputs stay as they are.
    """

    gradients: bool = True
    layers: bool = False
    images_only: bool = False


class Network:
    """A user's model together with a batch of inputs for it, checked, for a method with some needs.

    adapter:   how the model is read.
    arrays:    the inputs as a flat list of arrays (N, ...), in the types that the model takes.
    structure: the inputs as they were given: array, dict, list or tuple.
    places:    for each array where it is explained.
    tables:    for each array the size of the vocabulary, where it is token ids that a Keras layer looks up as they are.

    Raises ValueError if the model is not built, or the inputs are empty, lack the batch axis, differ in length, do
    not fit the model, hold NaN, or ids outside of the vocabulary; and if the method needs more than there is.
    """

    def __init__(
        self, model: Model, inputs: Inputs, needs: Needs = Needs(), method: str = "This method"
    ) -> None:
        self.model, self.needs = model, needs
        adapter = adapter_of(model)
        if needs.layers and not adapter.has_layers:
            raise ValueError(
                f"{method} reads the activations of a layer, and a plain callable has none. Give a Keras model, or one of "
                "tfxai.hub."
            )
        if isinstance(inputs, str):
            raise ValueError("inputs is a single text. Give a list of texts: [text].")
        if isinstance(inputs, (list, tuple)) and inputs and not any(np.ndim(x) for x in inputs):
            inputs = Text(inputs) if all(isinstance(x, str) for x in inputs) else np.asarray(inputs)
        self.structure = inputs
        adapter.check_built()
        self.arrays = checked_arrays(model, inputs, adapter.looks_up)
        self._cache = cache_of(model)
        if not needs.gradients:
            adapter = adapter.without_gradients(self._cache, inputs, self.arrays)
        self.adapter: Adapter = adapter
        settings, self._read = adapter.fingerprint()
        fingerprint = hash((repr(skeleton(inputs)), settings, tuple(map(id, self._read))))
        self._key: Hashable = (fingerprint, type(adapter).__name__)
        self._constants: Constants = []  # while a trace is made that holds the weights
        self.tables: list[int | None] = [None] * len(self.arrays)
        self.places: list[Place] = self._explained_places(method)
        # Where inputs are explained depends on the method's needs, beside the model.
        self._key = (self._key, tuple(place is None for place in self.places))
        for which, (array, name) in enumerate(zip(self.arrays, flatten(inputs)[1], strict=True)):
            self.check_ids(which, array, name)

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def layers(self) -> list[tuple[str, Layer]]:
        """Every layer, however deep, with its path."""
        return self.adapter.layers

    def check_ids(self, which: int, array: NDArray, name: str) -> None:
        """Raises ValueError if what stands for an input holds ids outside of the vocabulary that it is looked up in.

        Processors refuse them in words of their own, or (GPU) take rows of zeros instead.
        """
        if (size := self.tables[which]) is None:
            return
        outside = (array <= -1) | (array >= size)
        if outside.any():
            raise ValueError(outside_vocabulary(f"{name} holds", int(array[outside][0]), size))

    def pack(self, flat: Sequence[Any]) -> Values:
        """A flat list in the structure of the inputs."""
        return pack(self.structure, flat)

    # Tracing

    def traced(
        self,
        body: Body,
        arguments: Sequence[Any],
        *,
        frozen: bytes | None = None,
        jit_compile: bool = False,
    ) -> TracedFunction:
        """A body traced once for its fields, this model and kind of arguments; every first axis is free.

        frozen:      a digest of the weights, to write them into the trace as constants: TensorFlow then folds batch
                     norm and lays out kernels once, and passes take two thirds to nine tenths of the time. Worth its
                     second or more for large jobs. Traces of other weights are forgotten.
        jit_compile: compile by XLA.

        Raises ValueError if XLA is asked to compile a callable on arrays.
        """
        if not dataclasses.is_dataclass(
            body
        ):  # an attribute that is not a field might be forgotten in its key
            raise TypeError(
                f"{type(body).__name__} is not a dataclass. What is traced is a frozen dataclass."
            )
        if jit_compile and self.adapter.runs_python:
            raise ValueError(
                "jit_compile=True needs a model that TensorFlow can look into, and this is a callable on arrays."
            )
        specs = shapes_of(list(arguments))
        shapes = tuple((spec.shape.as_list().__repr__(), spec.dtype) for spec in tf.nest.flatten(specs))
        key = (key_of(body), self._key, shapes, frozen, jit_compile)
        with TRACING:
            function = self._cache.find(key)
            if function is None:
                if frozen is not None:
                    self._cache.drop_old_copies(frozen)
                function = self._trace(body, specs, frozen is not None, jit_compile)
                self._cache.keep(key, function)
            return function

    def _trace(self, body: Body, specs: Any, freeze: bool, jit_compile: bool) -> TracedFunction:
        record = body.new_record()
        function = tf.function(
            lambda *tensors: body(self, record, *tensors), autograph=False, jit_compile=jit_compile or None
        )
        self._constants = self.adapter.weights() if freeze else []
        try:
            # Only the concrete function is kept: it holds the graph and the weights, not the model, so that the model
            # can be collected.
            concrete = function.get_concrete_function(*specs)
        finally:
            self._constants = []
        return TracedFunction(concrete, record, weak_references(self._read), self.adapter.runs_python)

    @functools.cached_property
    def digest(self) -> bytes | None:
        """Of all weights at the first use, to the bit; None where they cannot be frozen, or are too large for it."""
        if not _freezing.get() or not self.adapter.can_freeze:
            return None
        arrays = [array for _, array in self.adapter.weights()]
        if not arrays or sum(array.nbytes for array in arrays) > FREEZABLE:
            return None
        return digest_of(arrays)

    def weights_digest(self) -> bytes:
        """Of all weights, to the bit."""
        return digest_of([array for _, array in self.adapter.weights()])

    def forward(
        self,
        inputs: Sequence[Tensor],
        points: Sequence[Tensor] | None = None,
        replaced: Replaced | None = None,
    ) -> ForwardPass:
        """Calls the model on tensors of a graph that is being traced, in inference mode, and watches its layers.

        points:   replaces what the inputs are explained at (an input itself, or its embedding); None leaves one as it is.
        replaced: what layers put out instead of their own.
        """
        fed = list(inputs)
        replacements = dict(replaced or {})
        for i, point in enumerate(points or ()):
            place = self.places[i]
            if point is not None and place == "input":
                fed[i] = tf.cast(point, inputs[i].dtype)
            elif point is not None and isinstance(place, Embedded):
                replacements = place.replacing(point, replacements)
        output = self._run(fed, replacements)
        parts = [
            place.among(output.calls) if isinstance(place, Embedded) else [fed[i]] if place == "input" else []
            for i, place in enumerate(self.places)
        ]
        return ForwardPass(output.outputs, output.named, self.places, parts, output.calls)

    def _run(self, flat: Sequence[Tensor], replaced: Replaced) -> ModelOutput:
        try:
            return self.adapter.run(self.pack(flat), flat, replaced, self._constants)
        except Exception as error:
            shapes = [array.shape for array in self.arrays]
            words = f"a batch of shape {shapes[0] if len(shapes) == 1 else shapes}"
            raise ValueError(self.adapter.refusal(words, error)) from error

    # Where inputs are explained

    def _explained_places(self, method: str) -> list[Place]:
        places = self._places()
        if not self.needs.images_only:
            return places
        images = [
            place if place == "input" and array.ndim == 4 else None
            for place, array in zip(places, self.arrays, strict=True)
        ]
        if not any(images):
            shapes = ", ".join(str(array.shape) for array in self.arrays)
            raise ValueError(
                f"{method} is for images, (N, H, W, channels); inputs has shape {shapes}. Use another method."
            )
        return images

    def _places(self) -> list[Place]:
        if not self.adapter.looks_up:
            return ["input" if array.dtype.kind == "f" else None for array in self.arrays]
        self.places = ["input"] * len(self.arrays)
        function = self.traced(_Places(), self.arrays)
        record: _PlacesRecord = function.record
        for message in record.warnings:
            warn(message)
        self.tables = record.tables
        layers = [layer for _, layer in self.layers]
        if record.moved and not record.settled:
            # How ids are cut and turned on the way is the same for every row: two tell.
            two = [array[[0, len(array) - 1]] for array in self.arrays]
            record.settle(_numbers(function, two), [x.shape[1:] for x in two], layers)
        if self.needs.gradients:
            record.check_placed(self.arrays)
        return [
            Embedded(
                tuple(dataclasses.replace(lookup, layer=layers[lookup.layer]) for lookup in place),
                array.shape[1:],
            )
            if isinstance(place, list)
            else place
            for place, array in zip(record.places, self.arrays, strict=True)
        ]


@dataclasses.dataclass
class _PlacesRecord(TraceRecord):
    """For each input where it is explained ("input", None, or its lookups), and the size of its table.

    Layers stand as positions in the list of layers: a layer itself would keep the model alive.
    moved: (input, number of the lookup) of lookups whose ids do not lie as the input does, for the function's results.
    unplaced: (input, number of the lookup) of those that cannot be lined up with the input.
    """

    places: list[Any] = dataclasses.field(default_factory=list)
    tables: list[int | None] = dataclasses.field(default_factory=list)
    moved: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    unplaced: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    settled: bool = False

    def settle(
        self, results: Sequence[NDArray], shapes: Sequence[tuple[int, ...]], layers: Sequence[Layer]
    ) -> None:
        """Sets the places of lookups whose ids are cut or turned."""
        for (which, number), numbers in zip(self.moved, results, strict=True):
            lookups = self.places[which]
            places = places_in_row(numbers, math.prod(shapes[which]))
            # An endpoint of a module can only be replaced as a whole.
            in_part = isinstance(layers[lookups[number].layer], Endpoint) and -1 in (places or ())
            if places is not None and not in_part:
                lookups[number] = dataclasses.replace(lookups[number], places=places)
            else:
                self.unplaced.append((which, number))
        self.settled = True

    def check_placed(self, arrays: Sequence[NDArray]) -> None:
        """Raises ValueError if an input's lookups cannot be told apart; warns where their order is not the input's."""
        every = [
            (i, lookup) for i, place in enumerate(self.places) if isinstance(place, list) for lookup in place
        ]
        for which, number in self.unplaced:
            lookup = self.places[which][number]
            shared = any(
                i != which and (each.layer, each.call) == (lookup.layer, lookup.call) for i, each in every
            )
            if shared or len(self.places[which]) > 1:
                raise ValueError(
                    f"Input {which} is looked up together with others, or in several tables, and its ids are mixed with each "
                    "other, or their order depends on the data, so that no value can be given to each id. Use a method "
                    "that hides parts (Occlusion, LIME, KernelSHAP ...), or explain the model behind the tables."
                )
            if arrays[which].dtype != object:
                warn(
                    "The model looks its ids up in an order that depends on the data, or mixes them; the values are those of "
                    "what it looks up, in its order, and may not line up with the inputs."
                )


@dataclasses.dataclass(frozen=True)
class _Places(Body):
    """Which inputs are looked up in which embeddings. What it gives are the places of ids that are cut or turned."""

    Record: ClassVar[type[TraceRecord]] = _PlacesRecord

    def __call__(self, network: Network, record: _PlacesRecord, *inputs: Tensor) -> list[Tensor]:
        output = network._run(inputs, {})
        tensors = [t for t in tf.nest.flatten(output.outputs) if t.dtype.is_floating]
        layers = [id(layer) for _, layer in network.layers]
        moved: list[Tensor] = []
        for which, tensor in enumerate(inputs):
            direct = tensor.dtype.is_floating and tf.gradients(tensors, tensor)[0] is not None
            found = [] if direct else lookups_of(tensor, output.calls)
            record.tables.append(table_size_of(tensor, output.calls))
            record.places.append(
                [Lookup.of(layers.index(id(call.layer)), number, call.output) for call, number in found]
                or ("input" if direct else None)
            )
            if direct and lookups_of(tensor, output.calls):
                record.warnings.append(READ_AS_NUMBERS)
            for number, (call, _) in enumerate(found):
                places = places_of(tf.nest.flatten(call.inputs)[0], tensor, inputs)
                if places is not None:
                    record.moved.append((which, number))
                    moved.append(places)
            if found and (others := other_readers(tensor, [call for call, _ in found])):
                record.warnings.append(_unexplained(others))
        return moved


def _numbers(function: TracedFunction, arguments: Sequence[NDArray]) -> list[NDArray]:
    """The places of ids in the input; none of them where operations on the way do not go place by place."""
    try:
        return [tensor.numpy() for tensor in function(*arguments)]
    except tf.errors.InvalidArgumentError:
        return [np.array([])] * len(function.record.moved)


READ_AS_NUMBERS = (
    "An input is read as numbers, and parts of it are also looked up in a table (embedding), where no gradient goes: these "
    "parts get no value. Give them as an input of their own, or use a method that hides parts."
)


def _unexplained(readers: Sequence[Operation]) -> str:
    kinds = ", ".join(sorted({op.type for op in readers}))
    return (
        f"The token ids are also read as numbers, beside their embedding (by {kinds}); what the score owes to that is in no "
        "value."
    )
