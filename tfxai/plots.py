"""Pictures of explanations: red speaks for a class, blue against it; maps without sign glow over the input.

Everything here draws what is already computed; scaling and clipping are for the eye only. The figures are
unknown to pyplot: they show themselves in a notebook, and `savefig` works everywhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from tfxai import canvas, closeups
from tfxai.canvas import GREY, INK, KEY, MARGIN, SIGNED, SMALL, TICKS, TITLE, Labels
from tfxai.charts import curves, leaderboard, tcav
from tfxai.closeups import bars, segments, series, text

if TYPE_CHECKING:
    from tfxai.explanation import Explanation

__all__ = [
    "bars",
    "compare",
    "curves",
    "heatmap",
    "leaderboard",
    "sanity",
    "segments",
    "series",
    "show",
    "tcav",
    "text",
]


def show(
    explanation: Explanation,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    percentile: float = 99,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """One row per example: the input, then a map for each target with its name and score.

    The maps of a row share one scale, so classes can be compared: symmetric around zero, or from zero for an
    explanation that is never negative. Of a volume, the slice with most evidence. Texts explained by words are
    drawn as `text` does it, columns that come as single inputs as `bars` does it.

    labels:      class names, by class index.
    true_labels: (N,) class indices or names, written over the inputs.
    percentile:  of |heatmap| in a row, where the colours end.
    limit:       how many examples are drawn; the figure says so if there are more.
    input:       which of several inputs is drawn; the first explained image unless given.

    Raises ValueError if labels or true_labels do not fit.
    """
    if closeups.has_words(explanation, input):
        return text(explanation, labels, true_labels, limit=limit)
    if closeups.has_columns(explanation, input):
        return bars(explanation, labels=labels, true_labels=true_labels, limit=limit, input=input)
    maps, inputs = _maps_and_inputs(explanation, input)
    canvas.check_one_each(true_labels, len(inputs))
    targets, scores = explanation.targets.reshape(maps.shape[:2]), explanation.scores.reshape(maps.shape[:2])
    pictures = canvas.pictures(inputs[:limit])
    signed = bool((maps < 0).any())
    figure, grid = canvas.sheet(len(pictures), 1 + maps.shape[1], pictures, width=2.2, right=KEY)
    for row, axes in enumerate(grid):
        picture, row_maps, place = _flat(pictures[row], maps[row])
        _draw_input(axes[0], picture)
        truth = "" if true_labels is None else canvas.class_name(true_labels[row], labels)
        canvas.title(axes[0], truth, place or ("true class" if truth else ""))
        scale = _scale(row_maps, picture, percentile)
        for ax, values, target, score in zip(axes[1:], row_maps, targets[row], scores[row], strict=True):
            heatmap(values, picture, ax, signed=signed, scale=scale)
            ax.tick_params(labelleft=False, labelright=ax is axes[-1] and picture.ndim == 1)
            name = canvas.class_name(target, labels) or explanation.score
            canvas.title(ax, name, canvas.score_text(score, explanation.score), values)
        canvas.colour_key(axes[-1], signed, scale)
    canvas.footnote(figure, canvas.drawn(inputs, limit), explanation.method, f"score: {explanation.score}")
    return figure


def compare(
    explanations: Mapping[str, Explanation],
    labels: Labels | None = None,
    *,
    percentile: float = 99,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """Methods side by side: one row per example (and target), the input first, then a column per method.

    Every map has a scale of its own, because methods differ in their units: compare where, not how much.
    Named by the score of the first explanation; the other settings are those of `show`.

    explanations: {name: explanation} of the same inputs and targets.

    Raises ValueError if there is nothing to compare, or if inputs or targets differ.
    """
    all_maps, inputs = _comparable(explanations, input)
    first = next(iter(explanations.values()))
    classes = all_maps[0].shape[1]
    targets, scores = first.targets.reshape(-1), first.scores.reshape(-1)
    pictures = canvas.pictures(inputs[:limit])
    signed = [bool((maps < 0).any()) for maps in all_maps]
    figure, grid = canvas.sheet(len(pictures) * classes, 1 + len(all_maps), pictures, width=1.7, right=MARGIN)
    for row, axes in enumerate(grid):
        example, k = divmod(row, classes)
        picture, row_maps, _ = _flat(pictures[example], np.stack([maps[example, k] for maps in all_maps]))
        _draw_input(axes[0], picture)
        canvas.title(
            axes[0], canvas.class_name(targets[row], labels), canvas.score_text(scores[row], first.score)
        )
        for ax, name, values, has_sign in zip(axes[1:], explanations, row_maps, signed, strict=True):
            heatmap(values, picture, ax, signed=has_sign, percentile=percentile)
            ax.tick_params(left=False, right=False, labelleft=False, labelright=False)
            canvas.title(ax, name if row == 0 else "", "", values)
    key = "red: for the class, blue: against it" if any(signed) else ""
    canvas.footnote(figure, canvas.drawn(inputs, limit), "Each map on its own scale", key)
    return figure


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
        inputs = _maps_and_inputs(next(iter(explained.values()))[0], None)[1]
        picture, top = canvas.pictures(inputs[[example]])[0], MARGIN + HEADS
        tall = CELL * (picture.shape[-3] / picture.shape[-2] if picture.ndim > 2 else 0.6)
    below = top + len(explained) * (tall + SLIT)
    figure = canvas.blank(width, below + TITLE + CURVE + TICKS + KEYS + 2 * MARGIN)
    for row, (name, all_of) in enumerate(explained.items()):
        y = top + row * (tall + SLIT)
        signed = any((e.heatmap() < 0).any() for e in all_of)
        for column, step in enumerate([-1, *steps]):
            ax = canvas.placed(figure, left + column * across, y, CELL, tall)
            shown, heat, _ = _flat(picture, _maps_and_inputs(all_of[max(step, 0)], None)[0][example, :1])
            if step >= 0:
                heatmap(heat[0], shown, ax, signed=signed, percentile=percentile)
            elif row == 0:
                _draw_input(ax, shown)
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
    colours = closeups.line_colours(len(report.methods))
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


def heatmap(
    values: ArrayLike,
    image: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    signed: bool | None = None,
    scale: float | None = None,
    percentile: float = 99,
) -> Axes:
    """Draws one map and returns its axes; `.figure` is the picture.

    values: (H, W), (D, H, W) of a volume, (T,) of a series or tokens, (F,) of a table row.
    image:  what was explained: (H, W[, C]), (D, H, W, C), (T, F), (T,) or (F,), in any range.
    signed: red and blue around zero, or heat from zero; unless given, signed if any value is negative.
    scale:  |value| where the colours end; unless given, the percentile of |values|.

    Raises ValueError if image and values do not lie on each other.
    """
    heat, picture = _on_each_other(values, image)
    signed = bool((heat < 0).any()) if signed is None else signed
    scale = _scale(heat, picture, percentile) if scale is None else scale
    ax = canvas.Picture(figsize=(4, 4), dpi=150, layout="constrained").add_subplot() if ax is None else ax
    if picture.ndim == 1:
        _draw_bars(ax, heat, picture, scale)
    elif picture.ndim == 2:
        _draw_series(ax, picture)
        box = (-0.5, len(heat) - 0.5, *ax.get_ylim())
        ax.imshow(
            heat[None], **canvas.colour_map(signed, scale), extent=box, aspect="auto", interpolation="nearest"
        )
    else:
        grey = picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
        ax.imshow(0.75 + 0.25 * grey if signed else grey)  # red and blue need a pale ground
        ax.imshow(heat, **canvas.colour_map(signed, scale))
        ax.set_axis_off()
    return ax


def _on_each_other(values: ArrayLike, image: ArrayLike | None) -> tuple[NDArray, NDArray]:
    """A flat map and the picture under it; a map without image lies on white."""
    heat = np.asarray(values)
    picture = (heat if heat.ndim == 1 else np.ones((*heat.shape, 3))) if image is None else np.asarray(image)
    if picture.shape[: heat.ndim] != heat.shape:
        raise ValueError(f"image has shape {picture.shape}, values {heat.shape}. Give what was explained.")
    if picture.ndim == heat.ndim > 1:
        picture = picture[..., None]
    picture, (heat,), _ = _flat(canvas.pictures(picture[None])[0], heat[None])
    return heat, picture


def _scale(maps: NDArray, picture: NDArray, percentile: float) -> float:
    """|value| where the colours end: the percentile, or the largest if that is zero. Bars are never cut."""
    return canvas.scale(maps, 100 if picture.ndim == 1 else percentile)


def _draw_input(ax: Axes, picture: NDArray) -> None:
    if picture.ndim == 3:
        ax.imshow(picture)
        ax.set_axis_off()
    elif picture.ndim == 2:
        _draw_series(ax, picture)
    elif np.issubdtype(picture.dtype, np.integer):
        text = textwrap.shorten(" ".join(map(str, picture)), 150, placeholder=" …")
        ax.text(0, 1, textwrap.fill(text, 24), size=SMALL, color=GREY, va="top", linespacing=1.5)
        ax.set_axis_off()
    else:
        _draw_bars(ax, picture, picture)
        ax.yaxis.tick_left()


def _draw_series(ax: Axes, series: NDArray) -> None:
    ax.plot(series, color=INK, linewidth=0.9 if series.shape[1] < 4 else 0.5)
    ax.margins(x=0, y=0.08)
    canvas.quiet(ax)


def _draw_bars(ax: Axes, values: NDArray, names: NDArray, scale: float | None = None) -> None:
    """names: the input; integers are token ids, and name the bars where there is room."""
    colours = GREY if scale is None else SIGNED(np.where(values > 0, 1.0, 0.0))
    ax.bar(np.arange(len(values)), values, width=0.8, color=colours)
    ax.axhline(0, color=GREY, linewidth=0.5)
    if scale:
        ax.set_ylim(-1.08 * scale, 1.08 * scale)
    if np.issubdtype(names.dtype, np.integer) and len(names) <= 24:
        ax.set_xticks(np.arange(len(names)), [str(name) for name in names], rotation=90)
    canvas.quiet(ax)
    ax.yaxis.tick_right()


def _maps_and_inputs(explanation: Explanation, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Maps (N, K, ...) and what they explain (N, ...)."""
    if closeups.has_words(explanation, input) or closeups.has_columns(explanation, input):
        raise ValueError(
            "Words and single columns make no maps to lay side by side. Draw each with plots.show."
        )
    values, inputs = explanation.one(input)
    if values is None:
        raise ValueError(f"input {input!r} was not explained: its values are None. Name another one.")
    maps = explanation.heatmap(input)
    return (maps[:, None] if explanation.targets.ndim == 1 else maps), np.asarray(inputs)


def _flat(picture: NDArray, maps: NDArray) -> tuple[NDArray, NDArray, str]:
    """Of volumes (K, D, H, W) the slice with most evidence, with its place; all else as it is."""
    if maps.ndim < 4:
        return picture, maps, ""
    evidence = np.abs(maps).sum(axis=(2, 3))
    most = int((evidence / (evidence.max(axis=1, keepdims=True) + 1e-30)).sum(axis=0).argmax())
    return picture[most], maps[:, most], f"slice {most + 1} of {maps.shape[1]}"


def _comparable(explanations: Mapping[str, Explanation], input: str | int | None) -> tuple[list, NDArray]:
    """The maps of each explanation and the inputs of all."""
    if not explanations:
        raise ValueError("compare got no explanations. Give {name: explanation} of the same inputs.")
    all_maps, all_inputs = zip(*(_maps_and_inputs(e, input) for e in explanations.values()), strict=True)
    first, *others = explanations
    for name, inputs in zip(others, all_inputs[1:], strict=True):
        if not np.array_equal(inputs, all_inputs[0]):
            raise ValueError(
                f"{name!r} and {first!r} explain different inputs. Give explanations of the same."
            )
        if not np.array_equal(explanations[name].targets, explanations[first].targets):
            raise ValueError(f"{name!r} and {first!r} explain different classes. Give both the same targets.")
    return list(all_maps), all_inputs[0]
