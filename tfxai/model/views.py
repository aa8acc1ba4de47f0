"""In which axes a model itself reads an input: a row of pixels that it reshapes at once is an image."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.layout_rules import ENTRY_BY_ENTRY
from tfxai.model.operations import operations_ahead, tensors_in
from tfxai.model.tracing import Body, TraceRecord
from tfxai.support import Tensor

WINDOWS = ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "AvgPool", "AvgPool3D", "MaxPool", "MaxPool3D")


@dataclasses.dataclass
class ViewsRecord(TraceRecord):
    """For each input the shape of one row as the model reads it; None: as it is."""

    views: list[tuple[int, ...] | None] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Views(Body):
    """In which axes inputs are read. Traced, and never run."""

    Record: ClassVar[type[TraceRecord]] = ViewsRecord
    any_size: ClassVar[bool] = False

    def __call__(self, network: Any, record: ViewsRecord, *given: Tensor) -> list[Tensor]:
        inputs = network.filled(given)
        output = network.called(inputs, {})
        record.views = [view_of(tensor) if tensor.dtype.is_floating else None for tensor in inputs]
        return [
            tf.reduce_sum(tf.cast(t, tf.float32)) for t in tensors_in(output.outputs) if t.dtype != tf.string
        ]


def may_be_reshaped(array: NDArray) -> bool:
    """Whether an input may be read in more axes than it has: rows and series of numbers."""
    return array.dtype.kind == "f" and array.ndim in (2, 3) and array.shape[1:] != (1,)


def view_of(source: Tensor) -> tuple[int, ...] | None:
    """The shape of one row as the model sees it, where it gives an input (N, ...) more axes before anything else.

    None if it does not. Axes of length 1 count only at the end, as channels: elsewhere they serve a convolution.
    """
    waiting, seen, best = [source], {source.name}, None
    while waiting:
        tensor = waiting.pop()
        for op in tensor.consumers():
            output = op.outputs[0] if op.outputs else None
            if output is None or output.name in seen or op.inputs[0] is not tensor:
                continue
            seen.add(output.name)
            if op.type in ("Reshape", "ExpandDims") and _gives_axes(tensor, output):
                # A series stays one, unless windows run over its new axes: it may get some for a product alone.
                if source.shape.rank > 2 and not _has_windows(output):
                    continue
                if best is None or output.shape.rank > len(best) + 1:
                    best = tuple(int(n) for n in output.shape[1:])
                waiting.append(output)
            elif (
                output.shape.rank is not None
                and op.type in ENTRY_BY_ENTRY
                and list(output.shape) == list(tensor.shape)
            ):
                waiting.append(output)
    return best


def _has_windows(tensor: Tensor) -> bool:
    """Whether windows run over all axes of a tensor (N, h, w ..., channels), or of what is made of it."""
    read = [op.inputs[0].shape for op in operations_ahead([tensor]) if op.type in WINDOWS]
    return any(shape.rank == tensor.shape.rank and 1 not in shape[1:-1].as_list() for shape in read)


def _gives_axes(before: Tensor, after: Tensor) -> bool:
    if after.shape.rank is None or before.shape.rank is None or after.shape.rank <= before.shape.rank:
        return False
    old, new = list(before.shape[1:]), list(after.shape[1:])
    if None in old or None in new or int(np.prod(old)) != int(np.prod(new)):
        return False
    return new[-1] == 1 or [n for n in new if n != 1] != [n for n in old if n != 1]
