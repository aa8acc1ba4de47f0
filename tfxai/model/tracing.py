"""Traced functions: what is traced, what it depends on, what tracing found out, and how long a trace is kept."""

from __future__ import annotations

import abc
import collections
import contextlib
import dataclasses
import functools
import hashlib
import re
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.inputs import tensor_of
from tfxai.model.sizes import Shapes, Sizes
from tfxai.support import Model, Tensor, first_line

TRACING = threading.RLock()  # layers are watched in place, so only one model is traced at a time
KEPT = 64  # traced functions of a model
COPIES = 4  # of these with its weights written in, for as many states of the weights
NODES = re.compile(r"\{\{[^{}]*\}\} ?")  # names of a graph that a user never sees
OUTSIDE = re.compile(r"= (-?\d+) is not in \[0, (\d+)\)")  # as TensorFlow says it of a lookup


class ModelFailed(ValueError):
    """A model cannot be called as it was, maybe because it takes another number of rows."""


@dataclasses.dataclass
class TraceRecord:
    """What tracing a function found out. It is kept with the function: a second call knows and warns as the first did.

    tensors:  the structure that the body returned, with True for a tensor and False for None.
    classes:  how many classes a target can mean; None where the score does not tell.
    draws:    types of operations of the model that draw numbers. free: some of them follow no seed of ours.
    warnings: for the user.
    """

    tensors: Any = None
    classes: int | None = None
    draws: list[str] = dataclasses.field(default_factory=list)
    free: bool = False
    warnings: list[str] = dataclasses.field(default_factory=list)


class Body(abc.ABC):
    """What is traced: a frozen dataclass, called in the graph as `body(network, record, *tensors)`.

    Its class and its fields are all that it may depend on beside the model and the arguments, since they are the key
    of its trace: there is no key to be written, and none to be forgotten.

    Record:   the kind of record that it fills in.
    any_size: whether its trace and record may serve inputs of many sizes.
    """

    Record: ClassVar[type[TraceRecord]] = TraceRecord
    any_size: ClassVar[bool] = True

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Tensors made of tensors."""

    def new_record(self) -> TraceRecord:
        """An empty record."""
        return type(self).Record()


@dataclasses.dataclass(frozen=True)
class Kind:
    """What is traced, apart from the shapes of its arguments.

    frozen:  a digest of the weights that are written in, None if they are not. dtypes: of the arguments.
    details: what the score knows of each row, by shape and type.
    """

    body: Body
    frozen: bytes | None
    jit_compile: bool
    dtypes: tuple[tf.DType, ...]
    details: tuple[tf.TensorSpec, ...] = ()


@dataclasses.dataclass(frozen=True)
class TracedFunction:
    """A traced function and its record.

    read:        weak references to what the fingerprint names by identity: once one is gone, its identity may come back.
    runs_python: it calls a function of the user's from the graph.
    dials:       the first argument, which the network sets: numbers that change without a new trace.
    details:     the next ones: what the score knows of each row.
    otherwise:   of a trace that leaves lengths open: makes one of these lengths, should it fail.
    """

    function: Callable[..., Any]
    record: Any
    read: Sequence[weakref.ref[Any]]
    runs_python: bool
    dials: Any = None
    details: Sequence[Tensor] = ()
    otherwise: Callable[[], TracedFunction] | None = None

    def dialled(
        self,
        *numbers: int,
        details: Sequence[Tensor] = (),
        otherwise: Callable[[], TracedFunction] | None = None,
    ) -> TracedFunction:
        """A copy of the function with these numbers as its dials, and these details."""
        return dataclasses.replace(self, dials=_dials(numbers), details=details, otherwise=otherwise)

    def __call__(self, *arguments: Any) -> Any:
        """What the body returned, as tensors. Raises ValueError if the model fails, MemoryError if memory is short."""
        tensors = tf.nest.map_structure(tensor_of, arguments)
        try:
            return self.function(self.dials, *self.details, *tensors)
        except tf.errors.OpError as error:
            if self.otherwise is not None:
                other = self.otherwise()
                object.__setattr__(self, "record", other.record)  # nobody else has this copy, see `dialled`
                return other.dialled(*self.dials.numpy().tolist(), details=self.details)(*arguments)
            if self.runs_python:  # TensorFlow wraps what the user's function raised
                lines = [line.strip() for line in error.message.splitlines() if "Error: " in line]
                raise ModelFailed(f"The callable failed: {[*lines, first_line(error)][0]}") from error
            # Of models that change ids before they look them up, and of files: their tables are not known before.
            outside = OUTSIDE.search(error.message)
            if outside is not None and isinstance(error, tf.errors.InvalidArgumentError):
                words = outside_vocabulary("The model looks up", int(outside[1]), int(outside[2]))
                raise ValueError(words) from error
            if isinstance(error, tf.errors.ResourceExhaustedError):
                raise MemoryError(
                    "There is not enough memory for these passes: give a smaller batch_size."
                ) from error
            words = NODES.sub("", first_line(error))
            raise ModelFailed(f"The model fails on these inputs: {words}") from error

    @property
    def is_stale(self) -> bool:
        """Whether something that it was traced for is gone."""
        return any(reference() is None for reference in self.read)


@functools.lru_cache(256)
def _dials(numbers: tuple[int, ...]) -> Tensor:
    # Any whole number is a seed; large ones keep their lower 31 bits.
    with tf.init_scope():  # it outlives any graph that it may be first asked for in
        return tf.constant([number & 0x7FFFFFFF for number in numbers], tf.int32)


class TraceCache:
    """What is kept for a model for as long as the user keeps it.

    functions:     by the key of the body, of the network, the shapes of the arguments, the digest of weights that are
                   written in (None: none are), and whether XLA compiles it; the last used comes last.
    traces:        how many functions have been traced so far.
    array_outputs: of a callable on arrays what it returns for one example, by the kinds of its inputs.
    batch:         how many rows the model takes at once, where that was found by trying; None: nothing was.
    room:          how many rows fitted into memory, where more did not; None: that never happened.
    rows:          how many were counted last to have room; None: nobody asked.
    sizes:         by kind of call, in which sizes it came.
    described:     fingerprint, structure and what reads the weights, see `tfxai.model.snapshot`.
    snapshot:      refers to the last one, while a receipt is in use that needs it.
    """

    def __init__(self) -> None:
        self.functions: collections.OrderedDict[tuple[Hashable, ...], TracedFunction] = (
            collections.OrderedDict()
        )
        self.traces = 0
        self.array_outputs: dict[str, Any] = {}
        self.batch: int | None = None
        self.room: int | None = None
        self.rows: int | None = None
        self.sizes: dict[Hashable, Sizes] = {}
        self.described: tuple[Hashable, str | None, Any] | None = None
        self.snapshot: Callable[[], Any] | None = None

    def find(self, key: tuple[Hashable, ...]) -> TracedFunction | None:
        """The function of this key, unless it is stale."""
        function = self.functions.get(key)
        if function is None or function.is_stale:
            return None
        self.functions.move_to_end(key)
        return function

    def keep(self, key: tuple[Hashable, ...], function: TracedFunction) -> None:
        """Keeps a new function; the one that was used longest ago makes room."""
        self.functions[key] = function
        self.functions.move_to_end(key)
        self.traces += 1
        while len(self.functions) > KEPT:
            self.functions.popitem(last=False)

    def drop_old_copies(self, digest: bytes) -> None:
        """Makes room for another function with the weights of this digest: those of other weights go."""
        copies = [key for key in self.functions if key[3] is not None]
        current = [key for key in copies if key[3] == digest]
        for old in {*copies} - {*current[1 - COPIES :]}:
            del self.functions[old]


CACHES: weakref.WeakKeyDictionary[Model, TraceCache] = weakref.WeakKeyDictionary()


def cache_of(model: Model) -> TraceCache:
    """What is kept for a model; for one that is neither hashable nor weakly referable nothing can be kept."""
    try:
        return CACHES.setdefault(model, TraceCache())
    except TypeError:
        return TraceCache()


def traces(model: Model) -> int:
    """How many functions have been traced for a model so far."""
    return CACHES[model].traces if model in CACHES else 0


# Keys


def key_of(value: Any) -> Hashable:
    """What of a value decides which trace it belongs to. A key does not keep a user's object alive.

    Plain values and arrays count by value, dataclasses by their class and all that they hold, everything else (a function,
    a layer) by identity.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return type(value), value  # 1, 1.0 and True are equal, and not the same question
    if isinstance(value, (tuple, list)):
        return type(value).__name__, *map(key_of, value)
    if isinstance(value, (set, frozenset)):
        return "set", frozenset(map(key_of, value))
    if isinstance(value, Mapping):
        return "mapping", *((key_of(name), key_of(item)) for name, item in value.items())
    if isinstance(value, np.ndarray):
        return "array", value.shape, value.dtype.str, digest_of([value])
    if isinstance(value, (np.dtype, range)):
        return type(value).__name__, repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return Identity.of(type(value)), *((name, key_of(item)) for name, item in _held(value))
    if isinstance(value, functools.partial):
        return "partial", key_of(value.func), key_of(value.args), key_of(value.keywords)
    if isinstance(value, types.MethodType):
        return "method", key_of(value.__func__), key_of(value.__self__)
    return Identity.of(value)


def _held(value: Any) -> list[tuple[str, Any]]:
    """The fields of a dataclass, and what else was set on it; what it only remembers (cached properties) apart."""
    names = dict.fromkeys(field.name for field in dataclasses.fields(value))
    names |= dict.fromkeys(getattr(value, "__dict__", ()))
    kind = type(value)
    return [
        (name, getattr(value, name))
        for name in names
        if not isinstance(getattr(kind, name, None), functools.cached_property)
    ]


class Identity:
    """One object, whatever it says that it equals; equal to nothing once the object is gone."""

    def __init__(self, value: Any) -> None:
        self._number, self._reference = id(value), weakref.ref(value)

    @classmethod
    def of(cls, value: Any) -> Hashable:
        """The identity of an object; of one that cannot be referred to weakly one that is equal to no other."""
        try:
            return cls(value)
        except TypeError:
            return object()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Identity) or self._number != other._number:
            return False
        value = self._reference()
        return value is not None and value is other._reference()

    def __hash__(self) -> int:
        return hash(self._number)


def digest_of(arrays: Sequence[NDArray]) -> bytes:
    """A digest of arrays, to the bit."""
    digest = hashlib.blake2b()
    for array in arrays:
        plain = repr(array.tolist()).encode() if array.dtype == object else np.ascontiguousarray(array)
        digest.update(plain if isinstance(plain, bytes) else plain.tobytes())
    return digest.digest()


def shapes_of(arguments: Any) -> Any:
    """A tf.TensorSpec for each argument; every first axis is free."""
    return tf.nest.map_structure(_shape_of, arguments)


def shapes_in(specs: Any) -> Shapes:
    """The shape of each of these tf.TensorSpecs."""
    return tuple(tuple(spec.shape.as_list()) for spec in tf.nest.flatten(specs))


def _shape_of(argument: Tensor | NDArray | np.generic) -> tf.TensorSpec:
    array = argument if tf.is_tensor(argument) else np.asarray(argument)
    dtype = tf.string if array.dtype == object else array.dtype
    return tf.TensorSpec([None, *array.shape[1:]] if len(array.shape) else [], dtype)


def weak_references(objects: Sequence[Any]) -> list[weakref.ref[Any]]:
    """A weak reference to each object that can have one."""
    references = []
    for value in objects:
        with contextlib.suppress(TypeError):
            references.append(weakref.ref(value))
    return references


def outside_vocabulary(what: str, number: int, size: int) -> str:
    """The words for an id that a table does not have."""
    return f"{what} the token id {number}, the vocabulary has {size}. Give ids from 0 to {size - 1}."
