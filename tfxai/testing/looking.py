"""Does a model look at what it should, and does it ignore what it should?"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai import plots
from tfxai.methods import Explainer as Method
from tfxai.methods import IntegratedGradients, called
from tfxai.metrics import localisation, masks_of
from tfxai.results import Explanation
from tfxai.scores import Targets
from tfxai.stats import interval
from tfxai.support import BatchSize, Explainer, File, Inputs, Model, Numbers, checked, number
from tfxai.testing.failing import check_picture, fail

SHOWN = 6  # of the worst examples
Share = Annotated[float, number(least=0, most=1)]


@checked
def assert_looks_at(
    model: Model,
    images: Inputs,
    regions: Numbers,
    share: Share = 0.6,
    *,
    method: Explainer | None = None,
    targets: Targets = None,
    picture: File | None = None,
    batch_size: BatchSize = 32,
) -> None:
    """At least so much of the positive evidence lies inside of the regions, as a mean over the images.

    images:  N inputs, as for every method. regions: masks (N, H, W) or boxes (N, 4), as for `tfxai.metrics.localisation`.
    share:   0 to 1.
    method:  that explains; IntegratedGradients unless given. targets: as for every method; the predicted classes unless given.
    picture: file to write if it fails; None: tfxai-failures/NAME OF THE TEST.png.

    Raises AssertionError, with the mean, its 95 % interval and the worst images, if it is less; ValueError if an argument is wrong.
    Cost: the method's.
    """
    check_picture(picture)
    explanation, inside = _inside(model, images, regions, method, targets, batch_size)
    if inside.mean() < share:
        message = _message(inside, f"at least {share:g} was asked for", np.argsort(inside, kind="stable"))
        fail(message, lambda: _worst(explanation, regions, np.argsort(inside, kind="stable")), picture)


@checked
def assert_ignores(
    model: Model,
    images: Inputs,
    regions: Numbers,
    share: Share = 0.1,
    *,
    method: Explainer | None = None,
    targets: Targets = None,
    picture: File | None = None,
    batch_size: BatchSize = 32,
) -> None:
    """At most so much of the positive evidence lies inside of the regions, such as a watermark, as a mean over the images.

    Arguments, errors and cost are those of `assert_looks_at`.
    """
    check_picture(picture)
    explanation, inside = _inside(model, images, regions, method, targets, batch_size)
    if inside.mean() > share:
        message = _message(inside, f"at most {share:g} was allowed", np.argsort(-inside, kind="stable"))
        fail(message, lambda: _worst(explanation, regions, np.argsort(-inside, kind="stable")), picture)


def _inside(
    model: Model,
    images: Inputs,
    regions: Numbers,
    method: Method | None,
    targets: Targets,
    batch_size: BatchSize,
) -> tuple[Explanation, NDArray[np.float32]]:
    """The explanation and the shares (N,), of several targets of an input their mean."""
    explanation = called(method or IntegratedGradients(), model, images, targets, batch_size)
    values = localisation(explanation, regions).values
    return explanation, values.reshape(len(values), -1).mean(1)


def _message(inside: NDArray, asked: str, order: NDArray) -> str:
    low, high = interval(inside.astype(np.float64))
    sure = "" if np.isnan(low) else f" (95 % interval {low:.3f} to {high:.3f})"
    worst = ", ".join(f"{i} ({inside[i]:.2f})" for i in order[:SHOWN].tolist())
    return (
        f"{inside.mean():.3f} of the positive evidence lies inside of the regions{sure}, and {asked}: the mean of {len(inside)} "
        f"images. Furthest off: {worst}."
    )


def _worst(explanation: Explanation, regions: Numbers, order: NDArray) -> Figure:
    """The images that are furthest off, the worst first; regions of pictures are outlined."""
    heat = explanation.heatmap()
    if heat.ndim - explanation.targets.ndim == 2 and explanation.references is None:
        flat = heat.reshape(-1, *heat.shape[explanation.targets.ndim :])
        masks = masks_of(np.asarray(regions), flat.shape, explanation.targets.shape).reshape(heat.shape)
        explanation = dataclasses.replace(explanation, references={"masks": masks})
    return plots.show(explanation[order[:SHOWN]])
