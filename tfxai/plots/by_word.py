"""Words of a text, coloured by what they add."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from tfxai.plots import canvas
from tfxai.plots.canvas import BLUE, GAP, INK, MARGIN, RED, TITLE, Labels
from tfxai.plots.parts import KEY_OF_COLOURS, WIDE, how_many_drawn, per_target, target_name
from tfxai.plots.protocol import Explained


def text(
    explanation: Explained,
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
    weights, targets, scores = (per_target(explanation, name) for name in ("weights", "targets", "scores"))
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
            name = target_name(targets[row, k], labels, explanation)
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
    canvas.footnote(figure, how_many_drawn(tokens, limit, "texts"), KEY_OF_COLOURS, method)
    return figure


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
