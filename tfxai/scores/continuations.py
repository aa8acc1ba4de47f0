"""Scores of a language model's outputs (N, T, V): what it says of each token of a text that goes on from another."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.scores.outputs import chosen, in_unit
from tfxai.scores.referring import Asked, References, Referring, Seen, only_without_targets
from tfxai.support import Structure, Tensor

TokenUnit: TypeAlias = Literal["log_probability", "logit"]


@dataclasses.dataclass(frozen=True, eq=False)
class Continuation(Referring):
    """One map for each token that follows on a prompt; made by `tfxai.scores.continuation`."""

    tokens: NDArray[np.int64] | None = dataclasses.field(default=None, repr=False)
    start: int = 0
    against: NDArray[np.int64] | None = dataclasses.field(default=None, repr=False)
    unit: TokenUnit = "log_probability"
    output: str | int | None = None
    takes_classes: ClassVar[bool] = False

    @property
    def words(self) -> str:
        name = "log-probability" if self.unit == "log_probability" else self.unit
        return name + ("" if self.against is None else ", against other tokens")

    def refer(self, asked: Asked) -> References:
        only_without_targets("continuation", asked)
        tokens = np.asarray(self.tokens, np.int64)
        shape = (asked.count, len(tokens))
        arrays = {"places": np.broadcast_to(self.start - 1 + np.arange(len(tokens)), shape)}
        if self.against is not None:
            arrays["against"] = np.broadcast_to(self.against, shape)
        # What is left in the score decides the trace; the words for it are kept.
        bare = dataclasses.replace(self, tokens=None, start=0)
        return References(np.broadcast_to(tokens, shape).copy(), arrays, bare)

    def count(self, read: Any) -> int | None:
        """The size of the vocabulary."""
        return read.shape[-1]

    def read(self, seen: Seen) -> Tensor:
        """Logits, float32 (B, T, V)."""
        return logits_of_tokens(seen.outputs, self.output)

    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        logits = tf.gather(read, references["places"], axis=1, batch_dims=1)
        score = tf.gather(logits, targets, axis=1, batch_dims=1)
        if "against" in references:  # of log-probabilities the difference is that of the logits
            return score - tf.gather(logits, references["against"], axis=1, batch_dims=1)
        if self.unit == "logit":
            return score
        return tf.gather(tf.nn.log_softmax(logits), targets, axis=1, batch_dims=1)


def logits_of_tokens(outputs: Structure, output: str | int | None = None) -> Tensor:
    """In a trace: the logits (N, T, V), float32, of a language model's output.

    Raises ValueError if it has another shape, or it is not clear which output is meant.
    """
    tensor = chosen(
        outputs,
        output,
        "tfxai.scores.continuation(..., output=NAME), or tfxai.explain_generation(..., logits=NAME)",
    )
    if tensor.shape.rank != 3:
        raise ValueError(
            f"The output has shape {tuple(tensor.shape)}. A language model says something of each token: (N, T, vocabulary)."
        )
    return in_unit(tensor, "logit", single=False)[0]
