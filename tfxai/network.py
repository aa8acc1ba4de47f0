"""The only thing that touches a user's model: its inputs, its traced graph, its inner layers.

Everything happens inside a graph that is traced once and kept. Inner activations are found by watching the live layers
while the model is being traced, so nested and subclassed models need no rebuilding; the model is left as it was.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import dataclasses
import functools
import hashlib
import operator
import re
import sys
import threading
import types
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.folding import folded
from tfxai.graphs import operations_ahead, operations_behind
from tfxai.hub import Endpoint, Module, ModuleLayer, is_endpoint
from tfxai.inputs import checked, flatten, is_float, pack, skeleton, tensor_of
from tfxai.text import Text

_TRACING = threading.RLock()  # layers are watched in place, so only one model is traced at a time
_KEPT = 64  # compiled functions kept per model
_COPIES = 4  # traces kept per model that hold its weights
_TABLES = (tf.lookup.StaticHashTable, tf.lookup.experimental.MutableHashTable)  # of layers that were adapted
_FREEZABLE = 5e8  # bytes of weights that a trace may hold; a graph ends at 2 GB


_OUTSIDE = re.compile(r"= (-?\d+) is not in \[0, (\d+)\)")  # as TensorFlow says it of a lookup
_HANDING_ON = ("Identity", "Cast", "Reshape", "ExpandDims", "Squeeze")


_FREEZING: contextvars.ContextVar[bool] = contextvars.ContextVar("freezing", default=True)


@contextlib.contextmanager
def thawed() -> Iterator[None]:
    """Inside, no weights are written into traces: for studies that change them again and again."""
    before = _FREEZING.set(False)
    try:
        yield
    finally:
        _FREEZING.reset(before)


class State:
    """What is kept for a model for as long as the user keeps it."""

    def __init__(self) -> None:
        self.functions: collections.OrderedDict[Any, Compiled] = collections.OrderedDict()
        self.traces = 0
        self.array_outputs: dict[str, Any] = {}  # of a callable on arrays: what it returns for one example


_states: weakref.WeakKeyDictionary[Any, State] = weakref.WeakKeyDictionary()


@dataclasses.dataclass(frozen=True)
class Compiled:
    """A traced function, and the facts that its tracing found out (number of classes, chosen layer ...).

    read: weak references to what the fingerprint names by identity: once one is gone, its identity may come back.
    """

    function: Callable[..., Any]
    facts: dict[str, Any]
    read: list[Any]

    def __call__(self, *arguments: Any) -> Any:
        tensors = tf.nest.map_structure(tensor_of, arguments)
        if not self.facts.get("arrays"):
            return self._run(*tensors)
        try:
            return self.function(*tensors)
        except tf.errors.OpError as error:  # which wraps what the user's callable raised
            lines = [line.strip() for line in error.message.splitlines() if "Error: " in line]
            raise ValueError(f"The callable failed: {[*lines, _first_line(error)][0]}") from error

    def _run(self, *tensors: Any) -> Any:
        try:
            return self.function(*tensors)
        except tf.errors.InvalidArgumentError as error:
            # Of models that change ids before they look them up, and of files: their tables are not known before.
            if (found := _OUTSIDE.search(error.message)) is None:
                raise
            raise ValueError(_outside("The model looks up", int(found[1]), int(found[2]))) from error


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer, seen while the model was traced."""

    path: str
    layer: Any
    inputs: Any
    output: Any


@dataclasses.dataclass(frozen=True)
class Pass:
    """One forward pass in a graph that is being traced.

    outputs: as the model returns them.
    named:   the same by name, where the model names them; all that it has.
    points:  for each input what it is explained at: itself, the embedding of its tokens, or None.
    calls:   every layer call, in order of completion.
    """

    outputs: Any
    named: Any
    points: list[Any]
    calls: list[Call]

    @functools.cached_property
    def _ahead(self) -> list[set[Any]]:
        return [set() if point is None else operations_ahead([point]) for point in self.points]

    def reaches(self, which: int, tensor: Any) -> bool:
        """Whether a tensor depends on the input with this number."""
        return tensor is self.points[which] or tensor.op in self._ahead[which]

    def gradients(self, score: Any, of: Sequence[Any] | None = None) -> list[Any]:
        """d score / d points (or of the given tensors), zero where the score does not depend on one."""
        tensors = list(self.points if of is None else of)
        wanted = [tensor for tensor in tensors if tensor is not None]
        behind = operations_behind([score], differentiable=True)
        moving = operations_ahead(wanted) | {tensor.op for tensor in wanted}
        with folded(behind & moving, moving, wanted):
            found = tf.gradients(score, wanted)
        if all(gradient is None for gradient in found):
            raise ValueError(
                "The score does not depend on the inputs in a way that TensorFlow can differentiate. Use a score and a "
                "model made of TensorFlow operations, or a method that only hides parts (Occlusion, RISE, LIME ...)."
            )
        dense = iter(
            tf.zeros_like(tensor) if gradient is None else tf.convert_to_tensor(gradient)
            for tensor, gradient in zip(wanted, found, strict=True)
        )
        return [None if tensor is None else tf.cast(next(dense), tf.float32) for tensor in tensors]


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Token ids cannot be differentiated; they are explained at the `index`-th call of their embedding layer."""

    layer: Any
    index: int


class Network:
    """A user's model together with a batch of inputs for it.

    arrays:    the inputs as a flat list of arrays (N, ...), in the types that the model takes.
    structure: the inputs as they were given: array, dict, list or tuple.
    places:    for each array where it is explained: "input", an Embedded, or None.
    tables:    for each array the size of the vocabulary, where it is token ids that a Keras layer looks up as they are.

    Raises ValueError if the model is not built, or the inputs are empty, lack the batch axis, differ in length, do
    not fit the model, hold NaN, or ids outside of the vocabulary.
    """

    def __init__(self, model: Any, inputs: Any) -> None:
        self.model = model
        self.kind = _kind(model)
        self.layers = (
            [] if self.kind == "callable" else model.layers if self.kind == "hub" else named_layers(model)
        )
        if isinstance(inputs, str):
            raise ValueError("inputs is a single text. Give a list of texts: [text].")
        if isinstance(inputs, (list, tuple)) and inputs and not any(np.ndim(x) for x in inputs):
            inputs = Text(inputs) if all(isinstance(x, str) for x in inputs) else np.asarray(inputs)
        self.structure = inputs
        self.arrays = checked(model, self.kind, inputs, any(_is_embedding(layer) for _, layer in self.layers))
        try:
            self.state = _states.setdefault(model, State())
        except TypeError:  # neither hashable nor weakly referable: nothing can be kept
            self.state = State()
        self.fingerprint, self.read = self._fingerprint()
        self._frozen: list[tuple[Any, NDArray]] = []  # while such a trace is made
        self.array_outputs: Any = None
        self.tables: list[int | None] = [None] * len(self.arrays)
        self.places: list[Any] = self._places()
        for which, (array, name) in enumerate(zip(self.arrays, flatten(inputs)[1], strict=True)):
            self.check_ids(which, array, name)

    def __len__(self) -> int:
        return len(self.arrays[0])

    def check_ids(self, which: int, array: NDArray, name: str) -> None:
        """Raises ValueError if what stands for an input holds ids outside of the vocabulary that it is looked up in.

        Processors refuse them in words of their own, or (GPU) take rows of zeros instead.
        """
        if (size := self.tables[which]) is None:
            return
        outside = (array <= -1) | (array >= size)
        if outside.any():
            raise ValueError(_outside(f"{name} holds", int(array[outside][0]), size))

    def explain_images_only(self, method: str) -> None:
        """Leaves inputs that are not images (N, H, W, channels) as they are; raises ValueError if there is no image."""
        self.places = [
            p if p == "input" and a.ndim == 4 else None for p, a in zip(self.places, self.arrays, strict=True)
        ]
        if not any(self.places):
            shapes = ", ".join(str(array.shape) for array in self.arrays)
            raise ValueError(
                f"{method} is for images, (N, H, W, channels); inputs has shape {shapes}. Use another method."
            )

    def allow_arrays(self) -> None:
        """Lets a callable be one on NumPy arrays, or one that does not compile: for methods without gradients.

        It is then called from the graph, once a chunk. The first example is tried, once for each callable.
        """
        kinds = repr(skeleton(self.structure)) + str([array.shape[1:] for array in self.arrays])
        if self.kind != "callable":
            return
        if kinds not in self.state.array_outputs:
            found, traced = None, tf.function(lambda *tensors: self._call(tensors), autograph=False)
            try:
                with _TRACING:
                    traced.get_concrete_function(*map(_spec, self.arrays))
            except ValueError:
                found = "arrays"
            if found is not None:
                found = self._tried([array[:1] for array in self.arrays])
            self.state.array_outputs[kinds] = found
        self.array_outputs = self.state.array_outputs[kinds]

    def _tried(self, arrays: list[NDArray]) -> Any:
        try:
            outputs = _as_arrays(self.model(self.pack([_readable(array) for array in arrays])))
        except Exception as error:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise ValueError(
                f"The callable fails on arrays of shape {shapes} (numbers come as float32): {type(error).__name__}: "
                f"{_first_line(error)}"
            ) from error
        for output in tf.nest.flatten(outputs):
            if output.shape[:1] != (1,):
                raise ValueError(
                    f"The callable returned shape {output.shape} for one example. Return one row of scores per example."
                )
        return outputs

    def _from_arrays(self, flat: Sequence[Any]) -> Any:
        structure = skeleton(self.structure)
        try:
            model = weakref.ref(self.model)  # what is kept for a callable must not keep it alive
        except TypeError:
            kept = self.model
            model: Any = lambda: kept  # noqa: E731

        def call(*arrays: NDArray) -> list[NDArray]:
            outputs = tf.nest.flatten(
                _as_arrays(model()(pack(structure, [_readable(array) for array in arrays])))
            )
            if any(output.shape[:1] != (len(arrays[0]),) for output in outputs):
                raise ValueError(
                    f"The callable returned shape {outputs[0].shape} for {len(arrays[0])} examples. Return one row of "
                    "scores per example."
                )
            return outputs

        wanted = tf.nest.flatten(self.array_outputs)
        found = tf.numpy_function(call, list(flat), [tf.float32] * len(wanted))
        for tensor, array in zip(found, wanted, strict=True):
            tensor.set_shape([None, *array.shape[1:]])
        return tf.nest.pack_sequence_as(self.array_outputs, found)

    def pack(self, flat: Sequence[Any]) -> Any:
        """A flat list in the structure of the inputs."""
        return pack(self.structure, flat)

    # Compiling

    def compiled(
        self,
        key: Hashable,
        body: Callable[..., Any],
        arguments: Sequence[Any],
        *,
        frozen: bytes | None = None,
        jit_compile: bool = False,
    ) -> Compiled:
        """`body(facts, *tensors)` traced once for this key, model and kind of arguments; every first axis is free.

        body must not depend on anything that is not in the key.

        frozen:      a digest of the weights, to write them into the trace as constants: TensorFlow then folds batch
                     norm and lays out kernels once, and passes take two thirds to nine tenths of the time. Worth its
                     second or more for large jobs. Traces of other weights are forgotten.
        jit_compile: compile by XLA.
        """
        if jit_compile and self.array_outputs is not None:
            raise ValueError(
                "jit_compile=True needs a model that TensorFlow can look into, and this is a callable on arrays."
            )
        specs = tf.nest.map_structure(_spec, list(arguments))
        shapes = tuple((spec.shape.as_list().__repr__(), spec.dtype) for spec in tf.nest.flatten(specs))
        full: Any = (key, self.fingerprint, shapes, frozen, jit_compile)
        with _TRACING:
            kept = self.state.functions
            if full not in kept or any(reference() is None for reference in kept[full].read):
                if frozen is not None:
                    copies = [other for other in kept if other[3] is not None]
                    current = [other for other in copies if other[3] == frozen]
                    for old in {*copies} - {*current[1 - _COPIES :]}:
                        del kept[old]
                facts: dict[str, Any] = {"arrays": self.array_outputs is not None}
                traced = tf.function(
                    lambda *tensors: body(facts, *tensors), autograph=False, jit_compile=jit_compile or None
                )
                self._frozen = self._weights() if frozen is not None else []
                try:
                    # Only the concrete function is kept: it holds the graph and the weights, not the model, so that
                    # the model can be collected.
                    function = traced.get_concrete_function(*specs)
                finally:
                    self._frozen = []
                kept[full] = Compiled(function, facts, _references(self.read))
                self.state.traces += 1
                while len(kept) > _KEPT:
                    kept.popitem(last=False)
            kept.move_to_end(full)
            return kept[full]

    @functools.cached_property
    def digest(self) -> bytes | None:
        """Of all weights at the first use, to the bit; None where they cannot be frozen (no Keras 3 model, too large)."""
        if not _FREEZING.get() or self.kind not in ("keras", "hub") or (weights := self._weights()) == []:
            return None
        return None if sum(array.nbytes for _, array in weights) > _FREEZABLE else _digest(weights)

    def weights_digest(self) -> bytes:
        """Of all weights, to the bit."""
        return _digest(self._weights())

    def _weights(self) -> list[tuple[Any, NDArray]]:
        if self.kind == "hub":
            return [(v, v.numpy()) for v in self.model.read if is_float(v.dtype)]
        variables = [v for v in self.model.variables if is_float(v.dtype)]
        values = [v.value if self.kind == "keras" else v for v in variables]
        return [
            (v, np.atleast_1d(value.numpy()).reshape(v.shape))
            for v, value in zip(variables, values, strict=True)
        ]

    def forward(
        self,
        inputs: Sequence[Any],
        points: Sequence[Any] | None = None,
        replaced: Mapping[tuple[int, int], Any] | None = None,
    ) -> Pass:
        """Calls the model on tensors of a graph that is being traced, in inference mode, and watches its layers.

        points:   replaces what the inputs are explained at (an input itself, or its embedding); None leaves one as it is.
        replaced: what layers put out instead of their own: {(id of the layer, number of its call): tensor}.
        """
        fed = list(inputs)
        replaced = dict(replaced or {})
        for i, point in enumerate(points or ()):
            place = self.places[i]
            if point is not None and place == "input":
                fed[i] = tf.cast(point, inputs[i].dtype)
            elif point is not None and isinstance(place, Embedded):
                replaced[id(place.layer), place.index] = point
        outputs, named, calls = self._run(fed, replaced)
        where: list[Any] = []
        for i, place in enumerate(self.places):
            if isinstance(place, Embedded):
                looked_up = [call.output for call in calls if call.layer is place.layer]
                where.append(looked_up[place.index])
            else:
                where.append(fed[i] if place == "input" else None)
        return Pass(outputs, named, where, calls)

    def _run(
        self, flat: Sequence[Any], replaced: Mapping[tuple[int, int], Any]
    ) -> tuple[Any, Any, list[Call]]:
        """Outputs, outputs by name, and layer calls."""
        if isinstance(self.model, Module):
            return self._laid_out(self.model, flat, replaced)
        with self._watched(dict(replaced)) as calls:
            outputs = self._call(flat)
        names = getattr(self.model, "output_names", None)
        if isinstance(outputs, (list, tuple)) and names is not None and len(names) == len(outputs):
            return outputs, dict(zip(names, outputs, strict=True)), calls
        return outputs, outputs, calls

    def _laid_out(
        self, module: Module, flat: Sequence[Any], replaced: Mapping[tuple[int, int], Any]
    ) -> tuple[Any, Any, list[Call]]:
        values = {id(variable): tf.constant(array) for variable, array in self._frozen}
        inputs = self.pack(flat)
        given = inputs if isinstance(inputs, dict) else dict(zip(module.inputs, flat, strict=True))
        changed = _changed(module.layers, replaced)
        try:
            outputs, inner = module.laid_out(given, values, changed, [e for _, e in module.layers])
        except Exception as error:
            raise ValueError(
                f"{module.source} cannot be called on {self._shapes}: {_first_line(error)}"
            ) from error
        calls = _inner_calls("", module.layers, inner)
        return outputs if module.output is None else outputs[module.output], outputs, calls

    @property
    def _shapes(self) -> str:
        shapes = [array.shape for array in self.arrays]
        return f"a batch of shape {shapes[0] if len(shapes) == 1 else shapes}"

    def _call(self, flat: Sequence[Any]) -> Any:
        inputs = self.pack(flat)
        try:
            if self.array_outputs is not None:
                return self._from_arrays(flat)
            if self.kind == "callable":
                outputs = self.model(inputs)
                if not all(tf.is_tensor(output) for output in tf.nest.flatten(outputs)):
                    raise TypeError("it returns something else than tensors")
                return outputs
            if self.kind == "keras":
                # Nothing that the model does while it is traced (losses, seeds, statistics) may reach its own state.
                constants = [(v, tf.constant(array)) for v, array in self._frozen]
                with keras.StatelessScope(state_mapping=constants):
                    return self.model(inputs, training=False)
            return self.model(inputs, training=False)
        except Exception as error:
            if self.kind == "callable" and isinstance(
                error, (NotImplementedError, AttributeError, TypeError)
            ):
                raise ValueError(
                    f"This callable does not run on TensorFlow tensors ({_first_line(error)}). Gradients need a model "
                    "written with TensorFlow operations; methods that only hide parts (Occlusion, RISE, LIME, "
                    "KernelSHAP ...) take any callable."
                ) from error
            raise ValueError(f"The model cannot be called on {self._shapes}: {_first_line(error)}") from error

    # Layers

    @contextlib.contextmanager
    def _watched(self, replaced: dict[tuple[int, int], Any]) -> Iterator[list[Call]]:
        """Swaps each layer's `call` for one that notes its output (or replaces it), and puts it back."""
        calls: list[Call] = []
        swapped: dict[int, tuple[Any, Any]] = {}
        counts: collections.Counter[int] = collections.Counter()
        ours = threading.get_ident()
        # The user's last call may have left losses, which a model forgets when it is called again.
        owners = [] if self.kind == "callable" else [self.model, *(layer for _, layer in self.layers)]
        keepers = [
            vars(o) if self.kind == "keras" else vars(getattr(o, "_thread_local", self)) for o in owners
        ]
        names = ("_losses", "_loss_ids", "_eager_losses")
        held = [(k, name) for k in keepers for name in names if isinstance(k.get(name), (list, set))]
        losses = [(keeper, name, keeper[name], type(keeper[name])(keeper[name])) for keeper, name in held]

        def watching(path: str, layer: Any) -> Callable[..., Any]:
            original, call = layer.call, _uncompiled(layer)
            if isinstance(layer, ModuleLayer):  # whose inner tensors count as layers, too

                def call(inputs: Any) -> Any:
                    output, inner = layer.laid_out(inputs, _changed(layer.inner, replaced))
                    calls.extend(_inner_calls(path + "/", layer.inner, inner))
                    return output

            def watched(*args: Any, **kwargs: Any) -> Any:
                if threading.get_ident() != ours:  # somebody else's use of the model, at the same time
                    return original(*args, **kwargs)
                output = call(*args, **kwargs)
                point = replaced.get((id(layer), counts[id(layer)]))
                counts[id(layer)] += 1
                if point is not None:
                    output = tf.cast(point, output.dtype)
                inputs = args[0] if args else next(iter(kwargs.values()), None)
                calls.append(Call(path, layer, inputs, output))
                return output

            return watched

        try:
            if self.kind != "callable":
                for path, layer in [("", self.model), *self.layers]:
                    if id(layer) not in swapped and not isinstance(layer, Endpoint):
                        own = vars(layer).get("call")
                        swapped[id(layer)] = (layer, own)
                        # Around Keras' own attribute tracking, which would change the layer.
                        vars(layer)["call"] = watching(path, layer)
            yield calls
        finally:
            for layer, own in swapped.values():
                del vars(layer)["call"]
                if own is not None:
                    vars(layer)["call"] = own
            for keeper, name, collection, before in losses:
                collection.clear()
                (collection.extend if isinstance(collection, list) else collection.update)(before)
                keeper[name] = collection

    def _fingerprint(self) -> tuple[Hashable, list[Any]]:
        """What a trace reads once and for all, and the objects in it that count by identity.

        Another layer, set of weights, activation, or setting of a Keras layer means another trace. Other attributes
        of a user's own classes are read when the model is traced, as tf.function does.
        """
        structure = repr(skeleton(self.structure))
        if self.kind in (
            "callable",
            "hub",
        ):  # a module is as it was loaded, apart from what its variables hold
            return structure, []
        objects, settings = [], []
        for _, layer in self.layers:
            objects.append(layer)
            if type(layer).__module__.split(".")[0] not in ("keras", "tf_keras"):
                continue
            values = _public(layer)
            counted = _counted(tuple(map(type, values)))
            settings.append(counted.values(values))
            objects += counted.objects(values)
        objects += self.model.variables
        return hash((structure, tuple(settings), tuple(map(id, objects)))), objects

    def _places(self) -> list[Any]:
        floating = [array.dtype.kind == "f" for array in self.arrays]
        if any(_is_embedding(layer) for _, layer in self.layers):
            return self._embedded_places()
        return ["input" if is_float else None for is_float in floating]

    def _embedded_places(self) -> list[Any]:
        """Traces the model once to see which inputs are looked up in which embedding."""

        def body(facts: dict[str, Any], *inputs: Any) -> Any:
            outputs, _, calls = self._run(inputs, {})
            tensors = [t for t in tf.nest.flatten(outputs) if t.dtype.is_floating]
            places: list[Any] = []
            for tensor in inputs:
                direct = tensor.dtype.is_floating and tf.gradients(tensors, tensor)[0] is not None
                places.append("input" if direct else _embedding_of(tensor, calls))
            # By position in the list of layers: the layer itself would keep the model alive.
            layers = [layer for _, layer in self.layers]
            facts["places"] = [p if p in ("input", None) else (_position(layers, p[0]), p[1]) for p in places]
            facts["tables"] = [_table_of(tensor, calls) for tensor in inputs]
            return [tf.reduce_sum(tf.cast(t, tf.float32)) for t in tensors]

        self.places = ["input"] * len(self.arrays)
        facts = self.compiled("places", body, self.arrays).facts
        places, self.tables = facts["places"], facts["tables"]
        return [
            place if place in ("input", None) else Embedded(self.layers[place[0]][1], place[1])
            for place in places
        ]


def _digest(weights: Sequence[tuple[Any, NDArray]]) -> bytes:
    found = hashlib.blake2b()
    for _, array in weights:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.digest()


def _changed(
    layers: Sequence[tuple[str, Endpoint]], replaced: Mapping[tuple[int, int], Any]
) -> dict[Endpoint, Any]:
    return {e: replaced[id(e), 0] for _, e in layers if (id(e), 0) in replaced}


def _inner_calls(prefix: str, layers: Sequence[tuple[str, Endpoint]], inner: Sequence[Any]) -> list[Call]:
    return [
        Call(prefix + name, endpoint, before, tensor)
        for (name, endpoint), (before, tensor) in zip(layers, inner, strict=True)
        if is_endpoint(tensor)
    ]


def _as_arrays(outputs: Any) -> Any:
    """What a callable returned, as float32 arrays: one, or a dict of them."""
    if isinstance(outputs, Mapping):
        return {name: np.asarray(output, np.float32) for name, output in outputs.items()}
    if isinstance(outputs, tuple):
        raise ValueError("it returns a tuple. Return one array, or a dict of them by name.")
    return np.asarray(outputs, np.float32)


def _readable(array: NDArray) -> Any:
    """Strings come out of TensorFlow as bytes; functions of texts expect a list of str."""
    if array.dtype != object:
        return array
    return tf.nest.map_structure(lambda x: x.decode() if isinstance(x, bytes) else x, array.tolist())


_Getter = Callable[[Any], tuple[Any, ...]]
_PUBLIC: dict[tuple[type, int], _Getter] = {}  # by class of a layer and the number of its attributes


def _public(layer: Any) -> tuple[Any, ...]:
    """What the public attributes of one of Keras' own layers hold. Every call asks for it, so it must be quick."""
    own = vars(layer)
    getter = _PUBLIC.get((type(layer), len(own)))
    with contextlib.suppress(KeyError):
        if getter is not None:
            return getter(own)
    getter = _PUBLIC[type(layer), len(own)] = _getter([name for name in own if name[0] != "_"])
    return getter(own)


@dataclasses.dataclass(frozen=True)
class _Counted:
    """Which of some attributes count: by their value, or by their identity."""

    values: _Getter
    objects: _Getter


@functools.lru_cache(4096)
def _counted(kinds: tuple[type, ...]) -> _Counted:
    by_value = [i for i, kind in enumerate(kinds) if issubclass(kind, (bool, int, float, str))]
    functions = (types.FunctionType, tf.Tensor, *_TABLES)
    return _Counted(
        _getter(by_value), _getter([i for i, kind in enumerate(kinds) if issubclass(kind, functions)])
    )


def _getter(keys: Sequence[Any]) -> _Getter:
    """Gets these items of a mapping or sequence, as a tuple also of none or one."""
    if len(keys) > 1:
        return operator.itemgetter(*keys)
    return lambda items: tuple(items[key] for key in keys)


def _references(objects: list[Any]) -> list[Any]:
    found = []
    for value in objects:
        with contextlib.suppress(TypeError):  # what cannot be referred to weakly
            found.append(weakref.ref(value))
    return found


def build(model: Any, inputs: Any) -> None:
    """Gives a model that waits for its first batch its weights, for inputs like these. Of Keras 3 models nothing is run.

    Raises ValueError if the model cannot take such inputs.
    """
    kind = _kind(model)
    if kind not in ("keras", "tf_keras") or model.built:
        return
    arrays = [np.asarray(each) for each in flatten(inputs)[0]]
    if any(array.ndim == 0 or array.dtype == object for array in arrays):
        raise ValueError(
            f"The model {model.name!r} has no weights yet, and inputs is no array (N, ...) of numbers."
        )
    looks_up = any(_is_embedding(layer) for _, layer in named_layers(model))
    types = ["int32" if array.dtype.kind in "iu" and looks_up else "float32" for array in arrays]
    try:
        if kind == "keras":
            # Symbols run nothing: dropout that is always on, or a counter, would move.
            shapes = [(None, *array.shape[1:]) for array in arrays]
            model(
                pack(inputs, [keras.KerasTensor(*each) for each in zip(shapes, types, strict=True)]),
                training=False,
            )
        else:
            model(pack(inputs, [a[:1].astype(t) for a, t in zip(arrays, types, strict=True)]), training=False)
    except Exception as error:
        shapes = [array.shape for array in arrays]
        raise ValueError(
            f"The model {model.name!r} has no weights yet, and cannot be built for inputs of shape "
            f"{shapes[0] if len(shapes) == 1 else shapes}: {_first_line(error)}"
        ) from error


def traces(model: Any) -> int:
    """How many functions have been traced for a model so far."""
    return _states[model].traces if model in _states else 0


def named_layers(model: Any) -> list[tuple[str, Any]]:
    """Every layer inside a Keras model, however deep, with its path: `backbone/block_1/conv`."""
    found: list[tuple[str, Any]] = []
    taken: set[str] = set()

    def walk(parent: Any, prefix: str) -> None:
        # A functional model also runs operations that are no layers, such as the + of a residual sum. Other models
        # list their layers, and other layers keep their children where only this method looks.
        children = getattr(parent, "operations", None) or getattr(parent, "layers", None)
        if not isinstance(children, (list, tuple)):
            if not hasattr(parent, "_flatten_layers"):
                return
            children = list(parent._flatten_layers(include_self=False, recursive=False))
        for child in children:
            path, count = prefix + child.name, 2
            while path in taken:
                path, count = f"{prefix}{child.name}#{count}", count + 1
            taken.add(path)
            found.append((path, child))
            if isinstance(child, ModuleLayer):
                found.extend((f"{path}/{name}", endpoint) for name, endpoint in child.inner)
            walk(child, path + "/")

    walk(model, "")
    return found


def _kind(model: Any) -> str:
    if isinstance(model, Module):
        return "hub"
    if isinstance(model, keras.layers.Layer):
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"This model runs on Keras' {keras.backend.backend()} backend; tfxai reads TensorFlow graphs. Set "
                "KERAS_BACKEND=tensorflow before keras is imported and load the model again."
            )
        return "keras"
    legacy = sys.modules.get("tf_keras")
    if legacy is not None and isinstance(model, legacy.layers.Layer):
        return "tf_keras"
    if not callable(model):
        raise ValueError(
            f"model is a {type(model).__name__}. Give a Keras model, or a callable from a batch to scores."
        )
    return "callable"


def _spec(argument: Any) -> tf.TensorSpec:
    array = argument if tf.is_tensor(argument) else np.asarray(argument)
    dtype = tf.string if array.dtype == object else array.dtype
    return tf.TensorSpec([None, *array.shape[1:]] if len(array.shape) else [], dtype)


def _is_embedding(layer: Any) -> bool:
    if isinstance(layer, Endpoint):
        return layer.ids is not None
    legacy = sys.modules.get("tf_keras")
    return isinstance(layer, keras.layers.Embedding) or (
        legacy is not None and isinstance(layer, legacy.layers.Embedding)
    )


def _embedding_of(tensor: Any, calls: list[Call]) -> tuple[Any, int] | None:
    """The first embedding call that looks this input up, and which call of its layer that is."""
    counts: collections.Counter[int] = collections.Counter()
    for call in calls:
        if _is_embedding(call.layer):
            # Positions 0, 1, 2 ... depend on the ids too, but only on how many there are.
            ids = tf.nest.flatten(call.inputs)[0]
            if tensor is ids or tensor.op in operations_behind([ids], through_shapes=False):
                return call.layer, counts[id(call.layer)]
            counts[id(call.layer)] += 1
    return None


def _table_of(tensor: Any, calls: list[Call]) -> int | None:
    """The size of the smallest Keras embedding that looks this input up as it is."""

    def handed_on(ids: Any) -> bool:
        while ids is not tensor and ids.op.type in _HANDING_ON:
            ids = ids.op.inputs[0]
        return ids is tensor

    looked_up = [call for call in calls if _is_embedding(call.layer) and not isinstance(call.layer, Endpoint)]
    sizes = [c.layer.input_dim for c in looked_up if handed_on(tf.nest.flatten(c.inputs)[0])]
    return min(sizes, default=None)


def _outside(what: str, number: int, size: int) -> str:
    return f"{what} the token id {number}, the vocabulary has {size}. Give ids from 0 to {size - 1}."


def _position(layers: list[Any], layer: Any) -> int:
    return next(i for i, other in enumerate(layers) if other is layer)


def _uncompiled(layer: Any) -> Callable[..., Any]:
    """The layer's `call`; if it is a tf.function, its Python code, so that its operations land in our graph."""
    call = layer.call
    python = getattr(call, "python_function", None)
    if python is None:
        return call
    try:
        converted = tf.autograph.to_graph(getattr(type(layer).call, "python_function", python))
    except (
        Exception
    ):  # no source to convert (a shell, a notebook that was closed): stay with the compiled call
        return call
    return converted.__get__(layer)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Exception encountered")] or lines
    return lines[0].replace("\x1b[1m", "").replace("\x1b[0m", "")[:300] if lines else type(error).__name__
