"""The sheet under every picture: its measures, colours and words."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from tfxai.plots.notebook import inlined, png

Labels = Sequence[str] | Mapping[int, str]


INK, GREY, RED, BLUE = "#222222", "#777777", "#c9102f", "#0f4fbd"


MARGIN, GAP, TITLE, TICKS, KEY = 0.15, 0.1, 0.25, 0.35, 0.75  # inches


TEXT, SMALL = 8.5, 7  # points


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself; pyplot neither keeps it nor shows it twice."""

    def _repr_png_(self) -> bytes:
        return png(self)

    def _repr_html_(self) -> str:
        return inlined(self)


def sheet(rows: int, columns: int, pictures: NDArray, width: float, right: float) -> tuple[Figure, NDArray]:
    """Axes (rows, columns), placed in inches so that nothing overlaps whatever their number."""
    ticks = TICKS if pictures.ndim < 4 else 0
    aspect = 0.6 if ticks else pictures.shape[-3] / pictures.shape[-2]
    height = width * min(max(aspect, 0.4), 2.5)
    left, pitch = MARGIN + ticks, TITLE + height + 0.7 * ticks
    size = left + columns * (width + GAP) - GAP + right, rows * pitch + TITLE + 2 * MARGIN
    figure = blank(*size)
    axes = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        x, y = left + column * (width + GAP), MARGIN + TITLE + row * pitch
        axes[row, column] = placed(figure, x, y, width, height)
    return figure, axes


def blank(width: float, height: float) -> Picture:
    """A white figure, in inches; coarser where it would have more pixels than can be drawn."""
    return Picture(figsize=(width, height), dpi=min(150, 60000 / height), facecolor="white")


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The drawn figure, (H, W, 3)."""
    drawing = FigureCanvasAgg(figure)
    drawing.draw()
    return np.asarray(drawing.buffer_rgba())[..., :3].copy()


def placed(figure: Figure, x: float, y: float, width: float, height: float) -> Axes:
    """Axes whose upper left corner is so many inches from that of the figure."""
    across, down = figure.get_size_inches()
    box = (x / across, 1 - (y + height) / down, width / across, height / down)
    return figure.add_axes(box, facecolor="white")


def title(ax: Axes, name: str, note: str, values: NDArray | None = None) -> None:
    """Name on the left, as much of it as there is room for, and a quiet note on the right."""
    if values is not None and not values.any():
        note = f"{note} · no evidence" if note else "no evidence"
    room = 72 * inches(ax) - text_width(note, SMALL) - 8
    ax.set_title(cut(name, room, TEXT), loc="left", size=TEXT, color=INK, pad=4, parse_math=False)
    ax.set_title(note, loc="right", size=SMALL, color=GREY, pad=4, parse_math=False)


def footnote(figure: Figure, *parts: str) -> None:
    width, height = figure.get_size_inches()
    text = cut(" · ".join(filter(None, parts)), 72 * (width - 2 * MARGIN), SMALL)
    figure.text(MARGIN / width, MARGIN / height, text, size=SMALL, color=GREY, parse_math=False)


def drawn(inputs: NDArray, limit: int) -> str:
    return f"First {limit} of {len(inputs)} examples" if limit < len(inputs) else ""


def class_name(target: Any, labels: Labels | None) -> str:
    """Empty where a score needs no class (-1)."""
    if isinstance(target, str) or target < 0:
        return target if isinstance(target, str) else ""
    if labels is None:
        return f"class {target}"
    try:
        return str(labels[int(target)])
    except (IndexError, KeyError):
        raise ValueError(f"labels has {len(labels)} names, none for class {target}. Give them all.") from None


def check_one_each(true_labels: Sequence[int | str] | None, examples: int) -> None:
    """Raises ValueError if there are true labels, but not one for each example."""
    if true_labels is not None and len(true_labels) != examples:
        raise ValueError(f"true_labels has {len(true_labels)} entries for {examples} inputs. Give one each.")


def score_text(score: Any, kind: str) -> str:
    if kind == "probability":
        return "< 0.1 %" if score < 0.001 else f"{100 * score:.{0 if score >= 0.1 else 1}f} %"
    return number(score, ".2f" if 0.1 <= abs(score) < 1000 or score == 0 else ".3g")


def number(value: Any, form: str) -> str:
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def cut(text: str, room: float, size: float) -> str:
    """As much of the text as fits into `room` points."""
    while len(text) > 2 and (width := text_width(text, size)) > room:
        text = text[: max(int(len(text) * room / width) - 1, 1)].rstrip(" ,(…") + "…"
    return text


def text_width(text: str, size: float) -> float:
    """In points, as it is drawn at 150 dpi: hinted letters are wider than their outlines."""
    width, *_ = _renderer().get_text_width_height_descent(text, FontProperties(size=size), False)
    return width * 72 / 150


@functools.cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, 150)


def inches(ax: Axes) -> float:
    return ax.bbox.width / ax.figure.dpi


def quiet(ax: Axes) -> None:
    ax.tick_params(labelsize=SMALL - 1, labelcolor=GREY, color=GREY, length=2, width=0.5, pad=1.5)
    ax.spines[:].set(color=GREY, linewidth=0.5)
    ax.grid(False)


def _see_through(colours: NDArray, alpha: NDArray) -> ListedColormap:
    return ListedColormap(np.column_stack([colours[:, :3], alpha]))


RAMP = np.linspace(0, 1, 256)


SIGNED = _see_through(np.repeat([to_rgb(BLUE), to_rgb(RED)], 256, axis=0), np.append(RAMP[::-1], RAMP) ** 1.2)


HEAT = _see_through(matplotlib.colormaps["inferno"](0.15 + 0.8 * RAMP), 0.9 * RAMP**0.7)


PALE_SIGNED = _see_through(SIGNED(np.arange(512)), 0.6 * SIGNED(np.arange(512))[:, 3])


PALE_HEAT = _see_through(np.tile(to_rgb(RED), (256, 1)), 0.6 * RAMP)


def scale(maps: NDArray, percentile: float) -> float:
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
    for word, height in [("for", 0.75), ("against", 0.25)] if signed else []:
        place = {"rotation": 90, "va": "center", "transform": key.transAxes}
        key.text(5.5, height, word, size=SMALL, color=GREY, **place)


# How models take colours: (offset, scale, channel order) bring them back to 0..1 if the darkest value lies
# below the last number. The fourth and fifth are the modes "torch" and "caffe" of keras.applications.
CODES = [
    (0.0, 1.0, 1, np.inf),
    (1.0, 1 / 2, 1, -0.75),
    (0.0, 1 / 255, 1, np.inf),
    (np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], np.array([0.229, 0.224, 0.225]), 1, -1.0),
    (np.array([103.939, 116.779, 123.68]), 1 / 255, -1, -30.0),
]


def pictures(inputs: NDArray) -> NDArray:
    """Images (N, H, W, C) and volumes (N, D, H, W, C) as RGB in 0..1; anything else unchanged.

    The range tells how colours were coded. Where nothing fits, each picture is stretched over its own range.
    """
    if inputs.ndim < 4:
        return inputs
    pictures = inputs.astype(np.float32)
    target_codes = CODES if pictures.shape[-1] == 3 else CODES[:3]
    if pictures.shape[-1] != 3:
        pictures = pictures.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    if 1.001 < pictures.max() <= 64 and pictures.min() >= 0:
        target_codes = []  # counts, such as digits of 0 to 16: as 0 to 255 they would be black
    for offset, scale, order, darkest in target_codes:
        colours = (pictures + offset) * scale
        if colours.min() >= -1e-3 and colours.max() <= 1.001 and pictures.min() < darkest:
            return colours[..., ::order].clip(0, 1)
    axes = tuple(range(1, pictures.ndim))
    low, high = pictures.min(axis=axes, keepdims=True), pictures.max(axis=axes, keepdims=True)
    return (pictures - low) / np.maximum(high - low, 1e-12)


LINES = ("#222222", "#1b7f5c", "#b37400", "#7a4fa3", "#5f6b76", "#8c564b")  # neither red nor blue


def line_colours(count: int) -> list[str]:
    return [LINES[i % len(LINES)] for i in range(count)]
