"""Models that come as a folder or a file: TF-Hub modules, SavedModels and frozen graphs, inner tensors included.

    module = tfxai.hub.load("inception_v3/classification")
    module.signatures, module.inputs, module.outputs, module.endpoints, module.variables
    tfxai.GradCAM(layer="InceptionV3/Mixed_7c")(module, images, targets=341)

Whatever it was saved as, the module is laid out as one flat graph on its variables (see tfxai.graphs), so that methods
find its layers, its logits and its nonlinearities, and see every later change of a weight.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfxai.graphs import REFERENCES, Flat, flat, fresh, full, op_name, without_calls
from tfxai.scopes import endpoint_names, feeder, moving, weighted_scopes, without_numbers

PREFERRED = ("serving_default", "image_classification", "default")  # signatures, best first
DEFAULT = "default"  # the output that a module of many names as its answer
_LOOKUPS = ("GatherV2", "Gather")
_SHOWN = 12  # names in an error


@dataclasses.dataclass(frozen=True, eq=False)
class Endpoint:
    """An inner tensor by its name, in the place of a Keras layer.

    kind: type of the operation that makes it.
    tensor: its name in the flat graph.
    ids: for a lookup in a table of weights, the tensor that is looked up.
    """

    name: str
    kind: str
    tensor: str
    ids: str | None


class Module:
    """A model from a file: `module(batch)` gives its output, and every tfxai method takes it. Made by `load`.

    source:     where it is from. how: what `load` was given.
    signature:  name of the entry that is called; None for a frozen graph.
    signatures: names of all entries.
    output:     name of the output that is explained; None if there are several and none is named `default`.

    A module runs as it was saved for inference: nothing that would update statistics or seeds is kept. Gradients are
    the derivatives of its operations, also where its maker had registered others (silu; a gradient reversal).
    """

    def __init__(
        self,
        source: str,
        signature: str | None,
        signatures: Sequence[str],
        graph: Flat,
        inputs: Mapping[str, tf.TensorSpec],
        own: Mapping[str, str],
        store: Store,
        how: Mapping[str, Any],
    ) -> None:
        self.source, self.signature, self.signatures = source, signature, tuple(signatures)
        self.inputs = dict(inputs)
        self._graph, self._own, self._store, self.how = graph, dict(own), store, dict(how)
        names = list(graph.outputs)
        self.output = names[0] if len(names) == 1 else DEFAULT if DEFAULT in names else None
        self._functions: dict[Any, Any] = {}  # compiled, by the shapes that they take

    def __call__(self, batch: Any) -> Any:
        """The output (N, ...); a dict of all outputs where there are several and none is named `default`.

        batch: (N, ...), or a dict of arrays for a signature with several inputs.

        Raises ValueError if the inputs are others.
        """
        given = self.named_inputs(batch)
        shapes = tuple((tuple(tensor.shape[1:]), tensor.dtype) for tensor in given.values())
        if shapes not in self._functions:
            specs = {name: tf.TensorSpec(_any_batch(t.shape), t.dtype) for name, t in given.items()}
            run = tf.function(lambda tensors: self.laid_out(tensors)[0], autograph=False)
            self._functions[shapes] = run.get_concrete_function(specs)
        outputs = self._functions[shapes](given)
        return outputs if self.output is None else outputs[self.output]

    def __repr__(self) -> str:
        signature = "" if self.signature is None else f", signature {self.signature!r}"
        outputs = ", ".join(f"{name} {_shape(spec)}" for name, spec in self.outputs.items())
        if self.output is not None and len(self.outputs) > 1:
            outputs = f"{self.output} {_shape(self.outputs[self.output])} and {len(self.outputs) - 1} more"
        inputs = ", ".join(f"{name} {_shape(spec)}" for name, spec in self.inputs.items())
        return f"<tfxai.hub.Module {self.source}{signature}: {inputs} -> {outputs}>"

    @property
    def variables(self) -> dict[str, Any]:
        """Name, as in the module, without `:0` -> variable. What is assigned to one, the next call sees."""
        return dict(self._store.variables)

    @property
    def outputs(self) -> dict[str, tf.TensorSpec]:
        """Name -> shape and type of every output of the signature."""
        return dict(self._described[0])

    @property
    def endpoints(self) -> dict[str, tf.TensorSpec]:
        """Name -> shape and type of every inner tensor that `layer=` takes, in the order in which they run."""
        return dict(self._described[1])

    def use(self, signature: str) -> Module:
        """Another signature on the same variables.

        Raises ValueError if there is none of this name.
        """
        if self._store.open is None:
            raise ValueError(
                f"{self.source} is a frozen graph: it has no signatures. Load it again with other outputs=."
            )
        return self._store.open(signature)

    # What tfxai.network and as_layer need

    @functools.cached_property
    def layers(self) -> list[tuple[str, Endpoint]]:
        """Every endpoint by its name."""
        graph, found = self._graph, []
        on_the_way = {node.name for node in moving(graph)}
        for name, tensor in endpoint_names(graph, self._own, self._store.names).items():
            node = graph.nodes[op_name(tensor)]
            lookup = node.op in _LOOKUPS and op_name(node.input[0]) not in on_the_way
            found.append((name, Endpoint(name, node.op, tensor, node.input[1] if lookup else None)))
        return found

    @functools.cached_property
    def read(self) -> list[Any]:
        """The variables whose values the signature reads."""
        return [self._store.by_key[key] for key in dict.fromkeys(self._graph.values.values())]

    @functools.cached_property
    def weighted(self) -> dict[str, tuple[list[str], list[Any]]]:
        """Path of a layer with weights -> its operations that take them, its variables; in the order of running."""
        names, by_key = self._store.names, self._store.by_key
        scopes = weighted_scopes(self._graph, names)
        return {
            scope: (operations, [by_key[key] for key in keys if key in names])
            for scope, (operations, keys) in scopes.items()
        }

    def feeder(self, operations: Sequence[str], made: Mapping[str, str]) -> str | None:
        """See tfxai.scopes.feeder."""
        return feeder(self._graph, operations, made)

    @property
    def in_loops(self) -> list[str]:
        """Names of the variables that the signature reads by their handles, inside loops and conditions."""
        names = self._store.names
        return [names[key] for key in self._graph.handles.values() if key in names]

    def endpoint(self, name: str) -> Endpoint:
        """An endpoint by its name, the end of its name, or the name of its tensor in the file.

        A second scope's number may be left out where one endpoint answers: `conv` for what a graph calls `conv_1`.

        Raises ValueError, with the nearest names, if there is none, or several end so.
        """
        name = name.removesuffix(":0")
        known = dict(self.layers)
        found = [known[name]] if name in known else [e for key, e in self.layers if key.endswith(f"/{name}")]
        found = (
            found
            or [e for e in known.values() if without_calls(op_name(e.tensor)) == without_calls(name)][:1]
        )
        found = found or [e for key, e in self.layers if without_numbers(key) == name]
        if not found:
            raise ValueError(f"{self.source} has no endpoint {name!r}.{_near(name, known)}")
        if len({endpoint.tensor for endpoint in found}) > 1:
            names = ", ".join(endpoint.name for endpoint in found)
            raise ValueError(
                f"There are {len(found)} endpoints that end in {name!r}: {names}. Give the whole name."
            )
        return found[0]

    @property
    def _explained(self) -> str:
        if self.output is None:
            raise ValueError(f"{self.source} has the outputs {', '.join(self.outputs)}. Choose one.")
        return self.output

    def until(self, name: str | None) -> Module:
        """The part of the graph that an endpoint (or the output) needs, as a module with this one output."""
        if name is None:
            name = self._explained
            tensor = self._graph.outputs[name]
        else:
            tensor = self.endpoint(name).tensor
        ends = {name: tensor}
        return Module(
            self.source,
            self.signature,
            self.signatures,
            self._graph.until(ends),
            self.inputs,
            {},
            self._store,
            self.how,
        )

    def laid_out(
        self,
        tensors: Mapping[str, Any],
        values: Mapping[int, Any] | None = None,
        replaced: Mapping[Endpoint, Any] | None = None,
        wanted: Sequence[Endpoint] = (),
    ) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
        """In a graph that is being traced: all outputs by name, and (what it is made of, itself) of wanted endpoints.

        values:   instead of a variable's value: {id of the variable: tensor}.
        replaced: what endpoints put out instead of their own.
        """
        graph, by_key = self._graph, self._store.by_key
        given: dict[str, Any] = {}
        for name, placeholder in graph.inputs.items():
            spec = self.inputs[name]
            tensor = tf.convert_to_tensor(tensors[name])
            # A tensor from outside of a loop is captured by operations alone, not by an import.
            given[f"{placeholder}:0"] = tf.cast(tf.identity(tensor), spec.dtype)
        found: dict[Any, Any] = {}  # each variable is read once
        for placeholder, key in graph.values.items():
            if key not in found:
                variable = by_key[key]
                known = (values or {}).get(id(variable))
                found[key] = variable.read_value() if known is None else known
            given[f"{placeholder}:0"] = found[key]
        for placeholder, key in graph.handles.items():
            given[f"{placeholder}:0"] = tf.identity(getattr(by_key[key], "handle", by_key[key]))
        given |= {endpoint.tensor: tensor for endpoint, tensor in (replaced or {}).items()}
        inner = [
            endpoint.ids or f"{self._graph.nodes[op_name(endpoint.tensor)].input[0]}" for endpoint in wanted
        ]
        names = [*graph.outputs.values(), *inner, *(endpoint.tensor for endpoint in wanted)]
        distinct = {name: i for i, name in enumerate(dict.fromkeys(map(full, names)))}
        # Under a name of its own: a name scope that is open would be added to every operation otherwise.
        tensors_found = tf.graph_util.import_graph_def(
            fresh(graph.graph), input_map=given, return_elements=list(distinct), name="module"
        )
        # What has been put in place of a tensor is what it is from there on.
        at = {name: given.get(name, tensors_found[i]) for name, i in distinct.items()}
        outputs = {name: at[full(tensor)] for name, tensor in graph.outputs.items()}
        return outputs, [
            (at[full(i)], at[endpoint.tensor]) for i, endpoint in zip(inner, wanted, strict=True)
        ]

    @functools.cached_property
    def _described(self) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
        endpoints = [endpoint for _, endpoint in self.layers]

        def trace(tensors: Any) -> Any:
            outputs, inner = self.laid_out(tensors, wanted=endpoints)
            found.extend(
                _specs(each)
                for each in (
                    outputs,
                    dict(zip((e.name for e in endpoints), [t for _, t in inner], strict=True)),
                )
            )
            return outputs

        found: list[dict[str, tf.TensorSpec]] = []
        tf.function(trace, autograph=False).get_concrete_function(
            {name: tf.TensorSpec(_any_batch(spec.shape), spec.dtype) for name, spec in self.inputs.items()}
        )
        outputs, inner = found
        return outputs, {name: spec for name, spec in inner.items() if is_endpoint(spec)}

    def named_inputs(self, batch: Any) -> dict[str, Any]:
        """A batch as tensors by name. Raises ValueError if it is not what the module takes."""
        given: dict[str, Any]
        if isinstance(batch, Mapping):
            given = dict(batch)
        elif len(self.inputs) == 1:
            given = dict.fromkeys(self.inputs, batch)
        else:
            raise ValueError(
                f"{self.source} takes {len(self.inputs)} inputs. Give a dict with the keys {list(self.inputs)}."
            )
        if set(given) != set(self.inputs):
            raise ValueError(
                f"The inputs have the keys {list(given)}, {self.source} takes {list(self.inputs)}. Give just those."
            )
        tensors = {}
        for name, spec in self.inputs.items():
            try:
                tensors[name] = tensor = tf.convert_to_tensor(given[name])
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{name} is a {type(given[name]).__name__}. Give an array {_shape(spec)}."
                ) from error
            if not _any_batch(spec.shape).is_compatible_with(_any_batch(tensor.shape)):
                raise ValueError(
                    f"{name} has shape {tuple(tensor.shape)}, {self.source} takes {_shape(spec)}."
                )
        return tensors


@dataclasses.dataclass
class Store:
    """What the signatures of one module share.

    variables: by name. by_key: everything a graph can stand on: variables and tables.
    open:      makes the module of another signature; None if there are none.
    alive:     what must not be forgotten while a signature can be called.
    """

    variables: dict[str, Any] = dataclasses.field(default_factory=dict)
    by_key: dict[Any, Any] = dataclasses.field(default_factory=dict)
    open: Callable[[str], Module] | None = None
    alive: Any = None

    @property
    def names(self) -> dict[Any, str]:
        """Key of a variable -> its name."""
        by_id = {id(variable): name for name, variable in self.variables.items()}
        return {key: by_id[id(held)] for key, held in self.by_key.items() if id(held) in by_id}


def load(
    source: str | Path,
    *,
    signature: str | None = None,
    tags: Sequence[str] | str | None = None,
    inputs: str | Sequence[str] | None = None,
    outputs: str | Sequence[str] | None = None,
) -> Module:
    """Loads a TF-Hub handle, a SavedModel or TF1-format module folder, or a frozen graph (.pb).

    source:    a folder, a `.pb` file, or a handle (https://...) that tensorflow-hub resolves.
    signature: unless given, the only one, else `serving_default`, `image_classification` or `default`.
    tags:      of the variant to load, where there are several; unless given, the one for inference.
    inputs:    tensor names, with or without `:0`, where a frozen graph has several placeholders, or to start inside.
    outputs:   tensor names, where several tensors of a frozen graph are read by nothing, or to end inside.

    A frozen graph names its inner tensors by their operations, numbers included: where Keras wrote `conv_1/Relu` for the
    layer `conv`, nothing in the file tells. `layer="conv"` finds it nevertheless, where it can mean no other.

    Raises ValueError if there is no such model, signature, variant or tensor; it lists those that there are.
    """
    if not isinstance(source, (str, Path)):
        raise ValueError(
            f"source is a {type(source).__name__}. Give the path of a folder or file, or a handle (https://...)."
        )
    for name, value in {"signature": signature, "tags": tags, "inputs": inputs, "outputs": outputs}.items():
        many = (
            name != "signature"
            and isinstance(value, (list, tuple))
            and all(isinstance(one, str) for one in value)
        )
        if not (value is None or isinstance(value, str) or many) or (many and not value and name != "tags"):
            raise ValueError(
                f"{name} is {value!r}. Give a name{'' if name == 'signature' else ' or a list of names'}."
            )
    how = {"source": str(source), "signature": signature, "tags": tags, "inputs": inputs, "outputs": outputs}
    path = _resolved(source)
    if not path.is_dir():
        if signature is not None or tags is not None:
            raise ValueError(
                f"{path} is a frozen graph, without signatures and tags. Give inputs= and outputs=, tensor names."
            )
        return _frozen(path, inputs, outputs, how)
    if inputs is not None or outputs is not None:
        raise ValueError(
            f"{path} is a SavedModel, which names its inputs and outputs. Choose with signature=."
        )
    return _saved(path, signature, tags, how)


def _resolved(source: str | Path) -> Path:
    path = Path(str(source).removeprefix("file://")).expanduser()
    if path.name == "saved_model.pb" and path.exists():
        return path.parent
    if path.is_file() and path.suffix.lower() in (".keras", ".h5", ".hdf5"):
        raise ValueError(
            f"{path} is a Keras file. Load it with keras.models.load_model: every method takes the model."
        )
    if path.exists():
        return path
    if "://" not in str(source):
        raise ValueError(
            f"There is no model {source}. Give a SavedModel or module folder, a frozen graph (.pb), or a handle (https://...)."
        )
    try:
        import tensorflow_hub  # only here: nothing else needs it
    except ImportError as error:
        raise ValueError(
            f"{source} is a handle, for which tensorflow-hub is needed: {error}. With setuptools 82 or later it does not load: pip install 'setuptools<82'."
        ) from error
    try:
        return Path(tensorflow_hub.resolve(str(source)))
    except Exception as error:
        raise ValueError(f"tensorflow-hub cannot get {source}: {_line(error)}") from error


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
        if not isinstance(module, Module):
            raise ValueError(f"as_layer got a {type(module).__name__}. Give a module: tfxai.hub.load(path).")
        if endpoint is None and module.output is None:
            raise ValueError(
                f"{module.source} has the outputs {', '.join(module.outputs)}. Say which with endpoint=."
            )
        self._endpoint = endpoint
        self._module = module.until(endpoint)
        if self._module.in_loops:
            raise ValueError(
                f"{module.source} reads {self._module.in_loops[0]} inside a loop or condition, whose weights a layer "
                "cannot hold. Call the module itself, or an endpoint before the loop."
            )
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

    def call(self, inputs: Any) -> Any:
        # As a compiled call: operations that are merely laid out would be unknown to a GradientTape.
        return self._compiled(self._module.named_inputs(inputs), self._values())

    def _values(self) -> list[Any]:
        return [tf.convert_to_tensor(copy.value) for copy in self._copies]

    def _answer(self, given: Any, values: Sequence[Any]) -> Any:
        return next(iter(self._module.laid_out(given, self._by_variable(values))[0].values()))

    def _by_variable(self, values: Sequence[Any]) -> dict[int, Any]:
        return {id(variable): value for variable, value in zip(self._module.read, values, strict=True)}

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        (spec,) = self._module.outputs.values()
        return (None, *spec.shape[1:])

    @property
    def inner(self) -> list[tuple[str, Endpoint]]:
        """The inner tensors that can be named, as of a module."""
        return self._module.layers

    def laid_out(self, inputs: Any, replaced: Mapping[Endpoint, Any]) -> tuple[Any, list[tuple[Any, Any]]]:
        """In a graph that is being traced: what `call` gives, and all inner tensors (see Module.laid_out)."""
        values = self._by_variable(self._values())
        wanted = [endpoint for _, endpoint in self.inner]
        given = self._module.named_inputs(inputs)
        outputs, found = self._module.laid_out(given, values, replaced, wanted)
        return next(iter(outputs.values())), found

    def get_config(self) -> dict[str, Any]:
        own = {"module": self._module.how, "endpoint": self._endpoint, "trainable": self.trainable}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ModuleLayer:
        config = dict(config)
        return cls(load(**config.pop("module")), **config)


# SavedModels


def _saved(
    path: Path, signature: str | None, tags: Sequence[str] | str | None, how: Mapping[str, Any]
) -> Module:
    chosen = _tags(path, tags)
    try:
        loaded: Any = tf.saved_model.load(str(path), tags=chosen)
    except Exception as error:
        raise ValueError(f"{path} does not load as a SavedModel: {_line(error)}") from error
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(f"{path} has no signature to call. Export it with model.export(folder).")
    store = Store(alive=loaded)
    known = {
        id(v): v
        for f in functions.values()
        for v in (*getattr(f.graph, "variables", ()), *getattr(loaded, "variables", ()))
    }
    for variable in known.values():
        store.variables[_free(_plain(variable.name), store.variables)] = variable
        store.by_key[id(variable)] = variable

    def opened(name: str) -> Module:
        if name not in functions:
            raise ValueError(f"{path} has no signature {name!r}.{_near(name, functions)}")
        return _signature(path, name, functions, store, {**how, "signature": name})

    store.open = opened
    return opened(_chosen(path, signature, functions))


def _tags(path: Path, tags: Sequence[str] | str | None) -> list[str]:
    file = path / "saved_model.pb"
    if not file.exists():
        raise ValueError(f"{path} is no SavedModel: it has no saved_model.pb.")
    try:
        found = [
            sorted(meta.meta_info_def.tags)
            for meta in saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
        ]
    except Exception as error:
        raise ValueError(f"{path} does not load as a SavedModel: {_line(error)}") from error
    if tags is not None:
        wanted = sorted([tags] if isinstance(tags, str) else tags)
        if wanted not in found:
            raise ValueError(f"{path} has no variant with tags {wanted}. It has: {found}.")
        return wanted
    for inference in ([], ["serve"]):
        if inference in found:
            return inference
    if len(found) == 1:
        return found[0]
    raise ValueError(f"{path} has variants with the tags {found}. Choose one with tags=.")


def _chosen(path: Path, signature: str | None, functions: Mapping[str, Any]) -> str:
    if signature is not None:
        return signature
    if len(functions) == 1:
        return next(iter(functions))
    for name in PREFERRED:
        if name in functions:
            return name
    raise ValueError(
        f"{path} has the signatures {', '.join(map(repr, functions))}. Choose one with signature=."
    )


def _signature(
    path: Path, name: str, functions: Mapping[str, Any], store: Store, how: Mapping[str, Any]
) -> Module:
    function = functions[name]
    specs: dict[str, tf.TensorSpec] = dict(sorted(function.structured_input_signature[1].items()))
    placeholders: dict[str, str] = {}
    outputs: dict[str, str] = {}

    def call(given: Mapping[str, Any]) -> Any:
        placeholders.update({key: tensor.op.name for key, tensor in given.items()})
        found = function(**given)
        outputs.update({key: found[key].name for key in sorted(found)})
        return found

    traced = tf.function(call, autograph=False).get_concrete_function(specs)
    graph = traced.graph.as_graph_def()
    captured = traced.captured_inputs
    handles = {id(v.handle): id(v) for v in store.by_key.values() if hasattr(v, "handle")}
    sources: dict[str, Any] = {}
    for outer, inner in zip(captured, traced.inputs[len(traced.inputs) - len(captured) :], strict=True):
        key = handles.get(id(outer), id(outer))
        store.by_key.setdefault(key, outer)
        sources[inner.op.name] = key
    laid = flat(graph, placeholders, outputs, sources | _with_references(path, function, store))
    return Module(str(path), name, list(functions), laid, specs, _own_names(laid, functions), store, how)


def _with_references(path: Path, function: Any, store: Store) -> dict[str, Any]:
    """Variables of TensorFlow 1's first kind, which live inside a graph: made anew from the module's checkpoint.

    Gives the operations that hold them: {name: key of the variable}.
    """
    checkpoint = str(path / "variables" / "variables")
    held = [node for node in function.graph.as_graph_def().node if node.op in REFERENCES]
    collections = function.graph.collections
    trained = (
        {v.op.name for v in function.graph.get_collection("trainable_variables")}
        if "trainable_variables" in collections
        else None
    )
    for node in held:
        if node.name not in store.variables:
            try:
                value = tf.train.load_variable(checkpoint, node.name)
            except Exception as error:
                raise ValueError(
                    f"The variable {node.name} has no value in {path}: {_line(error)}"
                ) from error
            store.variables[node.name] = tf.Variable(value, trainable=trained is None or node.name in trained)
            store.by_key[node.name] = store.variables[node.name]
    return {node.name: node.name for node in held}


def _own_names(laid: Flat, functions: Mapping[str, Any]) -> dict[str, str]:
    """The names that a module gives to inner tensors by making them outputs of a signature.

    Signatures of a TensorFlow 1 module are views of one graph, so an output of another may lie inside this one.
    """
    plain = {without_calls(name): name for name in laid.nodes}
    own = {}
    for function in functions.values():
        for name, tensor in function.structured_outputs.items():
            operation, _, number = tensor.name.partition(":")
            if number and operation in plain and name != DEFAULT:
                own[name] = f"{plain[operation]}:{number}"
    if len(laid.outputs) > 1:
        own |= {name: tensor for name, tensor in laid.outputs.items() if name != DEFAULT}
    return own


# Frozen graphs


def _frozen(
    path: Path,
    inputs: str | Sequence[str] | None,
    outputs: str | Sequence[str] | None,
    how: Mapping[str, Any],
) -> Module:
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except Exception as error:
        raise ValueError(f"{path} is no frozen graph: {_line(error)}") from error
    nodes = {node.name: node for node in graph.node}
    if not nodes:
        raise ValueError(
            f"{path} is no frozen graph: it holds no operations. A SavedModel is given by its folder."
        )
    held = [node.name for node in graph.node if node.op in ("VariableV2", "VarHandleOp", "Variable")]
    if held:
        raise ValueError(
            f"{path} is no frozen graph: its variables ({', '.join(held[:3])} ...) have no values in it. Freeze it, or load the SavedModel."
        )
    starts = _tensors(path, inputs, nodes, "inputs") or [
        f"{node.name}:0" for node in graph.node if node.op == "Placeholder"
    ]
    used = {op_name(tensor) for node in graph.node for tensor in node.input}
    ends = _tensors(path, outputs, nodes, "outputs") or [
        f"{node.name}:0"
        for node in graph.node
        if node.name not in used and node.op not in ("Placeholder", "NoOp", "Assert", "Const")
    ]
    if inputs is None and len(starts) != 1:
        raise ValueError(f"{path} has {len(starts)} placeholders: {_some(starts)}. Say which with inputs=.")
    if outputs is None and len(ends) != 1:
        raise ValueError(
            f"{path} has {len(ends)} tensors that nothing reads: {_some(ends)}. Say which with outputs=."
        )
    with tf.Graph().as_default() as whole:
        tf.graph_util.import_graph_def(graph, name="")
        specs = {op_name(name): tf.TensorSpec.from_tensor(whole.get_tensor_by_name(name)) for name in starts}
    for name in starts:  # a tensor to start at becomes a placeholder
        node = nodes[op_name(name)]
        if node.op != "Placeholder":
            node.op = "Placeholder"
            del node.input[:]
            node.attr.clear()
            node.attr["dtype"].type = specs[op_name(name)].dtype.as_datatype_enum
    named = {op_name(tensor): tensor for tensor in ends}
    laid = flat(graph, {name: name for name in specs}, named, {})
    return Module(str(path), None, (), laid, specs, {}, Store(), how)


def _tensors(path: Path, names: str | Sequence[str] | None, nodes: Mapping[str, Any], what: str) -> list[str]:
    found = []
    for name in [names] if isinstance(names, str) else names or []:
        if op_name(name) not in nodes:
            raise ValueError(f"{path} has no tensor {name!r} for {what}=.{_near(op_name(name), nodes)}")
        number = full(name).rpartition(":")[2]
        if not number.isdigit():
            raise ValueError(
                f"{path} has no tensor {name!r} for {what}=. Give a name such as {op_name(name)}:0."
            )
        found.append(full(name))
    return found


# Small


def is_endpoint(tensor: Any) -> bool:
    """Whether a person would name it: numbers with one entry per example."""
    return tensor.dtype.is_floating and (
        tensor.shape.rank is None or (tensor.shape.rank > 0 and tensor.shape[0] is None)
    )


def _plain(name: str) -> str:
    return name.split(":")[0]


def _free(name: str, taken: Iterable[str]) -> str:
    number, found = 1, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _any_batch(shape: tf.TensorShape) -> tf.TensorShape:
    return tf.TensorShape([None, *shape[1:]]) if shape.rank else shape


def _specs(tensors: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in tensors.items()}


def _shape(spec: tf.TensorSpec) -> str:
    if spec.shape.rank is None:
        return "(any)"
    return "(" + ", ".join("N" if i == 0 else str(n or "any") for i, n in enumerate(spec.shape)) + ")"


def _near(name: str, there: Iterable[str]) -> str:
    names = list(there)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return (f" Nearest: {', '.join(near)}." if near else "") + f" It has: {_some(names)}."


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")[:300] + "."
