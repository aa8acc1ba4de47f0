"""The two plainest maps: the gradient, and the gradient times the input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tfxai.engines import Attribution, Method, Request, ScoredBody, Tracer, per_token, run_in_batches, times
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class Gradient(Method):
    """Which values, changed a little, change the score most?

    Signed and unreduced: d score / d input; of token ids, which have no gradient, the length (L2) of that of their
    embedding. Cost: one forward and one backward pass per input and target.

    >>> rows = np.array([[3.0, 1.0]], "float32")
    >>> tfxai.Gradient()(lambda x: x[:, 0] ** 2 - 2 * x[:, 1], rows).values.tolist()
    [[6.0, -2.0]]

    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2013. arXiv:1312.6034, section 3
    """

    def attribute(self, request: Request) -> Attribution:
        return Attribution(*run_in_batches(request, _Gradients(times_input=False)))


@dataclasses.dataclass(frozen=True)
class InputXGradient(Method):
    """How much does each value contribute, if the model were linear around this input?

    Signed: input x d score / d input. Complete for linear models without bias. Cost: as Gradient.

    Shrikumar, Greenside, Shcherbina, Kundaje: Not Just a Black Box, 2016. arXiv:1605.01713
    """

    def attribute(self, request: Request) -> Attribution:
        return Attribution(*run_in_batches(request, _Gradients(times_input=True)))


@dataclasses.dataclass(frozen=True)
class _Gradients(ScoredBody):
    times_input: bool

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        values = forward.gradients(scores)
        if self.times_input:
            values = times(values, forward.points)
        values = per_token(values, tracer.places, sensitivities=not self.times_input)
        return values, targets, scores
