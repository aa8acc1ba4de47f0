"""What is gathered while a model is destroyed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.methods import called
from tfxai.predictions import probabilities
from tfxai.results import Explanation
from tfxai.sanity.reports import SanityReport
from tfxai.stats import MEASURES, Reference

TWINS = 20  # random maps for each map, to see what similarity chance alone gives


CHANCE = 0.95  # quantile of theirs that still counts as chance


class Recording:
    """What is gathered on the way."""

    def __init__(
        self, methods: Mapping[str, Any], model: Any, inputs: Any, targets: Any, batch_size: int, keep: bool
    ) -> None:
        self.methods, self.model, self.inputs, self.targets = methods, model, inputs, targets
        self.batch_size, self.keep = batch_size, keep
        self.references: dict[str, list[Reference]] = {}
        self.alike: dict[str, list[list[dict[str, float]]]] = {name: [] for name in methods}
        self.explanations: dict[str, list[Explanation]] = {name: [] for name in methods}
        self.predictions: list[NDArray] = []
        self.scores: list[NDArray] = []

    def look(self, advance: Callable[[float], None]) -> None:
        """Explains everything with the weights as they are."""
        try:
            found = probabilities(self.model, self.inputs, batch_size=self.batch_size)
            self.predictions.append(found.argmax(axis=1))
            self.scores.append(found[np.arange(len(found)), self.targets])
        except (ValueError, IndexError):  # no classes: there is nothing to tell
            count = len(next(iter(self.references.values()), [])) or 1
            self.predictions.append(np.full(count, -1))
            self.scores.append(np.full(count, np.nan))
        advance(1)
        for name, method in self.methods.items():
            explanation = called(method, self.model, self.inputs, self.targets, self.batch_size)
            maps = explanation.heatmap()
            if explanation.targets.ndim > 1:
                raise ValueError(
                    "One target for each input, please: maps of several cannot be told apart here."
                )
            references = self.references.setdefault(name, [Reference(heat) for heat in maps])
            self.alike[name].append([r.similarity(heat) for r, heat in zip(references, maps, strict=True)])
            if self.keep:
                self.explanations[name].append(explanation)
            advance(1)

    def report(self, layers: list[str], mode: str, order: str, seed: int) -> SanityReport:
        generator = np.random.default_rng(seed)
        chance = [[_chance(r, generator) for r in references] for references in self.references.values()]
        count = len(chance[0])
        return SanityReport(
            layers,
            list(self.methods),
            by_measure(list(self.alike.values())),
            np.array([np.broadcast_to(p, count) for p in self.predictions], np.int64),
            np.array([np.broadcast_to(s, count) for s in self.scores], np.float32),
            np.broadcast_to(np.asarray(-1 if self.targets is None else self.targets, np.int64), count).copy(),
            np.array(chance, np.float32),
            mode,
            order,
            self.explanations if self.keep else None,
        )


def _chance(reference: Reference, generator: np.random.Generator) -> float:
    if reference.flat:
        return 0.0
    alike = [reference.spearman_abs(Reference(reference.random_twin(generator))) for _ in range(TWINS)]
    return float(np.quantile(np.clip(alike, 0, None), CHANCE))


def by_measure(alike: Any) -> dict[str, NDArray[np.float32]]:
    """Nested lists of {measure: value} as {measure: array}."""
    array = np.array(alike, object)
    return {name: np.vectorize(lambda one: one[name], otypes=[np.float32])(array) for name in MEASURES}  # noqa: B023
