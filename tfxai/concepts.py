"""Which human concepts does a class lean on, in which layer, and is it more than chance?

    result = tfxai.TCAV(["block5c_add"])(model, zebras, 340, {"striped": striped, "dotted": dotted}, random)
    print(result)
    tfxai.plots.tcav(result)

A concept is a handful of example images. In a layer's activations a linear classifier finds the direction from other
images towards it, and the derivative of the class along that direction tells whether more of the concept would speak
for the class (TCAV).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from tfxai.activations import Layer
from tfxai.cavs import CLASSIFIERS, Classifier, concept_vector
from tfxai.concept_images import from_folder, images_from, patterns
from tfxai.engines.directions import activations, paths, slopes
from tfxai.engines.method import Question
from tfxai.inputs import flatten, pack, specs_of
from tfxai.network import Network
from tfxai.progress import progress_bar
from tfxai.significance import CORRECTIONS, Correction, corrected, paired, permutation, smallest, welch

__all__ = ["TCAV", "TCAVResult", "from_folder", "images_from", "patterns", "sort_by_concept"]

FEWEST = 10  # images of a concept, a random set, or the class
CHANCE = 0.95  # quantile of the accuracy of guessing that a concept's must exceed


@dataclasses.dataclass(frozen=True, eq=False)
class TCAVResult:
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

    def save(self, path: str | Path) -> Path:
        """Writes one compressed .npz file, vectors included, and returns its path."""
        path = Path(path)
        arrays = {name: getattr(self, name) for name in ARRAYS}
        for (concept, layer), vectors in self.cavs.items():
            arrays[f"cavs/{self.concepts.index(concept)}/{self.layers.index(layer)}"] = vectors
        plain = ("targets", "concepts", "layers", "alpha", "correction", "seed")
        header = {"format": 1, "fields": {name: getattr(self, name) for name in plain}}
        with path.open("wb") as file:
            np.savez_compressed(file, header=np.array(json.dumps(header)), **arrays)  # pyright: ignore[reportArgumentType]
        return path

    @classmethod
    def load(cls, path: str | Path) -> TCAVResult:
        """Reads what `save` wrote; nothing in the file is ever executed (no pickle).

        Raises ValueError if the file is none of these.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            fields = json.loads(str(arrays["header"]))["fields"]
            cavs = {
                (concept, layer): arrays[f"cavs/{c}/{k}"]
                for c, concept in enumerate(fields["concepts"])
                for k, layer in enumerate(fields["layers"])
            }
            return cls(**fields, **{name: arrays[name] for name in ARRAYS}, cavs=cavs)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(
                f"{path} is not a saved TCAV result ({type(error).__name__}). Give a file written by save()."
            ) from error

    def _repr_html_(self) -> str:
        """The chart and the table, for notebooks."""
        from tfxai import charts, html  # only when it is looked at: they load matplotlib

        return html.inlined(charts.tcav(self), repr(self))

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


ARRAYS = (
    *("scores", "magnitudes", "random_scores", "accuracies", "learned"),
    *("p_raw", "p_permutation", "p_value", "overlaps"),
)


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
    def _layers(self) -> list[Layer]:
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
        sets = _concept_sets(concepts, model)
        if self.against == "concepts" and len(sets) < 2:
            raise ValueError("Relative TCAV tells concepts from each other: give two or more.")
        pairs, runs = self._random_sets(random, model)
        by_target = {
            one: _images(images, model, "inputs") for one, images in _inputs_of(inputs, target).items()
        }
        questions = {
            one: Question.of(Network(model, images), int(one), score, batch_size, False, TCAV)
            for one, images in by_target.items()
        }
        everything = {**{f"concept {name!r}": images for name, images in sets.items()}, **pairs}
        _check_sets(model, everything, by_target)
        found_at = paths(model, self._layers, _taken(next(iter(everything.values())), slice(0, 1)), "TCAV")
        if len({*found_at}) < len(found_at):
            raise ValueError(f"layers names one twice: {', '.join(found_at)}.")
        names = [
            layer if isinstance(layer, str) else at for layer, at in zip(self._layers, found_at, strict=True)
        ]
        fits = len(names) * (len(sets) + 1) * runs
        steps = sum(map(_length, everything.values())) + fits + sum(q.rows for q in questions.values())
        with progress_bar(progress, "TCAV", steps) as advance:
            acts = self._activations(model, everything, found_at, batch_size, advance)
            ours = {name: acts[f"concept {name!r}"] for name in sets}
            theirs = [acts[name] for name in pairs]
            vectors, accuracies = self._fitted(names, ours, theirs, runs, advance)
            found = {}
            for one, question in questions.items():
                found[one] = slopes(question, self._layers, vectors)
                advance(question.rows)
        return self._result(names, list(sets), ours, theirs, runs, vectors, accuracies, found)

    # Random images

    def _random_sets(self, random: Any, model: Any) -> tuple[dict[str, Any], int]:
        """Two sets for each run, by what messages call them."""
        inputs = specs_of(model)
        if isinstance(random, (str, Path)):
            inner = Path(random).is_dir() and any(
                each.is_dir() and each.name[0] != "." for each in Path(random).iterdir()
            )
            size = _size_of(model, "random")
            random = from_folder(random, size) if inner else images_from(random, size)
        if isinstance(random, Mapping) and (len(inputs) < 2 or set(random) != {spec.name for spec in inputs}):
            random = list(random.values())
        if isinstance(random, (list, tuple)) and _is_pool(random, inputs):
            random = np.asarray([np.asarray(each) for each in random])
        if isinstance(random, np.ndarray) and len(inputs) == 1 and random.ndim == len(inputs[0].shape) + 1:
            random = list(random)
        if isinstance(random, (list, tuple)):
            given = [_images(each, model, f"random set {i}") for i, each in enumerate(random)]
            few = [i for i, each in enumerate(given) if _length(each) < FEWEST]
            if few:
                raise ValueError(
                    f"Random set {few[0]} has {_length(given[few[0]])} images. Give at least {FEWEST} in each, better 50."
                )
            runs = min(self.random_runs, len(given) // 2)
            had = f"{len(given)} random sets"
        else:
            pool = _images(random, model, "random")
            count = _length(pool)
            runs = min(self.random_runs, count // (2 * FEWEST))
            order = np.random.default_rng([self.seed, count]).permutation(count)
            given = [_taken(pool, part) for part in np.array_split(order, max(2 * runs, 1))]
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
            warnings.warn(
                f"TCAV got {had}, enough for {runs} runs{enough}. The smallest p-value is then "
                f"{smallest(runs):.2g} before correction"
                + (", so nothing can be significant." if smallest(runs) >= self.alpha else "."),
                stacklevel=3,
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
        kept = None if self.cache_dir is None else _Kept(self.cache_dir, model, self._layers, found_at, sets)
        found = {} if kept is None else kept.read()
        missing = {name: images for name, images in sets.items() if name not in found}
        advance(sum(_length(sets[name]) for name in found))
        parts: dict[str, list[Any]] = {name: [] for name in missing}
        for batch in _batches(missing, batch_size):
            together = _joined([_taken(missing[name], rows) for name, rows in batch])
            outputs = activations(model, self._layers, together, "TCAV")
            start = 0
            for name, rows in batch:
                stop = start + rows.stop - rows.start
                parts[name].append([output[start:stop] for output in outputs])
                start = stop
            advance(start)
        computed = {
            name: [_finite(np.concatenate(layer), name) for layer in zip(*pieces, strict=True)]
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


def sort_by_concept(
    model: Any, layer: Layer, images: Any, cav: NDArray, *, batch_size: int = 32, progress: bool = False
) -> NDArray[np.int64]:
    """Indices (N,) of images, those with most of the concept first: by the cosine of their activations with its vector.

    cav: one vector, of the shape of the layer, or those of all runs, whose mean is taken.

    Raises ValueError if the vector is of another shape than the layer. Cost: a forward pass for each image.
    Kim et al., 2018. arXiv:1711.11279, section 4.1.1
    """
    images = _images(images, model, "images")
    if _length(images) == 0 or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ValueError(
            f"{_length(images)} images, batch_size={batch_size!r}. Give at least one image, and 1 or more."
        )
    vector = np.asarray(cav)
    if vector.dtype.kind not in "fiu":
        raise ValueError(f"cav has type {vector.dtype}. Give a vector, such as result.cavs[concept, layer].")
    found = []
    with progress_bar(progress, "sort_by_concept", _length(images)) as advance:
        for [(_, rows)] in _batches({"images": images}, batch_size):
            (acts,) = activations(model, [layer], _taken(images, rows), "sort_by_concept")
            vector = vector.mean(axis=0) if vector.ndim == acts.ndim else vector
            if vector.shape != acts.shape[1:]:
                raise ValueError(
                    f"cav has shape {np.shape(cav)}, layer {layer!r} puts out {acts.shape[1:]}. Give a "
                    "vector of that layer, such as result.cavs[concept, layer]."
                )
            flat = acts.reshape(len(acts), -1)
            found.append(flat @ vector.reshape(-1) / np.maximum(np.linalg.norm(flat, axis=1), 1e-30))
            advance(len(acts))
    return np.argsort(-np.concatenate(found), kind="stable")


# Sets of images


def _concept_sets(concepts: Any, model: Any) -> dict[str, Any]:
    if not isinstance(concepts, Mapping) or not concepts:
        raise ValueError('concepts is a dict of images by name, such as {"striped": images}.')
    if len({str(name) for name in concepts}) < len(concepts):
        raise ValueError(f"Two concepts have the same name: {', '.join(map(str, concepts))}.")
    sets = {str(name): _images(images, model, f"concept {name!r}") for name, images in concepts.items()}
    for name, images in sets.items():
        if (count := _length(images)) < FEWEST:
            raise ValueError(
                f"The concept {name!r} has {count} images. Give at least {FEWEST}, better 50 to 200."
            )
    return sets


def _images(images: Any, model: Any, name: str) -> Any:
    """A set of images as an array, or as the structure that a model of several inputs takes."""
    specs = specs_of(model)
    if isinstance(images, (str, Path)):
        return images_from(images, _size_of(model, name))
    if isinstance(images, Mapping):
        return dict(images)
    if len(specs) > 1 and isinstance(images, (list, tuple)) and len(images) == len(specs):
        return [np.asarray(each) for each in images]
    try:
        array = np.asarray(
            images if not isinstance(images, (list, tuple)) else [np.asarray(each) for each in images]
        )
    except ValueError as error:
        raise ValueError(
            f"{name} holds images of different sizes. Give them all the size that the model takes."
        ) from error
    if array.ndim == 0:
        raise ValueError(f"{name} is {images!r}. Give images (n, ...).")
    return array


def _is_pool(random: Sequence[Any], inputs: Sequence[Any]) -> bool:
    """Whether these are examples, not sets of them."""
    if all(isinstance(each, str) for each in random):
        return bool(random)
    rank = len(inputs[0].shape) if len(inputs) == 1 else 0
    return bool(random) and all(
        not isinstance(each, (Mapping, str, Path)) and np.ndim(each) == rank - 1 for each in random
    )


def _size_of(model: Any, name: str) -> tuple[int, int]:
    """Height and width of the images that a model takes. Raises ValueError if it does not say."""
    specs = specs_of(model)
    shape = tuple(specs[0].shape) if len(specs) == 1 else ()
    if len(shape) != 4 or None in shape[1:3]:
        raise ValueError(
            f"{name} is a folder, and the model does not say how large its images are. Read it with "
            "tfxai.concepts.from_folder(path, size)."
        )
    return shape[1:3]


def _check_sets(model: Any, sets: Mapping[str, Any], by_target: Mapping[int, Any]) -> None:
    """Raises ValueError, by the name of the set, if the model does not take one; warns of what is likely a slip."""
    largest: dict[str, float] = {"concepts": 0.0, "random": 0.0, "class": 0.0}
    everything = {**sets, **{f"inputs of class {one}": images for one, images in by_target.items()}}
    shapes = None
    for name, images in everything.items():
        try:
            arrays = Network(model, images).arrays
        except ValueError as error:
            raise ValueError(f"The {name}: {error}") from error
        shapes = shapes or [array.shape[1:] for array in arrays]
        if [array.shape[1:] for array in arrays] != shapes:
            raise ValueError(
                f"The {name} has shape {[array.shape[1:] for array in arrays]}, others have {shapes}. Give all images one size."
            )
        group = next(group for group in ("concept", "random", "inputs") if name.startswith(group))
        group = {"concept": "concepts", "random": "random", "inputs": "class"}[group]
        sizes = [float(np.abs(array).max()) for array in arrays if array.dtype.kind == "f" and array.size]
        largest[group] = max(largest[group], *sizes, 0.0)
    known = [value for value in largest.values() if value]
    if known and max(known) > 20 * min(known):
        told = ", ".join(f"{group} up to {value:.3g}" for group, value in largest.items())
        warnings.warn(
            f"Images have numbers of very different size: {told}. All must be in the range that the model takes.",
            stacklevel=3,
        )
    few = {one: _length(images) for one, images in by_target.items() if _length(images) < FEWEST}
    if few:
        one, count = next(iter(few.items()))
        warnings.warn(
            f"Class {one} has {count} images, on which the scores are parts: better {FEWEST} or more.",
            stacklevel=3,
        )


def _finite(acts: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if not np.isfinite(acts).all():
        raise ValueError(
            f"The activations of {name} are not finite in a layer. Another layer, or float32, may help."
        )
    return acts


def _inputs_of(inputs: Any, target: Any) -> dict[int, Any]:
    targets = [target] if np.ndim(target) == 0 else list(target)
    if not targets or any(
        isinstance(one, bool) or not isinstance(one, (int, np.integer)) or one < 0 for one in targets
    ):
        raise ValueError(f"target is {target!r}. Give a class, or a list of classes: 0 or more.")
    if len({*targets}) < len(targets):
        raise ValueError(f"target names a class twice: {target!r}.")
    if not isinstance(inputs, Mapping) or not all(isinstance(key, (int, np.integer)) for key in inputs):
        return dict.fromkeys(map(int, targets), inputs)
    if missing := [one for one in targets if one not in inputs]:
        raise ValueError(
            f"inputs has images for {list(inputs)}, but not for {missing}. Give them for each target."
        )
    return {int(one): inputs[one] for one in targets}


def _length(images: Any) -> int:
    return len(flatten(images)[0][0])


def _taken(images: Any, rows: Any) -> Any:
    return pack(images, [np.asarray(each)[rows] for each in flatten(images)[0]])


def _joined(parts: Sequence[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    arrays = zip(*(flatten(part)[0] for part in parts), strict=True)
    return pack(parts[0], [np.concatenate(each) for each in arrays])


def _batches(sets: Mapping[str, Any], batch_size: int) -> Iterator[list[tuple[str, slice]]]:
    """Whole batches across the borders of sets, of (set, rows); sets of other shapes do not share one."""
    batch: list[tuple[str, slice]] = []
    room, shape = batch_size, None
    for name, images in sets.items():
        of_this = [np.shape(each)[1:] for each in flatten(images)[0]]
        start, count = 0, _length(images)
        while start < count:
            if batch and (room == 0 or shape != of_this):
                yield batch
                batch, room = [], batch_size
            shape, stop = of_this, min(start + room, count)
            batch.append((name, slice(start, stop)))
            room -= stop - start
            start = stop
    if batch:
        yield batch


class _Kept:
    """Activations on disk, a file for each set of images and layer, named by what they depend on.

    That is the images, the layer, and all weights. What else could change a model (an activation, say) shows in the
    activations of each set's first image, which are computed anew.
    """

    def __init__(
        self,
        folder: str | Path,
        model: Any,
        layers: Sequence[Layer],
        found_at: Sequence[str],
        sets: Mapping[str, Any],
    ) -> None:
        self.folder, self.model, self.layers, self.paths = Path(folder), model, layers, found_at
        self.sets = sets
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache_dir={str(folder)!r} cannot be made a folder: {error.strerror}."
            ) from error
        network = Network(model, _taken(next(iter(sets.values())), slice(0, 1)))
        self.weights = network.weights_digest()

    def read(self) -> dict[str, list[NDArray[np.float32]]]:
        """The sets whose activations are all there."""
        found: dict[str, list[NDArray]] = {}
        for name in self.sets:
            files = self._files(name)
            if not all(file.exists() for file in files):
                continue
            try:
                loaded = [np.load(file, allow_pickle=False) for file in files]
            except (ValueError, OSError, EOFError):  # cut short when it was written
                continue
            anew = activations(self.model, self.layers, _taken(self.sets[name], slice(0, 1)), "TCAV")
            if all(
                old.shape == (_length(self.sets[name]), *new.shape[1:])
                and np.allclose(old[0], new[0], rtol=1e-3, atol=1e-4 * (np.abs(new).max() + 1e-30))
                for old, new in zip(loaded, anew, strict=True)
            ):
                found[name] = loaded
        return found

    def write(self, computed: Mapping[str, list[NDArray[np.float32]]]) -> None:
        for name, arrays in computed.items():
            for file, array in zip(self._files(name), arrays, strict=True):
                part = file.with_suffix(".part.npy")
                np.save(part, array, allow_pickle=False)
                part.replace(file)

    def _files(self, name: str) -> list[Path]:
        images = hashlib.blake2b(digest_size=16)
        for array in flatten(self.sets[name])[0]:
            array = np.ascontiguousarray(array)
            images.update(f"{array.dtype}{array.shape}".encode())
            images.update(repr(array.tolist()).encode() if array.dtype == object else array.tobytes())
        prints = [
            hashlib.blake2b(self.weights + images.digest() + path.encode(), digest_size=16).hexdigest()
            for path in self.paths
        ]
        return [self.folder / f"{each}.npy" for each in prints]
