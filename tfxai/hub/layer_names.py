"""Names for what is inside a flat graph: its inner tensors, and the layers that hold the weights."""

from __future__ import annotations

import collections
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs import op_name, without_calls
from tfxai.hub.flat_graph import Flat

Variables: TypeAlias = Mapping[Hashable, str]
"""Key of a variable, as in Flat.values -> its name."""

Groups: TypeAlias = dict[str, tuple[list[str], list[Hashable]]]
"""Path of a layer -> its operations that take weights, keys of the weights."""

_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "NoOp", "Assert")  # what no number of the inputs comes through
_HANDING_ON = ("Identity", "StopGradient", "CheckNumerics", "PreventGradient")
_FLOATS = {dtype.as_datatype_enum for dtype in (tf.float16, tf.bfloat16, tf.float32, tf.float64)}


def endpoint_names(graph: Flat, own: Mapping[str, str], variables: Variables) -> dict[str, str]:
    """Every inner tensor that a person would name: name -> tensor, in the order in which they run.

    A scope stands for the last tensor in it: the bare name of a layer for what the layer puts out.

    own: names that the model's maker gave to tensors; such a tensor goes by no other name.
    """
    given: dict[str, list[str]] = collections.defaultdict(list)
    for name, tensor in own.items():
        given[tensor].append(name)
    paths = _paths(graph, variables)
    last = {scope: operation for operation, path in paths.items() for scope in _scopes(path)}
    names: dict[str, str] = {}
    taken = set(paths.values())
    for operation, path in paths.items():
        tensor = f"{operation}:0"
        if tensor in given:
            names |= dict.fromkeys(given[tensor], tensor)
            continue
        ended = [scope for scope in _scopes(path) if last[scope] == operation and scope not in taken]
        for name in (*ended[:1], path, *ended[1:]):  # a layer's name before its last operation's
            names.setdefault(name, tensor)
    return names


def _scopes(path: str) -> list[str]:
    """The scopes around an operation, inmost first."""
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]


def weighted_scopes(graph: Flat, variables: Variables) -> Groups:
    """The layers that have weights, in the order of running; each weight belongs to the first layer that takes it."""
    paths, taken = _paths(graph, variables), set()
    groups: Groups = {}
    for operation, keys in _uses(graph).items():
        if operation not in paths:
            continue
        scope = paths[operation].rpartition("/")[0] or paths[operation]
        operations, held = groups.setdefault(scope, ([], []))
        operations.append(operation)
        held.extend(key for key in keys if key not in taken)
        taken.update(keys)
    return {scope: group for scope, group in _merged(groups).items() if group[1]}


def _merged(groups: Groups) -> Groups:
    """A layer's own operations may lie deeper (dense/Tensordot): they join those of the scope around them."""
    merged: Groups = {}
    for scope, (operations, held) in groups.items():
        around = next((outer for outer in groups if scope.startswith(f"{outer}/")), scope)
        all_operations, all_held = merged.setdefault(around, ([], []))
        all_operations.extend(operations)
        all_held.extend(held)
    return merged


def feeder(graph: Flat, operations: Sequence[str], made: Mapping[str, str]) -> str | None:
    """Which known operation feeds these: of those that come right before them, the one that runs last.

    made: operation -> what it is known as. None if no known operation comes before.
    """
    known, seen = [], set()
    waiting = [op_name(tensor) for name in operations for tensor in graph.nodes[name].input]
    while waiting:
        name = waiting.pop()
        if name in seen or name in operations:
            continue
        seen.add(name)
        if name in made:
            known.append(name)
        else:
            waiting += [op_name(tensor) for tensor in graph.nodes[name].input]
    order = list(graph.nodes)
    return made[max(known, key=order.index)] if known else None


def moving(graph: Flat) -> Iterator[NodeDef]:
    """The operations that depend on numbers of the inputs, in the order in which they run."""
    reached = set(graph.inputs.values())
    for node in graph.graph.node:
        if node.op not in _SHAPES and any(op_name(tensor) in reached for tensor in node.input):
            reached.add(node.name)
            yield node


def _uses(graph: Flat) -> dict[str, list[Hashable]]:
    """Moving operation -> keys of the weights that it takes; in a frozen graph these are constant arrays."""
    sources = {**graph.values, **graph.handles}
    if not sources:
        floats = [n for n in graph.graph.node if n.op == "Const" and n.attr["dtype"].type in _FLOATS]
        sources = {node.name: node.name for node in floats if node.attr["value"].tensor.tensor_shape.dim}
    carried: dict[str, list[Hashable]] = {name: [key] for name, key in sources.items()}
    on_the_way = {node.name for node in moving(graph)}
    uses: dict[str, list[Hashable]] = {}
    for node in graph.graph.node:
        keys = [key for tensor in node.input for key in carried.get(op_name(tensor), ())]
        if keys and node.op not in _SHAPES:
            (uses if node.name in on_the_way else carried).setdefault(node.name, list(dict.fromkeys(keys)))
    return uses


def _paths(graph: Flat, variables: Variables) -> dict[str, str]:
    """Operation -> its path without calls, without the model around everything, and without a second scope's number.

    Only operations on the way from the inputs that do more than hand numbers on.
    """
    operations = [node.name for node in moving(graph) if node.op not in _HANDING_ON]
    split = {operation: without_calls(operation).split("/") for operation in operations}
    uses = {operation: keys for operation, keys in _uses(graph).items() if operation in split}
    numbered = _numbered([split[operation] for operation in uses], variables)
    while uses and len({split[o][0] for o in uses}) == 1 and all(len(split[o]) > 2 for o in uses):
        around = split[next(iter(uses))][0]
        split = {o: p[1:] if p[0] == around and len(p) > 1 else p for o, p in split.items()}
    layers = _layers(split, uses, variables) if numbered else {}
    known = set(map(tuple, layers.values()))
    names: dict[str, str] = {}  # path -> operation
    for operation, (*scopes, last) in split.items():
        # Scopes inside a layer may be numbered for themselves: the first way of writing it that is free.
        for parts in (*_written(scopes, layers, known, numbered), scopes, [operation.rpartition("/")[0]]):
            path = "/".join([*parts, last])
            if path not in names:
                names[path] = operation
                break
    return {operation: path for path, operation in names.items()}


def _written(
    scopes: Sequence[str],
    layers: Mapping[tuple[str, ...], list[str]],
    known: set[tuple[str, ...]],
    numbered: bool,
) -> Iterator[Sequence[str]]:
    """Ways to write scopes, best first."""
    for i in range(len(scopes), 0, -1):
        if (layer := layers.get(tuple(scopes[:i]))) is not None:
            yield [*layer, *scopes[i:]]
            return
    plain = [_plain(scope) for scope in scopes]
    if numbered and tuple(plain) not in known:  # the name of a layer with weights is taken
        yield plain
        yield [*plain[:-1], *scopes[-1:]]


def _layers(
    split: Mapping[str, Sequence[str]], uses: Mapping[str, Sequence[Hashable]], variables: Variables
) -> dict[tuple[str, ...], list[str]]:
    """Scopes of a layer with weights -> its path, which the names of its variables prove; later calls get #2, #3 ..."""
    layers: dict[tuple[str, ...], list[str]] = {}
    for operation, keys in uses.items():
        scopes = split[operation][:-1]
        own = {part for key in keys for part in variables.get(key, "").split("/")[:-1]}
        proved = [i for i, scope in enumerate(scopes, 1) if _plain(scope) != scope and _plain(scope) in own]
        if not proved or tuple(scopes[: proved[-1]]) in layers:
            continue
        path = [_plain(scope) for scope in scopes[: proved[-1]]]
        calls = sum((*earlier[:-1], earlier[-1].split("#")[0]) == tuple(path) for earlier in layers.values())
        layers[tuple(scopes[: proved[-1]])] = path if not calls else [*path[:-1], f"{path[-1]}#{calls + 1}"]
    return layers


def _numbered(weighted: Sequence[Sequence[str]], variables: Variables) -> bool:
    """Whether each layer's scope is its name and a number: Keras opens it twice, and TensorFlow tells the two apart."""
    names = {part for path in variables.values() for part in path.split("/")[:-1]}
    return bool(weighted) and all(
        any(_plain(part) != part and _plain(part) in names for part in parts[:-1]) for parts in weighted
    )


def without_numbers(path: str) -> str:
    """A path whose scopes lost the number that tells a second of them from the first."""
    return "/".join(map(_plain, path.split("/")))


def _plain(scope: str) -> str:
    return re.sub(r"_\d+$", "", scope)
