"""What each token of a generated text leans on: the text in colours for one of them, and the heat map of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, KEY, MARGIN, SMALL, TITLE, WIDE
from tfxai.plots.colours import colour_key, colour_map
from tfxai.plots.flowing import LINE, draw_words, wrapped
from tfxai.plots.protocol import Generated
from tfxai.support import checked
from tfxai.text import plain

CELL, NARROW = 0.19, 0.03  # inches: of a cell with its token beside it, of one of many
NAME = 62  # points of a token beside the map, at most
BEFORE = "red: makes the token likelier, blue: less likely"


@checked
def generation(explanation: Generated, output: int = 0) -> Figure:
    """The prompt and the output as text, coloured by what each token says for one output token, which has a frame; and below
    it the heat map of all: a row for each output token, a column for each token before it.

    Tokens that come later are grey in the text and empty in the map. For words in the place of tokens draw `explanation.words()`.

    explanation: of tfxai.explain_generation.
    output:      which output token the text is about, from 0; -1 is the last.

    The colours of the text end at its own largest value, those of the map at the median of the rows' largest ones, without the
    first token: many decoders leave there what they have no use for.

    Raises ValueError if there is no such output token.
    """
    count, prompt = len(explanation), explanation.prompt
    if not -count <= output < count:
        raise ValueError(f"output is {output}; the explanation has {count} output tokens, counted from 0.")
    output %= count
    pieces = [_shown(piece) for piece in explanation.pieces]
    flowing = wrapped(pieces, 72 * WIDE)
    text = LINE * (1 + flowing[-1].line) / 72
    named = prompt + count <= 70
    cell = CELL if named else max(WIDE / (prompt + count), NARROW)
    short = [titles.cut(piece, NAME, SMALL) for piece in pieces]
    room = [titles.text_width(each, SMALL) / 72 + 0.05 for each in short]
    left = MARGIN + (max(room[prompt:]) if count <= 70 else 0)
    top = max(room) if named else 0.05
    across, down = cell * (prompt + count), (CELL if count <= 70 else NARROW) * count
    width = max(WIDE + 2 * MARGIN, left + across + KEY + MARGIN)
    figure = canvas.blank(width, MARGIN + TITLE + text + TITLE + top + down + 2 * MARGIN + TITLE)
    _draw_text(
        canvas.placed(figure, MARGIN, MARGIN + TITLE, WIDE, text), explanation, output, pieces, flowing
    )
    ax = canvas.placed(figure, left, MARGIN + 2 * TITLE + text + top, across, down)
    _draw_map(ax, explanation)
    _name_tokens(ax, short, prompt, output, named)
    titles.footnote(figure, BEFORE, explanation.method, f"score: {explanation.score}")
    return figure


def _shown(piece: str) -> str:
    """A piece without its tokenizer's marks; what is only space is drawn as a sign."""
    return plain(piece).strip() or ("↵" if "\n" in plain(piece) else "␣")


def _draw_text(ax: Axes, explanation: Generated, output: int, pieces: Sequence[str], flowing: list) -> None:
    row, at = explanation.matrix[output], explanation.prompt + output
    scale = float(np.abs(row).max())
    draw_words(ax, flowing, row / (scale or 1.0), framed=[at], pale=range(at + 1, len(pieces)))
    score = titles.number(explanation.scores[output], ".3g")
    ends = f"colours end at ±{titles.number(scale, '.2g')}" if scale else "no evidence"
    against = explanation.against_pieces
    rather = "" if against is None else f", not {_shown(against[output])!r}"
    titles.title(ax, f"why {pieces[at]!r}{rather}?", titles.joined(f"{explanation.score} {score}", ends))


def _draw_map(ax: Axes, explanation: Generated) -> None:
    matrix, prompt = explanation.matrix, explanation.prompt
    count, length = matrix.shape
    before = np.arange(length) < prompt + np.arange(count)[:, None]
    largest = np.abs(np.where(before, matrix, 0)[:, 1:]).max(1) if length > 2 else np.abs(matrix).max(1)
    scale = float(np.median(largest)) or float(np.abs(matrix).max())
    before |= matrix != 0  # of a word, what its first pieces say for its later ones
    ax.imshow(
        np.where(before, matrix, np.nan), **colour_map(True, scale), aspect="auto", interpolation="nearest"
    )
    ax.axvline(prompt - 0.5, color=GREY, linewidth=0.8)
    steps = prompt - 0.5 + np.arange(count + 1)  # the stairs of what comes later
    ax.plot(
        np.repeat(steps, 2)[:-2], np.repeat(np.arange(count + 1) - 0.5, 2)[1:-1], color=GREY, linewidth=0.5
    )
    colour_key(ax, True, scale)


def _name_tokens(ax: Axes, names: Sequence[str], prompt: int, output: int, named: bool) -> None:
    """Output tokens on the left, all tokens above; the one that the text is about in dark letters."""
    canvas.quiet(ax)
    ax.xaxis.tick_top()
    ax.tick_params(length=0, pad=2)
    count = len(names) - prompt
    ax.set_yticks(
        range(count) if count <= 70 else [],
        names[prompt:] if count <= 70 else [],
        size=SMALL,
        parse_math=False,
    )
    ax.set_xticks(
        range(len(names)) if named else [], names if named else [], size=SMALL, rotation=90, parse_math=False
    )
    for i, label in enumerate(ax.get_yticklabels()):
        label.set_color(INK if i == output else GREY)
        label.set_fontweight("bold" if i == output else "normal")
