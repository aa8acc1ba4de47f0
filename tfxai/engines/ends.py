"""Where a path from a baseline to an input begins and ends."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfxai.engines.request import Request
from tfxai.model import Embedded, Network


def starts_and_ends(network: Network, inputs: list[Any], baselines: list[Any]) -> tuple[list[Any], list[Any]]:
    """Inside a trace: the baselines and the inputs as points; embeddings where token ids are explained."""
    embedded = any(isinstance(place, Embedded) for place in network.places)
    ends = network.forward(inputs).points if embedded else [
        x if place == "input" else None for x, place in zip(inputs, network.places, strict=True)
    ]  # fmt: skip
    # Token ids as baseline are looked up like the input; a number is one in the embedding's own space.
    by_ids = [b if b.shape.rank == x.shape.rank else x for x, b in zip(inputs, baselines, strict=True)]
    looked_up = network.forward(by_ids).points if embedded else baselines
    starts: list[Any] = []
    for x, b, end, place, looked in zip(inputs, baselines, ends, network.places, looked_up, strict=True):
        if end is None:
            starts.append(None)
        elif isinstance(place, Embedded) and b.shape.rank != x.shape.rank:
            starts.append(tf.cast(b, end.dtype) + tf.zeros_like(end))
        else:
            starts.append(looked)
    return starts, ends


def both_ends(
    request: Request,
    inputs: list[Any],
    starts: list[Any],
    ends: list[Any],
    target_codes: Any,
    facts: dict[str, Any],
) -> tuple[Any, Any, Any, Any]:
    """One pass over inputs and baselines together, [inputs; baselines]: the pass, targets, and both scores.

    The baseline is scored for the class of its input, also where that is the predicted one.
    """
    points = [None if e is None else tf.concat([e, s], 0) for s, e in zip(starts, ends, strict=True)]
    trace = request.network.forward([tf.concat([x, x], 0) for x in inputs], points)
    _, targets = request.scored(trace, tf.concat([target_codes, target_codes], 0), facts)
    count = tf.shape(target_codes)[0]
    targets = targets[:count]
    scores, _ = request.scored(trace, tf.concat([targets, targets], 0), facts)
    return trace, targets, scores[:count], scores[count:]
