"""SavedModels and modules of TF-Hub, also of TensorFlow 1: their variants, signatures and variables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfxai.hub.flat_graph import REFERENCES, Flat, flat, without_calls
from tfxai.hub.module import DEFAULT, Module, Store, first_sentence, nearest_names

PREFERRED = ("serving_default", "image_classification", "default")  # signatures, best first


def saved_module(
    path: Path, signature: str | None, tags: Sequence[str] | str | None, how: Mapping[str, Any]
) -> Module:
    chosen = _tags(path, tags)
    try:
        loaded: Any = tf.saved_model.load(str(path), tags=chosen)
    except Exception as error:
        raise ValueError(f"{path} does not load as a SavedModel: {first_sentence(error)}") from error
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(f"{path} has no signature to call. Export it with model.export(folder).")
    store = Store(alive=loaded)
    known = {
        id(v): v
        for f in functions.values()
        for v in (*getattr(f.graph, "variables", ()), *getattr(loaded, "variables", ()))
    }
    for variable in known.values():
        store.variables[_free(_without_number(variable.name), store.variables)] = variable
        store.by_key[id(variable)] = variable

    def opened(name: str) -> Module:
        if name not in functions:
            raise ValueError(f"{path} has no signature {name!r}.{nearest_names(name, functions)}")
        return _signature(path, name, functions, store, {**how, "signature": name})

    store.open = opened
    return opened(_chosen(path, signature, functions))


def _tags(path: Path, tags: Sequence[str] | str | None) -> list[str]:
    file = path / "saved_model.pb"
    if not file.exists():
        raise ValueError(f"{path} is no SavedModel: it has no saved_model.pb.")
    try:
        found = [
            sorted(meta.meta_info_def.tags)
            for meta in saved_model_pb2.SavedModel.FromString(file.read_bytes()).meta_graphs
        ]
    except Exception as error:
        raise ValueError(f"{path} does not load as a SavedModel: {first_sentence(error)}") from error
    if tags is not None:
        wanted = sorted([tags] if isinstance(tags, str) else tags)
        if wanted not in found:
            raise ValueError(f"{path} has no variant with tags {wanted}. It has: {found}.")
        return wanted
    for inference in ([], ["serve"]):
        if inference in found:
            return inference
    if len(found) == 1:
        return found[0]
    raise ValueError(f"{path} has variants with the tags {found}. Choose one with tags=.")


def _chosen(path: Path, signature: str | None, functions: Mapping[str, Any]) -> str:
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
    path: Path, name: str, functions: Mapping[str, Any], store: Store, how: Mapping[str, Any]
) -> Module:
    function = functions[name]
    specs: dict[str, tf.TensorSpec] = dict(sorted(function.structured_input_signature[1].items()))
    placeholders: dict[str, str] = {}
    outputs: dict[str, str] = {}

    def call(given: Mapping[str, Any]) -> Any:
        placeholders.update({key: tensor.op.name for key, tensor in given.items()})
        found = function(**given)
        outputs.update({key: found[key].name for key in sorted(found)})
        return found

    traced = tf.function(call, autograph=False).get_concrete_function(specs)
    graph = traced.graph.as_graph_def()
    captured = traced.captured_inputs
    handles = {id(v.handle): id(v) for v in store.by_key.values() if hasattr(v, "handle")}
    sources: dict[str, Any] = {}
    for outer, inner in zip(captured, traced.inputs[len(traced.inputs) - len(captured) :], strict=True):
        key = handles.get(id(outer), id(outer))
        store.by_key.setdefault(key, outer)
        sources[inner.op.name] = key
    laid = flat(graph, placeholders, outputs, sources | _with_references(path, function, store))
    return Module(str(path), name, list(functions), laid, specs, _own_names(laid, functions), store, how)


def _with_references(path: Path, function: Any, store: Store) -> dict[str, Any]:
    """Variables of TensorFlow 1's first kind, which live inside a graph: made anew from the module's checkpoint.

    Gives the operations that hold them: {name: key of the variable}.
    """
    checkpoint = str(path / "variables" / "variables")
    held = [node for node in function.graph.as_graph_def().node if node.op in REFERENCES]
    collections = function.graph.collections
    trained = (
        {v.op.name for v in function.graph.get_collection("trainable_variables")}
        if "trainable_variables" in collections
        else None
    )
    for node in held:
        if node.name not in store.variables:
            try:
                value = tf.train.load_variable(checkpoint, node.name)
            except Exception as error:
                raise ValueError(
                    f"The variable {node.name} has no value in {path}: {first_sentence(error)}"
                ) from error
            store.variables[node.name] = tf.Variable(value, trainable=trained is None or node.name in trained)
            store.by_key[node.name] = store.variables[node.name]
    return {node.name: node.name for node in held}


def _own_names(laid: Flat, functions: Mapping[str, Any]) -> dict[str, str]:
    """The names that a module gives to inner tensors by making them outputs of a signature.

    Signatures of a TensorFlow 1 module are views of one graph, so an output of another may lie inside this one.
    """
    plain = {without_calls(name): name for name in laid.nodes}
    own = {}
    for function in functions.values():
        for name, tensor in function.structured_outputs.items():
            operation, _, number = tensor.name.partition(":")
            if number and operation in plain and name != DEFAULT:
                own[name] = f"{plain[operation]}:{number}"
    if len(laid.outputs) > 1:
        own |= {name: tensor for name, tensor in laid.outputs.items() if name != DEFAULT}
    return own


def _without_number(name: str) -> str:
    return name.split(":")[0]


def _free(name: str, taken: Iterable[str]) -> str:
    number, found = 1, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found
