"""Series as lines over a coloured band."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import INK, KEY, MARGIN, SMALL, TICKS, TITLE, WIDE
from tfxai.plots.colours import colour_key, colour_map, end_of_scale, line_colours
from tfxai.plots.protocol import Explained, Percentile
from tfxai.plots.reading import heading, origin
from tfxai.plots.titles import Labels, joined
from tfxai.support import Count, InputKey, checked

HEIGHT, LEGEND = 1.2, 0.3  # inches


@checked
def series(
    explanation: Explained,
    channels: Sequence[str] | None = None,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    percentile: Percentile = 99,
    limit: Count = 16,
    input: InputKey = None,
) -> Figure:
    """Each series as lines over a band that is red where the moment speaks for the class, blue where against it.

    One below the other, a band per target; values of several channels are summed. The bands of a series share one
    scale, symmetric around zero, or from zero for an explanation that is never negative.

    explanation: of series (N, T, F) or (N, T, 1).
    channels:    names of the F channels, for a legend.
    labels, true_labels, percentile, limit, input: as for `show`.

    Raises ValueError if there are no series, or if channels, labels or true_labels do not fit.
    """
    lines = _checked_series(explanation, channels, true_labels, input)
    maps = explanation.heatmap(input).reshape(len(lines), -1, lines.shape[1])
    signed, top = bool((maps < 0).any()), LEGEND if channels is not None else 0
    drawn, pitch = maps[:limit].shape[:2], TITLE + HEIGHT + 0.7 * TICKS
    figure = canvas.blank(MARGIN + TICKS + WIDE + KEY, top + np.prod(drawn) * pitch + TITLE + 2 * MARGIN)
    for number, (row, k) in enumerate(np.ndindex(*drawn)):
        ax = canvas.placed(figure, MARGIN + TICKS, MARGIN + top + TITLE + number * pitch, WIDE, HEIGHT)
        scale = end_of_scale(maps[row], percentile)
        _draw_band(ax, maps[row, k], lines[row], signed, scale)
        name, score = heading(explanation, row, k, labels)
        titles.title(ax, name, joined(titles.true_class(true_labels, row, labels), score), maps[row, k])
        colour_key(ax, signed, scale, pale=True)
        if channels is not None and number == 0:
            _draw_legend(figure, ax, channels)
    titles.footnote(figure, titles.first_of(limit, len(lines), "series"), *origin(explanation))
    return figure


def _checked_series(
    explanation: Explained,
    channels: Sequence[str] | None,
    true_labels: Sequence[int | str] | None,
    input: str | int | None,
) -> NDArray:
    """The series (N, T, F)."""
    values, lines = explanation.one(input)
    if values is None or lines.ndim != 3:
        shape = "values that are None" if values is None else f"inputs {lines.shape}"
        raise ValueError(
            f"series draws inputs (N, steps, channels); this explanation has {shape}. Use plots.show."
        )
    if channels is not None and len(channels) != lines.shape[2]:
        raise ValueError(f"channels has {len(channels)} names for {lines.shape[2]} channels. Give one each.")
    titles.check_one_each(true_labels, len(lines))
    return lines


def _draw_band(ax: Axes, values: NDArray, lines: NDArray, signed: bool, scale: float) -> None:
    for line, colour in zip(lines.T, line_colours(lines.shape[1]), strict=True):
        ax.plot(line, color=colour, linewidth=1.0)
    ax.margins(x=0, y=0.08)
    canvas.quiet(ax)
    box = (-0.5, len(values) - 0.5, *ax.get_ylim())
    colours = colour_map(signed, scale, pale=True)
    ax.imshow(values[None], **colours, extent=box, aspect="auto", interpolation="nearest")


def _draw_legend(figure: Figure, ax: Axes, channels: Sequence[str]) -> None:
    """The names of the channels, above the first series."""
    width, height = figure.get_size_inches()
    legend = figure.legend(
        ax.lines,
        list(channels),
        loc="upper left",
        bbox_to_anchor=((MARGIN + TICKS) / width, 1 - 0.05 / height),
        ncols=min(len(channels), 6),
        fontsize=SMALL,
        borderaxespad=0,
        frameon=False,
        labelcolor=INK,
    )
    titles.without_formulas(legend)
