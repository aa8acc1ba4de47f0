"""What a model says about each input, with the same eyes as the methods that explain it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from numpy.typing import NDArray

from tfxai.engines import Request, ScoredBody, Tracer, run_in_batches
from tfxai.model import Network, fitting, run_at_own_batch
from tfxai.scores import ClassScore
from tfxai.support import BatchSize, Inputs, Model, Tensor, checked


@checked
@fitting
def probabilities(
    model: Model,
    inputs: Inputs,
    *,
    output: str | int | None = None,
    batch_size: BatchSize = 32,
    progress: bool = False,
) -> NDArray:
    """Probability of every class, float32 (N, C), 0 to 1.

    The model's own where it ends in a softmax or sigmoid, otherwise the softmax of its output. One sigmoid unit has
    two classes, its complement and itself. Cost: one forward pass per input.

    model, inputs, batch_size, progress: as for every method, see `tfxai.engines.method.Method`.
    output: name or position of the output, for models with several.

    Raises ValueError if an argument is wrong, or the output holds no class scores.
    """
    score = ClassScore("probability", output)

    def found(network: Network) -> NDArray:
        request = Request.of(network, None, score, "probabilities", batch_size=batch_size, progress=progress)
        return run_in_batches(request, _Classes(score))

    return run_at_own_batch(lambda: Network(model, inputs), found)


@dataclasses.dataclass(frozen=True)
class _Classes(ScoredBody):
    """The score of every class."""

    score: ClassScore

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Tensor:
        forward = tracer.forward(inputs)
        return forward.kept(self.score.classes(forward.named))
