"""TCAV: does a class lean on a concept, in which layer, and is it more than chance?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.concepts import scoring
from tfxai.concepts.activation_cache import ActivationCache
from tfxai.concepts.activations import set_activations
from tfxai.concepts.cav import Classifier
from tfxai.concepts.image_sets import ImageSets, check_sets, class_sets, concept_sets
from tfxai.concepts.random_sets import random_sets
from tfxai.concepts.result import TCAVResult
from tfxai.concepts.runs import Runs
from tfxai.concepts.set_batches import length_of, taken
from tfxai.engines import Request, layer_paths, request_of, slopes
from tfxai.model import LayerChoice, Network, fitting
from tfxai.scores import Score
from tfxai.stats import Correction, Looks, corrected, reach
from tfxai.support import (
    BatchSize,
    Confidence,
    File,
    Inputs,
    Model,
    Seed,
    Tolerance,
    check_settings,
    checked,
    number,
    progress_bar,
    warn,
    whole,
)

FIRST = 5  # runs before the first look


@dataclasses.dataclass(frozen=True)
class TCAV:
    """Which concepts does a class lean on, in which layers, and is it more than chance?

    `TCAV(layers)(model, inputs, target, concepts, random, *, score="logit", batch_size=32, progress=False) -> TCAVResult`

    layers:       a layer or a list: names, paths, layers themselves, or endpoints of a tfxai.hub model.
    classifier:   "logistic", "sgd", "svm" (scikit-learn's, with class weights) or "mean_difference".
    random_runs:  how often each concept is told from another random set, and a random set from another; with a tolerance, at most.
    alpha:        how often chance alone may be called significant.
    correction:   for all concepts and layers of a target: "holm", "bonferroni", "benjamini_hochberg" or "none".
    against:      what a concept is told from: "random" images, or the other "concepts" (relative TCAV).
    cache_dir:    a folder that keeps activations, for the next call with the same images and weights.
    seed:         of everything that is drawn; the same seed gives the same table.
    tolerance:    runs until each score is within so much of that of infinitely many runs with the same images: a number such as
                  0.05, or a share of the largest score. Random sets that are not needed are not looked at. Warns where
                  `random_runs` do not suffice.
    confidence:   of that, for all targets, concepts and layers together, between 0 and 1.

    Every run learns from a random half of the concept's images and a random half of a random set's, and is tested on the
    other halves. Runs on all images of a concept would lean the same way by chance, and concepts that have nothing to do
    with the class would be called significant: in a simulation one in three at alpha 0.05. For what the halves still
    share, the test's variance is corrected (see `tfxai.stats.significance.welch`); 5 to 9 in 100 such concepts remain before the
    correction for many tests, and up to 12 with ten images and scores that are all 0 or 1, as in front of a linear layer.
    Scores are compared with those of random sets told from other random sets; these pairs share nothing.

    "Significant" is meant for the class images that are given: other images of the class may say something else, the more
    so the fewer they are.

    Raises ValueError if a setting is wrong.
    Cost: a forward pass for each image, once for all layers; a forward and a backward pass for each input and target;
    and concepts x layers x runs small linear fits. Memory holds all images' activations of the layers.

    Kim et al.: Interpretability Beyond Feature Attribution, 2018. arXiv:1711.11279
    """

    layers: LayerChoice | Sequence[LayerChoice]
    classifier: Classifier = "logistic"
    random_runs: Annotated[int, whole(2)] = 10
    alpha: Annotated[float, number(above=0, below=1)] = 0.05
    correction: Correction = "holm"
    against: Literal["random", "concepts"] = "random"
    cache_dir: File | None = None
    seed: Seed = 0
    tolerance: Tolerance = None
    confidence: Confidence = 0.95

    def __post_init__(self) -> None:
        check_settings(self)
        if not self._layers or not all(map(_names_a_layer, self._layers)):
            raise ValueError(
                f"TCAV(layers={self.layers!r}): name one layer or more in a list, see tfxai.layers(model)."
            )

    @property
    def _layers(self) -> list[LayerChoice]:
        return list(self.layers) if isinstance(self.layers, (list, tuple)) else [self.layers]

    @checked
    @fitting
    def __call__(
        self,
        model: Model,
        inputs: Inputs | Mapping[int, Inputs],
        target: int | Sequence[int],
        concepts: Mapping[str, Any],
        random: Any,
        *,
        score: str | Score = "logit",
        batch_size: BatchSize = 32,
        progress: bool = False,
    ) -> TCAVResult:
        """Tests every concept in every layer for every target.

        inputs:   images of the class (N, ...), as for concepts; for several targets one set for all, or a dict
                  target -> images.
        target:   a class, or a list of classes.
        concepts: name -> at least 10 images: an array (n, ...), a list of images, or a folder (pixels 0 to 255).
        random:   sets of at least 10 unrelated images each, two for each run: a list or dict of such sets, a folder of
                  folders, or one array, list of images or folder that is split.
        score:    what is derived, as for every method: "logit" unless given.

        Raises ValueError if a layer does not exist, a set has fewer than 10 images or other images than the model
        takes, or there are too few random sets. Warns if there are fewer than asked for, if there are fewer than 10
        class images, and if sets have numbers of very different size.
        """
        sets = self._sets(model, inputs, target, concepts, random)
        requests = {
            number: request_of(Network(model, images), number, score, "TCAV", batch_size=batch_size)
            for number, images in sets.classes.items()
        }
        at_once = next(iter(requests.values())).batch_size
        one = taken(next(iter(sets.named_concepts.values())), slice(0, 1))
        paths = layer_paths(model, self._layers, one, "TCAV")
        names = self._layer_names(paths)
        fits = len(names) * (len(sets.concepts) + 1) * (len(sets.random) // 2)
        images = [*sets.named_concepts.values(), *sets.named_random.values()]
        steps = sum(map(length_of, images)) + fits + sum(q.rows for q in requests.values())
        with progress_bar(progress, "TCAV", steps) as advance:

            def activations(examples: Mapping[str, Inputs]) -> dict[str, list[NDArray[np.float32]]]:
                return self._activations(model, examples, paths, at_once, advance)

            runs, found, converged = self._until_sure(sets, requests, names, activations, advance)
        if converged is not None and not converged.all():
            warn(
                f"{int((~converged).sum())} of {converged.size} scores are not within the tolerance after {runs.count} runs. Allow "
                "more runs (random_runs=, and random sets for them), or a larger tolerance."
            )
        return self._result(runs, found, list(requests), converged)

    def _until_sure(
        self,
        sets: ImageSets,
        requests: Mapping[int, Request],
        layers: list[str],
        activations: Callable[[Mapping[str, Inputs]], dict[str, list[NDArray[np.float32]]]],
        advance: Callable[[float], None],
    ) -> tuple[Runs, _Found, NDArray[np.bool_] | None]:
        """All runs, what they found, and whether scores are within the tolerance (T, C, L).

        activations: of sets of images, for each layer.
        """
        random, possible = list(sets.named_random), len(sets.random) // 2
        looks, done, found = Looks(self.tolerance, self.confidence, possible, FIRST), 0, None
        known: dict[str, list[NDArray[np.float32]]] = {}

        def runs_of(first: int, last: int) -> Runs:
            named = [*random[first:last], *random[possible + first : possible + last]]
            new = {name: sets.named_random[name] for name in named if name not in known}
            if new:
                known.update(activations(new if known else {**sets.named_concepts, **new}))
            concepts = {
                concept: known[name] for concept, name in zip(sets.concepts, sets.named_concepts, strict=True)
            }
            return Runs(layers, concepts, [known[name] for name in named], self.against, first)

        while True:
            more = self._found(runs_of(done, looks.draws), requests, advance)
            found = more if found is None else found.with_more(more)
            done, need = looks.draws, self._need(found, looks)
            if looks.end(need.max(), need.size):
                return runs_of(0, done), found, looks.converged(need)

    def _found(self, runs: Runs, requests: Mapping[int, Request], advance: Callable[[float], None]) -> _Found:
        """What some runs find."""
        vectors, accuracies = runs.vectors(self.classifier, self.seed, advance)
        along = []
        for request in requests.values():
            along.append(slopes(request, self._layers, vectors))
            if not runs.first:
                advance(request.rows)
        scores, magnitudes = scoring.scores_and_magnitudes(along, runs)
        shaped = [each.reshape(-1, runs.count, *each.shape[1:]) for each in vectors]
        return _Found(scores, magnitudes, accuracies, shaped)

    def _need(self, found: _Found, looks: Looks) -> NDArray[np.float64]:
        """(T, C, L) half of the interval of each concept's mean score, in tolerances."""
        scores = found.scores[:, :-1].astype(np.float64)
        runs = scores.shape[-1]
        spread = scores.var(axis=-1, ddof=1)
        # Scores that never moved prove little: the next run may move one by as much as the most restless is spread, random sets'
        # among them.
        restless = found.scores.astype(np.float64).var(axis=-1, ddof=1).max()
        error = np.sqrt((spread + restless / (runs + 1)) / runs)
        width = reach(error, runs - 1, error.size, looks.risk)
        # A share is one of the largest score of all.
        largest = np.broadcast_to(np.abs(scores.mean(-1)).max(), error.shape).ravel()
        need = looks.need(np.stack([scores.mean(-1).ravel(), largest]), np.stack([width.ravel()] * 2))
        return need.reshape(error.shape)

    def _sets(
        self,
        model: Model,
        inputs: Inputs | Mapping[int, Inputs],
        target: int | Sequence[int],
        concepts: Mapping[str, Any],
        random: Any,
    ) -> ImageSets:
        """All images of the call, checked."""
        of_concepts = concept_sets(concepts, model)
        if self.against == "concepts" and len(of_concepts) < 2:
            raise ValueError("Relative TCAV tells concepts from each other: give two or more.")
        of_random = random_sets(random, model, runs=self.random_runs, alpha=self.alpha, seed=self.seed)
        sets = ImageSets(of_concepts, of_random, class_sets(inputs, target, model))
        check_sets(sets, model)
        return sets

    def _layer_names(self, paths: Sequence[str]) -> list[str]:
        """Each layer's name as it was given, or its path."""
        if len({*paths}) < len(paths):
            raise ValueError(f"layers names one twice: {', '.join(paths)}.")
        chosen = zip(self._layers, paths, strict=True)
        return [layer if isinstance(layer, str) else path for layer, path in chosen]

    def _activations(
        self,
        model: Model,
        sets: Mapping[str, Inputs],
        paths: Sequence[str],
        batch_size: int,
        advance: Callable[[float], None],
    ) -> dict[str, list[NDArray[np.float32]]]:
        """For each set the activations (n, *shape of the layer) in each layer, from the cache where they are kept."""
        if self.cache_dir is None:
            return set_activations(model, self._layers, sets, batch_size, advance)
        cache = ActivationCache(self.cache_dir, model, self._layers, paths, sets)
        kept = cache.read()
        advance(sum(length_of(sets[name]) for name in kept))
        missing = {name: images for name, images in sets.items() if name not in kept}
        computed = set_activations(model, self._layers, missing, batch_size, advance)
        cache.write(computed)
        return kept | computed

    def _result(
        self, runs: Runs, found: _Found, targets: list[int], converged: NDArray[np.bool_] | None
    ) -> TCAVResult:
        """Tests of what all runs found; random vectors are the last ones."""
        learned, overlaps = scoring.learned(found.accuracies[:-1], runs), scoring.overlaps(runs)
        p_raw, p_permutation = scoring.p_values(found.scores, learned, overlaps, self.seed)
        return TCAVResult(
            targets=targets,
            concepts=list(runs.concepts),
            layers=runs.layers,
            scores=found.scores[:, :-1],
            magnitudes=found.magnitudes[:, :-1],
            random_scores=found.scores[:, -1],
            accuracies=found.accuracies[:-1],
            learned=learned,
            p_raw=p_raw,
            p_permutation=p_permutation,
            p_value=np.stack([corrected(of_target, self.correction) for of_target in p_raw]),
            cavs={
                (concept, layer): found.vectors[k][c]
                for c, concept in enumerate(runs.concepts)
                for k, layer in enumerate(runs.layers)
            },
            overlaps=overlaps,
            alpha=float(self.alpha),
            correction=self.correction,
            seed=int(self.seed),
            converged=converged,
        )


@dataclasses.dataclass(frozen=True)
class _Found:
    """What R runs found, random sets in the place of a concept last.

    scores, magnitudes: (T, C + 1, L, R). accuracies: (C + 1, L, R). vectors: for each layer (C + 1, R, *shape of the layer).
    """

    scores: NDArray[np.float32]
    magnitudes: NDArray[np.float32]
    accuracies: NDArray[np.float32]
    vectors: Sequence[NDArray[np.float32]]

    def with_more(self, other: _Found) -> _Found:
        """With the runs of another one behind its own."""
        return _Found(
            np.concatenate([self.scores, other.scores], -1),
            np.concatenate([self.magnitudes, other.magnitudes], -1),
            np.concatenate([self.accuracies, other.accuracies], -1),
            [np.concatenate(pair, 1) for pair in zip(self.vectors, other.vectors, strict=True)],
        )


def _names_a_layer(layer: LayerChoice) -> bool:
    return isinstance(layer, (str, int, np.integer)) or hasattr(layer, "name")
