"""Weighted sums of gradients at points: the SmoothGrad family and the Integrated Gradients family.

A method lists points as (row, parameters, weight); the loop over them lives in the graph, in chunks of `batch_size`,
whatever the number of rows and points, so memory does not grow with either.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.method import Answer, Question
from tfxai.network import Embedded, Network


@dataclasses.dataclass(frozen=True)
class Table:
    """The points of one block of rows.

    rows:       (M,) which row of the block each point belongs to.
    parameters: (M, P) what the path makes of it: position, number of the noise ...
    weights:    (M,) of its gradient.
    starts:     (M,) which of the path's starts it belongs to, where these are not one for each row.
    """

    rows: NDArray
    parameters: NDArray
    weights: NDArray
    starts: NDArray | None = None

    @classmethod
    def of(cls, rows: int, parameters: NDArray, weights: NDArray, starts: NDArray | None = None) -> Table:
        """The same points for every row. Points are the outer loop: rows that share one lie in the same chunk."""
        points = len(parameters)
        return cls(
            np.tile(np.arange(rows, dtype=np.int32), points),
            np.repeat(np.asarray(parameters, np.float32).reshape(points, -1), rows, axis=0),
            np.repeat(np.asarray(weights, np.float32), rows),
            None if starts is None else np.repeat(np.asarray(starts, np.int32), rows),
        )


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What is known, inside the trace, about the points that are evaluated together (B of them).

    rows:       (B,) row of each point in the block.  count: rows in the block.
    numbers:    (B,) position of each point in the table.
    parameters: (B, P) of each point.
    weights:    (B,) of each point.
    starts, ends: for each input the path's two ends (B, ...): the baseline's point and the input's.
    gradients:  for each input d score / d point, float32; None where it is not explained.
    """

    rows: Any
    count: Any
    numbers: Any
    parameters: Any
    weights: Any
    starts: list[Any]
    ends: list[Any]
    gradients: list[Any]

    @property
    def contributions(self) -> list[Any]:
        """gradient x (end - start), of the inputs that are explained."""
        return [
            g * tf.cast(end - start, g.dtype)
            for g, start, end in zip(self.gradients, self.starts, self.ends, strict=True)
            if g is not None
        ]


class Statistic(Protocol):
    """What is kept of the gradients: a list of tensors that every chunk updates."""

    def start(self, zeros: list[Any], table: Table) -> list[Any]: ...
    def update(self, state: list[Any], chunk: Chunk) -> list[Any]: ...


class Sum:
    """Sum of weight x gradient for every row."""

    def start(self, zeros: list[Any], table: Table) -> list[Any]:
        return zeros

    def update(self, state: list[Any], chunk: Chunk) -> list[Any]:
        return [total + by_row(part, chunk) for total, part in zip(state, self.parts(chunk), strict=True)]

    def parts(self, chunk: Chunk) -> list[Any]:
        return [gradient for gradient in chunk.gradients if gradient is not None]


class Moments:
    """Mean and sum of squared deviations for every row, by Chan's merging: one pass, no cancellation.

    contributions: of gradient x (end - start), not of the gradient.
    """

    def __init__(self, contributions: bool = False) -> None:
        self.contributions = contributions

    def start(self, zeros: list[Any], table: Table) -> list[Any]:
        return [tf.zeros([tf.shape(zeros[0])[0]]), *zeros, *(tf.zeros_like(zero) for zero in zeros)]

    def update(self, state: list[Any], chunk: Chunk) -> list[Any]:
        parts = chunk.contributions if self.contributions else [g for g in chunk.gradients if g is not None]
        seen, means, squares = state[0], state[1 : 1 + len(parts)], state[1 + len(parts) :]
        chunk = dataclasses.replace(chunk, weights=tf.ones_like(chunk.weights))
        new = by_row(tf.ones_like(chunk.weights), chunk)
        total = seen + new
        share = tf.math.divide_no_nan(new, total)
        next_means, next_squares = [], []
        for part, mean, square in zip(parts, means, squares, strict=True):
            here = tf.math.divide_no_nan(by_row(part, chunk), aligned(new, part))
            within = by_row(tf.square(part - tf.gather(here, chunk.rows)), chunk)
            step = here - mean
            next_means.append(mean + step * aligned(share, part))
            next_squares.append(square + within + tf.square(step) * aligned(seen * share, part))
        return [total, *next_means, *next_squares]


def by_row(parts: Any, chunk: Chunk) -> Any:
    """(B, ...) summed by weight over the points of each row."""
    # Not a product with a matrix of zeros and ones: a NaN of one row would reach all others.
    return tf.math.unsorted_segment_sum(parts * aligned(chunk.weights, parts), chunk.rows, chunk.count)


PathFunction = Callable[[Any, Any, Any, int], Any]
"""(start, end, parameters (B, P), number of the input) -> point, for one input; all parameters zero is the start."""


def straight(start: Any, end: Any, parameters: Any, which: int) -> Any:
    """start + a (end - start), with a the first parameter."""
    return start + aligned(parameters[:, 0], end) * (end - start)


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that are worked on together.

    arguments:   the input arrays of these rows, then the starts.
    targets:     (rows,) resolved classes.
    scores, base_scores: (rows,) the target's score at the path's end and start; NaN where the starts are not one for
                 each row, or there is no path.
    zeros:       for each explained input, in the shape in which it is explained.
    advance:     moves the progress bar on, by a number of rows.
    """

    rows: slice
    arguments: list[Any]
    targets: NDArray
    scores: NDArray
    base_scores: NDArray
    zeros: list[Any]
    advance: Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Paths:
    """The engine for one call.

    settings: what the traced functions depend on.
    path:     where the points lie.
    starts:   an array for each input: what the path function gets as start; None for methods without.
    shared:   the starts belong to all rows (a background), not one to each example.
    """

    question: Question
    settings: tuple[Hashable, ...]
    path: PathFunction = straight
    starts: Sequence[NDArray] | None = None
    shared: bool = False

    @property
    def network(self) -> Network:
        return self.question.network

    def blocks(self) -> Iterator[Block]:
        """The question's rows, `batch_size` at a time, with the scores at the ends of their paths."""
        question = self.question
        with question.bar(question.rows) as advance:
            for rows in question.blocks():
                arguments = question.rows_of(self.network.arrays, rows)
                if self.starts is not None:
                    arguments += self.starts if self.shared else question.rows_of(self.starts, rows)
                given = [*arguments, question.codes_of(rows)]
                found = question.compiled((*self.settings, "ends"), self._traced_ends, given)(*given)
                targets, scores, base_scores = (tensor.numpy() for tensor in found[:3])
                yield Block(rows, arguments, targets, scores, base_scores, found[3:], advance)

    def run(self, block: Block, table: Table, statistic: Statistic, share: float = 1.0) -> list[NDArray]:
        """Evaluates a table's points for a block and returns the statistic's state.

        share: of the block's work, for the progress bar.
        """
        question = self.question
        count = -(-len(table.rows) // question.batch_size)
        starts = table.rows if table.starts is None else table.starts
        fixed = [
            *block.arguments,
            block.targets,
            table.rows,
            starts,
            table.parameters,
            table.weights,
            np.int32(count),
        ]
        state = statistic.start(block.zeros, table)
        inputs = len(block.arguments)

        def body(facts: dict[str, Any], *tensors: Any) -> list[Any]:
            arrays, (targets, rows, of_start, parameters, weights, chunks, first, last, *state) = (
                tensors[:inputs], tensors[inputs:]
            )  # fmt: skip
            starts, ends = self._ends(arrays)
            total = tf.shape(rows)[0]

            def step(number: Any, *state: Any) -> list[Any]:
                # As even as possible, so that no small chunk is left over.
                size, rest = total // chunks, total % chunks
                begin = number * size + tf.minimum(number, rest)
                numbers = tf.range(begin, begin + size + tf.cast(number < rest, tf.int32))
                at, chosen = tf.gather(rows, numbers), tf.gather(parameters, numbers)
                start, end = _gathered(starts, tf.gather(of_start, numbers)), _gathered(ends, at)
                trace = self.network.forward(
                    _gathered(arrays[: len(ends)], at), self._points(start, end, chosen)
                )
                score, _ = question.scored(trace, tf.gather(targets, at), facts)
                gradients, weight = trace.gradients(score), tf.gather(weights, numbers)
                chunk = Chunk(at, tf.shape(targets)[0], numbers, chosen, weight, start, end, gradients)
                return [number + 1, *statistic.update(list(state), chunk)]

            variables = [first, *state]
            shapes = [variable.shape for variable in variables]
            return tf.while_loop(
                lambda number, *_: number < last,
                step,
                variables,
                shape_invariants=shapes,
                parallel_iterations=2,  # one chunk's small work beside the next one's passes
            )[1:]

        # A bar moves chunk by chunk; without one the whole loop is a single call.
        bounds = range(count + 1) if question.progress else (0, count)
        key = (*self.settings, type(statistic).__name__)
        for first, last in itertools.pairwise(bounds):
            arguments = [*fixed, np.int32(first), np.int32(last), *state]
            state = question.compiled(key, body, arguments)(*arguments)
            block.advance(share * len(block.targets) * (last - first) / count)
        return [tensor.numpy() for tensor in state]

    def contributions(self, block: Block, gradients: Sequence[NDArray]) -> list[NDArray]:
        """Integrated gradients of each row x (end - start), of the inputs that are explained."""

        def body(facts: dict[str, Any], *arrays: Any) -> Any:
            return [
                tf.cast(e - s, tf.float32) for s, e in zip(*self._ends(arrays), strict=True) if e is not None
            ]

        steps = self.question.compiled((*self.settings, "steps"), body, block.arguments)(*block.arguments)
        return [gradient * step.numpy() for gradient, step in zip(gradients, steps, strict=True)]

    def scores_at(self, block: Block, table: Table) -> NDArray:
        """Scores (M,) at a table's points, without gradients."""
        question, inputs = self.question, len(block.arguments)
        starts = table.rows if table.starts is None else table.starts

        def body(facts: dict[str, Any], *tensors: Any) -> Any:
            arrays, (targets, rows, of_start, parameters) = tensors[:inputs], tensors[inputs:]
            starts, ends = self._ends(arrays)
            points = self._points(_gathered(starts, of_start), _gathered(ends, rows), parameters)
            trace = self.network.forward(_gathered(arrays[: len(ends)], rows), points)
            return question.scored(trace, tf.gather(targets, rows), facts)[0]

        scores = []
        for first in range(0, len(table.rows), question.batch_size):
            part = slice(first, first + question.batch_size)
            chunk = [*block.arguments, block.targets, table.rows[part], starts[part], table.parameters[part]]
            scores.append(question.compiled((*self.settings, "scores"), body, chunk)(*chunk).numpy())
        return np.concatenate(scores) if scores else np.zeros(0, np.float32)

    def _points(self, starts: list[Any], ends: list[Any], parameters: Any) -> list[Any]:
        return [
            None if end is None else self.path(start, end, parameters, which)
            for which, (start, end) in enumerate(zip(starts, ends, strict=True))
        ]

    def _ends(self, arrays: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """For each input the path's start and end, in the space where it is explained."""
        count = len(self.network.arrays)
        inputs, starts = list(arrays[:count]), list(arrays[count:])
        return starts_and_ends(self.network, inputs, starts or inputs)

    def _traced_ends(self, facts: dict[str, Any], *tensors: Any) -> list[Any]:
        inputs, codes = list(tensors[: len(self.network.arrays)]), tensors[-1]
        starts, ends = self._ends(tensors[:-1])
        zeros = [tf.zeros_like(end, tf.float32) for end in ends if end is not None]
        if self.starts is None or self.shared:
            scores, targets = self.question.scored(self.network.forward(inputs), codes, facts)
            return [targets, scores, scores * np.nan, *zeros]
        starts = self._points(starts, ends, tf.zeros([tf.shape(codes)[0], 1]))
        _, targets, scores, base_scores = both_ends(self.question, inputs, starts, ends, codes, facts)
        return [targets, scores, base_scores, *zeros]


def answered(paths: Paths, values_of: Callable[[Block], Sequence[NDArray]], complete: bool = False) -> Answer:
    """Explains block after block.

    values_of: values of each explained input of a block, (rows, ...).
    complete:  the method promises that they add up to the difference of the scores at the path's ends.
    """
    question, network = paths.question, paths.network
    whole: list[NDArray] = []
    targets = np.empty(question.rows, np.int64)
    scores, sums, base_scores = (np.empty(question.rows, np.float64) for _ in range(3))
    for block in paths.blocks():
        found = values_of(block)
        sums[block.rows] = sum(part.sum(axis=tuple(range(1, part.ndim)), dtype=np.float64) for part in found)
        explained = [place for place in network.places if place is not None]
        found = [
            f.sum(-1) if isinstance(place, Embedded) else f for f, place in zip(found, explained, strict=True)
        ]
        whole = whole or [np.empty((question.rows, *part.shape[1:]), np.float32) for part in found]
        for all_rows, part in zip(whole, found, strict=True):
            all_rows[block.rows] = part
        targets[block.rows], scores[block.rows], base_scores[block.rows] = (
            block.targets,
            block.scores,
            block.base_scores,
        )
    rest = iter(whole)
    values = [None if place is None else next(rest) for place in network.places]
    return Answer(values, targets, scores, sums - (scores - base_scores) if complete else None)


def _gathered(tensors: Sequence[Any], rows: Any) -> list[Any]:
    return [None if tensor is None else tf.gather(tensor, rows) for tensor in tensors]


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
    question: Question,
    inputs: list[Any],
    starts: list[Any],
    ends: list[Any],
    codes: Any,
    facts: dict[str, Any],
) -> tuple[Any, Any, Any, Any]:
    """One pass over inputs and baselines together, [inputs; baselines]: the pass, targets, and both scores.

    The baseline is scored for the class of its input, also where that is the predicted one.
    """
    points = [None if e is None else tf.concat([e, s], 0) for s, e in zip(starts, ends, strict=True)]
    trace = question.network.forward([tf.concat([x, x], 0) for x in inputs], points)
    _, targets = question.scored(trace, tf.concat([codes, codes], 0), facts)
    count = tf.shape(codes)[0]
    targets = targets[:count]
    scores, _ = question.scored(trace, tf.concat([targets, targets], 0), facts)
    return trace, targets, scores[:count], scores[count:]


def aligned(vector: Any, like: Any) -> Any:
    """(B,) as (B, 1, 1 ...), to multiply with `like` (B, ...)."""
    return tf.reshape(tf.cast(vector, like.dtype), [-1] + [1] * (like.shape.rank - 1))
