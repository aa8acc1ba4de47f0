"""Words that flow into lines, each on its colour."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from tfxai.plots import titles
from tfxai.plots.canvas import GREY, INK, WIDE
from tfxai.plots.colours import BLUE, RED

WORD, SPACE, LINE = 9, 5.5, 18  # points: letters, between words, from line to line


class Piece(NamedTuple):
    """A word, or what fits of it into a line. x, width: points. number: of the word in its text."""

    line: int
    x: float
    width: float
    letters: str
    number: int


def wrapped(words: Sequence[str], room: float) -> list[Piece]:
    """Where words lie in lines `room` points wide."""
    pieces, line, x = [], 0, 0.0
    for number, word in enumerate(words):
        left = " ".join(word.split()) or "␣"
        while left:
            width = titles.text_width(left, WORD)
            if x and x + width > room:
                line, x = line + 1, 0.0
            letters = left if width <= room else left[: max(1, int(len(left) * room / width) - 2)]
            width = titles.text_width(letters, WORD)
            pieces.append(Piece(line, x, width, letters, number))
            left, x = left[len(letters) :], x + width + SPACE
    return pieces


def draw_words(
    ax: Axes,
    pieces: Sequence[Piece],
    shares: NDArray,
    framed: Collection[int] = (),
    pale: Collection[int] = (),
) -> None:
    """Words on their colours, over all of the axes.

    shares: of each word, -1 (blue) to 1 (red). framed: numbers of words with a frame. pale: of those in grey letters.
    """
    for piece in pieces:
        y, colour = LINE * (piece.line + 0.5), _ground(float(shares[piece.number]))
        shape = "round,pad=1.5,rounding_size=2.5"
        edge = {"edgecolor": INK, "linewidth": 1.1} if piece.number in framed else {"linewidth": 0}
        ax.add_patch(FancyBboxPatch((piece.x, y - 6), piece.width, 12, shape, facecolor=colour, **edge))
        ink = GREY if piece.number in pale else INK
        ax.text(piece.x, y + 3.2, piece.letters, size=WORD, color=ink, va="baseline", parse_math=False)
    ax.set(xlim=(-2, 72 * WIDE + 2), ylim=(72 * ax.bbox.height / ax.figure.dpi, 0))
    ax.set_axis_off()


def _ground(share: float) -> tuple[float, float, float]:
    """White at 0, at 1 a red and at -1 a blue that dark letters can be read on."""
    red, green, blue = (1 - 0.6 * abs(share) * (1 - c) for c in to_rgb(RED if share > 0 else BLUE))
    return red, green, blue
