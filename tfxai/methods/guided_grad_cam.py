"""Guided Grad-CAM: the fine structures of guided backprop, where Grad-CAM sees the class."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxai.engines import (
    GUIDED,
    Attribution,
    Method,
    Request,
    ScoredBody,
    Tracer,
    grad_cam,
    gradients,
    run_in_batches,
    weighed_maps,
)
from tfxai.model import LayerChoice, Needs, activation_maps
from tfxai.support import Tensor


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

    needs = Needs(layers=True)

    def attribute(self, request: Request) -> Attribution:
        return Attribution(*run_in_batches(request, _Product(self.layer, request.method)))


@dataclasses.dataclass(frozen=True)
class _Product(ScoredBody):
    layer: LayerChoice
    method: str

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        pieces = activation_maps(tracer.network, forward, scores, self.layer, self.method, tracer.record)
        # First the true gradients: the guided rules stay on the operations once they are set.
        coarse = weighed_maps(forward, pieces, scores, grad_cam)
        fine = gradients(tracer, forward, scores, GUIDED, self.method)
        values = [_product(*each) for each in zip(fine, coarse, strict=True)]
        return values, targets, scores


def _product(fine: Tensor | None, coarse: Tensor | None) -> Tensor | None:
    """The product for one input; None if either says nothing of it."""
    if fine is None or coarse is None:
        return None
    # Of token ids the fine values are at their embedding.
    return (tf.norm(fine, axis=-1) if fine.shape.rank > coarse.shape.rank else fine) * coarse
