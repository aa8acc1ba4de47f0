"""Does an explanation depend on what the model has learnt? The tests of arXiv:1810.03292, done as they were meant.

    report = tfxai.sanity.randomize_model([tfxai.Gradient(), tfxai.GuidedBackprop()], model, images)
    report.verdict()                # {"gradient": True, "guided_backprop": False}
    tfxai.plots.sanity(report)

A map that stays the same while the model's weights are destroyed shows the image, not the model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai import network
from tfxai.explanation import Explanation
from tfxai.names import named_methods
from tfxai.predictions import probabilities
from tfxai.progress import progress_bar
from tfxai.scores import Top
from tfxai.similarity import MEASURES, Reference
from tfxai.weights import Layer, chosen, kept, weighted_layers

TWINS = 20  # random maps for each map, to see what similarity chance alone gives
CHANCE = 0.95  # quantile of theirs that still counts as chance
LAST_BELOW, MEAN_BELOW = 0.1, 0.5  # of the way from chance to sameness: at the end, and on the way there


@dataclasses.dataclass(frozen=True, eq=False)
class SanityReport:
    """How explanations changed while a model's weights were drawn anew, layer by layer.

    layers:       names of the S steps.
    methods:      names of the M methods.
    similarity:   "spearman", "spearman_abs", "ssim", "hog" -> float32 (M, S + 1, N): of each map with that of the trained
                  model; column 0 is the trained model itself, so 1. See tfxai.similarity for what they mean.
    predictions:  int (S + 1, N): the class that the model as it then was gives each input; -1 if it has no classes.
    scores:       float32 (S + 1, N): its probability for the explained class, 0 to 1; NaN if it has no classes.
    targets:      int (N,): the explained classes; -1 if the model has none.
    chance:       float32 (M, N): the `spearman_abs` that one in twenty random maps reaches with the trained model's map;
                  they are as rough or smooth as that map is.
    mode:         "cascading" or "independent".
    order:        "top_down", "bottom_up", or "list" for any other.
    explanations: method -> its S + 1 explanations, if they were asked for.
    """

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
        return {name: bool(one) for name, one in zip(self.methods, passes, strict=True)}

    def _kept(self) -> tuple[NDArray, NDArray]:
        """How much of the map is kept where everything is destroyed, and on the mean over steps: from chance to 1."""
        alike = np.clip(self.similarity["spearman_abs"][:, 1:], 0, None)
        chance = np.minimum(self.chance, 0.99)[:, None]
        kept = ((alike - chance) / (1 - chance)).mean(axis=2)
        return kept[:, -1] if self.mode == "cascading" else kept.min(axis=1), kept.mean(axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the explanations, as lists and numbers: for JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "explanations"}
        fields["similarity"] = {name: array.tolist() for name, array in self.similarity.items()}
        plain = {name: x.tolist() if isinstance(x, np.ndarray) else x for name, x in fields.items()}
        return {**plain, "verdict": self.verdict()}

    def save(self, path: str | Path) -> Path:
        """Writes one compressed .npz file, explanations included, and returns its path."""
        path = Path(path)
        arrays = {f"similarity/{name}": array for name, array in self.similarity.items()}
        arrays |= {name: getattr(self, name) for name in ("predictions", "scores", "targets", "chance")}
        plain = {"layers": self.layers, "methods": self.methods, "mode": self.mode, "order": self.order}
        header: dict[str, Any] = {"format": 1, "fields": plain, "explanations": self.explanations is not None}
        if self.explanations is not None:
            header["packed"] = {
                name: [each.packed(arrays) for each in all_of] for name, all_of in self.explanations.items()
            }
        arrays["header"] = np.array(json.dumps(header))
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        return path

    @classmethod
    def load(cls, path: str | Path) -> SanityReport:
        """Reads what `save` wrote; nothing in the file is ever executed (no pickle).

        Raises ValueError if the file is none of these.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            header = json.loads(str(arrays["header"]))
            explanations = None
            if header["explanations"]:
                explanations = {
                    name: [Explanation.unpacked(each, arrays) for each in all_of]
                    for name, all_of in header["packed"].items()
                }
            return cls(
                similarity={name: arrays[f"similarity/{name}"] for name in MEASURES},
                **{name: arrays[name] for name in ("predictions", "scores", "targets", "chance")},
                explanations=explanations,
                **header["fields"],
            )
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(
                f"{path} is not a saved report ({error}). Give a file written by save()."
            ) from error

    def _repr_html_(self) -> str:
        """The figure and the verdict, for notebooks."""
        from tfxai import html, plots  # only when it is looked at: they load matplotlib

        return html.inlined(plots.sanity(self), repr(self))

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


def randomize_model(
    methods: Any,
    model: Any,
    inputs: Any,
    targets: Any = None,
    *,
    mode: Literal["cascading", "independent"] = "cascading",
    order: str | Sequence[str] = "top_down",
    layers: str | Sequence[str] | None = None,
    init: Literal["layer", "uniform"] = "layer",
    explanations: bool = False,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> SanityReport:
    """Explains inputs again and again while the trained model's weights are drawn anew, and compares the maps.

    A step is one layer with weights, and the batch norms that it feeds: kernel, bias, batch norm's parameters and
    statistics are all drawn anew. In the end the model has every weight back, to the bit, whatever happened.

    methods: a method, a list of them, or a dict name -> method. A function called as method(model, inputs, targets) that
             gives an Explanation counts as one.
    model:   a Keras or tf_keras model, or a module of tfxai.hub that has variables.
    targets: an int, (N,) ints, or None for the classes that the trained model predicts; the same at every step.
    mode:    "cascading": each step destroys one more layer. "independent": one layer at a time, the others as trained.
    order:   "top_down" (from the output), "bottom_up", or a list of names.
    layers:  names of the layers to destroy; unless given, all. A name may be that of a part
             with several layers, what their names begin with, or the model's own: one step.
    init:    "layer": as the layer was first drawn; where that is not known (files), with the mean and spread of the
             trained weights. "uniform": from -1 to 1; statistics 0 and 1.
    explanations: keeps all explanations in the report, as `tfxai.plots.sanity` needs to draw maps.

    Raises ValueError if a name is no layer, the weights cannot be changed, or the method's maps cannot be compared.
    Cost: S + 1 times the methods' own, and as many forward passes. Nothing is traced again from step to step.

    Adebayo et al.: Sanity Checks for Saliency Maps, 2018. arXiv:1810.03292
    """
    named = named_methods(methods)
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed is {seed!r}. Give a whole number, 0 or more.")
    steps, way = _steps(model, inputs, mode, order, layers, init)
    targets = _fixed(model, inputs, targets, batch_size)
    study = _Study(named, model, inputs, targets, batch_size, explanations)
    with (
        network.thawed(),
        kept(steps),
        progress_bar(progress, "randomize_model", (len(steps) + 1) * (len(named) + 1)) as advance,
    ):
        study.look(advance)
        for number, step in enumerate(steps):
            if mode == "independent":
                with kept([step]):
                    step.redraw(init, [seed, number])
                    study.look(advance)
            else:
                step.redraw(init, [seed, number])
                study.look(advance)
    return study.report([step.path for step in steps], mode, way, seed)


def smooth(
    methods: Any,
    model: Any,
    inputs: Any,
    targets: Any = None,
    *,
    samples: int = 50,
    noise: float = 0.1,
    order: str | Sequence[str] = "bottom_up",
    seed: int = 0,
    **settings: Any,
) -> SanityReport:
    """As `randomize_model`, with every map averaged over noisy copies of the input (sMPRT).

    What noise alone does to a map is then not taken for a change of the model; and layers are destroyed from the input
    up, since from the output down they leave much of the map's origin as it was.

    samples: noisy copies. noise: standard deviation, as a part of each input's own range. settings: see randomize_model.

    Cost: `samples` times that of randomize_model.
    Hedström et al.: Sanity Checks Revisited, 2024. arXiv:2401.06465
    """
    if not isinstance(samples, int) or samples < 1 or not isinstance(noise, (int, float)) or noise < 0:
        raise ValueError(
            f"samples={samples!r}, noise={noise!r}. Give 1 or more samples, and noise of 0 or more."
        )
    smoothed = {
        name: Smoothed(method, samples, noise, seed) for name, method in named_methods(methods).items()
    }
    return randomize_model(smoothed, model, inputs, targets, order=order, seed=seed, **settings)


@dataclasses.dataclass(frozen=True, eq=False)
class EfficientReport:
    """How much more complex maps become when all weights are drawn anew (eMPRT).

    methods:    names of the M methods.
    complexity: float32 (2, M, N): entropy of the map's histogram, in nats; of the trained model, and of the random one.
    rise:       float32 (M, N): (random - trained) / trained. Above 0: the trained model's map is simpler than noise.
    """

    methods: list[str]
    complexity: NDArray[np.float32]

    @property
    def rise(self) -> NDArray[np.float32]:
        trained, random = self.complexity
        return np.divide(random - trained, trained, out=np.zeros_like(trained), where=trained > 0)


def efficient(
    methods: Any,
    model: Any,
    inputs: Any,
    targets: Any = None,
    *,
    bins: int = 100,
    init: Literal["layer", "uniform"] = "layer",
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> EfficientReport:
    """Do a trained model's maps say less than those of a random model? Two explanations instead of a cascade (eMPRT).

    No two maps are compared, so that no measure of similarity and no order of layers has to be chosen.

    bins: of the histogram over a map, which is divided by the root of its mean square first.

    Cost: twice the methods' own.
    Hedström et al.: Sanity Checks Revisited, 2024. arXiv:2401.06465
    """
    if not isinstance(bins, int) or bins < 2:
        raise ValueError(f"bins is {bins!r}. Give a whole number, 2 or more.")
    named = named_methods(methods)
    steps, _ = _steps(model, inputs, "cascading", "bottom_up", None, init)
    targets = _fixed(model, inputs, targets, batch_size)
    found: list[list[list[float]]] = []
    with network.thawed(), kept(steps), progress_bar(progress, "efficient", 2 * len(named)) as advance:
        for destroyed in (False, True):
            if destroyed:
                for number, step in enumerate(steps):
                    step.redraw(init, [seed, number])
            found.append([])
            for method in named.values():
                maps = called(method, model, inputs, targets, batch_size).heatmap()
                found[-1].append([_entropy(heat, bins) for heat in maps])
                advance(1)
    return EfficientReport(list(named), np.array(found, np.float32))


@dataclasses.dataclass(frozen=True, eq=False)
class LabelReport:
    """How alike the maps of twins are, one trained on true labels and one on permuted ones.

    methods:      names of the M methods.
    accuracy:     "true", "permuted" -> part of the training examples that the twin gets right by the labels it was given.
    similarity:   as in SanityReport, float32 (M, N).
    explanations: "true", "permuted" -> method -> Explanation.
    """

    methods: list[str]
    accuracy: dict[str, float]
    similarity: dict[str, NDArray[np.float32]]
    explanations: dict[str, dict[str, Explanation]]


def randomize_labels(
    build: Callable[[], Any],
    methods: Any,
    x: Any,
    y: Any,
    inputs: Any = None,
    targets: Any = None,
    *,
    epochs: int = 20,
    seed: int = 0,
    batch_size: int = 32,
    progress: bool = False,
) -> LabelReport:
    """Trains twins on true and on permuted labels, and compares what explanations say of them.

    The second twin can only learn by heart. If a method gives both the same maps, it does not show what was learnt.
    Look at `accuracy` first: a twin that did not learn its labels proves nothing; give it more epochs.

    build:   makes a compiled Keras model; called twice. Both twins start from the same weights.
    x, y:    training data as `model.fit` takes it: arrays; classes as ints or one-hot.
    inputs:  to explain; unless given, the first 8 of x. targets: see randomize_model; unless given, what the first twin
             predicts.

    Raises ValueError if x and y differ in length. Cost: two trainings, and the methods on two models.
    Adebayo et al.: Sanity Checks for Saliency Maps, 2018. arXiv:1810.03292, section 4
    """
    named = named_methods(methods)
    x, y = np.asarray(x), np.asarray(y)
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} examples, y has {len(y)} labels. Give one label for each.")
    if not callable(build) or epochs < 1:
        raise ValueError("build is a function that makes a compiled Keras model, and epochs is 1 or more.")
    inputs = x[:8] if inputs is None else inputs
    generator = np.random.default_rng(seed)
    labels = {"true": y, "permuted": y[generator.permutation(len(y))]}
    orders = [generator.permutation(len(x)) for _ in range(epochs)]
    twins = {name: build() for name in labels}
    twins["permuted"].set_weights(twins["true"].get_weights())
    with progress_bar(progress, "randomize_labels", 2 * epochs) as advance:
        for name, given in labels.items():
            shuffled = _shuffled(x, given, orders, batch_size)
            twins[name].fit(
                shuffled, steps_per_epoch=-(-len(x) // batch_size), epochs=epochs, shuffle=False, verbose=0
            )
            advance(epochs)
    accuracy = {}
    for name, given in labels.items():
        classes = given.argmax(axis=1) if given.ndim == 2 and given.shape[1] > 1 else given.reshape(-1)
        found = probabilities(twins[name], x, batch_size=batch_size).argmax(axis=1)
        accuracy[name] = float((found == classes).mean())
    targets = _fixed(twins["true"], inputs, targets, batch_size)
    explained = {
        name: {key: called(method, twin, inputs, targets, batch_size) for key, method in named.items()}
        for name, twin in twins.items()
    }
    pairs = [(explained["true"][key].heatmap(), explained["permuted"][key].heatmap()) for key in named]
    alike = [[Reference(one).similarity(two) for one, two in zip(*pair, strict=True)] for pair in pairs]
    return LabelReport(list(named), accuracy, _by_measure(alike), explained)


# Inside


def called(method: Any, model: Any, inputs: Any, targets: Any, batch_size: int) -> Explanation:
    """What a method, or a user's function in the place of one, finds."""
    try:
        found = method(model, inputs, targets, batch_size=batch_size)
    except TypeError as error:
        if "batch_size" not in str(error):
            raise
        found = method(model, inputs, targets)
    if not isinstance(found, Explanation):
        raise ValueError(f"{method} gave a {type(found).__name__}. A method gives a tfxai.Explanation.")
    return found


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """A method whose values are means over noisy copies of the input; the noise is the same for every model."""

    method: Any
    samples: int
    noise: float
    seed: int

    def __call__(self, model: Any, inputs: Any, targets: Any = None, *, batch_size: int = 32) -> Explanation:
        if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "fiu":
            raise ValueError("Noise needs one array of numbers as inputs.")
        generator = np.random.default_rng(self.seed)
        axes = tuple(range(1, inputs.ndim))
        width = self.noise * (inputs.max(axis=axes, keepdims=True) - inputs.min(axis=axes, keepdims=True))
        total, found = 0.0, None
        for _ in range(self.samples):
            noise = generator.normal(size=(1, *inputs.shape[1:])).astype(np.float32)
            found = called(self.method, model, inputs + width.astype(np.float32) * noise, targets, batch_size)
            total = total + found.values / self.samples
        assert found is not None
        return dataclasses.replace(found, values=total, inputs=np.asarray(inputs, np.float32))


class _Study:
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
            _by_measure(list(self.alike.values())),
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


def _by_measure(alike: Any) -> dict[str, NDArray[np.float32]]:
    """Nested lists of {measure: value} as {measure: array}."""
    array = np.array(alike, object)
    return {name: np.vectorize(lambda one: one[name], otypes=[np.float32])(array) for name in MEASURES}  # noqa: B023


def _steps(
    model: Any,
    inputs: Any,
    mode: str,
    order: str | Sequence[str],
    layers: str | Sequence[str] | None,
    init: str,
) -> tuple[list[Layer], str]:
    if mode not in ("cascading", "independent"):
        raise ValueError(f'mode is {mode!r}. Give "cascading" or "independent".')
    if init not in ("layer", "uniform"):
        raise ValueError(f'init is {init!r}. Give "layer" or "uniform".')
    for name, value in (("layers", layers), ("order", order)):
        if value is None or isinstance(value, str):
            continue
        if (
            not isinstance(value, (list, tuple))
            or not value
            or not all(isinstance(one, str) for one in value)
        ):
            raise ValueError(f"{name} is {value!r}. Give names of layers, one or more.")
    layers = [layers] if isinstance(layers, str) else layers
    found = weighted_layers(model, inputs)
    if not found:
        raise ValueError("The model has no layers with weights that could be drawn anew.")
    rank = {id(weight.variable): i for i, layer in enumerate(found) for weight in layer.weights}

    def runs(step: Layer) -> int:
        return max(rank[id(weight.variable)] for weight in step.weights)

    name = getattr(model, "name", None)
    allowed = found if layers is None else sorted(chosen(found, layers, name), key=runs)
    if isinstance(order, str):
        if order not in ("top_down", "bottom_up"):
            raise ValueError(f'order is {order!r}. Give "top_down", "bottom_up" or a list of names.')
        return (allowed[::-1] if order == "top_down" else allowed), order
    steps = chosen(found, order, name)
    inside = {id(weight.variable) for layer in allowed for weight in layer.weights}
    if outside := [s.path for s in steps if not {id(weight.variable) for weight in s.weights} <= inside]:
        raise ValueError(f"order has {outside}, which layers= leaves out.")
    falling = [runs(step) for step in steps]
    return steps, "top_down" if falling == sorted(falling, reverse=True) else "list"


def _fixed(model: Any, inputs: Any, targets: Any, batch_size: int) -> Any:
    """The classes that are explained at every step."""
    if isinstance(targets, Top):
        raise ValueError("top(k) would be other classes at every step. Give an int, (N,) ints, or None.")
    if targets is not None:
        if np.ndim(targets) > 1:
            raise ValueError(f"targets has shape {np.shape(targets)}. Give an int, (N,) ints, or None.")
        return targets
    try:
        return probabilities(model, inputs, batch_size=batch_size).argmax(axis=1)
    except ValueError:  # no classes: the methods know what their score is about
        return None


def _shuffled(
    x: NDArray, y: NDArray, orders: Sequence[NDArray], batch_size: int
) -> Iterator[tuple[NDArray, NDArray]]:
    """Batches of all epochs, shuffled here: Keras would use the global random state."""
    for order in orders:
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            yield x[rows], y[rows]


def _entropy(heat: NDArray, bins: int) -> float:
    values = heat[np.isfinite(heat)]
    scale = np.sqrt((values**2).mean()) if values.size else 0.0
    counts = np.histogram(values / scale if scale else values, bins)[0]
    parts = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(parts * np.log(parts)).sum())
