"""Class activation maps without gradients: show the input through each map of a layer, and score it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.special import softmax

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    LayerMaps,
    Method,
    Perturb,
    Perturbed,
    PerturbedScores,
    Request,
    Tracer,
    added,
    attribution_of,
    joined_values,
    layer_maps,
    lined_up,
    repeated,
    shown,
)
from tfxai.model import Embedded, Grid, LayerChoice, Needs
from tfxai.support import Count, PerInput, Tensor


@dataclasses.dataclass(frozen=True)
class ScoreCAM(Method):
    """Which places does the class lean on, judged by what the model says when it sees only them?

    Every map of the layer is enlarged to the input, scaled to 0..1, and the input is shown through it. The gains in
    probability over the baseline go through a softmax over the channels and weigh the maps, as they are; what is
    positive is kept. One channel, in units of the layer's activations. A map that is the same everywhere tells no place
    and is left out of the sum. Cost: one forward pass per channel of the layer that is not constant, whatever the number
    of classes.

    layer:    as for GradCAM.
    channels: how many are used, those of largest mean |activation|; unless given, all.
    baseline: what is hidden looks like this (a number, an array, a function of tfxai.baselines; of token ids, a number
              at the embedding).

    Raises ValueError if the layer does not exist or has no maps.
    Wang et al.: Score-CAM, 2019. arXiv:1910.01279, equations 5 to 8
    """

    layer: LayerChoice = None
    channels: Count | None = None
    baseline: Baseline = 0.0
    needs = Needs(gradients=False, layers=True)
    default_score = "probability"

    def attribute(self, request: Request) -> Attribution:
        hidden = request.baselines_of(self.baseline)
        examples, values = [], []
        engine = Perturb(request, passes=0)
        for example in engine.examples():
            parts = []
            for layer in layer_maps(request, self.layer, example):
                channels, varied = self._chosen(layer.maps)
                plan = np.concatenate([[-1], channels[varied]]).astype(np.int32)
                engine = dataclasses.replace(engine, passes=len(plan) * len(request.network))
                behind = hidden[layer.which][example.number : example.number + 1]
                perturbed = engine.run(_ThroughMaps(layer.grid), example, [plan], [layer.maps, behind])
                parts.append(layer.enlarged(request, _weighed(layer, channels, varied, perturbed)))
            values.append(added(parts))
            examples.append(example)
        return attribution_of(examples, joined_values(values))

    def _chosen(self, maps: NDArray) -> tuple[NDArray, NDArray]:
        """Numbers of the channels, and which of them vary: a constant map hides everything, as the baseline does."""
        strength = np.abs(maps).reshape(len(maps), -1).mean(1)
        channels = np.sort(np.argsort(-strength, kind="stable")[: self.channels])
        return channels, np.ptp(maps[channels].reshape(len(channels), -1), axis=1) > 0


@dataclasses.dataclass(frozen=True)
class _ThroughMaps:
    """An input seen through maps: fixed are all maps and what hides, the plan their numbers (-1 hides everything).

    grid: how the maps line up with the input.
    """

    grid: Grid

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        (maps, hidden), (numbers,) = fixed, plan
        which = self.grid.which
        tokens = isinstance(tracer.places[which], Embedded)
        point = tracer.forward(inputs).points[which] if tokens else inputs[which]
        large = lined_up(self.grid, inputs[which], tf.gather(maps, tf.maximum(numbers, 0)))
        large = large[..., None] if tokens else large
        axes = list(range(1, large.shape.rank))
        low, high = (f(large, axes, keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
        masks = tf.math.divide_no_nan(large - low, high - low)
        masks *= tf.reshape(tf.cast(numbers >= 0, tf.float32), [-1, *[1] * len(axes)])
        hidden = hidden if hidden.dtype.is_floating else tf.cast(hidden, tf.float32)
        through = hidden + masks * (tf.cast(point, tf.float32) - hidden)
        if not tokens:
            through = tf.cast(through, point.dtype) if point.dtype.is_floating else through
            return Perturbed(shown(inputs, which, through))
        points: PerInput = [None] * len(inputs)
        points[which] = through
        return Perturbed(repeated(inputs, tf.shape(masks)[0]), points=points)


def _weighed(layer: LayerMaps, channels: NDArray, varied: NDArray, perturbed: PerturbedScores) -> NDArray:
    """(K, h, w ...): maps weighed by the softmax of their gains."""
    gains = np.zeros((len(channels), perturbed.scores.shape[1]))
    gains[varied] = perturbed.scores[1:] - perturbed.scores[0]
    weights = softmax(gains, axis=0)[varied]
    # Enlarging is linear, so it can come last.
    return np.tensordot(weights, layer.maps[channels[varied]].astype(np.float64), (0, 0))
