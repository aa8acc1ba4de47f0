"""Charts of studies: numbers by concept, layer and class. tfxai.plots gives them all."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from tfxai import canvas
from tfxai.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE, Labels
from tfxai.closeups import line_colours

BAR, BETWEEN, TALL, KEYS = 0.17, 0.22, 1.5, 0.17  # inches
GREEN = "#1b7f5c"
LONGEST = 16  # letters of a concept's name
GOING = ("most relevant first", "least relevant first")  # which places are taken away


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
        handles = [Patch(color=colour) for colour in _colours(layers)]
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


def _draw_scores(ax: Axes, result: Any, row: int, groups: list[str], group: float, slanted: bool) -> None:
    layers = len(result.layers)
    for k, colour in enumerate(_colours(layers)):
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
    names = [_short(name) for name in groups]
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


def _colours(layers: int) -> list[str]:
    return line_colours(layers + 1)[1:]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _width(name: str) -> float:
    """In inches, with some room."""
    return canvas.text_width(_short(name), SMALL) / 72 + 0.06
