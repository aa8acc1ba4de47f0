"""A graph as a text by which it is known again, and the weights that are written into it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Container, Iterable, Mapping
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.python.framework import op_def_registry

from tfxai.graphs import op_name

SMALL = 16  # numbers from which a constant is a weight; shapes, axes and factors are smaller
NUMBERS = re.compile(r"\d+")


def constants_of(graph: GraphDef) -> dict[str, NDArray]:
    """Name of an operation -> its floating numbers, of every constant that is large enough to be a weight."""
    found = {}
    for node in graph.node:
        if node.op == "Const" and tf.as_dtype(node.attr["dtype"].type).is_floating:
            array = tf.make_ndarray(node.attr["value"].tensor)
            if array.size >= SMALL:
                found[node.name] = array
    return found


def structure_of(graph: GraphDef, outputs: Mapping[str, str], weights: Container[str]) -> str:
    """Every operation that the outputs need, with its inputs and settings, and the functions of loops.

    Operations go by their number on the way back from the outputs: loading a file a second time gives some of them other
    names, and another order.

    outputs: name -> tensor. weights: constants whose numbers are left out.
    """
    nodes = {node.name: node for node in graph.node}
    names = _on_the_way_back([op_name(outputs[name]) for name in sorted(outputs)], nodes)
    bodies = [
        [*_lines(function.node_def, ()), str(sorted(function.ret.values()))]
        for function in graph.library.function
    ]
    return json.dumps([sorted(outputs), _lines([nodes[name] for name in names], weights), sorted(bodies)])


def _on_the_way_back(names: Iterable[str], nodes: Mapping[str, NodeDef]) -> list[str]:
    """These operations and all before them, each once, input by input."""
    found: dict[str, None] = {}
    waiting = [*names]
    while waiting:
        name = waiting.pop(0)
        if name in nodes and name not in found:
            found[name] = None
            waiting += map(op_name, nodes[name].input)
    return list(found)


def _lines(nodes: Iterable[NodeDef], weights: Container[str]) -> list[str]:
    nodes = list(nodes)
    numbers = {node.name: str(number) for number, node in enumerate(nodes)}
    lines = []
    for node in nodes:
        inputs = [numbers.get(op_name(name), name) + name.partition(":")[2] for name in node.input]
        defaults = _defaults(node.op)  # which an import leaves out
        settings = [
            _setting(key, node)
            for key in sorted(node.attr)
            if not key.startswith("_") and node.attr[key] != defaults.get(key)
        ]
        lines.append(" ".join([node.op, *inputs, *([] if node.name in weights else settings)]))
    return lines


@functools.cache
def _defaults(op: str) -> dict[str, AttrValue]:
    """What the settings of an operation are where nothing else is said."""
    found: Any = op_def_registry.get(op)
    attributes = () if found is None else found.attr
    return {each.name: each.default_value for each in attributes if each.HasField("default_value")}


def _setting(key: str, node: NodeDef) -> str:
    """A setting; functions, whose names count them, without their numbers."""
    value = type(node.attr[key])()
    value.CopyFrom(node.attr[key])
    for function in (value.func, *value.list.func) if value.WhichOneof("value") in ("func", "list") else ():
        function.name = NUMBERS.sub("", function.name)
    return f"{key}={value.SerializeToString(deterministic=True).hex()}"
