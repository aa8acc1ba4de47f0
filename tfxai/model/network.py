"""The only thing that touches a user's model: its inputs, its traced graph, its inner layers.

Everything happens inside a graph that is traced once and kept. Inner activations are found by watching the live layers
while the model is being traced, so nested and subclassed models need no rebuilding; the model is left as it was.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.axes import with_axes, without_axes
from tfxai.inputs import flatten, in_order, pack, skeleton
from tfxai.model.adapter import Constants, ModelOutput
from tfxai.model.at_rest import at_rest, drawing
from tfxai.model.casts import CAST, explain_at
from tfxai.model.families import adapter_of
from tfxai.model.fixed_batch import Filled, FixedBatch
from tfxai.model.forward_pass import ForwardPass, Place
from tfxai.model.inner import Inner
from tfxai.model.inner_outputs import inner_at
from tfxai.model.lookups import Embedded
from tfxai.model.named_layers import At
from tfxai.model.operations import tensors_in
from tfxai.model.own_gradients import open_recomputed
from tfxai.model.places import AT_FRACTIONS, Places, PlacesRecord, numbers_from
from tfxai.model.snapshot import Snapshot, snapshot_of
from tfxai.model.taking import taken
from tfxai.model.traced import Tracing
from tfxai.model.tracing import (
    ModelFailed,
    TraceRecord,
    cache_of,
    outside_vocabulary,
)
from tfxai.model.views import Views, ViewsRecord, may_be_reshaped
from tfxai.model.watching import Replaced
from tfxai.support import Inputs, Layer, Model, Tensor, Values, warn


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


class Network(Tracing):
    """A user's model together with a batch of inputs for it, checked, for a method with some needs.

    adapter:   how the model is read.
    arrays:    the inputs as a flat list of arrays (N, ...), in the types that the model takes.
    structure: the inputs as they were given: array, dict, list or tuple; of a table an array, or a dict of its columns.
    frame:     the DataFrame that the inputs came as, if they did.
    views:     for each array the shape in which its rows are read, where it is not theirs; rows: the shapes as given.
    own_places: for each array where it is explained, unless `explained_at` says otherwise.
    inner:     the layer that is explained instead.
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
        adapter = adapter_of(model)
        self.model, self.needs, self.seed, self.place = (model := adapter.model), needs, seed, 0
        if needs.layers and not adapter.has_layers:
            raise ValueError(
                f"{method} reads the activations of a layer, and a plain callable has none. Give a Keras model, or one of "
                "tfxai.hub."
            )
        self._cache = cache_of(model)
        inputs, told = without_axes(inputs)
        given = taken(model, inputs, adapter, self._cache, needs.gradients)
        self.structure = inputs = given.structure
        self.arrays, self.frame, self.adapter = given.arrays, given.frame, given.adapter
        found = self._cache.batch
        self.batch: FixedBatch | None = self.adapter.batch or (None if found is None else FixedBatch(found))
        settings, self._read = self.adapter.fingerprint()
        self._fingerprint = hash((settings, tuple(map(id, self._read))))
        fingerprint = hash((repr(skeleton(inputs)), self._fingerprint))
        self._key: Hashable = (fingerprint, type(self.adapter).__name__, self.batch)
        self._constants: Constants = []  # while a trace is made that holds the weights
        # While a trace is made: seed and place, which may change without a new trace, and what it finds out.
        self._dials: Any = (seed, 0)
        self._record = TraceRecord()
        self.details = ()  # of the score, see `traced`
        self.is_any_size = False  # a trace is made that leaves lengths of the inputs open
        self._told = False
        self.tables: list[int | None] = [None] * len(self.arrays)
        self.views: list[tuple[int, ...] | None] = [None] * len(self.arrays)
        self.rows = [array.shape[1:] for array in self.arrays]
        self.own_places: list[Place] = []
        self.inner: Inner | None = None
        self.views = told or self._views()
        self.arrays = [self.viewed(i, array) for i, array in enumerate(self.arrays)]
        self._key = (self._key, tuple(self.views))
        self.own_places = self._explained_places(method)
        # Where inputs are explained depends on the method's needs, beside the model.
        self._key = (self._key, tuple(place is None for place in self.own_places))
        for which, (array, name) in enumerate(zip(self.arrays, flatten(inputs)[1], strict=True)):
            self.check_ids(which, array, name)

    def __len__(self) -> int:
        return len(self.arrays[0])

    @property
    def places(self) -> list[Place]:
        """Where each input is explained. A layer that is explained instead stands in the first one's place."""
        return self.own_places if self.inner is None else [self.inner, *[None] * (len(self.arrays) - 1)]

    def explained_at(self, at: At) -> Network:
        """The same network, explained at what a layer puts out.

        Raises ValueError if that cannot be: see `tfxai.model.inner_outputs.inner_at`.
        """
        if not self.adapter.has_layers:
            raise ValueError(
                f"at={at!r}: a plain callable has no layers. Give a Keras model, or one of tfxai.hub."
            )
        other = copy.copy(self)
        other.inner = inner = inner_at(self, at)
        widths = tuple(shape[-1:] for shape in inner.shapes)
        other._key = (self._key, inner.paths, inner.common, inner.listed, widths)
        return other

    @property
    def layers(self) -> list[tuple[str, Layer]]:
        """Every layer, however deep, with its path."""
        return self.adapter.layers

    def snapshot(self) -> Snapshot:
        """The model as it is now, for receipts."""
        return snapshot_of(self.adapter, self._cache, self._fingerprint)

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

    @property
    def takes_missing(self) -> bool:
        """Whether values may be missing (NaN, None): a function on arrays knows itself what it makes of them."""
        return self.adapter.runs_python

    def in_order(self, given: Any) -> Any:
        """What belongs to the inputs (a background, a baseline): tables as arrays, with columns in the order of the inputs."""
        return in_order(given, self.structure, self.frame)

    def viewed(self, which: int, array: Any) -> Any:
        """What has the shape of an input (..., *row), in the axes in which it is read; anything else as it is."""
        view, row = self.views[which], self.rows[which]
        shape = np.shape(array)
        if view is None or shape == () or shape[len(shape) - len(row) :] != row:
            return array
        return np.reshape(array, (*shape[: len(shape) - len(row)], *view))

    @property
    def axes(self) -> Any:
        """The axes in which inputs are read, in their structure, where these are not those of the arrays; None if all are."""
        return self.pack(self.views) if any(view is not None for view in self.views) else None

    def with_axes(self, inputs: Inputs) -> Inputs:
        """Other inputs of the same structure, read in the same axes."""
        return with_axes(inputs, self.axes)

    def as_given(self, which: int, values: NDArray) -> NDArray:
        """Values (rows, ...) of an input in the shape that it was given in.

        What is one value for each place is shared out among its channels, so that sums stay.
        """
        view = self.views[which]
        if view is None:
            return values
        whole = np.broadcast_to(values, (len(values), *view)).reshape(len(values), *self.rows[which])
        return whole if whole.size == values.size else whole * (values.size / whole.size)

    def pack(self, flat: Sequence[Any]) -> Values:
        """A flat list in the structure of the inputs."""
        return pack(self.structure, flat)

    # Tracing

    def forward(
        self,
        inputs: Sequence[Tensor],
        points: Sequence[Tensor] | None = None,
        replaced: Replaced | None = None,
        own: Sequence[Tensor] | None = None,
    ) -> ForwardPass:
        """Calls the model on tensors of a graph that is being traced, in inference mode, and watches its layers.

        points:   replaces what is explained (an input itself, its embedding, a layer's output); None leaves one as it is.
        replaced: what layers put out instead of their own.
        own:      where a layer is explained, the same for the inputs.
        """
        filled = self._filled_of(inputs)
        ends, place_inside = self.filled(points or ()), self.inner
        if place_inside is not None:
            inside, ends = (ends or [None])[0], self.filled(own or ())
            replaced = {
                **place_inside.replacing(inside, tf.shape(self.filled(inputs)[0])[0]),
                **(replaced or {}),
            }
        # What is fed for whole numbers may be fractions, of pixels that are half hidden.
        given = {i: x for i, x in enumerate(self.filled(inputs)) if self.own_places[i] == CAST}
        fed = [self._whole(i, x) for i, x in enumerate(self.filled(inputs))]
        replacements = {
            key: made if filled is None or callable(made) else filled.filled(made)
            for key, made in (replaced or {}).items()
        }
        for i, point in enumerate(ends):
            place = self.own_places[i]
            if point is not None and place == "input":
                fed[i] = tf.cast(point, inputs[i].dtype)
            elif point is not None and isinstance(place, Embedded):
                replacements = place.replacing(point, replacements)
        # Made before the model runs, so that operations stay in an order in which they can run.
        fractions = {
            i: tf.cast(x if not ends or ends[i] is None else ends[i], tf.float32) for i, x in given.items()
        }
        output = self.called(fed, replacements)
        for i, point in fractions.items():
            explain_at(fed[i], point)
        open_recomputed(tf.compat.v1.get_default_graph())
        parts = [
            place.among(output.calls)
            if isinstance(place, (Embedded, Inner))
            else [fractions.get(i, fed[i])]
            if place is not None
            else []
            for i, place in enumerate(self.places)
        ]
        return ForwardPass(output.outputs, output.named, fed, self.places, parts, output.calls, filled)

    def _whole(self, which: int, tensor: Tensor) -> Tensor:
        """An input as the model takes it; whole numbers as a tensor of one pass alone, in whose place a point is read."""
        if self.own_places[which] == CAST:
            tensor = tf.identity(tensor)
        wanted = self.arrays[which].dtype
        return tf.cast(tensor, wanted) if tensor.dtype.is_floating and wanted.kind == "i" else tensor

    def called(self, flat: Sequence[Tensor], replaced: Replaced) -> ModelOutput:
        """One call of the model on tensors as it takes them; it writes nothing, and draws the same numbers each time."""
        flat = [
            tensor if view is None else tf.reshape(tensor, (tensor.shape[0] or -1, *row))
            for tensor, view, row in zip(flat, self.views, self.rows, strict=True)
        ]
        try:
            with at_rest(flat, self._dials[0], None if self.batch is None else self.batch.size) as made:
                output = self.adapter.run(self.pack(flat), flat, replaced, self._constants)
        except Exception as error:
            shapes = [array.shape for array in self.arrays]
            words = f"a batch of shape {shapes[0] if len(shapes) == 1 else shapes}"
            raise ModelFailed(self.adapter.refusal(words, error)) from error
        draws, self._record.free = drawing(made, tensors_in(output.outputs))
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

    def _views(self) -> list[tuple[int, ...] | None]:
        """The shapes in which the model itself reads rows and series, where it gives them more axes before anything else."""
        if not any(map(may_be_reshaped, self.arrays)) or not self.adapter.may_reshape:
            return [None] * len(self.arrays)
        try:
            record: ViewsRecord = self.traced(Views(), self.arrays).record
        except ValueError:  # of a model that cannot be called so, or not differentiated, others tell more
            return [None] * len(self.arrays)
        return record.views

    def _explained_places(self, method: str) -> list[Place]:
        places = self._places()
        if not self.needs.images_only:
            return places
        images = [
            place if place in ("input", CAST) and array.ndim == 4 else None
            for place, array in zip(places, self.arrays, strict=True)
        ]
        if not any(images):
            shapes = ", ".join(str(array.shape) for array in self.arrays)
            raise ValueError(
                f"{method} is for images, (N, H, W, channels); inputs has shape {shapes}. Use another method."
            )
        return images

    def _places(self) -> list[Place]:
        if not self.adapter.looks_up and all(array.dtype.kind in "fO" for array in self.arrays):
            return ["input" if array.dtype.kind == "f" else None for array in self.arrays]
        self.own_places = ["input"] * len(self.arrays)
        function = self.traced(Places(), self.arrays)
        record: PlacesRecord = function.record
        for message in record.warnings:
            if self.needs.gradients or message != AT_FRACTIONS:
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
