"""Rules that compare input and baseline: the model runs twice in a trace, and each operation has a twin in the other pass."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any

from tfxai.support import Operation, Tensor

_TWINS: weakref.WeakKeyDictionary[Any, Mapping[str, str]] = weakref.WeakKeyDictionary()
"""Of each graph the names of twins, by the name of the operation: an operation itself would keep its graph alive."""


def remember_twins(score: Tensor, other: Tensor) -> None:
    """Finds the twin of each operation behind a score (N,) among those behind the score of another pass of the same model."""
    twins: dict[str, str] = {}
    waiting = [(score.op, other.op)]
    while waiting:
        one, twin = waiting.pop()
        alike = one.type == twin.type and len(one.inputs) == len(twin.inputs)
        if alike and one.name not in twins:
            twins[one.name] = twin.name
            if one is not twin:
                waiting += [(a.op, b.op) for a, b in zip(one.inputs, twin.inputs, strict=True)]
    _TWINS[score.graph] = twins


def with_twin(op: Operation) -> tuple[Operation, Operation]:
    """An operation of the pass over inputs, and its twin of that over baselines.

    Raises ValueError if the model did something else in the other pass.
    """
    name = _TWINS.get(op.graph, {}).get(op.name)
    if name is None:
        raise ValueError(
            f"The model does not do the same for input and baseline ({op.name} is done once). Use a method that compares "
            "no two passes, such as IntegratedGradients."
        )
    return op, op.graph.get_operation_by_name(name)
