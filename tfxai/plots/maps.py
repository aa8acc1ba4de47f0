"""Maps over inputs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tfxai.plots import canvas
from tfxai.plots.by_column import bars
from tfxai.plots.by_word import text
from tfxai.plots.canvas import GREY, INK, KEY, MARGIN, SIGNED, SMALL, Labels
from tfxai.plots.parts import has_columns, has_words
from tfxai.plots.protocol import Explained


def show(
    explanation: Explained,
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
    if has_words(explanation, input):
        return text(explanation, labels, true_labels, limit=limit)
    if has_columns(explanation, input):
        return bars(explanation, labels=labels, true_labels=true_labels, limit=limit, input=input)
    maps, inputs = maps_and_inputs(explanation, input)
    canvas.check_one_each(true_labels, len(inputs))
    targets, scores = explanation.targets.reshape(maps.shape[:2]), explanation.scores.reshape(maps.shape[:2])
    pictures = canvas.pictures(inputs[:limit])
    signed = bool((maps < 0).any())
    figure, grid = canvas.sheet(len(pictures), 1 + maps.shape[1], pictures, width=2.2, right=KEY)
    for row, axes in enumerate(grid):
        picture, row_maps, place = flattened(pictures[row], maps[row])
        draw_input(axes[0], picture)
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
    explanations: Mapping[str, Explained],
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
        picture, row_maps, _ = flattened(pictures[example], np.stack([maps[example, k] for maps in all_maps]))
        draw_input(axes[0], picture)
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
    picture, (heat,), _ = flattened(canvas.pictures(picture[None])[0], heat[None])
    return heat, picture


def _scale(maps: NDArray, picture: NDArray, percentile: float) -> float:
    """|value| where the colours end: the percentile, or the largest if that is zero. Bars are never cut."""
    return canvas.scale(maps, 100 if picture.ndim == 1 else percentile)


def draw_input(ax: Axes, picture: NDArray) -> None:
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


def maps_and_inputs(explanation: Explained, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Maps (N, K, ...) and what they explain (N, ...)."""
    if has_words(explanation, input) or has_columns(explanation, input):
        raise ValueError(
            "Words and single columns make no maps to lay side by side. Draw each with plots.show."
        )
    values, inputs = explanation.one(input)
    if values is None:
        raise ValueError(f"input {input!r} was not explained: its values are None. Name another one.")
    maps = explanation.heatmap(input)
    return (maps[:, None] if explanation.targets.ndim == 1 else maps), np.asarray(inputs)


def flattened(picture: NDArray, maps: NDArray) -> tuple[NDArray, NDArray, str]:
    """Of volumes (K, D, H, W) the slice with most evidence, with its place; all else as it is."""
    if maps.ndim < 4:
        return picture, maps, ""
    evidence = np.abs(maps).sum(axis=(2, 3))
    most = int((evidence / (evidence.max(axis=1, keepdims=True) + 1e-30)).sum(axis=0).argmax())
    return picture[most], maps[:, most], f"slice {most + 1} of {maps.shape[1]}"


def _comparable(explanations: Mapping[str, Explained], input: str | int | None) -> tuple[list, NDArray]:
    """The maps of each explanation and the inputs of all."""
    if not explanations:
        raise ValueError("compare got no explanations. Give {name: explanation} of the same inputs.")
    all_maps, all_inputs = zip(*(maps_and_inputs(e, input) for e in explanations.values()), strict=True)
    first, *others = explanations
    for name, inputs in zip(others, all_inputs[1:], strict=True):
        if not np.array_equal(inputs, all_inputs[0]):
            raise ValueError(
                f"{name!r} and {first!r} explain different inputs. Give explanations of the same."
            )
        if not np.array_equal(explanations[name].targets, explanations[first].targets):
            raise ValueError(f"{name!r} and {first!r} explain different classes. Give both the same targets.")
    return list(all_maps), all_inputs[0]
