"""One checked call of a method: which rows of which model to explain, and how to run it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, filled
from tfxai.model import Compiled, Embedded, ForwardPass, Network
from tfxai.results import Explanation
from tfxai.scores import ClassScore, Score, Top, has_classes, pick
from tfxai.support import progress_bar

LARGEST = 2**31 - 1  # class that a traced function can take


Targets = Any  # None | int | (N,) ints | (N, K) ints | Top


@dataclasses.dataclass(frozen=True)
class Attribution:
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


@dataclasses.dataclass(frozen=True)
class Request:
    """One checked call: which rows (input, target) of which network to explain, and how to run it.

    codes: (rows,) ints: a class, or -1 for the best ranked class of the input, -2 for the second ...
    lead:  shape of the targets, (N,) or (N, K).
    """

    network: Network
    target_codes: NDArray
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
    ) -> Request:
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}. Give a whole number, 1 or more.")
        target_codes = _codes(targets, len(network))
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
            target_codes.reshape(-1),
            target_codes.shape,
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
        return len(self.target_codes)

    @property
    def targets_each(self) -> int:
        return self.rows // len(self.network)

    @property
    def depth(self) -> int:
        """How many of the best ranked classes the codes can mean."""
        return max(1, -int(self.target_codes.min()))

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

    def target_codes_of(self, block: slice) -> NDArray:
        """The codes of some rows as the traced functions take them; too large ones are refused before they run."""
        return np.minimum(self.target_codes[block], LARGEST).astype(np.int32)

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

    def scored(self, trace: ForwardPass, target_codes: Any, facts: dict[str, Any]) -> tuple[Any, Any]:
        """Score and class of each example of a traced pass: two tensors (B,)."""
        # Ours know outputs by name, too; a user's function gets what the model returns.
        outputs = trace.named if type(self.score).__module__ == ClassScore.__module__ else trace.outputs
        ours = self.score if isinstance(self.score, ClassScore) else None
        if not ours and not has_classes(outputs):
            if self.target_codes.min() < 0 and self.given:
                raise ValueError(
                    f"top({self.depth}) needs one output of class scores (N, C) to rank; this score reads another. "
                    "Give the classes as ints."
                )
            if (count := getattr(self.score, "count", None)) is not None:
                facts["classes"] = count(outputs)
            return self._by_user(outputs, target_codes if self.given else None), target_codes
        classes = (ours or ClassScore("output")).classes(outputs)
        facts["classes"] = count = classes.shape[1]
        ranked = tf.math.top_k(classes, min(self.depth, count)).indices
        rank = tf.clip_by_value(-target_codes - 1, 0, count - 1)
        targets = tf.where(target_codes < 0, tf.gather(ranked, rank, axis=1, batch_dims=1), target_codes)
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
            if self.target_codes.max() > LARGEST:
                raise ValueError(f"targets holds class {self.target_codes.max()}, more than any model has.")
            return
        if (self.target_codes >= count).any():
            raise ValueError(
                f"targets holds class {self.target_codes.max()}, the model has {count}"
                + (
                    " (a single unit without sigmoid: its only target is 0)."
                    if count == 1
                    else f" (0 to {count - 1})."
                )
            )
        if -self.target_codes.min() > count:
            raise ValueError(
                f"top({-self.target_codes.min()}) asks for more classes than the model has ({count})."
            )

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

    def explanation(self, attribute: Attribution, method: str) -> Explanation:
        network = self.network
        return attribute.kind(
            values=self.shaped(attribute.values),
            inputs=network.pack(network.arrays),
            targets=np.asarray(attribute.targets, np.int64).reshape(self.lead),
            scores=np.asarray(attribute.scores, np.float32).reshape(self.lead),
            delta=None
            if attribute.delta is None
            else np.asarray(attribute.delta, np.float32).reshape(self.lead),
            method=method,
            score=self.score_name,
            **attribute.more,
        )

    def shaped(self, values: Sequence[NDArray | None]) -> Any:
        """Values of all rows, for each input, in the shape of the targets and the structure of the inputs."""
        return self.network.pack(
            [
                None if v is None else np.asarray(v, np.float32).reshape(self.lead + v.shape[1:])
                for v in values
            ]
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
