"""Columns of a table row as bars, largest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import BLUE, GAP, GREY, INK, MARGIN, RED, SMALL, TEXT, TICKS, TITLE, Labels
from tfxai.plots.parts import KEY_OF_COLOURS, how_many_drawn, per_target, target_name, values_and_inputs
from tfxai.plots.protocol import Explained


def bars(
    explanation: Explained,
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
    targets, scores = (per_target(explanation, name) for name in ("targets", "scores"))
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
        _wide_title(ax, target_name(targets[row, k], labels, explanation), note, values[row, k], name_room)
    canvas.footnote(
        figure,
        how_many_drawn(cells, limit, "rows"),
        KEY_OF_COLOURS,
        explanation.method,
        f"score: {explanation.score}",
    )
    return figure


BAR = 0.2  # inches from bar to bar


def _table(explanation: Explained, input: str | int | None) -> tuple[NDArray, NDArray, list[str]]:
    """Values (N, K, F), cells (N, F) and names of the columns."""
    if isinstance(explanation.inputs, np.ndarray) or input is not None:
        tables = {"column" if input is None else input: explanation.one(input)}
    else:
        keys = (
            list(explanation.inputs)
            if isinstance(explanation.inputs, dict)
            else range(len(explanation.inputs))
        )
        each = zip(keys, values_and_inputs(explanation), strict=True)
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
