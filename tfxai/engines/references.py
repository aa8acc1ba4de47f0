"""A call's request, with what its score compares rows with: found before anything of the call is traced."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.batches import batches_of, run_in_batches
from tfxai.engines.perturb import at_inputs
from tfxai.engines.request import Request
from tfxai.engines.scoring import ScoredBody, Scoring, Tracer
from tfxai.model import Needs, Network
from tfxai.scores import Asked, References, Referring, Score
from tfxai.support import BatchSize, Inputs, Tensor


def request_of(
    network: Network,
    targets: Any,
    score: str | Score,
    method: str,
    *,
    batch_size: BatchSize = 32,
    **how: Any,
) -> Request:
    """One checked call; see `Request.of`, which knows nothing of references.

    Raises ValueError if an argument is wrong, or does not fit the network's inputs.
    """
    if not isinstance(score, Referring):
        return Request.of(network, targets, score, method, batch_size=batch_size, **how)

    look = _Look(network, targets, method, batch_size)
    sizes = [array.shape[1:] for array in network.arrays]
    if isinstance(targets, References):  # of rows that have been explained
        references = targets
    else:
        references = score.refer(Asked(targets, len(network), sizes, look.read, look.classes))
    request = Request.of(network, None, "output", method, batch_size=batch_size, **how)
    bare = references.score or score
    codes = np.arange(references.targets.size, dtype=np.int32)
    return dataclasses.replace(
        request,
        target_codes=codes,
        target_shape=references.targets.shape,
        scoring=Scoring(bare, bare.words, True, False, 1, tuple(references.arrays)),
        references=references,
    )


@dataclasses.dataclass(frozen=True)
class _Look:
    """How a score looks at whole outputs before anything of the call is traced; see `tfxai.scores.referring.Asked`."""

    network: Network
    targets: Any
    method: str
    batch_size: BatchSize

    def read(
        self, score: Referring, inputs: Inputs | None, then: Callable[[Any, slice], Any] | None = None
    ) -> Any:
        """What the score reads of each example, or what a function makes of that."""
        network = self.network
        if inputs is not None:
            network = Network(network.model, inputs, Needs(gradients=False), self.method, network.seed)
        request = Request.of(network, None, "output", self.method, batch_size=self.batch_size)
        request = dataclasses.replace(request, scoring=Scoring(score, score.words, False, False, 1))
        if then is None:
            return run_in_batches(request, _Read())
        return np.concatenate([then(part, block) for block, part in batches_of(request, _Read())])

    def classes(self, score: Score) -> NDArray[np.int64]:
        """The classes that the call means, of a score of classes."""
        request = Request.of(self.network, self.targets, score, self.method, batch_size=self.batch_size)
        return at_inputs(request)[0].reshape(request.target_shape).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class _Read(ScoredBody):
    """What the score reads of each input."""

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        return tf.nest.map_structure(forward.kept, tracer.read(forward, differentiated=False))
