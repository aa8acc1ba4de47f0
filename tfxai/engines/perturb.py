"""What happens to the score when parts of the input are hidden: a stream of perturbed inputs, and their scores.

A plan says in few numbers what to hide each time (a window's corner, a small grid of bits, a channel's number). The
perturbed inputs are made from it, shown to the model and scored inside one traced loop, a chunk at a time, so that
neither Python nor memory sees them all. All classes of a call are scored by the same passes.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import run_in_batches
from tfxai.engines.method import Attribution
from tfxai.engines.request import Request
from tfxai.model import ForwardPass

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

    inputs: Sequence[Any]
    masks: Any = None
    notes: Any = None
    points: Sequence[Any] | None = None
    layers: Mapping[tuple[int, int], Any] = dataclasses.field(default_factory=dict)


Perturbation = Callable[[Sequence[Any], Sequence[Any], Sequence[Any]], Perturbed]
"""(inputs (1, ...), fixed (1 or more, ...), plan (B, ...)) -> a chunk, of tensors in a trace."""


@dataclasses.dataclass(frozen=True)
class PerturbedScores:
    """What came of a plan of M perturbations.

    scores: (M, K), for each class.
    notes:  (M, n).
    sums:   (K + 1, ...) sum of scores x masks, and of the masks alone, if asked for.
    """

    scores: NDArray
    notes: NDArray
    sums: Any


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

    settings: what the traced function depends on.
    perturb:  makes a chunk of perturbed inputs.
    passes:   how many the whole call will take, about.
    notes:    how many numbers `perturb` notes beside each score.
    """

    request: Request
    settings: tuple[Hashable, ...]
    perturb: Perturbation
    passes: int
    notes: int = 0

    def examples(self) -> Iterator[Example]:
        """Each input in turn, with the classes that are asked for and their scores, from one pass over all inputs."""
        request = self.request
        targets, scores = at_inputs(request)
        with request.bar(len(request.network)) as advance:
            for number in range(len(request.network)):
                inputs = [array[number : number + 1] for array in request.network.arrays]
                yield Example(number, inputs, targets[number], scores[number], advance)

    def run(
        self,
        example: Example,
        plan: Sequence[NDArray],
        fixed: Sequence[NDArray] = (),
        sums: tuple[int, ...] | None = None,
        share: float = 1.0,
    ) -> PerturbedScores:
        """Scores a plan's perturbations of an example.

        plan:  arrays (M, ...), one entry for each perturbation.
        fixed: what they need beside it, each with a leading axis of any length.
        sums:  shape of the masks, to sum scores x masks, and masks.
        share: of the example's work, for the progress bar.
        """
        request, network = self.request, self.request.network
        inputs, extras, planned = len(example.inputs), len(fixed), len(plan)
        columns = len(example.targets) + self.notes
        count = -(-len(plan[0]) // request.batch_size)
        # XLA wants chunks of one size; otherwise they are as even as possible, and no pass is wasted.
        padded = request.batch_size if request.jit_compile else None

        def body(facts: dict[str, Any], *tensors: Any) -> list[Any]:
            given, aside = tensors[:inputs], tensors[inputs : inputs + extras]
            arrays, rest = tensors[inputs + extras :][:planned], tensors[inputs + extras + planned :]
            targets, chunks, first, last = rest
            total = tf.shape(arrays[0])[0]

            def step(number: Any, rows: Any, *summed: Any) -> tuple[Any, ...]:
                numbers = chunk_of(number, total, chunks, padded)
                chunk = self.perturb(given, aside, [tf.gather(array, numbers) for array in arrays])
                trace = network.forward(chunk.inputs, chunk.points, chunk.layers)
                scores, _ = scored(request, trace, tf.repeat(targets, tf.shape(numbers)[0], axis=0), facts)
                rows = rows.write(
                    number - first, tf.concat([scores, chunk.notes], 1) if self.notes else scores
                )
                if sums is None:
                    return number + 1, rows
                factors = tf.concat([scores, tf.ones_like(scores[:, :1])], 1)
                if padded is not None:  # what fills up the last chunk must not count
                    counts = number * padded + tf.range(padded) < total
                    factors = tf.where(counts[:, None], factors, 0.0)
                flat = tf.reshape(chunk.masks, (-1, int(np.prod(sums))))
                return number + 1, rows, summed[0] + tf.matmul(factors, flat, transpose_a=True)

            rows = tf.TensorArray(
                tf.float32, last - first, infer_shape=False, element_shape=[padded, columns]
            )
            start = [] if sums is None else [tf.zeros((targets.shape[1] + 1, int(np.prod(sums))))]
            _, rows, *summed = tf.while_loop(
                lambda number, *_: number < last,
                step,
                (first, rows, *start),
                parallel_iterations=2,  # one chunk's small work beside the next one's passes
            )
            joined = rows.concat() if padded is None else tf.reshape(rows.stack(), (-1, columns))
            return [joined, *summed]

        key = (*self.settings, sums, "perturb")
        frozen = network.digest if self.passes >= FREEZE else None
        parts: list[list[NDArray]] = []
        bounds = np.unique(np.linspace(0, count, STEPS + 1).astype(int)) if request.progress else (0, count)
        given = [*example.inputs, *fixed, *plan, example.targets[None].astype(np.int32), np.int32(count)]
        given = [tf.convert_to_tensor(array) for array in given]
        for first, last in itertools.pairwise(bounds):
            arguments = [*given, np.int32(first), np.int32(last)]
            compiled = request.compiled(key, body, arguments, frozen)
            parts.append([tensor.numpy() for tensor in compiled(*arguments)])
            example.advance(share * (last - first) / count)
        rows = np.concatenate([part[0] for part in parts])[: len(plan[0])]
        if (bad := np.isnan(rows).any(1)).any():
            raise ValueError(
                f"The score is not a number (NaN) for {bad.sum()} of {len(rows)} perturbed inputs. See that the model can "
                "take inputs whose parts are hidden: another baseline may help."
            )
        total = None if sums is None else np.sum([part[1] for part in parts], axis=0).reshape(-1, *sums)
        classes = len(example.targets)
        return PerturbedScores(rows[:, :classes], rows[:, classes:], total)


def chunk_of(number: Any, total: Any, chunks: Any, padded: int | None) -> Any:
    """The numbers in one chunk of a plan: as even as possible, or all of one size, the last one filled up."""
    if padded is not None:
        return tf.minimum(number * padded + tf.range(padded), total - 1)
    size, rest = total // chunks, total % chunks
    begin = number * size + tf.minimum(number, rest)
    return tf.range(begin, begin + size + tf.cast(number < rest, tf.int32))


def scored(request: Request, trace: ForwardPass, target_codes: Any, facts: dict[str, Any]) -> tuple[Any, Any]:
    """Scores and classes (B, K) of a traced pass, for codes (B, K)."""
    both = [request.scored(trace, target_codes[:, k], facts) for k in range(target_codes.shape[1])]
    return tf.stack([score for score, _ in both], 1), tf.stack([target for _, target in both], 1)


def at_inputs(request: Request) -> tuple[NDArray, NDArray]:
    """Classes and scores (N, K) of the inputs as they are. Cost: one forward pass per input, whatever K is."""
    together = dataclasses.replace(
        request, target_codes=request.target_codes.reshape(len(request.network), -1), progress=False
    )

    def body(facts: dict[str, Any], inputs: Any, target_codes: Any) -> Any:
        return scored(request, request.network.forward(inputs), target_codes, facts)[::-1]

    return run_in_batches(together, ["at inputs"], body)


def attribution_of(found: Sequence[Example], values: Sequence[NDArray | None], **more: Any) -> Attribution:
    """An Answer from the examples that were worked on."""
    targets = np.concatenate([example.targets for example in found])
    scores = np.concatenate([example.scores for example in found])
    return Attribution(values, targets, scores, **more)


def joined_values(values: Sequence[Sequence[NDArray | None]]) -> list[NDArray | None]:
    """For each input the values of all examples (rows, ...), or None: from those of each example (K, ...)."""
    return [None if one[0] is None else np.concatenate(one) for one in zip(*values, strict=True)]
