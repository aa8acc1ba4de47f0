"""Shapley values of parts, from a weighed regression over coalitions."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tfxai import baselines
from tfxai.engines import Attribution, Coalitions, Method, Request
from tfxai.inputs import segments as cuts
from tfxai.model import Needs
from tfxai.support import InputKey, Seed, warn, whole


@dataclasses.dataclass(frozen=True)
class KernelSHAP(Method):
    """How much does each part add to the score, fairly shared over all orders in which parts could appear?

    `weights` are Shapley values: for each input and class they add up to score(input) - score(all parts hidden) (the
    constraint is solved exactly; `delta` says how exactly). All coalitions are used where they fit into `samples`;
    otherwise pairs of a coalition and its complement, drawn without repeats, evenly over all sizes. `values` repeat a
    part's weight on its places. Images, series and volumes by segments, tables by columns, texts by words or token ids.
    Cost: `samples` forward passes per input (times the rows of the background), whatever the number of classes.

    segments:   asked of the segmenter.
    samples:    coalitions, 2 or more; the empty and the full one are among them.
    segmenter:  as for LIME.
    background: what stands for hidden parts: training rows (R, ...) like the inputs, over which the score is averaged
                (more than 100 are thinned to 100; needed for tables); or a number, an array of one example, or a
                function of tfxai.baselines; unless given, each example's mean colour, and of token ids the padding id, 0. Hidden
                words are left out.
    seed:       of the coalitions, and of the thinning.
    input:      as for LIME.

    Raises ValueError if a setting is wrong, a label map does not fit or has one segment only, or a text has no words.
    Lundberg, Lee: A Unified Approach, 2017. arXiv:1705.07874, theorem 2; pairs: Covert, Lee, 2020. arXiv:2012.01536;
    even over sizes: Musco, Witter: Leverage SHAP, 2024. arXiv:2410.01917
    """

    segments: Annotated[int, whole(2)] = 50
    samples: Annotated[int, whole(2)] = 1000
    segmenter: cuts.Segmenter = "slic"
    background: Any = None
    seed: Seed = 0
    input: InputKey = None
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
        examples, cut, weights, deltas = [], [], [], []
        for example in engine.examples():
            parts = coalitions.parts(example.number, self.segmenter, self.segments)
            visible, shares = drawn(parts.count, self.samples, self.seed)
            if len(shares) < min(parts.count, 2**parts.count - 2):
                warn(
                    f"{self.samples} samples are too few to tell {parts.count} parts apart: some will share their values. "
                    "Take several times as many samples as parts."
                )
            scores = coalitions.scores(engine, example, parts, visible, behind(example.number))
            found = shapley(visible, shares, scores)
            weights.append(found.T)
            deltas.append(found.astype(np.float32).sum(0, dtype=np.float64) - (scores[1] - scores[0]))
            examples.append(example)
            cut.append(parts)
        return coalitions.attribution(examples, cut, weights, delta=np.concatenate(deltas))


def drawn(parts: int, samples: int, seed: int) -> tuple[NDArray, NDArray]:
    """Coalitions, bool (M, parts), the empty and the full one first, and the regression's weights of the rest (M - 2,).

    Every size s holds the kernel's whole weight (parts - 1) / (s (parts - s)), shared by the coalitions drawn of it.
    """
    generator = np.random.default_rng(seed)
    chosen, weights = [np.zeros((1, parts), bool), np.ones((1, parts), bool)], [np.zeros(0)]
    for size, pairs in _pairs(parts, samples).items():
        twin = parts - size
        if size != twin:
            rows = _subsets(generator, parts, size, pairs)
        else:  # the complement is of the same size: only those with the first part
            rows = _subsets(generator, parts - 1, size - 1, pairs)
            rows = np.concatenate([np.ones((len(rows), 1), bool), rows], axis=1)
        chosen += [rows, ~rows]
        kernel = (parts - 1) / (size * twin) * (1 if size == twin else 2)
        weights.append(np.full(2 * pairs, kernel / (2 * pairs)))
    return np.concatenate(chosen), np.concatenate(weights)


def _pairs(parts: int, samples: int) -> dict[int, int]:
    """How many pairs of a coalition and its complement to take of each size up to half, evenly over sizes."""
    there = {
        size: math.comb(parts, size) // (2 if 2 * size == parts else 1) for size in range(1, parts // 2 + 1)
    }
    left, taken = min((samples - 2) // 2, sum(there.values())), {}
    # Sizes with few coalitions first: what they cannot use is shared by the others.
    for i, size in enumerate(sorted(there, key=lambda size: (there[size], size))):
        taken[size] = min(there[size], -(-left // (len(there) - i)))
        left -= taken[size]
    return {size: count for size, count in sorted(taken.items()) if count}


def _subsets(generator: np.random.Generator, parts: int, size: int, count: int) -> NDArray:
    """bool (count, parts): different coalitions of one size."""
    total = math.comb(parts, size)
    if 2 * count >= total:
        every = list(itertools.combinations(range(parts), size))
        members = [every[i] for i in np.sort(generator.choice(total, count, replace=False))]
    else:
        found: dict[tuple[int, ...], None] = {}
        while len(found) < count:
            found[tuple(sorted(generator.choice(parts, size, replace=False).tolist()))] = None
        members = list(found)
    rows = np.zeros((count, parts), bool)
    for row, inside in zip(rows, members, strict=True):
        row[list(inside)] = True
    return rows


def shapley(visible: NDArray, weights: NDArray, scores: NDArray) -> NDArray:
    """(parts, K) Shapley values from coalitions as `drawn` orders them and their scores (M, K).

    What is left of the game after an even split of score(full) - score(empty) is fitted by values that add up to
    zero; where coalitions are too few to tell, by the smallest.
    """
    parts = visible.shape[1]
    even = (scores[1] - scores[0]) / parts
    bits = visible[2:].astype(np.float64)
    rest = scores[2:] - scores[0] - bits.sum(1, keepdims=True) * even
    centred = bits - bits.mean(1, keepdims=True)  # the constraint: only differences between parts count
    root = np.sqrt(weights)[:, None]
    fitted = np.linalg.lstsq(root * centred, root * rest, rcond=None)[0] if len(bits) else 0.0
    return even + np.zeros((parts, 1)) + fitted
