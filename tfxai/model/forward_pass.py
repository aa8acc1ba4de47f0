"""One forward pass in a graph that is being traced, and its gradients."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxai.model.folding import folded
from tfxai.model.operations import operations_ahead, operations_behind


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """One call of one layer, seen while the model was traced."""

    path: str
    layer: Any
    inputs: Any
    output: Any


@dataclasses.dataclass(frozen=True)
class ForwardPass:
    """One forward pass in a graph that is being traced.

    outputs: as the model returns them.
    named:   the same by name, where the model names them; all that it has.
    points:  for each input what it is explained at: itself, the embedding of its tokens, or None.
    calls:   every layer call, in order of completion.
    """

    outputs: Any
    named: Any
    points: list[Any]
    calls: list[Call]

    @functools.cached_property
    def _ahead(self) -> list[set[Any]]:
        return [set() if point is None else operations_ahead([point]) for point in self.points]

    def reaches(self, which: int, tensor: Any) -> bool:
        """Whether a tensor depends on the input with this number."""
        return tensor is self.points[which] or tensor.op in self._ahead[which]

    def gradients(self, score: Any, of: Sequence[Any] | None = None) -> list[Any]:
        """d score / d points (or of the given tensors), zero where the score does not depend on one."""
        tensors = list(self.points if of is None else of)
        wanted = [tensor for tensor in tensors if tensor is not None]
        behind = operations_behind([score], differentiable=True)
        moving = operations_ahead(wanted) | {tensor.op for tensor in wanted}
        with folded(behind & moving, moving, wanted):
            found = tf.gradients(score, wanted)
        if all(gradient is None for gradient in found):
            raise ValueError(
                "The score does not depend on the inputs in a way that TensorFlow can differentiate. Use a score and a "
                "model made of TensorFlow operations, or a method that only hides parts (Occlusion, RISE, LIME ...)."
            )
        dense = iter(
            tf.zeros_like(tensor) if gradient is None else tf.convert_to_tensor(gradient)
            for tensor, gradient in zip(wanted, found, strict=True)
        )
        return [None if tensor is None else tf.cast(next(dense), tf.float32) for tensor in tensors]


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Token ids cannot be differentiated; they are explained at the `index`-th call of their embedding layer."""

    layer: Any
    index: int
