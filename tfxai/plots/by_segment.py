"""The segments of an image that speak most for a class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import BLUE, GREY, INK, MARGIN, RED, TEXT, Labels
from tfxai.plots.parts import per_target, target_name
from tfxai.plots.protocol import Explained


def segments(
    explanation: Explained,
    top: int = 5,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    against: bool = False,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """One row per example: the image, then for each target only the segments that support it most.

    The chosen segments keep their colours and are framed in red; all else is pale and grey. A class that no
    segment supports says so. Titles give the score, and R2 where a linear model was fitted: how far the segments
    can be believed.

    explanation: of images by segments, such as LIME and KernelSHAP make it.
    top:         how many segments are shown at most, those of largest positive weight first.
    labels, true_labels, limit, input: as for `show`.
    against:     also as many segments that speak against the class, framed in blue.

    Raises ValueError if the explanation has no segments of images, top is below 1, or labels do not fit.
    """
    cut, images = _segments_of_images(explanation, input)
    if not isinstance(top, (int, np.integer)) or top < 1:
        raise ValueError(
            f"top is {top!r}. Give the number of segments to show, 1 or more; class names as labels=."
        )
    canvas.check_one_each(true_labels, len(images))
    weights, targets, scores = (per_target(explanation, name) for name in ("weights", "targets", "scores"))
    fits = None if getattr(explanation, "r2", None) is None else per_target(explanation, "r2")
    pictures = canvas.pictures(images[:limit])
    figure, grid = canvas.sheet(len(pictures), 1 + targets.shape[1], pictures, width=2.2, right=MARGIN)
    for row, (first, *others) in enumerate(grid):
        first.imshow(pictures[row])
        first.set_axis_off()
        truth = "" if true_labels is None else canvas.class_name(true_labels[row], labels)
        canvas.title(first, truth, "true class" if truth else "")
        for k, ax in enumerate(others):
            _draw_segments(ax, pictures[row], cut[row], weights[row, k], top, against)
            note = canvas.score_text(scores[row, k], explanation.score)
            fit = "" if fits is None else f" · R² {canvas.number(float(fits[row, k]), '.2f')}"
            canvas.title(ax, target_name(targets[row, k], labels, explanation), note + fit)
    shown = f"red: {_up_to(top)} most for the class"
    shown += f", blue: {_up_to(top)} most against it" if against else ""
    canvas.footnote(
        figure, canvas.drawn(images, limit), shown, explanation.method, f"score: {explanation.score}"
    )
    return figure


def _segments_of_images(explanation: Explained, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Label maps (N, H, W) and the images (N, H, W, C) that they cut."""
    cut = getattr(explanation, "segments", None)
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
    ax: Axes, picture: NDArray, cut: NDArray, weights: NDArray, top: int, against: bool
) -> None:
    best, worst = _strongest(weights, top), _strongest(-weights, top) if against else []
    pale = 0.72 + 0.22 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    ax.imshow(np.where(np.isin(cut, [*best, *worst])[..., None], picture, pale))
    for colour, chosen in ((BLUE, worst), (RED, best)):
        ax.add_collection(
            LineCollection(list(_borders(cut, chosen)), colors=colour, linewidths=1.6, capstyle="projecting")
        )
    if not len(best):
        style = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.5}
        ax.text(0.5, 0.5, "no segment\nsupports this class", transform=ax.transAxes, size=TEXT, color=INK, bbox=style,
                ha="center", va="center")  # fmt: skip
    ax.set_axis_off()


def _strongest(weights: NDArray, top: int) -> NDArray:
    """The parts of largest positive weight, in order; NaN stands where there is no part."""
    order = np.argsort(-np.nan_to_num(weights), kind="stable")[:top]
    return order[weights[order] > 0]


def _borders(cut: NDArray, chosen: Any) -> NDArray:
    """Lines ((x, y), (x, y)) along the edges of pixels, wherever a chosen segment meets another one or the rim."""
    member = np.pad(np.where(np.isin(cut, chosen), cut, -1), 1, constant_values=-1)
    y, x = np.nonzero(member[1:] != member[:-1])
    level = np.stack([x - 1.5, y - 0.5, x - 0.5, y - 0.5], axis=-1)
    y, x = np.nonzero(member[:, 1:] != member[:, :-1])
    upright = np.stack([x - 0.5, y - 1.5, x - 0.5, y - 0.5], axis=-1)
    return np.concatenate([level, upright]).reshape(-1, 2, 2)


def _up_to(top: int) -> str:
    return "the segment" if top == 1 else f"up to {top} segments"
