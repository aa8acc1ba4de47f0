"""The only thing that touches a user's model: its inputs, its traced graph, its inner layers.

Everything happens inside a graph that is traced once and kept. Inner activations are found by watching the live layers
while the model is being traced, so nested and subclassed models need no rebuilding; the model is left as it was.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import functools
import hashlib
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import Endpoint, Module, ModuleLayer
from tfxai.inputs import checked_arrays, flatten, is_float, pack, skeleton
from tfxai.model.embeddings import embedding_of, is_embedding, position_of, table_size_of
from tfxai.model.families import family_of
from tfxai.model.fingerprint import counted_attributes, public_attributes
from tfxai.model.forward_pass import Call, Embedded, ForwardPass
from tfxai.model.layer_paths import named_layers
from tfxai.model.tracing import STATES, Compiled, State, outside_vocabulary, weak_references
from tfxai.model.watching import inner_calls, replaced_endpoints, uncompiled
from tfxai.support import first_line
from tfxai.text import Text


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
        self.kind = family_of(model)
        self.layers = (
            [] if self.kind == "callable" else model.layers if self.kind == "hub" else named_layers(model)
        )
        if isinstance(inputs, str):
            raise ValueError("inputs is a single text. Give a list of texts: [text].")
        if isinstance(inputs, (list, tuple)) and inputs and not any(np.ndim(x) for x in inputs):
            inputs = Text(inputs) if all(isinstance(x, str) for x in inputs) else np.asarray(inputs)
        self.structure = inputs
        self.arrays = checked_arrays(
            model, self.kind, inputs, any(is_embedding(layer) for _, layer in self.layers)
        )
        try:
            self.state = STATES.setdefault(model, State())
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
            raise ValueError(outside_vocabulary(f"{name} holds", int(array[outside][0]), size))

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
                    traced.get_concrete_function(*map(spec_of, self.arrays))
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
                f"{first_line(error)}"
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
        specs = tf.nest.map_structure(spec_of, list(arguments))
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
                kept[full] = Compiled(function, facts, weak_references(self.read))
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
    ) -> ForwardPass:
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
        return ForwardPass(outputs, named, where, calls)

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
        changed = replaced_endpoints(module.layers, replaced)
        try:
            outputs, inner = module.laid_out(given, values, changed, [e for _, e in module.layers])
        except Exception as error:
            raise ValueError(
                f"{module.source} cannot be called on {self._shapes}: {first_line(error)}"
            ) from error
        calls = inner_calls("", module.layers, inner)
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
                    f"This callable does not run on TensorFlow tensors ({first_line(error)}). Gradients need a model "
                    "written with TensorFlow operations; methods that only hide parts (Occlusion, RISE, LIME, "
                    "KernelSHAP ...) take any callable."
                ) from error
            raise ValueError(f"The model cannot be called on {self._shapes}: {first_line(error)}") from error

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
            original, call = layer.call, uncompiled(layer)
            if isinstance(layer, ModuleLayer):  # whose inner tensors count as layers, too

                def call(inputs: Any) -> Any:
                    output, inner = layer.laid_out(inputs, replaced_endpoints(layer.inner, replaced))
                    calls.extend(inner_calls(path + "/", layer.inner, inner))
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
            values = public_attributes(layer)
            counted = counted_attributes(tuple(map(type, values)))
            settings.append(counted.values(values))
            objects += counted.objects(values)
        objects += self.model.variables
        return hash((structure, tuple(settings), tuple(map(id, objects)))), objects

    def _places(self) -> list[Any]:
        floating = [array.dtype.kind == "f" for array in self.arrays]
        if any(is_embedding(layer) for _, layer in self.layers):
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
                places.append("input" if direct else embedding_of(tensor, calls))
            # By position in the list of layers: the layer itself would keep the model alive.
            layers = [layer for _, layer in self.layers]
            facts["places"] = [
                p if p in ("input", None) else (position_of(layers, p[0]), p[1]) for p in places
            ]
            facts["tables"] = [table_size_of(tensor, calls) for tensor in inputs]
            return [tf.reduce_sum(tf.cast(t, tf.float32)) for t in tensors]

        self.places = ["input"] * len(self.arrays)
        facts = self.compiled("places", body, self.arrays).facts
        places, self.tables = facts["places"], facts["tables"]
        return [
            place if place in ("input", None) else Embedded(self.layers[place[0]][1], place[1])
            for place in places
        ]


def spec_of(argument: Any) -> tf.TensorSpec:
    array = argument if tf.is_tensor(argument) else np.asarray(argument)
    dtype = tf.string if array.dtype == object else array.dtype
    return tf.TensorSpec([None, *array.shape[1:]] if len(array.shape) else [], dtype)


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


def _digest(weights: Sequence[tuple[Any, NDArray]]) -> bytes:
    found = hashlib.blake2b()
    for _, array in weights:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.digest()


_TRACING = threading.RLock()  # layers are watched in place, so only one model is traced at a time


_KEPT = 64  # compiled functions kept per model


_COPIES = 4  # traces kept per model that hold its weights


_FREEZABLE = 5e8  # bytes of weights that a trace may hold; a graph ends at 2 GB


_FREEZING: contextvars.ContextVar[bool] = contextvars.ContextVar("freezing", default=True)


@contextlib.contextmanager
def thawed() -> Iterator[None]:
    """Inside, no weights are written into traces: for studies that change them again and again."""
    before = _FREEZING.set(False)
    try:
        yield
    finally:
        _FREEZING.reset(before)
