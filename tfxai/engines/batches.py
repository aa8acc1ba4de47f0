"""A traced body, run on all rows in batches."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.request import Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.model import Embedded, Place, TraceRecord
from tfxai.support import PerInput, Tensor, warn


def run_in_batches(
    request: Request,
    body: ScoredBody,
    extras: Sequence[NDArray] = (),
    constants: Sequence[Any] = (),
) -> Any:
    """Runs `body(tracer, inputs, target_codes, *extras, *constants)` on all rows in batches and joins what it returns.

    inputs: tensors of the network's inputs (B, ...); target_codes: (B,); extras: arrays with one entry per example;
    constants: arrays that every batch sees whole.
    body returns any structure of tensors with first axis B, and of None. It is traced once.
    """
    if (inside := request.inside) is not None:
        rest = [tf.convert_to_tensor(array) for array in (*extras, *constants)]
        return inside.called(request.network, request.scoring, body, inside.inputs, inside.codes, *rest)
    joined: Any = None
    for block, parts in batches_of(request, body, extras, constants):
        if block == slice(0, request.rows):
            joined = parts
            continue
        if joined is None:
            joined = tf.nest.map_structure(
                lambda part: None if part is None else np.empty((request.rows, *part.shape[1:]), part.dtype),
                parts,
            )
        for whole, part in zip(tf.nest.flatten(joined), tf.nest.flatten(parts), strict=True):
            if whole is not None:
                whole[block] = part
    return joined


def batches_of(
    request: Request, body: ScoredBody, extras: Sequence[NDArray] = (), constants: Sequence[Any] = ()
) -> Iterator[tuple[slice, Any]]:
    """The same, batch by batch: its rows, and what the body returned for them, as NumPy arrays."""
    batch = _Batch(body, len(request.network.arrays))
    constants = [tf.convert_to_tensor(constant) for constant in constants]
    record = TraceRecord()
    with request.bar(request.rows) as advance:
        for block in request.blocks():
            arguments = [*request.rows_of(request.network.arrays, block), request.target_codes_of(block)]
            arguments += [*request.rows_of(extras, block), *constants]
            function = request.traced(batch, arguments)
            rest = (tensor.numpy() for tensor in function(*arguments))
            record = function.record
            yield (
                block,
                tf.nest.map_structure(
                    lambda is_tensor, rest=rest: next(rest) if is_tensor else None, record.tensors
                ),
            )
            advance(block.stop - block.start)
    for message in record.warnings:
        warn(message)


@dataclasses.dataclass(frozen=True)
class _Batch(ScoredBody):
    """A body with its tensors as a flat list; the record knows their structure."""

    body: ScoredBody
    inputs: int

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> list[Tensor]:
        structure = self.body(tracer, tensors[: self.inputs], *tensors[self.inputs :])
        tracer.record.tensors = tf.nest.map_structure(lambda tensor: tensor is not None, structure)
        return [tensor for tensor in tf.nest.flatten(structure) if tensor is not None]

    def new_record(self) -> TraceRecord:
        return self.body.new_record()


def per_token(values: Sequence[Tensor], places: Sequence[Place], *, sensitivities: bool = False) -> PerInput:
    """One value per token where an input was explained at its embedding.

    Contributions add up over the axis of the embedding; of sensitivities it is the length of the vector (L2), since their
    sum says nothing: behind a layer norm it is 0 for every token.
    """
    over = functools.partial(tf.norm, axis=-1) if sensitivities else functools.partial(tf.reduce_sum, axis=-1)
    return [
        over(value) if isinstance(place, Embedded) else value
        for value, place in zip(values, places, strict=True)
    ]


def sum_of_values(values: Sequence[Tensor]) -> Tensor:
    """Sum of all values of each row, over all inputs: (B,)."""
    return sum(
        tf.reduce_sum(tf.reshape(value, (tf.shape(value)[0], -1)), 1) for value in values if value is not None
    )


def times(values: Sequence[Tensor], factors: Sequence[Tensor]) -> PerInput:
    """For each input its values times something of their shape, 0 where that is 0; None where it is not explained."""
    return [
        None if value is None else tf.math.multiply_no_nan(value, tf.cast(factor, value.dtype))
        for value, factor in zip(values, factors, strict=True)
    ]


UNROLLED = 4  # passes, at most, that are laid out one behind the other where their number is known: some engines have no loops


def known_passes(first: Tensor, last: Tensor) -> range | None:
    """The numbers of few passes, where they are known while the graph is made; None where a loop is needed."""
    begin, end = tf.get_static_value(first), tf.get_static_value(last)
    if begin is None or end is None or end - begin > UNROLLED:
        return None
    return range(int(begin), int(end))


def chunk_of(number: Tensor, total: Tensor, chunks: Tensor, padded: int | None = None) -> Tensor:
    """The numbers in one chunk of a plan: as even as possible, or all of one size, the last one filled up."""
    if padded is not None:
        return tf.minimum(number * padded + tf.range(padded), total - 1)
    size, rest = total // chunks, total % chunks
    begin = number * size + tf.minimum(number, rest)
    return tf.range(begin, begin + size + tf.cast(number < rest, tf.int32))
