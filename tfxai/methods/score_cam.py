"""Class activation maps without gradients: show the input through each map of a layer, and score it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

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
    attribution_of,
    enlarged,
    joined_values,
    layer_maps,
    repeated,
    shown,
)
from tfxai.model import Embedded, LayerChoice, check_layers, layer_key
from tfxai.support import check_whole


@dataclasses.dataclass(frozen=True)
class ScoreCAM(Method):
    """Which places does the class lean on, judged by what the model says when it sees only them?

    Every map of the layer is enlarged to the input, scaled to 0..1, and the input is shown through it. The gains in
    probability over the baseline go through a softmax over the channels and weigh the maps; what is positive is kept.
    One channel, 0 to 1. Cost: one forward pass per channel of the layer that is not constant, whatever the number of
    classes.

    layer:    as for GradCAM.
    channels: only the so many of largest mean |activation|; unless given, all.
    baseline: what is hidden looks like this (a number, an array, a function of tfxai.baselines; of token ids, a number
              at the embedding).

    Raises ValueError if the layer does not exist or has no maps.
    Wang et al.: Score-CAM, 2019. arXiv:1910.01279, equations 5 to 8
    """

    layer: LayerChoice = None
    channels: int | None = None
    baseline: Baseline = 0.0
    default_score = "probability"

    def __post_init__(self) -> None:
        if self.channels is not None:
            check_whole(self, channels=1)

    def attribute(self, request: Request) -> Attribution:
        check_layers(request.network, request.name)
        network, which = request.network, 0
        hidden = request.baselines_of(self.baseline)

        def perturb(inputs: Sequence[Any], fixed: Sequence[Any], plan: Sequence[Any]) -> Perturbed:
            tokens = isinstance(network.places[which], Embedded)
            point = network.forward(inputs).points[which] if tokens else inputs[which]
            large = enlarged(tf.gather(fixed[0], tf.maximum(plan[0], 0)), point.shape[1:-1])
            axes = list(range(1, large.shape.rank))
            low, high = (f(large, axes, keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
            masks = tf.math.divide_no_nan(large - low, high - low)
            masks *= tf.reshape(
                tf.cast(plan[0] >= 0, tf.float32), [-1, *[1] * len(axes)]
            )  # -1 hides everything
            seen = fixed[1] + tf.expand_dims(masks, -1) * (tf.cast(point, tf.float32) - fixed[1])
            notes = tf.concat([tf.reshape(low, (-1, 1)), tf.reshape(high, (-1, 1))], 1)
            count = tf.shape(masks)[0]
            if not tokens:
                return Perturbed(shown(inputs, which, tf.cast(seen, point.dtype)), notes=notes)
            points: list[Any] = [None] * len(inputs)
            points[which] = seen
            return Perturbed(repeated(inputs, count), notes=notes, points=points)

        found, values = [], []
        engine = Perturb(request, (layer_key(self.layer), "scores"), perturb, 0, notes=2)
        for example in engine.examples():
            layer = layer_maps(request, self.layer, example)
            which, (channels, varied) = layer.which, self._chosen(layer.maps)
            number = example.number
            plan = np.concatenate([[-1], channels[varied]]).astype(np.int32)
            engine = dataclasses.replace(engine, passes=len(plan) * len(network))
            seen = engine.run(example, [plan], [layer.maps, hidden[which][number : number + 1]])
            values.append(layer.enlarged(request, _weighed(layer, channels, varied, seen)))
            found.append(example)
        return attribution_of(found, joined_values(values))

    def _chosen(self, maps: NDArray) -> tuple[NDArray, NDArray]:
        """Numbers of the channels, and which of them vary: a constant map hides everything, as the baseline does."""
        strength = np.abs(maps).reshape(len(maps), -1).mean(1)
        channels = np.sort(np.argsort(-strength, kind="stable")[: self.channels])
        return channels, np.ptp(maps[channels].reshape(len(channels), -1), axis=1) > 0


def _weighed(layer: LayerMaps, channels: NDArray, varied: NDArray, seen: PerturbedScores) -> NDArray:
    """(K, h, w ...): maps scaled to 0..1, weighed by the softmax of their gains."""
    gains = np.zeros((len(channels), seen.scores.shape[1]))
    gains[varied] = seen.scores[1:] - seen.scores[0]
    weights = softmax(gains, axis=0)[varied]
    low, high = (
        seen.notes[1:, i].reshape(-1, *[1] * (layer.maps.ndim - 1)).astype(np.float64) for i in (0, 1)
    )
    # Scaled as they were when enlarged; enlarging is linear, so it can come last.
    scaled = np.divide(
        layer.maps[channels[varied]] - low,
        high - low,
        where=high > low,
        out=np.zeros_like(low + layer.maps[channels[varied]]),
    )
    return np.tensordot(weights, scaled, (0, 0))
