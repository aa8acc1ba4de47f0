"""A closer look at single parts: the segments of an image, the words of a text, columns of a row, lines of a series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from tfxai import canvas
from tfxai.canvas import BLUE, GAP, GREY, INK, KEY, MARGIN, RED, SMALL, TEXT, TICKS, TITLE, Labels

if TYPE_CHECKING:
    from tfxai.explanation import Explanation

WIDE = 6.5  # inches of a text or a series
LINES = ("#222222", "#1b7f5c", "#b37400", "#7a4fa3", "#5f6b76", "#8c564b")  # neither red nor blue
KEY_OF_COLOURS = "red: for the class, blue: against it"


def segments(
    explanation: Explanation,
    top: int = 5,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    against: bool = False,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """One row per example: the image, then for each target only the segments that support it most.

    The chosen segments keep their colours and are framed in red; all else is pale and grey. A class that no
    segment supports says so. Titles give the score, and R2 where a linear model was fitted: how far the segments
    can be believed.

    explanation: of images by segments, such as LIME and KernelSHAP make it.
    top:         how many segments are shown at most, those of largest positive weight first.
    labels, true_labels, limit, input: as for `show`.
    against:     also as many segments that speak against the class, framed in blue.

    Raises ValueError if the explanation has no segments of images, top is below 1, or labels do not fit.
    """
    cut, images = _segments_of_images(explanation, input)
    if not isinstance(top, (int, np.integer)) or top < 1:
        raise ValueError(
            f"top is {top!r}. Give the number of segments to show, 1 or more; class names as labels=."
        )
    canvas.check_one_each(true_labels, len(images))
    weights, targets, scores = (_per_target(explanation, name) for name in ("weights", "targets", "scores"))
    fits = None if getattr(explanation, "r2", None) is None else _per_target(explanation, "r2")
    pictures = canvas.pictures(images[:limit])
    figure, grid = canvas.sheet(len(pictures), 1 + targets.shape[1], pictures, width=2.2, right=MARGIN)
    for row, (first, *others) in enumerate(grid):
        first.imshow(pictures[row])
        first.set_axis_off()
        truth = "" if true_labels is None else canvas.class_name(true_labels[row], labels)
        canvas.title(first, truth, "true class" if truth else "")
        for k, ax in enumerate(others):
            _draw_segments(ax, pictures[row], cut[row], weights[row, k], top, against)
            note = canvas.score_text(scores[row, k], explanation.score)
            fit = "" if fits is None else f" · R² {canvas.number(float(fits[row, k]), '.2f')}"
            canvas.title(ax, _name(targets[row, k], labels, explanation), note + fit)
    shown = f"red: {_up_to(top)} most for the class"
    shown += f", blue: {_up_to(top)} most against it" if against else ""
    canvas.footnote(
        figure, canvas.drawn(images, limit), shown, explanation.method, f"score: {explanation.score}"
    )
    return figure


def text(
    explanation: Explanation,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    limit: int = 16,
) -> Figure:
    """Each text with its words on red where they speak for the class, on blue where against it; a block per target.

    The colours of a text share one scale, symmetric around zero; its end stands over the words. Letters that the
    font lacks are drawn as boxes: set matplotlib's rcParams["font.family"] to a font that has them.

    explanation: of texts word by word, such as LIME, KernelSHAP and PartitionSHAP make it.
    labels, true_labels: as for `show`.
    limit:       how many texts are drawn; the figure says so if there are more.

    Raises ValueError if the explanation has no words, or if labels or true_labels do not fit.
    """
    tokens = getattr(explanation, "tokens", None)
    if tokens is None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} has no words. Give an explanation of texts, such as LIME, "
            "KernelSHAP and PartitionSHAP make it, or draw it with plots.show."
        )
    canvas.check_one_each(true_labels, len(tokens))
    weights, targets, scores = (_per_target(explanation, name) for name in ("weights", "targets", "scores"))
    blocks = []
    for row, words in enumerate(tokens[:limit]):
        pieces = _wrapped(words, 72 * WIDE)
        scale = float(np.abs(weights[row, :, : len(words)]).max())
        truth = "" if true_labels is None else f"true class {canvas.class_name(true_labels[row], labels)}"
        for k in range(targets.shape[1]):
            ends = (
                f"colours end at ±{canvas.number(scale, '.2g')}"
                if weights[row, k, : len(words)].any()
                else "no evidence"
            )
            score = canvas.score_text(scores[row, k], explanation.score)
            note = " · ".join(filter(None, (truth, score, ends)))
            name = _name(targets[row, k], labels, explanation)
            blocks.append((pieces, weights[row, k] / (scale or 1), name, note))
    heights = [TITLE + LINE * (1 + max(line for line, *_ in pieces)) / 72 for pieces, *_ in blocks]
    figure = canvas.blank(WIDE + 2 * MARGIN, sum(heights) + GAP * len(blocks) + TITLE + 2 * MARGIN)
    y = MARGIN
    for (pieces, shares, name, note), height in zip(blocks, heights, strict=True):
        ax = canvas.placed(figure, MARGIN, y + TITLE, WIDE, height - TITLE)
        _draw_words(ax, pieces, shares)
        canvas.title(ax, name, note)
        y += height + GAP
    method = f"{explanation.method} of the {explanation.score}" if explanation.method else explanation.score
    canvas.footnote(figure, _drawn(tokens, limit, "texts"), KEY_OF_COLOURS, method)
    return figure


def bars(
    explanation: Explanation,
    columns: Sequence[str] | None = None,
    top: int = 10,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """Table rows: for each target the columns that count most, as bars, with the value that each has in this row.

    Largest first, red for the class, blue against it; the columns that are left are summed in the last bar. The
    bars of a row share one scale.

    explanation: of rows (N, F) by any method, or of inputs that are columns, such as {"age": (N, 1), ...}.
    columns:     names of the F columns; unless given, the names of the inputs, or numbers.
    top:         how many bars are drawn at most, before the sum of the others.
    labels, true_labels, limit: as for `show`.
    input:       which of several inputs is drawn; unless given, all that are columns or rows, side by side.

    Raises ValueError if there are no rows, columns does not have F names, top is below 1, or labels do not fit.
    """
    values, cells, names = _table(explanation, input)
    if columns is not None and len(columns) != len(names):
        raise ValueError(f"columns has {len(columns)} names for {len(names)} columns. Give one each.")
    if top < 1:
        raise ValueError(f"top is {top}. Give the number of columns to draw, 1 or more.")
    canvas.check_one_each(true_labels, len(cells))
    names = names if columns is None else list(columns)
    targets, scores = (_per_target(explanation, name) for name in ("targets", "scores"))
    examples, classes = min(len(cells), limit), targets.shape[1]
    height, name_room, width = BAR * (min(top, len(names)) + (len(names) > top)), 1.7, 2.0
    pitch = TITLE + height + TICKS
    figure = canvas.blank(
        2 * MARGIN + classes * (name_room + width + GAP) - GAP, examples * pitch + TITLE + 2 * MARGIN
    )
    for row, k in np.ndindex(examples, classes):
        x = MARGIN + k * (name_room + width + GAP) + name_room
        ax = canvas.placed(figure, x, MARGIN + TITLE + row * pitch, width, height)
        called = [_called(*pair, 72 * name_room - 8) for pair in zip(names, cells[row], strict=True)]
        _draw_columns(ax, values[row, k], called, top)
        ax.set_xlim(_reach(values[row], top))
        truth = (
            "" if true_labels is None or k else f"true class {canvas.class_name(true_labels[row], labels)} · "
        )
        note = truth + canvas.score_text(scores[row, k], explanation.score)
        _wide_title(ax, _name(targets[row, k], labels, explanation), note, values[row, k], name_room)
    canvas.footnote(
        figure,
        _drawn(cells, limit, "rows"),
        KEY_OF_COLOURS,
        explanation.method,
        f"score: {explanation.score}",
    )
    return figure


def series(
    explanation: Explanation,
    channels: Sequence[str] | None = None,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    percentile: float = 99,
    limit: int = 16,
    input: str | int | None = None,
) -> Figure:
    """Each series as lines over a band that is red where the moment speaks for the class, blue where against it.

    One below the other, a band per target; values of several channels are summed. The bands of a series share one
    scale, symmetric around zero, or from zero for an explanation that is never negative.

    explanation: of series (N, T, F) or (N, T, 1).
    channels:    names of the F channels, for a legend.
    labels, true_labels, percentile, limit, input: as for `show`.

    Raises ValueError if there are no series, or if channels, labels or true_labels do not fit.
    """
    values, lines = explanation.one(input)
    if values is None or lines.ndim != 3:
        shape = "values that are None" if values is None else f"inputs {lines.shape}"
        raise ValueError(
            f"series draws inputs (N, steps, channels); this explanation has {shape}. Use plots.show."
        )
    if channels is not None and len(channels) != lines.shape[2]:
        raise ValueError(f"channels has {len(channels)} names for {lines.shape[2]} channels. Give one each.")
    canvas.check_one_each(true_labels, len(lines))
    targets, scores = (_per_target(explanation, name) for name in ("targets", "scores"))
    maps = explanation.heatmap(input).reshape(*targets.shape, -1)
    signed, height, top = bool((maps < 0).any()), 1.2, 0.3 if channels is not None else 0
    pitch, blocks = TITLE + height + 0.7 * TICKS, min(len(lines), limit) * targets.shape[1]
    figure = canvas.blank(MARGIN + TICKS + WIDE + KEY, top + blocks * pitch + TITLE + 2 * MARGIN)
    for number, (row, k) in enumerate(np.ndindex(min(len(lines), limit), targets.shape[1])):
        ax = canvas.placed(figure, MARGIN + TICKS, MARGIN + top + TITLE + number * pitch, WIDE, height)
        scale = canvas.scale(maps[row], percentile)
        _draw_band(ax, maps[row, k], lines[row], signed, scale)
        truth = "" if true_labels is None else f"true class {canvas.class_name(true_labels[row], labels)} · "
        note = truth + canvas.score_text(scores[row, k], explanation.score)
        canvas.title(ax, _name(targets[row, k], labels, explanation), note, maps[row, k])
        canvas.colour_key(ax, signed, scale, pale=True)
        if channels is not None and number == 0:
            _legend(figure, ax, channels)
    canvas.footnote(figure, _drawn(lines, limit, "series"), explanation.method, f"score: {explanation.score}")
    return figure


def has_words(explanation: Explanation, input: str | int | None) -> bool:
    """Whether it is drawn as texts."""
    if getattr(explanation, "tokens", None) is None:
        return False
    explanation.one(input)  # an input that was not explained is an error
    return True


def has_columns(explanation: Explanation, input: str | int | None) -> bool:
    """Whether it is drawn as bars with names: columns that come as inputs of their own, or cells that are words."""
    if input is None and not isinstance(explanation.inputs, np.ndarray):
        explained = [inputs for values, inputs in _each(explanation) if values is not None]
        return all(inputs.ndim < 3 for inputs in explained) and any(
            inputs[0].size == 1 for inputs in explained
        )
    values, inputs = explanation.one(input)
    return values is not None and inputs.ndim < 3 and (inputs[0].size == 1 or inputs.dtype.kind in "OUS")


def _per_target(explanation: Explanation, name: str) -> NDArray:
    """A field of the explanation as (N, K, ...), also where each example has one target."""
    field = np.asarray(getattr(explanation, name))
    return field[:, None] if explanation.targets.ndim == 1 else field


def _name(target: Any, labels: Labels | None, explanation: Explanation) -> str:
    return canvas.class_name(target, labels) or explanation.score


def _drawn(examples: Any, limit: int, what: str) -> str:
    return canvas.drawn(examples, limit).replace("examples", what)


# Segments. ----------------------------------------------------------------------------------------------------------


def _segments_of_images(explanation: Explanation, input: str | int | None) -> tuple[NDArray, NDArray]:
    """Label maps (N, H, W) and the images (N, H, W, C) that they cut."""
    cut = getattr(explanation, "segments", None)
    if cut is None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} has no segments. Give an explanation of images by LIME or "
            "KernelSHAP, or draw it with plots.show."
        )
    _, images = explanation.one(input)
    if images.ndim != 4:
        raise ValueError(
            f"segments draws images (N, H, W, C); these inputs are {images.shape}. Use plots.show."
        )
    return cut, images


def _draw_segments(
    ax: Axes, picture: NDArray, cut: NDArray, weights: NDArray, top: int, against: bool
) -> None:
    best, worst = _strongest(weights, top), _strongest(-weights, top) if against else []
    pale = 0.72 + 0.22 * picture.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    ax.imshow(np.where(np.isin(cut, [*best, *worst])[..., None], picture, pale))
    for colour, chosen in ((BLUE, worst), (RED, best)):
        ax.add_collection(
            LineCollection(list(_borders(cut, chosen)), colors=colour, linewidths=1.6, capstyle="projecting")
        )
    if not len(best):
        style = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.5}
        ax.text(0.5, 0.5, "no segment\nsupports this class", transform=ax.transAxes, size=TEXT, color=INK, bbox=style,
                ha="center", va="center")  # fmt: skip
    ax.set_axis_off()


def _strongest(weights: NDArray, top: int) -> NDArray:
    """The parts of largest positive weight, in order; NaN stands where there is no part."""
    order = np.argsort(-np.nan_to_num(weights), kind="stable")[:top]
    return order[weights[order] > 0]


def _borders(cut: NDArray, chosen: Any) -> NDArray:
    """Lines ((x, y), (x, y)) along the edges of pixels, wherever a chosen segment meets another one or the rim."""
    member = np.pad(np.where(np.isin(cut, chosen), cut, -1), 1, constant_values=-1)
    y, x = np.nonzero(member[1:] != member[:-1])
    level = np.stack([x - 1.5, y - 0.5, x - 0.5, y - 0.5], axis=-1)
    y, x = np.nonzero(member[:, 1:] != member[:, :-1])
    upright = np.stack([x - 0.5, y - 1.5, x - 0.5, y - 0.5], axis=-1)
    return np.concatenate([level, upright]).reshape(-1, 2, 2)


def _up_to(top: int) -> str:
    return "the segment" if top == 1 else f"up to {top} segments"


# Words. -------------------------------------------------------------------------------------------------------------

WORD, SPACE, LINE = 9, 5.5, 18  # points: letters, between words, from line to line


def _wrapped(words: Sequence[str], room: float) -> list[tuple[int, float, float, str, int]]:
    """Where words lie in lines `room` points wide: (line, x, width, letters, number of the word)."""
    found, line, x = [], 0, 0.0
    for number, word in enumerate(words):
        shown = " ".join(word.split()) or "␣"
        while shown:
            width = canvas.text_width(shown, WORD)
            if x and x + width > room:
                line, x = line + 1, 0.0
            piece = shown if width <= room else shown[: max(1, int(len(shown) * room / width) - 2)]
            width = canvas.text_width(piece, WORD)
            found.append((line, x, width, piece, number))
            shown, x = shown[len(piece) :], x + width + SPACE
    return found


def _draw_words(ax: Axes, pieces: Sequence[tuple[int, float, float, str, int]], shares: NDArray) -> None:
    """shares: -1..1, weight of each word on the scale of its text."""
    for line, x, width, letters, number in pieces:
        y, colour = LINE * (line + 0.5), _ground(float(shares[number]))
        box = FancyBboxPatch(
            (x, y - 6), width, 12, "round,pad=1.5,rounding_size=2.5", facecolor=colour, linewidth=0
        )
        ax.add_patch(box)
        ax.text(x, y + 3.2, letters, size=WORD, color=INK, va="baseline", parse_math=False)
    ax.set(xlim=(-2, 72 * WIDE + 2), ylim=(72 * ax.bbox.height / ax.figure.dpi, 0))
    ax.set_axis_off()


def _ground(share: float) -> tuple[float, float, float]:
    """White at 0, at 1 a red and at -1 a blue that dark letters can be read on."""
    red, green, blue = (1 - 0.6 * abs(share) * (1 - c) for c in to_rgb(RED if share > 0 else BLUE))
    return red, green, blue


# Columns. -----------------------------------------------------------------------------------------------------------

BAR = 0.2  # inches from bar to bar


def _each(explanation: Explanation) -> list[tuple[NDArray | None, NDArray]]:
    """Values and array of each of several inputs."""
    keys = explanation.inputs if isinstance(explanation.inputs, dict) else range(len(explanation.inputs))
    return [(explanation.values[key], explanation.inputs[key]) for key in keys]


def _table(explanation: Explanation, input: str | int | None) -> tuple[NDArray, NDArray, list[str]]:
    """Values (N, K, F), cells (N, F) and names of the columns."""
    if isinstance(explanation.inputs, np.ndarray) or input is not None:
        tables = {"column" if input is None else input: explanation.one(input)}
    else:
        keys = (
            list(explanation.inputs)
            if isinstance(explanation.inputs, dict)
            else range(len(explanation.inputs))
        )
        each = zip(keys, _each(explanation), strict=True)
        tables = {key: pair for key, pair in each if pair[0] is not None and pair[1].ndim < 3}
    tables = {key: pair for key, pair in tables.items() if pair[0] is not None and pair[1].ndim < 3}
    if not tables or getattr(explanation, "tokens", None) is not None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} explains no table rows. Give inputs (N, columns), or draw it "
            "with plots.show."
        )
    count, classes = len(explanation.targets), explanation.targets.size // len(explanation.targets)
    values, cells, names = [], [], []
    for key, (given, inputs) in tables.items():
        values.append(np.reshape(np.asarray(given), (count, classes, -1)))
        cells.append(np.reshape(inputs, (count, -1)).astype(object))
        called = f"column {key}" if isinstance(key, int) else str(key)
        width, alone = cells[-1].shape[1], len(tables) == 1 and key == "column"
        names += (
            [f"{called} {i}" if alone else f"{called}[{i}]" for i in range(width)] if width > 1 else [called]
        )
    return np.concatenate(values, axis=-1), np.concatenate(cells, axis=-1), names


def _called(name: str, cell: Any, room: float) -> str:
    """`age = 63`, as much of both as there is room for; the value comes first in that."""
    value = canvas.cut(f" = {_cell(cell)}", 0.6 * room, SMALL + 0.5)
    return canvas.cut(name, room - canvas.text_width(value, SMALL + 0.5), SMALL + 0.5) + value


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return canvas.number(float(value), ".4g") if isinstance(value, (float, np.floating)) else str(value)


def _ranked(values: NDArray, top: int) -> tuple[NDArray, NDArray]:
    """The columns of largest |value|, in order, and the rest."""
    order = np.argsort(-np.abs(values), kind="stable")
    return order[:top], order[top:]


def _draw_columns(ax: Axes, values: NDArray, called: Sequence[str], top: int) -> None:
    first, rest = _ranked(values, top)
    lengths, names = list(values[first]), [called[int(i)] for i in first]
    if len(rest):
        lengths.append(values[rest].sum())
        names.append(f"{len(rest)} other column{'s' * (len(rest) > 1)}")
    colours = [RED if length > 0 else BLUE for length in lengths]
    drawn = ax.barh(np.arange(len(lengths)), lengths, height=0.66, color=colours)
    if len(rest):
        drawn[-1].set_alpha(0.45)
    for y, length in enumerate(lengths):
        ax.annotate(canvas.number(length, "+.2g") if length else "0", (length, y), (3 if length >= 0 else -3, 0),
                    textcoords="offset points", ha="left" if length >= 0 else "right", va="center", size=SMALL - 0.5,
                    color=GREY)  # fmt: skip
    ax.axvline(0, color=GREY, linewidth=0.5)
    ax.set_ylim(len(lengths) - 0.5, -0.5)
    canvas.quiet(ax)
    ax.set_yticks(np.arange(len(names)), names, size=SMALL + 0.5, color=INK, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.locator_params(axis="x", nbins=4)


def _reach(values: NDArray, top: int) -> tuple[float, float]:
    """Limits that hold the bars of all classes (K, F) and the numbers at their ends."""
    ends = [0.0]
    for one in values:
        first, rest = _ranked(one, top)
        ends += [*one[first], one[rest].sum()]
    low, high = min(ends), max(ends)
    room = (0.45 if low < 0 < high else 0.3) * (high - low or 1.0)
    return low - room * (low < 0), high + room * (high > 0 or low == 0)


def _wide_title(ax: Axes, name: str, note: str, values: NDArray, left: float) -> None:
    """Over names and bars: the class begins where the names begin."""
    canvas.title(ax, "", note, values)
    size = canvas.inches(ax)
    room = 72 * (size + left) - canvas.text_width(ax.get_title("right"), SMALL) - 8
    ax.set_title(
        canvas.cut(name, room, TEXT),
        loc="left",
        size=TEXT,
        color=INK,
        pad=4,
        parse_math=False,
        x=-left / size,
    )


# Lines. -------------------------------------------------------------------------------------------------------------


def _draw_band(ax: Axes, values: NDArray, lines: NDArray, signed: bool, scale: float) -> None:
    for line, colour in zip(lines.T, line_colours(lines.shape[1]), strict=True):
        ax.plot(line, color=colour, linewidth=1.0)
    ax.margins(x=0, y=0.08)
    canvas.quiet(ax)
    box = (-0.5, len(values) - 0.5, *ax.get_ylim())
    ax.imshow(values[None], **canvas.colour_map(signed, scale, pale=True), extent=box, aspect="auto",
              interpolation="nearest")  # fmt: skip


def line_colours(count: int) -> list[str]:
    return [LINES[i % len(LINES)] for i in range(count)]


def _legend(figure: Figure, ax: Axes, channels: Sequence[str]) -> None:
    width, height = figure.get_size_inches()
    key = figure.legend(ax.lines, list(channels), loc="upper left", ncols=min(len(channels), 6), fontsize=SMALL,
                        bbox_to_anchor=((MARGIN + TICKS) / width, 1 - 0.05 / height), borderaxespad=0, frameon=False, labelcolor=INK)  # fmt: skip
    for name in key.get_texts():
        name.set_parse_math(False)
