"""Words of a text, coloured by what they add."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GAP, MARGIN, TITLE, WIDE
from tfxai.plots.flowing import LINE, Piece, draw_words, wrapped
from tfxai.plots.protocol import Explained
from tfxai.plots.reading import heading, per_target
from tfxai.plots.titles import KEY_OF_COLOURS, Labels, joined
from tfxai.support import Count, checked


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
        draw_words(ax, block.pieces, block.shares)
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


class _Block(NamedTuple):
    """A text and one of its targets. shares: weight of each word on the scale of its text, -1..1."""

    pieces: list[Piece]
    shares: NDArray
    name: str
    note: str


def _blocks(
    explanation: Explained, row: int, words: Sequence[str], labels: Labels | None, truth: str
) -> Iterator[_Block]:
    """A block for each target of one text."""
    pieces, weights = wrapped(words, 72 * WIDE), per_target(explanation, "weights")[row]
    scale = float(np.abs(weights[:, : len(words)]).max())
    for k, of_target in enumerate(weights):
        name, score = heading(explanation, row, k, labels)
        coloured = of_target[: len(words)].any()
        ends = f"colours end at ±{titles.number(scale, '.2g')}" if coloured else "no evidence"
        yield _Block(pieces, of_target / (scale or 1), name, joined(truth, score, ends))
