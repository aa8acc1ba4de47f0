"""Graphs as data: one flat list of operations, whatever functions, variables and names it was saved with.

TensorFlow keeps the inside of a saved function out of sight. Laid out flat, every inner tensor can be named, every
variable's value replaced, and every backward rule reaches its operation.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import function_def_to_graph

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_HINTS = ("_class", "_output_shapes")  # colocation with nodes that may go, shapes of batches that may differ
REFERENCES = ("VariableV2", "Variable")  # variables that are operations of their graph
_PASSING = ("Identity", "Enter")
_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "NoOp", "Assert")  # what no number of the inputs comes through
# What reads a variable through its handle, and the operation that does the same to its value.
_READS = {"ResourceGather": "GatherV2", "ResourceGatherNd": "GatherNd", "VariableShape": "Shape"}


@dataclasses.dataclass(frozen=True)
class Flat:
    """A graph without calls, from named inputs to named tensors.

    graph:   its operations, in an order in which they can run.
    inputs:  name -> placeholder (name of the operation).
    outputs: name -> tensor ("operation:0").
    values:  placeholder -> key of the variable whose value it stands for.
    handles: placeholder -> key of the variable or table whose handle it stands for, where no value will do.
    """

    graph: tf.compat.v1.GraphDef
    inputs: dict[str, str]
    outputs: dict[str, str]
    values: dict[str, Any]
    handles: dict[str, Any]

    @functools.cached_property
    def nodes(self) -> dict[str, Any]:
        return {node.name: node for node in self.graph.node}

    def until(self, outputs: Mapping[str, str]) -> Flat:
        """The part that these tensors need."""
        kept = _behind([*outputs.values(), *self.inputs.values()], self.nodes)
        graph = tf.compat.v1.GraphDef(versions=self.graph.versions, library=self.graph.library)
        graph.node.extend(kept.values())
        values = {name: key for name, key in self.values.items() if name in kept}
        handles = {name: key for name, key in self.handles.items() if name in kept}
        return Flat(graph, self.inputs, dict(outputs), values, handles)


def flat(
    graph: Any,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    sources: Mapping[str, Any],
) -> Flat:
    """Lays a graph out flat, and takes variables out of it.

    inputs:  name -> placeholder. outputs: name -> tensor.
    sources: operation that holds a variable or its handle -> key of the variable; inside functions, without the calls.
    """
    nodes, names = _laid_out(graph)
    held = {name: without_calls(name) for name, node in nodes.items() if node.op in REFERENCES}
    sources = {**sources, **{name: sources[plain] for name, plain in held.items() if plain in sources}}
    outputs = {name: names.get(full(tensor), full(tensor)) for name, tensor in outputs.items()}
    kept = _behind([*outputs.values(), *inputs.values()], nodes)
    conditional = any(node.op == "Switch" for node in kept.values())
    values: dict[str, Any] = {}
    handles: dict[str, Any] = {}
    renamed: dict[str, str] = {}  # tensor -> the placeholder of a variable's value
    made: dict[str, Any] = {}

    def value_of(source: str, like: Any) -> str:
        name = f"{source}/value"
        if name not in made:
            made[name] = like
            values[name] = sources[source]
        return name

    for node in kept.values():
        node.device = ""
        for hint in _HINTS:
            node.attr.pop(hint, None)
        _differentiate_as_it_is(node)
        if (
            not conditional
        ):  # what must have run before: updates of statistics and checks, which are not wanted here
            del node.input[_data_inputs(node) :]
        source = _source(node.input[0], kept, sources) if node.input else None
        if node.op in REFERENCES and node.name in sources:
            renamed[f"{node.name}:0"] = value_of(node.name, node.attr["dtype"])
        elif node.op == "ReadVariableOp" and source is not None:
            renamed[f"{node.name}:0"] = value_of(source, node.attr["dtype"])
        elif node.op in _READS and source is not None:
            dtype = node.attr["dtype"] if "dtype" in node.attr else tf.compat.v1.AttrValue(type=1)
            node.input[0] = value_of(source, dtype) + ":0"
            _read_by_value(node, made)
    for node in kept.values():
        for i, name in enumerate(node.input):
            if not name.startswith("^") and full(name) in renamed:
                node.input[i] = renamed[full(name)]
    outputs = {name: full(renamed.get(tensor, tensor)) for name, tensor in outputs.items()}
    for name, content in made.items():
        kept[name] = _placeholder(name, content) if name in values else content
    kept = _behind([*outputs.values(), *inputs.values()], kept)
    for name in kept:
        if name in sources:
            handles[name] = sources[name]
            kept[name] = _placeholder(name, tf.compat.v1.AttrValue(type=tf.resource.as_datatype_enum))
    found = tf.compat.v1.GraphDef(versions=graph.versions)
    found.node.extend(kept[name] for name in _order(kept))
    _carry_library(graph, found)
    return Flat(found, dict(inputs), outputs, {n: k for n, k in values.items() if n in kept}, handles)


def _differentiate_as_it_is(node: Any) -> None:
    """Without the gradient that its maker registered, of which a file keeps but the name.

    The wrapper of such a function (silu ...) hands on the result and the argument: going back by the first is exact.
    """
    if node.op == "IdentityN" and "_gradient_op_type" in node.attr:
        node.attr["_gradient_op_type"].s = _HANDED_ON.encode()
    else:
        node.attr.pop("_gradient_op_type", None)


_HANDED_ON = "tfxai.handed_on"
tf.RegisterGradient(_HANDED_ON)(lambda op, *incoming: list(incoming))


def full(tensor: str) -> str:
    return tensor if ":" in tensor else f"{tensor}:0"


def op_name(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]


def _data_inputs(node: Any) -> int:
    return next((i for i, name in enumerate(node.input) if name.startswith("^")), len(node.input))


def _behind(tensors: Iterable[str], nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes that the tensors are computed from."""
    found: dict[str, Any] = {}
    waiting = [op_name(tensor) for tensor in tensors]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = nodes[name]
            waiting += [op_name(tensor) for tensor in nodes[name].input]
    return {name: node for name, node in nodes.items() if name in found}


def _source(tensor: str, nodes: Mapping[str, Any], sources: Mapping[str, Any]) -> str | None:
    """The operation that holds the variable whose handle this is."""
    name = op_name(tensor)
    while name not in sources and nodes[name].op in _PASSING:
        name = op_name(nodes[name].input[0])
    return name if name in sources else None


def _placeholder(name: str, dtype: Any) -> Any:
    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].CopyFrom(dtype)
    return node


def _read_by_value(node: Any, made: dict[str, Any]) -> None:
    """Turns an operation on a variable's handle into the same operation on its value."""
    attributes = {
        name: tf.compat.v1.AttrValue.FromString(a.SerializeToString()) for name, a in node.attr.items()
    }
    node.attr.clear()
    if node.op == "VariableShape":
        node.attr["T"].type = tf.float32.as_datatype_enum
        node.attr["out_type"].CopyFrom(attributes["out_type"])
    else:
        node.attr["Tparams"].CopyFrom(attributes["dtype"])
        node.attr["Tindices"].CopyFrom(attributes["Tindices"])
    if node.op == "ResourceGather":
        batch = attributes["batch_dims"].i if "batch_dims" in attributes else 0
        axis = tf.compat.v1.NodeDef(name=f"{node.name}/axis", op="Const")
        axis.attr["dtype"].type = tf.int32.as_datatype_enum
        axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(batch, tf.int32))
        made[axis.name] = axis
        node.input.append(axis.name)
        node.attr["batch_dims"].i = batch
        node.attr["Taxis"].type = tf.int32.as_datatype_enum
    node.op = _READS[node.op]


def _laid_out(graph: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """All nodes by name, called functions laid out in place of their calls; and tensors that have moved."""
    functions = {function.signature.name: function for function in graph.library.function}
    nodes: dict[str, Any] = {}
    moved: dict[str, str] = {}

    def add(found: Iterable[Any], prefix: str, arguments: Mapping[str, str]) -> None:
        for given in found:
            node = tf.compat.v1.NodeDef()
            node.CopyFrom(given)
            node.name = prefix + node.name
            for i, name in enumerate(node.input):
                if name.startswith("^"):
                    node.input[i] = f"^{op_name(arguments.get(name[1:], prefix + name[1:]))}"
                else:
                    node.input[i] = arguments.get(full(name), prefix + name)
            called = node.attr["f"].func.name if node.op in CALLS else node.op
            if called not in functions:
                nodes[node.name] = node
                continue
            function = functions[called]
            body, flat_names = function_def_to_graph.function_def_to_graph_def(function)
            data = node.input[: _data_inputs(node)]
            taken = {
                f"{arg.name}:0": name for arg, name in zip(function.signature.input_arg, data, strict=True)
            }
            inner = [one for one in body.node if f"{one.name}:0" not in taken]
            add(inner, f"{node.name}/", {**taken, **{key[:-2]: name for key, name in taken.items()}})
            for i, arg in enumerate(function.signature.output_arg):
                tensor = full(flat_names.get(function.ret[arg.name], function.ret[arg.name]))
                moved[f"{node.name}:{i}"] = taken.get(tensor, f"{node.name}/{tensor}")

    add(graph.node, "", {})

    def final(tensor: str) -> str:
        while tensor in moved:
            tensor = full(moved[tensor])
        return tensor

    for node in nodes.values():
        kept = []
        for name in node.input:
            if name.startswith("^"):
                kept += [name] if name[1:] in nodes else []
            else:
                kept.append(final(full(name)))
        del node.input[:]
        node.input.extend(kept)
    return nodes, {tensor: final(tensor) for tensor in moved}


def _order(nodes: Mapping[str, Any]) -> list[str]:
    """Names in an order in which they can run: by the longest way from the start, so what joins comes after its parts.

    Loops of TensorFlow 1 close over a NextIteration, which is not followed.
    """
    depth: dict[str, int] = {}
    for start in nodes:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            before = (
                [] if nodes[name].op == "NextIteration" else [op_name(tensor) for tensor in nodes[name].input]
            )
            missing = [other for other in before if other not in depth]
            if missing and name not in depth:
                waiting += missing
            else:
                waiting.pop()
                depth.setdefault(name, 1 + max((depth[other] for other in before), default=0))
    return sorted(nodes, key=depth.__getitem__)


def _carry_library(graph: Any, to: Any) -> None:
    """The functions that loops and conditions of the flat graph still call."""
    functions = {function.signature.name: function for function in graph.library.function}
    wanted = _called(to.node)
    while wanted:
        name = wanted.pop()
        if name in functions:
            function = functions.pop(name)
            to.library.function.append(function)
            wanted |= _called(function.node_def)


def _called(nodes: Iterable[Any]) -> set[str]:
    return {
        function.name
        for node in nodes
        for attribute in node.attr.values()
        for function in [attribute.func, *attribute.list.func]
        if function.name
    } | {node.op for node in nodes}


# Names


def without_calls(operation: str) -> str:
    """Its path without the calls around it."""
    return re.sub(r"(^|(?<=/))(Stateful)?PartitionedCall(_\d+)?/", "", operation)


def endpoint_names(found: Flat, own: Mapping[str, str], layers: Sequence[str] = ()) -> dict[str, str]:
    """Every inner tensor that a person would name: name -> tensor, in the order in which they run.

    own:    names that the model's maker gave to tensors; such a tensor goes by no other name.
    layers: paths of the variables, to tell the names of layers from the numbers that a second call adds to them.
    """
    given: dict[str, list[str]] = collections.defaultdict(list)
    for name, tensor in own.items():
        given[tensor].append(name)
    data = _data(found)
    paths = _short_paths(data, found, layers)
    last: dict[str, str] = {}  # scope -> the operation that ends it
    for operation, path in paths.items():
        parts = path.split("/")
        for i in range(1, len(parts)):
            last["/".join(parts[:i])] = operation
    names: dict[str, str] = {}
    for operation, path in paths.items():
        tensor = f"{operation}:0"
        if tensor in given:
            names |= dict.fromkeys(given[tensor], tensor)
            continue
        parts = path.split("/")
        scopes = ["/".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]
        ended = [scope for scope in scopes if last[scope] == operation and scope not in paths.values()]
        for name in (*ended[:1], path, *ended[1:]):  # a layer's name before its last operation's
            names.setdefault(name, tensor)
    return names


def weighted_scopes(found: Flat, layers: Sequence[str]) -> dict[str, tuple[list[str], list[Any]]]:
    """Scope of a layer with weights -> its operations that take weights, keys of the weights; in the order of running.

    layers: as for endpoint_names.
    """
    paths = _short_paths(_data(found), found, layers)
    carried: dict[str, list[Any]] = {n: [key] for n, key in (*found.values.items(), *found.handles.items())}
    moving, taken = set(found.inputs.values()), set()
    groups: dict[str, tuple[list[str], list[Any]]] = {}
    for node in found.graph.node:
        names = [op_name(tensor) for tensor in node.input]
        keys = [key for name in names for key in carried.get(name, ())]
        if node.op in _SHAPES:
            continue
        if not moving.intersection(names):
            if keys:
                carried.setdefault(node.name, list(dict.fromkeys(keys)))
            continue
        moving.add(node.name)
        new = [key for key in dict.fromkeys(keys) if key not in taken]
        if keys and node.name in paths:
            scope = paths[node.name].rpartition("/")[0] or paths[node.name]
            operations, held = groups.setdefault(scope, ([], []))
            operations.append(node.name)
            held.extend(new)
            taken.update(new)
    merged: dict[str, tuple[list[str], list[Any]]] = {}
    for scope, (
        operations,
        held,
    ) in groups.items():  # a layer's own operations may lie deeper: dense/Tensordot
        around = next((other for other in groups if scope.startswith(f"{other}/")), scope)
        into = merged.setdefault(around, ([], []))
        into[0].extend(operations)
        into[1].extend(held)
    return {scope: group for scope, group in merged.items() if group[1]}


def nearest(found: Flat, operations: Sequence[str], made: Mapping[str, str]) -> str | None:
    """What is known of the operation, of those that come right before these, that runs last."""
    hits, seen = [], set()
    waiting = [op_name(tensor) for name in operations for tensor in found.nodes[name].input]
    while waiting:
        name = waiting.pop()
        if name in seen or name in operations:
            continue
        seen.add(name)
        if name in made:
            hits.append(name)
        else:
            waiting += [op_name(tensor) for tensor in found.nodes[name].input]
    order = list(found.nodes)
    return made[max(hits, key=order.index)] if hits else None


def _data(found: Flat) -> list[str]:
    """Operations on the way from the inputs that put out numbers and do more than hand them on."""
    moving = set(found.inputs.values())
    kept = []
    for node in found.graph.node:
        if node.name in moving or not any(op_name(tensor) in moving for tensor in node.input):
            continue
        if node.op in _SHAPES:
            continue
        moving.add(node.name)
        if node.op not in ("Identity", "StopGradient", "CheckNumerics", "PreventGradient"):
            kept.append(node.name)
    return kept


def _short_paths(operations: Sequence[str], found: Flat, layers: Sequence[str]) -> dict[str, str]:
    """Operation -> its path without calls, without the model around everything, and without a second call's numbers."""
    paths = {operation: without_calls(operation).split("/") for operation in operations}
    read = _weighted(operations, found)
    numbered = _numbered([paths[operation] for operation in read], layers)
    weighted = [paths[operation] for operation in read]
    while (
        weighted and len({parts[0] for parts in weighted}) == 1 and all(len(parts) > 2 for parts in weighted)
    ):
        around = weighted[0][0]
        paths = {
            o: parts[1:] if parts[0] == around and len(parts) > 1 else parts for o, parts in paths.items()
        }
        weighted = [paths[operation] for operation in read]
    names: dict[str, str] = {}  # path -> operation
    for operation, (*scopes, last) in paths.items():
        plain = [re.sub(r"_\d+$", "", scope) for scope in scopes] if numbered else scopes
        # Scopes inside a layer may be numbered for themselves: the first way of writing it that is free.
        for parts in ([*plain, last], [*plain[:-1], *scopes[-1:], last], [*scopes, last], [operation]):
            if "/".join(parts) not in names:
                names["/".join(parts)] = operation
                break
    return {operation: path for path, operation in names.items()}


def _weighted(operations: Sequence[str], found: Flat) -> list[str]:
    """The operations that take a weight: a variable's value, or in a frozen graph a constant array."""
    moving = {*operations, *found.inputs.values()}
    weights = set(found.values)
    if not weights:
        arrays = (
            node for node in found.graph.node if node.op == "Const" and node.attr["dtype"].type in _FLOATS
        )
        weights = {node.name for node in arrays if node.attr["value"].tensor.tensor_shape.dim}
    for node in found.graph.node:  # what is made of weights alone
        if node.name not in moving and any(op_name(tensor) in weights for tensor in node.input):
            weights.add(node.name)
    return [o for o in operations if any(op_name(tensor) in weights for tensor in found.nodes[o].input)]


_FLOATS = {dtype.as_datatype_enum for dtype in (tf.float16, tf.bfloat16, tf.float32, tf.float64)}


def _numbered(weighted: Sequence[Sequence[str]], layers: Sequence[str]) -> bool:
    """Whether each layer's scope is its name and a number: Keras opens it twice, and TensorFlow tells the two apart."""
    names = {part for path in layers for part in path.split("/")[:-1]}
    return bool(weighted) and all(
        any(re.search(r"_\d+$", part) and re.sub(r"_\d+$", "", part) in names for part in parts[:-1])
        for parts in weighted
    )


# Graphs that are being traced


def operations_behind(
    tensors: Sequence[Any], differentiable: bool = False, through_shapes: bool = True
) -> set[Any]:
    """Every operation that the tensors are computed from, their own included.

    differentiable: only what a gradient can go back to, so not through indices and conditions.
    through_shapes: also what only the shape of depends on.
    """
    found, waiting = set(), [tensor.op for tensor in tensors]
    while waiting:
        op = waiting.pop()
        if op not in found and (through_shapes or op.type not in ("Shape", "ShapeN", "Size", "Rank")):
            found.add(op)
            waiting += [tensor.op for tensor in op.inputs if not differentiable or _carries_gradient(tensor)]
    return found


def operations_ahead(tensors: Sequence[Any], differentiable: bool = False) -> set[Any]:
    """Every operation that depends on one of the tensors.

    differentiable: only what a gradient can come back from, so not through indices and conditions.
    """
    found, waiting = set(), [op for tensor in tensors for op in tensor.consumers()]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            outputs = [tensor for tensor in op.outputs if not differentiable or _carries_gradient(tensor)]
            waiting += [consumer for tensor in outputs for consumer in tensor.consumers()]
    return found


def _carries_gradient(tensor: Any) -> bool:
    return (
        tensor.dtype.is_floating or tensor.dtype == tf.variant
    )  # variants: the lists that loops of RNNs fill
