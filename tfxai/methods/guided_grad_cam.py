"""Guided Grad-CAM: the fine structures of guided backprop, where Grad-CAM sees the class."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfxai.engines import GUIDED, Attribution, Method, Request, grad_cam, gradients, lined_up, run_in_batches
from tfxai.model import LayerChoice, activation_maps, check_layers, layer_key


@dataclasses.dataclass(frozen=True)
class GuidedGradCAM(Method):
    """Which fine structures lie where the class is seen?

    Guided backprop times the enlarged Grad-CAM map; signed, with the input's channels. Inherits guided backprop's
    weakness: it changes little when upper layers are destroyed (arXiv:1810.03292). Cost: one forward pass, two
    backward passes.

    layer: as for GradCAM.

    Selvaraju et al.: Grad-CAM, 2016. arXiv:1610.02391, section 3.2
    """

    layer: LayerChoice = None

    def attribute(self, request: Request) -> Attribution:
        network = request.network
        check_layers(network, request.name)

        def body(facts: dict[str, Any], inputs: Any, target_codes: Any) -> Any:
            trace = network.forward(inputs)
            scores, targets = request.scored(trace, target_codes, facts)
            found = activation_maps(network, trace, scores, self.layer, request.name)
            # First the true gradients: the guided rules stay on the operations once they are set.
            slopes = found.spread(trace.gradients(scores, of=[found.tensor])[0])
            heat = tf.nn.relu(grad_cam(found.spread(found.tensor), slopes))
            coarse = lined_up(network, inputs, found.which, heat)[found.which]
            fine = gradients(trace, scores, GUIDED, request.name, facts)[found.which]
            values: list[Any] = [None] * len(inputs)
            values[found.which] = (
                tf.reduce_sum(fine, -1) * coarse if fine.shape.rank > coarse.shape.rank else fine * coarse
            )
            return values, targets, scores

        return Attribution(*run_in_batches(request, [layer_key(self.layer)], body))
