"""Pictures of explanations: red speaks for a class, blue against it; maps without sign glow over the input.

Everything here draws what is already computed; scaling and clipping are for the eye only. The figures are
unknown to pyplot: they show themselves in a notebook, and `savefig` works everywhere.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from tfxai.explanation import Explanation

Labels = Sequence[str] | Mapping[int, str]

INK, GREY, RED, BLUE = "#222222", "#777777", "#c9102f", "#0f4fbd"
MARGIN, GAP, TITLE, TICKS, KEY = 0.15, 0.1, 0.25, 0.35, 0.75  # inches
TEXT, SMALL = 8.5, 7  # points


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
    explanation that is never negative. Of a volume, the slice with most evidence.

    labels:      class names, by class index.
    true_labels: (N,) class indices or names, written over the inputs.
    percentile:  of |heatmap| in a row, where the colours end.
    limit:       how many examples are drawn; the figure says so if there are more.
    input:       which of several inputs is drawn; the first explained image unless given.

    Raises ValueError if labels or true_labels do not fit.
    """
    maps, inputs = _maps_and_inputs(explanation, input)
    if true_labels is not None and len(true_labels) != len(inputs):
        raise ValueError(
            f"true_labels has {len(true_labels)} entries for {len(inputs)} inputs. Give one each."
        )
    targets, scores = explanation.targets.reshape(maps.shape[:2]), explanation.scores.reshape(maps.shape[:2])
    pictures = _pictures(inputs[:limit])
    signed = bool((maps < 0).any())
    figure, grid = _sheet(len(pictures), 1 + maps.shape[1], pictures, width=2.2, right=KEY)
    for row, axes in enumerate(grid):
        picture, row_maps, place = _flat(pictures[row], maps[row])
        _draw_input(axes[0], picture)
        truth = "" if true_labels is None else _class_name(true_labels[row], labels)
        _title(axes[0], truth, place or ("true class" if truth else ""))
        scale = _scale(row_maps, picture, percentile)
        for ax, values, target, score in zip(axes[1:], row_maps, targets[row], scores[row], strict=True):
            heatmap(values, picture, ax, signed=signed, scale=scale)
            ax.tick_params(labelleft=False, labelright=ax is axes[-1] and picture.ndim == 1)
            name = _class_name(target, labels) or explanation.score
            _title(ax, name, _score_text(score, explanation.score), values)
        _colour_key(axes[-1], signed, scale)
    _footnote(figure, _drawn(inputs, limit), explanation.method, f"score: {explanation.score}")
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
    pictures = _pictures(inputs[:limit])
    signed = [bool((maps < 0).any()) for maps in all_maps]
    figure, grid = _sheet(len(pictures) * classes, 1 + len(all_maps), pictures, width=1.7, right=MARGIN)
    for row, axes in enumerate(grid):
        example, k = divmod(row, classes)
        picture, row_maps, _ = _flat(pictures[example], np.stack([maps[example, k] for maps in all_maps]))
        _draw_input(axes[0], picture)
        _title(axes[0], _class_name(targets[row], labels), _score_text(scores[row], first.score))
        for ax, name, values, has_sign in zip(axes[1:], explanations, row_maps, signed, strict=True):
            heatmap(values, picture, ax, signed=has_sign, percentile=percentile)
            ax.tick_params(left=False, right=False, labelleft=False, labelright=False)
            _title(ax, name if row == 0 else "", "", values)
    key = "red: for the class, blue: against it" if any(signed) else ""
    _footnote(figure, _drawn(inputs, limit), "Each map on its own scale", key)
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
    ax = Picture(figsize=(4, 4), dpi=150, layout="constrained").add_subplot() if ax is None else ax
    if picture.ndim == 1:
        _draw_bars(ax, heat, picture, scale)
    elif picture.ndim == 2:
        _draw_series(ax, picture)
        box = (-0.5, len(heat) - 0.5, *ax.get_ylim())
        ax.imshow(heat[None], **_colours(signed, scale), extent=box, aspect="auto", interpolation="nearest")
    else:
        grey = picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
        ax.imshow(0.75 + 0.25 * grey if signed else grey)  # red and blue need a pale ground
        ax.imshow(heat, **_colours(signed, scale))
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
    picture, (heat,), _ = _flat(_pictures(picture[None])[0], heat[None])
    return heat, picture


def _see_through(colours: NDArray, alpha: NDArray) -> ListedColormap:
    return ListedColormap(np.column_stack([colours[:, :3], alpha]))


RAMP = np.linspace(0, 1, 256)
SIGNED = _see_through(np.repeat([to_rgb(BLUE), to_rgb(RED)], 256, axis=0), np.append(RAMP[::-1], RAMP) ** 1.2)
HEAT = _see_through(matplotlib.colormaps["inferno"](0.15 + 0.8 * RAMP), 0.9 * RAMP**0.7)


def _colours(signed: bool, scale: float) -> dict[str, Any]:
    scale = scale or 1.0  # an all-zero map
    return {"cmap": SIGNED if signed else HEAT, "norm": Normalize(-scale if signed else 0.0, scale)}


def _scale(maps: NDArray, picture: NDArray, percentile: float) -> float:
    """|value| where the colours end: the percentile, or the largest if that is zero. Bars are never cut."""
    size = np.abs(maps[np.isfinite(maps)])
    return (
        float((0 if picture.ndim == 1 else np.percentile(size, percentile)) or size.max())
        if size.size
        else 0.0
    )


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
    _quiet(ax)


def _draw_bars(ax: Axes, values: NDArray, names: NDArray, scale: float | None = None) -> None:
    """names: the input; integers are token ids, and name the bars where there is room."""
    colours = GREY if scale is None else SIGNED(np.where(values > 0, 1.0, 0.0))
    ax.bar(np.arange(len(values)), values, width=0.8, color=colours)
    ax.axhline(0, color=GREY, linewidth=0.5)
    if scale:
        ax.set_ylim(-1.08 * scale, 1.08 * scale)
    if np.issubdtype(names.dtype, np.integer) and len(names) <= 24:
        ax.set_xticks(np.arange(len(names)), [str(name) for name in names], rotation=90)
    _quiet(ax)
    ax.yaxis.tick_right()


def _quiet(ax: Axes) -> None:
    ax.tick_params(labelsize=SMALL - 1, labelcolor=GREY, color=GREY, length=2, width=0.5, pad=1.5)
    ax.spines[:].set(color=GREY, linewidth=0.5)
    ax.grid(False)


def _maps_and_inputs(explanation: Explanation, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Maps (N, K, ...) and what they explain (N, ...)."""
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


# How models take colours: (offset, scale, channel order) bring them back to 0..1 if the darkest value lies
# below the last number. The fourth and fifth are the modes "torch" and "caffe" of keras.applications.
CODES = [
    (0.0, 1.0, 1, np.inf),
    (1.0, 1 / 2, 1, -0.75),
    (0.0, 1 / 255, 1, np.inf),
    (np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], np.array([0.229, 0.224, 0.225]), 1, -1.0),
    (np.array([103.939, 116.779, 123.68]), 1 / 255, -1, -30.0),
]


def _pictures(inputs: NDArray) -> NDArray:
    """Images (N, H, W, C) and volumes (N, D, H, W, C) as RGB in 0..1; anything else unchanged.

    The range tells how colours were coded. Where nothing fits, each picture is stretched over its own range.
    """
    if inputs.ndim < 4:
        return inputs
    pictures = inputs.astype(np.float32)
    codes = CODES if pictures.shape[-1] == 3 else CODES[:3]
    if pictures.shape[-1] != 3:
        pictures = pictures.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    if 1.001 < pictures.max() <= 64 and pictures.min() >= 0:
        codes = []  # counts, such as digits of 0 to 16: as 0 to 255 they would be black
    for offset, scale, order, darkest in codes:
        colours = (pictures + offset) * scale
        if colours.min() >= -1e-3 and colours.max() <= 1.001 and pictures.min() < darkest:
            return colours[..., ::order].clip(0, 1)
    axes = tuple(range(1, pictures.ndim))
    low, high = pictures.min(axis=axes, keepdims=True), pictures.max(axis=axes, keepdims=True)
    return (pictures - low) / np.maximum(high - low, 1e-12)


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


def _class_name(target: int | str, labels: Labels | None) -> str:
    """Empty where a score needs no class (-1)."""
    if isinstance(target, str) or target < 0:
        return target if isinstance(target, str) else ""
    if labels is None:
        return f"class {target}"
    try:
        return str(labels[int(target)])
    except (IndexError, KeyError):
        raise ValueError(f"labels has {len(labels)} names, none for class {target}. Give them all.") from None


def _score_text(score: float, kind: str) -> str:
    if kind == "probability":
        return "< 0.1 %" if score < 0.001 else f"{100 * score:.{0 if score >= 0.1 else 1}f} %"
    return _number(score, ".2f" if 0.1 <= abs(score) < 1000 or score == 0 else ".3g")


def _number(value: float, form: str) -> str:
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def _title(ax: Axes, name: str, note: str, values: NDArray | None = None) -> None:
    """Name on the left, as much of it as there is room for, and a quiet note on the right."""
    if values is not None and not values.any():
        note = f"{note} · no evidence" if note else "no evidence"
    room = 72 * _inches(ax) - _width(note, SMALL) - 8
    ax.set_title(_cut(name, room, TEXT), loc="left", size=TEXT, color=INK, pad=4, parse_math=False)
    ax.set_title(note, loc="right", size=SMALL, color=GREY, pad=4, parse_math=False)


def _footnote(figure: Figure, *parts: str) -> None:
    width, height = figure.get_size_inches()
    text = _cut(" · ".join(filter(None, parts)), 72 * (width - 2 * MARGIN), SMALL)
    figure.text(MARGIN / width, MARGIN / height, text, size=SMALL, color=GREY, parse_math=False)


def _drawn(inputs: NDArray, limit: int) -> str:
    return f"First {limit} of {len(inputs)} examples" if limit < len(inputs) else ""


def _cut(text: str, room: float, size: float) -> str:
    """As much of the text as fits into `room` points."""
    while len(text) > 2 and (width := _width(text, size)) > room:
        text = text[: max(int(len(text) * room / width) - 1, 1)].rstrip(" ,(…") + "…"
    return text


def _inches(ax: Axes) -> float:
    return ax.bbox.width / ax.figure.dpi


def _width(text: str, size: float) -> float:
    """In points."""
    return TextPath((0, 0), text.replace("$", "S"), size=size).get_extents().width if text.strip() else 0.0


class Picture(Figure):
    """A matplotlib figure that a notebook shows by itself; pyplot neither keeps it nor shows it twice."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        FigureCanvasAgg(self).print_png(file)
        return file.getvalue()


def _sheet(rows: int, columns: int, pictures: NDArray, width: float, right: float) -> tuple[Figure, NDArray]:
    """Axes (rows, columns), placed in inches so that nothing overlaps whatever their number."""
    ticks = TICKS if pictures.ndim < 4 else 0
    aspect = 0.6 if ticks else pictures.shape[-3] / pictures.shape[-2]
    height = width * min(max(aspect, 0.4), 2.5)
    left, pitch = MARGIN + ticks, TITLE + height + 0.7 * ticks
    size = left + columns * (width + GAP) - GAP + right, rows * pitch + TITLE + 2 * MARGIN
    figure = Picture(figsize=size, dpi=150, facecolor="white")
    axes = np.empty((rows, columns), dtype=object)
    for row, column in np.ndindex(rows, columns):
        x, y = left + column * (width + GAP), size[1] - MARGIN - TITLE - row * pitch - height
        box = (x / size[0], y / size[1], width / size[0], height / size[1])
        axes[row, column] = figure.add_axes(box, facecolor="white")
    return figure, axes


def _colour_key(ax: Axes, signed: bool, scale: float) -> None:
    """A slim colour bar beside the last map of a row; bars carry their own axis."""
    if not ax.images or not scale:
        return
    key = ax.inset_axes((1 + 0.09 / _inches(ax), 0, 0.08 / _inches(ax), 1))
    colours = ScalarMappable(**_colours(signed, scale))
    bar = ax.figure.colorbar(colours, cax=key, extend="both" if signed else "max", extendfrac=0.04)
    ticks = [-scale, 0, scale] if signed else [0, scale]
    bar.set_ticks(ticks, labels=[_number(tick, ".2g") for tick in ticks])
    bar.outline.set_visible(False)
    _quiet(key)
    for word, height in [("for", 0.75), ("against", 0.25)] if signed else []:
        place = {"rotation": 90, "va": "center", "transform": key.transAxes}
        key.text(5.5, height, word, size=SMALL, color=GREY, **place)
