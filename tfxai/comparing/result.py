"""What was found between two models: similarities, tests, and which examples changed most."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.comparing.questions import RISK, TWINS, by_class, inside_p_value, less_alike
from tfxai.concepts import TCAVResult
from tfxai.results import Stored
from tfxai.stats import corrected


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ModelComparison(Stored):
    """What changed between an old model and a new one, on N examples, beside K twins: the old model trained again.

    similarity:      float32 (N,): share of the evidence that the new map and the old one have in common, in the same places with the
                     same sign, 0 to 1; see `tfxai.stats.similarity.in_common`.
    twin_similarity: float32 (K, N): the same of each twin's map and the old one.
    targets:         int (N,): explained classes; -1 where there are none.
    predictions:     int (K + 2, N): classes by the old model, the new one, and each twin; -1 where there are none.
    most_changed:    int (N,): the examples, those first whose new map is least like the old one, beside how like it the twins' are.
    inside:          float64 (K + 2, N): share of the positive evidence inside of the regions, 0 to 1, in the same order; or None.
    concepts:        TCAV of the old model, the new one, and each twin; or None.
    inputs, maps:    (S, ...) and float32 (2, S, ...): of the first of `most_changed`, the old and the new maps.
    method:          the method with its settings, as text.
    """

    called = "comparison of models"

    similarity: NDArray[np.float32]
    twin_similarity: NDArray[np.float32]
    targets: NDArray[np.int64]
    predictions: NDArray[np.int64]
    most_changed: NDArray[np.int64]
    inside: NDArray[np.float64] | None
    concepts: list[TCAVResult] | None
    inputs: NDArray
    maps: NDArray[np.float32]
    method: str

    def problem(self) -> str:
        """See `Stored.problem`: every array is of the same twins and examples."""
        twins, count = np.shape(self.twin_similarity)[0], len(self.similarity)
        wanted = {
            "twin_similarity": (twins, count),
            "targets": (count,),
            "predictions": (twins + 2, count),
            "most_changed": (count,),
            **({} if self.inside is None else {"inside": (twins + 2, count)}),
        }
        for name, shape in wanted.items():
            if np.shape(getattr(self, name)) != shape:
                return f"{name} has the shape {np.shape(getattr(self, name))}, where {shape} is expected"
        return (
            ""
            if len(self.inputs) == np.shape(self.maps)[1]
            else "inputs and maps are not of the same examples"
        )

    @property
    def changed(self) -> bool | None:
        """Whether the new model looks at something else than the old one, by more than training again changes; None without 3 twins.

        Of models that were only trained again about 1 in 20 is said to have changed, however many questions are asked. (Measured on
        pools of up to 80 small networks: 2 to 8 %, depending on method and question, 5 % on average.)
        """
        return None if math.isnan(self.p_value) else self.p_value < RISK

    @property
    def less_alike(self) -> bool:
        """Whether the maps of all examples together are less like the old ones than twins' are; False without 3 twins."""
        return self.p_values["all"] < RISK

    @property
    def p_value(self) -> float:
        """Of "the new model is one more twin", corrected for all that was asked: the smallest of `p_values`; NaN without 3 twins."""
        found = [each for each in self.p_values.values() if not math.isnan(each)]
        return min(found, default=math.nan)

    @property
    def p_values(self) -> dict[str, float]:
        """Question -> p-value, all of them corrected together (Holm); NaN without 3 twins.

        "all": are the maps of all examples together less like the old ones than twins' are? "classes": those of any class (where
        there are several with 5 examples)? "inside": does another share of the evidence lie inside of the regions?
        """
        asked = {"all": less_alike(self.similarity, self.twin_similarity)}
        if classes := self.class_p_values:
            asked["classes"] = min(classes.values())
        if self.inside is not None:
            asked["inside"] = inside_p_value(self.inside)
        return dict(zip(asked, map(float, corrected([*asked.values()], "holm")), strict=True))

    @property
    def class_p_values(self) -> dict[int, float]:
        """Class -> p-value of "its maps are as like the old ones as twins' are".

        Of classes with at least 5 examples, where there are several; corrected for them all (Holm). NaN without 3 twins.
        """
        return by_class(self.similarity, self.twin_similarity, self.targets)

    @property
    def changed_classes(self) -> list[int]:
        """Classes whose maps changed by more than training again changes, the surest first."""
        found = self.class_p_values
        return sorted((name for name, p in found.items() if p < RISK), key=lambda name: found[name])

    @property
    def changed_predictions(self) -> tuple[float, float]:
        """Shares of the examples, 0 to 1, that get another class than from the old model: from the new one, and from twins on average.

        NaN where there are no classes, or no twins.
        """
        if (self.predictions < 0).all():
            return math.nan, math.nan
        old, new, *twins = self.predictions
        return float((new != old).mean()), float(
            np.mean([twin != old for twin in twins])
        ) if twins else math.nan

    @property
    def came(self) -> list[tuple[int, str, str]]:
        """(class, concept, layer) on which the new model leans, and neither the old one nor any twin; told, not tested."""
        return self._concepts(lambda old, new, twins: new and not old and not any(twins))

    @property
    def went(self) -> list[tuple[int, str, str]]:
        """(class, concept, layer) on which the old model and all its twins lean, and the new one does not; told, not tested."""
        return self._concepts(lambda old, new, twins: old and not new and all(twins))

    def _concepts(self, counts: Any) -> list[tuple[int, str, str]]:
        if self.concepts is None:
            return []
        first = self.concepts[0]
        leans = np.stack([each.significant & (each.scores.mean(-1) > 0.5) for each in self.concepts])
        return [
            (first.targets[t], first.concepts[c], first.layers[k])
            for t, c, k in np.ndindex(leans.shape[1:])
            if counts(leans[0, t, c, k], leans[1, t, c, k], leans[2:, t, c, k])
        ]

    def to_dict(self) -> dict[str, Any]:
        """The answers and what led to them, as lists and numbers for JSON (NaN as None); without maps."""
        predictions = [_told(each) for each in self.changed_predictions]
        return {
            "changed": self.changed,
            "p_value": _told(self.p_value),
            "p_values": {name: _told(p) for name, p in self.p_values.items()},
            "examples": len(self.similarity),
            "twins": len(self.twin_similarity),
            "similarity": float(self.similarity.mean()),
            "twin_similarity": [float(each) for each in self.twin_similarity.mean(1)],
            "class_p_values": {str(name): _told(p) for name, p in self.class_p_values.items()},
            "changed_classes": self.changed_classes,
            "changed_predictions": {"new": predictions[0], "twins": predictions[1]},
            "inside": None if self.inside is None else [float(each) for each in self.inside.mean(1)],
            "came": self.came,
            "went": self.went,
            "most_changed": self.most_changed[:20].tolist(),
            "method": self.method,
        }

    def _repr_html_(self) -> str:
        """The figure and the words, for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook

        return notebook.inlined(plots.compare_models(self), repr(self))

    def __repr__(self) -> str:
        return "\n".join([f"ModelComparison({self.verdict})", *(f"  {line}" for line in _lines(self))])

    @property
    def verdict(self) -> str:
        """In words, with the number that it rests on."""
        if self.changed is None:
            return f"no test: {len(self.twin_similarity)} twins, and it takes {TWINS} to know what training again changes"
        words = (
            "looks at something else" if self.changed else "has changed no more than training again changes"
        )
        return f"{words}, p {self.p_value:.2g}"


def most_changed_first(similarity: NDArray, twins: NDArray) -> NDArray[np.int64]:
    """(N,) examples in order. twins: (K, N), of which there may be none."""
    usual = twins.mean(0) if len(twins) else np.zeros_like(similarity)
    return np.argsort(similarity - usual, kind="stable").astype(np.int64)


def _told(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _lines(found: ModelComparison) -> list[str]:
    """What a comparison says, a line for each question."""
    twins = found.twin_similarity.mean(1)
    beside = f"; twins' {twins.min():.2f} to {twins.max():.2f} ({len(twins)})" if len(twins) else ""
    p_values = {name: f" (p {p:.2g})" if not math.isnan(p) else "" for name, p in found.p_values.items()}
    lines = [
        f"{len(found.similarity)} maps: {found.similarity.mean():.2f} of the evidence as in the old ones{beside}{p_values['all']}"
    ]
    if found.changed_classes:
        lines.append(
            f"most in classes {', '.join(map(str, found.changed_classes[:10]))}{p_values['classes']}"
        )
    if found.inside is not None:
        old, new, *rest = found.inside.mean(1)
        lines.append(f"evidence inside: {old:.2f} -> {new:.2f}{_span(rest)}{p_values['inside']}")
    new, usual = found.changed_predictions
    if not math.isnan(new):
        of_twins = "" if math.isnan(usual) else f"; twins {usual:.1%}"
        lines.append(f"other classes predicted: {new:.1%}{of_twins}")
    for word, concepts in (("came", found.came), ("went", found.went)):
        lines += [f"{word}: {concept} in {layer}, class {target}" for target, concept, layer in concepts]
    lines.append(f"most changed: examples {', '.join(map(str, found.most_changed[:8]))}")
    return lines


def _span(numbers: list[float]) -> str:
    return f"; twins {min(numbers):.2f} to {max(numbers):.2f}" if numbers else ""
