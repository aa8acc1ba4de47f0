"""The sheet under every picture: figures that stay out of pyplot, axes placed in inches, sizes and quiet colours."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots.notebook import inlined, png

INK, GREY = "#222222", "#777777"
MARGIN, GAP, TITLE, TICKS, KEY = 0.15, 0.1, 0.25, 0.35, 0.75  # inches
WIDE = 6.5  # inches of a text or a series
TEXT, SMALL = 8.5, 7  # points


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself; pyplot neither keeps it nor shows it twice."""

    def _repr_png_(self) -> bytes:
        return png(self)

    def _repr_html_(self) -> str:
        return inlined(self)


def blank(width: float, height: float) -> Picture:
    """A white figure, in inches; coarser where it would have more pixels than can be drawn."""
    return Picture(figsize=(width, height), dpi=min(150, 60000 / height), facecolor="white")


def sheet(rows: int, columns: int, pictures: NDArray, width: float, right: float) -> tuple[Picture, NDArray]:
    """A figure and its axes (rows, columns), placed in inches so that nothing overlaps whatever their number.

    pictures: what will be drawn, (N, H, W, 3), (N, T, F) or (N, F): their shape decides the height of the axes.
    width:    of one axes. right: room on the right of them all, for a colour key. Both in inches.
    """
    ticks = TICKS if pictures.ndim < 4 else 0
    aspect = 0.6 if ticks else pictures.shape[-3] / pictures.shape[-2]
    height = width * min(max(aspect, 0.4), 2.5)
    left, pitch = MARGIN + ticks, TITLE + height + 0.7 * ticks
    figure = blank(left + columns * (width + GAP) - GAP + right, rows * pitch + TITLE + 2 * MARGIN)
    axes = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        x, y = left + column * (width + GAP), MARGIN + TITLE + row * pitch
        axes[row, column] = placed(figure, x, y, width, height)
    return figure, axes


def placed(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes whose upper left corner is so many inches from that of the figure."""
    across, down = figure.get_size_inches()
    box = (x / across, 1 - (y + height) / down, width / across, height / down)
    return figure.add_axes(box, facecolor="white")


def inches(ax: Axes) -> float:
    """How wide the axes are."""
    return ax.bbox.width / ax.figure.dpi


def quiet(ax: Axes) -> None:
    """Small grey ticks and a thin grey frame: numbers are there for whoever looks for them."""
    ax.tick_params(labelsize=SMALL - 1, labelcolor=GREY, color=GREY, length=2, width=0.5, pad=1.5)
    ax.spines[:].set(color=GREY, linewidth=0.5)
    ax.grid(False)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The drawn figure, (H, W, 3)."""
    drawing = FigureCanvasAgg(figure)
    drawing.draw()
    return np.asarray(drawing.buffer_rgba())[..., :3].copy()
