"""A table of methods and metrics as a chart."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tfxai.plots import canvas
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE
from tfxai.plots.concept_scores import GREEN


def leaderboard(table: Any) -> Figure:
    """A panel for each metric: every method's mean with its 95 % interval, the best on top; controls are pale.

    A dot that stands out in colour is significantly better than the next one.

    table: of tfxai.compare_methods.
    """
    columns = min(len(table.metrics), 4)
    lines = -(-len(table.metrics) // columns)
    names = [name.replace("_", " ") for name in table.methods]
    room = max(canvas.text_width(canvas.cut(name, 110, SMALL), SMALL) for name in names) / 72 + 0.12
    tall, wide = 0.19 * len(names) + 0.1, 1.7
    pitch, across = TITLE + tall + TICKS + 0.1, room + wide + 0.25
    figure = canvas.blank(MARGIN + columns * across, lines * pitch + 2 * MARGIN + 0.2)
    best = table.best
    for number, metric in enumerate(table.metrics):
        row, column = divmod(number, columns)
        ax = canvas.placed(figure, MARGIN + room + column * across, MARGIN + TITLE + row * pitch, wide, tall)
        better = 1 if table.higher_is_better[metric] else -1
        means = np.array([table.mean(method, metric) for method in table.methods])
        order = np.argsort(better * np.nan_to_num(means, nan=-better * np.inf), kind="stable")
        for y, i in enumerate(order):
            control, first = table.methods[i] in ("random", "edges"), best[metric] == table.methods[i]
            colour = GREY if control else GREEN if first else INK
            low, high = table.interval(table.methods[i], metric)
            ax.plot([low, high], [y, y], color=colour, linewidth=1.2, alpha=0.5 if control else 0.8)
            ax.plot(means[i], y, "o", color=colour, markersize=4.5 if first else 3.2)
        canvas.quiet(ax)
        ax.set_yticks(
            range(len(order)), [canvas.cut(names[i], 110, SMALL) for i in order], size=SMALL, parse_math=False
        )
        for label, i in zip(ax.get_yticklabels(), order, strict=True):
            label.set_color(GREY if table.methods[i] in ("random", "edges") else INK)
        ax.set_ylim(-0.6, len(order) - 0.4)
        ax.tick_params(axis="y", length=0)
        ax.spines[["top", "right", "left"]].set_visible(False)
        canvas.title(ax, metric.replace("_", " "), "↑" if better > 0 else "↓")
    count = next(iter(table.values.values())).shape[1]
    canvas.footnote(
        figure,
        f"{count} examples, mean and 95 % interval",
        "↑ higher is better, ↓ lower is",
        "green: significantly better than the next one",
    )
    return figure
