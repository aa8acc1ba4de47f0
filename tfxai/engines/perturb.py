"""What happens to the score when parts of the input are hidden: a stream of perturbed inputs, and their scores.

A plan says in few numbers what to hide each time (a window's corner, a small grid of bits, a channel's number). The
perturbed inputs are made from it, shown to the model and scored inside one traced loop, a chunk at a time, so that
neither Python nor memory sees them all. All classes of a call are scored by the same passes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import UNROLLED, chunk_of, known_passes, run_in_batches
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
    notes:  (B, n) float32 that come back beside the scores.
    points, layers: what the inputs' points and some layers are replaced by, as in Network.forward.
    """

    inputs: Sequence[Tensor]
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
    """

    scores: Any
    notes: Any


@dataclasses.dataclass(frozen=True)
class Example:
    """One input with its classes (K,) and their scores (K,), and the function that moves the progress bar on."""

    number: Any
    inputs: list[Any]
    targets: Any
    scores: Any
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

    def explained(self, explain: Callable[[Example], Sequence[Any]], ends: bool = False) -> Attribution:
        """The attribution of values that are made for one example at a time: for each input (K, ...), or None.

        Where the whole call is traced, an example's number is a tensor, too, and so are scores and values; with `ends`, the score
        of the baseline and delta come behind these, (K,) each.
        """
        if self.request.inside is not None:
            return self._explained_inside(explain, ends)
        examples, values = [], []
        for example in self.examples():
            values.append(explain(example))
            examples.append(example)
        return attribution_of(examples, joined_values(values))

    def _explained_inside(self, explain: Callable[[Example], Sequence[Any]], ends: bool) -> Attribution:
        request = self.request
        targets, scores = at_inputs(request)
        is_given: list[bool] = []

        def explained(number: Tensor) -> list[Tensor]:
            inputs = [tf.gather(array, [number]) for array in request.arrays]
            target, score = tf.gather(targets, number), tf.cast(tf.gather(scores, number), tf.float64)
            values = explain(Example(number, inputs, target, score, lambda share: None))
            is_given[:] = [value is not None for value in values]
            return [tf.cast(value, tf.float32) for value in values if value is not None]

        rows = targets.shape[0]
        if rows is not None and rows <= UNROLLED:
            each = [explained(tf.constant(number)) for number in range(rows)]
            return self._rows_inside(zip(*each, strict=True), is_given, targets, scores, ends, tf.stack)
        # Traced by itself first, to know what comes of one row.
        one = tf.function(explained, autograph=False).get_concrete_function(tf.TensorSpec([], tf.int32))
        specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in one.outputs]
        found = tf.map_fn(one, tf.range(tf.shape(targets)[0]), fn_output_signature=specs)
        return self._rows_inside(found, is_given, targets, scores, ends, tf.identity)

    def _rows_inside(
        self,
        found: Iterable[Any],
        is_given: Sequence[bool],
        targets: Tensor,
        scores: Tensor,
        ends: bool,
        join: Callable[[Any], Tensor],
    ) -> Attribution:
        rest = iter(found)
        values = [join(next(rest))[:, 0] if given else None for given in is_given]  # one class for each row
        base, delta = (values.pop(-2), values.pop()) if ends else (None, None)
        return Attribution(values, targets[:, 0], scores[:, 0], delta, base)

    def run(
        self,
        perturbation: Perturbation,
        example: Example,
        plan: Sequence[NDArray],
        fixed: Sequence[NDArray] = (),
        *,
        notes: int = 0,
        share: float = 1.0,
    ) -> PerturbedScores:
        """Scores a plan's perturbations of an example.

        perturbation: makes a chunk of perturbed inputs.
        plan:  arrays (M, ...), one entry for each perturbation.
        fixed: what they need beside it, each with a leading axis of any length.
        notes: how many numbers are noted beside each score.
        share: of the example's work, for the progress bar.

        Raises ValueError if a score is not a number.
        """
        request, classes = self.request, example.targets.shape[0]
        count = -(-len(plan[0]) // request.batch_size)
        body = _Loop(
            perturbation,
            inputs=len(example.inputs),
            fixed=len(fixed),
            planned=len(plan),
            columns=classes + notes,
            # XLA wants chunks of one size; otherwise they are as even as possible, and no pass is wasted.
            padded=request.batch_size if request.jit_compile else None,
        )
        given = [
            *example.inputs,
            *fixed,
            *plan,
            tf.cast(example.targets[None], tf.int32),
            np.int32(count),
        ]
        given = [tf.convert_to_tensor(array) for array in given]
        if request.inside is not None:
            rows = request.run(body, [*given, np.int32(0), given[-1]])[: len(plan[0])]
            rows = tf.cast(tf.ensure_shape(rows, [len(plan[0]), body.columns]), tf.float64)
            return PerturbedScores(rows[:, :classes], rows[:, classes:])
        frozen = request.network.digest if self.passes >= FREEZE else None
        parts: list[NDArray] = []
        bounds = np.unique(np.linspace(0, count, STEPS + 1).astype(int)) if request.progress else (0, count)
        for first, last in itertools.pairwise(bounds):
            arguments = [*given, np.int32(first), np.int32(last)]
            function = request.traced(body, arguments, frozen)
            parts.append(function(*arguments).numpy())
            example.advance(share * (last - first) / count)
        rows = np.concatenate(parts)[: len(plan[0])]
        _check_numbers(rows)
        return PerturbedScores(rows[:, :classes], rows[:, classes:])


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
    padded: int | None

    def __call__(self, tracer: Tracer, *tensors: Tensor) -> Tensor:
        inputs, rest = tensors[: self.inputs], tensors[self.inputs :]
        fixed, rest = rest[: self.fixed], rest[self.fixed :]
        plan, (targets, chunks, first, last) = rest[: self.planned], rest[self.planned :]
        total = tf.shape(plan[0])[0]

        def scored(number: Tensor) -> Tensor:
            numbers = chunk_of(number, total, chunks, self.padded)
            chunk = self.perturbation(tracer, inputs, fixed, [tf.gather(array, numbers) for array in plan])
            forward = tracer.forward(chunk.inputs, chunk.points, chunk.layers)
            codes = tf.repeat(targets, tf.shape(numbers)[0], axis=0)
            scores, _ = tracer.scored_each(forward, codes)
            return scores if chunk.notes is None else tf.concat([scores, chunk.notes], 1)

        if (passes := known_passes(first, last)) is not None:
            found = [scored(tf.constant(number)) for number in passes]
            return found[0] if len(found) == 1 else tf.concat(found, 0)

        def step(number: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            return number + 1, rows.write(number - first, scored(number))

        rows = tf.TensorArray(
            tf.float32, last - first, infer_shape=False, element_shape=[self.padded, self.columns]
        )
        _, rows = tf.while_loop(
            lambda number, _: number < last,
            step,
            (first, rows),
            parallel_iterations=2,  # one chunk's small work beside the next one's passes
        )
        return rows.concat() if self.padded is None else tf.reshape(rows.stack(), (-1, self.columns))


def at_inputs(request: Request) -> tuple[NDArray, NDArray]:
    """Classes and scores (N, K) of the inputs as they are. Cost: one forward pass per input, whatever K is."""
    if (inside := request.inside) is not None:
        request = dataclasses.replace(
            request, inside=dataclasses.replace(inside, codes=inside.codes[:, None])
        )
        return run_in_batches(request, _AtInputs())
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
