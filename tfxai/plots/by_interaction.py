"""What parts count together: a network over the parts, and the matrix of all twos."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.by_column import named_columns
from tfxai.plots.by_segment import borders
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TITLE
from tfxai.plots.colours import BLUE, RED, colour_key, colour_map
from tfxai.plots.protocol import Explained
from tfxai.plots.reading import heading, origin, per_target
from tfxai.plots.rgb import rgb
from tfxai.plots.titles import Labels
from tfxai.support import Count, checked

SIDE, MATRIX = 3.2, 2.5  # inches: of the network and of the matrix
NAMES, KEY = 1.3, 0.65  # of the matrix's names at most, and of its key
SHOWN = 20  # parts in the matrix, those that count most
RING = 0.5  # of half the side: radius of the circle of names
NAME = SMALL + 0.5  # points
THICK, THIN = 4.0, 0.7  # points: of the strongest line, and at least
FAINT, ROUNDING = 0.02, 1e-5  # of the strongest line, of the largest number: what is below is not drawn


@checked
def interactions(
    explanation: Explained,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    top: Count = 12,
    limit: Count = 8,
) -> Figure:
    """For each target, the strongest interactions as a network over the parts, and beside it the matrix of all.

    A line joins two parts that add more together than one by one (red), or less (blue), the thicker the more; a dot is what is
    left to a part alone. In the matrix these stand on the diagonal. Where the explanation has intervals, lines are dashed and
    cells hatched whose interval holds 0: not even their sign is certain. Images carry the network, each part at its middle;
    words, columns and other parts stand in a circle, clockwise in their order. Of many parts the matrix has the 20 that count
    most.

    explanation: by ShapleyInteractions.
    labels, true_labels: as for `show`.
    columns:     names of the parts of a table.
    top:         how many lines are drawn, the strongest.
    limit:       how many examples are drawn; the figure says so if there are more.

    Raises ValueError if the explanation has no interactions, or names do not fit.
    """
    matrices = _matrices(explanation)
    count, classes = matrices.shape[:2]
    titles.check_one_each(true_labels, count)
    examples = min(count, limit)
    parts = [_parts_of(explanation, row, columns) for row in range(examples)]
    names = max(_room(part) for part in parts)
    pitch = TITLE + max(MATRIX + names, *(_height(part) for part in parts)) + 0.1
    across = 2 * MARGIN + SIDE + 0.15 + names + MATRIX + KEY
    figure = canvas.blank(across, examples * classes * pitch + TITLE + 2 * MARGIN)
    for row, k in np.ndindex(examples, classes):
        y = MARGIN + TITLE + (row * classes + k) * pitch
        pairs = _pairs_of(explanation, matrices, row, k, len(parts[row].short))
        left = canvas.placed(figure, MARGIN, y, SIDE, _height(parts[row]))
        _draw_network(left, parts[row], pairs, top)
        right = canvas.placed(figure, MARGIN + SIDE + 0.15 + names, y, MATRIX, MATRIX)
        _draw_matrix(right, parts[row], pairs)
        name, score = heading(explanation, row, k, labels)
        truth = "" if k else titles.true_class(true_labels, row, labels)
        titles.title(left, name, titles.joined(truth, score))
        titles.title(right, "", "diagonal: alone")
    drawn = titles.first_of(limit, count)
    known = getattr(explanation, "interactions_interval", None) is not None
    key = "red: more together than one by one, blue: less" + (", dashed and hatched: sign unsure" * known)
    titles.footnote(figure, drawn, key, *origin(explanation))
    return figure


@dataclasses.dataclass(frozen=True)
class _Parts:
    """short, full: names of the parts. places: (P, 2) x and y of each. picture: RGB, and cut its label map; or neither."""

    short: list[str]
    full: list[str]
    places: NDArray
    picture: NDArray | None = None
    cut: NDArray | None = None


def _room(parts: _Parts) -> float:
    """Inches that the names beside the matrix take."""
    return min(max(titles.text_width(name, NAME) for name in parts.full) / 72 + 0.1, NAMES)


def _height(parts: _Parts) -> float:
    """Inches of the network."""
    if parts.picture is None:
        return SIDE
    return SIDE * min(parts.picture.shape[0] / parts.picture.shape[1], 1.0)


@dataclasses.dataclass(frozen=True)
class _Pairs:
    """values: (P, P). unsure: bool (P, P), whose sign is not certain."""

    values: NDArray
    unsure: NDArray


def _matrices(explanation: Explained) -> NDArray:
    """(N, K, P, P).

    Raises ValueError if there are none.
    """
    if getattr(explanation, "interactions", None) is None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} has no interactions. Give an explanation by "
            "tfxai.ShapleyInteractions, or draw it with plots.show."
        )
    return per_target(explanation, "interactions")


def _pairs_of(explanation: Explained, matrices: NDArray, row: int, k: int, parts: int) -> _Pairs:
    values = matrices[row, k, :parts, :parts]
    if getattr(explanation, "interactions_interval", None) is None:
        return _Pairs(values, np.zeros(values.shape, bool))
    low, high = np.moveaxis(per_target(explanation, "interactions_interval")[row, k, :parts, :parts], -1, 0)
    return _Pairs(values, (low <= 0) & (high >= 0) & (high > low))


def _parts_of(explanation: Explained, row: int, columns: Sequence[str] | None) -> _Parts:
    """The parts of one example."""
    weights = per_target(explanation, "weights")[row, 0]
    count = int(np.isfinite(weights).sum())
    tokens, cut = getattr(explanation, "tokens", None), getattr(explanation, "segments", None)
    inputs = None if tokens is not None else _image_of(explanation, row)
    if inputs is not None and isinstance(cut, np.ndarray):
        middles = np.array([_middle(cut[row] == part) for part in range(count)])
        numbers = [str(part) for part in range(count)]
        return _Parts(numbers, numbers, middles, inputs, cut[row])
    if tokens is not None:
        short = full = [str(token) for token in tokens[row]]
    elif columns is None and isinstance(cut, np.ndarray) and count < cut[row].size:
        short = full = [f"part {part}" for part in range(count)]
    else:
        short, full = named_columns(explanation, row, columns)
    angles = np.pi / 2 - 2 * np.pi * np.arange(count) / count
    return _Parts(short, full, RING * np.stack([np.cos(angles), np.sin(angles)], 1))


def _image_of(explanation: Explained, row: int) -> NDArray | None:
    """The example as RGB, if it is an image."""
    _, inputs = explanation.one()
    return rgb(inputs[row : row + 1])[0] if np.ndim(inputs) == 4 else None


def _middle(mask: NDArray) -> tuple[float, float]:
    """x and y of the place in a segment that is nearest to its mean: a bent segment's mean may lie outside."""
    y, x = np.nonzero(mask)
    nearest = np.argmin((y - y.mean()) ** 2 + (x - x.mean()) ** 2)
    return float(x[nearest]), float(y[nearest])


def _draw_network(ax: Axes, parts: _Parts, pairs: _Pairs, top: int) -> None:
    if parts.picture is None or parts.cut is None:
        ax.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    else:
        ax.imshow(0.5 + 0.5 * parts.picture)
        ax.set_anchor("NW")
        lines = list(borders(parts.cut, range(len(parts.short))))
        ax.add_collection(LineCollection(lines, colors="white", linewidths=0.5, alpha=0.8))
    ax.set_axis_off()
    lines = _strongest(pairs.values, top)
    largest = max((abs(pairs.values[line]) for line in lines), default=1.0)
    for i, j in lines[::-1]:  # the strongest is drawn last
        strength = abs(pairs.values[i, j]) / largest
        _draw_line(ax, parts, (i, j), pairs.values[i, j] > 0, max(THICK * strength, THIN), pairs.unsure[i, j])
    alone = np.diag(pairs.values)
    areas = 8 + 110 * np.abs(alone) / (np.abs(alone).max(initial=0.0) or 1.0)
    colours = [RED if value > 0 else BLUE for value in alone]
    ax.scatter(*parts.places.T, s=areas, c=colours, edgecolors="white", linewidths=0.8, zorder=3)
    if parts.picture is None:
        _write_around(ax, parts)
    else:
        _write_numbers(ax, parts, sorted({part for line in lines for part in line}), np.sqrt(areas) / 2)


def _strongest(values: NDArray, top: int) -> list[tuple[int, int]]:
    """The twos that count most, in order, without what is too faint to see."""
    first, second = np.triu_indices(len(values), 1)
    sizes = np.abs(values[first, second])
    order = np.argsort(-sizes, kind="stable")[:top]
    least = max(FAINT * sizes.max(initial=0.0), ROUNDING * np.abs(values).max(initial=0.0))
    return [(int(first[i]), int(second[i])) for i in order if sizes[i] > least]


def _draw_line(
    ax: Axes, parts: _Parts, line: tuple[int, int], more: bool, width: float, unsure: bool
) -> None:
    """more: whether the two add more together than one by one."""
    ends = parts.places[list(line)]
    # In a circle lines bend to its middle; over a picture to the side, so that those in one direction do not hide each other.
    middle = 0.25 * ends.mean(0) if parts.picture is None else _beside(ends)
    path = Path(np.stack([ends[0], middle, ends[1]]), [Path.MOVETO, Path.CURVE3, Path.CURVE3])
    style = {"linestyle": (0, (2, 1.5)), "alpha": 0.6} if unsure else {"alpha": 0.9}
    drawn = PathPatch(path, fill=False, edgecolor=RED if more else BLUE, linewidth=width, **style)
    if parts.picture is not None:
        drawn.set_path_effects(_halo(width + 1.5))
    ax.add_patch(drawn)


def _halo(width: float) -> list[patheffects.AbstractPathEffect]:
    return [patheffects.withStroke(linewidth=width, foreground="white")]


def _write_numbers(ax: Axes, parts: _Parts, some: Sequence[int], radii: NDArray) -> None:
    """radii: of the dots, in points."""
    for part in some:
        away = radii[part] + 1
        text = ax.annotate(
            parts.short[part],
            parts.places[part],
            xytext=(away, away),
            textcoords="offset points",
            size=NAME,
            color=INK,
        )
        text.set_path_effects(_halo(2))


def _beside(ends: NDArray) -> NDArray:
    """A point beside the middle of a line, so that it bends and lines in one direction do not cover each other."""
    along = ends[1] - ends[0]
    return ends.mean(0) + 0.15 * np.array([-along[1], along[0]])


def _write_around(ax: Axes, parts: _Parts) -> None:
    """Names outside the circle, each along its own ray."""
    room = 72 * canvas.inches(ax) / 2 * (1 - RING) - 12
    for name, (x, y) in zip(parts.short, parts.places, strict=True):
        angle = np.degrees(np.arctan2(y, x))
        right = x > 1e-9 or (abs(x) < 1e-9 and y > 0)  # upright names are read from below
        ax.annotate(
            titles.cut(name, room, NAME),
            (x, y),
            xytext=(9 * np.cos(np.radians(angle)), 9 * np.sin(np.radians(angle))),
            textcoords="offset points",
            rotation=angle if right else angle + 180,
            rotation_mode="anchor",
            ha="left" if right else "right",
            va="center",
            size=NAME,
            color=INK,
            parse_math=False,
        )


def _draw_matrix(ax: Axes, parts: _Parts, pairs: _Pairs) -> None:
    chosen = _counting_most(pairs.values)
    values, unsure = (each[np.ix_(chosen, chosen)] for each in (pairs.values, pairs.unsure))
    # What a part counts alone is often far more: the colours end at the largest of two.
    twos = np.abs(values)[~np.eye(len(values), dtype=bool)].max(initial=0.0)
    scale = float(np.abs(values).max(initial=0.0))
    scale = float(twos) if twos > ROUNDING * scale else scale
    ax.imshow(values, interpolation="nearest", **colour_map(True, scale))
    for i, j in zip(*np.nonzero(unsure), strict=True):
        ax.add_patch(
            Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, hatch="/////", edgecolor="#00000030", linewidth=0)
        )
    for i in range(len(chosen)):
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=GREY, linewidth=0.6))
    canvas.quiet(ax)
    names = [titles.cut(parts.full[part], 72 * NAMES - 8, NAME) for part in chosen]
    ax.set_xticks(range(len(chosen)), names, rotation=90, size=NAME, color=INK, parse_math=False)
    ax.set_yticks(range(len(chosen)), names, size=NAME, color=INK, parse_math=False)
    ax.tick_params(length=0)
    colour_key(ax, True, scale)


def _counting_most(values: NDArray) -> NDArray[np.int64]:
    """Numbers of the parts that are shown in the matrix, in their order."""
    order = np.argsort(-np.abs(values).sum(1), kind="stable")[:SHOWN]
    return np.sort(order)
