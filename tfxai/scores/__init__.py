"""What is explained: one number per example, made from a model's outputs and a class.

A score is any callable `(outputs, targets) -> (N,)` of TensorFlow tensors: outputs as the model returns them, targets
(N,) ints or None. The factories here cover classes, chosen outputs, single numbers, image regions and boxes.

    tfxai.GradCAM()(model, images, score=tfxai.scores.logit(output="species"))
    tfxai.Gradient()(segmenter, images, score=tfxai.scores.region(mask, channel=3))
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tfxai.scores.classes import ClassScore, has_classes, pick
from tfxai.scores.dense import Box, Region
from tfxai.scores.outputs import Component, OutputScore, Unit
from tfxai.scores.targets import Targets, Top, top
from tfxai.support import OutputKey, Structure, Tensor, checked

Score = Callable[[Structure, Tensor], Tensor]
"""(outputs, targets) -> (N,): one differentiable number per example."""

__all__ = [
    "ClassScore",
    "OutputScore",
    "Score",
    "Targets",
    "Top",
    "Unit",
    "box",
    "logit",
    "output",
    "probability",
    "region",
    "regression",
    "top",
]


@checked
def logit(output: OutputKey = None) -> Score:
    """The unnormalised score of the target class, found behind a final softmax or sigmoid.

    output: name or position of the output, for models with several.
    """
    return ClassScore("logit", output)


@checked
def probability(output: OutputKey = None) -> Score:
    """The probability of the target class, 0 to 1; of the output's softmax where the model does not end in one.

    output: name or position of the output, for models with several.
    """
    return ClassScore("probability", output)


@checked
def output(output: OutputKey = None) -> Score:
    """The target's entry of an output as the model gives it, whatever that means.

    output: name or position of the output, for models with several.
    """
    return ClassScore("output", output)


@checked
def regression(index: int = 0, output: OutputKey = None) -> Score:
    """One number of an output (N, M) or (N,), as it is; needs no target.

    index: which of the M numbers.
    """
    return Component(index, output)


@checked
def region(
    mask: ArrayLike,
    channel: int | None = None,
    output: OutputKey = None,
    *,
    unit: Unit = "logit",
) -> Score:
    """Mean of a dense output (N, H, W, C) inside a region: why is this area of that class?

    mask:    (H, W), of the output's size; non-zero inside.
    channel: the class; unless given, the target. A mask (N, H, W, 1) has one channel, 0.
    output:  name or position of the output, for models with several.
    unit:    "logit": what stands before a final softmax or sigmoid, also where the maps are reshaped, cut or resized after it
             (the logits then are, in the same way); the output as it is where there is none. "probability": 0 to 1, of the
             output's own softmax (one channel: sigmoid) where the model does not end in one. "output": as the model gives
             it. Of a sure model probabilities hardly move, so that their gradients are next to nothing.

    Raises ValueError if the unit is none of these; when it is called, if the mask or channel do not fit the output.
    """
    return Region(np.asarray(mask) != 0, channel, output, unit)


@checked
def box(
    corners: tuple[int, int, int, int],
    channel: int | None = None,
    output: OutputKey = None,
    *,
    unit: Unit = "logit",
) -> Score:
    """Like `region`, for a box of the output.

    corners: y0, x0, y1, x1 in cells of the output, ends excluded.
    """
    return Box(corners, channel, output, unit)
