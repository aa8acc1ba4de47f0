"""Where a path from a baseline to an input begins and ends."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfxai.engines.scoring import Tracer
from tfxai.engines.twins import remember_twins
from tfxai.model import Embedded, ForwardPass
from tfxai.support import PerInput, Tensor


def starts_and_ends(
    tracer: Tracer, inputs: Sequence[Tensor], baselines: Sequence[Tensor]
) -> tuple[PerInput, PerInput]:
    """Inside a trace: the baselines and the inputs as points; embeddings where token ids are explained."""
    inputs, places = list(inputs), tracer.places
    are_embedded = any(isinstance(place, Embedded) for place in places)
    if are_embedded:
        ends = tracer.forward(inputs).points
        # Token ids as baseline are looked up like the input; a number is one in the embedding's own space.
        ids = [b if b.shape.rank == x.shape.rank else x for x, b in zip(inputs, baselines, strict=True)]
        at_baselines: Sequence[Tensor] = tracer.forward(ids).points
    else:
        ends = [x if place == "input" else None for x, place in zip(inputs, places, strict=True)]
        at_baselines = baselines
    starts: PerInput = []
    for x, baseline, end, place, start in zip(inputs, baselines, ends, places, at_baselines, strict=True):
        if end is None:
            starts.append(None)
        elif isinstance(place, Embedded) and baseline.shape.rank != x.shape.rank:
            number = tf.reshape(baseline, [-1] + [1] * (end.shape.rank - 1))
            starts.append(tf.cast(number, end.dtype) + tf.zeros_like(end))
        else:
            starts.append(start)
    return starts, ends


def both_ends(
    tracer: Tracer,
    inputs: Sequence[Tensor],
    starts: Sequence[Tensor],
    ends: Sequence[Tensor],
    target_codes: Tensor,
) -> tuple[ForwardPass, Tensor, Tensor, Tensor]:
    """One pass over inputs and baselines together, [inputs; baselines]: the pass, targets, and both scores (B,).

    The baseline is scored for the class of its input, also where that is the predicted one. Models with a batch size of
    their own have a pass for each; the one that comes back is that of the inputs, and `tfxai.engines.twins` knows the other.
    """
    if tracer.network.batch is not None:  # which may have no room for both
        forward = tracer.forward(inputs, ends)
        scores, targets = tracer.scored(forward, target_codes)
        base_scores, _ = tracer.scored(tracer.forward(inputs, starts), targets)
        remember_twins(scores, base_scores)
        return forward, targets, scores, base_scores
    points = [
        None if end is None else tf.concat([end, start], 0) for start, end in zip(starts, ends, strict=True)
    ]
    forward = tracer.forward([tf.concat([x, x], 0) for x in inputs], points)
    _, targets = tracer.scored(forward, tf.concat([target_codes, target_codes], 0))
    count = tf.shape(target_codes)[0]
    targets = targets[:count]
    scores, _ = tracer.scored(forward, tf.concat([targets, targets], 0))
    return forward, targets, scores[:count], scores[count:]
