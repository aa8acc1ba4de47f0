"""Series as lines over a coloured band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import INK, KEY, MARGIN, SMALL, TICKS, TITLE, Labels, line_colours
from tfxai.plots.parts import WIDE, how_many_drawn, per_target, target_name
from tfxai.plots.protocol import Explained


def series(
    explanation: Explained,
    channels: Sequence[str] | None = None,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    percentile: float = 99,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """Each series as lines over a band that is red where the moment speaks for the class, blue where against it.

    One below the other, a band per target; values of several channels are summed. The bands of a series share one
    scale, symmetric around zero, or from zero for an explanation that is never negative.

    explanation: of series (N, T, F) or (N, T, 1).
    channels:    names of the F channels, for a legend.
    labels, true_labels, percentile, limit, input: as for `show`.

    Raises ValueError if there are no series, or if channels, labels or true_labels do not fit.
    """
    values, lines = explanation.one(input)
    if values is None or lines.ndim != 3:
        shape = "values that are None" if values is None else f"inputs {lines.shape}"
        raise ValueError(
            f"series draws inputs (N, steps, channels); this explanation has {shape}. Use plots.show."
        )
    if channels is not None and len(channels) != lines.shape[2]:
        raise ValueError(f"channels has {len(channels)} names for {lines.shape[2]} channels. Give one each.")
    canvas.check_one_each(true_labels, len(lines))
    targets, scores = (per_target(explanation, name) for name in ("targets", "scores"))
    maps = explanation.heatmap(input).reshape(*targets.shape, -1)
    signed, height, top = bool((maps < 0).any()), 1.2, 0.3 if channels is not None else 0
    pitch, blocks = TITLE + height + 0.7 * TICKS, min(len(lines), limit) * targets.shape[1]
    figure = canvas.blank(MARGIN + TICKS + WIDE + KEY, top + blocks * pitch + TITLE + 2 * MARGIN)
    for number, (row, k) in enumerate(np.ndindex(min(len(lines), limit), targets.shape[1])):
        ax = canvas.placed(figure, MARGIN + TICKS, MARGIN + top + TITLE + number * pitch, WIDE, height)
        scale = canvas.scale(maps[row], percentile)
        _draw_band(ax, maps[row, k], lines[row], signed, scale)
        truth = "" if true_labels is None else f"true class {canvas.class_name(true_labels[row], labels)} · "
        note = truth + canvas.score_text(scores[row, k], explanation.score)
        canvas.title(ax, target_name(targets[row, k], labels, explanation), note, maps[row, k])
        canvas.colour_key(ax, signed, scale, pale=True)
        if channels is not None and number == 0:
            _legend(figure, ax, channels)
    canvas.footnote(
        figure, how_many_drawn(lines, limit, "series"), explanation.method, f"score: {explanation.score}"
    )
    return figure


def _draw_band(ax: Axes, values: NDArray, lines: NDArray, signed: bool, scale: float) -> None:
    for line, colour in zip(lines.T, line_colours(lines.shape[1]), strict=True):
        ax.plot(line, color=colour, linewidth=1.0)
    ax.margins(x=0, y=0.08)
    canvas.quiet(ax)
    box = (-0.5, len(values) - 0.5, *ax.get_ylim())
    ax.imshow(values[None], **canvas.colour_map(signed, scale, pale=True), extent=box, aspect="auto",
              interpolation="nearest")  # fmt: skip


def _legend(figure: Figure, ax: Axes, channels: Sequence[str]) -> None:
    width, height = figure.get_size_inches()
    key = figure.legend(ax.lines, list(channels), loc="upper left", ncols=min(len(channels), 6), fontsize=SMALL,
                        bbox_to_anchor=((MARGIN + TICKS) / width, 1 - 0.05 / height), borderaxespad=0, frameon=False, labelcolor=INK)  # fmt: skip
    for name in key.get_texts():
        name.set_parse_math(False)
