"""Methods whose values are sums of scores with fixed weights: a matrix, found by trying, is then all that a graph needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tfxai.engines.inside import NotOneGraph

MOST = 4096  # coalitions: the matrix is found with one number for each two
EXACT = (
    1e-6  # how near the matrix comes to what a method makes of other scores, in parts of the largest value
)

Worth = Callable[[NDArray], NDArray]
"""Coalitions, bool (M, parts) -> their scores (M, K)."""


@dataclasses.dataclass(frozen=True)
class LinearGame:
    """visible: bool (M, parts), the coalitions that are asked for. weights: (parts, M) of their scores."""

    visible: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, play: Callable[[Worth], NDArray], method: str, remedy: str) -> LinearGame:
        """play: what a method makes of coalitions' scores: (K, parts).

        Raises NotOneGraph if it is not linear in them, or asks for other coalitions where scores are others. remedy: what helps.
        """
        words = f"{method} cannot be exported with these settings: "
        asked = _Asked()
        found = play(asked)[0]
        if len(asked.numbers) > MOST:
            raise NotOneGraph(
                f"{words}it asks for {len(asked.numbers)} coalitions, more than {MOST}. {remedy}"
            )
        again = _Asked(asked.numbers)
        weights, scores = play(again).T, np.array([asked.score(i) for i in range(len(asked.numbers))])
        if again.others or np.abs(weights @ scores - found).max() > EXACT * np.abs(found).max(initial=1e-30):
            raise NotOneGraph(
                f"{words}which coalitions count, and by how much, is decided while it explains. {remedy}"
            )
        parts = found.shape[-1]
        visible = np.stack([np.frombuffer(each, bool).reshape(parts) for each in asked.numbers])
        return cls(visible, weights)


class _Asked:
    """A game with scores of our own: of each new coalition a number by chance, or, where all are known, a game for each of them.

    numbers: of the coalitions, as bytes. others: whether some were asked for that were not known.
    """

    def __init__(self, known: dict[bytes, int] | None = None) -> None:
        self.numbers: dict[bytes, int] = {} if known is None else known
        self._units = None if known is None else np.eye(len(known))
        self.others = False

    def score(self, number: int) -> float:
        """The score by chance."""
        return float(np.random.default_rng(number).standard_normal())

    def __call__(self, visible: NDArray) -> NDArray:
        keys = [row.tobytes() for row in np.ascontiguousarray(visible, bool)]
        if self._units is not None:
            self.others |= any(key not in self.numbers for key in keys)
            return self._units[[self.numbers.get(key, 0) for key in keys]]
        found = [self.numbers.setdefault(key, len(self.numbers)) for key in keys]
        return np.array([[self.score(number)] for number in found])
