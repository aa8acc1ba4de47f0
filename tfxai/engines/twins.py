"""Rules that compare input and baseline, for models that cannot take both in one batch.

Such a model runs twice in the trace, and each operation of the one pass has a twin in the other. To a rule both look like one
operation on [inputs; baselines], as it would find where the model takes any number of rows.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfxai.engines.backward import Rule, Rules
from tfxai.model import operations_ahead
from tfxai.support import Operation, Tensor


@dataclasses.dataclass(frozen=True)
class _Twins:
    """Of one graph: name of an operation -> its twin; and the names of tensors that differ from row to row."""

    operations: Mapping[str, Operation]
    by_row: frozenset[str]


_TWINS: weakref.WeakKeyDictionary[Any, _Twins] = weakref.WeakKeyDictionary()


def remember_twins(score: Tensor, other: Tensor) -> None:
    """Finds the twin of each operation behind a score (N,) among those behind the score of another pass of the same model."""
    operations: dict[str, Operation] = {}
    waiting = [(score.op, other.op)]
    while waiting:
        one, twin = waiting.pop()
        if (
            one is twin
            or one.name in operations
            or one.type != twin.type
            or len(one.inputs) != len(twin.inputs)
        ):
            continue
        operations[one.name] = twin
        waiting += [(a.op, b.op) for a, b in zip(one.inputs, twin.inputs, strict=True)]
    graph = score.graph
    captured = {tensor.name for tensor in graph.internal_captures}
    arguments = [tensor for tensor in graph.inputs if tensor.name not in captured]
    moving = [tensor for op in operations_ahead(arguments) for tensor in op.outputs]
    by_row = frozenset(tensor.name for tensor in [*arguments, *moving] if tensor.dtype.is_floating)
    _TWINS[graph] = _Twins(operations, by_row)


def on_twins(rules: Rules) -> Rules:
    """The rules for operations with twins. What they give is that of the inputs alone (N, ...)."""
    return dataclasses.replace(
        rules,
        name=f"{rules.name}.twins",
        by_type={kind: _OnTwins(rule) for kind, rule in rules.by_type.items()},
        linear={kind: _OnTwins(rule) for kind, rule in rules.linear.items()},
        swapped={kind: _OnTwins(rule) for kind, rule in rules.swapped.items()},
        of_one={kind: (_OnTwins(one), _OnTwins(other)) for kind, (one, other) in rules.of_one.items()},
    )


@dataclasses.dataclass(frozen=True)
class _OnTwins:
    rule: Rule

    def __call__(self, op: Operation, *incoming: Tensor) -> Any:
        twins = _TWINS[op.graph]
        pair = _Pair(op, twins)
        both = [None if each is None else tf.concat([each, tf.zeros_like(each)], 0) for each in incoming]
        given = self.rule(pair, *both)
        listed = list(given) if isinstance(given, (list, tuple)) else [given]
        halves = [
            _half(gradient) if gradient is not None and tensor.name in twins.by_row else gradient
            for gradient, tensor in zip(listed, op.inputs, strict=False)
        ]
        return halves if isinstance(given, (list, tuple)) else halves[0]


class _Pair:
    """An operation and its twin as one operation on the rows of both."""

    def __init__(self, op: Operation, twins: _Twins) -> None:
        if op.name not in twins.operations:
            raise ValueError(
                f"The model does not do the same for input and baseline ({op.name} is done once). Use a method that compares "
                "no two passes, such as IntegratedGradients."
            )
        self._op = self.first = op
        twin = twins.operations[op.name]
        self.inputs = [_joined(a, b, twins) for a, b in zip(op.inputs, twin.inputs, strict=True)]
        self.outputs = [_joined(a, b, twins) for a, b in zip(op.outputs, twin.outputs, strict=True)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)


def _joined(one: Tensor, other: Tensor, twins: _Twins) -> Tensor:
    return tf.concat([one, other], 0) if one.name in twins.by_row else one


def _half(tensor: Tensor) -> Tensor:
    return tensor[: tf.shape(tensor)[0] // 2]
