"""A SavedModel folder: the model's variables once, and one signature for each question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfxai.exporting.signatures import Signature


def write_saved_model(path: Path, signatures: Sequence[Signature], owners: Sequence[Any]) -> None:
    """Writes the folder. owners: of tables and files that the graphs read beside variables.

    TensorFlow alone reads it: `tf.saved_model.load(path).signatures["explain"](...)`, TensorFlow Serving likewise.
    """
    module: Any = tf.Module()
    read = (each for of in signatures for each in (*of.variables, *of.concrete.graph.variables))
    module.held = list({id(each): each for each in read}.values())
    others = [
        capture
        for each in signatures
        for capture, _ in each.concrete.graph.captures
        if capture.dtype == tf.resource and not any(capture is v.handle for v in module.held)
    ]
    if others:  # tables of words, which only what owns them can save
        module.owners = [each for each in owners if hasattr(each, "_trackable_children")]
    # Marks of rules are off the graphs, so no gradients need be saved, nor are they missed when it is loaded.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), {each.name: each.concrete for each in signatures}, options)
