"""TCAV scores as bars, by concept, layer and class."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TEXT, TICKS, TITLE
from tfxai.plots.colours import line_colours
from tfxai.plots.protocol import ConceptScores
from tfxai.plots.titles import Labels
from tfxai.support import checked

BAR, BETWEEN, HEIGHT, KEYS = (
    0.17,
    0.22,
    1.5,
    0.17,
)  # inches: a bar, between groups, of the axes, a line of the key
LEAST = 3.2  # inches: width of the axes
LONGEST = 16  # letters of a concept's name


@checked
def tcav(result: ConceptScores, labels: Labels | None = None) -> Figure:
    """TCAV scores as bars by concept and layer, a row for each class; `*` stands on what is NOT significant.

    Error bars are one standard deviation over runs. The pale bars are random sets in the place of a concept: what chance
    gives. Concepts that a layer has not learned have no bar.

    result: of tfxai.TCAV. labels: class names, by class index.
    """
    names, layers = [_short(name) for name in (*result.concepts, "random")], len(result.layers)
    left, width = MARGIN + TICKS + 0.15, max(len(names) * _group(result), LEAST)
    longest = max(map(_inches, names))
    slanted = longest > width / len(names)
    pitch = TITLE + HEIGHT + (0.2 + 0.7 * longest if slanted else 0.3)
    widest = max(titles.text_width(layer, SMALL) for layer in result.layers) / 72 + 0.35
    columns = min(layers, max(1, int(width / widest)))
    keys = KEYS * -(-layers // columns) if layers > 1 else 0
    figure = canvas.blank(left + width + MARGIN, len(result.targets) * pitch + keys + 2 * MARGIN + 0.2)
    for row, target in enumerate(result.targets):
        ax = canvas.placed(figure, left, MARGIN + TITLE + row * pitch, width, HEIGHT)
        _draw_scores(ax, result, row)
        _name_groups(ax, names, _group(result), slanted)
        runs = f"{result.scores.shape[-1]} runs" if row == 0 else ""
        titles.title(ax, titles.class_name(target, labels), runs)
    if layers > 1:
        _draw_key(figure, result, columns, left)
    where = f"layer {result.layers[0]}" if layers == 1 else ""
    test = titles.words(f"{result.correction} at {result.alpha:g}")
    titles.footnote(figure, where, "* not significant", test)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _inches(name: str) -> float:
    """How wide it is, with some room."""
    return titles.text_width(name, SMALL) / 72 + 0.06


def _group(result: ConceptScores) -> float:
    """Inches for the bars of one concept."""
    return len(result.layers) * BAR + BETWEEN


def _draw_scores(ax: Axes, result: ConceptScores, row: int) -> None:
    """The bars of one class: a group for each concept, and one for random sets."""
    concepts = len(result.concepts)
    for k, colour in enumerate(_layer_colours(result)):
        xs = [c * _group(result) + (k + 0.5) * BAR + BETWEEN / 2 for c in range(concepts + 1)]
        for c, x in enumerate(xs[:-1]):
            if not result.learned[c, k]:
                style = {"rotation": 90, "ha": "center", "va": "bottom", "size": SMALL - 1, "color": GREY}
                ax.text(x, 0.02, "not learned", **style)
                continue
            _draw_bar(ax, x, result.scores[row, c, k], colour)
            if not result.significant[row, c, k]:
                ax.text(x, 1.03, "*", size=TEXT + 2, color=INK, ha="center", va="center_baseline")
        _draw_bar(ax, xs[-1], result.random_scores[row, k], colour, opacity=0.3)
    ax.axhline(0.5, color=GREY, linewidth=0.5, linestyle=":", zorder=0)


def _draw_bar(ax: Axes, x: float, runs: NDArray, colour: str, opacity: float = 1.0) -> None:
    """Mean and standard deviation over the runs (R,)."""
    mean, spread = runs.mean(), runs.std(ddof=1)
    # Scores end at 0 and 1, and so do their error bars.
    reach = [[mean - max(mean - spread, 0)], [min(mean + spread, 1) - mean]]
    # A score of 0 is a score, too, and has a bar that can be seen.
    ax.bar(x, max(mean, 0.012), BAR * 0.88, color=colour, alpha=opacity)
    ax.errorbar(x, mean, reach, color=INK, linewidth=0.6, capsize=1.5, capthick=0.6)


def _name_groups(ax: Axes, names: list[str], group: float, slanted: bool) -> None:
    ax.set(xlim=(0, len(names) * group), ylim=(0, 1.12), yticks=(0, 0.5, 1))
    ax.set_ylabel("TCAV score", size=SMALL, color=GREY, labelpad=2)
    canvas.quiet(ax)
    middles = (np.arange(len(names)) + 0.5) * group
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    place: dict[str, Any] = turned if slanted else {"va": "baseline"}
    ax.set_xticks(middles, names, parse_math=False, size=SMALL, color=INK, **place)
    if not slanted:
        ax.tick_params(axis="x", pad=10)
    ax.tick_params(axis="x", length=0)


def _draw_key(figure: Figure, result: ConceptScores, columns: int, left: float) -> None:
    """The layers by their colours, in so many columns."""
    width, height = figure.get_size_inches()
    legend = figure.legend(
        [Patch(color=colour) for colour in _layer_colours(result)],
        result.layers,
        loc="lower left",
        bbox_to_anchor=(left / width, (MARGIN + 0.17) / height),
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        borderaxespad=0,
        handlelength=1,
        labelcolor=INK,
    )
    titles.without_formulas(legend)


def _layer_colours(result: ConceptScores) -> list[str]:
    return line_colours(len(result.layers) + 1)[1:]
