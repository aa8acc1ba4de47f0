"""The results of the sanity checks: how maps changed, and whether a method passes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.results import Explanation, Stored

LAST_BELOW, MEAN_BELOW = 0.1, 0.5  # of the way from chance to sameness: at the end, and on the way there


@dataclasses.dataclass(frozen=True, eq=False)
class SanityReport(Stored):
    """How did explanations change while a model's weights were drawn anew, layer by layer?

    layers:       names of the S steps.
    methods:      names of the M methods.
    similarity:   "spearman", "spearman_abs", "ssim", "hog" -> float32 (M, S + 1, N): of each map with that of the trained
                  model; column 0 is the trained model itself, so 1. `tfxai.stats.similarity.Reference` says what they mean.
    predictions:  int (S + 1, N): the class that the model as it then was gives each input; -1 if it has no classes.
    scores:       float32 (S + 1, N): its probability for the explained class, 0 to 1; NaN if it has no classes.
    targets:      int (N,): the explained classes; -1 if the model has none.
    chance:       float32 (M, N): the `spearman_abs` that one in twenty random maps reaches with the trained model's map;
                  they are as rough or smooth as that map is.
    mode:         "cascading" or "independent".
    order:        "top_down", "bottom_up", or "list" for any other.
    explanations: method -> its S + 1 explanations, if they were asked for.
    """

    called = "report"

    layers: list[str]
    methods: list[str]
    similarity: dict[str, NDArray[np.float32]]
    predictions: NDArray[np.int64]
    scores: NDArray[np.float32]
    targets: NDArray[np.int64]
    chance: NDArray[np.float32]
    mode: str = "cascading"
    order: str = "top_down"
    explanations: dict[str, list[Explanation]] | None = None

    def problem(self) -> str:
        """See `Stored.problem`: every array is of the same methods, steps and inputs."""
        methods, steps, inputs = len(self.methods), len(self.layers) + 1, np.size(self.targets)
        wanted = {"predictions": (steps, inputs), "scores": (steps, inputs), "chance": (methods, inputs)}
        arrays = {name: getattr(self, name) for name in wanted} | {"targets": self.targets}
        arrays |= {f"similarity {name}": array for name, array in self.similarity.items()}
        for name, array in arrays.items():
            shape = (inputs,) if name == "targets" else wanted.get(name, (methods, steps, inputs))
            if np.shape(array) != shape:
                return f"{name} has the shape {np.shape(array)}, where {shape} is expected"
        return ""

    def verdict(self) -> dict[str, bool]:
        """Method -> whether its maps depend on the weights.

        The rule: measure on a scale from chance (0: what one in twenty random maps of the same smoothness reaches) to
        sameness (1) how alike the magnitudes of the map and of the trained model's map are in rank, averaged over
        inputs. Where everything is destroyed this must be below 0.1: at the last step of a cascade, or at the step
        that changes the maps most if layers are destroyed one at a time. And of a cascade from the output down, whose
        first step already takes the class away, the mean over all steps must be below 0.5.
        """
        last, mean = self._kept()
        passes = last < LAST_BELOW
        if self.mode == "cascading" and self.order == "top_down":
            passes &= mean < MEAN_BELOW
        return dict(zip(self.methods, passes.tolist(), strict=True))

    def _kept(self) -> tuple[NDArray, NDArray]:
        """(M,) each: how much of a map is kept where everything is destroyed, and as a mean over steps.

        0 is what chance reaches, 1 is the same map.
        """
        alike = np.clip(self.similarity["spearman_abs"][:, 1:], 0, None)
        chance = np.minimum(self.chance, 0.99)[:, None]
        kept = ((alike - chance) / (1 - chance)).mean(axis=2)
        return kept[:, -1] if self.mode == "cascading" else kept.min(axis=1), kept.mean(axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the explanations, as lists and numbers: for JSON."""
        fields = {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.name != "explanations"
        }
        return {**fields, "verdict": self.verdict()}

    def _repr_html_(self) -> str:
        """The figure and the verdict, for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook

        return notebook.inlined(plots.sanity(self), repr(self))

    def __repr__(self) -> str:
        (last, mean), width, verdict = self._kept(), max(map(len, self.methods)), self.verdict()
        lines = [
            f"SanityReport({len(self.layers)} steps, {self.mode}, {self.scores.shape[1]} inputs), from chance (0) to sameness (1):"
        ]
        lines += [
            f"  {name:{width}}  at the end {end:5.2f}, on the way {way:5.2f}: {'passes' if verdict[name] else 'FAILS'}"
            for name, end, way in zip(self.methods, last, mean, strict=True)
        ]
        return "\n".join(lines)


def _plain(value: Any) -> Any:
    """Arrays as lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else value


@dataclasses.dataclass(frozen=True, eq=False)
class EfficientReport:
    """How much more complex do maps become when all weights are drawn anew (eMPRT)?

    methods:    names of the M methods.
    complexity: float32 (2, M, N): entropy of the map's histogram, in nats; of the trained model, and of the random one.
    rise:       float32 (M, N): (random - trained) / trained. Above 0: the trained model's map is the simpler one.
    """

    methods: list[str]
    complexity: NDArray[np.float32]

    @property
    def rise(self) -> NDArray[np.float32]:
        """(M, N): (random - trained) / trained; 0 where the trained model's map has no entropy."""
        trained, random = self.complexity
        return np.divide(random - trained, trained, out=np.zeros_like(trained), where=trained > 0)


@dataclasses.dataclass(frozen=True, eq=False)
class LabelReport:
    """How alike are the maps of twins, one trained on true labels and one on permuted ones?

    methods:      names of the M methods.
    accuracy:     "true", "permuted" -> share of the training examples that the twin gets right by its own labels, 0 to 1.
    similarity:   as in SanityReport, float32 (M, N).
    explanations: "true", "permuted" -> method -> Explanation.
    """

    methods: list[str]
    accuracy: dict[str, float]
    similarity: dict[str, NDArray[np.float32]]
    explanations: dict[str, dict[str, Explanation]]
