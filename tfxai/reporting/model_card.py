"""What a page says of the model itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfxai.inputs import flatten
from tfxai.model import layers
from tfxai.reporting.blocks import Block, Facts, Folded, Section, short
from tfxai.reporting.context import Context
from tfxai.reporting.of_results import layer_table
from tfxai.support import Model


def model_card(model: Model, inputs: Any, context: Context) -> Section:
    """Name, layers, parameters, and the numbers that the model was fed with. inputs: some of them; None: not known."""
    weights = list(getattr(model, "weights", []))
    trainable = list(getattr(model, "trainable_weights", []))
    facts = {
        "Name": str(getattr(model, "name", "") or getattr(model, "__name__", type(model).__name__)),
        "Kind": type(model).__name__,
        "Parameters": _count(weights),
        "of them trainable": _count(trainable),
        **_fed(inputs),
    }
    blocks: list[Block] = []
    try:
        table = layers(model, inputs)
        facts["Layers"] = short(len(table))
        blocks = [Folded(f"All {len(table)} layers", layer_table(table, context))]
    except ValueError:  # a function, which has none
        pass
    return Section("The model", [Facts({name: words for name, words in facts.items() if words}), *blocks])


def _count(weights: list[Any]) -> str:
    return short(sum(int(np.prod(each.shape)) for each in weights)) if weights else ""


def _fed(inputs: Any) -> dict[str, str]:
    """Shape, type and range of each input."""
    if inputs is None:
        return {}
    arrays, names = flatten(inputs)
    found = {}
    for name, each in zip(names, arrays, strict=True):
        array = np.asarray(each)
        size = " \N{MULTIPLICATION SIGN} ".join(map(str, array.shape[1:])) or "one number"
        ends = ""
        if array.dtype.kind in "iuf" and array.size:
            ends = f", from {short(float(np.nanmin(array)))} to {short(float(np.nanmax(array)))}"
        found["Fed with" if len(arrays) == 1 else f"Fed with {name}"] = f"{size}, {array.dtype}{ends}"
    return found
