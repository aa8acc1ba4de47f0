"""Curves of metrics that take parts of the input away one after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TITLE
from tfxai.plots.colours import line_colours
from tfxai.plots.protocol import MetricCurves
from tfxai.plots.titles import Labels
from tfxai.support import checked

WIDTH, HEIGHT, LINE = 3.1, 2.2, 0.155  # inches: of the axes, at least; of a line of the key
STYLES: dict[Any, str] = {
    "-": "most relevant first",
    "--": "least relevant first",
}  # which places are taken away


@checked
def curves(
    results: Mapping[str, MetricCurves] | MetricCurves,
    labels: Labels | None = None,
    *,
    example: int | None = None,
) -> Figure:
    """Curves of a metric, such as deletion: one line for each method, mean over examples with one standard error.

    Of road there are two: solid while the most relevant places go, dashed while the least relevant ones do.

    results: name -> result with curves, of one metric, or such a result alone.
    labels:  names of the lines, in their order, instead of those in `results`.
    example: draws one example instead of the mean.

    Raises ValueError if a result has no curves, the results are not of one metric, or labels or example do not fit.
    """
    named = _checked(results, labels, example)
    first, names = named[0][1], [name for name, _ in named]
    two = len(_lines(first)) > 1
    figure, ax = _sheet_with_key(names, two)
    colours = line_colours(len(named) + 1)[1:]
    for number, ((name, result), colour) in enumerate(zip(named, colours, strict=True)):
        area = result.mean if example is None else float(np.mean(result.values[example]))
        for style, lines in zip(STYLES, _lines(result), strict=False):
            label = f"{name} {titles.number(area, '.3f')}" if style == "-" else None
            _draw_curve(ax, result, lines, example, color=colour, label=label, **_style(style, number, two))
    _name_axes(ax, first, two)
    _draw_key(ax, two)
    count = len(first.values)
    what = f"mean of {count} with its standard error" if count > 1 else ""
    number = "number: mean of dashed \N{MINUS SIGN} solid" if two else ""
    titles.footnote(figure, what if example is None else "one example", number)
    return figure


def _checked(
    results: Mapping[str, MetricCurves] | MetricCurves, labels: Labels | None, example: int | None
) -> list[tuple[str, MetricCurves]]:
    """Results with the names of their lines."""
    named = dict(results) if isinstance(results, Mapping) else {getattr(results, "name", ""): results}
    if not named or not all(map(_lines, named.values())):
        raise ValueError(
            "curves needs results with curves, as of deletion, insertion and road: {name: result}."
        )
    first = next(iter(named.values()))
    if any(result.name != first.name for result in named.values()):
        raise ValueError("curves draws results of one metric. Draw deletion and insertion apart.")
    if labels is not None and len(labels) != len(named):
        raise ValueError(f"labels has {len(labels)} names for {len(named)} results. Give one for each.")
    if example is not None and not -len(first.values) <= example < len(first.values):
        raise ValueError(f"example is {example}; the results have {len(first.values)}, counted from 0.")
    return [(name if labels is None else labels[i], result) for i, (name, result) in enumerate(named.items())]


def _lines(result: MetricCurves) -> list[NDArray]:
    """The curves of a result, (N, ...) each; of road that of the most relevant places comes first."""
    both = [getattr(result, name, None) for name in ("morf", "lerf")]
    curves = both if both[0] is not None else [getattr(result, "curves", None)]
    return [lines for lines in curves if lines is not None]


def _sheet_with_key(names: Sequence[str], two: bool) -> tuple[Figure, Axes]:
    """Room for the lines, and beside them for their names with a number each."""
    words = [f"{name} \N{MINUS SIGN}0.000" for name in names] + [*STYLES.values()] * two
    widest = max(titles.text_width(word, SMALL) for word in words) / 72
    height = max(HEIGHT, LINE * (len(names) + 3 * two))
    figure = canvas.blank(WIDTH + 1.35 + widest, 1 + height)
    return figure, canvas.placed(figure, MARGIN + 0.5, MARGIN + TITLE, WIDTH, height)


def _style(style: str, number: int, two: bool) -> dict[str, Any]:
    """Colours come again after five lines, which then have dots, or dashes where these mean nothing else."""
    if number < 5:
        return {"linestyle": style}
    return {"linestyle": style, "marker": "o", "markersize": 2.5} if two else {"linestyle": "--"}


def _draw_curve(
    ax: Axes,
    result: MetricCurves,
    lines: NDArray,
    example: int | None,
    *,
    color: str,
    **style: Any,
) -> None:
    # Several targets of one input are not independent examples.
    lines = lines.reshape(len(result.values), -1, lines.shape[-1]).mean(axis=1)
    lines = lines if example is None else lines[[example]]
    mean, error = lines.mean(axis=0), lines.std(axis=0, ddof=min(1, len(lines) - 1)) / np.sqrt(len(lines))
    fractions = np.asarray(result.fractions)
    ax.plot(fractions, mean, color=color, linewidth=1.3, **style)
    if len(lines) > 1:
        ax.fill_between(fractions, mean - error, mean + error, color=color, alpha=0.12, linewidth=0)


def _name_axes(ax: Axes, result: MetricCurves, two: bool) -> None:
    canvas.quiet(ax)
    ax.set_xlim(0, 1)
    gone = "part of the input that is gone" if two else "part of the input"
    ax.set_xlabel(gone, size=SMALL, color=GREY, labelpad=2)
    ax.set_ylabel("score", size=SMALL, color=GREY, labelpad=2)
    better = "higher is better" if result.higher_is_better else "lower is better"
    titles.title(ax, titles.words(result.name), "dashed above solid is better" if two else better)


def _draw_key(ax: Axes, two: bool) -> None:
    """The methods by their colours, and what solid and dashed lines mean if there are two of each."""
    handles = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    if two:
        handles.append(Line2D([], [], linestyle="none", label=" "))
        for style, word in STYLES.items():
            handles.append(Line2D([], [], color=GREY, linewidth=1.3, linestyle=style, label=word))
    legend = ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0,
    )
    titles.without_formulas(legend)
