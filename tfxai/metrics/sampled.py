"""Metrics whose numbers are found by sampling: how far each may be from that of infinitely many draws, and when that is enough."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.engines import Example, Perturb, Perturbation, PerturbedScores
from tfxai.metrics.rows import Rows
from tfxai.stats import Looks, jackknife, reach
from tfxai.support import warn

FIRST = 60  # draws before the first look

Measure = Callable[[Example, Sequence[NDArray], PerturbedScores], float]
"""(row, its plan (M, ...), what came of it) -> the metric's number."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How many draws each row gets.

    samples: with a tolerance, at most.
    tolerance, confidence: see `tfxai.support.Tolerance`; a share is one of the number itself.
    """

    samples: int
    tolerance: float | str | None
    confidence: float

    def run(
        self,
        rows: Rows,
        perturbation: Perturbation,
        plans: Callable[[int], Sequence[NDArray]],
        fixed: Callable[[int], Sequence[NDArray]],
        measure: Measure,
        notes: int = 0,
    ) -> tuple[NDArray, dict[str, Any]]:
        """The numbers of all rows (rows,), and what else the result says: standard errors, passes, converged.

        plans, fixed: see `Rows.perturbed`, with one entry for each of all draws. notes: numbers that are noted beside each score.

        Warns where a number is not within the tolerance.
        """
        engine, found = Perturb(rows.request, len(rows) * self.samples), []
        for example in engine.examples():
            plan, needed = plans(example.number), fixed(example.number)

            def scored(
                first: int, last: int, example: Example = example, plan: Any = plan, needed: Any = needed
            ) -> Any:
                some = [array[first:last] for array in plan]
                share = (last - first) / self.samples
                return engine.run(perturbation, example, some, needed, notes=notes, share=share)

            found.append(self._until_sure(example, plan, scored, measure))
        values, errors, passes, widths, converged = (np.array(each) for each in zip(*found, strict=True))
        more: dict[str, Any] = {"standard_error": errors, "passes": passes}
        if self.tolerance is None:
            return values, more
        if not converged.all():
            row = int(np.argmax(np.where(converged, -1, widths)))
            warn(
                f"{int((~converged).sum())} of {len(converged)} numbers are not within the tolerance: in row {row} it may be off by "
                f"{widths[row]:.3g}. Allow more samples, or a larger tolerance."
            )
        return values, {**more, "converged": converged}

    def _until_sure(
        self,
        example: Example,
        plan: Sequence[NDArray],
        scored: Callable[[int, int], PerturbedScores],
        measure: Measure,
    ) -> tuple[float, float, int, float, bool]:
        """A row's number, its standard error, passes, half of its interval, and whether that is within the tolerance."""
        looks = Looks(self.tolerance, self.confidence, self.samples, FIRST)
        scores = notes = np.zeros((0, 0))
        while True:
            more = scored(len(scores), looks.draws)
            scores = np.concatenate([scores, more.scores]) if len(scores) else more.scores
            notes = np.concatenate([notes, more.notes]) if len(notes) else more.notes

            def of(draws: NDArray[np.int64], scores: NDArray = scores, notes: NDArray = notes) -> float:
                return measure(
                    example, [array[draws] for array in plan], PerturbedScores(scores[draws], notes[draws])
                )

            value, error, freedom = jackknife(of, looks.draws)
            # Where nothing has moved yet, as before a rare event, nothing is known.
            width = reach(np.array([[error]]), freedom if error else 0, 1, looks.risk)
            need = looks.need(np.array([[value]]), width)
            if looks.end(need[0]):
                return value, error, looks.draws, float(width[0, 0]), bool(need[0] <= 1)
