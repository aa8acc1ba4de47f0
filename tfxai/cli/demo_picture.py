"""A first picture: what EfficientNet-Lite0 looks at in six photos, as six methods tell it. Offline."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tfxai import baselines, methods, photos, plots, zoo
from tfxai.engines import Method
from tfxai.predictions import probabilities
from tfxai.reporting import report
from tfxai.results import Explanation
from tfxai.support import Model

BATCH = 4  # no slower than more on a few cores, and a laptop has the memory
# From coarse to fine, with the seconds that each takes on two cores: they move the progress bar on.
METHODS: Mapping[str, tuple[Method, float]] = {
    "Grad-CAM": (methods.GradCAM(), 2),
    "LayerCAM, finer layer": (methods.LayerCAM(layer="block5c_add"), 2),
    "XRAI": (methods.XRAI(steps=15), 18),
    "VarGrad": (methods.VarGrad(samples=15), 6),
    "Integrated gradients": (methods.IntegratedGradients(steps=20, baseline=baselines.blur(20)), 8),
    "LRP": (methods.LRP("composite"), 7),
}


WORDS = (
    "Six photos, and where six methods find what an ImageNet model says of them. Choose a method, move the slider from photo to map, lay two "
    "methods side by side with a wipe, and point at a place to read its value.\n\nMaps that differ are no contradiction: each method asks "
    "another question, which stands over its maps."
)


class Demo(NamedTuple):
    """figure: the picture. page: the same as HTML. rows: for each photo its name and its three most probable classes."""

    figure: Figure
    page: str
    rows: list[tuple[str, str]]


def explained(progress: bool = False) -> Demo:
    """The picture and the page.

    progress: shows a progress bar. Cost: some 45 seconds on two cores.

    Raises ImportError if the packages of the demo are missing.
    """
    model, labels = zoo.efficientnet_lite0(), zoo.imagenet_labels()
    samples = zoo.sample_photos()
    inputs = np.stack([photos.fit(photo, (224, 224), crop=0.875) for photo in samples.values()])
    shares = probabilities(model, inputs)
    ranked = (-shares).argsort(axis=1)[:, :3]
    explanations = _explanations(model, inputs, ranked[:, 0], progress)
    # Logits were explained, but the titles of the rows say how sure the model is.
    sure = np.take_along_axis(shares, ranked[:, :1], axis=1)[:, 0]
    page = report(
        None,
        "What does EfficientNet-Lite0 look at?",
        WORDS,
        explanations,
        model=model,
        labels=labels,
        names=list(samples),
    )
    first = next(iter(explanations))
    explanations[first] = dataclasses.replace(explanations[first], scores=sure, score="probability")
    rows = [
        (name, ", ".join(f"{labels[k]} {row[k]:.0%}" for k in best))
        for name, row, best in zip(samples, shares, ranked, strict=True)
    ]
    return Demo(plots.compare(explanations, labels), page.html, rows)


def _explanations(
    model: Model, inputs: NDArray[np.float32], targets: NDArray[np.int64], progress: bool
) -> dict[str, Explanation]:
    """Method -> what it finds. inputs: (N, 224, 224, 3) in 0..255. targets: (N,)."""
    columns = SpinnerColumn(), BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    console = Console(stderr=True)
    explanations = {}
    with Progress(*columns, console=console, transient=True, disable=not progress) as bar:
        task = bar.add_task("", total=sum(seconds for _, seconds in METHODS.values()))
        for name, (method, seconds) in METHODS.items():
            bar.update(task, description=name)
            explanations[name] = method(model, inputs, targets, batch_size=BATCH)
            bar.advance(task, seconds)
    return explanations
