"""The segments of an image that speak most for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, MARGIN, TEXT
from tfxai.plots.colours import BLUE, RED
from tfxai.plots.protocol import Explained
from tfxai.plots.reading import heading, origin, per_target
from tfxai.plots.rgb import rgb
from tfxai.plots.titles import Labels
from tfxai.support import Count, InputKey, checked, whole

Shown = Annotated[int, whole(1, noun="the number of segments to show (class names as labels=)")]


@checked
def segments(
    explanation: Explained,
    top: Shown = 5,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    against: bool = False,
    limit: Count = 16,
    input: InputKey = None,
) -> Figure:
    """One row per example: the image, then for each target only the segments that support it most.

    The chosen segments keep their colours and are framed in red; all else is pale and grey. A class that no
    segment supports says so. Where the explanation has intervals, segments are hatched that may belong to the others: whose
    interval reaches those that are not shown. Titles give the score, and R2 where a linear model was fitted: how far the segments
    can be believed.

    explanation: of images by segments, such as LIME and KernelSHAP make it.
    top:         how many segments are shown at most, those of largest positive weight first.
    labels, true_labels, limit, input: as for `show`.
    against:     also as many segments that speak against the class, framed in blue.

    Raises ValueError if the explanation has no segments of images, top is below 1, or labels do not fit.
    """
    cut, images = _segments_of_images(explanation, input)
    titles.check_one_each(true_labels, len(images))
    weights, pictures = per_target(explanation, "weights"), rgb(images[:limit])
    known = getattr(explanation, "weights_interval", None) is not None
    spans = per_target(explanation, "weights_interval") if known else None
    figure, grid = canvas.sheet(len(pictures), 1 + weights.shape[1], pictures, width=2.2, right=MARGIN)
    for row, (first, *others) in enumerate(grid):
        first.imshow(pictures[row])
        first.set_axis_off()
        truth = "" if true_labels is None else titles.class_name(true_labels[row], labels)
        titles.title(first, truth, "true class" if truth else "")
        for k, ax in enumerate(others):
            ends = None if spans is None else spans[row, k]
            _draw_segments(ax, pictures[row], cut[row], weights[row, k], top, against, ends)
            name, score = heading(explanation, row, k, labels)
            titles.title(ax, name, titles.joined(score, _fit(explanation, row, k)))
    drawn = titles.first_of(limit, len(images))
    titles.footnote(figure, drawn, _key(top, against, known), *origin(explanation))
    return figure


def _segments_of_images(explanation: Explained, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Label maps (N, H, W) and the images (N, H, W, C) that they cut."""
    cut = getattr(explanation, "segments", None)
    cut = cut if isinstance(cut, np.ndarray) else None  # of tables they go by input
    if cut is None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} has no segments. Give an explanation of images by LIME or "
            "KernelSHAP, or draw it with plots.show."
        )
    _, images = explanation.one(input)
    if images.ndim != 4:
        raise ValueError(
            f"segments draws images (N, H, W, C); these inputs are {images.shape}. Use plots.show."
        )
    return cut, images


def _draw_segments(
    ax: Axes,
    picture: NDArray,
    cut: NDArray,
    weights: NDArray,
    top: int,
    against: bool,
    ends: NDArray | None,
) -> None:
    best, worst = _strongest(weights, top), _strongest(-weights, top if against else 0)
    pale = 0.72 + 0.22 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    ax.imshow(np.where(np.isin(cut, [*best, *worst])[..., None], picture, pale))
    for colour, chosen in ((BLUE, worst), (RED, best)):
        ax.add_collection(
            LineCollection(list(borders(cut, chosen)), colors=colour, linewidths=1.6, capstyle="projecting")
        )
    for colour, chosen, sign in ((BLUE, worst, -1), (RED, best, 1)):
        unsure = [] if ends is None else _unsure(sign * ends, chosen)
        if len(unsure):
            inside = np.isin(cut, unsure).astype(float)
            shade = ax.contourf(inside, levels=[0.5, 1.5], hatches=["///"], colors="none")
            shade.set(edgecolor=colour, linewidth=0.0)
    if not len(best):
        box = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.5}
        style = {"size": TEXT, "color": INK, "bbox": box, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, "no segment\nsupports this class", transform=ax.transAxes, **style)
    ax.set_axis_off()


def _strongest(weights: NDArray, top: int) -> NDArray:
    """The parts of largest positive weight, in order; NaN stands where there is no part."""
    order = np.argsort(-np.nan_to_num(weights), kind="stable")[:top]
    return order[weights[order] > 0]


def _unsure(ends: NDArray, chosen: NDArray) -> NDArray:
    """Chosen parts whose interval (parts, 2) reaches that of another one. NaN stands where there is no part."""
    if not len(chosen):
        return chosen
    low, high = ends.min(1), ends.max(1)
    others = np.setdiff1d(np.flatnonzero(np.isfinite(low)), chosen)
    best = max(0.0, high[others].max(initial=0.0))
    return chosen[~(low[chosen] > best)]


def borders(cut: NDArray, chosen: ArrayLike) -> NDArray:
    """Lines ((x, y), (x, y)) along the edges of pixels, wherever a chosen segment meets another one or the rim."""
    member = np.pad(np.where(np.isin(cut, chosen), cut, -1), 1, constant_values=-1)
    y, x = np.nonzero(member[1:] != member[:-1])
    level = np.stack([x - 1.5, y - 0.5, x - 0.5, y - 0.5], axis=-1)
    y, x = np.nonzero(member[:, 1:] != member[:, :-1])
    upright = np.stack([x - 0.5, y - 1.5, x - 0.5, y - 0.5], axis=-1)
    return np.concatenate([level, upright]).reshape(-1, 2, 2)


def _fit(explanation: Explained, row: int, k: int) -> str:
    """R2 of a linear model, where one was fitted."""
    if getattr(explanation, "r2", None) is None:
        return ""
    return f"R² {titles.number(float(per_target(explanation, 'r2')[row, k]), '.2f')}"


def _key(top: int, against: bool, known: bool) -> str:
    most = "the segment" if top == 1 else f"up to {top} segments"
    return f"red: {most} most for the class" + (
        (f", blue: {most} most against it" if against else "") + (", hatched: not certain" if known else "")
    )
