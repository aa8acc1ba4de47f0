"""Where a path from a baseline to an input begins and ends, and the model's own scores there."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tfxai.engines.scoring import Tracer
from tfxai.model import Embedded, ForwardPass, is_embedding, is_padding_mask
from tfxai.support import PerInput, Tensor

OTHER_BASELINE = (
    "Another baseline may help: at zeros a normalisation may have nothing to divide by; for token ids, give those of a "
    "padding token."
)


@dataclasses.dataclass(frozen=True)
class Ends:
    """Both ends of the paths of some rows, inside a trace; for each input None where there is none.

    starts, ends: the baselines and the inputs as points (B, ...); embeddings where token ids are explained, what a layer puts
           out where that is.
    ids:   token ids (B, ...) that are the baseline.
    masks: which of the input's ids are padding, as layers tell those that follow: {(id of the layer, call): (B, ...)}. Where
           ids are the baseline, paths keep the mask of the input: places that are there at one end and not at the other
           have nothing between.
    below: where a layer is explained, the ends of the inputs.
    given: the baselines as they were given, where that is in the shape of the inputs.
    """

    starts: PerInput
    ends: PerInput
    ids: PerInput
    masks: Mapping[tuple[int, int], Tensor]
    given: PerInput
    below: Ends | None = None

    def gathered(self, starts: Tensor, rows: Tensor) -> Ends:
        """Some starts (M,) with some rows (M,)."""
        return Ends(
            _gathered(self.starts, starts),
            _gathered(self.ends, rows),
            _gathered(self.ids, starts),
            {key: tf.gather(mask, rows) for key, mask in self.masks.items()},
            _gathered(self.given, starts),
            None if self.below is None else self.below.gathered(starts, rows),
        )


def starts_and_ends(
    tracer: Tracer, inputs: Sequence[Tensor], baselines: Sequence[Tensor], shared: bool = False
) -> Ends:
    """Inside a trace: the baselines and the inputs as ends of paths.

    shared: the baselines do not belong to one row each.
    """
    own = _own_ends(tracer, inputs, baselines)
    if tracer.network.inner is None:
        return own
    if shared:  # each has its own mask
        own = dataclasses.replace(own, masks={})
    others: PerInput = [None] * (len(inputs) - 1)
    end, start = tracer.forward(inputs).points[0], _model_at(tracer, inputs, own).points[0]
    return Ends([start, *others], [end, *others], [None, *others], {}, own.given, own)


def _own_ends(tracer: Tracer, inputs: Sequence[Tensor], baselines: Sequence[Tensor]) -> Ends:
    """The same of the inputs themselves."""
    inputs, places = list(inputs), tracer.network.own_places
    given = [
        baseline if baseline.shape.rank == x.shape.rank else None
        for x, baseline in zip(inputs, baselines, strict=True)
    ]
    if not any(isinstance(place, Embedded) for place in places):
        ends = [None if place is None else _fractions(x) for x, place in zip(inputs, places, strict=True)]
        starts = [
            None if end is None else tf.cast(start, end.dtype)
            for end, start in zip(ends, baselines, strict=True)
        ]
        return Ends(starts, ends, [None] * len(inputs), {}, given)
    at_inputs = tracer.forward(inputs)
    ends = _own_points(tracer, at_inputs, inputs)
    ids = [own if isinstance(place, Embedded) else None for own, place in zip(given, places, strict=True)]
    # Token ids as baseline are looked up like the input; a number is one in the embedding's own space.
    fed = [x if own is None else own for x, own in zip(inputs, given, strict=True)]
    looked_up = _own_points(tracer, tracer.forward(fed), fed)
    starts = [
        _start(place, baseline, own, found, end)
        for place, baseline, own, found, end in zip(places, baselines, ids, looked_up, ends, strict=True)
    ]
    return Ends(starts, ends, ids, _masks(at_inputs, inputs, ids), given)


def _own_points(tracer: Tracer, forward: ForwardPass, inputs: Sequence[Tensor]) -> PerInput:
    """The points of the inputs themselves, whatever is explained."""
    return [
        None
        if place is None
        else forward.kept(place.joined(place.among(forward.calls)))
        if isinstance(place, Embedded)
        else _fractions(x)
        for x, place in zip(inputs, tracer.network.own_places, strict=True)
    ]


def _fractions(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype.is_floating else tf.cast(tensor, tf.float32)


def _start(place: object, baseline: Tensor, ids: Tensor, looked_up: Tensor, end: Tensor) -> Tensor:
    if end is None or not isinstance(place, Embedded):
        return None if end is None else baseline
    if ids is not None:
        return looked_up
    number = tf.reshape(baseline, [-1] + [1] * (end.shape.rank - 1))
    return tf.cast(number, end.dtype) + tf.zeros_like(end)


def _masks(forward: ForwardPass, inputs: Sequence[Tensor], ids: PerInput) -> dict[tuple[int, int], Tensor]:
    """Which ids are padding, of inputs with ids as baseline: what tables say of it, and layers that compare ids with 0."""
    given = [x for x, own in zip(inputs, ids, strict=True) if own is not None]
    if not given:
        return {}
    counts: collections.Counter[int] = collections.Counter()
    found = {}
    for call in forward.calls:
        key = id(call.layer), counts[id(call.layer)]
        counts[id(call.layer)] += 1
        if any(is_padding_mask(call.output, x) for x in given):  # so is a mask told on in a functional model
            found[key] = call.output
        elif (mask := getattr(call.output, "_keras_mask", None)) is not None and is_embedding(call.layer):
            found[key] = mask
    return found


def at_starts(tracer: Tracer, inputs: Sequence[Tensor], ends: Ends) -> ForwardPass:
    """The model at the starts of paths; called on the ids themselves, where these are the baseline."""
    if ends.below is not None:
        return _model_at(tracer, inputs, ends.below)
    fed = [x if ids is None else ids for x, ids in zip(inputs, ends.ids, strict=True)]
    points = [None if ids is not None else start for start, ids in zip(ends.starts, ends.ids, strict=True)]
    return tracer.forward(fed, points, _masked(ends.masks))


def _model_at(tracer: Tracer, inputs: Sequence[Tensor], own: Ends) -> ForwardPass:
    """The model at the baselines of its inputs, of which a layer is explained."""
    fed = [
        x if given is None else tf.cast(given, x.dtype) for x, given in zip(inputs, own.given, strict=True)
    ]
    # Pixels of whole numbers may have fractions as their baseline, and embeddings a number.
    whole = [given is not None and x.dtype.is_floating for x, given in zip(inputs, own.given, strict=True)]
    kept = [
        None if is_fed or ids is not None else start
        for is_fed, ids, start in zip(whole, own.ids, own.starts, strict=True)
    ]
    return tracer.forward(fed, None, _masked(own.masks), own=kept)


def both_ends(
    tracer: Tracer, inputs: Sequence[Tensor], ends: Ends, target_codes: Tensor, plain: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Classes (B,), and the scores of inputs and of baselines (B,): one pass over [inputs; baselines].

    The baseline is scored for the class of its input, also where that is the predicted one.

    plain: where ids are the baseline, the model is called on these ids: what paths leave out then shows in its score. Else
           it is called on the input's, with what the tables give for the baseline's; for a baseline that nobody gave, since
           a model that masks its padding by itself may have no answer for padding alone.
    """
    if tracer.network.batch is not None or ends.below is not None:  # there may be no room for both
        return two_passes(tracer, inputs, ends, target_codes, plain)[1:]
    ids = ends.ids if plain else [None] * len(ends.ids)
    fed = [tf.concat([x, x if own is None else own], 0) for x, own in zip(inputs, ids, strict=True)]
    points = [
        None if end is None or own is not None else tf.concat([end, start], 0)
        for start, end, own in zip(ends.starts, ends.ends, ids, strict=True)
    ]
    masks = {key: tf.concat([mask, mask], 0) for key, mask in ends.masks.items()} if plain else {}
    forward = tracer.forward(fed, points, _masked(masks))
    _, targets = tracer.scored(forward, tf.concat([target_codes, target_codes], 0))
    count = tf.shape(target_codes)[0]
    targets = targets[:count]
    scores, _ = tracer.scored(forward, tf.concat([targets, targets], 0))
    return targets, scores[:count], scores[count:]


def two_passes(
    tracer: Tracer, inputs: Sequence[Tensor], ends: Ends, target_codes: Tensor, plain: bool = True
) -> tuple[ForwardPass, Tensor, Tensor, Tensor]:
    """A pass over the inputs and one over the baselines: the first, classes, and both scores (B,).

    plain: see `both_ends`.
    """
    below = ends.below
    forward = tracer.forward(inputs, ends.ends if below is None else None)
    scores, targets = tracer.scored(forward, target_codes)
    if plain:
        start = at_starts(tracer, inputs, ends)
    elif below is None:
        start = tracer.forward(inputs, ends.starts)
    else:
        start = tracer.forward(inputs, own=below.starts)
    base_scores, _ = tracer.scored(start, targets)
    return forward, targets, scores, base_scores


def _masked(masks: Mapping[tuple[int, int], Tensor]) -> dict:
    return {key: functools.partial(_with_mask, mask) for key, mask in masks.items()}


def _with_mask(mask: Tensor, output: Tensor) -> Tensor:
    """A mask instead of a layer's own: its output, or what Keras keeps beside that."""
    if output.dtype == tf.bool:
        return mask
    output = tf.identity(output)
    output._keras_mask = mask
    return output


def _gathered(tensors: Sequence[Tensor], rows: Tensor) -> PerInput:
    return [None if tensor is None else tf.gather(tensor, rows) for tensor in tensors]
