"""Names in graphs: `conv/Relu:0` is a tensor, `conv/Relu` the operation that makes it or, for short, its first tensor."""

from __future__ import annotations

import re


def full(tensor: str) -> str:
    """The name of a tensor with its number: `conv/Relu:0` for `conv/Relu`."""
    return tensor if ":" in tensor else f"{tensor}:0"


def op_name(tensor: str) -> str:
    """The operation of an input: of a tensor, or of what must have run before (`^conv/Relu`)."""
    return tensor.removeprefix("^").split(":")[0]


def without_calls(operation: str) -> str:
    """Its path without the calls around it."""
    return re.sub(r"(^|(?<=/))(Stateful)?PartitionedCall(_\d+)?/", "", operation)
