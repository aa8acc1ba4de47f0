"""How what is wanted of a model is traced: once for its fields, the model and the kinds of arguments."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.adapter import Adapter, Constants
from tfxai.model.at_rest import ANOTHER_DRAW, ONE_DRAW
from tfxai.model.forward_pass import Place
from tfxai.model.lookups import Embedded
from tfxai.model.sizes import FEW, Shapes, of_any_size, sizes_of
from tfxai.model.tracing import (
    TRACING,
    Body,
    Kind,
    TraceCache,
    TracedFunction,
    TraceRecord,
    digest_of,
    key_of,
    shapes_in,
    shapes_of,
    weak_references,
)
from tfxai.support import Tensor, warn

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


class Tracing:
    """The part of a network that traces bodies and keeps them; see `tfxai.model.network.Network` for what it holds."""

    adapter: Adapter
    arrays: list[NDArray]
    own_places: list[Place]
    seed: int
    place: int
    is_any_size: bool
    details: Sequence[Tensor]
    _cache: TraceCache
    _key: Hashable
    _read: list[Any]
    _constants: Constants
    _dials: Any
    _record: TraceRecord
    _told: bool

    def traced(
        self,
        body: Body,
        arguments: Sequence[Any],
        *,
        frozen: bytes | None = None,
        jit_compile: bool = False,
        details: Sequence[Tensor] = (),
    ) -> TracedFunction:
        """A body traced once for its fields, this model and kind of arguments; every first axis is free.

        frozen:      a digest of the weights, to write them into the trace as constants: TensorFlow then folds batch
                     norm and lays out kernels once, and passes take two thirds to nine tenths of the time. Worth its
                     second or more for large jobs. Traces of other weights are forgotten.
        jit_compile: compile by XLA.
        details:     tensors (rows, ...) that the score reads beside its targets: `self.details` in the trace.

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
        dtypes = tuple(spec.dtype for spec in tf.nest.flatten(specs))
        kind = Kind(body, frozen, jit_compile, dtypes, tuple(shapes_of(list(details))))
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
        return function.dialled(self.seed, self.place, details=details, otherwise=otherwise)

    def traced_once(self, body: Body, specs: Sequence[tf.TensorSpec]) -> TracedFunction:
        """A body traced for arguments of exactly these shapes, and not kept: a first axis may be fixed, others may be open.

        Raises ValueError if the model, or what is done with it, needs a length that is left open.
        """
        kind = Kind(body, None, False, tuple(spec.dtype for spec in specs))
        given, is_open = self.arrays, any(None in spec.shape[1:] for spec in specs)
        with TRACING:
            if is_open:
                self.arrays, self.is_any_size = of_any_size(given, list(specs)), True
            try:
                return self._trace(kind, list(specs)).dialled(self.seed, self.place)
            finally:
                self.arrays, self.is_any_size = given, False

    def _key_of(self, kind: Kind, shapes: Shapes) -> tuple[Hashable, ...]:
        shaped = shapes, kind.dtypes, kind.details
        return key_of(kind.body), self._key, shaped, kind.frozen, kind.jit_compile

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
            (kind.dtypes, kind.details),
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
            for place in self.own_places
            if isinstance(place, Embedded)
            for lookup in place.lookups
        ]
        return not any(moved) and not self.adapter.runs_python

    def _trace(self, kind: Kind, specs: Any) -> TracedFunction:
        record = kind.body.new_record()
        function = tf.function(
            lambda dials, *tensors: self._traced_body(kind, record, dials, tensors),
            autograph=False,
            jit_compile=kind.jit_compile or None,
        )
        self._constants = [] if kind.frozen is None else self.adapter.weights()
        try:
            # Only the concrete function is kept: it holds the graph and the weights, not the model, so that the model
            # can be collected.
            concrete = function.get_concrete_function(DIALS, *kind.details, *specs)
        finally:
            self._constants, self._dials, self._record = [], (self.seed, 0), TraceRecord()
            self.details = ()
        return TracedFunction(concrete, record, weak_references(self._read), self.adapter.runs_python)

    def _traced_body(self, kind: Kind, record: Any, dials: Tensor, tensors: Sequence[Tensor]) -> Any:
        self._dials, self._record = dials, record
        self.details, tensors = tensors[: len(kind.details)], tensors[len(kind.details) :]
        return kind.body(self, record, *tensors)

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
