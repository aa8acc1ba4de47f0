"""A table of methods and metrics as a chart."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE
from tfxai.plots.colours import GREEN
from tfxai.plots.protocol import MethodScores
from tfxai.support import checked

WIDTH, BETWEEN, LINE = 1.7, 0.25, 0.19  # inches: of a panel, between panels, of a method
NAME = 110  # points, at most
CONTROLS = ("random", "edges")  # maps that know nothing of the model


@checked
def leaderboard(table: MethodScores) -> Figure:
    """A panel for each metric: every method's mean with its 95 % interval, the best on top; controls are pale.

    A dot that stands out in colour is certainly better than every other one.

    table: of tfxai.compare_methods.
    """
    columns = min(len(table.metrics), 4)
    lines = -(-len(table.metrics) // columns)
    room = max(titles.text_width(_short(name), SMALL) for name in table.methods) / 72 + 0.12
    height = LINE * len(table.methods) + 0.1
    pitch, across = TITLE + height + TICKS + 0.1, room + WIDTH + BETWEEN
    figure = canvas.blank(MARGIN + columns * across, lines * pitch + 2 * MARGIN + 0.2)
    best = table.best
    for number, metric in enumerate(table.metrics):
        row, column = divmod(number, columns)
        x, y = MARGIN + room + column * across, MARGIN + TITLE + row * pitch
        _draw_panel(canvas.placed(figure, x, y, WIDTH, height), table, metric, best[metric])
    count = next(iter(table.values.values())).shape[1]
    titles.footnote(
        figure,
        f"{count} examples, mean and 95 % interval",
        "↑ higher is better, ↓ lower is",
        "green: certainly better than every other one",
    )
    return figure


def _short(method: str) -> str:
    return titles.cut(titles.words(method), NAME, SMALL)


def _draw_panel(ax: Axes, table: MethodScores, metric: str, best: str | None) -> None:
    """One metric: a line for each method, the best on top."""
    sign = 1 if table.higher_is_better[metric] else -1
    means = np.array([table.mean(method, metric) for method in table.methods])
    order: list[int] = np.argsort(sign * np.nan_to_num(means, nan=-sign * np.inf), kind="stable").tolist()
    methods = [table.methods[i] for i in order]
    for y, method in enumerate(methods):
        control, first = method in CONTROLS, method == best
        colour = GREY if control else GREEN if first else INK
        low, high = table.interval(method, metric)
        ax.plot([low, high], [y, y], color=colour, linewidth=1.2, alpha=0.5 if control else 0.8)
        ax.plot(means[order[y]], y, "o", color=colour, markersize=4.5 if first else 3.2)
    canvas.quiet(ax)
    ax.set_yticks(range(len(methods)), [_short(method) for method in methods], size=SMALL, parse_math=False)
    for label, method in zip(ax.get_yticklabels(), methods, strict=True):
        label.set_color(GREY if method in CONTROLS else INK)
    ax.set_ylim(-0.6, len(methods) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    titles.title(ax, titles.words(metric), "↑" if sign > 0 else "↓")
