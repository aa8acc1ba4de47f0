"""The door that every method shares: check the call, run the method in batches, hand back an Explanation."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import itertools
import warnings
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, filled
from tfxai.explanation import Explanation
from tfxai.network import Compiled, Embedded, Network, Pass
from tfxai.progress import progress_bar
from tfxai.scores import ClassScore, Score, Top, has_classes, pick

LARGEST = 2**31 - 1  # class that a traced function can take
Targets = Any  # None | int | (N,) ints | (N, K) ints | Top


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a method finds, one row for every (input, target) pair.

    values: for each input array (rows, ...), or None if it is not explained.
    kind:   type of the explanation, for methods that find more than values.
    more:   its further fields.
    """

    values: Sequence[NDArray | None]
    targets: NDArray
    scores: NDArray
    delta: NDArray | None = None
    kind: type[Explanation] = Explanation
    more: dict[str, Any] = dataclasses.field(default_factory=dict)


class Method(abc.ABC):
    """An explanation method: settings that can be called on any model.

    `method(model, inputs, targets=None, *, score=None, batch_size=32, progress=False) -> Explanation`

    model:      a Keras 3 or tf_keras model of any kind, or a callable from a batch to scores.
    inputs:     (N, ...) array, or the dict / list / tuple of arrays that the model takes.
    targets:    the class to explain: None (the predicted one), an int, (N,) ints, (N, K) ints, `tfxai.top(k)`.
    score:      what is explained: "logit", "probability", "output" or a callable (outputs, targets) -> (N,); see
                tfxai.scores.
    batch_size: examples that the model sees at once; memory grows with it and with nothing else.
    progress:   shows a progress bar.
    jit_compile: compiles the passes by XLA: slower for most convolutions on a CPU, quicker for some models elsewhere.

    Raises ValueError, before any work, if an argument is wrong: it says what came and what was expected.
    """

    default_score = "logit"

    def __call__(
        self,
        model: Any,
        inputs: Any,
        targets: Targets = None,
        *,
        score: str | Score | None = None,
        batch_size: int = 32,
        progress: bool = False,
        jit_compile: bool = False,
    ) -> Explanation:
        network = Network(model, inputs)
        score = self.default_score if score is None else score
        question = Question.of(network, targets, score, batch_size, progress, type(self))
        question = dataclasses.replace(question, jit_compile=jit_compile)
        return question.explanation(self.answer(question), method=described(self))

    @abc.abstractmethod
    def answer(self, question: Question) -> Answer:
        """Explains every row of the question."""


@dataclasses.dataclass(frozen=True)
class Question:
    """One checked call: which rows (input, target) of which network to explain, and how to run it.

    codes: (rows,) ints: a class, or -1 for the best ranked class of the input, -2 for the second ...
    lead:  shape of the targets, (N,) or (N, K).
    """

    network: Network
    codes: NDArray
    lead: tuple[int, ...]
    score: Score
    score_name: str
    owner: type  # of the method; its name alone may be that of another
    given: bool  # False if the user gave no targets
    batch_size: int
    progress: bool
    name: str
    jit_compile: bool = False

    @classmethod
    def of(
        cls, network: Network, targets: Targets, score: Any, batch_size: int, progress: bool, owner: type
    ) -> Question:
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}. Give a whole number, 1 or more.")
        codes = _codes(targets, len(network))
        if isinstance(score, str):
            if score not in ("logit", "probability", "output"):
                raise ValueError(
                    f'score is {score!r}. Give "logit", "probability", "output" or a callable (outputs, targets) -> (N,).'
                )
            function, score_name = ClassScore(score), score
        elif callable(score):
            function, score_name = score, _score_name(score)
        else:
            raise ValueError(
                f"score is a {type(score).__name__}. Give a name or a callable (outputs, targets) -> (N,)."
            )
        return cls(
            network,
            codes.reshape(-1),
            codes.shape,
            function,
            score_name,
            owner,
            targets is not None,
            int(batch_size),
            progress,
            owner.__name__,
        )

    @property
    def rows(self) -> int:
        return len(self.codes)

    @property
    def targets_each(self) -> int:
        return self.rows // len(self.network)

    @property
    def depth(self) -> int:
        """How many of the best ranked classes the codes can mean."""
        return max(1, -int(self.codes.min()))

    def key(self, *settings: Hashable) -> Hashable:
        """What a compiled function depends on beside the model and the inputs' shapes."""
        score = self.score
        if not dataclasses.is_dataclass(score) or not _hashable(score):
            score = _weak(score)
        return (
            weakref.ref(self.owner),
            score,
            self.given,
            self.depth,
            self.network.kind,
            self.network.array_outputs is not None,
            tuple(map(_place_key, self.network.places)),
            *settings,
        )

    def compiled(
        self,
        settings: Sequence[Hashable],
        body: Callable[..., Any],
        arguments: Sequence[Any],
        frozen: bytes | None = None,
    ) -> Compiled:
        """The traced body, once for these settings; raises ValueError if a target is no class of the model."""
        compiled = self.network.compiled(
            self.key(*settings), body, arguments, frozen=frozen, jit_compile=self.jit_compile
        )
        self.check_targets(compiled.facts)
        return compiled

    def codes_of(self, block: slice) -> NDArray:
        """The codes of some rows as the traced functions take them; too large ones are refused before they run."""
        return np.minimum(self.codes[block], LARGEST).astype(np.int32)

    def rows_of(self, arrays: Sequence[NDArray], block: slice) -> list[NDArray]:
        """What belongs to some rows, of arrays with one entry per example."""
        if self.targets_each == 1:
            return [array[block] for array in arrays]
        examples = np.arange(block.start, block.stop) // self.targets_each
        return [array[examples] for array in arrays]

    def blocks(self) -> Iterator[slice]:
        """Rows in blocks of at most `batch_size`, as even as possible."""
        count = -(-self.rows // self.batch_size)
        for start, stop in itertools.pairwise(self.rows * i // count for i in range(count + 1)):
            yield slice(start, stop)

    def bar(self, total: float) -> contextlib.AbstractContextManager[Callable[[float], None]]:
        """A progress bar if the user asked for one; gives the function that moves it on."""
        return progress_bar(self.progress, self.name, total)

    # Inside a trace

    def scored(self, trace: Pass, codes: Any, facts: dict[str, Any]) -> tuple[Any, Any]:
        """Score and class of each example of a traced pass: two tensors (B,)."""
        # Ours know outputs by name, too; a user's function gets what the model returns.
        outputs = trace.named if type(self.score).__module__ == ClassScore.__module__ else trace.outputs
        ours = self.score if isinstance(self.score, ClassScore) else None
        if not ours and not has_classes(outputs):
            if self.codes.min() < 0 and self.given:
                raise ValueError(
                    f"top({self.depth}) needs one output of class scores (N, C) to rank; this score reads another. "
                    "Give the classes as ints."
                )
            if (count := getattr(self.score, "count", None)) is not None:
                facts["classes"] = count(outputs)
            return self._by_user(outputs, codes if self.given else None), codes
        classes = (ours or ClassScore("output")).classes(outputs)
        facts["classes"] = count = classes.shape[1]
        ranked = tf.math.top_k(classes, min(self.depth, count)).indices
        rank = tf.clip_by_value(-codes - 1, 0, count - 1)
        targets = tf.where(codes < 0, tf.gather(ranked, rank, axis=1, batch_dims=1), codes)
        if ours:
            return pick(classes, targets), targets
        return self._by_user(outputs, targets), targets

    def _by_user(self, outputs: Any, targets: Any) -> Any:
        try:
            score = self.score(outputs, targets)
        except (NotImplementedError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"score {self.score_name} does not run on TensorFlow tensors ({reason}). Write it with TensorFlow "
                "operations, as (outputs, targets) -> (N,)."
            ) from error
        if not tf.is_tensor(score) or score.shape.rank != 1 or not score.dtype.is_floating:
            found = (
                f"a tensor {score.dtype.name} {tuple(score.shape)}"
                if tf.is_tensor(score)
                else type(score).__name__
            )
            raise ValueError(
                f"score {self.score_name} returned {found}. Return one TensorFlow number per example: a float tensor (N,)."
            )
        return tf.cast(score, tf.float32)

    def check_targets(self, facts: dict[str, Any]) -> None:
        """Raises ValueError if a class is out of range; called when the model is traced, before it runs."""
        count = facts.get("classes")
        if count is None:
            if self.codes.max() > LARGEST:
                raise ValueError(f"targets holds class {self.codes.max()}, more than any model has.")
            return
        if (self.codes >= count).any():
            raise ValueError(
                f"targets holds class {self.codes.max()}, the model has {count}"
                + (
                    " (a single unit without sigmoid: its only target is 0)."
                    if count == 1
                    else f" (0 to {count - 1})."
                )
            )
        if -self.codes.min() > count:
            raise ValueError(f"top({-self.codes.min()}) asks for more classes than the model has ({count}).")

    # Out of a trace

    def baselines_of(self, baseline: Baseline) -> list[NDArray]:
        """The baseline for each input array, of its shape; (N, 1, 1) where a number is meant at an embedding.

        Raises ValueError if it does not fit.
        """
        network = self.network
        alone = [baseline] * len(network.arrays)
        if isinstance(network.structure, dict) and isinstance(baseline, dict):
            if unknown := [name for name in baseline if name not in network.structure]:
                raise ValueError(
                    f"baseline has {unknown}, the inputs are {list(network.structure)}. Give just those."
                )
            alone = [baseline.get(name, 0.0) for name in network.structure]
        elif isinstance(network.structure, (list, tuple)) and isinstance(baseline, (list, tuple)):
            if len(baseline) != len(network.arrays):
                raise ValueError(
                    f"baseline has {len(baseline)} entries for {len(network.arrays)} inputs. Give one for each."
                )
            alone = list(baseline)
        return [self._baseline_at(number, each) for number, each in enumerate(alone)]

    def _baseline_at(self, number: int, baseline: Baseline) -> NDArray:
        array, place = self.network.arrays[number], self.network.places[number]
        if place is None:
            return array
        if isinstance(place, Embedded) and not callable(baseline) and np.ndim(baseline) == 0:
            return np.broadcast_to(filled(baseline, np.zeros((1, 1, 1), np.float32)), (len(array), 1, 1))
        found = filled(baseline, array)
        self.network.check_ids(number, found, "baseline")
        return found

    def explanation(self, answer: Answer, method: str) -> Explanation:
        network = self.network
        return answer.kind(
            values=self.shaped(answer.values),
            inputs=network.pack(network.arrays),
            targets=np.asarray(answer.targets, np.int64).reshape(self.lead),
            scores=np.asarray(answer.scores, np.float32).reshape(self.lead),
            delta=None if answer.delta is None else np.asarray(answer.delta, np.float32).reshape(self.lead),
            method=method,
            score=self.score_name,
            **answer.more,
        )

    def shaped(self, values: Sequence[NDArray | None]) -> Any:
        """Values of all rows, for each input, in the shape of the targets and the structure of the inputs."""
        return self.network.pack(
            [
                None if v is None else np.asarray(v, np.float32).reshape(self.lead + v.shape[1:])
                for v in values
            ]
        )


def each(
    question: Question,
    settings: Sequence[Hashable],
    body: Callable[..., Any],
    extras: Sequence[NDArray] = (),
    constants: Sequence[Any] = (),
) -> Any:
    """Runs a traced `body(facts, inputs, codes, *extras, *constants)` on all rows in batches and joins what it returns.

    inputs: tensors of the network's inputs (B, ...); codes: (B,); extras: arrays with one entry per example; constants:
    arrays that every batch sees whole.
    body returns any structure of tensors with first axis B, and of None. It is traced once.
    """
    count = len(question.network.arrays)

    def traced(facts: dict[str, Any], *tensors: Any) -> Any:
        found = body(facts, tensors[:count], tensors[count], *tensors[count + 1 :])
        flat = tf.nest.flatten(found)
        facts["structure"] = tf.nest.map_structure(lambda tensor: tensor is not None, found)
        return [tensor for tensor in flat if tensor is not None]

    joined: list[NDArray] = []
    compiled: Any = None
    constants = [tf.convert_to_tensor(constant) for constant in constants]
    with question.bar(question.rows) as advance:
        for block in question.blocks():
            arguments = [*question.rows_of(question.network.arrays, block), question.codes_of(block)]
            arguments += [*question.rows_of(extras, block), *constants]
            compiled = question.compiled(settings, traced, arguments)
            parts = [tensor.numpy() for tensor in compiled(*arguments)]
            if block == slice(0, question.rows):
                joined = parts
            else:
                joined = joined or [np.empty((question.rows, *part.shape[1:]), part.dtype) for part in parts]
                for whole, part in zip(joined, parts, strict=True):
                    whole[block] = part
            advance(block.stop - block.start)
    for message in compiled.facts.get("warnings", ()):
        warnings.warn(message, stacklevel=5)
    rest = iter(joined)
    return tf.nest.map_structure(lambda there: next(rest) if there else None, compiled.facts["structure"])


def described(method: Any) -> str:
    """The method with its settings, as repr has it, but arrays by their shape."""
    settings = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    return (
        f"{type(method).__name__}({', '.join(f'{name}={_short(value)}' for name, value in settings.items())})"
    )


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_short(each)}" for name, each in value.items()) + "}"
    if isinstance(value, np.ndarray) or tf.is_tensor(value) or hasattr(value, "iloc"):
        return f"<array {tuple(value.shape)}>"
    if isinstance(value, (list, tuple)) and any(not isinstance(each, (int, float, str)) for each in value):
        return f"<{type(value).__name__} of {len(value)}>"
    return repr(value)


def whole(method: Any, **least: int) -> None:
    """Raises ValueError if a setting is not a whole number of at least so much."""
    for name, lowest in least.items():
        value = getattr(method, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < lowest:
            setting = f"{type(method).__name__}({name}={value!r})"
            raise ValueError(f"{setting}: {name} is {value!r}. Give a whole number, {lowest} or more.")


def real(method: Any, name: str, fits: Callable[[Any], bool], wanted: str) -> None:
    """Raises ValueError if a setting is not a number that fits."""
    value = getattr(method, name)
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.integer, np.floating))
        or not fits(value)
    ):
        raise ValueError(f"{type(method).__name__}({name}={value!r}): {name} is {value!r}. Give {wanted}.")


def per_token(values: Sequence[Any], network: Network) -> list[Any]:
    """Sums over the embedding axis where an input was explained at its embedding: one value per token."""
    return [
        tf.reduce_sum(value, axis=-1) if isinstance(place, Embedded) else value
        for value, place in zip(values, network.places, strict=True)
    ]


def total(values: Sequence[Any]) -> Any:
    """Sum of all values of each row, over all inputs: (B,)."""
    return sum(
        tf.reduce_sum(tf.reshape(value, (tf.shape(value)[0], -1)), 1) for value in values if value is not None
    )


def _codes(targets: Targets, count: int) -> NDArray:
    if targets is None:
        return np.full((count,), -1, np.int32)
    if isinstance(targets, Top):
        return np.tile(-np.arange(1, targets.k + 1, dtype=np.int32), (count, 1))
    array = np.asarray(targets)
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"targets has type {array.dtype}. Give None, an int, (N,) ints, (N, K) ints or tfxai.top(k)."
        )
    if array.ndim == 0:
        array = np.full((count,), array)
    if array.ndim > 2 or len(array) != count or array.size == 0:
        raise ValueError(
            f"targets has {len(array)} entries for {count} inputs. Give one class per input, or one int for all."
            if array.ndim == 1
            else f"targets has shape {array.shape} for {count} inputs. Give (N,) or (N, K) classes, or one int for all."
        )
    if array.ndim == 2 and array.shape[-1] > 2 and array.max() == 1 and (array.sum(axis=1) == 1).all():
        raise ValueError(
            f"targets has shape {array.shape} and looks one-hot; (N, K) means K classes of each input. Give y.argmax(axis=1)."
        )
    if array.min() < 0:
        raise ValueError(f"targets holds class {array.min()}. Classes are counted from 0.")
    return array.astype(np.int64)


def _score_name(score: Any) -> str:
    return (
        repr(score) if dataclasses.is_dataclass(score) else getattr(score, "__name__", type(score).__name__)
    )


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _weak(value: Any) -> Hashable:
    """A key that does not keep the user's function, and what it refers to, alive."""
    try:
        return weakref.ref(value) if _hashable(value) else object()
    except TypeError:
        return object()  # equal to no other key: traced anew each time


def _place_key(place: Any) -> Hashable:
    return (weakref.ref(place.layer), place.index) if isinstance(place, Embedded) else place
