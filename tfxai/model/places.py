"""Where each input of a model is explained: at itself, or at the tables that look its ids up."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.hub import Endpoint
from tfxai.model.casts import CAST, is_differentiable_at_casts
from tfxai.model.embeddings import lookups_of, other_readers, table_size_of
from tfxai.model.lookups import Lookup, places_in_row, places_of
from tfxai.model.operations import tensors_in
from tfxai.model.tracing import Body, TracedFunction, TraceRecord
from tfxai.support import Layer, Operation, Tensor, warn


@dataclasses.dataclass
class PlacesRecord(TraceRecord):
    """For each input where it is explained ("input", None, or its lookups), and the size of its table.

    Layers stand as positions in the list of layers: a layer itself would keep the model alive.
    moved: (input, number of the lookup) of lookups whose ids do not lie as the input does, for the function's results.
    unplaced: (input, number of the lookup) of those that cannot be lined up with the input.
    """

    places: list[Any] = dataclasses.field(default_factory=list)
    tables: list[int | None] = dataclasses.field(default_factory=list)
    moved: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    unplaced: list[tuple[int, int]] = dataclasses.field(default_factory=list)
    settled: bool = False

    def leave_masks(self, inputs: Sequence[Tensor]) -> None:
        """Whole numbers in the shape of token ids say which of these count: they stay as they are. Others are told of."""
        rows = [
            list(x.shape[1:]) for x, place in zip(inputs, self.places, strict=True) if isinstance(place, list)
        ]
        for i, (x, place) in enumerate(zip(inputs, self.places, strict=True)):
            if place == CAST and list(x.shape[1:]) in rows:
                self.places[i] = None
        self.warnings += [AT_FRACTIONS] if CAST in self.places else []

    def settle(
        self,
        results: Sequence[NDArray],
        shapes: Sequence[tuple[int, ...]],
        layers: Sequence[Layer],
        rows: int,
    ) -> None:
        """Sets the places of lookups whose ids are cut or turned. rows: of the batch that they were found in."""
        for (which, number), numbers in zip(self.moved, results, strict=True):
            lookups = self.places[which]
            places = places_in_row(numbers, math.prod(shapes[which]), rows)
            # An endpoint of a module can only be replaced as a whole.
            in_part = isinstance(layers[lookups[number].layer], Endpoint) and -1 in (places or ())
            if places is not None and not in_part:
                lookups[number] = dataclasses.replace(lookups[number], places=places)
            else:
                self.unplaced.append((which, number))
        self.settled = True

    def check_placed(self, arrays: Sequence[NDArray]) -> None:
        """Raises ValueError if an input's lookups cannot be told apart; warns where their order is not the input's."""
        every = [
            (i, lookup) for i, place in enumerate(self.places) if isinstance(place, list) for lookup in place
        ]
        for which, number in self.unplaced:
            lookup = self.places[which][number]
            shared = any(
                i != which and (each.layer, each.call) == (lookup.layer, lookup.call) for i, each in every
            )
            if shared or len(self.places[which]) > 1:
                raise ValueError(
                    f"Input {which} is looked up together with others, or in several tables, and its ids are mixed with each "
                    "other, or their order depends on the data, so that no value can be given to each id. Use a method "
                    "that hides parts (Occlusion, LIME, KernelSHAP ...), or explain the model behind the tables."
                )
            if arrays[which].dtype != object:
                warn(
                    "The model looks its ids up in an order that depends on the data, or mixes them; the values are those of "
                    "what it looks up, in its order, and may not line up with the inputs."
                )


@dataclasses.dataclass(frozen=True)
class Places(Body):
    """Which inputs are looked up in which embeddings. What it gives are the places of ids that are cut or turned."""

    Record: ClassVar[type[TraceRecord]] = PlacesRecord
    any_size: ClassVar[bool] = False

    def __call__(self, network: Any, record: PlacesRecord, *given: Tensor) -> list[Tensor]:
        inputs = network.filled(given)
        output = network.called(inputs, {})
        tensors = [t for t in tensors_in(output.outputs) if t.dtype.is_floating]
        layers = [id(layer) for _, layer in network.layers]
        moved: list[Tensor] = []
        for which, tensor in enumerate(inputs):
            direct = tensor.dtype.is_floating and tf.gradients(tensors, tensor)[0] is not None
            lookups = lookups_of(tensor, output.calls)
            found = [] if direct else lookups
            record.tables.append(table_size_of(tensor, output.calls))
            is_cast = not direct and not found and is_differentiable_at_casts(tensor, tensors)
            record.places.append(
                [Lookup.of(layers.index(id(call.layer)), number, call.output) for call, number in found]
                or ("input" if direct else CAST if is_cast else None)
            )
            if direct and lookups:
                record.warnings.append(READ_AS_NUMBERS)
            for number, (call, _) in enumerate(found):
                places = places_of(tf.nest.flatten(call.inputs)[0], tensor, inputs)
                if places is not None:
                    record.moved.append((which, number))
                    moved.append(places)
            if found and (others := other_readers(tensor, [call for call, _ in found])):
                record.warnings.append(_unexplained(others))
        record.leave_masks(inputs)
        return moved


def numbers_from(function: TracedFunction, arguments: Sequence[NDArray]) -> list[NDArray]:
    """The places of ids in the input; none of them where operations on the way do not go place by place."""
    try:
        return [tensor.numpy() for tensor in function(*arguments)]
    except tf.errors.InvalidArgumentError:
        return [np.array([])] * len(function.record.moved)


AT_FRACTIONS = (
    "An input is whole numbers, which have no gradient: it is explained where the model has turned it into fractions, before "
    "anything else."
)
READ_AS_NUMBERS = (
    "An input is read as numbers, and parts of it are also looked up in a table (embedding), where no gradient goes: these "
    "parts get no value. Give them as an input of their own, or use a method that hides parts."
)


def _unexplained(readers: Sequence[Operation]) -> str:
    kinds = ", ".join(sorted({op.type for op in readers}))
    return (
        f"The token ids are also read as numbers, beside their embedding (by {kinds}); what the score owes to that is in no "
        "value."
    )
