"""Where a layer that is explained lies in the model, and what it puts out for each row."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from tfxai.model.inner import Inner, one_for_all
from tfxai.model.named_layers import At, LayerChoice, first_tensor, named_call
from tfxai.model.tracing import Body, TraceRecord
from tfxai.support import Tensor


@dataclasses.dataclass
class InnerRecord(TraceRecord):
    """Of each layer its place in the list of layers (a layer itself would keep the model alive), its path, and whether what
    it puts out depends on the inputs; and, once that was run, the shapes for each number of rows."""

    found: list[tuple[int, str, bool]] = dataclasses.field(default_factory=list)
    shapes: list[list[tuple[int, ...]]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class InnerOutputs(Body):
    """What the layers that are meant put out.

    Raises ValueError if one does not exist, is called more than once, or puts out no fractions.
    """

    Record: ClassVar[type[TraceRecord]] = InnerRecord
    any_size: ClassVar[bool] = False

    at: tuple[LayerChoice, ...]

    def __call__(self, network: Any, record: InnerRecord, *inputs: Tensor) -> list[Tensor]:
        forward = network.forward(inputs)
        layers = [id(layer) for _, layer in network.layers]
        outputs = []
        for choice in self.at:
            call = named_call(network.adapter, forward, choice)
            calls = [each for each in forward.calls if each.layer is call.layer]
            output = first_tensor(call.output)
            if len(calls) > 1:
                raise ValueError(
                    f"Layer {call.path!r} is called {len(calls)} times, so it is no one place. Name a layer that is called once."
                )
            if not output.dtype.is_floating:
                raise ValueError(
                    f"Layer {call.path!r} puts out {output.dtype.name}, and values need fractions. Name a layer behind it."
                )
            depends = any(forward.reaches(i, output) for i in range(len(inputs)))
            record.found.append((layers.index(id(call.layer)), call.path, depends))
            outputs.append(output)
        return outputs


def inner_at(network: Any, at: At) -> Inner:
    """The place that is meant by `at`.

    Raises ValueError if a layer does not exist, is called more than once, has no row for each example, or if several do
    not go side by side.
    """
    listed = isinstance(at, (list, tuple))
    choices = tuple(at) if listed else (at,)
    # What grows with the rows is theirs: two numbers of them tell, or the one that the model takes.
    counts = (2, 3) if network.batch is None else (network.batch.size,)
    few = [[array[np.arange(rows) % len(array)] for array in network.arrays] for rows in counts]
    given = few if network.batch is None else [[array[:1] for array in network.arrays]]
    function = network.traced(InnerOutputs(choices), given[0])
    record: InnerRecord = function.record
    if not record.shapes:
        record.shapes = [[tuple(output.shape) for output in function(*each)] for each in given]
    layers = [network.layers[number][1] for number, _, _ in record.found]
    paths = tuple(path for _, path, _ in record.found)
    common, shapes = [], []
    for path, (_, _, depends), found in zip(
        paths, record.found, zip(*record.shapes, strict=True), strict=True
    ):
        is_own = all(shape[:1] == (rows,) for shape, rows in zip(found, counts, strict=True))
        if not is_own and (depends or len(set(found)) > 1):
            raise ValueError(
                f"Layer {path!r} puts out {found[0]} for {counts[0]} examples: its first axis is not theirs. Name a layer that has "
                "a row for each example, such as the one in front of it."
            )
        common.append(not is_own)
        shapes.append(found[0][1:] if is_own or one_for_all(found[0]) else found[0])
    if len({(len(shape), shape[:-1]) for shape in shapes}) > 1 or len(set(paths)) < len(paths):
        listing = ", ".join(f"{path} {shape}" for path, shape in zip(paths, shapes, strict=True))
        raise ValueError(
            f"at has {listing}. Several layers must be different ones, whose outputs differ at most in the last axis; explain "
            "others in calls of their own."
        )
    return Inner(tuple(layers), paths, tuple(shapes), tuple(common), listed)
