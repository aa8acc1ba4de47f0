"""What is explained: one number per example, made from a model's outputs and a class.

A score is any callable `(outputs, targets) -> (N,)` of TensorFlow tensors: outputs as the model returns them, targets
(N,) ints or None. The factories here cover classes, chosen outputs and single numbers; areas, clicks and boxes; likeness to
another example; what one thing has over another; units of layers, and errors of reconstructions.

    tfxai.GradCAM()(model, images, score=tfxai.scores.logit(output="species"))
    tfxai.Gradient()(segmenter, images, score=tfxai.scores.region(mask, channel=3))
    tfxai.RISE()(detector, images, tfxai.boxes(k=5), score=tfxai.scores.detection())
    tfxai.IntegratedGradients()(encoder, images, score=tfxai.scores.similarity(others))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike

from tfxai.scores.box_geometry import BoxFormat
from tfxai.scores.box_readers import BoxReader, Plain, RetinaNet, Yolo
from tfxai.scores.classes import ClassScore, has_classes, pick
from tfxai.scores.continuations import Continuation, TokenUnit, logits_of_tokens
from tfxai.scores.dense import Box, Click, PredictedArea, Region
from tfxai.scores.detections import Boxes, Detection
from tfxai.scores.inner import Activation, Expected, ReconstructionError, Survival
from tfxai.scores.likeness import Contrast, LikenessMetric, Similarity, side_of
from tfxai.scores.outputs import ROWS, Component, OutputScore, Unit, wrong_length
from tfxai.scores.referring import EXACT, Asked, References, Referring, Seen
from tfxai.scores.targets import Targets, Top, top
from tfxai.support import Count, Inputs, Model, OutputKey, Structure, Tensor, checked, number, whole

Score = Callable[[Structure, Tensor], Tensor]
"""(outputs, targets) -> (N,): one differentiable number per example."""

__all__ = [
    "Boxes",
    "ClassScore",
    "Continuation",
    "OutputScore",
    "References",
    "ROWS",
    "Referring",
    "Score",
    "Targets",
    "TokenUnit",
    "Top",
    "Unit",
    "activation",
    "box",
    "boxes",
    "click",
    "continuation",
    "contrast",
    "detection",
    "expected",
    "logit",
    "logits_of_tokens",
    "output",
    "predicted_area",
    "probability",
    "reconstruction_error",
    "region",
    "regression",
    "retinanet",
    "similarity",
    "survival",
    "top",
    "yolo",
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

    mask:    (H, W) for all images, or (N, H, W), such as an instance of each; non-zero inside. Of the output's size, or of the
             image's: then cells of the output count as far as they lie inside.
    channel: the class; unless given, the target. A mask (N, H, W, 1) has one channel, 0.
    output:  name or position of the output, for models with several.
    unit:    "logit": what stands before a final softmax or sigmoid, also where the maps are reshaped, cut or resized after it
             (the logits then are, in the same way); the output as it is where there is none. "probability": 0 to 1, of the
             output's own softmax (one channel: sigmoid) where the model does not end in one. "output": as the model gives
             it. Of a sure model probabilities hardly move, so that their gradients are next to nothing.

    Raises ValueError if the unit is none of these; when it is called, if the mask or channel do not fit the output.
    """
    return Region(channel, output, unit, np.asarray(mask) != 0)


@checked
def click(
    points: ArrayLike,
    channel: int | None = None,
    output: OutputKey = None,
    *,
    radius: Annotated[int, whole(0)] = 0,
    unit: Unit = "logit",
) -> Score:
    """Like `region`, for a pixel of the image and its neighbours: what is there, and why?

    points: (y, x) for all images, or (N, 2), in pixels of the image.
    channel: the class; unless given, the target, and without one the class that the model sees there (one more forward pass).
    radius: of the square of neighbours, in pixels; 0: the pixel alone.

    Raises ValueError, when it is called, if a point lies outside of its image.
    """
    return Click(channel, output, unit, np.asarray(points), radius)


@checked
def predicted_area(
    channel: int | None = None,
    output: OutputKey = None,
    *,
    unit: Unit = "logit",
    threshold: Annotated[float, number(above=0, below=1)] = 0.5,
) -> Score:
    """Like `region`, for all that the model itself gives to the class: its pixels in the output of the whole image.

    channel: the class; unless given, the target.
    threshold: of an output with one channel, as a probability.

    Raises ValueError, when it is called, if no pixel of an image is given to the class. Cost: one more forward pass.
    """
    return PredictedArea(channel, output, unit, threshold)


@checked
def box(
    corners: tuple[int, int, int, int],
    channel: int | None = None,
    output: OutputKey = None,
    *,
    unit: Unit = "logit",
) -> Score:
    """Like `region`, for a box of the output. What a detector finds is explained by `detection`.

    corners: y0, x0, y1, x1 in cells of the output, ends excluded.
    """
    return Box(corners, channel, output, unit)


@checked
def boxes(
    corners: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    *,
    k: Count | None = None,
    format: BoxFormat = "yxyx",
) -> Boxes:
    """As `targets`: which boxes of each image are explained, with `score=tfxai.scores.detection(...)`.

    corners: (N, 4), (N, K, 4), or (4,) for all images.
    classes: one for each box, or one for all; unless given, the likeliest one at its place (one more forward pass).
    k:       in the place of corners: the k surest boxes that the detector finds, after a non-maximum suppression at an IoU of
             0.5, best first (one more forward pass).
    format:  of the corners, as Keras names them: y0, x0, y1, x1 in pixels of the input by default.

    Raises ValueError if both or neither of corners and k are given; when it is used, if a box has no area.
    """
    return Boxes(
        None if corners is None else np.asarray(corners),
        None if classes is None else np.asarray(classes),
        k,
        format,
    )


@checked
def detection(
    read: BoxReader | None = None,
    *,
    place: Annotated[float, number(least=0)] = 1.0,
    kind: Annotated[float, number(least=0)] = 1.0,
    format: BoxFormat | None = None,
    input: Annotated[int, whole(0)] = 0,
) -> Score:
    """How like the likeliest of a detector's candidates is to a box: why is that thing seen there?

    With candidates m, each a box with a probability p of the class, and G the generalised IoU (-1 to 1) with the box that is
    asked for, it is max_m (kind * log p_m + place * log((1 + G_m) / 2)), 0 at best, with a soft maximum (log-sum-exp of ten
    times that) which is constant nowhere: also of a box that nothing meets there is a gradient. Of outputs that are left after
    a non-maximum suppression it is D-RISE's, max_m IoU^place * p^kind of the boxes of that class, 0 to 1, which has no gradient.

    read:   how outputs are read: a function (outputs, (height, width)) -> {"boxes": (N, M, 4) y0, x0, y1, x1 in pixels, "logs":
            (N, M, C) log probabilities}, or with "confidence" and "labels" (N, M) after the suppression; `yolo(...)`,
            `retinanet(detector)`. None: outputs by their usual names: "boxes" with "scores" (N, M, C) or "logits"; "boxes",
            "confidence" and "labels" (or "classes"); "pred_boxes" and "logits"; "detection_boxes", "detection_scores" and
            "detection_classes".
    place, kind: weights of where it is and of what it is.
    format: of the boxes, where outputs are read by their names; unless given, the usual one of these names.
    input:  position of the image among several inputs.

    Raises ValueError, when it is called, if the outputs cannot be read, or have no gradient and the method needs one.

    Petsiuk et al.: Black-box Explanation of Object Detectors via Saliency Maps, 2021. arXiv:2006.03204, section 3.2;
    generalised IoU: Rezatofighi et al., 2019. arXiv:1902.09630
    """
    if read is not None and format is not None:
        raise ValueError(
            "detection(format=...) is of outputs that are read by their names. Leave it out beside read."
        )
    return Detection(Plain(format) if read is None else read, place, kind, input)


@checked
def yolo(anchors: Sequence[Sequence[Sequence[float]]] | None = None) -> BoxReader:
    """As `read` of `detection`: grids (N, h, w, A * (5 + C)) of x, y, w, h, objectness and classes, before any sigmoid.

    anchors: for each level, from fine to coarse, A sizes (width, height) in pixels: a box lies at (sigmoid(x) + column) cells and
             has the size anchor * exp(w) (YOLOv3, arXiv:1804.02767, section 2.1). None: anchor-free, (x + column) and exp(w) in
             units of a cell (YOLOX, arXiv:2107.08430).
    """
    if anchors is None:
        return Yolo()
    return Yolo(tuple(tuple((float(w), float(h)) for w, h in level) for level in anchors))


def retinanet(detector: Model) -> BoxReader:
    """As `read` of `detection`: the raw outputs of a KerasHub RetinaNet. detector: the model, whose anchors are asked for.

    Raises ValueError if it has none.
    """
    if not hasattr(detector, "anchor_generator"):
        raise ValueError(
            f"retinanet got a {type(detector).__name__}, which has no anchor_generator. Give a KerasHub RetinaNet detector."
        )
    return RetinaNet(detector)


@checked
def similarity(
    reference: Inputs,
    metric: LikenessMetric = "cosine",
    output: OutputKey = None,
    *,
    layer: str | None = None,
    is_embedding: bool = False,
) -> Score:
    """How like is the embedding of each input to that of a reference? For retrieval, faces, texts.

    The reference stays as it is while inputs change; to explain it, swap the two.

    reference: examples like the inputs, one for all or N, whose embeddings are computed (a forward pass each); or embeddings
               (D,) or (N, D). What has the shape of an input is an example, unless is_embedding says otherwise.
    metric:    "cosine", -1 to 1; "euclidean", minus the distance; "dot", the product of the two.
    output:    name or position of the output with the embedding, which is read flat.
    layer:     path of a layer whose output is the embedding, in the place of an output.

    Raises ValueError, when it is called, if the reference is neither.
    """
    return Similarity(reference, metric, output, layer, is_embedding)


def contrast(one: Any, other: Any) -> Score:
    """Why the one rather than the other? The score of the one minus that of the other.

    one, other: a class (its logit), None for the target of the call (the predicted class unless given), or any score, such as
                two `similarity`s.

    Raises ValueError if one is neither.
    """
    return Contrast(side_of(one), side_of(other))


@checked
def activation(
    layer: str,
    channel: int | None = None,
    *,
    place: tuple[int, ...] | None = None,
    direction: ArrayLike | None = None,
) -> Score:
    """What a part of a layer says, as the mean over its places: what does it look for?

    layer:     its path; see tfxai.layers.
    channel:   one of the last axis; None: the mean of all.
    place:     one place, such as (row, column), for a single neuron.
    direction: (channels,) or the layer's whole shape, in the place of a channel: the product with it, such as a concept's vector.

    Raises ValueError if there are both a channel and a direction; when it is called, if the layer does not have them.
    """
    if channel is not None and direction is not None:
        raise ValueError("activation takes a channel or a direction. Give one of the two.")
    return Activation(layer, channel, place, None if direction is None else np.asarray(direction, np.float32))


@checked
def reconstruction_error(
    window: tuple[int, int] | None = None,
    output: OutputKey = None,
    *,
    input: Annotated[int, whole(0)] = 0,
) -> Score:
    """How far is an autoencoder's output from its input? Mean of squared differences: what makes this one an anomaly?

    window: first step and end of a part of a series, (N, T, ...).
    input:  position of the input among several.

    Raises ValueError, when it is called, if the output does not have the input's shape.
    """
    return ReconstructionError(window, output, input)


@checked
def expected(values: ArrayLike, output: OutputKey = None, *, unit: Unit = "probability") -> Score:
    """The mean of a number whose distribution an output (N, C) is, such as an age or a count: the sum of p_c * values_c.

    values: (C,), what each class stands for.
    unit:   what is weighted; see `region`.

    Raises ValueError, when it is called, if there are not as many values as classes.
    """
    return Expected(np.asarray(values, np.float32), output, unit)


@checked
def survival(until: Count, output: OutputKey = None) -> Score:
    """The log of the chance to get past a time, of an output (N, T) of hazards 0 to 1: the sum of log(1 - h_t), t < until.

    Raises ValueError, when it is called, if there are fewer steps.
    """
    return Survival(until, output)


@checked
def continuation(
    tokens: ArrayLike,
    start: Count,
    against: ArrayLike | None = None,
    *,
    unit: TokenUnit = "log_probability",
    output: OutputKey = None,
) -> Score:
    """What a language model (N, T, V) says of tokens that it has read itself, each one given all before it: a map for each.

    tokens:  (O,) ids, the same for every input, that stand from place `start` on; the last one may be left out of the input.
    start:   place of the first of them: the length of the prompt.
    against: (O,) other ids: the score is how much more likely the token is than this one at its place.
    unit:    "log_probability" (natural logarithm) or "logit".

    Raises ValueError if the numbers of tokens differ; when it is called, if the input is too short. See `tfxai.explain_generation`.
    """
    ids, others = np.asarray(tokens), None if against is None else np.asarray(against)
    for name, array in (("tokens", ids), ("against", others)):
        if array is not None and (
            array.ndim != 1 or not array.size or array.dtype.kind not in "iu" or array.min() < 0
        ):
            raise ValueError(f"continuation({name}={array!r}): give ids, (O,) whole numbers from 0.")
    if others is not None and len(others) != len(ids):
        raise ValueError(f"continuation: {len(ids)} tokens against {len(others)}. Give as many.")
    return Continuation(ids, start, others, unit, output)
