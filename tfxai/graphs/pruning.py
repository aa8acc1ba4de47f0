"""The part of a graph that some of its operations need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfxai.graphs.tensor_names import op_name


def pruned(definition: Any, wanted: Sequence[str]) -> Any:
    """A GraphDef with these operations and all that they read or wait for; its functions stay."""
    nodes = {node.name: node for node in definition.node}
    needed: set[str] = set()
    ahead = list(wanted)
    while ahead:
        name = ahead.pop()
        if name not in needed:
            needed.add(name)
            ahead += [op_name(each) for each in nodes[name].input]
    found = type(definition)()
    found.versions.CopyFrom(definition.versions)
    found.library.CopyFrom(definition.library)
    found.node.extend(node for node in definition.node if node.name in needed)
    return found
