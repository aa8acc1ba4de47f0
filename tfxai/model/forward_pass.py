"""One forward pass in a graph that is being traced, and its gradients."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import tensorflow as tf

from tfxai.model.folding import folded
from tfxai.model.operations import operations_ahead, operations_behind
from tfxai.support import Layer, Operation, PerInput, Structure, Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer, seen while the model was traced."""

    path: str
    layer: Layer
    inputs: Structure
    output: Structure


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Token ids cannot be differentiated; they are explained at the `index`-th call of their embedding layer."""

    layer: Layer
    index: int


@dataclasses.dataclass(frozen=True)
class ForwardPass:
    """One forward pass in a graph that is being traced.

    outputs: as the model returns them.
    named:   the same by name, where the model names them; all that it has.
    points:  for each input what it is explained at: itself, the embedding of its tokens, or None.
    calls:   every layer call, in order of completion.
    """

    outputs: Structure
    named: Structure
    points: PerInput
    calls: list[LayerCall]

    @functools.cached_property
    def _ahead(self) -> list[set[Operation]]:
        return [set() if point is None else operations_ahead([point]) for point in self.points]

    def reaches(self, which: int, tensor: Tensor) -> bool:
        """Whether a tensor depends on the input with this number."""
        return tensor is self.points[which] or tensor.op in self._ahead[which]

    def gradients(self, score: Tensor, of: Sequence[Tensor] | None = None) -> PerInput:
        """d score / d points (or of the given tensors), float32; zero where the score does not depend on one.

        Raises ValueError if the score does not depend on any of them.
        """
        tensors = list(self.points if of is None else of)
        wanted = [tensor for tensor in tensors if tensor is not None]
        behind = operations_behind([score], differentiable=True)
        moving = operations_ahead(wanted) | {tensor.op for tensor in wanted}
        with folded(behind & moving, moving, wanted):
            gradients = tf.gradients(score, wanted)
        if all(gradient is None for gradient in gradients):
            raise ValueError(
                "The score does not depend on the inputs in a way that TensorFlow can differentiate. Use a score and a "
                "model made of TensorFlow operations, or a method that only hides parts (Occlusion, RISE, LIME ...)."
            )
        dense = iter(
            tf.zeros_like(tensor) if gradient is None else tf.convert_to_tensor(gradient)
            for tensor, gradient in zip(wanted, gradients, strict=True)
        )
        return [None if tensor is None else tf.cast(next(dense), tf.float32) for tensor in tensors]
