"""Integrated gradients against a whole background of baselines, by sampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tfxai.engines import (
    Attribution,
    Block,
    Method,
    Moments,
    PathPoints,
    Paths,
    Request,
    Rounds,
    Sampled,
    Sum,
    attribution_along,
    of_tokens,
    uncertainty_of,
)
from tfxai.model import Network
from tfxai.support import Confidence, Seed, Tolerance, whole


@dataclasses.dataclass(frozen=True, eq=False)
class ExpectedGradients(Method):
    """How much does each value contribute to the difference from what the model usually sees?

    Integrated gradients averaged over a background, each sample with an example of it and a random place on the way to the
    input. Examples are taken in turn, in random order, so that each comes as often as the others or once more; from
    `samples` = 2 M on (M examples) in pairs of one example: one place on the first half of the way, one on the second. Of
    draws with repeats four times as many would be needed, or more. Complete on average: `delta` is sum(values) -
    (score(input) - mean score of the drawn background). The result also carries `standard_error`, `interval`, `passes` and, with a
    tolerance, `converged`; the interval holds for all values of one map together, and covers the chance of the draws, not the choice of background.

    Cost: `samples` forward and backward passes per input and target, and a forward pass per drawn example and class.

    background: data (M, ...) in the structure of the inputs, such as some training examples.
    samples:    draws for each input; with a tolerance, at most. Of pairs, an odd one is left out.
    seed:       of the draws; they are the same for every input.
    tolerance:  draws until every value is within so much of that of infinitely many draws: in units of the score, or a share
                of the map's largest value, such as "1%". Warns where `samples` do not suffice.
    confidence: of the intervals, between 0 and 1.

    Erion, Janizek, Sturmfels, Lundberg, Lee: Improving performance of deep learning models with axiomatic attribution
    priors and expected gradients, 2019. arXiv:1906.10670, section 3
    """

    background: Any
    samples: Annotated[int, whole(2)] = 200  # to know the standard error
    seed: Seed = 0
    tolerance: Tolerance = None
    confidence: Confidence = 0.95

    def __repr__(self) -> str:
        return f"ExpectedGradients(samples={self.samples}, seed={self.seed})"

    def attribute(self, request: Request) -> Attribution:
        background = self._background(request)
        pairs = self.samples >= 2 * len(background)
        examples, positions = self._draws(len(background), pairs)
        drawn, number = np.unique(examples, return_inverse=True)
        paths = Paths(request, starts=[array[drawn] for array in background.arrays], shared=True)
        if request.inside is not None:
            return self._in_graph(paths, number, positions)
        rounds = Rounds(
            paths,
            lambda numbers: (positions[numbers], number[numbers]),
            self.samples,
            Moments(contributions=True, summed=of_tokens(paths), pairs=pairs),
            self.tolerance,
            self.confidence,
            len(background) if pairs else None,
        )
        sampled: list[Sampled] = []

        def values_of(block: Block) -> list[NDArray]:
            sampled.append(rounds.run(block))
            return sampled[-1].means

        attribution = attribution_along(
            paths,
            values_of,
            complete=True,
            base_scores_of=lambda block: self._mean_scores(paths, block, number, sampled[-1].counts),
            remedy="Take more samples.",
        )
        return dataclasses.replace(attribution, uncertainty=uncertainty_of(paths, sampled))

    def _in_graph(self, paths: Paths, number: NDArray, positions: NDArray) -> Attribution:
        """The means alone, of a call that is traced as a whole."""
        count = len(positions)
        shares = np.bincount(number) / count

        def values_of(block: Block) -> Sequence[Any]:
            points = PathPoints.of(block.count, positions, np.full(count, 1 / count), number)
            return paths.run(block, points, Sum(contributions=True))

        return attribution_along(
            paths,
            values_of,
            complete=True,
            base_scores_of=lambda block: paths.mean_score_at_starts(block, shares),
        )

    def _draws(self, background: int, pairs: bool) -> tuple[NDArray, NDArray]:
        """Which example and which position each draw has. The background is gone through again and again, in a new order."""
        generator = np.random.default_rng(self.seed)
        draws = self.samples // 2 if pairs else self.samples
        rounds = [generator.permutation(background) for _ in range(-(-draws // background))]
        examples = np.concatenate(rounds)[:draws]
        positions = generator.uniform(size=2 * draws if pairs else draws)
        if not pairs:
            return examples, positions
        halves = np.tile([0.0, 0.5], draws)
        return np.repeat(examples, 2), halves + positions / 2

    def _background(self, request: Request) -> Network:
        """The background as a batch for the model. Raises ValueError if it is not like the inputs."""
        given, structure = request.network.in_order(self.background), request.network.structure
        if isinstance(structure, dict) and isinstance(given, dict):
            if set(given) != set(structure):
                raise ValueError(
                    f"background has the keys {list(given)}, the inputs {list(structure)}. Give just those."
                )
            given = {name: given[name] for name in structure}  # in the same order
        try:
            background = Network(request.network.model, request.network.with_axes(given))
        except ValueError as error:
            raise ValueError(f"background: {error}") from error
        wanted, given_shapes = (
            [x.shape for x in network.arrays] for network in (request.network, background)
        )
        if [shape[1:] for shape in wanted] != [shape[1:] for shape in given_shapes]:
            raise ValueError(
                f"background has {len(given_shapes)} arrays of shape {given_shapes}, the inputs are {len(wanted)} of {wanted}. Give "
                "examples of the same shape."
            )
        return background

    def _mean_scores(self, paths: Paths, block: Block, number: NDArray, counts: NDArray) -> NDArray:
        """Mean score of each row's draws for its class; rows of the same class share the passes."""
        # What is not explained, and the mask of token ids, is the row's own, so rows cannot share.
        if any(place != "input" for place in paths.network.places):
            first = of_row = np.arange(len(block.targets))
        else:
            _, first, of_row = np.unique(block.targets, return_index=True, return_inverse=True)
        count = number.max() + 1
        rows, starts = (
            np.repeat(first, count).astype(np.int32),
            np.tile(np.arange(count, dtype=np.int32), len(first)),
        )
        zeros = np.zeros(len(rows), np.float32)
        points = PathPoints(rows, zeros[:, None], zeros, starts)
        scores = paths.scores_at(block, points, at_starts=True).reshape(len(first), count)
        shares = np.stack([np.bincount(number[:draws], minlength=count) / draws for draws in counts])
        return (scores[of_row] * shares).sum(1)
