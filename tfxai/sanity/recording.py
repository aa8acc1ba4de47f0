"""What is recorded while a model is destroyed: at each step its predictions, and how alike the maps still are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import called
from tfxai.predictions import probabilities
from tfxai.results import Explanation
from tfxai.sanity.reports import SanityReport
from tfxai.sanity.targets import Classes
from tfxai.stats import Reference, by_measure
from tfxai.support import BatchSize, Inputs, Model

TWINS = 20  # random maps for each map, to see what similarity chance alone gives
CHANCE = 0.95  # quantile of the similarities of random maps that still counts as chance


class Recording:
    """Steps of one model, the trained one first; `report` makes the result of them.

    methods: by name. targets: the same at every step. keep_explanations: whether the report gets them.
    """

    def __init__(
        self,
        methods: Mapping[str, Callable[..., Explanation]],
        model: Model,
        inputs: Inputs,
        targets: Classes,
        batch_size: BatchSize,
        keep_explanations: bool,
    ) -> None:
        self.methods, self.model, self.inputs, self.targets = methods, model, inputs, targets
        self.batch_size: BatchSize = batch_size
        self.keep_explanations = keep_explanations
        self.references: dict[str, list[Reference]] = {}
        self.similarities: dict[str, list[list[dict[str, float]]]] = {name: [] for name in methods}
        self.explanations: dict[str, list[Explanation]] = {name: [] for name in methods}
        self.predictions: list[NDArray] = []
        self.scores: list[NDArray] = []

    def record(self, advance: Callable[[float], None]) -> None:
        """Predicts and explains everything with the weights as they are.

        Raises ValueError if a method explains several targets of an input, or its maps hold NaN.
        """
        self._record_predictions()
        advance(1)
        for name, method in self.methods.items():
            explanation = called(method, self.model, self.inputs, self.targets, self.batch_size)
            if explanation.targets.ndim > 1:
                raise ValueError(
                    "One target for each input, please: maps of several cannot be told apart here."
                )
            heat = explanation.heatmap()
            if getattr(explanation, "tokens", None) is None and not np.isfinite(heat).all():
                raise ValueError(
                    f"The maps of {name!r} hold NaN or infinite numbers, which are like no other map. See whether the model's "
                    "weights, or those that were drawn for it, give numbers at all."
                )
            self._record_maps(name, heat)
            if self.keep_explanations:
                self.explanations[name].append(explanation)
            advance(1)

    def _record_predictions(self) -> None:
        try:
            predicted = probabilities(self.model, self.inputs, batch_size=self.batch_size)
            self.predictions.append(predicted.argmax(axis=1))
            explained: Any = self.targets
            self.scores.append(predicted[np.arange(len(predicted)), explained])
        except (ValueError, IndexError):  # no classes: there is nothing to tell
            self.predictions.append(np.full(1, -1))
            self.scores.append(np.full(1, np.nan))

    def _record_maps(self, name: str, maps: NDArray) -> None:
        references = self.references.setdefault(name, [Reference(heat) for heat in maps])
        pairs = zip(references, maps, strict=True)
        self.similarities[name].append([reference.similarity(heat) for reference, heat in pairs])

    def report(
        self, layers: list[str], mode: Literal["cascading", "independent"], order: str, seed: int
    ) -> SanityReport:
        """The result of all steps. layers: names of the steps. seed: of random maps, which tell what chance gives."""
        generator = np.random.default_rng(seed)
        chance = [_chances(references, generator) for references in self.references.values()]
        count = len(chance[0])
        targets = -1 if self.targets is None else self.targets
        return SanityReport(
            layers,
            list(self.methods),
            by_measure(list(self.similarities.values())),
            np.array([np.broadcast_to(classes, count) for classes in self.predictions], np.int64),
            np.array([np.broadcast_to(scores, count) for scores in self.scores], np.float32),
            np.broadcast_to(np.asarray(targets, np.int64), count).copy(),
            np.array(chance, np.float32),
            mode,
            order,
            self.explanations if self.keep_explanations else None,
        )


def _chances(references: Sequence[Reference], generator: np.random.Generator) -> list[float]:
    """For each map the similarity of magnitudes that one in twenty random maps of the same smoothness reaches."""
    return [0.0 if reference.flat else _chance(reference, generator) for reference in references]


def _chance(reference: Reference, generator: np.random.Generator) -> float:
    twins = [Reference(reference.random_twin(generator)) for _ in range(TWINS)]
    similarities = [reference.spearman_abs(twin) for twin in twins]
    return float(np.quantile(np.clip(similarities, 0, None), CHANCE))
