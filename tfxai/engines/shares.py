"""Parts of an example as players of a game: pairs of coalitions are scored in rounds, until what is asked of it is known."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tfxai.engines.coalitions import Coalitions
from tfxai.engines.linear_games import LinearGame, Worth
from tfxai.engines.parts import Parts
from tfxai.engines.perturb import Example
from tfxai.engines.request import Attribution
from tfxai.engines.uncertainty import Known
from tfxai.games import Estimate, Pairs, Sample, Surrogate
from tfxai.inputs import segments as cuts
from tfxai.stats import Looks, reach
from tfxai.support import warn

FIRST, FEWEST = 2, 10  # pairs for each part before the first look, and at least


@dataclasses.dataclass(frozen=True)
class Played:
    """One example's game.

    gain:  (K,) score of all parts - score of none.
    known: of each estimate that was asked for, the values (K, ...) that are given to the user, and how sure they are.
    """

    example: Example
    parts: Parts
    gain: NDArray
    known: Sequence[tuple[NDArray, Known]]


@dataclasses.dataclass(frozen=True)
class Shares:
    """The engine for one call.

    coalitions: of the request.
    behind:     number of an example -> what stands for hidden parts.
    samples:    coalitions of each example, at most.
    tolerance:  see tfxai.support.Tolerance, for each estimate by itself; confidence: for all numbers together. seed: of the draws.
    tell:       what is asked of a game: estimates, Shapley values first.
    sums:       whether that depends on v(S) + v(all but S), too.
    singles:    whether each part alone has to be scored.
    """

    coalitions: Coalitions
    behind: Callable[[int], list[NDArray]]
    samples: int
    tolerance: float | str | None
    confidence: float
    seed: int
    tell: Callable[[Sample], Sequence[Estimate]]
    sums: bool = False
    singles: bool = False

    def play(self, segmenter: cuts.Segmenter, segments: int) -> Iterator[Played]:
        """Each example's game."""
        engine = self.coalitions.engine(self.samples * len(self.coalitions.request.network))
        # Rows of a table have the same coalitions.
        learn = functools.lru_cache(maxsize=4)(_surrogate)
        for example in engine.examples():
            parts = self.coalitions.parts(example.number, segmenter, segments)
            hidden = self.behind(example.number)
            worth = functools.partial(self.coalitions.scores, engine, example, parts, hidden=hidden)
            game = Game(
                Pairs(parts.count, self.seed, self.singles),
                worth,
                learn,
                (False, True) if self.sums else (False,),
            )
            known, gain = self.settled(game, len(hidden[0]) if hidden else 1)
            yield Played(example, parts, gain, known)

    def in_graph(self, segmenter: cuts.Segmenter, segments: int) -> Attribution:
        """The first estimate's values, of a call that is traced as a whole: where all coalitions are seen, sums with fixed weights."""
        parts = self.coalitions.parts(0, segmenter, segments)

        def play(worth: Worth) -> NDArray:
            def scores(visible: NDArray, share: float) -> NDArray:
                return worth(visible)

            learn = functools.lru_cache(maxsize=4)(_surrogate)
            kinds = (False, True) if self.sums else (False,)
            game = Game(Pairs(parts.count, self.seed, self.singles), scores, learn, kinds)
            return self.settled(game, 1)[0][0][0]

        remedy = (
            f"Where all coalitions of the {parts.count} parts are seen, their weights are fixed: take fewer segments, and 2 to "
            f'the power of their number of samples. LIME(segmenter="grid") has fixed weights with any number.'
        )
        engine = self.coalitions.engine(self.samples)
        game = LinearGame.of(play, self.coalitions.request.method, remedy)
        return self.coalitions.linear(engine, parts, game, lambda example: self.behind(example.number))

    def settled(self, game: Game, rows: int) -> tuple[Sequence[tuple[NDArray, Known]], NDArray]:
        """What is known of each estimate, and the gain. rows: of the background, each a pass of every coalition."""
        parts, every = game.pairs.players, game.pairs.every
        most = min((self.samples - 2) // 2, every)
        if self.singles and most < game.pairs.there.get(1, 0):
            raise ValueError(
                f'"STII" has to see each of {parts} parts alone, for which it needs {2 * parts + 2} samples or more; there are '
                f"{self.samples}. Take more, fewer parts, or another index."
            )
        if 2 * most < min(parts, 2**parts - 2):
            warn(
                f"{self.samples} samples are too few to tell {parts} parts apart: some will share their values. "
                "Take several times as many samples as parts."
            )
        looks = Looks(self.tolerance, self.confidence, most, max(FIRST * parts, FEWEST), every)
        while True:
            sample = game.upto(looks.draws, most)
            found = [self._told(estimate) for estimate in self.tell(sample)]
            count = sum(estimate.count for estimate, _ in found)
            widths = [reach(estimate.error, estimate.freedom, count, looks.risk) for estimate, _ in found]
            needs = [
                looks.need(_flat(values), _flat(width))
                for (_, values), width in zip(found, widths, strict=True)
            ]
            need = np.max(needs, axis=0)
            if looks.end(need.max(), count):
                break
        passes, converged = 2 * (1 + looks.draws) * rows, looks.converged(need)
        ends = [_ends(*told, width) for told, width in zip(found, widths, strict=True)]
        half = [
            np.maximum(high - told[1], told[1] - low) for told, (low, high) in zip(found, ends, strict=True)
        ]
        reached = np.max([_flat(each).max(0) for each in half], axis=0)
        known = [
            (values.T, Known(estimate.error.T, low.T, high.T, passes, reached, converged))
            for (estimate, values), (low, high) in zip(found, ends, strict=True)
        ]
        return known, sample.gain

    def _told(self, estimate: Estimate) -> tuple[Estimate, NDArray]:
        """With the values that are given: with a tolerance, those without bias."""
        return estimate, estimate.values if self.tolerance is None else estimate.corrected


def _ends(estimate: Estimate, values: NDArray, width: NDArray) -> tuple[NDArray, NDArray]:
    """Of intervals around what is without bias, which hold the values that are given, too."""
    low, high = estimate.corrected - width, estimate.corrected + width
    return np.minimum(low, values), np.maximum(high, values)


def _flat(values: NDArray) -> NDArray:
    """(all of a game, K)."""
    return values.reshape(-1, values.shape[-1])


class Game:
    """One example's parts as players.

    pairs: of coalitions. worth: (visible (M, parts), share= of the work) -> (M, K) scores. learn: coalitions, as bytes, number of
    parts, whether it is of sums -> a surrogate that learns from them. kinds: of surrogates, by whether they are of sums.
    """

    def __init__(
        self,
        pairs: Pairs,
        worth: Callable[..., NDArray],
        learn: Callable[[bytes, int, bool], Surrogate],
        kinds: Sequence[bool] = (False,),
    ) -> None:
        self.pairs, self._worth, self._learn, self._kinds = pairs, worth, learn, kinds
        self._rows = np.ones((1, pairs.players), bool)  # everybody against nobody
        self._inside = self._outside = np.zeros((0, 0))

    def upto(self, draws: int, most: int) -> Sample:
        """What so many pairs tell. most: of all rounds, for the progress bar."""
        rows = self.pairs.upto(draws)
        if not self._inside.size:
            rows = np.concatenate([self._rows, rows])
        scores = self._worth(np.concatenate([~rows, rows]), share=len(rows) / (most + 1))
        outside, inside = scores[: len(rows)], scores[len(rows) :]
        if not self._inside.size:
            self._rows, self._inside, self._outside = rows, inside, outside
        else:
            self._rows = np.concatenate([self._rows, rows])
            self._inside = np.concatenate([self._inside, inside])
            self._outside = np.concatenate([self._outside, outside])
        learned = [self._learn(self._rows.tobytes(), self.pairs.players, even) for even in self._kinds]
        return Sample.of(self._rows, self._inside, self._outside, learned)


def _surrogate(rows: bytes, parts: int, even: bool) -> Surrogate:
    return Surrogate(np.frombuffer(rows, bool).reshape(-1, parts), even)
