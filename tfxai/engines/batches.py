"""A traced body, run on all rows in batches."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.request import Request
from tfxai.model import Embedded, Network
from tfxai.support import warn


def run_in_batches(
    request: Request,
    settings: Sequence[Hashable],
    body: Callable[..., Any],
    extras: Sequence[NDArray] = (),
    constants: Sequence[Any] = (),
) -> Any:
    """Runs a traced `body(facts, inputs, codes, *extras, *constants)` on all rows in batches and joins what it returns.

    inputs: tensors of the network's inputs (B, ...); codes: (B,); extras: arrays with one entry per example; constants:
    arrays that every batch sees whole.
    body returns any structure of tensors with first axis B, and of None. It is traced once.
    """
    count = len(request.network.arrays)

    def traced(facts: dict[str, Any], *tensors: Any) -> Any:
        found = body(facts, tensors[:count], tensors[count], *tensors[count + 1 :])
        flat = tf.nest.flatten(found)
        facts["structure"] = tf.nest.map_structure(lambda tensor: tensor is not None, found)
        return [tensor for tensor in flat if tensor is not None]

    joined: list[NDArray] = []
    compiled: Any = None
    constants = [tf.convert_to_tensor(constant) for constant in constants]
    with request.bar(request.rows) as advance:
        for block in request.blocks():
            arguments = [*request.rows_of(request.network.arrays, block), request.target_codes_of(block)]
            arguments += [*request.rows_of(extras, block), *constants]
            compiled = request.compiled(settings, traced, arguments)
            parts = [tensor.numpy() for tensor in compiled(*arguments)]
            if block == slice(0, request.rows):
                joined = parts
            else:
                joined = joined or [np.empty((request.rows, *part.shape[1:]), part.dtype) for part in parts]
                for whole, part in zip(joined, parts, strict=True):
                    whole[block] = part
            advance(block.stop - block.start)
    for message in compiled.facts.get("warnings", ()):
        warn(message)
    rest = iter(joined)
    return tf.nest.map_structure(lambda there: next(rest) if there else None, compiled.facts["structure"])


def per_token(values: Sequence[Any], network: Network) -> list[Any]:
    """Sums over the embedding axis where an input was explained at its embedding: one value per token."""
    return [
        tf.reduce_sum(value, axis=-1) if isinstance(place, Embedded) else value
        for value, place in zip(values, network.places, strict=True)
    ]


def sum_of_values(values: Sequence[Any]) -> Any:
    """Sum of all values of each row, over all inputs: (B,)."""
    return sum(
        tf.reduce_sum(tf.reshape(value, (tf.shape(value)[0], -1)), 1) for value in values if value is not None
    )
