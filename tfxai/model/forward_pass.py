"""One forward pass in a graph that is being traced, and its gradients."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TypeAlias

import tensorflow as tf

from tfxai.model.alignment import Alignment, layout_of_input
from tfxai.model.fixed_batch import Filled
from tfxai.model.folding import folded
from tfxai.model.inner import Inner
from tfxai.model.layer_call import LayerCall
from tfxai.model.lookups import Embedded
from tfxai.model.operations import operations_ahead, operations_behind, tensors_in
from tfxai.support import Operation, PerInput, Structure, Tensor

Place: TypeAlias = "str | Embedded | Inner | None"
"""Where an input is explained: "input", at itself; "cast", where it has been turned into fractions; at the embeddings of
its token ids; or not at all. In the place of the first one: a layer inside that is explained instead."""


@dataclasses.dataclass(frozen=True)
class ForwardPass:
    """One forward pass in a graph that is being traced.

    outputs: as the model returns them.
    named:   the same by name, where the model names them; all that it has.
    fed:     the inputs, as the model got them.
    places:  for each input where it is explained.
    parts:   for each input the tensors at which it is explained: itself, all its embeddings, or none.
    calls:   every layer call, in order of completion.
    filled:  where the rows lie in the batch that was run, for models with a batch size of their own. What is not said to
             be kept, such as a layer's output, has all rows of it.
    """

    outputs: Structure
    named: Structure
    fed: Sequence[Tensor]
    places: Sequence[Place]
    parts: Sequence[Sequence[Tensor]]
    calls: list[LayerCall]
    filled: Filled | None = None

    def kept(self, tensor: Tensor) -> Tensor:
        """A tensor of the whole batch (B, ...), without what only filled it up."""
        return tensor if self.filled is None else self.filled.kept(tensor)

    @functools.cached_property
    def points(self) -> PerInput:
        """For each input what it is explained at: itself, its embeddings as one tensor (N, ..., D), or None."""
        return [None if point is None else self.kept(point) for point in self._joined(self.parts)]

    @property
    def sources(self) -> list[Tensor]:
        """The tensors at which the inputs are explained, of all inputs: gradients go back to them."""
        return [tensor for parts in self.parts for tensor in parts]

    @functools.cached_property
    def _ahead(self) -> list[set[Operation]]:
        return [operations_ahead(parts) for parts in self.parts]

    def reaches(self, which: int, tensor: Tensor) -> bool:
        """Whether a tensor depends on the input with this number."""
        return any(tensor is part for part in self.parts[which]) or tensor.op in self._ahead[which]

    def alignment(self, which: int) -> Alignment:
        """Where the tensors of this pass lie in the input with this number."""
        if which not in self._alignments:
            place, fed = self.places[which], self.fed[which]
            if isinstance(place, Embedded):
                sources = [(part, place.layout(k, part)) for k, part in enumerate(self.parts[which])]
            else:
                own = self.parts[which][0] if isinstance(place, str) else fed
                sources = [(own, layout_of_input(list(fed.shape)))]
            self._alignments[which] = Alignment(fed.graph, sources)
        return self._alignments[which]

    @functools.cached_property
    def _alignments(self) -> dict[int, Alignment]:
        return {}

    def space(self, which: int) -> tuple[int | None, ...]:
        """The axes of an input along which places lie: all of ids, else without the batch and the channels."""
        if isinstance(self.places[which], Embedded):
            return tuple(self.fed[which].shape[1:])
        return tuple(self.fed[which].shape[1:-1])

    def layer_of(self, op: Operation) -> str:
        """The path of the innermost layer in whose call an operation was made, or after which it is named; or ""."""
        number = self._order.get(op, -1)
        inside = [call for call in self.calls if call.path and call.span[0] <= number < call.span[1]]
        if inside:
            return min(inside, key=lambda call: call.span[1] - call.span[0]).path
        named = {call.path for call in self.calls}  # in a module, tensors go by the names of operations
        scopes = op.name.split("/")
        prefixes = ("/".join(scopes[:i]) for i in range(len(scopes), 0, -1))
        return next((prefix for prefix in prefixes if prefix in named), "")

    @functools.cached_property
    def _order(self) -> dict[Operation, int]:
        graph = next((tensor.graph for tensor in tensors_in(self.outputs)), None)
        return {} if graph is None else {op: i for i, op in enumerate(graph.get_operations())}

    def _joined(self, parts: Sequence[Sequence[Tensor]]) -> PerInput:
        return [
            place.joined(tensors) if isinstance(place, (Embedded, Inner)) else tensors[0] if tensors else None
            for place, tensors in zip(self.places, parts, strict=True)
        ]

    def gradients(
        self, score: Tensor, of: Sequence[Tensor] | None = None, *, partial: bool = False
    ) -> PerInput:
        """d score / d points (or of the given tensors, of the whole batch), float32; zero where the score does not depend on one.

        partial: where one of the tensors is made of another, only what the score reads of itself: the others are held.

        Raises ValueError if the score does not depend on any of them.
        """
        wanted = list(self.sources if of is None else of)
        # Of several layers that are explained side by side one may be made of another.
        partial = partial or (of is None and any(isinstance(place, Inner) for place in self.places))
        behind = operations_behind([score], differentiable=True)
        moving = operations_ahead(wanted) | {tensor.op for tensor in wanted}
        with folded(behind & moving, moving, wanted):
            gradients = tf.gradients(score, wanted, stop_gradients=wanted if partial else None)
        if all(gradient is None for gradient in gradients) and of is not None:
            raise ValueError(
                "The score does not depend on the layer that was asked for, or not in a way that TensorFlow can "
                "differentiate. Name a layer between the inputs and this score: tfxai.layers lists them."
            )
        if all(gradient is None for gradient in gradients):
            raise ValueError(
                "The score does not depend on the inputs in a way that TensorFlow can differentiate. Use a score and a "
                "model made of TensorFlow operations, or a method that only hides parts (Occlusion, RISE, LIME ...)."
            )
        dense = iter(
            tf.zeros_like(tensor) if gradient is None else tf.convert_to_tensor(gradient)
            for tensor, gradient in zip(wanted, gradients, strict=True)
        )
        if of is not None:
            return [tf.cast(gradient, tf.float32) for gradient in dense]
        joined = self._joined([[tf.cast(next(dense), tf.float32) for _ in parts] for parts in self.parts])
        return [None if gradient is None else self.kept(gradient) for gradient in joined]
