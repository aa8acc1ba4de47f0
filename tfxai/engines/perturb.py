"""What happens to the score when parts of the input are hidden: a stream of perturbed inputs, and their scores.

A plan says in few numbers what to hide each time (a window's corner, a small grid of bits, a channel's number). The
perturbed inputs are made from it, shown to the model and scored inside one traced loop, a chunk at a time, so that
neither Python nor memory sees them all. All classes of a call are scored by the same passes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import chunk_of, run_in_batches
from tfxai.engines.request import Attribution, Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.inputs import missing_values
from tfxai.results import Explanation
from tfxai.support import Tensor

STEPS = 50  # of a progress bar, for each input
FREEZE = 1000  # passes of one call from which it pays to write the weights into the trace


@dataclasses.dataclass(frozen=True)
class Perturbed:
    """A chunk of perturbed inputs.

    inputs: for each input of the model (B, ...).
    masks:  (B, ...) what was visible, 0 to 1; only where the engine is to sum them.
    notes:  (B, n) float32 that come back beside the scores.
    points, layers: what the inputs' points and some layers are replaced by, as in Network.forward.
    """

    inputs: Sequence[Tensor]
    masks: Tensor | None = None
    notes: Tensor | None = None
    points: Sequence[Tensor] | None = None
    layers: Mapping[tuple[int, int], Tensor] = dataclasses.field(default_factory=dict)


Perturbation = Callable[[Tracer, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], Perturbed]
"""(tracer, inputs (1, ...), fixed (1 or more, ...), plan (B, ...)) -> a chunk, of tensors in a trace.

A frozen dataclass that can be called: its fields decide which trace is the right one.
"""


@dataclasses.dataclass(frozen=True)
class PerturbedScores:
    """What came of a plan of M perturbations.

    scores: (M, K), for each class.
    notes:  (M, n).
    sums:   (K + 1, ...) sum of scores x masks, and of the masks alone, if asked for.
    squares: (2 K + 1, ...) sum of squared scores x squared masks, of scores x squared masks, and of squared masks.
    """

    scores: NDArray
    notes: NDArray
    sums: Any
    squares: Any = None


@dataclasses.dataclass(frozen=True)
class Example:
    """One input with its classes (K,) and their scores (K,), and the function that moves the progress bar on."""

    number: int
    inputs: list[NDArray]
    targets: NDArray
    scores: NDArray
    advance: Callable[[float], None]


@dataclasses.dataclass(frozen=True)
class Perturb:
    """The engine for one call.

    passes: how many the whole call will take, about; many are worth a trace that holds the weights.
    """

    request: Request
    passes: int

    def examples(self) -> Iterator[Example]:
        """Each input in turn, with the classes that are asked for and their scores, from one pass over all inputs."""
        request = self.request
        targets, scores = at_inputs(request)
        if request.network.takes_missing and np.isnan(scores).any():
            _check_missing(request, scores)
        request.check_scores(scores)
        with request.bar(len(request.network)) as advance:
            for number in range(len(request.network)):
                request.network.at(number)
                inputs = [array[number : number + 1] for array in request.network.arrays]
                yield Example(number, inputs, targets[number], scores[number], advance)

    def run(
        self,
        perturbation: Perturbation,
        example: Example,
        plan: Sequence[NDArray],
        fixed: Sequence[NDArray] = (),
        *,
        notes: int = 0,
        sums: tuple[int, ...] | None = None,
        share: float = 1.0,
    ) -> PerturbedScores:
        """Scores a plan's perturbations of an example.

        perturbation: makes a chunk of perturbed inputs.
        plan:  arrays (M, ...), one entry for each perturbation.
        fixed: what they need beside it, each with a leading axis of any length.
        notes: how many numbers are noted beside each score.
        sums:  shape of the masks, to sum scores x masks, and masks.
        share: of the example's work, for the progress bar.

        Raises ValueError if a score is not a number.
        """
        request, classes = self.request, len(example.targets)
        count = -(-len(plan[0]) // request.batch_size)
        body = _Loop(
            perturbation,
            inputs=len(example.inputs),
            fixed=len(fixed),
            planned=len(plan),
            columns=classes + notes,
            sums=sums,
            # XLA wants chunks of one size; otherwise they are as even as possible, and no pass is wasted.
            padded=request.batch_size if request.jit_compile else None,
        )
        frozen = request.network.digest if self.passes >= FREEZE else None
        given = [
            *example.inputs,
            *fixed,
            *plan,
            example.targets[None].astype(np.int32),
            np.int32(count),
        ]
        given = [tf.convert_to_tensor(array) for array in given]
        parts: list[list[NDArray]] = []
        bounds = np.unique(np.linspace(0, count, STEPS + 1).astype(int)) if request.progress else (0, count)
        for first, last in itertools.pairwise(bounds):
            arguments = [*given, np.int32(first), np.int32(last)]
            function = request.traced(body, arguments, frozen)
            parts.append([tensor.numpy() for tensor in function(*arguments)])
            example.advance(share * (last - first) / count)
        rows = np.concatenate([part[0] for part in parts])[: len(plan[0])]
        _check_numbers(rows)
        scores, noted = rows[:, :classes], rows[:, classes:]
        if sums is None:
            return PerturbedScores(scores, noted, None)
        total = np.sum([part[1] for part in parts], axis=0, dtype=np.float64).reshape(-1, *sums)
        return PerturbedScores(scores, noted, total[: classes + 1], total[classes + 1 :])


def _check_missing(request: Request, scores: NDArray) -> None:
    """Raises ValueError if a function gives no score where values are missing."""
    lacking = np.any([missing_values(array) for array in request.network.arrays], axis=0)
    if (bad := lacking & np.isnan(scores).any(1)).any():
        raise ValueError(
            f"inputs holds NaN in {lacking.sum()} of {len(lacking)} examples, and the callable gives no score for number "
            f"{bad.argmax()}: it does not take missing values. Fill them."
        )


def _check_numbers(rows: NDArray) -> None:
    if (bad := np.isnan(rows).any(1)).any():
        raise ValueError(
            f"The score is not a number (NaN) for {bad.sum()} of {len(rows)} perturbed inputs. See that the model can "
            "take inputs whose parts are hidden: another baseline may help."
        )


@dataclasses.dataclass(frozen=True)
class _Loop(ScoredBody):
    """Scores of perturbed inputs, chunk by chunk.

    inputs, fixed, planned: how many tensors of each there are.
    columns: numbers that come of each perturbation: a score for each class, and notes.
    padded: size of all chunks, where they must have one.
    """

    perturbation: Perturbation
    inputs: int
    fixed: int
    planned: int
    columns: int
    sums: tuple[int, ...] | None
    padded: int | None

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> list[Tensor]:
        inputs, rest = tensors[: self.inputs], tensors[self.inputs :]
        fixed, rest = rest[: self.fixed], rest[self.fixed :]
        plan, (targets, chunks, first, last) = rest[: self.planned], rest[self.planned :]
        total = tf.shape(plan[0])[0]

        def step(number: Tensor, rows: Tensor, *summed: Tensor) -> tuple[Tensor, ...]:
            numbers = chunk_of(number, total, chunks, self.padded)
            chunk = self.perturbation(tracer, inputs, fixed, [tf.gather(array, numbers) for array in plan])
            forward = tracer.forward(chunk.inputs, chunk.points, chunk.layers)
            codes = tf.repeat(targets, tf.shape(numbers)[0], axis=0)
            scores, _ = tracer.scored_each(forward, codes)
            noted = scores if chunk.notes is None else tf.concat([scores, chunk.notes], 1)
            rows = rows.write(number - first, noted)
            if self.sums is None:
                return number + 1, rows
            return number + 1, rows, summed[0] + self._summed(scores, chunk.masks, number, total)

        rows = tf.TensorArray(
            tf.float32, last - first, infer_shape=False, element_shape=[self.padded, self.columns]
        )
        start = [] if self.sums is None else [tf.zeros((3 * targets.shape[1] + 2, int(np.prod(self.sums))))]
        _, rows, *summed = tf.while_loop(
            lambda number, *_: number < last,
            step,
            (first, rows, *start),
            parallel_iterations=2,  # one chunk's small work beside the next one's passes
        )
        joined = rows.concat() if self.padded is None else tf.reshape(rows.stack(), (-1, self.columns))
        return [joined, *summed]

    def _summed(self, scores: Tensor, masks: Tensor, number: Tensor, total: Tensor) -> Tensor:
        """Scores x masks of a chunk, masks, and what `PerturbedScores.squares` says, summed: (3 K + 2, places)."""
        ones = tf.ones_like(scores[:, :1])
        if self.padded is not None:  # what fills up the last chunk must not count
            counts = number * self.padded + tf.range(self.padded) < total
            scores, ones = tf.where(counts[:, None], scores, 0.0), tf.where(counts[:, None], ones, 0.0)
        flat = tf.reshape(masks, (-1, int(np.prod(self.sums or ()))))
        first = tf.matmul(tf.concat([scores, ones], 1), flat, transpose_a=True)
        second = tf.matmul(tf.concat([tf.square(scores), scores, ones], 1), tf.square(flat), transpose_a=True)
        return tf.concat([first, second], 0)


def at_inputs(request: Request) -> tuple[NDArray, NDArray]:
    """Classes and scores (N, K) of the inputs as they are. Cost: one forward pass per input, whatever K is."""
    codes = request.target_codes.reshape(len(request.network), -1)
    return run_in_batches(dataclasses.replace(request, target_codes=codes, progress=False), _AtInputs())


@dataclasses.dataclass(frozen=True)
class _AtInputs(ScoredBody):
    """Classes and scores of the inputs, for codes (B, K)."""

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        return tracer.scored_each(tracer.forward(inputs), target_codes)[::-1]


def attribution_of(
    examples: Sequence[Example],
    values: Sequence[NDArray | None],
    delta: NDArray | None = None,
    kind: type[Explanation] = Explanation,
    more: Mapping[str, Any] | None = None,
) -> Attribution:
    """The attribution of the examples that were worked on. delta, kind, more: as of an Attribution."""
    targets = np.concatenate([example.targets for example in examples])
    scores = np.concatenate([example.scores for example in examples])
    return Attribution(values, targets, scores, delta, kind=kind, more=dict(more or {}))


def joined_values(values: Sequence[Sequence[NDArray | None]]) -> list[NDArray | None]:
    """For each input the values of all examples (rows, ...), or None: from those of each example (K, ...)."""
    return [
        None if of_input[0] is None else np.concatenate([part for part in of_input if part is not None])
        for of_input in zip(*values, strict=True)
    ]
