"""The two plainest maps: the gradient, and the gradient times the input."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfxai.engines import Attribution, Method, Request, per_token, run_in_batches


@dataclasses.dataclass(frozen=True)
class Gradient(Method):
    """Which values, changed a little, change the score most?

    Signed and unreduced: d score / d input. Cost: one forward and one backward pass per input and target.

    Simonyan, Vedaldi, Zisserman: Deep Inside Convolutional Networks, 2013. arXiv:1312.6034, section 3
    """

    def attribute(self, request: Request) -> Attribution:
        return _explain(request, times_input=False)


@dataclasses.dataclass(frozen=True)
class InputXGradient(Method):
    """How much does each value contribute, if the model were linear around this input?

    Signed: input x d score / d input. Complete for linear models without bias. Cost: as Gradient.

    Shrikumar, Greenside, Shcherbina, Kundaje: Not Just a Black Box, 2016. arXiv:1605.01713
    """

    def attribute(self, request: Request) -> Attribution:
        return _explain(request, times_input=True)


def _explain(request: Request, times_input: bool) -> Attribution:
    network = request.network

    def body(facts: dict[str, Any], inputs: Any, target_codes: Any) -> Any:
        trace = network.forward(inputs)
        scores, targets = request.scored(trace, target_codes, facts)
        values = trace.gradients(scores)
        if times_input:
            values = [
                None if v is None else v * tf.cast(point, v.dtype)
                for v, point in zip(values, trace.points, strict=True)
            ]
        return per_token(values, network), targets, scores

    return Attribution(*run_in_batches(request, [times_input], body))
