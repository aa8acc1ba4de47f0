"""A graph without calls: functions laid out in place, variables as placeholders for their values."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterable, Mapping, Set

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs import (
    OWN,
    SAVED,
    carry_library,
    changes_the_derivative,
    full,
    inlined,
    op_name,
    strip,
    wait_for_nothing,
    without_calls,
)
from tfxai.support import warn

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
    written: keys of the variables that it would have set, such as the state of a recurrent layer. It does not.
    """

    graph: GraphDef
    inputs: dict[str, str]
    outputs: dict[str, str]
    values: dict[str, Hashable]
    handles: dict[str, Hashable]
    written: tuple[Hashable, ...] = ()

    @functools.cached_property
    def nodes(self) -> dict[str, NodeDef]:
        """Every operation by its name."""
        return {node.name: node for node in self.graph.node}

    def until(self, outputs: Mapping[str, str]) -> Flat:
        """The part that these tensors need."""
        kept = _behind([*outputs.values(), *self.inputs.values()], self.nodes)
        graph = tf.compat.v1.GraphDef(versions=self.graph.versions, library=self.graph.library)
        graph.node.extend(kept.values())
        values = {name: key for name, key in self.values.items() if name in kept}
        handles = {name: key for name, key in self.handles.items() if name in kept}
        return Flat(graph, self.inputs, dict(outputs), values, handles, self.written)


def flat(
    graph: GraphDef,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    sources: Mapping[str, Hashable],
    gradients: Set[str] = frozenset(),
) -> Flat:
    """Lays a graph out flat, and takes variables out of it.

    inputs:  name -> placeholder. outputs: name -> tensor.
    sources: operation that holds a variable or its handle -> key of the variable; inside functions, without the calls.
    gradients: names of those that the file keeps for functions in it.

    Warns of functions with a gradient of their own that the file does not keep: the derivative takes its place.
    """
    nodes, moved = inlined(graph, gradients)
    held = {name: without_calls(name) for name, node in nodes.items() if node.op in REFERENCES}
    sources = {**sources, **{name: sources[plain] for name, plain in held.items() if plain in sources}}
    outputs = {name: moved.get(full(tensor), full(tensor)) for name, tensor in outputs.items()}
    set_there = [_source(node, nodes, sources) for node in nodes.values() if node.op == "AssignVariableOp"]
    written = tuple(dict.fromkeys(sources[name] for name in set_there if name is not None))
    nodes = _behind([*outputs.values(), *inputs.values()], nodes)
    _warn_of_lost(nodes, gradients)
    _strip(nodes)
    values, renamed = _read_values(nodes, sources)
    outputs = {name: full(renamed.get(tensor, tensor)) for name, tensor in outputs.items()}
    nodes = _behind([*outputs.values(), *inputs.values()], nodes)
    handles = {name: sources[name] for name in nodes if name in sources}
    nodes |= {name: _placeholder(name, _type(tf.resource)) for name in handles}
    laid_out = tf.compat.v1.GraphDef(versions=graph.versions)
    laid_out.node.extend(nodes[name] for name in _order(nodes))
    carry_library(graph, laid_out)
    values = {name: key for name, key in values.items() if name in nodes}
    return Flat(laid_out, dict(inputs), outputs, values, handles, written)


def _behind(tensors: Iterable[str], nodes: Mapping[str, NodeDef]) -> dict[str, NodeDef]:
    """The nodes that the tensors are computed from."""
    needed: set[str] = set()
    waiting = [op_name(tensor) for tensor in tensors]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [op_name(tensor) for tensor in nodes[name].input]
    return {name: node for name, node in nodes.items() if name in needed}


def _warn_of_lost(nodes: Mapping[str, NodeDef], gradients: Set[str]) -> None:
    lost = [
        node
        for node in nodes.values()
        if changes_the_derivative(node, nodes) and not node.attr[OWN].s.startswith(SAVED)
    ]
    if not lost:
        return
    if any(node.attr[OWN].s.decode() in gradients for node in lost):
        why = "that reads variables, which is not followed here"
        what = "which is right for tf.recompute_grad, and may be another gradient for others"
    else:
        why = "that it does not keep"
        what = (
            "which may be another gradient, or none where numbers are rounded. Save the model with "
            "tf.saved_model.SaveOptions(experimental_custom_gradients=True)"
        )
    warn(
        f"The file has {len(lost)} functions with a gradient of their own (tf.custom_gradient) {why} "
        f"({', '.join(node.name for node in lost[:3])}): what lies in them is differentiated in its place, {what}."
    )


def _strip(nodes: Mapping[str, NodeDef]) -> None:
    """Takes away what only held where the graph was made: devices, hints, registered gradients.

    And what must have run before, which is updates of statistics and checks; conditions of TensorFlow 1 need theirs.
    """
    conditional = any(node.op == "Switch" for node in nodes.values())
    for node in nodes.values():
        strip(node)
        if not conditional:
            wait_for_nothing(node)


def _read_values(
    nodes: dict[str, NodeDef], sources: Mapping[str, Hashable]
) -> tuple[dict[str, Hashable], dict[str, str]]:
    """Puts placeholders for values in the place of reads of variables, into `nodes`.

    Gives {placeholder: key of the variable}, and {tensor that was the value: placeholder}.
    """
    values: dict[str, Hashable] = {}
    renamed: dict[str, str] = {}
    added: dict[str, NodeDef] = {}
    for node in nodes.values():
        source = node.name if node.op in REFERENCES else _source(node, nodes, sources)
        if source is None or source not in sources or node.op not in (*REFERENCES, "ReadVariableOp", *_READS):
            continue
        value = f"{source}/value"
        values[value] = sources[source]
        dtype = node.attr["dtype"] if "dtype" in node.attr else _type(tf.float32)
        added.setdefault(value, _placeholder(value, dtype))
        if node.op in _READS:
            node.input[0] = f"{value}:0"
            added |= {constant.name: constant for constant in _read_by_value(node)}
        else:
            renamed[f"{node.name}:0"] = value
    for node in nodes.values():
        for i, name in enumerate(node.input):
            if not name.startswith("^") and full(name) in renamed:
                node.input[i] = renamed[full(name)]
    nodes |= added
    return values, renamed


def _source(node: NodeDef, nodes: Mapping[str, NodeDef], sources: Mapping[str, Hashable]) -> str | None:
    """The operation that holds the variable whose handle is the first thing that a node reads."""
    if not node.input:
        return None
    name = op_name(node.input[0])
    while name not in sources and name in nodes and nodes[name].op in _PASSING:
        name = op_name(nodes[name].input[0])
    return name if name in sources else None


def _read_by_value(node: NodeDef) -> list[NodeDef]:
    """Turns an operation on a variable's handle into the same operation on its value; gives constants that it needs."""
    attributes = {name: AttrValue.FromString(value.SerializeToString()) for name, value in node.attr.items()}
    operation, node.op = node.op, _READS[node.op]
    node.attr.clear()
    if operation == "VariableShape":
        node.attr["T"].type = tf.float32.as_datatype_enum
        node.attr["out_type"].CopyFrom(attributes["out_type"])
        return []
    node.attr["Tparams"].CopyFrom(attributes["dtype"])
    node.attr["Tindices"].CopyFrom(attributes["Tindices"])
    if operation != "ResourceGather":
        return []
    batch = attributes["batch_dims"].i if "batch_dims" in attributes else 0
    axis = tf.compat.v1.NodeDef(name=f"{node.name}/axis", op="Const")
    axis.attr["dtype"].type = tf.int32.as_datatype_enum
    axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(batch, tf.int32))
    node.input.append(axis.name)
    node.attr["batch_dims"].i = batch
    node.attr["Taxis"].type = tf.int32.as_datatype_enum
    return [axis]


def _placeholder(name: str, dtype: AttrValue) -> NodeDef:
    node = tf.compat.v1.NodeDef(name=name, op="Placeholder")
    node.attr["dtype"].CopyFrom(dtype)
    return node


def _type(dtype: tf.DType) -> AttrValue:
    return tf.compat.v1.AttrValue(type=dtype.as_datatype_enum)


def _order(nodes: Mapping[str, NodeDef]) -> list[str]:
    """Names in an order in which they can run: by the longest way from the start, so what joins comes after its parts.

    Loops of TensorFlow 1 close over a NextIteration, which is not followed.
    """
    depth: dict[str, int] = {}
    for start in nodes:
        waiting = [start]
        while waiting:
            name = waiting[-1]
            loops = nodes[name].op == "NextIteration"
            before = [] if loops else [op_name(tensor) for tensor in nodes[name].input]
            missing = [earlier for earlier in before if earlier not in depth]
            if missing and name not in depth:
                waiting += missing
            else:
                waiting.pop()
                depth.setdefault(name, 1 + max((depth[earlier] for earlier in before), default=0))
    return sorted(nodes, key=depth.__getitem__)
