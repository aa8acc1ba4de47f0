"""The result of TCAV: scores, tests and vectors, as a table and in a file."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results import Stored
from tfxai.stats import Correction, corrected, paired, reach


@dataclasses.dataclass(frozen=True, eq=False)
class TCAVResult(Stored):
    """How much do classes lean on concepts, layer by layer? T targets, C concepts, L layers, R runs.

    targets, concepts, layers: their names.
    scores:        float32 (T, C, L, R): share of the class images for which more of the concept raises the class, 0 to 1;
                   a derivative of exactly zero does not raise it.
    magnitudes:    float32 (T, C, L, R): by how much, as a mean over images: score units for a step of length 1 in the
                   layer towards the concept.
    random_scores: float32 (T, L, R): `scores` of random sets in the place of a concept.
    accuracies:    float32 (C, L, R): balanced accuracy of the linear classifier on held-out images, 0 to 1.
    learned:       bool (C, L): whether that is more than guessing reaches in 19 of 20 cases.
    p_raw, p_value: float64 (T, C, L): of "the scores are those of random sets" by Welch's test, before and after
                   correction for all concepts and layers of a target; NaN where the concept is not learned.
    p_permutation: the same by a permutation test, without correction.
    cavs:          (concept, layer) -> float32 (R, *shape of the layer): unit vectors towards the concept.
    overlaps:      float64 (C,): variance that a concept's runs share, over that between them; see `tfxai.stats.significance.welch`.
    alpha, correction, seed: as they were asked for.
    converged:     bool (T, C, L): whether each score is known to TCAV's tolerance; None where none was given.
    """

    called = "TCAV result"

    targets: list[int]
    concepts: list[str]
    layers: list[str]
    scores: NDArray[np.float32]
    magnitudes: NDArray[np.float32]
    random_scores: NDArray[np.float32]
    accuracies: NDArray[np.float32]
    learned: NDArray[np.bool_]
    p_raw: NDArray[np.float64]
    p_permutation: NDArray[np.float64]
    p_value: NDArray[np.float64]
    cavs: dict[tuple[str, str], NDArray[np.float32]]
    overlaps: NDArray[np.float64]
    alpha: float = 0.05
    correction: Correction = "holm"
    seed: int = 0
    converged: NDArray[np.bool_] | None = None

    def problem(self) -> str:
        """See `Stored.problem`: every array is of the same targets, concepts, layers and runs."""
        t, c, k, r = (len(self.targets), len(self.concepts), len(self.layers), np.shape(self.scores)[-1:])
        wanted = {
            **dict.fromkeys(("scores", "magnitudes"), (t, c, k, *r)),
            **dict.fromkeys(("p_raw", "p_permutation", "p_value"), (t, c, k)),
            "random_scores": (t, k, *r),
            "accuracies": (c, k, *r),
            "learned": (c, k),
            "overlaps": (c,),
        }
        for name, shape in wanted.items():
            if np.shape(getattr(self, name)) != shape:
                return f"{name} has the shape {np.shape(getattr(self, name))}, where {shape} is expected"
        return ""

    @property
    def significant(self) -> NDArray[np.bool_]:
        """(T, C, L): whether a concept's score differs from chance, at `alpha`."""
        return np.nan_to_num(self.p_value, nan=1.0) < self.alpha

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for every target, layer and concept.

        target, concept, layer; score: mean over runs, NaN where the concept is not learned; std: over runs; low, high: where it
        lies for other images of the concept like these, at 95 % (a t-interval, wider for what runs share); magnitude; p_raw,
        p_permutation, p_value; significant; accuracy; learned; runs.
        """
        return [
            self._row(t, c, k)
            for t in range(len(self.targets))
            for k in range(len(self.layers))
            for c in range(len(self.concepts))
        ]

    def _row(self, t: int, c: int, k: int) -> dict[str, Any]:
        """Target t, concept c, layer k."""
        scores, p_value = self.scores[t, c, k], float(self.p_value[t, c, k])
        return {
            "target": self.targets[t],
            "concept": self.concepts[c],
            "layer": self.layers[k],
            "score": float(scores.mean()) if self.learned[c, k] else math.nan,
            "std": float(scores.std(ddof=1)),
            **dict(zip(("low", "high"), self._interval(t, c, k), strict=True)),
            "magnitude": float(self.magnitudes[t, c, k].mean()),
            "p_raw": float(self.p_raw[t, c, k]),
            "p_permutation": float(self.p_permutation[t, c, k]),
            "p_value": p_value,
            "significant": p_value < self.alpha,  # NaN, where the concept is not learned, is not
            "accuracy": float(self.accuracies[c, k].mean()),
            "learned": bool(self.learned[c, k]),
            "runs": len(scores),
        }

    def _interval(self, t: int, c: int, k: int) -> tuple[float, float]:
        """Of the mean score; NaN where the concept is not learned."""
        if not self.learned[c, k]:
            return math.nan, math.nan
        scores = self.scores[t, c, k].astype(np.float64)
        spread = scores.std(ddof=1) * math.sqrt(1 + self.overlaps[c] * len(scores))
        half = float(reach(spread / math.sqrt(len(scores)), len(scores) - 1, 1, 0.05))
        return max(scores.mean() - half, 0.0), min(scores.mean() + half, 1.0)

    def compare(self, concept: str, other: str) -> list[dict[str, Any]]:
        """Does a class lean on one concept more than on another? Such as an apron, on women or on men.

        A row for every target and each layer in which both are learned: score and other_score (means over runs),
        difference, p_raw of "there is no difference" run by run, p_value (corrected over targets and layers),
        significant; alike: cosine of their vectors, -1 to 1, because two concepts with the same direction cannot be told
        apart.

        Raises ValueError if a concept does not exist, or no layer has learned both.
        """
        for name in (concept, other):
            if name not in self.concepts:
                raise ValueError(f"There is no concept {name!r}. There are: {', '.join(self.concepts)}.")
        both = self.learned[[self.concepts.index(name) for name in (concept, other)]].all(axis=0)
        if not both.any():
            raise ValueError(
                f"No layer has learned both {concept!r} and {other!r}, so they cannot be compared."
            )
        rows = [
            self._compared(concept, other, t, k)
            for t in range(len(self.targets))
            for k in np.flatnonzero(both).tolist()
        ]
        p_values = corrected([row["p_raw"] for row in rows], self.correction)
        return [
            {**row, "p_value": float(p_value), "significant": bool(p_value < self.alpha)}
            for row, p_value in zip(rows, p_values, strict=True)
        ]

    def _compared(self, concept: str, other: str, t: int, k: int) -> dict[str, Any]:
        """Both concepts' scores for target t in layer k."""
        names, layer = (concept, other), self.layers[k]
        first, second = (self.scores[t, self.concepts.index(name), k] for name in names)
        vectors = [self.cavs[name, layer].reshape(len(first), -1).mean(axis=0) for name in names]
        lengths = [np.linalg.norm(vector) for vector in vectors]
        return {
            "target": self.targets[t],
            "layer": layer,
            "score": float(first.mean()),
            "other_score": float(second.mean()),
            "difference": float(first.mean() - second.mean()),
            # Both are told from the same random images: what is left is half shared between runs.
            "p_raw": paired(first, second, 1.0, self.seed),
            "alike": float(vectors[0] @ vectors[1] / max(np.prod(lengths), 1e-30)),
        }

    def to_dict(self) -> dict[str, Any]:
        """The table and what led to it, as lists and numbers for JSON (NaN as None); without the vectors."""
        return {
            "table": [{key: _without_nan(value) for key, value in row.items()} for row in self.table],
            "scores": self.scores.tolist(),
            "random_scores": self.random_scores.tolist(),
            "alpha": self.alpha,
            "correction": self.correction,
            "seed": self.seed,
        }

    def _repr_html_(self) -> str:
        """The chart and the table, for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook

        return notebook.inlined(plots.tcav(self), repr(self))

    def __repr__(self) -> str:
        concepts = max(map(len, [*self.concepts, "concept"]))
        layers = max(map(len, [*self.layers, "layer"]))
        lines = [
            f"TCAVResult({self.scores.shape[-1]} runs, {self.correction} at {self.alpha:g})",
            f"  {'class':>5}  {'layer':{layers}}  {'concept':{concepts}}  score  std   p        accuracy",
        ]
        lines += [
            f"  {row['target']:5}  {row['layer']:{layers}}  {row['concept']:{concepts}}  {_numbers(row)}"
            for row in self.table
        ]
        return "\n".join(lines)


def _without_nan(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _numbers(row: dict[str, Any]) -> str:
    """The right part of a printed row."""
    if not row["learned"]:
        return f"{'':21}  {row['accuracy']:8.2f}  not learned in this layer"
    verdict = "significant" if row["significant"] else "not significant"
    return (
        f"{row['score']:5.2f}  {row['std']:4.2f}  {row['p_value']:<7.2g}  {row['accuracy']:8.2f}  {verdict}"
    )
