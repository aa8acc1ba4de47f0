"""Curves of metrics that take parts of the input away one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TITLE, Labels, line_colours

GOING = ("most relevant first", "least relevant first")  # which places are taken away


def curves(results: Any, labels: Labels | None = None, *, example: int | None = None) -> Figure:
    """Curves of a metric, such as deletion: one line for each method, mean over examples with one standard error.

    Of road there are two: solid while the most relevant places go, dashed while the least relevant ones do.

    results: name -> result with curves, of one metric, or such a result alone. labels: names of the lines.
    example: draws one example instead of the mean.

    Raises ValueError if a result has no curves.
    """
    named = dict(results) if hasattr(results, "items") else {getattr(results, "name", ""): results}
    if not named or not all(map(_lines, named.values())):
        raise ValueError(
            "curves needs results with curves, as of deletion, insertion and road: {name: result}."
        )
    first = next(iter(named.values()))
    if any(each.name != first.name for each in named.values()):
        raise ValueError("curves draws results of one metric. Draw deletion and insertion apart.")
    if labels is not None and len(labels) != len(named):
        raise ValueError(f"labels has {len(labels)} names for {len(named)} results. Give one for each.")
    if example is not None and not -len(first.values) <= example < len(first.values):
        raise ValueError(f"example is {example}; the results have {len(first.values)}, counted from 0.")
    two = len(_lines(first)) > 1
    words = [f"{name} \N{MINUS SIGN}0.000" for name in (named if labels is None else labels)] + [*GOING] * two
    widest = max(canvas.text_width(word, SMALL) for word in words) / 72
    rows = len(named) + 3 * two
    tall = max(2.2, 0.155 * rows)  # as the key
    figure = canvas.blank(4.45 + widest, 1 + tall)
    ax = canvas.placed(figure, MARGIN + 0.5, MARGIN + TITLE, 3.1, tall)
    for number, (name, colour) in enumerate(zip(named, line_colours(len(named) + 1)[1:], strict=True)):
        found = named[name]
        area = found.mean if example is None else float(np.mean(found.values[example]))
        name = name if labels is None else labels[number]
        for style, lines in zip(("-", "--"), _lines(found), strict=False):
            # Colours come again after five lines; dashes may mean something else.
            again: Any = {"marker": "o", "markersize": 2.5} if two else {"linestyle": "--"}
            drawn = {"linestyle": style, **(again if number >= 5 else {})}
            _draw_curve(
                ax,
                found,
                lines,
                example,
                colour,
                label=f"{name} {canvas.number(area, '.3f')}" if style == "-" else None,
                **drawn,
            )
    canvas.quiet(ax)
    ax.set_xlim(0, 1)
    ax.set_xlabel("part of the input" + " that is gone" * two, size=SMALL, color=GREY, labelpad=2)
    ax.set_ylabel("score", size=SMALL, color=GREY, labelpad=2)
    better = "higher is better" if first.higher_is_better else "lower is better"
    canvas.title(ax, first.name.replace("_", " "), "dashed above solid is better" if two else better)
    handles = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    if two:
        handles.append(Line2D([], [], linestyle="none", label=" "))
        handles += [
            Line2D([], [], color=GREY, linewidth=1.3, linestyle=style, label=word)
            for style, word in zip(("-", "--"), GOING, strict=True)
        ]
    key = ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.02, 1),
        fontsize=SMALL,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0,
    )
    for one in key.get_texts():
        one.set_parse_math(False)
    count = len(first.values)
    canvas.footnote(
        figure,
        "one example"
        if example is not None
        else f"mean of {count} with its standard error"
        if count > 1
        else "",
        "number: mean of dashed \N{MINUS SIGN} solid" if two else "",
    )
    return figure


def _lines(result: Any) -> list[NDArray]:
    """The curves of a result, (N, ...) each; of road that of the most relevant places comes first."""
    both = [getattr(result, name, None) for name in ("morf", "lerf")]
    return [
        each
        for each in (both if both[0] is not None else [getattr(result, "curves", None)])
        if each is not None
    ]


def _draw_curve(ax: Axes, found: Any, lines: NDArray, example: int | None, colour: str, **drawn: Any) -> None:
    # Several targets of one input are no independent examples.
    lines = lines.reshape(len(found.values), -1, lines.shape[-1]).mean(axis=1)
    lines = lines if example is None else lines[[example]]
    mean, error = lines.mean(axis=0), lines.std(axis=0, ddof=min(1, len(lines) - 1)) / np.sqrt(len(lines))
    ax.plot(found.fractions, mean, color=colour, linewidth=1.3, **drawn)
    if len(lines) > 1:
        ax.fill_between(found.fractions, mean - error, mean + error, color=colour, alpha=0.12, linewidth=0)
