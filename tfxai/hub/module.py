"""A model from a file: its signature laid out flat, with inner tensors and variables by name."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfxai.hub.flat_graph import Flat, fresh, full, op_name, without_calls
from tfxai.hub.layer_names import endpoint_names, feeder, moving, weighted_scopes, without_numbers

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
        outputs = ", ".join(f"{name} {shape_text(spec)}" for name, spec in self.outputs.items())
        if self.output is not None and len(self.outputs) > 1:
            outputs = (
                f"{self.output} {shape_text(self.outputs[self.output])} and {len(self.outputs) - 1} more"
            )
        inputs = ", ".join(f"{name} {shape_text(spec)}" for name, spec in self.inputs.items())
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
            raise ValueError(f"{self.source} has no endpoint {name!r}.{nearest_names(name, known)}")
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
                    f"{name} is a {type(given[name]).__name__}. Give an array {shape_text(spec)}."
                ) from error
            if not _any_batch(spec.shape).is_compatible_with(_any_batch(tensor.shape)):
                raise ValueError(
                    f"{name} has shape {tuple(tensor.shape)}, {self.source} takes {shape_text(spec)}."
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


def is_endpoint(tensor: Any) -> bool:
    """Whether a person would name it: numbers with one entry per example."""
    return tensor.dtype.is_floating and (
        tensor.shape.rank is None or (tensor.shape.rank > 0 and tensor.shape[0] is None)
    )


def _any_batch(shape: tf.TensorShape) -> tf.TensorShape:
    return tf.TensorShape([None, *shape[1:]]) if shape.rank else shape


def _specs(tensors: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {name: tf.TensorSpec(tensor.shape, tensor.dtype, name) for name, tensor in tensors.items()}


def shape_text(spec: tf.TensorSpec) -> str:
    if spec.shape.rank is None:
        return "(any)"
    return "(" + ", ".join("N" if i == 0 else str(n or "any") for i, n in enumerate(spec.shape)) + ")"


def nearest_names(name: str, there: Iterable[str]) -> str:
    names = list(there)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return (f" Nearest: {', '.join(near)}." if near else "") + f" It has: {some_of(names)}."


def some_of(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")[:300] + "."
