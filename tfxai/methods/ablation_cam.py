"""Class activation maps without gradients: silence each channel of a layer, and see how far the score falls."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfxai.engines import (
    Attribution,
    Method,
    Perturb,
    Perturbed,
    Request,
    attribution_of,
    joined_values,
    layer_maps,
    repeated,
)
from tfxai.model import LayerChoice, check_layers, layer_key


@dataclasses.dataclass(frozen=True)
class AblationCAM(Method):
    """Which places does the class lean on, judged by what the model says without each channel?

    A map weighs as much as the score falls when its channel is set to zero. Without the paper's division by the
    score, which only scales the map, and would turn it over where the score is negative: one channel, never negative,
    in units of score x activation. Cost: the part of the model above the layer, once per channel.

    layer: as for GradCAM.

    Raises ValueError if the layer does not exist or has no maps.
    Desai, Ramaswamy: Ablation-CAM, WACV 2020, equations 5 and 6. doi:10.1109/WACV45572.2020.9093360
    """

    layer: LayerChoice = None
    default_score = "output"

    def attribute(self, request: Request) -> Attribution:
        check_layers(request.network, request.name)
        found, values, call = [], [], (0, 0)

        def perturb(inputs: Sequence[Any], fixed: Sequence[Any], plan: Sequence[Any]) -> Perturbed:
            channels = fixed[0].shape[-1]
            kept = 1 - tf.one_hot(plan[0], channels, dtype=fixed[0].dtype)
            silenced = fixed[0] * tf.reshape(kept, [-1, *[1] * (fixed[0].shape.rank - 2), channels])
            return Perturbed(repeated(inputs, tf.shape(kept)[0]), layers={call: silenced})

        # Weights are never frozen: most of the model does not run.
        engine = Perturb(request, (layer_key(self.layer), "ablated"), perturb, passes=0)
        for example in engine.examples():
            layer = layer_maps(request, self.layer, example)
            call = layer.call
            seen = engine.run(example, [np.arange(len(layer.maps), dtype=np.int32)], [layer.raw])
            weights = example.scores - seen.scores
            values.append(layer.enlarged(request, np.tensordot(weights, layer.maps, (0, 0))))
            found.append(example)
        return attribution_of(found, joined_values(values))
