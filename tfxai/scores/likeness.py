"""Scores of likeness, for models that put out embeddings, and of one thing rather than another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from tfxai.scores.classes import ClassScore, pick
from tfxai.scores.outputs import OutputScore, Unit, chosen, wrong_length
from tfxai.scores.referring import Asked, References, Referring, Seen, only_without_targets
from tfxai.support import Inputs, Structure, Tensor, check_settings

LikenessMetric: TypeAlias = Literal["cosine", "euclidean", "dot"]


@dataclasses.dataclass(frozen=True, eq=False)
class Similarity(Referring):
    """How like an embedding is to another one; made by `tfxai.scores.similarity`."""

    reference: Inputs = dataclasses.field(repr=False)
    metric: LikenessMetric = "cosine"
    output: str | int | None = None
    layer: str | None = None
    is_embedding: bool = False
    takes_classes: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def words(self) -> str:
        names = {"cosine": "cosine similarity", "euclidean": "nearness", "dot": "product of embeddings"}
        return names[self.metric] + (f" in {self.layer}" if self.layer else "")

    def refer(self, asked: Asked) -> References:
        only_without_targets("similarity", asked)
        reference = self.reference
        if not self.is_embedding and isinstance(reference, (np.ndarray, list)) and len(asked.sizes) == 1:
            array = np.asarray(reference)
            if array.shape == asked.sizes[0]:  # one example without the axis of the batch
                reference = array[None]
            elif array.shape[1:] != asked.sizes[0]:
                return self._referred(asked, array)
        elif self.is_embedding:
            return self._referred(asked, np.asarray(reference))
        return self._referred(asked, asked.read(self._bare, reference))

    def _referred(self, asked: Asked, embeddings: np.ndarray) -> References:
        if embeddings.dtype.kind not in "fiu" or embeddings.ndim not in (1, 2) or embeddings.size == 0:
            raise ValueError(
                f"similarity got a reference of shape {embeddings.shape} for inputs of {asked.sizes}. Give examples like the "
                "inputs, one or N of them, or embeddings (D,) or (N, D)."
            )
        if embeddings.ndim == 2 and len(embeddings) not in (1, asked.count):
            raise ValueError(
                f"similarity got {len(embeddings)} references for {asked.count} inputs. Give one for all, or one for each."
            )
        if not np.isfinite(embeddings).all():
            raise ValueError("similarity got a reference whose embedding is not finite (NaN or infinite).")
        rows = np.broadcast_to(embeddings, (asked.count, embeddings.shape[-1])).astype(np.float32)
        return References.without_classes(asked.count, {"embedding": rows}, self._bare)

    @property
    def _bare(self) -> Similarity:
        return dataclasses.replace(self, reference=None)

    def read(self, seen: Seen) -> Tensor:
        """Embeddings, float32 (B, D)."""
        if self.layer is not None:
            tensor = seen.layer(self.layer)
        else:
            tensor = chosen(seen.outputs, self.output, "tfxai.scores.similarity(reference, output=NAME)")
        width = int(np.prod(tensor.shape[1:])) if None not in tensor.shape[1:] else -1
        return tf.reshape(tf.cast(tensor, tf.float32), (-1, width))

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        other = references["embedding"]
        if read.shape[1] is not None and read.shape[1] != other.shape[1]:
            raise ValueError(
                f"similarity got a reference of {other.shape[1]} numbers, and embeddings have {read.shape[1]}."
            )
        if self.metric == "euclidean":
            # The root has no slope at 0; nor has the distance of a thing to itself.
            return -tf.sqrt(tf.maximum(tf.reduce_sum(tf.math.squared_difference(read, other), 1), 1e-12))
        product = tf.reduce_sum(read * other, 1)
        if self.metric == "dot":
            return product
        return product * tf.math.rsqrt(
            tf.maximum(tf.reduce_sum(read * read, 1), 1e-12)
            * tf.maximum(tf.reduce_sum(other * other, 1), 1e-12)
        )


@dataclasses.dataclass(frozen=True)
class Entry(Referring):
    """The entry of a class, of one's own for each row. number: of the class; None: the target of the call."""

    number: int | None
    unit: Unit = "logit"

    @property
    def words(self) -> str:
        return self.unit if self.number is None else f"class {self.number}"

    def refer(self, asked: Asked) -> References:
        if self.number is not None:
            return References(np.full((asked.count,), self.number, np.int64))
        return References(asked.classes(ClassScore(self.unit)))

    def read(self, seen: Seen) -> Tensor:
        return ClassScore(self.unit).classes(seen.outputs)

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        if self.number is not None and self.number >= read.shape[1]:
            raise ValueError(
                f"contrast got class {self.number}, the model has {read.shape[1]}, counted from 0."
            )
        return pick(read, targets)

    def count(self, read: Any) -> int | None:
        return read.shape[1]


@dataclasses.dataclass(frozen=True)
class OfOutputs(Referring):
    """Any other score (outputs, targets) -> (N,), as one with references. given: it gets targets."""

    score: Any
    given: bool = True

    @property
    def words(self) -> str:
        return (
            repr(self.score)
            if dataclasses.is_dataclass(self.score)
            else getattr(self.score, "__name__", type(self.score).__name__)
        )

    def refer(self, asked: Asked) -> References:
        if isinstance(self.score, ClassScore):
            return References(asked.classes(self.score))
        if (classes := asked.given) is not None:
            return References(classes)
        bare = dataclasses.replace(self, given=False)
        return References.without_classes(asked.count, {}, bare)

    def read(self, seen: Seen) -> Structure:
        return (
            seen.outputs
            if isinstance(self.score, OutputScore) or not isinstance(seen.outputs, dict)
            else seen.returned
        )

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        targets = targets if self.given else None
        found = self.score(read, targets)
        if not tf.is_tensor(found) or found.shape.rank != 1 or wrong_length(self.score, read, targets):
            raise ValueError(
                f"contrast: {self.words} does not return one number per example, (N,): the first axis is the examples, and "
                "classes are the last one (axis=-1)."
            )
        return found


@dataclasses.dataclass(frozen=True)
class Contrast(Referring):
    """One score minus another; made by `tfxai.scores.contrast`."""

    one: Referring
    other: Referring

    @property
    def words(self) -> str:
        return f"{self.one.words} rather than {self.other.words}"

    def refer(self, asked: Asked) -> References:
        both = self.one, self.other
        if not any(side.takes_classes for side in both):
            only_without_targets("contrast of scores without classes", asked)
        without = dataclasses.replace(asked, targets=None)
        sides = [side.refer(asked if side.takes_classes else without) for side in both]
        shape = max((side.targets.shape for side in sides), key=len)
        arrays = {}
        for name, side in zip(("one", "other"), sides, strict=True):
            lead = side.targets.ndim
            for key, array in {"targets": side.targets, **side.arrays}.items():
                wide = array if lead == len(shape) else array[:, None]
                arrays[f"{name}.{key}"] = np.broadcast_to(wide, shape + array.shape[lead:])
        bare = Contrast(*(side.score or own for side, own in zip(sides, (self.one, self.other), strict=True)))
        own = arrays["one.targets"]
        targets = np.broadcast_to(arrays["other.targets"] if (own < 0).all() else own, shape)
        return References(targets.astype(np.int64), arrays, bare)

    def read(self, seen: Seen) -> tuple[Any, Any]:
        return self.one.read(seen), self.other.read(seen)

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        scores = []
        for name, side, of_side in zip(("one", "other"), (self.one, self.other), read, strict=True):
            own = {
                key.split(".", 1)[1]: value for key, value in references.items() if key.startswith(f"{name}.")
            }
            scores.append(side.compare(of_side, own, own.pop("targets")))
        return scores[0] - scores[1]

    def count(self, read: Any) -> int | None:
        counts = [side.count(of_side) for side, of_side in zip((self.one, self.other), read, strict=True)]
        return min((count for count in counts if count is not None), default=None)


def side_of(score: Any) -> Referring:
    """One side of a contrast: a class, None for the call's target, or a score.

    Raises ValueError if it is neither.
    """
    if isinstance(score, Referring):
        return score
    if score is None or (isinstance(score, (int, np.integer)) and not isinstance(score, bool) and score >= 0):
        return Entry(None if score is None else int(score))
    if not callable(score):
        raise ValueError(
            f"contrast got {score!r}. Give classes (0, 1 ...), None for the call's target, or scores."
        )
    return OfOutputs(score)
