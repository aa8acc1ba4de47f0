"""What a model looks at while it trains."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tfxai import metrics as measures
from tfxai import plots
from tfxai.concepts import TCAVResult
from tfxai.inputs import flatten, pack
from tfxai.methods import called, named_methods
from tfxai.metrics import checked_metrics, entropy, masks_of, measured, share_inside, unwrapped
from tfxai.model import Network, build
from tfxai.plots import Labels
from tfxai.results import Explanation
from tfxai.stats import Reference
from tfxai.training.disk import is_file_name
from tfxai.training.films import films
from tfxai.training.monitor import Look, Monitor

OWN = ("drift", "entropy", "region")  # numbers that no metric may be called after


class ExplainCallback(Monitor):
    """Explains the same inputs again and again while a model trains: pictures, and numbers that catch trouble.

    `model.fit(x, y, callbacks=[tfxai.ExplainCallback([tfxai.GradCAM()], images, log_dir="logs")])`

    methods:    a method, a list of them, or a dict name -> method, with the names of the command line (`grad_cam`). A
                method is whatever can be called as method(model, inputs, targets).
    inputs:     what is explained, as for every method: a few are enough.
    targets:    as for every method; None is the class that the model predicts at that moment, so give classes to
                follow one of them.
    every:      looks at every so many epochs, or batches.
    on:         "epoch" or "batch".
    log_dir:    folder for TensorBoard's event files: an image for each method, and all numbers. Step n is the state
                after n epochs (or batches).
    directory:  folder for METHOD/epoch_0003.png, the same as .npz (a tfxai.Explanation), and METHOD/image_0.gif: how the
                map of an image changed during one call of `fit`, from the untrained state (epoch_0000) on. Films have up to
                30 frames, each on its own scale, and are made of the first 16 inputs when the training ends; after an
                interrupted one call `films()`.
    labels:     class names, for the pictures.
    metrics:    names in tfxai.metrics, functions of that kind, or a dict name -> function.
    regions:    where the evidence should be: masks (N, H, W) or boxes (N, 4) as y0, x0, y1, x1.
    batch_size: examples that the model sees at once.
    score:      what is explained, as for every method: for a model with several outputs, or a metric of your own.

    In the history and in TensorBoard, mean over the inputs:

    METHOD_drift:   1 - rank correlation with the map of the look before, 0 to 2; the first look is compared with the
                    untrained state. It should calm down. Where the explained class changes, so does the map; a map that is
                the same everywhere agrees with no other.
    METHOD_region:  share of the positive evidence inside `regions`, 0 to 1; 0 for an empty map.
    METHOD_entropy: of how the evidence is spread, in nats: 0 to ln(places).
    METHOD_METRIC:  each of `metrics`.

    With on="batch" TensorBoard has every look, and the history the last of each epoch. Epochs without a look have no
    entry, as Keras does it with `validation_freq`. A callback that monitors such a number must come after this one, and be
    told the direction: `EarlyStopping("grad_cam_region", mode="max")`.

    explanations: name -> Explanation, of the last look that did not fail.

    Raises ValueError at the start of the training, before its first epoch, if a method, target, metric or region
    cannot work. Later errors (a model that has become NaN) are warned of once, and give NaN and no picture. A model without
    weights gets them at the start, for inputs like these.
    Cost: that of the methods and metrics for each look, and for the untrained state. Drawing takes about a tenth of a second
    for each map, and as much again at the end for each frame of each film.

    Sources of the numbers: Adebayo et al., 2018, arXiv:1810.03292 (rank correlation); Ross, Hughes, Doshi-Velez: Right for
    the Right Reasons, 2017, arXiv:1703.03717, and Wang et al., 2020, arXiv:1910.01279 (evidence inside); Bhatt, Weller,
    Moura, 2020, arXiv:2005.00631 (entropy).
    """

    def __init__(
        self,
        methods: Any,
        inputs: Any,
        targets: Any = None,
        *,
        every: int = 1,
        on: Literal["epoch", "batch"] = "epoch",
        log_dir: str | Path | None = None,
        directory: str | Path | None = None,
        labels: Labels | None = None,
        metrics: Any = (),
        regions: ArrayLike | None = None,
        batch_size: int = 32,
        score: Any = None,
    ) -> None:
        super().__init__(every, on, log_dir, directory, labels, batch_size)
        if inputs is None or hasattr(inputs, "element_spec"):
            raise ValueError(
                f"inputs is a {type(inputs).__name__}. Give arrays (N, ...): of a dataset, such as next(iter(dataset))[0]."
            )
        self.methods = named_methods(methods)
        if directory is not None and (odd := [name for name in self.methods if not is_file_name(name)]):
            raise ValueError(
                f"The method name {odd[0]!r} cannot be the name of a folder in directory. Give another one."
            )
        if score is not None:
            self.methods = {
                name: functools.partial(method, score=score) for name, method in self.methods.items()
            }
        self.inputs, self.targets = inputs, targets
        self.regions = None if regions is None else _array_of(regions)
        self.metrics = checked_metrics(_with_regions(metrics, self.regions)) if _given(metrics) else {}
        if taken := [name for name in self.metrics if name in OWN]:
            raise ValueError(
                f"A metric is called {taken[0]!r}, as a number of the callback. Give it another name."
            )
        self.explanations: dict[str, Explanation] = {}
        self._references: dict[str, list[Reference]] = {}
        self._kept: dict[str, list[tuple[str, Path]]] = {}

    def films(self) -> None:
        """Writes image_0.gif ... of what the last training has left in `directory`: after an interrupted one.

        Raises OSError if that cannot be written.
        """
        for files in self._kept.values():
            films([(name, file) for name, file in files if file.exists()], self.labels)

    # As a study

    def begin(self) -> Look:
        self._kept = {name: [] for name in self.methods}
        build(self.model, self.inputs)
        Network(self.model, self.inputs)  # which says what is wrong with the inputs as a whole
        one = self._first()
        for name, method in self.methods.items():
            try:
                found = called(method, self.model, *one, self.batch_size)
                _check(found)
                self._numbers(method, *one, found, slice(0, 1), of_all=len(_first_array(self.inputs)))
            except (ValueError, TypeError) as error:
                raise ValueError(f"ExplainCallback, method {name!r}: {error}") from error
        for name, method in self.methods.items():
            try:
                found = called(method, self.model, self.inputs, self.targets, self.batch_size)
                self._numbers(method, self.inputs, self.targets, found, slice(None), only_maps=True)
            except (ValueError, TypeError) as error:
                raise ValueError(f"ExplainCallback, method {name!r}: {error}") from error
            self.explanations[name], self._references[name] = found, _references(found)
        return Look({}, dict(self.explanations))

    def look(self) -> Look:
        numbers, results = {}, {}
        for name, method in self.methods.items():
            numbers |= dict.fromkeys(self._names(name), float("nan"))
            with self._going_on(f"explain by {name}"):
                found = called(method, self.model, self.inputs, self.targets, self.batch_size)
                _check(found)
                references = _references(found)
                pairs = zip(references, self._references[name], strict=True)
                numbers[f"{name}_drift"] = float(1 - np.mean([one.spearman(other) for one, other in pairs]))
                now = self._numbers(method, self.inputs, self.targets, found, slice(None))
                numbers |= {f"{name}_{key}": value for key, value in now.items()}
                results[name], self._references[name] = found, references
        self.explanations |= results
        return Look(numbers, results)

    def note(self, look: Look, number: int) -> None:
        if self.directory is not None:
            for name in look.results:
                file = self.file(name, self.named(number))
                shown = f"{self.on} {number}" if number else "before training"
                self._kept[name].append((shown, file.with_suffix(".npz")))

    def draw(self, result: Explanation) -> Figure:
        return plots.show(result, self.labels)

    def file(self, name: str, look: str) -> Path:
        return (self.directory or Path()) / name / look

    def end(self) -> None:
        with self._forgiving(self.directory):
            self.films()

    # Inside

    def _first(self) -> tuple[Any, Any]:
        """The first example and its target, in the structure of all; a wrong number of targets shows only with all."""
        if isinstance(self.inputs, (list, tuple)) and not any(np.ndim(each) for each in self.inputs):
            inputs = list(self.inputs[:1])
        else:
            inputs = pack(self.inputs, [np.asarray(each)[:1] for each in flatten(self.inputs)[0]])
        return inputs, np.asarray(self.targets)[:1] if np.ndim(self.targets) else self.targets

    def _names(self, method: str) -> list[str]:
        own = OWN if self.regions is not None else OWN[:2]
        return [f"{method}_{name}" for name in (*own, *self.metrics)]

    def _numbers(
        self,
        method: Callable[..., Any],
        inputs: Any,
        targets: Any,
        found: Explanation,
        rows: slice,
        of_all: int | None = None,
        only_maps: bool = False,
    ) -> dict[str, float]:
        """Entropy, region, and the metrics.

        rows:      which of the examples these are. of_all: how many there are, if these are not all: then nothing may fail.
        only_maps: leaves out metrics that ask the model, and lets none fail.
        """
        heat = _maps(found)
        numbers = {"entropy": float(entropy(heat).mean())}
        if self.regions is not None:
            each = len(heat) // len(found)
            count = len(found) if of_all is None else of_all
            masks = masks_of(self.regions, (count * each, *heat.shape[1:]), (count, *found.targets.shape[1:]))
            numbers["region"] = float(share_inside(heat, masks[: len(heat)]).mean())
        for name, function in self.metrics.items():
            asks = {"model", "method"} & set(inspect.signature(function).parameters)
            if only_maps and asks:
                continue
            if "regions" in getattr(function, "keywords", {}):
                function = functools.partial(function, regions=_array_of(function.keywords["regions"])[rows])
            if of_all is not None or only_maps:
                numbers[name] = self._value(name, function, method, inputs, targets, found)
            else:
                with self._going_on(f"measure {name}"):
                    numbers[name] = self._value(name, function, method, inputs, targets, found)
        return numbers

    def _value(
        self, name: str, function: Any, method: Any, inputs: Any, targets: Any, found: Explanation
    ) -> float:
        value = measured(function, method, self.model, inputs, targets, found, self.batch_size)
        if not hasattr(value, "mean"):
            raise ValueError(f"The metric {name!r} gave {type(value).__name__}. Give a MetricResult.")
        return float(value.mean)


def callback_scores(found: TCAVResult) -> dict[str, float]:
    """Mean score and p-value of every concept, layer and target."""
    numbers = {}
    for row in found.table:
        target = f"{row['target']}_" if len(found.targets) > 1 else ""
        name = f"tcav_{target}{row['concept']}_{row['layer']}"
        numbers |= {name: row["score"], f"{name}_p": row["p_value"]}
    return numbers


def _check(found: Explanation) -> None:
    """Raises ValueError if the model has become NaN, and its maps with it."""
    known = np.isfinite(_maps(found)).reshape(found.targets.size, -1).any(axis=1)
    bad = ~np.isfinite(found.scores).reshape(-1) | ~known
    if bad.any():
        raise ValueError(
            f"The score or the map is no number for {bad.sum()} of {bad.size} explanations: look at the model's weights."
        )


def _maps(found: Explanation) -> NDArray[np.float32]:
    """(rows, ...) of all examples and targets."""
    heat = found.heatmap()
    return heat.reshape(-1, *heat.shape[found.targets.ndim :])


def _references(found: Explanation) -> list[Reference]:
    return [Reference(heat) for heat in _maps(found)]


def _first_array(inputs: Any) -> Any:
    return flatten(inputs)[0][0]


def _array_of(regions: Any) -> NDArray:
    try:
        return np.asarray(regions)
    except ValueError as error:
        raise ValueError(
            "regions differ in size. Give masks (N, H, W), or boxes (N, 4), one for each input."
        ) from error


def _given(metrics: Any) -> bool:
    return callable(metrics) or isinstance(metrics, str) or bool(metrics)


def _with_regions(metrics: Any, regions: Any) -> Any:
    """The metrics by name; those of regions get the callback's.

    Raises ValueError if one needs regions, and there are none.
    """
    if not isinstance(metrics, Mapping):
        listed = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
        named = {m if isinstance(m, str) else getattr(unwrapped(m), "__name__", "metric"): m for m in listed}
        if len(named) < len(listed):
            raise ValueError("Two metrics have the same name. Give a dict name -> function.")
        metrics = named
    found = {}
    for name, metric in metrics.items():
        function = getattr(measures, metric, metric) if isinstance(metric, str) else metric
        if callable(function) and _asks_for_regions(function):
            if regions is None:
                raise ValueError(f"The metric {name!r} needs regions=, masks (N, H, W) or boxes (N, 4).")
            function = functools.partial(function, regions=regions)
        found[str(name)] = function
    return found


def _asks_for_regions(function: Callable[..., Any]) -> bool:
    parameter = inspect.signature(function).parameters.get("regions")
    return parameter is not None and parameter.default is parameter.empty
