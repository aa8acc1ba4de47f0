"""Shapley values of parts, from pairs of coalitions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tfxai import baselines
from tfxai.engines import Attribution, Coalitions, Known, Method, Request
from tfxai.games import Estimate, Pairs, Surrogate, estimated
from tfxai.inputs import segments as cuts
from tfxai.model import Needs
from tfxai.stats import Looks, needed, reach
from tfxai.support import Confidence, InputKey, Seed, Tolerance, warn, whole

FIRST, FEWEST = 2, 10  # pairs for each part before the first look, and at least


@dataclasses.dataclass(frozen=True)
class KernelSHAP(Method):
    """How much does each part add to the score, fairly shared over all orders in which parts could appear?

    `weights` are Shapley values: for each input and class they add up to score(input) - score(all parts hidden) (`delta`
    says how exactly). All coalitions are used where they fit into `samples`. Otherwise pairs of a coalition and its
    complement are drawn without repeats, small ones first; a surrogate with effects of one, three and five parts is learned
    from them, and its Shapley values are corrected by what it leaves unexplained, as far as that is beyond chance.
    `values` repeat a part's weight on its places. Images, series and volumes by segments, tables by columns, texts by words
    or token ids. Cost: `samples` forward passes per input (times the rows of the background), whatever the number of classes.

    The result also carries `standard_error`, `interval`, `passes`, and with a tolerance `converged`. The interval holds for
    all parts of one map together; it covers which coalitions were drawn, not the choice of segments or background. No
    sample tells of a coalition unlike all others that nobody has looked at.

    segments:   asked of the segmenter.
    samples:    coalitions, 2 or more; the empty and the full one are among them. With a tolerance, at most.
    segmenter:  as for LIME.
    background: what stands for hidden parts: training rows (R, ...) like the inputs, over which the score is averaged
                (more than 100 are thinned to 100; needed for tables); or a number, an array of one example, or a
                function of tfxai.baselines; unless given, each example's mean colour, and of token ids the padding id, 0. Hidden
                words are left out.
    seed:       of the coalitions, and of the thinning.
    input:      as for LIME.
    tolerance:  draws until each part's value is within so much of its Shapley value: in units of the score, or a share of the
                largest value, such as "1%". The surrogate is then corrected in full, so that it adds no bias. Classes of one
                example share their coalitions, until all are sure. Warns where `samples` do not suffice.
    confidence: of the intervals, between 0 and 1.

    Raises ValueError if a setting is wrong, a label map does not fit or has one segment only, or a text has no words.
    Lundberg, Lee: A Unified Approach, 2017. arXiv:1705.07874, theorem 2; pairs: Covert, Lee, 2020. arXiv:2012.01536;
    evenly over sizes: Musco, Witter, 2024. arXiv:2410.01917; odd orders: arXiv:2602.01399; surrogates that are corrected:
    Witter and others: Regression-adjusted Monte Carlo estimators, 2025. arXiv:2506.11849
    """

    segments: Annotated[int, whole(2)] = 50
    samples: Annotated[int, whole(2)] = 1000
    segmenter: cuts.Segmenter = "slic"
    background: Any = None
    seed: Seed = 0
    input: InputKey = None
    tolerance: Tolerance = None
    confidence: Confidence = 0.95
    needs = Needs(gradients=False)
    default_score = "output"

    def __post_init__(self) -> None:
        super().__post_init__()
        cuts.check(self.segmenter, "KernelSHAP")

    def attribute(self, request: Request) -> Attribution:
        coalitions = Coalitions.of(request, self.input, "KernelSHAP")
        coalitions.refuse_for_texts("KernelSHAP", background=(self.background, None))
        own = self.background is None and not coalitions.rows
        behind = coalitions.behind(baselines.mean() if own else self.background, self.seed, "KernelSHAP")
        engine = coalitions.engine(self.samples * len(request.network))
        examples, cut, weights, deltas, known = [], [], [], [], []
        learn = functools.lru_cache(maxsize=1)(_surrogate)  # rows of a table have the same coalitions
        for example in engine.examples():
            parts = coalitions.parts(example.number, self.segmenter, self.segments)
            hidden = behind(example.number)
            game = _Game(
                Pairs(parts.count, self.seed),
                functools.partial(coalitions.scores, engine, example, parts, hidden=hidden),
                learn,
            )
            found, sure = self._shared(game, len(hidden[0]) if hidden else 1)
            weights.append(found.T)
            deltas.append(found.astype(np.float32).sum(0, dtype=np.float64) - game.gain)
            known.append(sure)
            examples.append(example)
            cut.append(parts)
        return coalitions.attribution(examples, cut, weights, delta=np.concatenate(deltas), known=known)

    def _shared(self, game: _Game, rows: int) -> tuple[NDArray, Known]:
        """(parts, K) Shapley values, and how sure they are. rows: of the background, each a pass of every coalition."""
        parts, most = game.pairs.players, min((self.samples - 2) // 2, game.pairs.every)
        if 2 * most < min(parts, 2**parts - 2):
            warn(
                f"{self.samples} samples are too few to tell {parts} parts apart: some will share their values. "
                "Take several times as many samples as parts."
            )
        looks, draws = Looks(self.confidence, most, game.pairs.every), most
        if self.tolerance is not None:
            draws = min(max(FIRST * parts, FEWEST), most)
        while True:
            found = game.upto(draws, most)
            values = found.values if self.tolerance is None else found.corrected
            risk = 1 - self.confidence if self.tolerance is None else looks.risk
            width = reach(found.error, found.freedom, parts, risk)
            need = np.zeros(1) if self.tolerance is None else needed(self.tolerance, values, width)
            if looks.ends(draws, need.max()):
                break
            draws = looks.following(draws, need.max())
        low, high = found.corrected - width, found.corrected + width
        low, high = np.minimum(low, values), np.maximum(high, values)
        converged = None if self.tolerance is None else need <= 1
        passes = 2 * (1 + draws) * rows
        reached = np.maximum(high - values, values - low).max(0)
        return values, Known(found.error.T, low.T, high.T, passes, reached, converged)


class _Game:
    """One example's parts as players.

    pairs: of coalitions. worth: (visible (M, parts), share= of the work) -> (M, K) scores. learn: coalitions, as bytes -> a
    surrogate that learns from them.
    """

    def __init__(
        self,
        pairs: Pairs,
        worth: Callable[..., NDArray],
        learn: Callable[[bytes, int], Surrogate],
    ) -> None:
        self.pairs, self._worth, self._learn = pairs, worth, learn
        self._rows = np.ones((1, pairs.players), bool)  # everybody against nobody
        self._differences = np.zeros((0, 0))

    @property
    def gain(self) -> NDArray:
        """(K,) score of all parts - score of none."""
        return self._differences[0]

    def upto(self, draws: int, most: int) -> Estimate:
        """What so many pairs tell. most: of all rounds, for the progress bar."""
        rows = self.pairs.upto(draws)
        if not self._differences.size:
            rows = np.concatenate([self._rows, rows])
        scores = self._worth(np.concatenate([~rows, rows]), share=len(rows) / (most + 1))
        new = scores[len(rows) :] - scores[: len(rows)]
        if not self._differences.size:
            self._rows, self._differences = rows, new
        else:
            self._rows = np.concatenate([self._rows, rows])
            self._differences = np.concatenate([self._differences, new])
        surrogate = self._learn(self._rows.tobytes(), self.pairs.players)
        return estimated(surrogate, self._rows[1:], self._differences[1:], self.gain)


def _surrogate(rows: bytes, parts: int) -> Surrogate:
    return Surrogate(np.frombuffer(rows, bool).reshape(-1, parts))
