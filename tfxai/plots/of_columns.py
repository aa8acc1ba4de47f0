"""Columns over many rows: how much each counts on average, and how its values spread."""

from __future__ import annotations

from typing import Protocol

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, KEY, MARGIN, SMALL, TICKS, TITLE
from tfxai.plots.colours import GREEN
from tfxai.support import Count, checked

NAMES, WIDTH, BAR, SWARM = 1.7, 3.4, 0.2, 0.3  # inches: of names and of what is drawn; from row to row
DOTS = 2000  # of a column
CELLS = 120  # along the axis, in which dots are piled up
LOW_TO_HIGH = matplotlib.colormaps["viridis"]


class Summed(Protocol):
    """What columns added over many rows, as of `tfxai.data.ColumnSummary`; its docstring has the shapes."""

    @property
    def names(self) -> list[str]:
        """Of the F columns."""
        ...

    @property
    def rows(self) -> int:
        """How many were summed up."""
        ...

    @property
    def magnitude(self) -> NDArray:
        """(F,) mean of |value|."""
        ...

    @property
    def magnitude_interval(self) -> NDArray:
        """(F, 2)."""
        ...

    @property
    def values(self) -> NDArray:
        """(S, F) of a sample of rows."""
        ...

    @property
    def inputs(self) -> NDArray:
        """(S, F) what stood in the columns."""
        ...


@checked
def importance(summary: Summed, top: Count = 15) -> Figure:
    """Which columns count over all rows: the mean of |value| of each, largest first, with its 95 % interval.

    summary: of `tfxai.data.columns`.
    top:     how many columns are drawn; the figure says so if there are more.
    """
    order = np.argsort(-summary.magnitude, kind="stable")[:top]
    figure, ax = _sheet(len(order), BAR, MARGIN + 0.3)
    lengths, ends = summary.magnitude[order], summary.magnitude_interval[order]
    ax.barh(np.arange(len(order)), lengths, height=0.66, color=GREEN)
    known = np.isfinite(ends).all(1)
    for y in np.flatnonzero(known):
        low, high = ends[y]
        ax.errorbar(
            (low + high) / 2, y, xerr=(high - low) / 2, color=INK, linewidth=0.8, capsize=1.5, capthick=0.8
        )
    for y, (length, end) in enumerate(zip(lengths, np.where(known, ends[:, 1], lengths), strict=True)):
        style = {"textcoords": "offset points", "va": "center", "size": SMALL - 0.5, "color": GREY}
        ax.annotate(titles.number(length, ".2g"), (end, y), xytext=(3, 0), **style)
    ax.set_xlim(0, 1.15 * float(np.where(known, ends[:, 1], lengths).max(initial=0.0)) or 1.0)
    _name_rows(ax, summary, order)
    titles.footnote(figure, _told(summary, top), "mean of |value|, 95 % interval")
    return figure


@checked
def beeswarm(summary: Summed, top: Count = 15) -> Figure:
    """How each column counts: a dot for each row, as far right as the column spoke for the class, coloured by what stood in it.

    Columns by their mean |value|, largest first. Colours run over the ranks of a column's numbers from low to high, so that no
    outlier takes them all. Dots that would lie on each other are piled up.

    summary: of `tfxai.data.columns`; of many rows it holds a sample, of which at most 2000 are drawn.
    top:     how many columns are drawn; the figure says so if there are more.
    """
    order = np.argsort(-summary.magnitude, kind="stable")[:top]
    figure, ax = _sheet(len(order), SWARM, KEY)
    values, inputs = summary.values[:DOTS, order], summary.inputs[:DOTS, order]
    low, high = float(min(values.min(initial=0), 0)), float(max(values.max(initial=0), 0))
    span = (high - low) or 1.0
    for y in range(len(order)):
        heights = _piled(values[:, y], low, span)
        ax.scatter(
            values[:, y],
            y + heights,
            c=LOW_TO_HIGH(_ranks(inputs[:, y])),
            s=2.5,
            linewidths=0,
            rasterized=True,
        )
    ax.axvline(0, color=GREY, linewidth=0.5, zorder=0)
    ax.set_xlim(low - 0.04 * span, high + 0.04 * span)
    _name_rows(ax, summary, order)
    _key(ax)
    drawn = len(values)
    some = f"{drawn} of {summary.rows} rows" if drawn < summary.rows else f"{drawn} rows"
    titles.footnote(figure, titles.first_of(top, len(summary.names), "columns"), some, "right: for the class")
    return figure


def _sheet(rows: int, pitch: float, right: float) -> tuple[Figure, Axes]:
    height = max(rows, 1) * pitch
    figure = canvas.blank(MARGIN + NAMES + WIDTH + right, MARGIN + height + TICKS + TITLE + MARGIN)
    return figure, canvas.placed(figure, MARGIN + NAMES, MARGIN, WIDTH, height)


def _name_rows(ax: Axes, summary: Summed, order: NDArray) -> None:
    names = [titles.cut(summary.names[i], 72 * NAMES - 10, SMALL + 0.5) for i in order]
    canvas.quiet(ax)
    ax.set_ylim(len(order) - 0.5, -0.5)
    ax.set_yticks(np.arange(len(order)), names, size=SMALL + 0.5, color=INK, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.locator_params(axis="x", nbins=5)


def _told(summary: Summed, top: int) -> str:
    return titles.joined(titles.first_of(top, len(summary.names), "columns"), f"{summary.rows} rows")


def _ranks(cells: NDArray) -> NDArray:
    """From 0 for the lowest number to 1 for the highest; equal ones get the same."""
    known, place = np.unique(cells, return_inverse=True)
    return place.reshape(-1) / max(len(known) - 1, 1)


def _piled(values: NDArray, low: float, span: float) -> NDArray:
    """How far each dot is moved up or down, in rows: dots in one cell of the axis stand on both sides of the line in turn."""
    cells = ((values - low) / span * CELLS).astype(int)
    order = np.argsort(cells, kind="stable")
    _, first, counts = np.unique(cells[order], return_index=True, return_counts=True)
    turn = np.empty(len(values), int)
    turn[order] = np.arange(len(values)) - np.repeat(first, counts)
    side = np.where(turn % 2, 1, -1) * ((turn + 1) // 2)
    return 0.4 * side / max(np.abs(side).max(initial=0), 8)


def _key(ax: Axes) -> None:
    """A slim bar: from low to high."""
    key = ax.inset_axes((1 + 0.12 / canvas.inches(ax), 0.1, 0.08 / canvas.inches(ax), 0.8))
    bar = ax.figure.colorbar(ScalarMappable(Normalize(0, 1), LOW_TO_HIGH), cax=key)
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.outline.set_visible(False)
    canvas.quiet(key)
    key.text(
        1.6,
        0.5,
        "in the column",
        rotation=90,
        va="center",
        transform=key.transAxes,
        size=SMALL - 1,
        color=GREY,
    )
