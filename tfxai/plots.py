"""Pictures of explanations: red speaks for a class, blue against it; maps without sign are heat over the input.

Everything here draws arrays that are already computed; scaling and clipping are for the eye only. The figures are
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
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from tfxai.explanation import Explanation

Labels = Sequence[str] | Mapping[int, str]

INK, GREY = "#222222", "#777777"
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

    The maps of a row share one scale, so classes can be compared: symmetric around zero for signed maps, from zero
    for an explanation that is never negative. Of a volume, the slice with the most evidence.

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
            f"true_labels has {len(true_labels)} entries for {len(inputs)} inputs. Give one class per input."
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
            name = _class_name(target, labels) or explanation.score
            _title(ax, name, _score_text(score, explanation.score), values)
        _colour_key(axes[-1], signed, scale)
    first = f"First {limit} of {len(inputs)} examples" if limit < len(inputs) else ""
    _footnote(figure, first, explanation.method, f"score: {explanation.score}")
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
    _check_comparable(explanations, input)
    first = next(iter(explanations.values()))
    all_maps = [_maps_and_inputs(explanation, input)[0] for explanation in explanations.values()]
    inputs = first.one(input)[1]
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
            ax.tick_params(labelright=False)
            _title(ax, name if row == 0 else "", "", values)
    few = f"First {limit} of {len(inputs)} examples" if limit < len(inputs) else ""
    _footnote(figure, few, "Each map on its own scale", "red: for the class, blue: against it, heat: no sign")
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
    values, image = np.asarray(values), None if image is None else np.asarray(image)
    if image is not None and image.shape[: values.ndim] != values.shape:
        raise ValueError(
            f"image has shape {image.shape}, values {values.shape}. Give the input that was explained."
        )
    if image is not None and values.ndim > 1:
        image = _pictures((image[..., None] if image.ndim == values.ndim else image)[None])[0]
    elif image is None and values.ndim == 1:
        image = values
    image, (values,), _ = _flat(image, values[None])
    ax = Picture(figsize=(4, 4), dpi=150, layout="constrained").add_subplot() if ax is None else ax
    signed = bool((values < 0).any()) if signed is None else signed
    scale = _scale(values, image, percentile) if scale is None else scale
    if image is not None and image.ndim == 1:
        _draw_bars(ax, values, image, scale)
    elif image is not None and image.ndim == 2:
        _draw_series(ax, image)
        box = (-0.5, len(values) - 0.5, *ax.get_ylim())
        ax.imshow(values[None], **_colours(signed, scale), extent=box, aspect="auto", interpolation="nearest")
    else:
        _draw_picture(ax, image, faint=signed)
        ax.imshow(values, **_colours(signed, scale))
    return ax


# What the maps look like. ------------------------------------------------------------------------------------------


def _see_through(name: str, positions: NDArray, alpha: NDArray) -> ListedColormap:
    colours = matplotlib.colormaps[name](positions)
    colours[:, 3] = alpha
    return ListedColormap(colours, name)


RAMP = np.linspace(0, 1, 256)
SIGNED = _see_through("RdBu_r", np.linspace(0.06, 0.94, 255), np.abs(np.linspace(-1, 1, 255)) ** 0.6)
HEAT = _see_through("inferno", 0.15 + 0.85 * RAMP, 0.9 * RAMP**0.7)


def _colours(signed: bool, scale: float) -> dict[str, Any]:
    scale = scale or 1.0  # an all-zero map
    return (
        {"cmap": SIGNED, "vmin": -scale, "vmax": scale}
        if signed
        else {"cmap": HEAT, "vmin": 0, "vmax": scale}
    )


def _scale(maps: NDArray, picture: NDArray | None, percentile: float) -> float:
    """|value| where the colours end: the percentile, or the largest where that is zero. Bars are never cut."""
    size = np.abs(maps[np.isfinite(maps)])
    bars = picture is not None and picture.ndim == 1
    return float((0 if bars else np.percentile(size, percentile)) or size.max()) if size.size else 0.0


def _draw_input(ax: Axes, picture: NDArray) -> None:
    if picture.ndim == 3:
        _draw_picture(ax, picture)
    elif picture.ndim == 2:
        _draw_series(ax, picture)
    elif np.issubdtype(picture.dtype, np.integer):
        text = textwrap.shorten("tokens " + " ".join(map(str, picture)), 150, placeholder=" …")
        ax.text(0.5, 0.5, textwrap.fill(text, 28), size=SMALL, color=GREY, ha="center", va="center")
        ax.set_axis_off()
    else:
        _draw_bars(ax, picture, picture)
        ax.yaxis.tick_left()


def _draw_picture(ax: Axes, picture: NDArray | None, faint: bool | None = None) -> None:
    """faint: None for the colours, False for grey under heat, True for the pale grey that red and blue need."""
    if picture is not None:
        if faint is not None:
            grey = picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
            picture = 0.72 + 0.28 * grey if faint else grey
        ax.imshow(picture)
    ax.set_axis_off()


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


# What is drawn. -----------------------------------------------------------------------------------------------------


def _maps_and_inputs(explanation: Explanation, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Maps (N, K, ...) and what they explain (N, ...)."""
    values, inputs = explanation.one(input)
    if values is None:
        raise ValueError(f"input {input!r} was not explained: its values are None. Name another one.")
    maps = explanation.heatmap(input)
    return (maps[:, None] if explanation.targets.ndim == 1 else maps), np.asarray(inputs)


def _flat(picture: NDArray | None, maps: NDArray) -> tuple[NDArray | None, NDArray, str]:
    """Of volumes (K, D, H, W) the slice with most evidence, with its place; all else as it is."""
    if maps.ndim < 4:
        return picture, maps, ""
    evidence = np.abs(maps).sum(axis=(2, 3))
    most = int((evidence / (evidence.max(axis=1, keepdims=True) + 1e-30)).sum(axis=0).argmax())
    return None if picture is None else picture[most], maps[:, most], f"slice {most + 1} of {maps.shape[1]}"


# How models take pictures: (offset, scale, channel order) give colours in 0..1 back. The last two are those of
# keras.applications, "torch" (DenseNet) and "caffe" (VGG, ResNet: BGR less the mean).
CODES = [
    (0.0, 1.0, 1),
    (1.0, 1 / 2, 1),
    (0.0, 1 / 255, 1),
    (np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], np.array([0.229, 0.224, 0.225]), 1),
    (np.array([103.939, 116.779, 123.68]), 1 / 255, -1),
]


def _pictures(inputs: NDArray) -> NDArray:
    """Images (N, H, W, C) and volumes (N, D, H, W, C) as RGB in 0..1; anything else unchanged.

    The range tells how the colours were coded. Where nothing fits, each picture is stretched over its own range.
    """
    if inputs.ndim < 4:
        return inputs
    pictures = inputs.astype(np.float32)
    codes = CODES if pictures.shape[-1] == 3 else CODES[:3]
    if pictures.shape[-1] != 3:
        pictures = pictures.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    for offset, scale, order in codes:
        colours = (pictures + offset) * scale
        near_zero = order < 0 and pictures.min() > -30  # fits "caffe" too, but as an even grey
        if -1e-3 <= colours.min() and colours.max() <= 1.001 and not near_zero:
            return colours[..., ::order].clip(0, 1)
    axes = tuple(range(1, pictures.ndim))
    low, high = pictures.min(axis=axes, keepdims=True), pictures.max(axis=axes, keepdims=True)
    return (pictures - low) / np.maximum(high - low, 1e-12)


def _check_comparable(explanations: Mapping[str, Explanation], input: str | int | None) -> None:
    if not explanations:
        raise ValueError(
            "compare got no explanations. Give {name: explanation}, for the same inputs and targets."
        )
    (first, reference), *others = explanations.items()
    inputs = _maps_and_inputs(reference, input)[1]
    for name, explanation in others:
        if not np.array_equal(_maps_and_inputs(explanation, input)[1], inputs):
            raise ValueError(
                f"{name!r} and {first!r} explain different inputs. Explain the same inputs with both."
            )
        if not np.array_equal(explanation.targets, reference.targets):
            raise ValueError(
                f"{name!r} explains targets {explanation.targets.tolist()}, {first!r} {reference.targets.tolist()}. "
                "Give both methods the same targets=."
            )


# Words. -------------------------------------------------------------------------------------------------------------


def _class_name(target: int | str, labels: Labels | None) -> str:
    """Empty where a score needs no class (-1)."""
    if isinstance(target, str) or target < 0:
        return target if isinstance(target, str) else ""
    if labels is None:
        return f"class {target}"
    try:
        return str(labels[int(target)])
    except (IndexError, KeyError):
        raise ValueError(
            f"labels has {len(labels)} names, none for class {target}. Give one per class."
        ) from None


def _score_text(score: float, kind: str) -> str:
    if kind == "probability":
        return (
            f"{100 * score:.0f} %"
            if score >= 0.1
            else f"{100 * score:.2g} %"
            if score >= 0.001
            else "< 0.1 %"
        )
    text = f"{score:.2f}" if 0.1 <= abs(score) < 1000 or score == 0 else f"{score:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _title(ax: Axes, name: str, note: str, values: NDArray | None = None) -> None:
    """Name on the left, as much of it as there is room for, and a quiet note on the right."""
    if values is not None and not values.any():
        note = f"{note} · no evidence" if note else "no evidence"
    room = 72 * ax.get_position().width * ax.figure.get_size_inches()[0] - _width(note, SMALL) - 5
    ax.set_title(_cut(name, room, TEXT), loc="left", size=TEXT, color=INK, pad=4, parse_math=False)
    ax.set_title(note, loc="right", size=SMALL, color=GREY, pad=4, parse_math=False)


def _footnote(figure: Figure, *parts: str) -> None:
    width, height = figure.get_size_inches()
    text = _cut(" · ".join(filter(None, parts)), 72 * (width - 2 * MARGIN), SMALL)
    figure.text(MARGIN / width, MARGIN / height, text, size=SMALL, color=GREY, parse_math=False)


def _cut(text: str, room: float, size: float) -> str:
    while len(text) > 1 and _width(text, size) > room:
        text = text[:-2].rstrip(" ,(") + "…"
    return text


def _width(text: str, size: float) -> float:
    """In points."""
    return TextPath((0, 0), text.replace("$", "S"), size=size).get_extents().width if text.strip() else 0.0


# Where it goes. -----------------------------------------------------------------------------------------------------


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
    box, width = ax.get_position(), ax.figure.get_size_inches()[0]
    key = ax.figure.add_axes((box.x1 + 0.09 / width, box.y0, 0.08 / width, box.height))
    colours = ScalarMappable(Normalize(-scale if signed else 0, scale), SIGNED if signed else HEAT)
    bar = ax.figure.colorbar(colours, cax=key, extend="both" if signed else "max", extendfrac=0.04)
    ticks = [-scale, 0, scale] if signed else [0, scale]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.outline.set_visible(False)
    _quiet(key)
    if signed:
        bar.set_label("against      for", size=SMALL, color=GREY, labelpad=2)
