"""Two models beside each other: how alike their maps are, beside those of twins, and the examples that changed most."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE
from tfxai.plots.colours import LINES
from tfxai.plots.protocol import Percentile
from tfxai.plots.rgb import rgb
from tfxai.plots.single_map import draw_input, flattened, heatmap
from tfxai.plots.titles import KEY_OF_COLOURS, Labels, class_name
from tfxai.support import Count, checked

AMBER = LINES[2]
WIDTH, BETWEEN, LINE = 3.0, 0.35, 0.17  # inches: of a chart, between charts, of a class
LEAST = 1.6  # inches: height of the charts
LEAST_CELL, SLIT, SIDE, NAMES = (
    1.2,
    0.08,
    0.4,
    0.36,
)  # inches: of a map, between maps, of the words beside a row and over a column
COLUMNS = 5  # of maps, that fill the width
CLASSES = 20  # rows of the chart, at most
PALE = 0.45


class OfModels(Protocol):
    """Two models on N examples, as of `tfxai.comparing.ModelComparison`; its docstring has the shapes."""

    @property
    def similarity(self) -> NDArray:
        """(N,) of the new maps with the old ones."""
        ...

    @property
    def twin_similarity(self) -> NDArray:
        """(K, N) of twins' maps with the old ones."""
        ...

    @property
    def targets(self) -> NDArray:
        """(N,) explained classes."""
        ...

    @property
    def most_changed(self) -> NDArray:
        """(N,) examples in order."""
        ...

    @property
    def inputs(self) -> NDArray:
        """(S, ...) the first of these."""
        ...

    @property
    def maps(self) -> NDArray:
        """(2, S, ...) their old and new maps."""
        ...

    @property
    def changed(self) -> bool | None:
        """Whether by more than training again changes."""
        ...

    @property
    def less_alike(self) -> bool:
        """Whether all maps together are, by more than training again changes."""
        ...

    @property
    def inside(self) -> NDArray | None:
        """(K + 2, N) shares of evidence inside regions, of the old model, the new one, and twins."""
        ...

    @property
    def changed_classes(self) -> list[int]:
        """Classes that did."""
        ...

    @property
    def class_p_values(self) -> Mapping[int, float]:
        """Of the classes that were asked about."""
        ...

    @property
    def verdict(self) -> str:
        """In words."""
        ...


@checked
def compare_models(
    found: OfModels, labels: Labels | None = None, *, examples: Count = 5, percentile: Percentile = 99
) -> Figure:
    """How alike are the maps of two models, beside twins of the old one, and which examples changed most?

    Left, the share of the examples whose maps have at most so much in common; right, the mean of each model, of all examples and of
    each class; the new model is dark, or amber where it changed by more than training again changes. Below, the examples that changed
    most: each map on its own scale.

    found:    of tfxai.compare_models.
    labels:   class names, by class index.
    examples: how many are drawn, at most the 12 whose maps are kept.

    Raises ValueError if labels do not fit.
    """
    rows = _rows(found, labels)
    height = max(LEAST, LINE * len(rows) + 0.15)
    names = max(titles.text_width(name, SMALL) for name, *_ in rows) / 72 + 0.12
    count = min(examples, len(found.inputs))
    room = 2 * MARGIN + TICKS + 2 * WIDTH + BETWEEN + names
    width = max(room, 2 * MARGIN + SIDE + count * (LEAST_CELL + SLIT))
    grid = _Maps(found, labels, percentile, count, width) if count else None
    top = MARGIN + 0.3 + TITLE
    below = top + height + TICKS + 0.2
    figure = canvas.blank(width, below + (grid.height if grid else 0) + 2 * MARGIN + 0.05)
    across = (width - 2 * MARGIN - TICKS - BETWEEN - names) / 2
    _write_verdict(figure, found)
    _draw_shares(canvas.placed(figure, MARGIN + TICKS, top, across, height), found)
    _draw_means(canvas.placed(figure, width - MARGIN - across, top, across, height), found, rows)
    if grid:
        grid.draw(figure, below)
    titles.footnote(figure, *_notes(found), KEY_OF_COLOURS if grid and grid.signed else "")
    return figure


def _notes(found: OfModels) -> list[str]:
    twins = len(found.twin_similarity)
    notes = [
        f"{len(found.similarity)} examples",
        f"grey: {twins} twins, the old model trained again" if twins else "no twins",
    ]
    if found.inside is not None:
        old, new, *_ = found.inside.mean(1)
        notes.append(f"evidence inside the regions: {old:.2f}, now {new:.2f}")
    return notes


def _colour(changed: bool | None) -> str:
    return AMBER if changed else INK


def _write_verdict(figure: Figure, found: OfModels) -> None:
    width, height = figure.get_size_inches()
    text = titles.cut(
        f"The new model {found.verdict}" if found.changed is not None else found.verdict.capitalize(),
        72 * (width - 2 * MARGIN),
        10,
    )
    place = {"x": MARGIN / width, "y": 1 - (MARGIN + 0.02) / height, "va": "top"}
    figure.text(s=text, size=10, color=_colour(found.changed), parse_math=False, **place)


def _draw_shares(ax: Axes, found: OfModels) -> None:
    """Distribution functions: they need no bins, and show each example."""
    for row in found.twin_similarity:
        ax.plot(*_steps(row), color=GREY, linewidth=0.8, alpha=PALE, drawstyle="steps-post")
    ax.plot(*_steps(found.similarity), color=_colour(found.changed), linewidth=1.8, drawstyle="steps-post")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    ax.set_xlabel("evidence in common with the old map", size=SMALL, color=GREY, labelpad=2)
    canvas.quiet(ax)
    ax.spines[["top", "right"]].set_visible(False)
    titles.title(ax, "Examples with at most so much in common", "")


def _steps(values: NDArray) -> tuple[NDArray, NDArray]:
    return np.concatenate([[0], np.sort(values), [1]]), np.concatenate(
        [np.linspace(0, 1, len(values) + 1), [1]]
    )


def _rows(found: OfModels, labels: Labels | None) -> list[tuple[str, NDArray[np.bool_], bool]]:
    """Name, examples, and whether they changed, of all and of each class that was asked about, those that changed first."""
    everything = np.ones(len(found.similarity), bool)
    first = [
        *found.changed_classes,
        *(name for name in found.class_p_values if name not in found.changed_classes),
    ]
    rows = [
        (
            titles.cut(class_name(name, labels), 90, SMALL),
            found.targets == name,
            name in found.changed_classes,
        )
        for name in first[: CLASSES - 1]
    ]
    return [("all examples", everything, found.less_alike), *rows]


def _draw_means(ax: Axes, found: OfModels, rows: list[tuple[str, NDArray[np.bool_], bool]]) -> None:
    """A line for each group of examples: twins as pale dots, the new model on top."""
    for y, (_, of, changed) in enumerate(rows):
        twins = found.twin_similarity[:, of].mean(1)
        new, colour = float(found.similarity[of].mean()), _colour(changed)
        if len(twins):
            ax.plot([twins.min(), twins.max()], [y, y], color=GREY, linewidth=0.7, alpha=PALE, zorder=1)
        if changed and len(twins):
            ax.plot([new, twins.mean()], [y, y], color=colour, linewidth=0.9, alpha=PALE, zorder=1)
        ax.plot(twins, np.full(len(twins), y), "o", color=GREY, alpha=PALE, markersize=3.6, markeredgewidth=0)
        ax.plot(new, y, "o", color=colour, markersize=5, markeredgewidth=0, zorder=3)
    canvas.quiet(ax)
    ax.set_yticks(range(len(rows)), [name for name, *_ in rows], size=SMALL, parse_math=False)
    for label, (_, _, changed) in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_color(_colour(changed))
    ax.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel("mean evidence in common", size=SMALL, color=GREY, labelpad=2)
    titles.title(ax, "Means by class" if len(rows) > 1 else "Mean", "")


class _Maps:
    """The examples that changed most, a column each: input, old map, new map."""

    def __init__(
        self, found: OfModels, labels: Labels | None, percentile: float, count: int, width: float
    ) -> None:
        self.found, self.labels, self.percentile, self.count = found, labels, percentile, count
        inputs = np.asarray(found.inputs[:count])
        self.texts = inputs.dtype.kind in "OUS"
        self.pictures = inputs if self.texts else rgb(inputs)
        self.maps = np.asarray(found.maps)[:, :count]
        self.signed = bool((self.maps < 0).any())
        aspect = self.pictures.shape[-3] / self.pictures.shape[-2] if self.pictures.ndim > 3 else 0.6
        self.across = (width - 2 * MARGIN - SIDE + SLIT) / max(count, COLUMNS) - SLIT
        self.cell = self.across * min(max(aspect, 0.4), 2.0)

    @property
    def height(self) -> float:
        return TITLE + NAMES + 3 * (self.cell + SLIT)

    def draw(self, figure: Figure, y: float) -> None:
        width, height = figure.get_size_inches()
        place = {"x": MARGIN / width, "y": 1 - (y + 0.02) / height, "va": "top"}
        figure.text(s="Most changed", size=titles.TEXT, color=INK, **place)
        for column in range(self.count):
            for row, word in enumerate(("input", "old", "new")):
                x, lower = column * (self.across + SLIT), row * (self.cell + SLIT)
                ax = canvas.placed(
                    figure, MARGIN + SIDE + x, y + TITLE + NAMES + lower, self.across, self.cell
                )
                self._draw_one(ax, column, row)
                sides = ("left", "right", "bottom", "labelleft", "labelright", "labelbottom")
                ax.tick_params(**dict.fromkeys(sides, False))
                if row == 0:
                    self._name(ax, column)
                if column == 0:
                    style = {"ha": "right", "va": "center", "size": SMALL + 0.5, "color": INK}
                    ax.text(-0.1 / self.across, 0.5, word, transform=ax.transAxes, **style)

    def _draw_one(self, ax: Axes, column: int, row: int) -> None:
        """The input in row 0, then the old map and the new one; of texts a bar for each word."""
        scale = {"signed": self.signed, "percentile": self.percentile}
        if self.texts:
            heat = self.maps[row - 1, column]
            if row:
                heatmap(heat[np.isfinite(heat)], None, ax, **scale)
            else:
                _write_text(ax, str(self.pictures[column]))
            return
        picture, maps, _ = flattened(self.pictures[column], self.maps[:, column])
        if row:
            heatmap(maps[row - 1], picture, ax, **scale)
        else:
            draw_input(ax, picture)

    def _name(self, ax: Axes, column: int) -> None:
        """The class; below it how much the maps have in common, and what twins' have on average."""
        row = int(self.found.most_changed[column])
        alike, twins = float(self.found.similarity[row]), self.found.twin_similarity[:, row]
        beside = f", twins {twins.mean():.2f}" if len(twins) else ""
        name = class_name(self.found.targets[row], self.labels)
        style: dict[str, Any] = {"transform": ax.transAxes, "ha": "left", "va": "bottom", "parse_math": False}
        rise = 0.16 / self.cell
        ax.text(
            0,
            1 + 0.04 / self.cell + rise,
            titles.cut(name or f"example {row}", 72 * self.across, SMALL + 0.5),
            size=SMALL + 0.5,
            color=INK,
            **style,
        )
        ax.text(0, 1 + 0.04 / self.cell, f"{alike:.2f}{beside}", size=SMALL, color=GREY, **style)


def _write_text(ax: Axes, words: str) -> None:
    text = textwrap.fill(textwrap.shorten(words, 120, placeholder=" …"), 22)
    ax.text(0, 1, text, size=SMALL, color=INK, va="top", linespacing=1.4, parse_math=False)
    ax.set_axis_off()
