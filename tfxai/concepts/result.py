"""What TCAV found."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results import Stored
from tfxai.stats import Correction, corrected, paired


@dataclasses.dataclass(frozen=True, eq=False)
class TCAVResult(Stored):
    """How much classes lean on concepts, layer by layer. T targets, C concepts, L layers, R runs.

    targets, concepts, layers: their names.
    scores:        float32 (T, C, L, R): part of the class images for which more of the concept raises the class, 0 to 1;
                   a derivative of exactly zero does not raise it.
    magnitudes:    float32 (T, C, L, R): by how much, on the mean over images: score units for a step of length 1 in the
                   layer towards the concept.
    random_scores: float32 (T, L, R): `scores` of random sets in the place of a concept.
    accuracies:    float32 (C, L, R): balanced accuracy of the linear classifier on held-out images, 0 to 1.
    learned:       bool (C, L): whether that is more than guessing reaches in 19 of 20 cases.
    p_raw, p_value: float64 (T, C, L): of "the scores are those of random sets" by Welch's test, before and after
                   correction for all concepts and layers of a target; NaN where the concept is not learned.
    p_permutation: the same by a permutation test, without correction.
    cavs:          (concept, layer) -> float32 (R, *shape of the layer): unit vectors towards the concept.
    overlaps:      float64 (C,): variance that a concept's runs share, over that between them; see tfxai.significance.
    alpha, correction, seed: as they were asked for.
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

    @property
    def significant(self) -> NDArray[np.bool_]:
        """(T, C, L): whether a concept's score is other than chance."""
        return np.nan_to_num(self.p_value, nan=1.0) < self.alpha

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row for every target, layer and concept.

        target, concept, layer; score: mean over runs, NaN where the concept is not learned; std: over runs; magnitude;
        p_raw, p_permutation, p_value; significant; accuracy; learned; runs.
        """
        return [
            {
                "target": target,
                "concept": concept,
                "layer": layer,
                "score": float(self.scores[t, c, k].mean()) if self.learned[c, k] else math.nan,
                "std": float(self.scores[t, c, k].std(ddof=1)),
                "magnitude": float(self.magnitudes[t, c, k].mean()),
                "p_raw": float(self.p_raw[t, c, k]),
                "p_permutation": float(self.p_permutation[t, c, k]),
                "p_value": float(self.p_value[t, c, k]),
                "significant": bool(self.significant[t, c, k]),
                "accuracy": float(self.accuracies[c, k].mean()),
                "learned": bool(self.learned[c, k]),
                "runs": self.scores.shape[-1],
            }
            for t, target in enumerate(self.targets)
            for k, layer in enumerate(self.layers)
            for c, concept in enumerate(self.concepts)
        ]

    def compare(self, concept: str, other: str) -> list[dict[str, Any]]:
        """Does a class lean more on one concept than on another? As for apron, between women and men.

        A row for every target and layer: score and other_score (means over runs), difference, p_raw of "there is no
        difference" run by run, p_value (corrected over targets and layers), significant; alike: cosine of their
        vectors, -1 to 1, for two concepts with the same direction cannot be told apart.

        Raises ValueError if there is no such concept, or one of the two is learned in no layer that the other is.
        """
        for name in (concept, other):
            if name not in self.concepts:
                raise ValueError(f"There is no concept {name!r}. There are: {', '.join(self.concepts)}.")
        one, two = self.concepts.index(concept), self.concepts.index(other)
        both = [k for k in range(len(self.layers)) if self.learned[one, k] and self.learned[two, k]]
        if not both:
            raise ValueError(
                f"No layer has learned both {concept!r} and {other!r}, so they cannot be compared."
            )
        rows = []
        for t, target in enumerate(self.targets):
            for k in both:
                ours, theirs = self.scores[t, one, k], self.scores[t, two, k]
                vectors = [
                    self.cavs[name, self.layers[k]].reshape(len(ours), -1).mean(axis=0)
                    for name in (concept, other)
                ]
                lengths = [np.linalg.norm(vector) for vector in vectors]
                rows.append(
                    {
                        "target": target,
                        "layer": self.layers[k],
                        "score": float(ours.mean()),
                        "other_score": float(theirs.mean()),
                        "difference": float(ours.mean() - theirs.mean()),
                        # Both are told from the same random images: what is left is half shared between runs.
                        "p_raw": paired(ours, theirs, 1.0, self.seed),
                        "alike": float(vectors[0] @ vectors[1] / max(np.prod(lengths), 1e-30)),
                    }
                )
        for row, p_value in zip(
            rows, corrected([row["p_raw"] for row in rows], self.correction), strict=True
        ):
            row |= {"p_value": float(p_value), "significant": bool(p_value < self.alpha)}
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The table and what led to it, as lists and numbers for JSON (NaN as None); without the vectors."""
        rows = [
            {
                key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in row.items()
            }
            for row in self.table
        ]
        return {
            "table": rows,
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
        concepts, layers = (
            max(map(len, [*names, what]))
            for names, what in ((self.concepts, "concept"), (self.layers, "layer"))
        )
        lines = [
            f"TCAVResult({self.scores.shape[-1]} runs, {self.correction} at {self.alpha:g})",
            f"  {'class':>5}  {'layer':{layers}}  {'concept':{concepts}}  score  std   p        accuracy",
        ]
        for row in self.table:
            told = (
                f"{row['score']:5.2f}  {row['std']:4.2f}  {row['p_value']:<7.2g}  {row['accuracy']:8.2f}"
                f"  {'significant' if row['significant'] else 'not significant'}"
                if row["learned"]
                else f"{'':21}  {row['accuracy']:8.2f}  not learned in this layer"
            )
            lines.append(f"  {row['target']:5}  {row['layer']:{layers}}  {row['concept']:{concepts}}  {told}")
        return "\n".join(lines)
