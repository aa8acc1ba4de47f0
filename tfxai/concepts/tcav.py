"""TCAV: does a class lean on a concept, in which layer, and is it more than chance?"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tfxai.concepts.activation_cache import ActivationCache
from tfxai.concepts.cav import CLASSIFIERS, Classifier, concept_vector
from tfxai.concepts.folders import from_folder, images_from
from tfxai.concepts.image_sets import (
    FEWEST,
    batches_of_sets,
    check_sets,
    checked_finite,
    concept_sets,
    image_set,
    inputs_by_target,
    is_pool,
    joined,
    length_of,
    size_of,
    taken,
)
from tfxai.concepts.result import TCAVResult
from tfxai.engines import Request, layer_activations, layer_paths, slopes
from tfxai.inputs import specs_of
from tfxai.model import LayerChoice, Network
from tfxai.stats import CORRECTIONS, Correction, corrected, permutation, smallest, welch
from tfxai.support import progress_bar, warn


@dataclasses.dataclass(frozen=True)
class TCAV:
    """Which concepts does a class lean on, in which layers, and is it more than chance?

    `TCAV(layers)(model, inputs, target, concepts, random, *, score="logit", batch_size=32, progress=False) -> TCAVResult`

    layers:       a layer or a list: names, paths, layers themselves, or endpoints of a tfxai.hub model.
    classifier:   "logistic", "sgd", "svm" (scikit-learn's, with class weights) or "mean_difference".
    random_runs:  how often each concept is told from another random set, and a random set from another.
    alpha:        how often chance alone may be called significant.
    correction:   for all concepts and layers of a target: "holm", "bonferroni", "benjamini_hochberg" or "none".
    against:      what a concept is told from: "random" images, or the other "concepts" (relative TCAV).
    cache_dir:    a folder that keeps activations, for the next call with the same images and weights.
    seed:         of everything that is drawn; the same seed gives the same table.

    Every run learns from a random half of the concept's images and a random half of a random set's, and is tested on the
    other halves. Runs on all images of a concept would lean the same way by chance, and concepts that have nothing to do
    with the class would be called significant: in a simulation one in three at alpha 0.05. For what the halves still
    share, the test's variance is corrected (see tfxai.significance); 5 to 9 in 100 such concepts remain before the
    correction for many tests, and up to 12 with ten images and scores that are all 0 or 1, as in front of a linear layer.
    Scores are compared with those of random sets told from other random sets; these pairs share nothing.

    "Significant" is meant for the class images that are given: other images of the class may say something else, the more
    so the fewer they are.

    Raises ValueError if a setting is wrong.
    Cost: a forward pass for each image, once for all layers; a forward and a backward pass for each input and target;
    and concepts x layers x runs small linear fits. Memory holds all images' activations of the layers.

    Kim et al.: Interpretability Beyond Feature Attribution, 2018. arXiv:1711.11279
    """

    layers: Any
    classifier: Classifier = "logistic"
    random_runs: int = 10
    alpha: float = 0.05
    correction: Correction = "holm"
    against: Literal["random", "concepts"] = "random"
    cache_dir: str | Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("classifier", CLASSIFIERS),
            ("correction", CORRECTIONS),
            ("against", ("random", "concepts")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(f"TCAV({name}={getattr(self, name)!r}): give one of {', '.join(known)}.")
        for name, least in (("random_runs", 2), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
                raise ValueError(f"TCAV({name}={value!r}): give a whole number, {least} or more.")
        if not isinstance(self.alpha, (int, float, np.floating)) or not 0 < self.alpha < 1:
            raise ValueError(f"TCAV(alpha={self.alpha!r}): give a number between 0 and 1, such as 0.05.")
        odd = [
            each
            for each in self._layers
            if not isinstance(each, (str, int, np.integer)) and not hasattr(each, "name")
        ]
        if not self._layers or odd:
            raise ValueError(
                f"TCAV(layers={self.layers!r}): name one layer or more in a list, see tfxai.layers(model)."
            )
        if self.cache_dir is not None and not isinstance(self.cache_dir, (str, Path)):
            raise ValueError(f"TCAV(cache_dir={self.cache_dir!r}): give the path of a folder.")

    @property
    def _layers(self) -> list[LayerChoice]:
        return list(self.layers) if isinstance(self.layers, (list, tuple)) else [self.layers]

    def __call__(
        self,
        model: Any,
        inputs: Any,
        target: int | Sequence[int],
        concepts: Mapping[str, Any],
        random: Any,
        *,
        score: Any = "logit",
        batch_size: int = 32,
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
        sets = concept_sets(concepts, model)
        if self.against == "concepts" and len(sets) < 2:
            raise ValueError("Relative TCAV tells concepts from each other: give two or more.")
        pairs, runs = self._random_sets(random, model)
        by_target = {
            one: image_set(images, model, "inputs")
            for one, images in inputs_by_target(inputs, target).items()
        }
        questions = {
            one: Request.of(Network(model, images), int(one), score, "TCAV", batch_size=batch_size)
            for one, images in by_target.items()
        }
        everything = {**{f"concept {name!r}": images for name, images in sets.items()}, **pairs}
        check_sets(model, everything, by_target)
        found_at = layer_paths(
            model, self._layers, taken(next(iter(everything.values())), slice(0, 1)), "TCAV"
        )
        if len({*found_at}) < len(found_at):
            raise ValueError(f"layers names one twice: {', '.join(found_at)}.")
        names = [
            layer if isinstance(layer, str) else at for layer, at in zip(self._layers, found_at, strict=True)
        ]
        fits = len(names) * (len(sets) + 1) * runs
        steps = sum(map(length_of, everything.values())) + fits + sum(q.rows for q in questions.values())
        with progress_bar(progress, "TCAV", steps) as advance:
            acts = self._activations(model, everything, found_at, batch_size, advance)
            ours = {name: acts[f"concept {name!r}"] for name in sets}
            theirs = [acts[name] for name in pairs]
            vectors, accuracies = self._fitted(names, ours, theirs, runs, advance)
            found = {}
            for one, request in questions.items():
                found[one] = slopes(request, self._layers, vectors)
                advance(request.rows)
        return self._result(names, list(sets), ours, theirs, runs, vectors, accuracies, found)

    # Random images

    def _random_sets(self, random: Any, model: Any) -> tuple[dict[str, Any], int]:
        """Two sets for each run, by what messages call them."""
        inputs = specs_of(model)
        if isinstance(random, (str, Path)):
            inner = Path(random).is_dir() and any(
                each.is_dir() and each.name[0] != "." for each in Path(random).iterdir()
            )
            size = size_of(model, "random")
            random = from_folder(random, size) if inner else images_from(random, size)
        if isinstance(random, Mapping) and (len(inputs) < 2 or set(random) != {spec.name for spec in inputs}):
            random = list(random.values())
        if isinstance(random, (list, tuple)) and is_pool(random, inputs):
            random = np.asarray([np.asarray(each) for each in random])
        if isinstance(random, np.ndarray) and len(inputs) == 1 and random.ndim == len(inputs[0].shape) + 1:
            random = list(random)
        if isinstance(random, (list, tuple)):
            given = [image_set(each, model, f"random set {i}") for i, each in enumerate(random)]
            few = [i for i, each in enumerate(given) if length_of(each) < FEWEST]
            if few:
                raise ValueError(
                    f"Random set {few[0]} has {length_of(given[few[0]])} images. Give at least {FEWEST} in each, better 50."
                )
            runs = min(self.random_runs, len(given) // 2)
            had = f"{len(given)} random sets"
        else:
            pool = image_set(random, model, "random")
            count = length_of(pool)
            runs = min(self.random_runs, count // (2 * FEWEST))
            order = np.random.default_rng([self.seed, count]).permutation(count)
            given = [taken(pool, part) for part in np.array_split(order, max(2 * runs, 1))]
            had = f"{count} random images"
        if runs < 2:
            raise ValueError(
                f"TCAV got {had}. Two runs are the least: 4 random sets of at least {FEWEST} images, or {4 * FEWEST} "
                f"images in one array; {self.random_runs} runs want {2 * self.random_runs} sets, or "
                f"{2 * FEWEST * self.random_runs} images."
            )
        if runs < self.random_runs or smallest(runs) >= self.alpha:
            runs = min(runs, self.random_runs)
            enough = "" if runs == self.random_runs else f", not {self.random_runs}"
            warn(
                f"TCAV got {had}, enough for {runs} runs{enough}. The smallest p-value is then "
                f"{smallest(runs):.2g} before correction"
                + (", so nothing can be significant." if smallest(runs) >= self.alpha else ".")
            )
        return {f"random set {i}": each for i, each in enumerate(given[: 2 * runs])}, runs

    # Activations

    def _activations(
        self,
        model: Any,
        sets: Mapping[str, Any],
        found_at: Sequence[str],
        batch_size: int,
        advance: Callable[[float], None],
    ) -> dict[str, list[NDArray[np.float32]]]:
        """For each set the activations (n, *shape) in each layer."""
        kept = (
            None
            if self.cache_dir is None
            else ActivationCache(self.cache_dir, model, self._layers, found_at, sets)
        )
        found = {} if kept is None else kept.read()
        missing = {name: images for name, images in sets.items() if name not in found}
        advance(sum(length_of(sets[name]) for name in found))
        parts: dict[str, list[Any]] = {name: [] for name in missing}
        for batch in batches_of_sets(missing, batch_size):
            together = joined([taken(missing[name], rows) for name, rows in batch])
            outputs = layer_activations(model, self._layers, together, "TCAV")
            start = 0
            for name, rows in batch:
                stop = start + rows.stop - rows.start
                parts[name].append([output[start:stop] for output in outputs])
                start = stop
            advance(start)
        computed = {
            name: [checked_finite(np.concatenate(layer), name) for layer in zip(*pieces, strict=True)]
            for name, pieces in parts.items()
        }
        if kept is not None:
            kept.write(computed)
        return found | computed

    # Vectors

    def _fitted(
        self,
        names: Sequence[str],
        concepts: Mapping[str, list[NDArray]],
        random: Sequence[list[NDArray]],
        runs: int,
        advance: Callable[[float], None],
    ) -> tuple[list[NDArray], NDArray]:
        """For each layer the vectors ((C + 1) * runs, *shape), random ones last; and accuracies (C + 1, L, runs)."""
        vectors: list[list[NDArray]] = [[] for _ in names]
        accuracies = np.zeros((len(concepts) + 1, len(names), runs), np.float32)
        for c, concept in enumerate([*concepts, None]):
            for k, layer in enumerate(names):
                for run in range(runs):
                    # By name: a concept's numbers are the same whatever else is asked for.
                    drawn = [self.seed, run, zlib.crc32(repr(concept).encode())]
                    generator = np.random.default_rng(drawn)
                    ours = random[runs + run][k] if concept is None else concepts[concept][k]
                    others = random[run][k]
                    if concept is not None and self.against == "concepts":
                        others = np.concatenate(
                            [acts[k] for name, acts in concepts.items() if name != concept]
                        )
                    if np.ptp(ours, axis=0).max() == 0:
                        what = "A random set" if concept is None else f"The concept {concept!r}"
                        raise ValueError(
                            f"{what} looks the same in all its images to layer {layer!r}. Give different images, or "
                            "another layer."
                        )
                    flat = [rows.reshape(len(rows), -1) for rows in (ours, others)]
                    vector, accuracies[c, k, run] = concept_vector(*flat, self.classifier, generator)
                    vectors[k].append(vector.reshape(ours.shape[1:]))
                    advance(1)
        return [np.stack(each) for each in vectors], accuracies

    # Tests

    def _result(
        self,
        names: list[str],
        concepts: list[str],
        ours: Mapping[str, list[NDArray]],
        theirs: Sequence[list[NDArray]],
        runs: int,
        vectors: list[NDArray],
        accuracies: NDArray,
        found: Mapping[int, list[NDArray]],
    ) -> TCAVResult:
        counts = np.array([len(acts[0]) for acts in ours.values()])
        negatives = np.full(len(counts), min(len(acts[0]) for acts in theirs))
        if self.against == "concepts":
            negatives = counts.sum() - counts
        # What a run is tested on, when guessing is measured: as many of each kind as of the smaller.
        tested = 2 * (np.minimum(counts, negatives) // 2)
        beyond = binom.ppf(CHANCE, tested, 0.5) / tested
        learned = accuracies[:-1].mean(axis=-1) > beyond[:, None]
        # Variance of a mean of n images is 1 / n, that of a random half of them 1 / n more; random sets are new each run.
        shared = 1 / counts + (1 / negatives if self.against == "concepts" else 0)
        between = 1 / counts + (1 if self.against == "concepts" else 2) / negatives
        overlaps = shared / between
        # (T, L, N, C + 1, R)
        all_slopes = [[each.reshape(len(each), -1, runs) for each in found[target]] for target in found]
        scores = np.array([[(each > 0).mean(axis=0) for each in layers] for layers in all_slopes], np.float32)
        sizes = np.array([[each.mean(axis=0) for each in layers] for layers in all_slopes], np.float32)
        scores, sizes = (np.moveaxis(each, 1, 2) for each in (scores, sizes))  # (T, C + 1, L, R)
        p_raw, p_permutation = (np.full(scores[:, :-1].shape[:3], np.nan) for _ in range(2))
        for t, c, k in np.ndindex(p_raw.shape):
            if learned[c, k]:
                p_raw[t, c, k] = welch(scores[t, c, k], scores[t, -1, k], float(overlaps[c]), self.seed)
                p_permutation[t, c, k] = permutation(scores[t, c, k], scores[t, -1, k], self.seed)
        return TCAVResult(
            targets=list(map(int, found)),
            concepts=concepts,
            layers=names,
            scores=scores[:, :-1],
            magnitudes=sizes[:, :-1],
            random_scores=scores[:, -1],
            accuracies=accuracies[:-1],
            learned=learned,
            p_raw=p_raw,
            p_permutation=p_permutation,
            p_value=np.stack([corrected(each, self.correction) for each in p_raw]),
            cavs={
                (concept, layer): vectors[k][c * runs : (c + 1) * runs]
                for c, concept in enumerate(concepts)
                for k, layer in enumerate(names)
            },
            overlaps=overlaps,
            alpha=float(self.alpha),
            correction=self.correction,
            seed=int(self.seed),
        )


CHANCE = 0.95  # quantile of the accuracy of guessing that a concept's must exceed
