"""Weighted sums of gradients at points: the SmoothGrad family and the Integrated Gradients family.

A method lists points as (row, parameters, weight); the loop over them lives in the graph, in chunks of `batch_size`,
whatever the number of rows and points, so memory does not grow with either.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import chunk_of, known_passes, per_token, sum_of_values, times
from tfxai.engines.ends import Ends, at_starts, both_ends, starts_and_ends
from tfxai.engines.request import Attribution, Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.engines.statistics import Chunk, PathPoints, Statistic, aligned
from tfxai.model import Embedded, Network
from tfxai.support import PerInput, Tensor

PathFunction = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""(start, end, parameters (B, P), number of the input) -> point, for one input; all parameters zero is the start.

A plain function of a module, or a frozen dataclass that can be called: its fields decide which trace is the right one.
"""


def straight(start: Tensor, end: Tensor, parameters: Tensor, which: int) -> Tensor:
    """start + a (end - start), with a the first parameter."""
    return start + aligned(parameters[:, 0], end) * (end - start)


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that are worked on together.

    Where the whole call is traced, tensors stand for arrays, and one block is all rows.

    rows:        which rows of the request.
    arguments:   the input arrays of these rows, then the starts.
    targets:     (rows,) resolved classes.
    scores, base_scores: (rows,) the target's score at the path's end and start; NaN where the starts are not one for
                 each row, or there is no path.
    zeros:       for each explained input, in the shape in which it is explained.
    advance:     moves the progress bar on, by a number of rows.
    """

    rows: slice
    arguments: list[NDArray]
    targets: NDArray
    scores: NDArray
    base_scores: NDArray
    zeros: list[Tensor]
    advance: Callable[[float], None]

    @property
    def count(self) -> int | Tensor:
        """How many rows there are; a tensor only where nobody knows while the call is traced."""
        return self.targets.shape[0] or tf.shape(self.targets)[0]


@dataclasses.dataclass(frozen=True)
class Paths:
    """The engine for one call.

    path:   where the points lie.
    starts: an array for each input: what the path function gets as start; None for methods without.
    shared: the starts belong to all rows (a background), not one to each example.
    plain:  see `both_ends`.
    """

    request: Request
    path: PathFunction = straight
    starts: Sequence[NDArray] | None = None
    shared: bool = False
    plain: bool = True

    @property
    def network(self) -> Network:
        """The network of the request."""
        return self.request.network

    def blocks(self) -> Iterator[Block]:
        """The request's rows, `batch_size` at a time, with the scores at the ends of their paths."""
        request = self.request
        # Methods without starts of their own share one trace, wherever their points lie.
        body = _Ends(self.path if self.starts is not None and not self.shared else None, self.plain)
        with request.bar(request.rows) as advance:
            for rows in request.blocks():
                arguments = request.rows_of(request.arrays, rows)
                if self.starts is not None:
                    arguments += self.starts if self.shared else request.rows_of(self.starts, rows)
                given = [*arguments, request.target_codes_of(rows)]
                targets, scores, base_scores, *zeros = request.run(body, given)
                targets, scores, base_scores = map(request.read, (targets, scores, base_scores))
                yield Block(rows, arguments, targets, scores, base_scores, zeros, advance)

    def run(self, block: Block, points: PathPoints, statistic: Statistic, share: float = 1.0) -> list[Any]:
        """Evaluates points for a block and returns the statistic's state.

        share: of the block's work, for the progress bar.
        """
        request = self.request
        count = -(-points.count // request.batch_size)
        fixed = [
            *block.arguments,
            block.targets,
            points.rows,
            points.rows if points.starts is None else points.starts,
            points.parameters,
            points.weights,
            count if tf.is_tensor(count) else np.int32(count),
        ]
        state = statistic.start(block.zeros, points)
        # XLA wants chunks of one size; otherwise they are as even as possible, and no pass is wasted.
        padded = request.batch_size if request.jit_compile else None
        if padded is not None and request.inside is not None:
            padded = -(-points.count // count)  # there is one number of points for all calls
        body = _Loop(self.path, statistic, len(block.arguments), padded, self.shared)
        if request.inside is not None:
            return request.run(body, [*fixed, np.int32(0), fixed[-1], *state])
        # A bar moves chunk by chunk; without one the whole loop is a single call.
        bounds = range(count + 1) if request.progress else (0, count)
        for first, last in itertools.pairwise(bounds):
            arguments = [*fixed, np.int32(first), np.int32(last), *state]
            state = request.traced(body, arguments)(*arguments)
            block.advance(share * len(block.targets) * (last - first) / count)
        return [tensor.numpy() for tensor in state]

    def contributions(self, block: Block, gradients: Sequence[Any]) -> list[Any]:
        """Integrated gradients of each row x (end - start), of the inputs that are explained."""
        steps = self.request.run(_Steps(), block.arguments)
        if self.request.inside is not None:
            return times(gradients, steps)
        # What does not change contributes nothing, also where its gradient is infinite.
        return [
            np.multiply(gradient, step, out=np.zeros_like(gradient), where=np.asarray(step) != 0)
            for gradient, step in zip(gradients, (step.numpy() for step in steps), strict=True)
        ]

    def mean_score_at_starts(self, block: Block, shares: NDArray) -> Tensor:
        """(rows,) of a call that is traced as a whole: the score of shared starts (S, ...) for each row's class, by their shares (S,)."""
        body, rows = _Scores(None, len(block.arguments), shared=True), tf.range(block.count)
        weights = tf.constant(shares, tf.float32)

        def step(start: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            # Tensors of the loop itself: which of them is a mask of padding is seen in its graph.
            given = [tf.identity(argument) for argument in block.arguments]
            chunk = [*given, block.targets, rows, tf.zeros_like(rows) + start]
            scores = self.request.run(body, [*chunk, tf.zeros([block.count, 1])])
            return start + 1, total + weights[start] * scores

        state = tf.constant(0), tf.zeros([block.count])
        return tf.while_loop(lambda start, _: start < len(shares), step, state, parallel_iterations=2)[1]

    def scores_at(self, block: Block, points: PathPoints, at_starts: bool = False) -> NDArray:
        """Scores (M,) at points, without gradients; or at their starts, as the model gives them by itself."""
        request = self.request
        body = _Scores(None if at_starts else self.path, len(block.arguments), self.shared)
        starts = points.rows if points.starts is None else points.starts
        scores = []
        for first in range(0, len(points.rows), request.batch_size):
            part = slice(first, first + request.batch_size)
            chunk = [
                *block.arguments,
                block.targets,
                points.rows[part],
                starts[part],
                points.parameters[part],
            ]
            scores.append(request.traced(body, chunk)(*chunk).numpy())
        return np.concatenate(scores) if scores else np.zeros(0, np.float32)


# Inside a trace


@dataclasses.dataclass(frozen=True)
class _Ends(ScoredBody):
    """Classes, the scores at both ends of the paths, and zeros. path: None where rows have no start of their own; NaN then."""

    path: PathFunction | None
    plain: bool

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> list[Tensor]:
        *arrays, target_codes = tensors
        inputs = arrays[: len(tracer.places)]
        found = _ends(tracer, arrays)
        zeros = [tf.zeros_like(end, tf.float32) for end in found.ends if end is not None]
        if self.path is None:
            scores, targets = tracer.scored(tracer.forward(inputs), target_codes)
            return [targets, scores, scores * np.nan, *zeros]
        starts = _points(self.path, found.starts, found.ends, tf.zeros([tf.shape(target_codes)[0], 1]))
        found = dataclasses.replace(found, starts=starts)
        targets, scores, base_scores = both_ends(tracer, inputs, found, target_codes, self.plain)
        return [targets, scores, base_scores, *zeros]


@dataclasses.dataclass(frozen=True)
class _Loop(ScoredBody):
    """A statistic of the gradients at points, chunk by chunk.

    inputs: how many arrays of inputs and starts there are.
    padded: size of all chunks, where they must have one.
    shared: see `Paths`.
    """

    path: PathFunction
    statistic: Statistic
    inputs: int
    padded: int | None
    shared: bool

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> list[Tensor]:
        arrays, (targets, rows, of_start, parameters, weights, chunks, first, last, *state) = (
            tensors[: self.inputs],
            tensors[self.inputs :],
        )
        found = _ends(tracer, arrays, self.shared)
        starts, ends = found.starts, found.ends
        total = tf.shape(rows)[0]

        def step(number: Tensor, *state: Tensor) -> list[Tensor]:
            numbers = chunk_of(number, total, chunks, self.padded)
            at, chosen = tf.gather(rows, numbers), tf.gather(parameters, numbers)
            start, end = _gathered(starts, tf.gather(of_start, numbers)), _gathered(ends, at)
            points = _points(self.path, start, end, chosen)
            forward = tracer.forward(_gathered(arrays[: len(ends)], at), points)
            score, _ = tracer.scored(forward, tf.gather(targets, at))
            gradients, weight = forward.gradients(score), tf.gather(weights, numbers)
            if self.padded is not None:  # what fills up the last chunk must not count: it belongs to no row
                counts = number * self.padded + tf.range(self.padded) < total
                at = tf.where(counts, at, -1)
            chunk = Chunk(at, tf.shape(targets)[0], numbers, chosen, weight, start, end, gradients)
            return [number + 1, *self.statistic.update(list(state), chunk)]

        variables = [first, *state]
        if (passes := known_passes(first, last)) is not None:
            for _ in passes:
                variables = step(*variables)
            return variables[1:]
        return tf.while_loop(
            lambda number, *_: number < last,
            step,
            variables,
            shape_invariants=[variable.shape for variable in variables],
            parallel_iterations=2,  # one chunk's small work beside the next one's passes
        )[1:]


@dataclasses.dataclass(frozen=True)
class _Steps(ScoredBody):
    """end - start of every explained input."""

    def __call__(self, tracer: Tracer, *arrays: Tensor) -> list[Tensor]:
        found = _ends(tracer, arrays)
        return [
            tf.cast(end - start, tf.float32)
            for start, end in zip(found.starts, found.ends, strict=True)
            if end is not None
        ]


@dataclasses.dataclass(frozen=True)
class _Scores(ScoredBody):
    """Scores at points, or at the starts themselves (path: None). inputs: how many arrays of inputs and starts there are; shared: see `Paths`."""

    path: PathFunction | None
    inputs: int
    shared: bool

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> Tensor:
        arrays, (targets, rows, of_start, parameters) = tensors[: self.inputs], tensors[self.inputs :]
        found = _ends(tracer, arrays, self.shared).gathered(of_start, rows)
        inputs = _gathered(arrays[: len(found.ends)], rows)
        if self.path is None:
            forward = at_starts(tracer, inputs, found)
        else:
            forward = tracer.forward(inputs, _points(self.path, found.starts, found.ends, parameters))
        return tracer.scored(forward, tf.gather(targets, rows))[0]


def _ends(tracer: Tracer, arrays: Sequence[Tensor], shared: bool = False) -> Ends:
    """For each input the path's start and end, in the space where it is explained. arrays: inputs, then starts."""
    count = len(tracer.places)
    inputs, starts = list(arrays[:count]), list(arrays[count:])
    return starts_and_ends(tracer, inputs, starts or inputs, shared)


def _points(
    path: PathFunction,
    starts: Sequence[Tensor],
    ends: Sequence[Tensor],
    parameters: Tensor,
) -> PerInput:
    return [
        None if end is None else path(start, end, parameters, which)
        for which, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def _gathered(tensors: Sequence[Tensor], rows: Tensor) -> PerInput:
    return [None if tensor is None else tf.gather(tensor, rows) for tensor in tensors]


# Out of a trace


def _per_token(values: NDArray, sensitivities: bool) -> NDArray:
    """(rows, ..., D) of token ids as (rows, ...), see `tfxai.engines.batches.per_token`."""
    return np.linalg.norm(values, axis=-1) if sensitivities else values.sum(-1)


def attribution_along(
    paths: Paths,
    values_of: Callable[[Block], Sequence[Any]],
    complete: bool = False,
    base_scores_of: Callable[[Block], Any] = lambda block: block.base_scores,
    sensitivities: bool = False,
    remedy: str = "",
) -> Attribution:
    """Explains block after block.

    values_of: values of each explained input of a block, (rows, ...).
    complete:  the method promises that they add up to the difference of the scores at the path's ends.
    base_scores_of: (rows,) scores where the paths start, for methods whose starts are not one for each row.
    sensitivities: the values are gradients, and what adds up over the axis of an embedding is their squares.
    remedy: what the user can do where they are far from adding up.
    """
    request, places = paths.request, paths.network.places
    if request.inside is not None:
        (block,) = paths.blocks()
        base = base_scores_of(block) if complete else None
        return _inside(block, values_of(block), places, base, sensitivities)
    explained = [place for place in places if place is not None]
    of_all_rows: list[NDArray] = []
    targets = np.empty(request.rows, np.int64)
    scores, sums, base_scores = (np.empty(request.rows, np.float64) for _ in range(3))
    for block in paths.blocks():
        values = values_of(block)
        sums[block.rows] = sum(part.sum(axis=tuple(range(1, part.ndim)), dtype=np.float64) for part in values)
        values = [
            _per_token(part, sensitivities) if isinstance(place, Embedded) else part
            for part, place in zip(values, explained, strict=True)
        ]
        of_all_rows = of_all_rows or [
            np.empty((request.rows, *part.shape[1:]), np.float32) for part in values
        ]
        for whole, part in zip(of_all_rows, values, strict=True):
            whole[block.rows] = part
        targets[block.rows], scores[block.rows] = block.targets, block.scores
        base_scores[block.rows] = base_scores_of(block)
    rest = iter(of_all_rows)
    in_order = [None if place is None else next(rest) for place in places]
    if not complete:
        return Attribution(in_order, targets, scores)
    delta = sums - (scores - base_scores)
    return Attribution(in_order, targets, scores, delta, base_scores, remedy)


def _inside(
    block: Block, values: Sequence[Tensor], places: Sequence[Any], base: Tensor | None, sensitivities: bool
) -> Attribution:
    """The same of a call that is traced as a whole, in tensors."""
    rest = iter(values)
    in_order = [None if place is None else next(rest) for place in places]
    each = per_token(in_order, places, sensitivities=sensitivities)
    if base is None:
        return Attribution(each, block.targets, block.scores)
    delta = sum_of_values(in_order) - (block.scores - base)
    return Attribution(each, block.targets, block.scores, delta, base)
