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
    Example,
    LayerMaps,
    Method,
    Perturb,
    Perturbed,
    Request,
    Tracer,
    added,
    layer_maps,
    lined_up,
    repeated,
    shown,
    weighed_sum,
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
        engine = Perturb(request, passes=0)
        weights_of = self._weights if request.inside is None else self._weights_in_graph

        def explain(example: Example) -> PerInput:
            parts = []
            for layer in layer_maps(request, self.layer, example):
                behind = hidden[layer.which][example.number : example.number + 1]
                weights, maps = weights_of(engine, example, layer, behind)
                parts.append(layer.enlarged(request, weighed_sum(weights, maps)))
            return added(parts)

        return engine.explained(explain)

    def _weights(
        self, engine: Perturb, example: Example, layer: LayerMaps, behind: NDArray
    ) -> tuple[NDArray, NDArray]:
        """(channels, K) the softmax of the gains of the maps that vary, and these maps."""
        channels, varied = self._chosen(layer.maps)
        plan = np.concatenate([[-1], channels[varied]]).astype(np.int32)
        engine = dataclasses.replace(engine, passes=len(plan) * len(engine.request.network))
        scores = engine.run(_ThroughMaps(layer.grid), example, [plan], [layer.maps, behind]).scores
        gains = np.zeros((len(channels), scores.shape[1]))
        gains[varied] = scores[1:] - scores[0]
        return softmax(gains, axis=0)[varied], layer.maps[channels[varied]].astype(np.float64)

    def _weights_in_graph(
        self, engine: Perturb, example: Example, layer: LayerMaps, behind: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The same as tensors, where nobody knows beforehand which maps vary: those that do not take a pass, too."""
        count = layer.maps.shape[0]
        flat = tf.reshape(layer.maps, (count, -1))
        chosen = tf.argsort(tf.reduce_mean(tf.abs(flat), 1), direction="DESCENDING", stable=True)
        maps = tf.gather(layer.maps, chosen[: self.channels])
        plan = np.arange(-1, min(count, self.channels or count), dtype=np.int32)
        scores = engine.run(_ThroughMaps(layer.grid), example, [plan], [maps, behind]).scores
        flat = tf.gather(flat, chosen[: self.channels])
        varied = tf.cast(tf.reduce_max(flat, 1) > tf.reduce_min(flat, 1), scores.dtype)[:, None]
        return tf.nn.softmax((scores[1:] - scores[0]) * varied, axis=0) * varied, maps

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
