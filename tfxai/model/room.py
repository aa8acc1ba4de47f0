"""How many rows a model may see at once, so that what its layers put out fits into a budget of memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import tensorflow as tf

from tfxai.model.network import Network
from tfxai.model.operations import tensors_in
from tfxai.model.tracing import Body, TraceRecord, cache_of
from tfxai.support import Tensor

BUDGET = (
    2**31
)  # bytes that all operations put out for one batch; TensorFlow holds half of them at a time, or fewer
SHARE = 0.4  # of what a GPU has left
MOST = 1024  # rows: more at once are no quicker
UNKNOWN = 32  # rows, of functions on arrays, into which nobody can look


def rows_at_once(network: Network) -> int:
    """A power of two, found by doubling from one row on while a batch fits into the budget.

    Counted in the graph, not tried: so it is the same on every processor, and last digits with it. A pass back holds what the pass there put
    out, and as much again. Cost: traces the model once, runs nothing. Of a model whose memory ran short it is never more again
    than what was enough.
    """
    most = cache_of(network.model).room or MOST
    if network.adapter.runs_python:
        return min(UNKNOWN, most)
    record: _SizeRecord = network.traced(_Size(), network.arrays).record
    each = record.bytes * (2 if network.needs.gradients else 1)
    budget, rows = _budget(), 1
    while rows < most and 2 * rows * each <= budget:
        rows *= 2
    return rows


def halved(network: Network, rows: int) -> int:
    """Half of so many rows, for good: they did not fit."""
    cache_of(network.model).room = half = rows // 2
    return half


def _budget() -> float:
    if not tf.config.get_visible_devices("GPU"):
        return BUDGET
    try:
        used = tf.config.experimental.get_memory_info("GPU:0")["current"]
        details = tf.config.experimental.get_device_details(tf.config.get_visible_devices("GPU")[0])
        return max(SHARE * (details["memory"] - used), BUDGET)
    except (KeyError, ValueError, RuntimeError):  # this device does not tell
        return BUDGET


@dataclasses.dataclass
class _SizeRecord(TraceRecord):
    """Bytes that one row puts out on its way."""

    bytes: int = 0


@dataclasses.dataclass(frozen=True)
class _Size(Body):
    """What every operation puts out for one row. Traced, and never run."""

    Record: ClassVar[type[TraceRecord]] = _SizeRecord
    any_size: ClassVar[bool] = False

    def __call__(self, network: Network, record: _SizeRecord, *tensors: Tensor) -> list[Tensor]:
        forward = network.forward(tensors)
        graph = tf.compat.v1.get_default_graph()
        outputs = [tensor for operation in graph.get_operations() for tensor in operation.outputs]
        record.bytes = sum(map(_bytes_of_a_row, outputs))
        found: Sequence[Tensor] = [each for each in tensors_in(forward.outputs) if each.dtype.is_floating]
        return [tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in found]


def _bytes_of_a_row(tensor: Tensor) -> int:
    """Of a tensor (n, ...) with n rows; nothing of others, and of those of unknown size."""
    shape = tensor.shape
    if shape.rank in (None, 0) or shape[0] is not None or None in shape[1:]:
        return 0
    return int(np.prod(shape[1:])) * max(tensor.dtype.size or 0, 0)
