"""Words of a text, coloured by what they add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GAP, INK, MARGIN, TITLE, WIDE
from tfxai.plots.colours import BLUE, RED
from tfxai.plots.protocol import Explained
from tfxai.plots.reading import heading, per_target
from tfxai.plots.titles import KEY_OF_COLOURS, Labels, joined
from tfxai.support import Count, checked

WORD, SPACE, LINE = 9, 5.5, 18  # points: letters, between words, from line to line


@checked
def text(
    explanation: Explained,
    labels: Labels | None = None,
    true_labels: Sequence[int | str] | None = None,
    *,
    limit: Count = 16,
) -> Figure:
    """Each text with its words on red where they speak for the class, on blue where against it; a block per target.

    The colours of a text share one scale, symmetric around zero; its end stands over the words. Letters that the
    font lacks are drawn as boxes: set matplotlib's rcParams["font.family"] to a font that has them.

    explanation: of texts word by word, such as LIME, KernelSHAP and PartitionSHAP make it.
    labels, true_labels: as for `show`.
    limit:       how many texts are drawn; the figure says so if there are more.

    Raises ValueError if the explanation has no words, or if labels or true_labels do not fit.
    """
    tokens = _words_of_texts(explanation)
    titles.check_one_each(true_labels, len(tokens))
    blocks = []
    for row, words in enumerate(tokens[:limit]):
        truth = titles.true_class(true_labels, row, labels)
        blocks += _blocks(explanation, row, words, labels, truth)
    heights = [TITLE + LINE * (1 + max(piece.line for piece in block.pieces)) / 72 for block in blocks]
    figure = canvas.blank(WIDE + 2 * MARGIN, sum(heights) + GAP * len(blocks) + TITLE + 2 * MARGIN)
    y = MARGIN
    for block, height in zip(blocks, heights, strict=True):
        ax = canvas.placed(figure, MARGIN, y + TITLE, WIDE, height - TITLE)
        _draw_words(ax, block)
        titles.title(ax, block.name, block.note)
        y += height + GAP
    method = f"{explanation.method} of the {explanation.score}" if explanation.method else explanation.score
    titles.footnote(figure, titles.first_of(limit, len(tokens), "texts"), KEY_OF_COLOURS, method)
    return figure


def _words_of_texts(explanation: Explained) -> list[list[str]]:
    tokens = getattr(explanation, "tokens", None)
    if tokens is None:
        raise ValueError(
            f"{explanation.method or 'The explanation'} has no words. Give an explanation of texts, such as LIME, "
            "KernelSHAP and PartitionSHAP make it, or draw it with plots.show."
        )
    return tokens


class _Piece(NamedTuple):
    """A word, or what fits of it into a line. x, width: points. number: of the word in its text."""

    line: int
    x: float
    width: float
    letters: str
    number: int


class _Block(NamedTuple):
    """A text and one of its targets. shares: weight of each word on the scale of its text, -1..1."""

    pieces: list[_Piece]
    shares: NDArray
    name: str
    note: str


def _blocks(
    explanation: Explained, row: int, words: Sequence[str], labels: Labels | None, truth: str
) -> Iterator[_Block]:
    """A block for each target of one text."""
    pieces, weights = _wrapped(words, 72 * WIDE), per_target(explanation, "weights")[row]
    scale = float(np.abs(weights[:, : len(words)]).max())
    for k, of_target in enumerate(weights):
        name, score = heading(explanation, row, k, labels)
        coloured = of_target[: len(words)].any()
        ends = f"colours end at ±{titles.number(scale, '.2g')}" if coloured else "no evidence"
        yield _Block(pieces, of_target / (scale or 1), name, joined(truth, score, ends))


def _wrapped(words: Sequence[str], room: float) -> list[_Piece]:
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
            pieces.append(_Piece(line, x, width, letters, number))
            left, x = left[len(letters) :], x + width + SPACE
    return pieces


def _draw_words(ax: Axes, block: _Block) -> None:
    for piece in block.pieces:
        y, colour = LINE * (piece.line + 0.5), _ground(float(block.shares[piece.number]))
        shape = "round,pad=1.5,rounding_size=2.5"
        ax.add_patch(FancyBboxPatch((piece.x, y - 6), piece.width, 12, shape, facecolor=colour, linewidth=0))
        ax.text(piece.x, y + 3.2, piece.letters, size=WORD, color=INK, va="baseline", parse_math=False)
    ax.set(xlim=(-2, 72 * WIDE + 2), ylim=(72 * ax.bbox.height / ax.figure.dpi, 0))
    ax.set_axis_off()


def _ground(share: float) -> tuple[float, float, float]:
    """White at 0, at 1 a red and at -1 a blue that dark letters can be read on."""
    red, green, blue = (1 - 0.6 * abs(share) * (1 - c) for c in to_rgb(RED if share > 0 else BLUE))
    return red, green, blue
