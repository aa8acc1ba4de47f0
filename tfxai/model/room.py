"""How many rows a model may see at once, so that what its layers put out fits into a budget of memory."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, ParamSpec, TypeVar

import tensorflow as tf

from tfxai.graphs import bytes_of_a_row
from tfxai.model.network import Needs, Network
from tfxai.model.operations import tensors_in
from tfxai.model.tracing import Body, TraceRecord, cache_of
from tfxai.support import Inputs, Model, Tensor, warn

P = ParamSpec("P")
R = TypeVar("R")

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
    cache_of(network.model).rows = rows
    return rows


def number_of_rows(batch_size: int | str, model: Model, inputs: Inputs, name: str) -> int:
    """A batch size as a number, for passes forward on inputs like these (1, ...)."""
    if batch_size != "auto":
        return int(batch_size)
    return rows_at_once(Network(model, inputs, Needs(gradients=False), name))


def halved(model: Model, rows: int) -> int:
    """Half of so many rows, for good: they did not fit."""
    cache_of(model).room = half = rows // 2
    return half


def in_room(model: Model, batch_size: int | str, name: str, run: Callable[[], R]) -> R:
    """What a function gives that asks for `rows_at_once`; it is called again, with half of them, while memory runs short.

    name: of who warns, once. A batch size that is a number is not changed.

    Raises MemoryError if there is no room for one row, or for that number.
    """
    fewer = None
    while True:
        try:
            found = run()
            break
        except MemoryError:
            tried = cache_of(model).rows or 1
            if batch_size != "auto" or tried == 1:
                raise
            fewer = halved(model, tried)
    if fewer is not None:
        warn(
            f"{name}: the memory does not suffice. This model is run with {fewer} rows at once from now on; last digits may differ "
            "from those of another batch size."
        )
    return found


def fitting(function: Callable[P, R]) -> Callable[P, R]:
    """A function that takes a `model` and a `batch_size`, run `in_room`."""
    signature = inspect.signature(function)
    name = function.__qualname__.removesuffix(".__call__")

    @functools.wraps(function)
    def run(*positional: P.args, **named: P.kwargs) -> R:
        given: dict[str, Any] = signature.bind(*positional, **named).arguments
        batch_size = given.get("batch_size", 32)
        return in_room(given["model"], batch_size, name, lambda: function(*positional, **named))

    return run


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
        record.bytes = bytes_of_a_row(graph.as_graph_def(add_shapes=True))
        found: Sequence[Tensor] = [each for each in tensors_in(forward.outputs) if each.dtype.is_floating]
        return [tf.reduce_sum(tf.cast(tensor, tf.float32)) for tensor in found]
