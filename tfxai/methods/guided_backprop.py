"""Gradients that are cut where they turn negative: guided backprop and the deconvnet."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxai.engines import (
    GUIDED,
    RELU_LIKE,
    Attribution,
    Method,
    Request,
    Rules,
    ScoredBody,
    Tracer,
    gradients,
    mirrored_half,
    other_spellings,
    per_token,
    run_in_batches,
)
from tfxai.support import Operation, Tensor


@dataclasses.dataclass(frozen=True)
class GuidedBackprop(Method):
    """Which fine structures excite the units that lead to the score?

    The gradient, but at every ReLU (also ReLU6, leaky ReLU, PReLU, ELU, SELU, and written as a maximum or a choice)
    only its positive part goes on, and only where the unit is open. Sharp pictures that depend little on the upper layers (arXiv:1810.03292): not a measure
    of importance. Warns if the model has nothing to guide. Cost: as Gradient.

    Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for Simplicity, 2014. arXiv:1412.6806, section 3.4
    """

    def attribute(self, request: Request) -> Attribution:
        return Attribution(*run_in_batches(request, _ByRules(GUIDED, request.method)))


@dataclasses.dataclass(frozen=True)
class Deconvnet(Method):
    """Which structures would a decoder run backwards draw for this score?

    The gradient, but at every ReLU only its positive part goes on, whether the unit is open or not. Max pooling
    goes back to the place of the maximum. Warns if the model has no ReLU. Cost: as Gradient.

    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2013. arXiv:1311.2901, section 2.1
    """

    def attribute(self, request: Request) -> Attribution:
        return Attribution(*run_in_batches(request, _ByRules(DECONVNET, request.method)))


def rectified(op: Operation, incoming: Tensor, which: int = 0) -> Tensor:
    """Only what is positive goes back, through closed gates, too (arXiv:1311.2901, section 2.1)."""
    if mirrored_half(op) is not None:  # the other half hands on all that is positive
        return tf.zeros_like(incoming)
    point = tf.identity(op.inputs[which])
    wide = tf.broadcast_to(point, tf.shape(incoming)) if op.type == "Maximum" else point
    return tf.gradients(wide, point, grad_ys=tf.nn.relu(incoming))[0]


DECONVNET = Rules("deconvnet", dict.fromkeys(RELU_LIKE, rectified), of_one=other_spellings(rectified))


@dataclasses.dataclass(frozen=True)
class _ByRules(ScoredBody):
    rules: Rules
    method: str

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        values = gradients(tracer, forward, scores, self.rules, self.method)
        return per_token(values, tracer.places, sensitivities=True), targets, scores
