"""What a language model's words were made of: one row for each token that it said."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results.receipt import Receipt
from tfxai.results.storage import Stored
from tfxai.text import GOES_ON, STARTS, plain


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GenerationExplanation(Stored):
    """How much each token before it spoke for (positive) or against (negative) each token of a generated text.

    matrix: float32 (outputs, prompt + outputs), raw and signed; 0 where a token comes later, or is the one explained (of words:
            what a word's first pieces say for its later ones).
    tokens: int (prompt + outputs,): ids of the prompt, then of the output; of words the first id of each.
    pieces: the same as text.
    prompt: how many of these are the prompt.
    scores: float32 (outputs,): the explained score of each output token, given all before it.
    delta:  float32 (outputs,): sum of the row - (score - score of the baseline), of methods that promise it; else None.
    method, score: as of `tfxai.Explanation`.
    receipt: of the one call of the method that it was read from, see `tfxai.Explanation`.
    against, against_pieces: int (outputs,), and as text: the tokens that were compared with, if that was asked.
    """

    called = "explanation of a generated text"

    matrix: NDArray[np.float32]
    tokens: NDArray[np.int64]
    pieces: list[str]
    prompt: int
    scores: NDArray[np.float32]
    delta: NDArray[np.float32] | None = None
    method: str = ""
    score: str = "log-probability"
    against: NDArray[np.int64] | None = None
    against_pieces: list[str] | None = None
    receipt: Receipt | None = None

    def problem(self) -> str:
        """See `Stored.problem`."""
        count = len(self.scores)
        if self.matrix.shape != (count, self.prompt + count):
            return f"the matrix has the shape {self.matrix.shape}, for {count} outputs after {self.prompt} tokens"
        lengths = len(self.tokens), len(self.pieces)
        return "" if lengths == (self.prompt + count,) * 2 else "tokens and matrix are of different lengths"

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.method or 'unnamed method'} of the {self.score}: {len(self.scores)} outputs after "
            f"{self.prompt} tokens)"
        )

    def __len__(self) -> int:
        """How many output tokens there are."""
        return len(self.scores)

    def words(self) -> GenerationExplanation:
        """The same by words: evidence and scores of the pieces of a word add up, of log-probabilities to that of the word.

        Pieces are joined as tokenizers mark them: a word begins with a space, "Ġ" or "▁", or goes on with "##". Where nothing is
        marked, each piece is a word. No word crosses the end of the prompt. What a word's first pieces say for its later ones stands
        at the word itself. `against` is lost.
        """
        begins = _begins(self.pieces, self.prompt)
        firsts = np.flatnonzero(begins)
        groups = np.cumsum(begins) - 1
        of_outputs = firsts[firsts >= self.prompt] - self.prompt
        summed = np.add.reduceat(np.add.reduceat(self.matrix, firsts, axis=1), of_outputs, axis=0)
        texts = ["" for _ in firsts]
        for group, piece in zip(groups, self.pieces, strict=True):
            texts[group] += plain(piece)
        return dataclasses.replace(
            self,
            matrix=summed,
            tokens=self.tokens[firsts],
            pieces=[text.strip() or text for text in texts],
            prompt=int((firsts < self.prompt).sum()),
            scores=np.add.reduceat(self.scores, of_outputs),
            delta=None if self.delta is None else np.add.reduceat(self.delta, of_outputs),
            against=None,
            against_pieces=None,
        )

    def _repr_html_(self) -> str:
        """The picture, for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook

        return notebook.inlined(plots.generation(self), repr(self))

    def _repr_png_(self) -> Any:
        """The same for whatever shows no HTML."""
        from tfxai import plots
        from tfxai.plots import notebook

        return notebook.png(plots.generation(self))


def _begins(pieces: Sequence[str], prompt: int) -> NDArray[np.bool_]:
    """Which pieces begin a word."""
    goes_on = np.array([piece.startswith(GOES_ON) for piece in pieces])
    marked = np.array([piece.startswith(STARTS) for piece in pieces])
    begins = marked if marked.any() else ~goes_on if goes_on.any() else np.ones(len(pieces), bool)
    begins[[0, prompt]] = True
    return begins
