"""The only thing that touches a user's model: its inputs, its traced graph, its inner layers.

Everything happens inside a graph that is traced once and kept. Inner activations are found by watching the live layers
while the model is being traced, so nested and subclassed models need no rebuilding; the model is left as it was.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.inputs import checked_arrays, flatten, pack, skeleton
from tfxai.model.adapter import Adapter, Constants, ModelOutput
from tfxai.model.at_rest import ANOTHER_DRAW, ONE_DRAW, at_rest, drawing
from tfxai.model.families import adapter_of
from tfxai.model.fixed_batch import Filled, FixedBatch
from tfxai.model.forward_pass import ForwardPass, Place
from tfxai.model.lookups import Embedded
from tfxai.model.places import Places, PlacesRecord, numbers_from
from tfxai.model.sizes import FEW, Shapes, of_any_size, sizes_of
from tfxai.model.tracing import (
    TRACING,
    Body,
    Kind,
    ModelFailed,
    TracedFunction,
    TraceRecord,
    cache_of,
    digest_of,
    key_of,
    outside_vocabulary,
    shapes_in,
    shapes_of,
    weak_references,
)
from tfxai.model.watching import Replaced
from tfxai.support import Inputs, Layer, Model, Tensor, Values, warn
from tfxai.text import Text

DIALS = tf.TensorSpec([2], tf.int32)  # of every trace, in front of its arguments: the seed, and a row's place
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
    batch:     how many rows the model takes at once, where it takes no other number; None: any.
    seed:      of what the model draws while it is called. What it draws is the same for every row, pass and batch size.
    place:     of the next row in the batch, see `at`; it counts where a row must run at its own place (`batch.alone`).

    Raises ValueError if the model is not built, or the inputs are empty, lack the batch axis, differ in length, do
    not fit the model, hold NaN, or ids outside of the vocabulary; and if the method needs more than there is.
    """

    def __init__(
        self,
        model: Model,
        inputs: Inputs,
        needs: Needs = Needs(),
        method: str = "This method",
        seed: int = 0,
    ) -> None:
        self.model, self.needs, self.seed, self.place = model, needs, seed, 0
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
        found = self._cache.batch
        self.batch: FixedBatch | None = adapter.batch or (None if found is None else FixedBatch(found))
        settings, self._read = adapter.fingerprint()
        fingerprint = hash((repr(skeleton(inputs)), settings, tuple(map(id, self._read))))
        self._key: Hashable = (fingerprint, type(adapter).__name__, self.batch)
        self._constants: Constants = []  # while a trace is made that holds the weights
        # While a trace is made: seed and place, which may change without a new trace, and what it finds out.
        self._dials: Any = (seed, 0)
        self._record = TraceRecord()
        self.is_any_size = False  # a trace is made that leaves lengths of the inputs open
        self._told = False
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

    def at(self, number: int) -> None:
        """Says which example comes next: of a model that keeps a state for each row of a batch it has its own place."""
        self.place = 0 if self.batch is None else number % self.batch.size

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
        kind = Kind(body, frozen, jit_compile, tuple(spec.dtype for spec in tf.nest.flatten(specs)))
        key = self._key_of(kind, shapes := shapes_in(specs))
        with TRACING:
            function, otherwise = self._cache.find(key), None
            if function is None:
                if frozen is not None:
                    self._cache.drop_old_copies(frozen)
                function = self._of_any_size(kind, specs, shapes)
                otherwise = None if function is None else lambda: self._of_one_size(kind, specs, shapes)
            if function is None:
                function = self._of_one_size(kind, specs, shapes)
        self._tell_of_draws(function.record)
        return function.dialled(self.seed, self.place, otherwise=otherwise)

    def _key_of(self, kind: Kind, shapes: Shapes) -> tuple[Hashable, ...]:
        return key_of(kind.body), self._key, (shapes, kind.dtypes), kind.frozen, kind.jit_compile

    def _of_one_size(self, kind: Kind, specs: Any, shapes: Shapes) -> TracedFunction:
        with TRACING:
            key = self._key_of(kind, shapes)
            function = self._cache.find(key)
            if function is None:
                function = self._trace(kind, specs)
                self._cache.keep(key, function)
            return function

    def _of_any_size(self, kind: Kind, specs: Any, shapes: Shapes) -> TracedFunction | None:
        """After a few sizes a trace that leaves the axes open that differ; None before, and where it needs their lengths."""
        if not kind.body.any_size or not self._takes_any_size or kind.jit_compile:
            return None
        of_kind = (
            key_of(kind.body),
            self._key,
            kind.dtypes,
            tuple(map(len, shapes)),
            kind.frozen is not None,
        )
        sizes = sizes_of(self._cache.sizes, of_kind, shapes)
        if sizes.count < FEW or sizes.closed:
            return None
        key = self._key_of(kind, sizes.common)
        function = self._cache.find(key)
        if function is None:
            flat = zip(sizes.common, kind.dtypes, strict=True)
            opened = tf.nest.pack_sequence_as(specs, [tf.TensorSpec(shape, dtype) for shape, dtype in flat])
            given = self.arrays
            self.arrays, self.is_any_size = of_any_size(given, tf.nest.flatten(opened)), True
            try:
                function = self._trace(kind, opened)
            except Exception:  # it reads lengths: one trace for each size, as for the first ones
                sizes.closed = True
                return None
            finally:
                self.arrays, self.is_any_size = given, False
            self._cache.keep(key, function)
        return function

    @property
    def _takes_any_size(self) -> bool:
        """Whether nothing outside of the trace was made for the sizes of these inputs."""
        moved = [
            lookup.places is not None
            for place in self.places
            if isinstance(place, Embedded)
            for lookup in place.lookups
        ]
        return not any(moved) and not self.adapter.runs_python

    def _trace(self, kind: Kind, specs: Any) -> TracedFunction:
        record = kind.body.new_record()
        function = tf.function(
            lambda dials, *tensors: self._traced_body(kind.body, record, dials, tensors),
            autograph=False,
            jit_compile=kind.jit_compile or None,
        )
        self._constants = [] if kind.frozen is None else self.adapter.weights()
        try:
            # Only the concrete function is kept: it holds the graph and the weights, not the model, so that the model
            # can be collected.
            concrete = function.get_concrete_function(DIALS, *specs)
        finally:
            self._constants, self._dials, self._record = [], (self.seed, 0), TraceRecord()
        return TracedFunction(concrete, record, weak_references(self._read), self.adapter.runs_python)

    def _traced_body(self, body: Body, record: Any, dials: Tensor, tensors: Sequence[Tensor]) -> Any:
        self._dials, self._record = dials, record
        return body(self, record, *tensors)

    def _tell_of_draws(self, record: TraceRecord) -> None:
        if record.draws and not self._told:
            self._told = True
            warn(ANOTHER_DRAW if record.free else ONE_DRAW)

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
        filled = self._filled_of(inputs)
        fed, ends = self.filled(inputs), self.filled(points or ())
        replacements = {
            key: made if filled is None or callable(made) else filled.filled(made)
            for key, made in (replaced or {}).items()
        }
        for i, point in enumerate(ends):
            place = self.places[i]
            if point is not None and place == "input":
                fed[i] = tf.cast(point, inputs[i].dtype)
            elif point is not None and isinstance(place, Embedded):
                replacements = place.replacing(point, replacements)
        output = self.called(fed, replacements)
        parts = [
            place.among(output.calls) if isinstance(place, Embedded) else [fed[i]] if place == "input" else []
            for i, place in enumerate(self.places)
        ]
        return ForwardPass(output.outputs, output.named, self.places, parts, output.calls, filled)

    def called(self, flat: Sequence[Tensor], replaced: Replaced) -> ModelOutput:
        """One call of the model on tensors as it takes them; it writes nothing, and draws the same numbers each time."""
        try:
            with at_rest(flat, self._dials[0], None if self.batch is None else self.batch.size) as made:
                output = self.adapter.run(self.pack(flat), flat, replaced, self._constants)
        except Exception as error:
            shapes = [array.shape for array in self.arrays]
            words = f"a batch of shape {shapes[0] if len(shapes) == 1 else shapes}"
            raise ModelFailed(self.adapter.refusal(words, error)) from error
        draws, self._record.free = drawing(made, tf.nest.flatten(output.outputs))
        self._record.draws = draws
        return output

    def filled(self, tensors: Sequence[Tensor | None]) -> list[Any]:
        """Tensors (n, ...) as the model takes them: as they are, or filled up to its own batch size."""
        filled = self._filled_of(tensors)
        return [tensor if tensor is None or filled is None else filled.filled(tensor) for tensor in tensors]

    def _filled_of(self, tensors: Sequence[Tensor | None]) -> Filled | None:
        first = next((tensor for tensor in tensors if tensor is not None), None)
        if self.batch is None or first is None:
            return None
        return Filled.of(self.batch, first, self._dials[1])

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
        function = self.traced(Places(), self.arrays)
        record: PlacesRecord = function.record
        for message in record.warnings:
            warn(message)
        self.tables = record.tables
        layers = [layer for _, layer in self.layers]
        if record.moved and not record.settled:
            # How ids are cut and turned on the way is the same for every row: two tell, or what the model takes at once.
            few = [array[[0, len(array) - 1]] if self.batch is None else array[:1] for array in self.arrays]
            rows = 2 if self.batch is None else self.batch.size
            record.settle(numbers_from(function, few), [x.shape[1:] for x in few], layers, rows)
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
