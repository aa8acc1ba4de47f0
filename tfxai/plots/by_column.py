"""Columns of a table row as bars, largest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GAP, GREY, INK, MARGIN, SMALL, TEXT, TICKS, TITLE
from tfxai.plots.colours import BLUE, RED
from tfxai.plots.protocol import Explained
from tfxai.plots.reading import ends, heading, origin, values_and_inputs
from tfxai.plots.titles import KEY_OF_COLOURS, Labels, joined
from tfxai.support import Count, InputKey, checked

BAR, NAMES, WIDTH = 0.2, 1.7, 2.0  # inches: from bar to bar, of the names, of the bars
NAME = SMALL + 0.5  # points: letters of a name


@checked
def bars(
    explanation: Explained,
    columns: Sequence[str] | None = None,
    top: Count = 10,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    limit: Count = 16,
    input: InputKey = None,
) -> Figure:
    """Table rows: for each target the columns that count most, as bars, with the value that each has in this row.

    Largest first, red for the class, blue against it; the columns that are left are summed in the last bar. The
    bars of a row share one scale. Where the explanation has intervals, a line spans each, and a bar is hatched where it holds
    0, so that not even its sign is certain.

    explanation: of rows (N, F) by any method, or of inputs that are columns, such as {"age": (N, 1), ...}.
    columns:     names of the F columns; unless given, the names of the inputs, or numbers.
    top:         how many bars are drawn at most, before the sum of the others.
    labels, true_labels, limit: as for `show`.
    input:       which of several inputs is drawn; unless given, all that are columns or rows, side by side.

    Raises ValueError if there are no rows, columns does not have F names, top is below 1, or labels do not fit.
    """
    table = column_table(explanation, input)
    names = _chosen_names(table, columns)
    titles.check_one_each(true_labels, len(table.cells))
    examples, classes = min(len(table.cells), limit), table.values.shape[1]
    height, across = BAR * (min(top, len(names)) + (len(names) > top)), NAMES + WIDTH + GAP
    pitch = TITLE + height + TICKS
    figure = canvas.blank(2 * MARGIN + classes * across - GAP, examples * pitch + TITLE + 2 * MARGIN)
    for row, k in np.ndindex(examples, classes):
        ax = canvas.placed(figure, MARGIN + k * across + NAMES, MARGIN + TITLE + row * pitch, WIDTH, height)
        named = [_name_and_cell(*pair) for pair in zip(names, table.cells[row], strict=True)]
        noun = "column" if getattr(explanation, "units", None) is None else "unit"
        _draw_columns(ax, table.values[row, k], named, top, noun, table.spans[row, k])
        ax.set_xlim(_reach(table.values[row], top, table.spans[row]))
        name, score = heading(explanation, row, k, labels)
        truth = "" if k else titles.true_class(true_labels, row, labels)
        _wide_title(ax, name, joined(truth, score), table.values[row, k])
    drawn = titles.first_of(limit, len(table.cells), "rows")
    unsure = (table.spans[..., 0] <= 0) & (table.spans[..., 1] >= 0)
    note = "hatched: sign unsure" if unsure.any() else ""
    titles.footnote(figure, drawn, KEY_OF_COLOURS, note, *origin(explanation))
    return figure


def named_columns(
    explanation: Explained, row: int, columns: Sequence[str] | None
) -> tuple[list[str], list[str]]:
    """The names of all columns, and `age = 63` for each column of a row.

    columns: names in place of those of the explanation.

    Raises ValueError if there are no columns, or names do not fit.
    """
    table = column_table(explanation, None)
    names = _chosen_names(table, columns)
    return names, [_name_and_cell(*pair) for pair in zip(names, table.cells[row], strict=True)]


def _chosen_names(table: ColumnTable, columns: Sequence[str] | None) -> list[str]:
    if columns is not None and len(columns) != len(table.names):
        raise ValueError(f"columns has {len(columns)} names for {len(table.names)} columns. Give one each.")
    return table.names if columns is None else list(columns)


class ColumnTable(NamedTuple):
    """values: float (N, K, F). cells: what stands in the table, (N, F). names: of the F columns. spans: (N, K, F, 2), or NaN."""

    values: NDArray
    cells: NDArray
    names: list[str]
    spans: NDArray


def column_table(explanation: Explained, input: str | int | None) -> ColumnTable:
    """All inputs that are columns or rows, side by side; or the one that is asked for.

    Raises ValueError if there are none.
    """
    tables = _tables(explanation, input)
    if not tables or getattr(explanation, "tokens", None) is not None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} explains no table rows. Give inputs (N, columns), or draw it "
            "with plots.show."
        )
    count, classes = len(explanation.targets), explanation.targets.size // len(explanation.targets)
    values = _in_a_row(tables, count, classes)
    both = ends(explanation)
    spans = (
        [values * np.nan] * 2
        if both is None
        else [_in_a_row(_tables(end, input), count, classes) for end in both]
    )
    cells = [np.reshape(inputs, (count, -1)).astype(object) for _, inputs in tables.values()]
    alone = list(tables) == ["column"]
    names = [
        name
        for key, block in zip(tables, cells, strict=True)
        for name in _column_names(key, block.shape[1], alone)
    ]
    return ColumnTable(values, np.concatenate(cells, axis=-1), names, np.stack(spans, axis=-1))


def _in_a_row(tables: dict[str | int, tuple[NDArray, NDArray]], count: int, classes: int) -> NDArray:
    """Values of all tables (N, K, F)."""
    return np.concatenate([np.reshape(np.asarray(v), (count, classes, -1)) for v, _ in tables.values()], -1)


def _tables(explanation: Explained, input: str | int | None) -> dict[str | int, tuple[NDArray, NDArray]]:
    """Name or position -> values and array, of each explained input that has rows or columns."""
    several = explanation.inputs
    if isinstance(several, np.ndarray) or input is not None:
        pairs = {"column" if input is None else input: explanation.one(input)}
    else:
        keys = list(several) if isinstance(several, dict) else range(len(several))
        pairs = dict(zip(keys, values_and_inputs(explanation), strict=True))
    return {
        key: _as_part(explanation, key, values, inputs)
        for key, (values, inputs) in pairs.items()
        if values is not None and inputs.ndim < 3
    }


def _as_part(
    explanation: Explained, key: str | int, values: NDArray, inputs: NDArray
) -> tuple[NDArray, NDArray]:
    """One column where a whole input is one part: its weight stands on each of its places."""
    cut: Any = getattr(explanation, "segments", None)
    labels = None if cut is None or isinstance(cut, np.ndarray) else cut[key]
    if labels is None or labels.ndim < 2 or np.ptp(labels[0]):
        return values, inputs
    cells = np.empty((len(inputs), 1), object)
    cells[:, 0] = [" ".join(map(_cell_text, row)) for row in inputs.tolist()]
    return values[..., :1], cells


def _column_names(key: str | int, width: int, alone: bool) -> list[str]:
    name = f"column {key}" if isinstance(key, int) else str(key)
    if width == 1:
        return [name]
    return [f"{name} {i}" if alone else f"{name}[{i}]" for i in range(width)]


def _name_and_cell(name: str, cell: object) -> str:
    """`age = 63`, as much of both as there is room for; the value comes first in that."""
    room = 72 * NAMES - 8
    words = _cell_text(cell)
    value = titles.cut(f" = {words}", 0.6 * room, NAME) if words else ""
    return titles.cut(name, room - titles.text_width(value, NAME), NAME) + value


def _cell_text(cell: object) -> str:
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    return titles.number(float(cell), ".4g") if isinstance(cell, (float, np.floating)) else str(cell)


def _draw_columns(
    ax: Axes, values: NDArray, names: Sequence[str], top: int, noun: str, spans: NDArray
) -> None:
    """The largest columns, and pale below them the sum of the others. noun: what they are called. spans: (F, 2) intervals."""
    first, rest = _ranked(values, top)
    lengths, shown = list(values[first]), [names[int(i)] for i in first]
    if len(rest):
        lengths.append(values[rest].sum())
        shown.append(f"{len(rest)} other {noun}{'s' * (len(rest) > 1)}")
    colours = [RED if length > 0 else BLUE for length in lengths]
    drawn = ax.barh(np.arange(len(lengths)), lengths, height=0.66, color=colours)
    if len(rest):
        drawn[-1].set_alpha(0.45)
    furthest = lengths.copy()
    for y, (low, high) in enumerate(spans[first]):
        if not (np.isfinite([low, high]).all() and high > low):
            continue
        if low <= 0 <= high:
            drawn[y].set(hatch="//////", facecolor="white", edgecolor=colours[y], linewidth=0.6)
        ax.errorbar(
            (low + high) / 2, y, xerr=(high - low) / 2, color=INK, linewidth=0.8, capsize=1.5, capthick=0.8
        )
        furthest[y] = high if lengths[y] >= 0 else low
    _write_lengths(ax, lengths, furthest)
    ax.axvline(0, color=GREY, linewidth=0.5)
    ax.set_ylim(len(lengths) - 0.5, -0.5)
    canvas.quiet(ax)
    ax.set_yticks(np.arange(len(shown)), shown, size=NAME, color=INK, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.locator_params(axis="x", nbins=4)


def _write_lengths(ax: Axes, lengths: Sequence[float], furthest: Sequence[float]) -> None:
    """The number beyond the end of each bar and its interval."""
    for y, (length, end) in enumerate(zip(lengths, furthest, strict=True)):
        words = titles.number(length, "+.2g") if length else "0"
        side = {"xytext": (3, 0), "ha": "left"} if length >= 0 else {"xytext": (-3, 0), "ha": "right"}
        style = {"textcoords": "offset points", "va": "center", "size": SMALL - 0.5, "color": GREY}
        ax.annotate(words, (end, y), **side, **style)


def _ranked(values: NDArray, top: int) -> tuple[NDArray, NDArray]:
    """The columns of largest |value|, in order, and the rest."""
    order = np.argsort(-np.abs(values), kind="stable")
    return order[:top], order[top:]


def _reach(values: NDArray, top: int, spans: NDArray) -> tuple[float, float]:
    """Limits that hold the bars of all classes (K, F), their intervals (K, F, 2) and the numbers at their ends."""
    found = [0.0]
    for of_class, span in zip(values, spans, strict=True):
        first, rest = _ranked(of_class, top)
        found += [*of_class[first], of_class[rest].sum(), *span[first][np.isfinite(span[first])]]
    low, high = min(found), max(found)
    room = (0.45 if low < 0 < high else 0.3) * (high - low or 1.0)
    return low - room * (low < 0), high + room * (high > 0 or low == 0)


def _wide_title(ax: Axes, name: str, note: str, values: NDArray) -> None:
    """Over names and bars: the class begins where the names begin."""
    titles.title(ax, "", note, values)
    width = canvas.inches(ax)
    room = 72 * (width + NAMES) - titles.text_width(ax.get_title("right"), SMALL) - 8
    name = titles.cut(name, room, TEXT)
    ax.set_title(name, loc="left", size=TEXT, color=INK, pad=4, parse_math=False, x=-NAMES / width)
