"""Shapley values of parts, and what parts add together, from pairs of coalitions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tfxai import baselines
from tfxai.engines import Attribution, Coalitions, Method, Played, Request, Shares
from tfxai.games import Estimate, Index, Sample, estimated, interactions, shapley
from tfxai.inputs import segments as cuts
from tfxai.model import Needs
from tfxai.results import InteractionsExplanation, PartsExplanation
from tfxai.support import Confidence, InputKey, Seed, Tolerance, whole


@dataclasses.dataclass(frozen=True)
class ByCoalitions(Method):
    """Shared settings of the two.

    segments:   asked of the segmenter.
    samples:    coalitions, 2 or more; the empty and the full one are among them. With a tolerance, at most.
    segmenter:  as for LIME.
    background: what stands for hidden parts: training rows (R, ...) like the inputs, over which the score is averaged
                (more than 100 are thinned to 100; needed for tables); or a number, an array of one example, or a
                function of tfxai.baselines; unless given, each example's mean colour, and of token ids the padding id, 0. Hidden
                words are left out.
    seed:       of the coalitions, and of the thinning.
    input:      as for LIME.
    tolerance:  draws until every number is within so much of what all coalitions would give: in units of the score, or a
                share of the largest (of the Shapley values, and of all interactions), such as "1%". The surrogate is then
                corrected in full, so that it adds no bias. Classes of one example share their coalitions, until all are sure.
                Warns where `samples` do not suffice.
    confidence: of the intervals, between 0 and 1. They hold for all numbers of one map together, and cover which coalitions
                were drawn, not the choice of segments or background. No sample tells of a coalition unlike all others that
                nobody has looked at.
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
        cuts.check(self.segmenter, type(self).__name__)

    def play(
        self,
        request: Request,
        tell: Callable[[Sample], Sequence[Estimate]],
        sums: bool = False,
        singles: bool = False,
    ) -> tuple[Coalitions, list[Played]]:
        """The game of each example. tell, sums, singles: see `Shares`."""
        coalitions, engine = self.shares(request, tell, sums, singles)
        return coalitions, list(engine.play(self.segmenter, self.segments))

    def shares(
        self,
        request: Request,
        tell: Callable[[Sample], Sequence[Estimate]],
        sums: bool = False,
        singles: bool = False,
    ) -> tuple[Coalitions, Shares]:
        """The parts, and the engine for their games."""
        name = type(self).__name__
        coalitions = Coalitions.of(request, self.input, name)
        coalitions.refuse_for_texts(name, background=(self.background, None))
        own = self.background is None and not coalitions.rows
        behind = coalitions.behind(baselines.mean() if own else self.background, self.seed, name)
        how = self.tolerance, self.confidence, self.seed
        return coalitions, Shares(coalitions, behind, self.samples, *how, tell, sums, singles)

    def attribution(
        self, coalitions: Coalitions, played: Sequence[Played], kind: type[PartsExplanation]
    ) -> Attribution:
        """Of the first estimate of each game, the Shapley values."""
        weights, known = zip(*(each.known[0] for each in played), strict=True)
        sums = [each.astype(np.float32).sum(1, dtype=np.float64) for each in weights]
        return coalitions.attribution(
            [each.example for each in played],
            [each.parts for each in played],
            weights,
            kind,
            delta=np.concatenate(sums) - np.concatenate([each.gain for each in played]),
            known=known,
        )


@dataclasses.dataclass(frozen=True)
class KernelSHAP(ByCoalitions):
    """How much does each part add to the score, fairly shared over all orders in which parts could appear?

    `weights` are Shapley values: for each input and class they add up to score(input) - score(all parts hidden) (`delta`
    says how exactly). All coalitions are used where they fit into `samples`. Otherwise pairs of a coalition and its
    complement are drawn without repeats, small ones first; a surrogate with effects of one, three and five parts is learned
    from them, and its Shapley values are corrected by what it leaves unexplained, as far as that is beyond chance.
    `values` repeat a part's weight on its places. Images, series and volumes by segments, tables by columns, texts by words
    or token ids. The result also carries `standard_error`, `interval`, `passes`, and with a tolerance `converged`.
    Cost: `samples` forward passes per input (times the rows of the background), whatever the number of classes.

    segments, samples, segmenter, background, seed, input, tolerance, confidence: see `tfxai.methods.shapley`.

    >>> rows = np.array([[3.0, 1.0]])
    >>> found = tfxai.KernelSHAP(background=np.zeros((1, 2)))(lambda x: x[:, 0] - 2 * x[:, 1], rows)
    >>> found.values.round(3).tolist()
    [[3.0, -2.0]]

    Raises ValueError if a setting is wrong, a label map does not fit or has one segment only, or a text has no words.
    Lundberg, Lee: A Unified Approach, 2017. arXiv:1705.07874, theorem 2; pairs: Covert, Lee, 2020. arXiv:2012.01536;
    evenly over sizes: Musco, Witter, 2024. arXiv:2410.01917; odd orders: arXiv:2602.01399; surrogates that are corrected:
    Witter and others: Regression-adjusted Monte Carlo estimators, 2025. arXiv:2506.11849
    """

    def attribute(self, request: Request) -> Attribution:
        def tell(sample: Sample) -> Sequence[Estimate]:
            return [estimated(shapley(sample.rows.shape[1]), sample)]

        if request.inside is not None:
            return self.shares(request, tell)[1].in_graph(self.segmenter, self.segments)
        return self.attribution(*self.play(request, tell), PartsExplanation)


@dataclasses.dataclass(frozen=True)
class ShapleyInteractions(ByCoalitions):
    """Which parts count together, beyond what each of them counts by itself?

    `interactions`: for each two parts what they add together (positive: more than one by one; negative: one makes up for the
    other, or says the same), and on the diagonal what is left to each part alone. All terms, each two once, add up to
    score(input) - score(all parts hidden). `weights` and `values` are the Shapley values, as of KernelSHAP. All of it from
    the same coalitions: v(S) - v(all but S) tells Shapley values, v(S) + v(all but S) interactions; a surrogate of each (the
    second with effects of two, four and six parts) is corrected by what it leaves unexplained.
    Cost: as KernelSHAP; the more parts, the more samples: P parts have P (P - 1) / 2 interactions.

    order: how many parts interact: 2, or 1 for Shapley values alone (on the diagonal; all else is 0).
    index: how the coalitions count that two parts join: "k-SII" all sizes alike, the Shapley value of the two together (the
           diagonal is then the Shapley value less half of all interactions of a part); "FSII" middle sizes more, so that all
           terms make up the closest game of second order; "STII" small sizes more: the diagonal is then
           score(the part alone) - score(none).
    segments, samples, segmenter, background, seed, input, tolerance, confidence: see `tfxai.methods.shapley`.

    The result (tfxai.results.InteractionsExplanation) also carries `interactions_error` and `interactions_interval`.

    >>> rows = np.array([[2.0, 3.0]])
    >>> found = tfxai.ShapleyInteractions(background=np.zeros((1, 2)))(lambda x: x[:, 0] * x[:, 1], rows)
    >>> found.values.round(3).tolist(), found.interactions.round(3).tolist()
    ([[3.0, 3.0]], [[[0.0, 6.0], [6.0, 0.0]]])

    Raises ValueError as KernelSHAP; and for "STII", if there are not 2 P + 2 samples for P parts.
    "k-SII": Bordt, von Luxburg, 2022. arXiv:2209.04012, definition 5, of Grabisch, Roubens, 1999. doi:10.1007/s001820050125;
    "STII": Dhamdhere, Agarwal, Sundararajan, 2020. arXiv:1902.05622; "FSII": Tsai, Yeh, Ravikumar, 2022. arXiv:2203.00870.
    """

    not_one_graph = (
        "what two parts add together is a matrix for each input, estimated in Python. Export KernelSHAP."
    )
    order: Annotated[int, whole(1, most=2)] = 2
    index: Index = "k-SII"

    def attribute(self, request: Request) -> Attribution:
        def tell(sample: Sample) -> Sequence[Estimate]:
            if self.order == 1:
                return [estimated(shapley(sample.rows.shape[1]), sample)]
            return interactions(self.index, sample)

        taylor = self.index == "STII" and self.order == 2
        coalitions, played = self.play(request, tell, sums=self.order == 2, singles=taylor)
        found = self.attribution(coalitions, played, InteractionsExplanation)
        shape = (*request.target_shape, *[found.more["weights"].shape[-1]] * 2)
        numbers = [np.full((request.rows, *shape[-2:]), np.nan, np.float32) for _ in range(4)]
        for i, game in enumerate(played):
            rows = slice(i * request.targets_each, (i + 1) * request.targets_each)
            for padded, of_game in zip(numbers, _terms(game), strict=True):
                padded[rows, : game.parts.count, : game.parts.count] = of_game
        values, error, low, high = (each.reshape(shape) for each in numbers)
        found.more.update(
            interactions=values, interactions_error=error, interactions_interval=np.stack([low, high], -1)
        )
        return found


def _terms(game: Played) -> list[NDArray]:
    """(K, parts, parts) all terms, their errors, and the ends of their intervals; of the first order there are none of two."""
    values, known = game.known[-1]
    numbers = [values, known.error, known.low, known.high]
    return [each[..., None] * np.eye(each.shape[-1]) for each in numbers] if values.ndim == 2 else numbers
