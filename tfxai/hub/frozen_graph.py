"""Frozen graphs (.pb): a graph with its weights as constants, from some tensors to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs import full, op_name
from tfxai.hub.flat_graph import flat
from tfxai.hub.messages import first_sentence, nearest_names, some_of
from tfxai.hub.module import Module, Store
from tfxai.hub.outside import check_trust, outside_of_graph

_VARIABLES = ("VariableV2", "VarHandleOp", "Variable")
_NOT_RESULTS = ("Placeholder", "NoOp", "Assert", "Const")  # what nothing reads, and nobody asks for


def frozen_module(
    path: Path,
    inputs: str | Sequence[str] | None,
    outputs: str | Sequence[str] | None,
    trusted: bool | None,
    how: Mapping[str, Any],
) -> Module:
    """The module in a frozen graph; the arguments are those of `load`, which `how` holds all.

    Raises ValueError if it is not a frozen graph, or has no such tensors, or several that are not chosen from.
    """
    graph = _graph_in(path)
    outside = outside_of_graph(graph)
    check_trust(path, outside, trusted)
    nodes = {node.name: node for node in graph.node}
    starts, ends = _starts(path, inputs, nodes), _ends(path, outputs, nodes)
    with tf.Graph().as_default() as whole:
        tf.graph_util.import_graph_def(graph, name="")
        specs = {op_name(name): tf.TensorSpec.from_tensor(whole.get_tensor_by_name(name)) for name in starts}
    for name, spec in specs.items():
        _begin_at(nodes[name], spec)
    named = {op_name(tensor): tensor for tensor in ends}
    laid_out = flat(graph, {name: name for name in specs}, named, {})
    return Module(str(path), None, (), laid_out, specs, {}, Store(outside=tuple(outside)), how)


def _graph_in(path: Path) -> GraphDef:
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except Exception as error:
        raise ValueError(f"{path} is not a frozen graph: {first_sentence(error)}") from error
    if not graph.node:
        raise ValueError(
            f"{path} is not a frozen graph: it holds no operations. A SavedModel is given by its folder."
        )
    held = [node.name for node in graph.node if node.op in _VARIABLES]
    if held:
        raise ValueError(
            f"{path} is not a frozen graph: its variables ({', '.join(held[:3])} ...) have no values in it. Freeze it, or "
            "load the SavedModel."
        )
    return graph


def _starts(path: Path, inputs: str | Sequence[str] | None, nodes: Mapping[str, NodeDef]) -> list[str]:
    """The tensors to start at; unless given, the only placeholder."""
    if chosen := _tensors(path, inputs, nodes, "inputs"):
        return chosen
    starts = [f"{node.name}:0" for node in nodes.values() if node.op == "Placeholder"]
    if len(starts) != 1:
        raise ValueError(f"{path} has {len(starts)} placeholders: {some_of(starts)}. Say which with inputs=.")
    return starts


def _ends(path: Path, outputs: str | Sequence[str] | None, nodes: Mapping[str, NodeDef]) -> list[str]:
    """The tensors to end at; unless given, the only one that nothing reads."""
    if chosen := _tensors(path, outputs, nodes, "outputs"):
        return chosen
    used = {op_name(tensor) for node in nodes.values() for tensor in node.input}
    last = [node for node in nodes.values() if node.name not in used and node.op not in _NOT_RESULTS]
    ends = [f"{node.name}:0" for node in last]
    if len(ends) != 1:
        raise ValueError(
            f"{path} has {len(ends)} tensors that nothing reads: {some_of(ends)}. Say which with outputs=."
        )
    return ends


def _tensors(
    path: Path, names: str | Sequence[str] | None, nodes: Mapping[str, NodeDef], argument: str
) -> list[str]:
    """The full names of tensors that were asked for."""
    tensors = []
    for name in [names] if isinstance(names, str) else names or []:
        if op_name(name) not in nodes:
            raise ValueError(
                f"{path} has no tensor {name!r} for {argument}=.{nearest_names(op_name(name), nodes)}"
            )
        number = full(name).rpartition(":")[2]
        if not number.isdigit():
            raise ValueError(
                f"{path} has no tensor {name!r} for {argument}=. Give a name such as {op_name(name)}:0."
            )
        tensors.append(full(name))
    return tensors


def _begin_at(node: NodeDef, spec: tf.TensorSpec) -> None:
    """Turns an operation into a placeholder for its tensor."""
    if node.op != "Placeholder":
        node.op = "Placeholder"
        del node.input[:]
        node.attr.clear()
        node.attr["dtype"].type = spec.dtype.as_datatype_enum
