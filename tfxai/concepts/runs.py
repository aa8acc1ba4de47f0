"""The runs of a TCAV call: what each tells apart in which layer, and the vectors that come of it."""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts.cav import Classifier, concept_vector

Activations = Sequence[NDArray[np.float32]]
"""Of one set of images: for each layer (n, *shape of the layer)."""


@dataclasses.dataclass(frozen=True)
class Runs:
    """What R runs learn from, in L layers, for C concepts and for random sets in the place of a concept.

    layers:   names.
    concepts: name -> activations of the concept's images.
    random:   activations of 2 R random sets. In each run a concept is told from one of the first R, and one of the last R
              stands in the place of a concept.
    against:  what a concept is told from: random sets, or the other concepts.
    first:    number of the first run, where others went before.
    """

    layers: list[str]
    concepts: Mapping[str, Activations]
    random: Sequence[Activations]
    against: Literal["random", "concepts"]
    first: int = 0

    @property
    def count(self) -> int:
        """R."""
        return len(self.random) // 2

    @property
    def positives(self) -> NDArray[np.integer]:
        """(C,) images of each concept."""
        return np.array([len(activations[0]) for activations in self.concepts.values()])

    @property
    def negatives(self) -> NDArray[np.integer]:
        """(C,) images from which each concept is told."""
        if self.against == "concepts":
            return self.positives.sum() - self.positives
        return np.full(len(self.concepts), min(len(activations[0]) for activations in self.random))

    def vectors(
        self, classifier: Classifier, seed: int, advance: Callable[[float], None]
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """For each layer the vectors ((C + 1) * R, *shape of the layer), random ones last; accuracies (C + 1, L, R).

        Raises ValueError if a concept or a random set looks the same in all its images to a layer.
        """
        vectors: list[list[NDArray]] = [[] for _ in self.layers]
        accuracies = np.zeros((len(self.concepts) + 1, len(self.layers), self.count), np.float32)
        for c, concept in enumerate([*self.concepts, None]):
            # By name: a concept's numbers are the same whatever else is asked for.
            name = zlib.crc32(repr(concept).encode())
            for k, run in itertools.product(range(len(self.layers)), range(self.count)):
                positives, negatives = self._sides(concept, k, run)
                flat = positives.reshape(len(positives), -1), negatives.reshape(len(negatives), -1)
                generator = np.random.default_rng([seed, self.first + run, name])
                vector, accuracies[c, k, run] = concept_vector(*flat, classifier, generator)
                vectors[k].append(vector.reshape(positives.shape[1:]))
                advance(1)
        return [np.stack(of_layer) for of_layer in vectors], accuracies

    def _sides(self, concept: str | None, layer: int, run: int) -> tuple[NDArray, NDArray]:
        """Activations that a run's vector points to, and those that it points away from; None is a random set."""
        positives = (self.random[self.count + run] if concept is None else self.concepts[concept])[layer]
        if np.ptp(positives, axis=0).max() == 0:
            subject = "A random set" if concept is None else f"The concept {concept!r}"
            raise ValueError(
                f"{subject} looks the same in all its images to layer {self.layers[layer]!r}. Give different images, or "
                "another layer."
            )
        if concept is None or self.against == "random":
            return positives, self.random[run][layer]
        others = [activations[layer] for name, activations in self.concepts.items() if name != concept]
        return positives, np.concatenate(others)
