"""Weighted sums of gradients at points: the SmoothGrad family and the Integrated Gradients family.

A method lists points as (row, parameters, weight); the loop over them lives in the graph, in chunks of `batch_size`,
whatever the number of rows and points, so memory does not grow with either.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.ends import both_ends, starts_and_ends
from tfxai.engines.method import Attribution
from tfxai.engines.request import Request
from tfxai.engines.statistics import Chunk, PathPoints, Statistic, aligned
from tfxai.model import Embedded, Network


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


PathFunction = Callable[[Any, Any, Any, int], Any]
"""(start, end, parameters (B, P), number of the input) -> point, for one input; all parameters zero is the start."""


def straight(start: Any, end: Any, parameters: Any, which: int) -> Any:
    """start + a (end - start), with a the first parameter."""
    return start + aligned(parameters[:, 0], end) * (end - start)


@dataclasses.dataclass(frozen=True)
class Paths:
    """The engine for one call.

    settings: what the traced functions depend on.
    path:     where the points lie.
    starts:   an array for each input: what the path function gets as start; None for methods without.
    shared:   the starts belong to all rows (a background), not one to each example.
    """

    request: Request
    settings: tuple[Hashable, ...]
    path: PathFunction = straight
    starts: Sequence[NDArray] | None = None
    shared: bool = False

    @property
    def network(self) -> Network:
        return self.request.network

    def blocks(self) -> Iterator[Block]:
        """The question's rows, `batch_size` at a time, with the scores at the ends of their paths."""
        request = self.request
        with request.bar(request.rows) as advance:
            for rows in request.blocks():
                arguments = request.rows_of(self.network.arrays, rows)
                if self.starts is not None:
                    arguments += self.starts if self.shared else request.rows_of(self.starts, rows)
                given = [*arguments, request.target_codes_of(rows)]
                found = request.compiled((*self.settings, "ends"), self._traced_ends, given)(*given)
                targets, scores, base_scores = (tensor.numpy() for tensor in found[:3])
                yield Block(rows, arguments, targets, scores, base_scores, found[3:], advance)

    def run(self, block: Block, table: PathPoints, statistic: Statistic, share: float = 1.0) -> list[NDArray]:
        """Evaluates a table's points for a block and returns the statistic's state.

        share: of the block's work, for the progress bar.
        """
        request = self.request
        count = -(-len(table.rows) // request.batch_size)
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
                score, _ = request.scored(trace, tf.gather(targets, at), facts)
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
        bounds = range(count + 1) if request.progress else (0, count)
        key = (*self.settings, type(statistic).__name__)
        for first, last in itertools.pairwise(bounds):
            arguments = [*fixed, np.int32(first), np.int32(last), *state]
            state = request.compiled(key, body, arguments)(*arguments)
            block.advance(share * len(block.targets) * (last - first) / count)
        return [tensor.numpy() for tensor in state]

    def contributions(self, block: Block, gradients: Sequence[NDArray]) -> list[NDArray]:
        """Integrated gradients of each row x (end - start), of the inputs that are explained."""

        def body(facts: dict[str, Any], *arrays: Any) -> Any:
            return [
                tf.cast(e - s, tf.float32) for s, e in zip(*self._ends(arrays), strict=True) if e is not None
            ]

        steps = self.request.compiled((*self.settings, "steps"), body, block.arguments)(*block.arguments)
        return [gradient * step.numpy() for gradient, step in zip(gradients, steps, strict=True)]

    def scores_at(self, block: Block, table: PathPoints) -> NDArray:
        """Scores (M,) at a table's points, without gradients."""
        request, inputs = self.request, len(block.arguments)
        starts = table.rows if table.starts is None else table.starts

        def body(facts: dict[str, Any], *tensors: Any) -> Any:
            arrays, (targets, rows, of_start, parameters) = tensors[:inputs], tensors[inputs:]
            starts, ends = self._ends(arrays)
            points = self._points(_gathered(starts, of_start), _gathered(ends, rows), parameters)
            trace = self.network.forward(_gathered(arrays[: len(ends)], rows), points)
            return request.scored(trace, tf.gather(targets, rows), facts)[0]

        scores = []
        for first in range(0, len(table.rows), request.batch_size):
            part = slice(first, first + request.batch_size)
            chunk = [*block.arguments, block.targets, table.rows[part], starts[part], table.parameters[part]]
            scores.append(request.compiled((*self.settings, "scores"), body, chunk)(*chunk).numpy())
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
        inputs, target_codes = list(tensors[: len(self.network.arrays)]), tensors[-1]
        starts, ends = self._ends(tensors[:-1])
        zeros = [tf.zeros_like(end, tf.float32) for end in ends if end is not None]
        if self.starts is None or self.shared:
            scores, targets = self.request.scored(self.network.forward(inputs), target_codes, facts)
            return [targets, scores, scores * np.nan, *zeros]
        starts = self._points(starts, ends, tf.zeros([tf.shape(target_codes)[0], 1]))
        _, targets, scores, base_scores = both_ends(self.request, inputs, starts, ends, target_codes, facts)
        return [targets, scores, base_scores, *zeros]


def answered(
    paths: Paths, values_of: Callable[[Block], Sequence[NDArray]], complete: bool = False
) -> Attribution:
    """Explains block after block.

    values_of: values of each explained input of a block, (rows, ...).
    complete:  the method promises that they add up to the difference of the scores at the path's ends.
    """
    request, network = paths.request, paths.network
    whole: list[NDArray] = []
    targets = np.empty(request.rows, np.int64)
    scores, sums, base_scores = (np.empty(request.rows, np.float64) for _ in range(3))
    for block in paths.blocks():
        found = values_of(block)
        sums[block.rows] = sum(part.sum(axis=tuple(range(1, part.ndim)), dtype=np.float64) for part in found)
        explained = [place for place in network.places if place is not None]
        found = [
            f.sum(-1) if isinstance(place, Embedded) else f for f, place in zip(found, explained, strict=True)
        ]
        whole = whole or [np.empty((request.rows, *part.shape[1:]), np.float32) for part in found]
        for all_rows, part in zip(whole, found, strict=True):
            all_rows[block.rows] = part
        targets[block.rows], scores[block.rows], base_scores[block.rows] = (
            block.targets,
            block.scores,
            block.base_scores,
        )
    rest = iter(whole)
    values = [None if place is None else next(rest) for place in network.places]
    return Attribution(values, targets, scores, sums - (scores - base_scores) if complete else None)


def _gathered(tensors: Sequence[Any], rows: Any) -> list[Any]:
    return [None if tensor is None else tf.gather(tensor, rows) for tensor in tensors]
