"""Texts as inputs: how they are cut into words, and what they are without some."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STARTS = ("Ġ", "▁", "Ċ", " ", "\n")  # of tokens that begin a word, as tokenizers write them
GOES_ON = "##"  # of tokens that do not


@dataclasses.dataclass(frozen=True)
class Text:
    """Texts to explain word by word, as `inputs` of LIME and the SHAP methods. A list of strings means the same.

    strings:  N texts.
    tokenize: a text -> the list of its words.
    join:     a list of words -> a text that the model takes.
    mask:     what stands for a hidden word, such as "[MASK]"; unless given, hidden words are left out. Of a text that is
              longer than the model reads, words left out let later ones move up; masked ones keep their places, and what
              lies beyond gets no weight.

    >>> counts = lambda texts: np.array([text.count("good") for text in texts])
    >>> tfxai.KernelSHAP()(counts, tfxai.Text(["a good film"])).values[0].round(3).tolist()
    [0.0, 1.0, 0.0]

    Raises ValueError if strings is not a list of strings.
    """

    strings: Sequence[str]
    tokenize: Callable[[str], list[str]] = str.split
    join: Callable[[list[str]], str] = " ".join
    mask: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.strings, str) or not all(isinstance(string, str) for string in self.strings):
            raise ValueError("Text takes a list of strings. For a single text give [text].")

    @classmethod
    def of(cls, strings: Sequence[str], tokenizer: Any, mask: str | None = None) -> Text:
        """The same token by token, as a model's own tokenizer cuts texts: KerasHub's, or any object of its kind.

        tokenizer: called with a text it gives ids, and has `id_to_token`, `token_to_id` and `detokenize`.
        mask:      a token that it knows, such as "[MASK]".

        Raises ValueError if it lacks one of these, or does not know the mask.
        """
        for name in ("__call__", "id_to_token", "token_to_id", "detokenize"):
            if not hasattr(tokenizer, name):
                raise ValueError(
                    f"{type(tokenizer).__name__} has no {name}. Give a tokenizer that has, or Text(tokenize=..., join=...)."
                )
        if mask is not None:
            try:
                tokenizer.token_to_id(mask)
            except (KeyError, ValueError, IndexError) as error:
                raise ValueError(f"The tokenizer does not know the mask {mask!r} ({error}).") from error

        def tokenize(text: str) -> list[str]:
            return [str(tokenizer.id_to_token(int(number))) for number in np.asarray(tokenizer(text)).ravel()]

        def join(tokens: list[str]) -> str:
            if not tokens:
                return ""
            joined = tokenizer.detokenize([tokenizer.token_to_id(token) for token in tokens])
            return joined.decode() if isinstance(joined, bytes) else str(joined)

        return cls(strings, tokenize, join, mask)

    def words(self, number: int) -> list[str]:
        """The words of one text."""
        return list(self.tokenize(self.strings[number]))

    def without(self, words: Sequence[str], visible: NDArray[np.bool_]) -> NDArray[np.object_]:
        """(M,) texts in which only some words are visible.

        words: W words of one text. visible: (M, W), whether a word is seen.
        """
        return np.array([self._text(words, row) for row in visible], object)

    def _text(self, words: Sequence[str], visible: NDArray[np.bool_]) -> str:
        pairs = zip(words, visible, strict=True)
        if self.mask:
            return self.join([word if seen else self.mask for word, seen in pairs])
        return self.join([word for word, seen in pairs if seen])


def plain(token: str) -> str:
    """A token without its tokenizer's marks: with a space in front where it begins a word."""
    token = token.removeprefix(GOES_ON) or token  # a heading's sign is a token of its own
    return token.replace("Ġ", " ").replace("▁", " ").replace("Ċ", "\n")
