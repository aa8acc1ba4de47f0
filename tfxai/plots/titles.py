"""The words around pictures: titles, footnotes, names of classes, numbers, and how much room they take."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import SupportsIndex, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from numpy.typing import NDArray

from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TEXT, inches

Labels: TypeAlias = Sequence[str] | Mapping[int, str]
"""Names of classes, by class index."""

KEY_OF_COLOURS = "red: for the class, blue: against it"
_DPI = 150  # at which the width of words is measured


def title(ax: Axes, name: str, note: str, values: NDArray | None = None) -> None:
    """Name on the left, as much of it as there is room for, and a quiet note on the right.

    values: of the map below; if all are zero, the note says that there is no evidence.
    """
    if values is not None and not values.any():
        note = joined(note, "no evidence")
    room = 72 * inches(ax) - text_width(note, SMALL) - 8
    ax.set_title(cut(name, room, TEXT), loc="left", size=TEXT, color=INK, pad=4, parse_math=False)
    ax.set_title(note, loc="right", size=SMALL, color=GREY, pad=4, parse_math=False)


def footnote(figure: Figure, *notes: str) -> None:
    """Notes in one line at the foot of the figure, as much of them as there is room for; empty ones are left out."""
    width, height = figure.get_size_inches()
    text = cut(joined(*notes), 72 * (width - 2 * MARGIN), SMALL)
    figure.text(MARGIN / width, MARGIN / height, text, size=SMALL, color=GREY, parse_math=False)


def joined(*notes: str) -> str:
    """Notes in one line, without the empty ones."""
    return " · ".join(filter(None, notes))


def first_of(limit: int, count: int, what: str = "examples") -> str:
    """Says that not all examples are drawn; empty if they are."""
    return f"First {limit} of {count} {what}" if limit < count else ""


def class_name(target: SupportsIndex | str, labels: Labels | None) -> str:
    """The label of a class, or its number. Empty where a score needs no class (-1).

    Raises ValueError if labels is a text, or has none for this class.
    """
    if isinstance(target, str):
        return target
    if isinstance(labels, str):
        raise ValueError(
            f"labels is the text {labels!r}. Give a list of names, or a dict from class to name."
        )
    number = int(target)
    if number < 0:
        return ""
    if labels is None:
        return f"class {number}"
    try:
        return str(labels[number])
    except (IndexError, KeyError):
        raise ValueError(f"labels has {len(labels)} names, none for class {number}. Give them all.") from None


def true_class(true_labels: Sequence[int | str] | None, row: int, labels: Labels | None) -> str:
    """The true class of one example as a note; empty without true labels."""
    return "" if true_labels is None else f"true class {class_name(true_labels[row], labels)}"


def check_one_each(true_labels: Sequence[int | str] | None, examples: int) -> None:
    """Raises ValueError if there are true labels, but not one for each example."""
    if true_labels is not None and len(true_labels) != examples:
        raise ValueError(f"true_labels has {len(true_labels)} entries for {examples} inputs. Give one each.")


def score_text(score: float | np.floating, kind: str) -> str:
    """A score as words: of the kind "probability" in percent, any other as a number of about three digits."""
    if kind == "probability":
        return "< 0.1 %" if score < 0.001 else f"{100 * score:.{0 if score >= 0.1 else 1}f} %"
    return number(score, ".2f" if 0.1 <= abs(score) < 1000 or score == 0 else ".3g")


def number(value: float | np.floating, form: str) -> str:
    """The number in a form such as ".2f", with a minus sign as long as a plus."""
    return f"{value:{form}}".replace("-", "\N{MINUS SIGN}")


def words(name: str) -> str:
    """A name from code as words."""
    return name.replace("_", " ")


def cut(text: str, room: float, size: float) -> str:
    """As much of the text as fits into `room` points, in letters of `size` points."""
    while len(text) > 2 and (width := text_width(text, size)) > room:
        text = text[: max(int(len(text) * room / width) - 1, 1)].rstrip(" ,(…") + "…"
    return text


def text_width(text: str, size: float) -> float:
    """In points, as it is drawn at 150 dpi: hinted letters are wider than their outlines."""
    width, *_ = _renderer().get_text_width_height_descent(text, FontProperties(size=size), False)
    return width * 72 / _DPI


@functools.cache
def _renderer() -> RendererAgg:
    return RendererAgg(1, 1, _DPI)


def without_formulas(legend: Legend) -> None:
    """Names in a legend as they are: a name with dollar signs is not a formula."""
    for name in legend.get_texts():
        name.set_parse_math(False)
