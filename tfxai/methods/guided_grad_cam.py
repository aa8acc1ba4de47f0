"""Guided Grad-CAM: the fine structures of guided backprop, where Grad-CAM sees the class."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfxai.activations import Layer, check_layers, layer_key, maps
from tfxai.engines.backward import GUIDED, gradients
from tfxai.engines.cams import grad_cam, lined_up
from tfxai.engines.method import Answer, Method, Question, each


@dataclasses.dataclass(frozen=True)
class GuidedGradCAM(Method):
    """Which fine structures lie where the class is seen?

    Guided backprop times the enlarged Grad-CAM map; signed, with the input's channels. Inherits guided backprop's
    weakness: it changes little when upper layers are destroyed (arXiv:1810.03292). Cost: one forward pass, two
    backward passes.

    layer: as for GradCAM.

    Selvaraju et al.: Grad-CAM, 2016. arXiv:1610.02391, section 3.2
    """

    layer: Layer = None

    def answer(self, question: Question) -> Answer:
        network = question.network
        check_layers(network, question.name)

        def body(facts: dict[str, Any], inputs: Any, codes: Any) -> Any:
            trace = network.forward(inputs)
            scores, targets = question.scored(trace, codes, facts)
            found = maps(network, trace, scores, self.layer, question.name)
            # First the true gradients: the guided rules stay on the operations once they are set.
            slopes = found.spread(trace.gradients(scores, of=[found.tensor])[0])
            heat = tf.nn.relu(grad_cam(found.spread(found.tensor), slopes))
            coarse = lined_up(network, inputs, found.which, heat)[found.which]
            fine = gradients(trace, scores, GUIDED, question.name, facts)[found.which]
            values: list[Any] = [None] * len(inputs)
            values[found.which] = (
                tf.reduce_sum(fine, -1) * coarse if fine.shape.rank > coarse.shape.rank else fine * coarse
            )
            return values, targets, scores

        return Answer(*each(question, [layer_key(self.layer)], body))
