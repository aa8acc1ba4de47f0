"""Colours of evidence: red for, blue against, heat where there is no sign; where they end, and the key beside a map."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from numpy.typing import NDArray

from tfxai.plots.canvas import GREY, SMALL, inches, quiet
from tfxai.plots.titles import number

RED, BLUE = "#c9102f", "#0f4fbd"
LINES = ("#222222", "#1b7f5c", "#b37400", "#7a4fa3", "#5f6b76", "#8c564b")  # neither red nor blue
GREEN = LINES[1]
WORDS = 0.6  # inches of a key that has room for words
_RAMP = np.linspace(0, 1, 256)


def _see_through(colours: NDArray, opacity: NDArray) -> ListedColormap:
    return ListedColormap(np.column_stack([colours[:, :3], opacity]))


SIGNED = _see_through(
    np.repeat([to_rgb(BLUE), to_rgb(RED)], 256, axis=0), np.append(_RAMP[::-1], _RAMP) ** 1.2
)
HEAT = _see_through(matplotlib.colormaps["inferno"](0.15 + 0.8 * _RAMP), 0.9 * _RAMP**0.7)
PALE_SIGNED = _see_through(SIGNED(np.arange(512)), 0.6 * SIGNED(np.arange(512))[:, 3])
PALE_HEAT = _see_through(np.tile(to_rgb(RED), (256, 1)), 0.6 * _RAMP)


def end_of_scale(maps: NDArray, percentile: float) -> float:
    """|value| where the colours end: the percentile, or the largest if that is zero."""
    size = np.abs(maps[np.isfinite(maps)])
    return float(np.percentile(size, percentile) or size.max()) if size.size else 0.0


def colour_map(signed: bool, scale: float, pale: bool = False) -> dict[str, Any]:
    """As arguments of imshow; pale where lines must be seen on it."""
    scale = scale or 1.0  # an all-zero map
    maps = (PALE_SIGNED, PALE_HEAT) if pale else (SIGNED, HEAT)
    return {"cmap": maps[0] if signed else maps[1], "norm": Normalize(-scale if signed else 0.0, scale)}


def colour_key(ax: Axes, signed: bool, scale: float, pale: bool = False) -> None:
    """A slim colour bar beside the last map of a row; bars carry their own axis."""
    if not ax.images or not scale:
        return
    key = ax.inset_axes((1 + 0.09 / inches(ax), 0, 0.08 / inches(ax), 1))
    colours = ScalarMappable(**colour_map(signed, scale, pale))
    bar = ax.figure.colorbar(colours, cax=key, extend="both" if signed else "max", extendfrac=0.04)
    ticks = [-scale, 0, scale] if signed else [0, scale]
    bar.set_ticks(ticks, labels=[number(tick, ".2g") for tick in ticks])
    bar.outline.set_visible(False)
    quiet(key)
    tall = ax.bbox.height / ax.figure.dpi > WORDS
    for word, height in [("for", 0.75), ("against", 0.25)] if signed and tall else []:
        place = {"rotation": 90, "va": "center", "transform": key.transAxes}
        key.text(5.5, height, word, size=SMALL, color=GREY, **place)


def line_colours(count: int) -> list[str]:
    """Colours for so many lines; after six they come again."""
    return [LINES[i % len(LINES)] for i in range(count)]
