"""One map over what it explains: an image, a slice of a volume, a series or a table row."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import GREY, INK, SMALL
from tfxai.plots.colours import SIGNED, colour_map, end_of_scale
from tfxai.plots.protocol import Percentile
from tfxai.plots.rgb import rgb
from tfxai.support import Numbers, checked


@checked
def heatmap(
    values: Numbers,
    image: Numbers | None = None,
    ax: Axes | None = None,
    *,
    signed: bool | None = None,
    scale: float | None = None,
    percentile: Percentile = 99,
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
    scale = scale_of(heat, picture, percentile) if scale is None else scale
    ax = canvas.Picture(figsize=(4, 4), dpi=150, layout="constrained").add_subplot() if ax is None else ax
    if picture.ndim == 1:
        _draw_bars(ax, heat, picture, scale)
    elif picture.ndim == 2:
        _draw_series(ax, picture)
        box = (-0.5, len(heat) - 0.5, *ax.get_ylim())
        ax.imshow(heat[None], **colour_map(signed, scale), extent=box, aspect="auto", interpolation="nearest")
    else:
        grey = picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
        ax.imshow(0.75 + 0.25 * grey if signed else grey)  # red and blue need a pale ground
        ax.imshow(heat, **colour_map(signed, scale))
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
    picture, (heat,), _ = flattened(rgb(picture[None])[0], heat[None])
    return heat, picture


def flattened(picture: NDArray, maps: NDArray) -> tuple[NDArray, NDArray, str]:
    """Of volumes (K, D, H, W) the slice with most evidence, with its place; all else as it is."""
    if maps.ndim < 4:
        return picture, maps, ""
    evidence = np.abs(maps).sum(axis=(2, 3))
    most = int((evidence / (evidence.max(axis=1, keepdims=True) + 1e-30)).sum(axis=0).argmax())
    return picture[most], maps[:, most], f"slice {most + 1} of {maps.shape[1]}"


def scale_of(maps: NDArray, picture: NDArray, percentile: float) -> float:
    """|value| where the colours end: the percentile, or the largest if that is zero. Bars are never cut."""
    return end_of_scale(maps, 100 if picture.ndim == 1 else percentile)


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


def _draw_series(ax: Axes, series: NDArray) -> None:
    ax.plot(series, color=INK, linewidth=0.9 if series.shape[1] < 4 else 0.5)
    ax.margins(x=0, y=0.08)
    canvas.quiet(ax)


def draw_input(ax: Axes, picture: NDArray) -> None:
    """What was explained, without a map: an image, lines, bars, or token ids as text."""
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
