"""A model from a file: its signature laid out flat, with inner tensors and variables by name."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from tfxai.graphs import fresh, full, op_name, without_calls
from tfxai.hub.flat_graph import Flat
from tfxai.hub.graph_text import constants_of, structure_of
from tfxai.hub.layer_names import endpoint_names, feeder, moving, weighted_scopes, without_numbers
from tfxai.hub.messages import nearest_names, shape_text
from tfxai.support import Inputs, Structure, Tensor, Variable

DEFAULT = "default"  # the output that a module of many names as its answer
_LOOKUPS = ("GatherV2", "Gather")


@dataclasses.dataclass(frozen=True, eq=False)
class Endpoint:
    """An inner tensor by its name, in the place of a Keras layer.

    kind:   type of the operation that makes it.
    tensor: its name in the flat graph.
    ids:    for a lookup in a table of weights, the tensor of numbers that are looked up.
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
        self._functions: dict[Hashable, Callable[..., Any]] = {}  # compiled, by the shapes that they take

    def __call__(self, batch: Inputs) -> Structure:
        """The output (N, ...); a dict of all outputs where there are several and none is named `default`.

        batch: (N, ...), or a dict of arrays for a signature with several inputs.

        Raises ValueError if the batch does not fit the inputs of the signature.
        """
        given = self.named_inputs(batch)
        shapes = tuple((tuple(tensor.shape[1:]), tensor.dtype) for tensor in given.values())
        if shapes not in self._functions:
            specs = {name: tf.TensorSpec(self._batched(t.shape), t.dtype) for name, t in given.items()}
            run = tf.function(lambda tensors: self.laid_out(tensors)[0], autograph=False)
            self._functions[shapes] = run.get_concrete_function(specs)
        outputs = self._functions[shapes](given)
        return outputs if self.output is None else outputs[self.output]

    def __repr__(self) -> str:
        signature = "" if self.signature is None else f", signature {self.signature!r}"
        inputs, outputs = _listed(self.inputs), _listed(self.outputs)
        if self.output is not None and len(self.outputs) > 1:
            outputs = f"{_listed({self.output: self.outputs[self.output]})} and {len(self.outputs) - 1} more"
        return f"<tfxai.hub.Module {self.source}{signature}: {inputs} -> {outputs}>"

    @property
    def batch(self) -> int | None:
        """How many examples it takes at once, where it was saved for one number of them; None: any."""
        named = [spec.shape for spec in self.inputs.values()] + [state.shape for state in self.states]
        return next((shape[0] for shape in named if shape.rank and shape[0] is not None), None)

    @property
    def states(self) -> list[Variable]:
        """What recurrent layers keep from batch to batch, (examples, units ...) each."""
        held = [self._store.by_key[key] for key in self._graph.written if key in self._store.by_key]
        return [v for v in held if len(v.shape) > 1 and v.dtype.is_floating]

    @property
    def variables(self) -> dict[str, Variable]:
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

    @property
    def outside(self) -> tuple[str, ...]:
        """Operations by which the file does more than compute: `WriteFile in serving_fn (writes files)`; mostly none."""
        return self._store.outside

    def use(self, signature: str) -> Module:
        """Another signature on the same variables.

        Raises ValueError if there is no signature of this name.
        """
        if self._store.open is None:
            raise ValueError(
                f"{self.source} is a frozen graph: it has no signatures. Load it again with other outputs=."
            )
        return self._store.open(signature)

    # What tfxai.model and as_layer need

    @functools.cached_property
    def layers(self) -> list[tuple[str, Endpoint]]:
        """Every endpoint with its name, in the order in which they run."""
        graph, endpoints = self._graph, []
        on_the_way = {node.name for node in moving(graph)}
        for name, tensor in endpoint_names(graph, self._own, self._store.names).items():
            node = graph.nodes[op_name(tensor)]
            lookup = node.op in _LOOKUPS and op_name(node.input[0]) not in on_the_way
            endpoints.append((name, Endpoint(name, node.op, tensor, node.input[1] if lookup else None)))
        return endpoints

    @functools.cached_property
    def read(self) -> list[Variable]:
        """The variables whose values the signature reads."""
        return [self._store.by_key[key] for key in dict.fromkeys(self._graph.values.values())]

    @functools.cached_property
    def weighted(self) -> dict[str, tuple[list[str], list[Variable]]]:
        """Path of a layer with weights -> its operations that take them, its variables; in the order of running."""
        names, by_key = self._store.names, self._store.by_key
        scopes = weighted_scopes(self._graph, names)
        return {
            scope: (operations, [by_key[key] for key in keys if key in names])
            for scope, (operations, keys) in scopes.items()
        }

    @functools.cached_property
    def constants(self) -> dict[str, NDArray]:
        """Name of an operation -> weights that are written into the graph, as a frozen one has them."""
        return constants_of(self._graph.graph)

    @functools.cached_property
    def structure(self) -> str:
        """All operations as a text, the same in every process, without the weights that `constants` gives."""
        return structure_of(self._graph.graph, self._graph.outputs, self.constants)

    def feeder(self, operations: Sequence[str], made: Mapping[str, str]) -> str | None:
        """Which known operation runs last before these; see tfxai.hub.layer_names.

        made: operation -> what it is known as.
        """
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
        named = [known[name]] if name in known else self._named_by_its_end(name)
        if not named:
            raise ValueError(f"{self.source} has no endpoint {name!r}.{nearest_names(name, known)}")
        if len({endpoint.tensor for endpoint in named}) > 1:
            names = ", ".join(endpoint.name for endpoint in named)
            raise ValueError(
                f"There are {len(named)} endpoints that end in {name!r}: {names}. Give the whole name."
            )
        return named[0]

    def _named_by_its_end(self, name: str) -> list[Endpoint]:
        """Endpoints that may be meant: by the end of their name, by their tensor, or without numbers of scopes."""
        plain = without_calls(name)
        return (
            [endpoint for path, endpoint in self.layers if path.endswith(f"/{name}")]
            or [end for _, end in self.layers if without_calls(op_name(end.tensor)) == plain][:1]
            or [endpoint for path, endpoint in self.layers if without_numbers(path) == name]
        )

    def until(self, name: str | None) -> Module:
        """The part of the graph that an endpoint (or the output) needs, as a module with this one output.

        Raises ValueError if there is no such endpoint, or no output to choose.
        """
        if name is None and self.output is None:
            raise ValueError(f"{self.source} has the outputs {', '.join(self.outputs)}. Choose one.")
        tensor = self._graph.outputs[str(self.output)] if name is None else self.endpoint(name).tensor
        graph = self._graph.until({str(name or self.output): tensor})
        return Module(
            self.source, self.signature, self.signatures, graph, self.inputs, {}, self._store, self.how
        )

    def laid_out(
        self,
        tensors: Mapping[str, Tensor],
        values: Mapping[int, Tensor] | None = None,
        replaced: Mapping[Endpoint, Tensor] | None = None,
        wanted: Sequence[Endpoint] = (),
    ) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
        """In a graph that is being traced: all outputs by name, and (what it is made of, itself) of wanted endpoints.

        values:   instead of a variable's value: {id of the variable: tensor}.
        replaced: what endpoints put out instead of their own.
        """
        graph = self._graph
        given = self._inputs_of_graph(tensors) | self._weights_of_graph(values or {})
        given |= {endpoint.tensor: tensor for endpoint, tensor in (replaced or {}).items()}
        inner = [end.ids or graph.nodes[op_name(end.tensor)].input[0] for end in wanted]
        names = [*graph.outputs.values(), *inner, *(endpoint.tensor for endpoint in wanted)]
        distinct = list(dict.fromkeys(map(full, names)))
        # Under a name of its own: a name scope that is open would be added to every operation otherwise.
        imported = tf.graph_util.import_graph_def(
            fresh(graph.graph), input_map=given, return_elements=distinct, name="module"
        )
        # What has been put in place of a tensor is what it is from there on.
        at = dict(zip(distinct, imported, strict=True))
        at |= {name: tensor for name, tensor in given.items() if name in at}
        outputs = {name: at[full(tensor)] for name, tensor in graph.outputs.items()}
        return outputs, [(at[full(i)], at[end.tensor]) for i, end in zip(inner, wanted, strict=True)]

    def _inputs_of_graph(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Placeholder's tensor -> the tensor of an input."""
        given = {}
        for name, placeholder in self._graph.inputs.items():
            # A tensor from outside of a loop is captured by operations alone, not by an import.
            tensor = tf.identity(tf.convert_to_tensor(tensors[name]))
            given[f"{placeholder}:0"] = tf.cast(tensor, self.inputs[name].dtype)
        return given

    def _weights_of_graph(self, values: Mapping[int, Tensor]) -> dict[str, Tensor]:
        """Placeholder's tensor -> the value of a variable, or its handle."""
        by_key = self._store.by_key
        read: dict[Hashable, Tensor] = {}  # each variable is read once
        for key in self._graph.values.values():
            if key not in read:
                value = values.get(id(by_key[key]))
                read[key] = by_key[key].read_value() if value is None else value
        given = {f"{placeholder}:0": read[key] for placeholder, key in self._graph.values.items()}
        for placeholder, key in self._graph.handles.items():
            given[f"{placeholder}:0"] = tf.identity(getattr(by_key[key], "handle", by_key[key]))
        return given

    @functools.cached_property
    def _described(self) -> tuple[dict[str, tf.TensorSpec], dict[str, tf.TensorSpec]]:
        """What is known of outputs and of endpoints once the graph is traced."""
        endpoints = [endpoint for _, endpoint in self.layers]
        traced: list[dict[str, tf.TensorSpec]] = []

        def trace(tensors: Mapping[str, Tensor]) -> Structure:
            outputs, inner = self.laid_out(tensors, wanted=endpoints)
            ends = {end.name: tensor for end, (_, tensor) in zip(endpoints, inner, strict=True)}
            traced.extend([_specs(outputs), _specs(ends)])
            return outputs

        specs = {
            name: tf.TensorSpec(self._batched(spec.shape), spec.dtype) for name, spec in self.inputs.items()
        }
        tf.function(trace, autograph=False).get_concrete_function(specs)
        outputs, ends = traced
        return outputs, {name: spec for name, spec in ends.items() if is_endpoint(spec, self.batch)}

    def _batched(self, shape: tf.TensorShape) -> tf.TensorShape:
        """A shape with as many examples as the module takes."""
        return tf.TensorShape([self.batch, *shape[1:]]) if shape.rank else shape

    def named_inputs(self, batch: Inputs) -> dict[str, Tensor]:
        """A batch as tensors by name.

        Raises ValueError if it is not what the module takes.
        """
        given = self._by_name(batch)
        tensors = {}
        for name, spec in self.inputs.items():
            try:
                tensors[name] = tensor = tf.convert_to_tensor(given[name])
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{name} is a {type(given[name]).__name__}. Give an array {shape_text(spec)}."
                ) from error
            if not self._batched(spec.shape).is_compatible_with(tensor.shape):
                raise ValueError(
                    f"{name} has shape {tuple(tensor.shape)}, {self.source} takes {shape_text(spec)}"
                    + ("." if self.batch is None else f", {self.batch} at a time.")
                )
        return tensors

    def _by_name(self, batch: Inputs) -> dict[str, Any]:
        if not isinstance(batch, Mapping):
            if len(self.inputs) != 1:
                raise ValueError(
                    f"{self.source} takes {len(self.inputs)} inputs. Give a dict with the keys {list(self.inputs)}."
                )
            return dict.fromkeys(self.inputs, batch)
        if set(batch) != set(self.inputs):
            raise ValueError(
                f"The inputs have the keys {list(batch)}, {self.source} takes {list(self.inputs)}. Give just those."
            )
        return dict(batch)


@dataclasses.dataclass
class Store:
    """What the signatures of one module share.

    variables: by name.
    by_key:    everything that a graph can stand on: variables and tables.
    open:      makes the module of another signature; None if there are no signatures.
    alive:     what must not be forgotten while a signature can be called.
    gradients: names of those that the file keeps for its functions, as TensorFlow has registered them.
    outside:   what the file does beside computing, see `tfxai.hub.outside`.
    """

    variables: dict[str, Variable] = dataclasses.field(default_factory=dict)
    by_key: dict[Hashable, Any] = dataclasses.field(default_factory=dict)
    open: Callable[[str], Module] | None = None
    alive: Any = None
    gradients: frozenset[str] = frozenset()
    outside: tuple[str, ...] = ()

    @property
    def names(self) -> dict[Hashable, str]:
        """Key of a variable -> its name."""
        by_id = {id(variable): name for name, variable in self.variables.items()}
        return {key: by_id[id(held)] for key, held in self.by_key.items() if id(held) in by_id}


def is_endpoint(tensor: Tensor | tf.TensorSpec, batch: int | None = None) -> bool:
    """Whether a person would name it: numbers with one entry per example. batch: how many there are, where it is fixed."""
    return tensor.dtype.is_floating and (
        tensor.shape.rank is None or (tensor.shape.rank > 0 and tensor.shape[0] in (None, batch))
    )


def _specs(tensors: Mapping[str, Tensor]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in tensors.items()}


def _listed(specs: Mapping[str, tf.TensorSpec]) -> str:
    return ", ".join(f"{name} {shape_text(spec)}" for name, spec in specs.items())
