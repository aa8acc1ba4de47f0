"""A graph without calls: functions laid out in place, variables as placeholders for their values."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework import function_def_to_graph

CALLS = ("PartitionedCall", "StatefulPartitionedCall")


_HINTS = ("_class", "_output_shapes")  # colocation with nodes that may go, shapes of batches that may differ


REFERENCES = ("VariableV2", "Variable")  # variables that are operations of their graph


_PASSING = ("Identity", "Enter")


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


def without_calls(operation: str) -> str:
    """Its path without the calls around it."""
    return re.sub(r"(^|(?<=/))(Stateful)?PartitionedCall(_\d+)?/", "", operation)


def fresh(graph: Any) -> Any:
    """The same graph with new names for the functions of its loops: TensorFlow takes a name only once in a process."""
    if not graph.library.function:
        return graph
    copy = tf.compat.v1.GraphDef()
    copy.CopyFrom(graph)
    number = next(_COPIES)
    renamed = {f.signature.name: f"{f.signature.name}_{number}" for f in graph.library.function}
    for function in copy.library.function:
        function.signature.name = renamed[function.signature.name]
    for node in [*copy.node, *(node for function in copy.library.function for node in function.node_def)]:
        node.op = renamed.get(node.op, node.op)
        for attribute in node.attr.values():
            for called in [attribute.func, *attribute.list.func]:
                if called.name in renamed:
                    called.name = renamed[called.name]
    eager: Any = context.context()  # where TensorFlow looks for them when the loop runs
    for function in copy.library.function:
        eager.add_function_def(function)
    return copy


_COPIES = itertools.count()
