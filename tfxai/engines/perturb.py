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

from tfxai.baselines import Baseline, filled
from tfxai.engines.method import Answer, Question, each
from tfxai.network import Network, Pass

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
class Seen:
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

    question: Question
    settings: tuple[Hashable, ...]
    perturb: Perturbation
    passes: int
    notes: int = 0

    def examples(self) -> Iterator[Example]:
        """Each input in turn, with the classes that are asked for and their scores, from one pass over all inputs."""
        question = self.question
        targets, scores = at_inputs(question)
        with question.bar(len(question.network)) as advance:
            for number in range(len(question.network)):
                inputs = [array[number : number + 1] for array in question.network.arrays]
                yield Example(number, inputs, targets[number], scores[number], advance)

    def run(
        self,
        example: Example,
        plan: Sequence[NDArray],
        fixed: Sequence[NDArray] = (),
        sums: tuple[int, ...] | None = None,
        share: float = 1.0,
    ) -> Seen:
        """Scores a plan's perturbations of an example.

        plan:  arrays (M, ...), one entry for each perturbation.
        fixed: what they need beside it, each with a leading axis of any length.
        sums:  shape of the masks, to sum scores x masks, and masks.
        share: of the example's work, for the progress bar.
        """
        question, network = self.question, self.question.network
        inputs, extras, planned = len(example.inputs), len(fixed), len(plan)
        columns = len(example.targets) + self.notes
        count = -(-len(plan[0]) // question.batch_size)
        # XLA wants chunks of one size; otherwise they are as even as possible, and no pass is wasted.
        padded = question.batch_size if question.jit_compile else None

        def body(facts: dict[str, Any], *tensors: Any) -> list[Any]:
            given, aside = tensors[:inputs], tensors[inputs : inputs + extras]
            arrays, rest = tensors[inputs + extras :][:planned], tensors[inputs + extras + planned :]
            targets, chunks, first, last = rest
            total = tf.shape(arrays[0])[0]

            def step(number: Any, rows: Any, *summed: Any) -> tuple[Any, ...]:
                numbers = chunk_of(number, total, chunks, padded)
                chunk = self.perturb(given, aside, [tf.gather(array, numbers) for array in arrays])
                trace = network.forward(chunk.inputs, chunk.points, chunk.layers)
                scores, _ = scored(question, trace, tf.repeat(targets, tf.shape(numbers)[0], axis=0), facts)
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
        bounds = np.unique(np.linspace(0, count, STEPS + 1).astype(int)) if question.progress else (0, count)
        given = [*example.inputs, *fixed, *plan, example.targets[None].astype(np.int32), np.int32(count)]
        given = [tf.convert_to_tensor(array) for array in given]
        for first, last in itertools.pairwise(bounds):
            arguments = [*given, np.int32(first), np.int32(last)]
            compiled = question.compiled(key, body, arguments, frozen)
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
        return Seen(rows[:, :classes], rows[:, classes:], total)


def chunk_of(number: Any, total: Any, chunks: Any, padded: int | None) -> Any:
    """The numbers in one chunk of a plan: as even as possible, or all of one size, the last one filled up."""
    if padded is not None:
        return tf.minimum(number * padded + tf.range(padded), total - 1)
    size, rest = total // chunks, total % chunks
    begin = number * size + tf.minimum(number, rest)
    return tf.range(begin, begin + size + tf.cast(number < rest, tf.int32))


def scored(question: Question, trace: Pass, codes: Any, facts: dict[str, Any]) -> tuple[Any, Any]:
    """Scores and classes (B, K) of a traced pass, for codes (B, K)."""
    both = [question.scored(trace, codes[:, k], facts) for k in range(codes.shape[1])]
    return tf.stack([score for score, _ in both], 1), tf.stack([target for _, target in both], 1)


def at_inputs(question: Question) -> tuple[NDArray, NDArray]:
    """Classes and scores (N, K) of the inputs as they are. Cost: one forward pass per input, whatever K is."""
    together = dataclasses.replace(
        question, codes=question.codes.reshape(len(question.network), -1), progress=False
    )

    def body(facts: dict[str, Any], inputs: Any, codes: Any) -> Any:
        return scored(question, question.network.forward(inputs), codes, facts)[::-1]

    return each(together, ["at inputs"], body)


@dataclasses.dataclass(frozen=True)
class Part:
    """The input that is hidden in parts, of the inputs of a model.

    which: its number.
    space: the axes along which parts are told apart: (H, W) of an image, (T,) of a series, (F,) of a row.
    """

    network: Network
    which: int

    @property
    def array(self) -> NDArray:
        return self.network.arrays[self.which]

    @property
    def space(self) -> tuple[int, ...]:
        return space_of(self.array)

    def values(self, maps: NDArray, question: Question) -> list[NDArray | None]:
        """For each input None, but for this one the maps (rows, *space) with one channel."""
        found: list[NDArray | None] = [None] * len(question.network.arrays)
        found[self.which] = maps[..., None] if self.array.ndim > 2 else maps
        return found

    def hidden(self, baseline: Baseline) -> NDArray:
        """What hidden parts look like, of the input's shape.

        Raises ValueError for token ids that are no whole numbers, or outside of the vocabulary.
        """
        a_number = not callable(baseline) and np.ndim(baseline) == 0
        if a_number and self.array.dtype.kind == "i" and float(np.asarray(baseline)) % 1:
            raise ValueError(
                f"baseline is {baseline}; this input is token ids. Give the id that stands for none."
            )
        found = filled(baseline, self.array)
        self.network.check_ids(self.which, found, "baseline")
        return found


def part_of(question: Question, input: str | int | None, method: str) -> Part:
    """The input named by its key or number; unless named the first image, else the first one.

    Raises ValueError if there is no such input, or it is text.
    """
    which = chosen_input(question, input)
    array = question.network.arrays[which]
    if array.dtype == object or array.ndim < 2:
        raise ValueError(
            f"{method} hides parts of arrays (N, ...) of numbers; this input has shape {array.shape} and type "
            f"{'text' if array.dtype == object else array.dtype}. Use LIME, KernelSHAP or PartitionSHAP for texts."
        )
    return Part(question.network, which)


def chosen_input(question: Question, input: str | int | None) -> int:
    """The number of the input that is named by its key or number; unless named the first image, else the first one.

    Raises ValueError if there is no such input.
    """
    network = question.network
    network.allow_arrays()  # nothing here needs a gradient
    if input is None:
        return next((i for i, array in enumerate(network.arrays) if array.ndim == 4), 0)
    names: list[Any] = list(
        network.structure if isinstance(network.structure, dict) else range(len(network.arrays))
    )
    if input not in names:
        raise ValueError(f"input={input!r}: the inputs are {', '.join(map(repr, names))}. Give one of them.")
    return names.index(input)


def space_of(array: NDArray) -> tuple[int, ...]:
    """The axes of an input (N, ...) along which parts are told apart: all but a last one of channels."""
    return array.shape[1:-1] if array.ndim > 2 else array.shape[1:]


def visible(x: Any, hidden: Any, masks: Any, soft: bool = False) -> Any:
    """The input where masks (B, *space) are 1, what it is hidden by where they are 0.

    soft: masks may also lie between.
    """
    masks = masks if masks.shape.rank == x.shape.rank else masks[..., None]
    if not soft or not x.dtype.is_floating:
        return tf.where(masks if masks.dtype == tf.bool else masks > 0.5, x, hidden)
    return hidden + tf.cast(masks, x.dtype) * (x - hidden)


def shown(inputs: Sequence[Any], which: int, perturbed: Any) -> list[Any]:
    """All inputs of the model (B, ...), one of them perturbed."""
    found = repeated(inputs, tf.shape(perturbed)[0])
    found[which] = perturbed
    return found


def repeated(inputs: Sequence[Any], count: Any) -> list[Any]:
    """Every input (1, ...) as (count, ...)."""
    return [tf.repeat(x, count, axis=0) for x in inputs]


def answer(found: Sequence[Example], values: Sequence[NDArray | None], **more: Any) -> Answer:
    """An Answer from the examples that were worked on."""
    targets = np.concatenate([example.targets for example in found])
    scores = np.concatenate([example.scores for example in found])
    return Answer(values, targets, scores, **more)


def joined(values: Sequence[Sequence[NDArray | None]]) -> list[NDArray | None]:
    """For each input the values of all examples (rows, ...), or None: from those of each example (K, ...)."""
    return [None if one[0] is None else np.concatenate(one) for one in zip(*values, strict=True)]
