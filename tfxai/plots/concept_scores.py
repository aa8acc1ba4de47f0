"""TCAV scores as bars, by concept, layer and class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tfxai.plots import canvas
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE, Labels, line_colours

BAR, BETWEEN, TALL, KEYS = 0.17, 0.22, 1.5, 0.17  # inches


GREEN = "#1b7f5c"


LONGEST = 16  # letters of a concept's name


def tcav(result: Any, labels: Labels | None = None) -> Figure:
    """TCAV scores as bars by concept and layer, a row for each class; `*` stands on what is NOT significant.

    Error bars are one standard deviation over runs. The pale bars are random sets in the place of a concept: what chance
    gives. Concepts that a layer has not learned have no bar.

    result: of tfxai.TCAV. labels: class names, by class index.
    """
    groups = [*result.concepts, "random"]
    layers = len(result.layers)
    group = layers * BAR + BETWEEN
    left, wide = MARGIN + TICKS + 0.15, max(len(groups) * group, 3.2)
    slanted = max(map(_width, groups)) > wide / len(groups)
    names = 0.2 + 0.7 * max(map(_width, groups)) if slanted else 0.3
    pitch = TITLE + TALL + names
    columns = min(
        layers, max(1, int(wide / (max(canvas.text_width(n, SMALL) for n in result.layers) / 72 + 0.35)))
    )
    keys = KEYS * -(-layers // columns) if layers > 1 else 0
    figure = canvas.blank(left + wide + MARGIN, len(result.targets) * pitch + keys + 2 * MARGIN + 0.2)
    for row, target in enumerate(result.targets):
        ax = canvas.placed(figure, left, MARGIN + TITLE + row * pitch, wide, TALL)
        _draw_scores(ax, result, row, groups, group, slanted)
        name = canvas.class_name(target, labels)
        canvas.title(ax, name, f"{result.scores.shape[-1]} runs" if row == 0 else "")
    width, height = figure.get_size_inches()
    if layers > 1:
        handles = [Patch(color=colour) for colour in layer_colours(layers)]
        key = figure.legend(handles, result.layers, loc="lower left", ncols=columns, fontsize=SMALL, frameon=False,
                            bbox_to_anchor=(left / width, (MARGIN + 0.17) / height), borderaxespad=0, handlelength=1,
                            labelcolor=INK)  # fmt: skip
        for one in key.get_texts():
            one.set_parse_math(False)
    where = f"layer {result.layers[0]}" if layers == 1 else ""
    canvas.footnote(
        figure, where, "* not significant", f"{result.correction} at {result.alpha:g}".replace("_", " ")
    )
    return figure


def _draw_scores(ax: Axes, result: Any, row: int, groups: list[str], group: float, slanted: bool) -> None:
    layers = len(result.layers)
    for k, colour in enumerate(layer_colours(layers)):
        for c in range(len(groups)):
            x = c * group + (k + 0.5) * BAR + BETWEEN / 2
            random = c == len(result.concepts)
            if not random and not result.learned[c, k]:
                ax.text(
                    x, 0.02, "not learned", rotation=90, size=SMALL - 1, color=GREY, ha="center", va="bottom"
                )
                continue
            runs = result.random_scores[row, k] if random else result.scores[row, c, k]
            mean, spread = runs.mean(), runs.std(ddof=1)
            # Scores end at 0 and 1, and so do their error bars.
            reach = [[mean - max(mean - spread, 0)], [min(mean + spread, 1) - mean]]
            ax.bar(
                x,
                max(mean, 0.012),  # a score of 0 is a score, too
                BAR * 0.88,
                color=colour,
                alpha=0.3 if random else 1,
            )
            ax.errorbar(x, mean, reach, color=INK, linewidth=0.6, capsize=1.5, capthick=0.6)
            if not random and not result.significant[row, c, k]:
                ax.text(x, 1.03, "*", size=canvas.TEXT + 2, color=INK, ha="center", va="center_baseline")
    ax.axhline(0.5, color=GREY, linewidth=0.5, linestyle=":", zorder=0)
    middles = (np.arange(len(groups)) + 0.5) * group
    names = [_short_name(name) for name in groups]
    ax.set(xlim=(0, len(groups) * group), ylim=(0, 1.12), yticks=(0, 0.5, 1))
    ax.set_ylabel("TCAV score", size=SMALL, color=GREY, labelpad=2)
    canvas.quiet(ax)
    turned: Any = (
        {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if slanted else {"va": "baseline"}
    )
    ax.set_xticks(middles, names, parse_math=False, size=SMALL, color=INK, **turned)
    if not slanted:
        ax.tick_params(axis="x", pad=10)
    ax.tick_params(axis="x", length=0)


def layer_colours(layers: int) -> list[str]:
    return line_colours(layers + 1)[1:]


def _short_name(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _width(name: str) -> float:
    """In inches, with some room."""
    return canvas.text_width(_short_name(name), SMALL) / 72 + 0.06
