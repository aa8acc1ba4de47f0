"""SavedModels and modules of TF-Hub, also of TensorFlow 1: their variants, signatures and variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from tfxai.graphs import registered_gradients, without_calls
from tfxai.hub.flat_graph import REFERENCES, Flat, flat
from tfxai.hub.messages import first_sentence, nearest_names
from tfxai.hub.module import DEFAULT, Module, Store
from tfxai.hub.outside import check_trust, outside_of
from tfxai.support import Structure, Tensor, Variable

PREFERRED = ("serving_default", "image_classification", "default")  # signatures, best first

Function: TypeAlias = Any
"""A ConcreteFunction of TensorFlow: what a signature is once a SavedModel is loaded."""


def saved_module(
    path: Path,
    signature: str | None,
    tags: Sequence[str] | str | None,
    trusted: bool | None,
    how: Mapping[str, Any],
) -> Module:
    """The module in the folder of a SavedModel; the arguments are those of `load`, which `how` holds all.

    Raises ValueError if it does not load, or has no such variant or signature, or several that are not chosen from.
    """
    meta = _variant(path, tags)
    chosen, outside = sorted(meta.meta_info_def.tags), outside_of(meta)
    check_trust(path, outside, trusted)
    known = registered_gradients()
    try:
        loaded: Any = tf.saved_model.load(str(path), tags=chosen)
    except Exception as error:
        raise ValueError(f"{path} does not load as a SavedModel: {first_sentence(error)}") from error
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(f"{path} has no signature to call. Export it with model.export(folder).")
    store = Store(alive=loaded, gradients=frozenset(registered_gradients() - known), outside=tuple(outside))
    for variable in _variables(loaded, functions.values()):
        store.variables[_free(_without_number(variable.name), store.variables)] = variable
        store.by_key[id(variable)] = variable

    def opened(name: str) -> Module:
        if name not in functions:
            raise ValueError(f"{path} has no signature {name!r}.{nearest_names(name, functions)}")
        return _signature(path, name, functions, store, {**how, "signature": name})

    store.open = opened
    return opened(_chosen(path, signature, functions))


@dataclasses.dataclass(frozen=True)
class Declared:
    """What a signature takes and gives, by name, as its file says."""

    inputs: dict[str, tf.TensorSpec]
    outputs: dict[str, tf.TensorSpec]


def signatures_of(path: Path | str, tags: Sequence[str] | str | None = None) -> dict[str, Declared]:
    """Every signature of the SavedModel in a folder, by name; nothing of it is loaded.

    Raises ValueError if there is no SavedModel, or no such variant.
    """
    declared = _variant(Path(path), tags).signature_def
    return {
        name: Declared(_specs(each.inputs), _specs(each.outputs))
        for name, each in sorted(declared.items())
        if not name.startswith("__")
    }


def _specs(infos: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec(tf.TensorShape(info.tensor_shape), tf.as_dtype(info.dtype))
        for name, info in sorted(infos.items())
    }


def _variant(path: Path, tags: Sequence[str] | str | None) -> MetaGraphDef:
    """The variant that is asked for; unless given, the one for inference."""
    file = path / "saved_model.pb"
    if not file.exists():
        raise ValueError(f"{path} is not a SavedModel: it has no saved_model.pb.")
    try:
        metas = saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
        variants = [sorted(meta.meta_info_def.tags) for meta in metas]
    except Exception as error:
        raise ValueError(f"{path} does not load as a SavedModel: {first_sentence(error)}") from error
    if tags is not None:
        wanted = sorted([tags] if isinstance(tags, str) else tags)
        if wanted not in variants:
            raise ValueError(f"{path} has no variant with tags {wanted}. It has: {variants}.")
        return metas[variants.index(wanted)]
    for inference in ([], ["serve"]):
        if inference in variants:
            return metas[variants.index(inference)]
    if len(variants) == 1:
        return metas[0]
    raise ValueError(f"{path} has variants with the tags {variants}. Choose one with tags=.")


def _variables(loaded: Any, functions: Iterable[Function]) -> list[Variable]:
    """Each variable once, those of the signatures first."""
    known = {}
    for function in functions:
        for variable in (*getattr(function.graph, "variables", ()), *getattr(loaded, "variables", ())):
            known[id(variable)] = variable
    return list(known.values())


def _chosen(path: Path, signature: str | None, functions: Mapping[str, Function]) -> str:
    """The name of the signature that is asked for; unless given, of the only one or the preferred one."""
    if signature is not None:
        return signature
    if len(functions) == 1:
        return next(iter(functions))
    for name in PREFERRED:
        if name in functions:
            return name
    raise ValueError(
        f"{path} has the signatures {', '.join(map(repr, functions))}. Choose one with signature=."
    )


def _signature(
    path: Path, name: str, functions: Mapping[str, Function], store: Store, how: Mapping[str, Any]
) -> Module:
    """The module of one signature."""
    function = functions[name]
    specs: dict[str, tf.TensorSpec] = dict(sorted(function.structured_input_signature[1].items()))
    placeholders: dict[str, str] = {}
    outputs: dict[str, str] = {}

    def call(given: Mapping[str, Tensor]) -> Structure:
        placeholders.update({key: tensor.op.name for key, tensor in given.items()})
        results = function(**given)
        outputs.update({key: results[key].name for key in sorted(results)})
        return results

    traced = tf.function(call, autograph=False).get_concrete_function(specs)
    sources = _captured(traced, store) | _with_references(path, function, store)
    laid_out = flat(traced.graph.as_graph_def(), placeholders, outputs, sources, store.gradients)
    own = _own_names(laid_out, functions)
    return Module(str(path), name, list(functions), laid_out, specs, own, store, how)


def _captured(traced: Function, store: Store) -> dict[str, Hashable]:
    """Operations that stand for variables and tables from outside of the graph: {name: key}."""
    captured = traced.captured_inputs
    handles = {id(held.handle): id(held) for held in store.by_key.values() if hasattr(held, "handle")}
    sources: dict[str, Hashable] = {}
    for outer, inner in zip(captured, traced.inputs[len(traced.inputs) - len(captured) :], strict=True):
        key = handles.get(id(outer), id(outer))
        store.by_key.setdefault(key, outer)
        sources[inner.op.name] = key
    return sources


def _with_references(path: Path, function: Function, store: Store) -> dict[str, Hashable]:
    """Variables of TensorFlow 1's first kind, which live inside a graph: made anew from the module's checkpoint.

    Gives the operations that hold them: {name: key of the variable}.
    """
    checkpoint = str(path / "variables" / "variables")
    graph = function.graph
    held = [node for node in graph.as_graph_def().node if node.op in REFERENCES]
    trained = {variable.op.name for variable in graph.get_collection("trainable_variables")}
    says = "trainable_variables" in graph.collections
    for node in held:
        if node.name not in store.variables:
            try:
                value = tf.train.load_variable(checkpoint, node.name)
            except Exception as error:
                raise ValueError(
                    f"The variable {node.name} has no value in {path}: {first_sentence(error)}"
                ) from error
            store.variables[node.name] = tf.Variable(value, trainable=not says or node.name in trained)
            store.by_key[node.name] = store.variables[node.name]
    return {node.name: node.name for node in held}


def _own_names(graph: Flat, functions: Mapping[str, Function]) -> dict[str, str]:
    """The names that a module gives to inner tensors by making them outputs of a signature.

    Signatures of a TensorFlow 1 module are views of one graph, so an output of another may lie inside this one.
    """
    plain = {without_calls(name): name for name in graph.nodes}
    own = {}
    for function in functions.values():
        for name, tensor in function.structured_outputs.items():
            operation, _, number = tensor.name.partition(":")
            if number and operation in plain and name != DEFAULT:
                own[name] = f"{plain[operation]}:{number}"
    if len(graph.outputs) > 1:
        own |= {name: tensor for name, tensor in graph.outputs.items() if name != DEFAULT}
    return own


def _without_number(name: str) -> str:
    return name.split(":")[0]


def _free(name: str, taken: Iterable[str]) -> str:
    number, free = 1, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
