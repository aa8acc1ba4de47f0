"""Frozen graphs (.pb): a graph with its weights as constants, from some tensors to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfxai.hub.flat_graph import flat, full, op_name
from tfxai.hub.module import Module, Store, first_sentence, nearest_names, some_of


def frozen_module(
    path: Path,
    inputs: str | Sequence[str] | None,
    outputs: str | Sequence[str] | None,
    how: Mapping[str, Any],
) -> Module:
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(path.read_bytes())
    except Exception as error:
        raise ValueError(f"{path} is no frozen graph: {first_sentence(error)}") from error
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
        raise ValueError(f"{path} has {len(starts)} placeholders: {some_of(starts)}. Say which with inputs=.")
    if outputs is None and len(ends) != 1:
        raise ValueError(
            f"{path} has {len(ends)} tensors that nothing reads: {some_of(ends)}. Say which with outputs=."
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
            raise ValueError(
                f"{path} has no tensor {name!r} for {what}=.{nearest_names(op_name(name), nodes)}"
            )
        number = full(name).rpartition(":")[2]
        if not number.isdigit():
            raise ValueError(
                f"{path} has no tensor {name!r} for {what}=. Give a name such as {op_name(name)}:0."
            )
        found.append(full(name))
    return found
