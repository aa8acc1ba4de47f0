"""The figure of the sanity checks: how maps change while a model is destroyed layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE, Labels
from tfxai.plots.maps import draw_input, flattened, heatmap, maps_and_inputs


def sanity(
    report: Any,
    labels: Labels | None = None,
    *,
    example: int = 0,
    columns: int = 10,
    percentile: float = 99,
) -> Figure:
    """The figure of arXiv:1810.03292: how maps change while a model is destroyed layer by layer.

    Rows are methods, columns the layers destroyed so far, with the probability that is left of the class; every map on
    its own scale. Below, similarity to the trained model's map at each step: the mean over inputs, and one standard
    deviation around it. Without explanations in the report (`explanations=True`) only the curves are drawn.

    report:  of tfxai.sanity.randomize_model.
    labels:  class names, by class index.
    example: which of the inputs is drawn.
    columns: how many steps are drawn, the first and last included; the others are passed over evenly.

    Raises ValueError if there is no such example.
    """
    count = report.scores.shape[1]
    if not -count <= example < count:
        raise ValueError(f"example is {example}; the report has {count} inputs, counted from 0.")
    explained = report.explanations or {}
    steps = np.unique(np.linspace(0, len(report.layers), max(columns, 2)).round().astype(int))
    left, across = MARGIN + TICKS, CELL + SLIT
    width = left + max((len(steps) + 1) * across, 7.5) + MARGIN
    top, tall, picture = MARGIN, 0.0, np.zeros(0)
    if explained:
        inputs = maps_and_inputs(next(iter(explained.values()))[0], None)[1]
        picture, top = canvas.pictures(inputs[[example]])[0], MARGIN + HEADS
        tall = CELL * (picture.shape[-3] / picture.shape[-2] if picture.ndim > 2 else 0.6)
    below = top + len(explained) * (tall + SLIT)
    figure = canvas.blank(width, below + TITLE + CURVE + TICKS + KEYS + 2 * MARGIN)
    for row, (name, all_of) in enumerate(explained.items()):
        y = top + row * (tall + SLIT)
        signed = any((e.heatmap() < 0).any() for e in all_of)
        for column, step in enumerate([-1, *steps]):
            ax = canvas.placed(figure, left + column * across, y, CELL, tall)
            shown, heat, _ = flattened(picture, maps_and_inputs(all_of[max(step, 0)], None)[0][example, :1])
            if step >= 0:
                heatmap(heat[0], shown, ax, signed=signed, percentile=percentile)
            elif row == 0:
                draw_input(ax, shown)
            else:
                ax.set_axis_off()
            if step < 0:
                _name_row(ax, name, beside_picture=row == 0)
            ax.tick_params(
                left=False, right=False, bottom=False, labelleft=False, labelright=False, labelbottom=False
            )
            if row == 0:
                _name_column(ax, report, step, example, labels)
    each = (width - left - MARGIN) / len(CURVES)
    for column, (measure, what) in enumerate(CURVES.items()):
        ax = canvas.placed(figure, left + column * each, below + TITLE, each - 1.2 * TICKS, CURVE)
        _draw_curves(ax, report, report.similarity[measure])
        canvas.title(ax, what, "mean and standard deviation over inputs" if count > 1 and column == 0 else "")
        if column == 0:
            key = figure.legend(*ax.get_legend_handles_labels(), loc="lower left", ncols=min(len(report.methods), 6), fontsize=SMALL,
                                bbox_to_anchor=(left / width, (MARGIN + 0.17) / figure.get_size_inches()[1]),
                                borderaxespad=0, frameon=False, labelcolor=INK)  # fmt: skip
            for one in key.get_texts():
                one.set_parse_math(False)
    destroyed = "Each column destroys one layer" + (" more" if report.mode == "cascading" else "")
    canvas.footnote(
        figure,
        *(
            (f"{destroyed}; under its name what is left of the class", "each map on its own scale")
            if explained
            else ()
        ),
    )
    return figure


def _draw_curves(ax: Axes, report: Any, similarity: NDArray) -> None:
    colours = canvas.line_colours(len(report.methods))
    for name, colour, values in zip(report.methods, colours, similarity, strict=True):
        mean, spread, steps = values.mean(axis=1), values.std(axis=1), np.arange(len(values))
        ax.plot(steps, mean, color=colour, linewidth=1.3, label=name.replace("_", " "))
        ax.fill_between(steps, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    ax.axhline(0, color=GREY, linewidth=0.5)
    ax.set(xlim=(0, len(report.layers)), ylim=(min(-0.25, float(np.nanmin(similarity))), 1.05))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layers destroyed", size=SMALL, color=GREY, labelpad=2)
    canvas.quiet(ax)


CELL, SLIT, HEADS, CURVE, KEYS = 1.15, 0.06, 0.62, 1.9, 0.3  # inches


CURVES = {"spearman_abs": "Rank correlation of magnitudes", "ssim": "Structural similarity"}


def _name_row(ax: Axes, name: str, beside_picture: bool) -> None:
    """Under the input it says whose maps follow; in other rows there is nothing else."""
    where = (
        {"x": -0.06, "rotation": 90, "ha": "right", "va": "center"}
        if beside_picture
        else {"x": 0.97, "ha": "right", "va": "center"}
    )
    ax.text(
        y=0.5,
        s=name.replace("_", " "),
        size=SMALL + 0.5,
        color=INK,
        transform=ax.transAxes,
        parse_math=False,
        **where,
    )


def _name_column(ax: Axes, report: Any, step: int, example: int, labels: Labels | None) -> None:
    if step < 0:
        target = report.targets[example]
        canvas.title(ax, canvas.class_name(target, labels), "")
        return
    name = "trained" if step == 0 else report.layers[step - 1]
    score = report.scores[step, example]
    ax.text(0.04, 1.22, canvas.cut(name, 72, SMALL), size=SMALL, color=INK, rotation=32, ha="left", va="bottom",
            transform=ax.transAxes, parse_math=False)  # fmt: skip
    if np.isfinite(score):
        ax.set_title(canvas.score_text(score, "probability"), loc="left", size=SMALL, color=GREY, pad=3)
