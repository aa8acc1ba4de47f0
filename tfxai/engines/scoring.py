"""What is explained, as far as a trace depends on it, and the model as a traced body sees it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import tensorflow as tf

from tfxai.model import (
    Body,
    ForwardPass,
    Network,
    Place,
    Replaced,
    TraceRecord,
    first_tensor,
    named_call,
)
from tfxai.scores import (
    ROWS,
    ClassScore,
    OutputScore,
    Referring,
    Score,
    Seen,
    has_classes,
    pick,
    wrong_length,
)
from tfxai.support import Structure, Tensor

SCORE = "tfxai_score"  # in the names of operations that a score makes of what it has read: they are not the model's


@dataclasses.dataclass(frozen=True)
class Scoring:
    """The score of a call.

    score, score_name: the function and what it is called.
    given: whether the user gave targets.
    ranks: whether a target code can mean a rank; depth: how many of the best ranked classes it can mean.
    details: names of what a score with references compares rows with; codes then are numbers of rows.
    """

    score: Score
    score_name: str
    given: bool
    ranks: bool
    depth: int
    details: tuple[str, ...] = ()

    def scored(
        self, forward: ForwardPass, target_codes: Tensor, record: TraceRecord
    ) -> tuple[Tensor, Tensor]:
        """Score (B,) and class (B,) of each example of a forward pass, inside a trace. Notes the number of classes."""
        score = self.score if isinstance(self.score, ClassScore) else None
        # Ours know outputs by name, too; a user's function gets what the model returns.
        outputs = forward.named if getattr(self.score, "reads_names", False) else forward.outputs
        if score is None and not has_classes(outputs):
            if self.ranks and self.given:
                raise ValueError(
                    f"top({self.depth}) needs one output of class scores (N, C) to rank; this score reads another. "
                    "Give the classes as ints."
                )
            if (count_of := getattr(self.score, "count", None)) is not None:
                record.classes = count_of(outputs)
            return self._by_function(outputs, target_codes if self.given else None), target_codes
        classes = (score or ClassScore("output")).classes(outputs)
        record.classes = count = classes.shape[1]
        ranked = tf.math.top_k(classes, min(self.depth, count)).indices
        rank = tf.clip_by_value(-target_codes - 1, 0, count - 1)
        targets = tf.where(target_codes < 0, tf.gather(ranked, rank, axis=1, batch_dims=1), target_codes)
        return pick(classes, targets) if score else self._by_function(outputs, targets), targets

    def _by_function(self, outputs: Structure, targets: Tensor | None) -> Tensor:
        try:
            score = self.score(outputs, targets)
        except (NotImplementedError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"score {self.score_name} does not run on TensorFlow tensors ({reason}). Write it with TensorFlow "
                "operations, as (outputs, targets) -> (N,)."
            ) from error
        if not tf.is_tensor(score) or score.shape.rank != 1 or not score.dtype.is_floating:
            returned = (
                f"a tensor {score.dtype.name} {tuple(score.shape)}"
                if tf.is_tensor(score)
                else type(score).__name__
            )
            raise ValueError(
                f"score {self.score_name} returned {returned}. Return one TensorFlow number per example: a float tensor (N,)."
            )
        if not isinstance(self.score, OutputScore) and (count := wrong_length(self.score, outputs, targets)):
            raise ValueError(
                f"score {self.score_name} returns {count} numbers when it is tried on {ROWS} examples. Return one for each, (N,): the first "
                "axis is the examples, and classes are the last one (axis=-1)."
            )
        return tf.cast(score, tf.float32)


@dataclasses.dataclass(frozen=True)
class Tracer:
    """The model in the graph that is being traced, with the score of the call: all that a traced body works with."""

    network: Network
    scoring: Scoring
    record: Any

    def read(self, forward: ForwardPass, *, differentiated: bool) -> Any:
        """What a score with references reads of a forward pass, tensors of the whole batch (B, ...)."""

        def layer(path: str) -> Tensor:
            return first_tensor(named_call(self.network.adapter, forward, path).output)

        return cast(Referring, self.scoring.score).read(
            Seen(forward.named, forward.outputs, forward.fed, layer, differentiated)
        )

    @property
    def places(self) -> list[Place]:
        """Where each input is explained."""
        return self.network.places

    def forward(
        self,
        inputs: Sequence[Tensor],
        points: Sequence[Tensor] | None = None,
        replaced: Replaced | None = None,
        own: Sequence[Tensor] | None = None,
    ) -> ForwardPass:
        """See `tfxai.model.Network.forward`."""
        return self.network.forward(inputs, points, replaced, own)

    def scored(self, forward: ForwardPass, target_codes: Tensor) -> tuple[Tensor, Tensor]:
        """Score and class (B,) of each example of a forward pass."""
        scores, targets = self.scored_each(forward, target_codes[:, None])
        return scores[:, 0], targets[:, 0]

    def scored_each(self, forward: ForwardPass, target_codes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and classes (B, K), for codes (B, K)."""
        (codes,) = self.network.filled([target_codes])
        read, pairs = None, []
        if isinstance(self.scoring.score, Referring):
            read = self.read(forward, differentiated=self.network.needs.gradients)
            self.record.classes = self.scoring.score.count(read)
        for k in range(codes.shape[1]):
            if isinstance(self.scoring.score, Referring):
                pairs.append((self._compared(self.scoring.score, read, codes[:, k]), codes[:, k]))
            else:
                pairs.append(self.scoring.scored(forward, codes[:, k], self.record))
        scores, targets = (tf.stack(of_class, 1) for of_class in zip(*pairs, strict=True))
        return forward.kept(scores), forward.kept(targets)

    def _compared(self, score: Referring, read: Any, rows: Tensor) -> Tensor:
        """The score (B,) of rows with these numbers among the references."""
        targets, *details = (tf.gather(tensor, rows) for tensor in self.network.details)
        references = dict(zip(self.scoring.details, details, strict=True))
        with tf.name_scope(SCORE):
            compared = score.compare(read, references, targets)
        if not tf.is_tensor(compared) or compared.shape.rank != 1 or not compared.dtype.is_floating:
            raise ValueError(f"{score!r} compares to {compared}. Return one number per example, (N,).")
        return tf.cast(compared, tf.float32)


class ScoredBody(Body):
    """What a method traces: a frozen dataclass, called in the graph as `body(tracer, *tensors)`.

    As of every `tfxai.model.Body`, its class and fields are all that it may depend on beside the tracer.
    """


@dataclasses.dataclass(frozen=True)
class WithScore(Body):
    """A scored body together with the score: what is traced in the end."""

    scoring: Scoring
    body: ScoredBody

    def __call__(self, network: Network, record: TraceRecord, *tensors: Tensor) -> Any:
        return self.body(Tracer(network, self.scoring, record), *tensors)

    def new_record(self) -> TraceRecord:
        return self.body.new_record()
