"""Class activation maps without gradients: silence each channel of a layer, and see how far the score falls."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfxai.engines import (
    Attribution,
    Example,
    Method,
    Perturb,
    Perturbed,
    Request,
    Tracer,
    added,
    layer_maps,
    repeated,
    weighed_sum,
)
from tfxai.model import LayerChoice, Needs
from tfxai.support import Layer, PerInput, Tensor


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
    needs = Needs(gradients=False, layers=True)
    default_score = "output"

    def attribute(self, request: Request) -> Attribution:
        engine = Perturb(request, passes=0)  # weights are never frozen: most of the model does not run

        def explain(example: Example) -> PerInput:
            parts = []
            for layer in layer_maps(request, self.layer, example):
                silenced = _Silenced(layer.layer, layer.call)
                channels = np.arange(layer.raw.shape[-1], dtype=np.int32)
                scores = engine.run(silenced, example, [channels], [layer.raw]).scores
                heat = weighed_sum(example.scores - scores, layer.maps, cut=True)
                parts.append(layer.enlarged(request, heat))
            return added(parts)

        return engine.explained(explain)


@dataclasses.dataclass(frozen=True)
class _Silenced:
    """One channel at a time of what a layer puts out (fixed), by its number (plan), set to zero."""

    layer: Layer
    call: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        (output,), (numbers,) = fixed, plan
        channels = output.shape[-1]
        kept = 1 - tf.one_hot(numbers, channels, dtype=output.dtype)
        silenced = output * tf.reshape(kept, [-1, *[1] * (output.shape.rank - 2), channels])
        layers = {(id(self.layer), self.call): silenced}
        return Perturbed(repeated(inputs, tf.shape(kept)[0]), layers=layers)
