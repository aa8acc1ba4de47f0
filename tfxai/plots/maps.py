"""Maps beside their inputs: of one explanation, or of several methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.by_column import bars
from tfxai.plots.by_word import text
from tfxai.plots.canvas import KEY, MARGIN
from tfxai.plots.colours import colour_key
from tfxai.plots.inside import laid_out
from tfxai.plots.marks import draw_marks, references_of
from tfxai.plots.protocol import Explained, Percentile
from tfxai.plots.reading import (
    has_columns,
    has_words,
    heading,
    maps_and_inputs,
    origin,
    per_target,
    with_errors,
)
from tfxai.plots.rgb import rgb
from tfxai.plots.single_map import draw_input, flattened, heatmap, scale_of
from tfxai.plots.titles import KEY_OF_COLOURS, Labels
from tfxai.support import Count, InputKey, checked


@checked
def show(
    explanation: Explained,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    percentile: Percentile = 99,
    limit: Count = 16,
    input: InputKey = None,
    what: Literal["values", "standard_error"] = "values",
) -> Figure:
    """One row per example: the input, then a map for each target with its name and score.

    The maps of a row share one scale, so classes can be compared: symmetric around zero, or from zero for an
    explanation that is never negative. Of a volume, the slice with most evidence. Texts explained by words are
    drawn as `text` does it, columns that come as single inputs as `bars` does it. Boxes, areas and points that maps were asked
    about are drawn in green: all of them on the input, its own on each map. Values at a layer lie on the part of the input that
    each of its cells has when the layer is stretched over it; of one without such cells, the units that count most are drawn.

    labels:      class names, by class index.
    true_labels: (N,) class indices or names, written over the inputs.
    percentile:  of |heatmap| in a row, where the colours end.
    limit:       how many examples are drawn; the figure says so if there are more.
    input:       which of several inputs is drawn; the first explained image unless given. Of several layers: which of them.
    what:        "values", or "standard_error": how unsure each place is, of methods that sample (of colours, added up).

    Raises ValueError if labels or true_labels do not fit, or there are no standard errors.
    """
    if what == "standard_error":
        explanation = with_errors(explanation)
    if getattr(explanation, "at", None) is not None:
        explanation, input = laid_out(explanation, input), None
        if explanation.units is not None:
            return bars(explanation, explanation.units, labels=labels, true_labels=true_labels, limit=limit)
    if has_words(explanation, input):
        return text(explanation, labels, true_labels, limit=limit)
    if has_columns(explanation, input):
        return bars(explanation, labels=labels, true_labels=true_labels, limit=limit, input=input)
    maps, inputs = maps_and_inputs(explanation, input)
    titles.check_one_each(true_labels, len(inputs))
    pictures, signed = rgb(inputs[:limit]), bool((maps < 0).any())
    figure, grid = canvas.sheet(len(pictures), 1 + maps.shape[1], pictures, width=2.2, right=KEY)
    for row, (first, *others) in enumerate(grid):
        picture, row_maps, place = flattened(pictures[row], maps[row])
        draw_input(first, picture)
        truth = "" if true_labels is None else titles.class_name(true_labels[row], labels)
        titles.title(first, truth, place or ("true class" if truth else ""))
        marks = references_of(explanation, row) if picture.ndim == 3 else []
        if marks:
            draw_marks(first, marks, picture.shape)
        scale = scale_of(row_maps, picture, percentile)
        for k, (ax, values) in enumerate(zip(others, row_maps, strict=True)):
            heatmap(values, picture, ax, signed=signed, scale=scale)
            if marks:
                draw_marks(ax, [marks[k]], picture.shape)
            ax.tick_params(labelleft=False, labelright=ax is others[-1] and picture.ndim == 1)
            titles.title(ax, *heading(explanation, row, k, labels), values)
        colour_key(others[-1], signed, scale)
    titles.footnote(figure, titles.first_of(limit, len(inputs)), *origin(explanation))
    return figure


@checked
def compare(
    explanations: Mapping[str, Explained],
    labels: Labels | None = None,
    *,
    percentile: Percentile = 99,
    limit: Count = 16,
    input: InputKey = None,
) -> Figure:
    """Methods side by side: one row per example (and target), the input first, then a column per method.

    Every map has a scale of its own, because methods differ in their units: compare where, not how much.
    Named by the score of the first explanation; the other settings are those of `show`.

    explanations: {name: explanation} of the same inputs and targets.

    Raises ValueError if there is nothing to compare, or if inputs or targets differ.
    """
    all_maps, inputs = _comparable(explanations, input)
    first = next(iter(explanations.values()))
    classes, pictures = all_maps[0].shape[1], rgb(inputs[:limit])
    signed = [bool((maps < 0).any()) for maps in all_maps]
    figure, grid = canvas.sheet(len(pictures) * classes, 1 + len(all_maps), pictures, width=1.7, right=MARGIN)
    for row, axes in enumerate(grid):
        example, k = divmod(row, classes)
        picture, row_maps, _ = flattened(pictures[example], np.stack([maps[example, k] for maps in all_maps]))
        draw_input(axes[0], picture)
        marks = references_of(first, example)[k : k + 1] if picture.ndim == 3 else []
        if marks:
            draw_marks(axes[0], marks, picture.shape)
        target, score = (per_target(first, field)[example, k] for field in ("targets", "scores"))
        titles.title(axes[0], titles.class_name(target, labels), titles.score_text(score, first.score))
        for ax, name, values, has_sign in zip(axes[1:], explanations, row_maps, signed, strict=True):
            heatmap(values, picture, ax, signed=has_sign, percentile=percentile)
            if marks:
                draw_marks(ax, marks, picture.shape)
            ax.tick_params(left=False, right=False, labelleft=False, labelright=False)
            titles.title(ax, name if row == 0 else "", "", values)
    drawn, key = titles.first_of(limit, len(inputs)), KEY_OF_COLOURS if any(signed) else ""
    titles.footnote(figure, drawn, "Each map on its own scale", key)
    return figure


def _comparable(
    explanations: Mapping[str, Explained], input: str | int | None
) -> tuple[list[NDArray], NDArray]:
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
