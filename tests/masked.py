"""Plain transcriptions of the methods that hide parts, on the twins of tests/kinds.py.

Each lists the masks of one example and has the twin score them all as one batch; what follows is loops over masks.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import exact_games
import numpy as np
import scipy.special
import tensorflow as tf
import truth
from kinds import Kind, flat
from truth import predicted

Score = Callable[[np.ndarray], np.ndarray]
"""Changes of the explained input of one example (M, ...) -> the scores of its class (M,)."""


def scorers(kind: Kind) -> list[Score]:
    """For each example, the score of its predicted class as a function of the input that is hidden in parts."""
    targets = predicted(kind)

    def scorer(i: int) -> Score:
        def score(changed: np.ndarray) -> np.ndarray:
            flat = [np.repeat(x[i : i + 1], len(changed), 0) for x in kind.flat]
            flat[kind.image] = changed
            return kind.logits(kind.points_of(flat)).numpy()[:, targets[i]].astype(np.float64)

        return score

    return [scorer(i) for i in range(len(targets))]


def hidden(x: np.ndarray, masks: Any) -> np.ndarray:
    """One x (1, ...) for each of the masks (M, *space), with zeros where the mask is 0."""
    masks = np.stack(masks)
    # Of pixels of 8 bits what is half hidden is no whole number.
    dtype = np.float32 if x.dtype == np.uint8 else x.dtype
    return (x * masks.reshape(*masks.shape, *[1] * (x.ndim - masks.ndim))).astype(dtype)


def space(kind: Kind) -> tuple[int, ...]:
    return truth.space(kind, kind.image)


def explained(kind: Kind, one: Callable[[np.ndarray, Score, int], np.ndarray]) -> np.ndarray:
    """Maps of all examples, with one channel where the input has channels."""
    x = kind.flat[kind.image]
    maps = np.stack([one(x[i : i + 1], score, i) for i, score in enumerate(scorers(kind))])
    return truth.with_channel(maps, kind, kind.image)


def occlusion(kind: Kind, window: int, stride: int) -> np.ndarray:
    shape = space(kind)
    axes = [sorted({*range(0, n - window + 1, stride), n - window}) for n in shape]
    masks = []
    for corner in itertools.product(*axes):
        masks.append(np.ones(shape))
        masks[-1][tuple(slice(c, c + window) for c in corner)] = 0

    def one(x: np.ndarray, score: Score, _: int) -> np.ndarray:
        total, count = np.zeros(shape), np.zeros(shape)
        whole, *scores = score(hidden(x, [np.ones(shape), *masks]))
        for mask, value in zip(masks, scores, strict=True):
            total += (1 - mask) * (whole - value)
            count += 1 - mask
        return total / count

    return explained(kind, one)


def rise(kind: Kind, samples: int, cells: int, keep: float, seed: int) -> np.ndarray:
    """Grids enlarged by interpolation, one line at a time, to (cells + 1) cells, then cropped at a shift.

    In pairs of chances c and 1 - c. What the scores owe to a linear function of the mask is known by going through all shifts
    and all single bits; the rest of each pair is seen with a function that was fitted without it.
    """
    generator, pairs = np.random.default_rng(seed), math.ceil(samples / 2)
    chances = generator.random((pairs, cells, cells))
    sides = space(kind)
    steps = [math.ceil(side / cells) for side in sides]
    shifts = generator.integers(0, steps, (pairs, 2))

    def mask(grid: np.ndarray, shift: np.ndarray) -> np.ndarray:
        large = grid.astype(float)
        for axis in (0, 1):
            length = (cells + 1) * steps[axis]
            where = (np.arange(length) + 0.5) * cells / length - 0.5
            large = np.apply_along_axis(
                lambda line, w=where: np.interp(w, np.arange(cells), line), axis, large
            )
        return large[shift[0] :, shift[1] :][: sides[0], : sides[1]]

    twos = [
        (mask(c < keep, shift), mask(1 - c <= keep, shift)) for c, shift in zip(chances, shifts, strict=True)
    ]
    masks = [each for two in twos for each in two][:samples]
    nodes = [np.linspace(0, side - 1, min(2 * cells, 20, side)).round().astype(int) for side in sides]
    x = np.stack([each[np.ix_(*nodes)].ravel() for each in masks]) - keep
    ends = np.eye(cells * cells).reshape(-1, cells, cells)
    together = np.mean(
        [
            sum(
                np.multiply.outer(each[np.ix_(*nodes)].ravel(), each)
                for each in (mask(bit, shift) for bit in ends)
            )
            for shift in itertools.product(*map(range, steps))
        ],
        axis=0,
    )

    def one(x_: np.ndarray, score: Score, _: int) -> np.ndarray:
        scores = np.asarray(score(hidden(x_, masks)), np.float64)
        paired = len(scores) // 2
        first, second = (x[i : 2 * paired : 2] for i in (0, 1))
        away = scores[0 : 2 * paired : 2] - scores[1 : 2 * paired : 2]

        def fitted(penalty: float, out: int | None = None) -> np.ndarray:
            rows = [i for i in range(paired) if i != out]
            apart = (first - second)[rows]
            return np.linalg.solve(apart.T @ apart + penalty * np.eye(x.shape[1]), apart.T @ away[rows])

        largest = np.linalg.norm(first - second, 2) ** 2

        def wrong(share: float) -> float:
            return sum(
                (away[i] - (first - second)[i] @ fitted(share * largest, i)) ** 2 for i in range(paired)
            )

        penalty = largest * min(np.geomspace(1e-5, 100, 22), key=wrong)
        whole = fitted(penalty)
        without = [fitted(penalty, i) for i in range(paired)]
        rest = np.array(
            [s - x[n] @ (without[n // 2] if n // 2 < paired else whole) for n, s in enumerate(scores)]
        )
        mean = rest.mean()
        left = sum((r - mean) * m for r, m in zip(rest, masks, strict=True)) / (samples * keep)
        return mean + (1 - keep) * np.tensordot(whole, together, 1) + left

    return explained(kind, one)


def score_cam(kind: Kind, channels: int | None = None) -> list[Any]:
    """The paper's equations; what is masked is the point (the embedding of tokens)."""
    points, targets = kind.at(), predicted(kind)
    totals: list[Any] = [None] * len(points)
    for piece, features in zip(kind.pieces, flat(kind.features(points, tf.nn.relu)), strict=True):
        maps, heats = truth.read(kind, features), []
        for i, target in enumerate(targets):

            def probabilities(masks: Any, i: int = i, target: int = target, piece: Any = piece) -> np.ndarray:
                at = [tf.repeat(p[i : i + 1], len(masks), 0) for p in points]
                seen = np.stack(masks).reshape(
                    len(masks), *masks[0].shape, *[1] * (at[piece.image].ndim - 1 - masks[0].ndim)
                )
                at[piece.image] = at[piece.image] * tf.constant(seen, tf.float32)
                return kind.probabilities(at)[:, target]

            strength = np.abs(maps[i]).mean(tuple(range(maps.ndim - 2)))
            strongest = np.argsort(-strength, kind="stable")[:channels]
            where = truth.space(kind, piece.image)
            large = [truth.enlarged(maps[i : i + 1, ..., k], kind, piece).reshape(where) for k in strongest]
            scaled = [(m - m.min()) / (m.max() - m.min()) if m.max() > m.min() else 0 * m for m in large]
            nothing, *gains = probabilities([0 * scaled[0], *scaled])
            weights = scipy.special.softmax(np.array(gains) - nothing)
            varied = [m * (m.max() > m.min()) for m in large]
            heats.append(np.maximum(sum(w * m for w, m in zip(weights, varied, strict=True)), 0))
        values = truth.with_channel(np.stack(heats), kind, piece.image)
        totals[piece.image] = values + (0 if totals[piece.image] is None else totals[piece.image])
    return totals


def ablation_cam(kind: Kind) -> list[Any]:
    """The maps as they are and without each of their channels, all after each other in one batch."""
    points, targets = kind.at(), predicted(kind)
    features = kind.features(points, tf.nn.relu)
    heats = []
    for number, maps in enumerate(flat(features)):
        spread = truth.read(kind, maps)
        channels = spread.shape[-1]
        kept = [np.ones(channels), *(1 - np.eye(channels))]
        batch = [tf.concat([each] * len(kept), 0) for each in flat(features)]
        batch[number] = tf.concat([maps * tf.constant(row, maps.dtype) for row in kept], 0)
        changed = batch if isinstance(features, list) else batch[0]
        logits = kind.head(changed, [tf.concat([p] * len(kept), 0) for p in points], tf.nn.relu)
        logits = tf.cast(logits, tf.float32).numpy().reshape(len(kept), len(targets), -1)
        whole, *without = logits[:, np.arange(len(targets)), targets]
        heat = np.zeros(spread.shape[:-1])
        for k in range(channels):
            heat += (whole - without[k]).reshape(-1, *[1] * (heat.ndim - 1)) * spread[..., k]
        heats.append(heat)
    return truth.added(kind, heats)


def lime(kind: Kind, labels: np.ndarray, samples: int, seed: int) -> list[np.ndarray]:
    """Weights of each example, by the normal equations of the weighed ridge regression."""
    found = []
    for i, score in enumerate(scorers(kind)):
        parts = labels[i].max() + 1
        bits = np.random.default_rng(seed).random((samples, parts)) < 0.5
        bits[0] = True
        x = kind.flat[kind.image][i : i + 1]
        y = score(hidden(x, [row[labels[i]] for row in bits]))
        cosine = [row.sum() / (math.sqrt(row.sum()) * math.sqrt(parts)) if row.any() else 0.0 for row in bits]
        weights = np.sqrt(np.exp(-((1 - np.array(cosine)) ** 2) / 0.25**2))
        design = np.column_stack([bits, np.ones(samples)])
        penalty = np.diag([1.0] * parts + [0.0])
        found.append(np.linalg.solve(design.T * weights @ design + penalty, design.T * weights @ y)[:-1])
    return found


def shapley(kind: Kind, labels: np.ndarray) -> list[np.ndarray]:
    """By definition, over all coalitions."""
    found = []
    for i, score in enumerate(scorers(kind)):
        parts, x = labels[i].max() + 1, kind.flat[kind.image][i : i + 1]
        coalitions: list[tuple[int, ...]] = [*itertools.product((0, 1), repeat=parts)]
        scores = score(hidden(x, [np.array(bits)[labels[i]] for bits in coalitions]))
        worth = dict(zip(coalitions, scores, strict=True))
        found.append(np.array([marginal(worth, parts, j) for j in range(parts)]))
    return found


def interactions(kind: Kind, labels: np.ndarray, index: str) -> list[np.ndarray]:
    """By definition, over all coalitions."""
    found = []
    for i, score in enumerate(scorers(kind)):
        parts, x = labels[i].max() + 1, kind.flat[kind.image][i : i + 1]
        coalitions = exact_games.members(int(parts))
        scores = score(hidden(x, [bits[labels[i]] for bits in coalitions]))
        found.append(exact_games.interactions(np.asarray(scores, np.float64), index))
    return found


def marginal(worth: dict[tuple[int, ...], float], parts: int, j: int) -> float:
    total = 0.0
    for bits, value in worth.items():
        if not bits[j]:
            size = sum(bits)
            chance = math.factorial(size) * math.factorial(parts - size - 1) / math.factorial(parts)
            total += chance * (worth[(*bits[:j], 1, *bits[j + 1 :])] - value)
    return total


def owen_of_quarters(kind: Kind) -> np.ndarray:
    """Halves of halves along the longest side: each part joins before or after its sibling, and their half so too."""

    def halves(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        places = np.argwhere(mask)
        low, high = places.min(0), places.max(0) + 1
        axis = int(np.argmax(high - low))
        if (high - low)[axis] < 2:
            return mask, 0 * mask
        first = np.zeros_like(mask)
        first[tuple(slice(a, b if n != axis else a + (b - a) // 2) for n, (a, b) in enumerate(zip(low, high, strict=True)))] = 1  # fmt: skip
        return first, mask - first

    quarters, masks = [], []
    left, right = halves(np.ones(space(kind), int))
    for half, rest in ((left, right), (right, left)):
        first, second = halves(half)
        for quarter, sibling in ((first, second), (second, first)):
            contexts = [a * rest + b * sibling for a in (0, 1) for b in (0, 1)]
            quarters.append(quarter)
            masks += [*contexts, *(context + quarter for context in contexts)]

    def one(x: np.ndarray, score: Score, _: int) -> np.ndarray:
        worth = score(hidden(x, masks)).reshape(len(quarters), 2, 4)
        gains = (worth[:, 1] - worth[:, 0]).mean(1)
        result = np.zeros(space(kind))
        for quarter, gain in zip(quarters, gains, strict=True):
            result += quarter * gain / max(quarter.sum(), 1)
        return result

    return explained(kind, one)
