"""What a call leaves behind as its receipt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfxai.engines.environment import environment
from tfxai.inputs import flatten
from tfxai.model import Network
from tfxai.results import Explanation, Receipt, array_digest, recipe
from tfxai.text import Text


def receipt_of(
    explanation: Explanation,
    network: Network,
    method: Any,
    heard: Sequence[str],
    **asked: Any,
) -> Receipt:
    """How an explanation came about. Digests are made when somebody asks for them.

    heard: warnings of the call. asked: its further arguments.
    """
    snapshot, inputs = network.snapshot(), explanation.inputs

    def find() -> dict[str, Any]:
        return {"weights": snapshot.weights, "inputs": input_digests(inputs)}

    def path_of(value: Any) -> str | None:
        return next((path for path, layer in network.layers if layer is value), None)

    return Receipt.later(
        find,
        structure=snapshot.structure,
        method=recipe(method, path_of),
        **{name: recipe(value, path_of) for name, value in asked.items()},
        given=_given(network),
        environment=environment(),
        warnings=list(heard),
        passes=None if explanation.passes is None else int(explanation.passes.sum()),
    )


def input_digests(inputs: Any) -> dict[str, dict[str, Any]]:
    """Name -> digest of each input array; of a single one "inputs"."""
    arrays, names = flatten(inputs)
    return {name: array_digest(np.asarray(array)) for name, array in zip(names, arrays, strict=True)}


def _given(network: Network) -> str:
    """What of the inputs arrays cannot give back."""
    texts = network.structure
    if isinstance(texts, Text) and texts != Text(texts.strings):
        return "Text"
    return "DataFrame" if network.adapter.makes_frames else "arrays"
