"""Names for what is inside a flat graph: its inner tensors, and the layers that hold the weights."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfxai.hub.flat_graph import Flat, op_name, without_calls

Variables = Mapping[Any, str]
"""Key of a variable, as in Flat.values -> its name."""


_SHAPES = ("Shape", "ShapeN", "Size", "Rank", "NoOp", "Assert")  # what no number of the inputs comes through


_HANDING_ON = ("Identity", "StopGradient", "CheckNumerics", "PreventGradient")


_FLOATS = {dtype.as_datatype_enum for dtype in (tf.float16, tf.bfloat16, tf.float32, tf.float64)}


def endpoint_names(found: Flat, own: Mapping[str, str], variables: Variables) -> dict[str, str]:
    """Every inner tensor that a person would name: name -> tensor, in the order in which they run.

    A scope stands for the last tensor in it: the bare name of a layer for what the layer puts out.

    own: names that the model's maker gave to tensors; such a tensor goes by no other name.
    """
    given: dict[str, list[str]] = collections.defaultdict(list)
    for name, tensor in own.items():
        given[tensor].append(name)
    paths = _paths(found, variables)
    last: dict[str, str] = {}  # scope -> the operation that ends it
    for operation, path in paths.items():
        parts = path.split("/")
        for i in range(1, len(parts)):
            last["/".join(parts[:i])] = operation
    names: dict[str, str] = {}
    taken = set(paths.values())
    for operation, path in paths.items():
        tensor = f"{operation}:0"
        if tensor in given:
            names |= dict.fromkeys(given[tensor], tensor)
            continue
        parts = path.split("/")
        scopes = ["/".join(parts[:i]) for i in range(len(parts) - 1, 0, -1)]
        ended = [scope for scope in scopes if last[scope] == operation and scope not in taken]
        for name in (*ended[:1], path, *ended[1:]):  # a layer's name before its last operation's
            names.setdefault(name, tensor)
    return names


def weighted_scopes(found: Flat, variables: Variables) -> dict[str, tuple[list[str], list[Any]]]:
    """Path of a layer with weights -> its operations that take weights, keys of the weights; in the order of running."""
    paths, taken = _paths(found, variables), set()
    groups: dict[str, tuple[list[str], list[Any]]] = {}
    for operation, keys in _uses(found).items():
        if operation not in paths:
            continue
        scope = paths[operation].rpartition("/")[0] or paths[operation]
        operations, held = groups.setdefault(scope, ([], []))
        operations.append(operation)
        held.extend(key for key in keys if key not in taken)
        taken.update(keys)
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


def feeder(found: Flat, operations: Sequence[str], made: Mapping[str, str]) -> str | None:
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


def moving(found: Flat) -> Iterator[Any]:
    """The operations that depend on numbers of the inputs, in the order in which they run."""
    reached = set(found.inputs.values())
    for node in found.graph.node:
        if node.op not in _SHAPES and any(op_name(tensor) in reached for tensor in node.input):
            reached.add(node.name)
            yield node


def _uses(found: Flat) -> dict[str, list[Any]]:
    """Moving operation -> keys of the weights that it takes; in a frozen graph these are constant arrays."""
    sources = {**found.values, **found.handles}
    if not sources:
        arrays = (n for n in found.graph.node if n.op == "Const" and n.attr["dtype"].type in _FLOATS)
        sources = {node.name: node.name for node in arrays if node.attr["value"].tensor.tensor_shape.dim}
    carried = {name: [key] for name, key in sources.items()}
    on_the_way = {node.name for node in moving(found)}
    uses: dict[str, list[Any]] = {}
    for node in found.graph.node:
        keys = [key for tensor in node.input for key in carried.get(op_name(tensor), ())]
        if keys and node.op not in _SHAPES:
            (uses if node.name in on_the_way else carried).setdefault(node.name, list(dict.fromkeys(keys)))
    return uses


def _paths(found: Flat, variables: Variables) -> dict[str, str]:
    """Operation -> its path without calls, without the model around everything, and without a second scope's number.

    Only operations on the way from the inputs that do more than hand numbers on.
    """
    operations = [node.name for node in moving(found) if node.op not in _HANDING_ON]
    split = {operation: without_calls(operation).split("/") for operation in operations}
    uses = {operation: keys for operation, keys in _uses(found).items() if operation in split}
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
    scopes: Sequence[str], layers: Mapping[tuple[str, ...], list[str]], known: set[Any], numbered: bool
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
    split: Mapping[str, Sequence[str]], uses: Mapping[str, Sequence[Any]], variables: Variables
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
        calls = sum(
            other[:-1] == path[:-1] and other[-1].split("#")[0] == path[-1] for other in layers.values()
        )
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
