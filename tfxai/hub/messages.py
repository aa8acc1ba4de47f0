"""Words for errors about modules: shapes, names that are near, what another library said."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import tensorflow as tf

_SHOWN = 12  # names in an error


def shape_text(spec: tf.TensorSpec) -> str:
    """A shape as people write it: `(N, 224, 224, 3)`, with `any` for sizes that are free."""
    if spec.shape.rank is None:
        return "(any)"
    return "(" + ", ".join("N" if i == 0 else str(n or "any") for i, n in enumerate(spec.shape)) + ")"


def nearest_names(name: str, there: Iterable[str]) -> str:
    """Two sentences for the end of an error: which names are near, and which there are."""
    names = list(there)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return (f" Nearest: {', '.join(near)}." if near else "") + f" It has: {some_of(names)}."


def some_of(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def first_sentence(error: BaseException) -> str:
    """Of what an error of another library says."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text.split(". ")[0].rstrip(".")[:300] + "."
