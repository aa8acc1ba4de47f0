"""Gradients collected on the straight way from a baseline to the input."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, Several
from tfxai.engines.method import Answer, Method, Question, total
from tfxai.engines.paths import Block, Chunk, Contributions, Paths, Table, answered, by_row

PART = 5  # points of the Gauss-Legendre rule in each part of a refined path
ROUNDS = 12  # a part is halved at most this often


@dataclasses.dataclass(frozen=True)
class IntegratedGradients(Method):
    """How much does each value contribute to the change of the score from a baseline to this input?

    Signed. Complete up to the integration error: `delta` is that error, sum(values) - (score(input) -
    score(baseline)). On networks with many kinks the score is rough along the path and the error falls slowly with
    `steps`; `tolerance` puts the points where they are needed.

    Cost: `steps` forward and backward passes per input, target and baseline, and two forward passes. With a
    tolerance: the same to begin with, then 10 passes for every part of the path that has to be halved.

    steps:     points on the path.
    baseline:  what "absent" looks like: a number, an array that broadcasts, a function from tfxai.baselines, or
               tfxai.baselines.several(...) to average over some. Token ids are explained at their embedding: there a
               number means that number in every dimension, an array or function gives token ids.
    rule:      "gauss_legendre", "midpoint" or "trapezoid".
    tolerance: largest error wanted, as a fraction of |score(input) - score(baseline)|: the path is cut into
               steps / 5 parts, whose errors are known from the scores at their ends, and the bad ones are halved (at
               most 12 times), by Gauss-Legendre whatever the rule.

    Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, 2017. arXiv:1703.01365, equation 1
    """

    steps: int = 50
    baseline: Baseline = 0.0
    rule: Literal["gauss_legendre", "midpoint", "trapezoid"] = "gauss_legendre"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.rule not in ("gauss_legendre", "midpoint", "trapezoid"):
            raise ValueError(f'rule is {self.rule!r}. Give "gauss_legendre", "midpoint" or "trapezoid".')
        if self.steps < (2 if self.rule == "trapezoid" else 1):
            raise ValueError(f"steps is {self.steps}. Give 1 or more (2 for the trapezoid rule).")
        if self.tolerance is not None and not 0 < self.tolerance < 1:
            raise ValueError(
                f"tolerance is {self.tolerance}. Give a fraction of the score's change, between 0 and 1."
            )

    def answer(self, question: Question) -> Answer:
        baselines = self.baseline.baselines if isinstance(self.baseline, Several) else (self.baseline,)
        answers = [self._along(Paths(question, (), starts=question.baselines_of(b))) for b in baselines]
        first, count = answers[0], len(answers)
        values = [
            None if parts[0] is None else sum(parts) / count
            for parts in zip(*(a.values for a in answers), strict=True)
        ]
        return Answer(values, first.targets, first.scores, sum(a.delta for a in answers) / count)

    def _along(self, paths: Paths) -> Answer:
        if self.tolerance is not None:
            return answered(paths, lambda block: self._refined(paths, block), complete=True)
        positions, weights = nodes(self.rule, self.steps)
        return answered(
            paths,
            lambda block: paths.run(block, Table.of(len(block.targets), positions, weights), Contributions()),
            complete=True,
        )

    def _refined(self, paths: Paths, block: Block) -> list[NDArray]:
        """Halves the parts of the path whose error is too large; accepted parts are never evaluated again."""
        count, rows = max(self.steps // PART, 1), len(block.targets)
        edges = np.linspace(0, 1, count + 1)
        owner = np.repeat(np.arange(rows, dtype=np.int32), count)
        low, high = np.tile(edges[:-1], rows), np.tile(edges[1:], rows)
        inner = np.tile(edges[1:-1], rows)
        between = paths.scores_at(
            block, _points(np.repeat(np.arange(rows, dtype=np.int32), count - 1), inner)
        )
        ladder = np.column_stack([block.base_scores, between.reshape(rows, count - 1), block.scores])
        at_low, at_high = ladder[:, :-1].reshape(-1), ladder[:, 1:].reshape(-1)
        left = self.tolerance * np.abs(block.scores - block.base_scores).astype(np.float64)
        values: list[NDArray] | None = None
        for number in range(ROUNDS + 1):
            # What is left of the error budget, shared among the parts of the same row that are still open.
            allowed = (left / np.maximum(np.bincount(owner, minlength=rows), 1))[owner]
            if number == ROUNDS:
                allowed[:] = np.inf
            *found, _, gaps = paths.run(block, _parts(owner, low, high), Parts(at_high - at_low, allowed))
            values = found if values is None else [old + new for old, new in zip(values, found, strict=True)]
            accepted = np.abs(gaps) <= allowed
            np.subtract.at(left, owner[accepted], np.abs(gaps[accepted]))
            owner, low, high, at_low, at_high = (a[~accepted] for a in (owner, low, high, at_low, at_high))
            if not len(owner):
                break
            middle = (low + high) / 2
            at_middle = paths.scores_at(block, _points(owner, middle))
            owner = np.concatenate([owner, owner])
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
            at_low, at_high = np.concatenate([at_low, at_middle]), np.concatenate([at_middle, at_high])
        return values or []


def nodes(rule: str, steps: int) -> tuple[NDArray, NDArray]:
    """Positions in 0..1 and weights, which sum to 1."""
    if rule == "gauss_legendre":
        positions, weights = np.polynomial.legendre.leggauss(steps)
        return (positions + 1) / 2, weights / 2
    if rule == "midpoint":
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    weights = np.full(steps, 1 / (steps - 1))
    weights[[0, -1]] /= 2
    return np.linspace(0, 1, steps), weights


def _points(rows: NDArray, positions: NDArray) -> Table:
    return Table(
        rows.astype(np.int32), positions.astype(np.float32).reshape(-1, 1), np.zeros(len(rows), np.float32)
    )


def _parts(rows: NDArray, low: NDArray, high: NDArray) -> Table:
    """Gauss-Legendre points inside each part. Parameters: position, and the number of the part."""
    positions, weights = nodes("gauss_legendre", PART)
    width = high - low
    at = low[:, None] + width[:, None] * positions
    number = np.repeat(np.arange(len(rows)), PART)
    parameters = np.column_stack([at.reshape(-1), number]).astype(np.float32)
    share = (width[:, None] * weights).astype(np.float32).reshape(-1)
    return Table(np.repeat(rows.astype(np.int32), PART), parameters, share, unit=PART)


class Parts:
    """Contributions of the parts whose error is small enough, and the error of every part.

    rise:    (parts,) difference of the scores at a part's ends.
    allowed: (parts,) largest error with which it is accepted.
    """

    def __init__(self, rise: NDArray, allowed: NDArray) -> None:
        self.rise, self.allowed = rise, allowed

    def start(self, zeros: list[Any], table: Table) -> list[Any]:
        # As part of the state, since they change from round to round and the traced loop does not.
        known = tf.constant(np.stack([self.rise, self.allowed], 1), tf.float32)
        return [*(tf.zeros_like(zero) for zero in zeros), known, tf.zeros([len(self.rise)])]

    def update(self, state: list[Any], chunk: Chunk) -> list[Any]:
        *values, known, gaps = state
        rise, allowed = known[:, 0], known[:, 1]
        parts, of_part, count = (
            chunk.contributions,
            tf.cast(chunk.parameters[:, 1], tf.int32),
            tf.shape(gaps)[0],
        )
        found = tf.math.unsorted_segment_sum(chunk.weights * total(parts), of_part, count)
        here = tf.math.unsorted_segment_max(chunk.weights, of_part, count) > 0
        gaps = tf.where(here, found - rise, gaps)
        accepted = tf.cast(tf.abs(gaps) <= allowed, tf.float32)
        taken = dataclasses.replace(chunk, weights=chunk.weights * tf.gather(accepted, of_part))
        return [
            *(value + by_row(part, taken) for value, part in zip(values, parts, strict=True)),
            known,
            gaps,
        ]
