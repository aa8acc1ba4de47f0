"""What a model looks at while it trains."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from tfxai import plots
from tfxai.inputs import flatten, pack
from tfxai.methods import Explainer, Explainers, called, named_methods
from tfxai.metrics import measured, reads_model
from tfxai.model import Network, build
from tfxai.plots import Labels
from tfxai.results import Explanation
from tfxai.scores import Boxes, Score, Targets, Top
from tfxai.stats import Reference
from tfxai.support import BatchSize, Count, File, Inputs, checked, is_file_name
from tfxai.training.films import write_films
from tfxai.training.maps import NAMES, array_of, check_finite, drift, map_numbers, references_of
from tfxai.training.metrics import Metric, Metrics, mean_of, metrics_by_name, of_rows
from tfxai.training.monitor import Look, Monitor


class ExplainCallback(Monitor[Explanation]):
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

    @checked
    def __init__(
        self,
        methods: Explainers,
        inputs: Inputs,
        targets: Targets = None,
        *,
        every: Count = 1,
        on: Literal["epoch", "batch"] = "epoch",
        log_dir: File | None = None,
        directory: File | None = None,
        labels: Labels | None = None,
        metrics: Metrics = (),
        regions: ArrayLike | None = None,
        batch_size: BatchSize = 32,
        score: str | Score | None = None,
    ) -> None:
        super().__init__(every, on, log_dir, directory, labels, batch_size)
        if inputs is None or hasattr(inputs, "element_spec"):
            raise ValueError(
                f"inputs is a {type(inputs).__name__}. Give arrays (N, ...): of a dataset, such as next(iter(dataset))[0]."
            )
        self.methods: dict[str, Explainer] = named_methods(methods)
        if directory is not None and (odd := [name for name in self.methods if not is_file_name(name)]):
            raise ValueError(
                f"The method name {odd[0]!r} cannot be the name of a folder in directory. Give another one."
            )
        if score is not None:
            self.methods = {
                name: functools.partial(method, score=score) for name, method in self.methods.items()
            }
        self.inputs, self.targets = inputs, targets
        self.regions = None if regions is None else array_of(regions)
        self.metrics = metrics_by_name(metrics, self.regions)
        self.explanations: dict[str, Explanation] = {}
        self._references: dict[str, list[Reference]] = {}
        self._kept: dict[str, list[tuple[str, Path]]] = {}

    def films(self) -> None:
        """Writes image_0.gif ... of what the last training has left in `directory`: after an interrupted one.

        Raises OSError if that cannot be written.
        """
        for files in self._kept.values():
            write_films([(name, file) for name, file in files if file.exists()], self.labels)

    def frames(self) -> dict[str, list[tuple[str, Path]]]:
        """Name -> (look, picture) of what the last training has left in `directory`; nothing without one."""
        return {
            name: [(shown, file.with_suffix(".png")) for shown, file in files]
            for name, files in self._kept.items()
        }

    # As a monitor

    def begin(self) -> Look[Explanation]:
        self._kept = {name: [] for name in self.methods}
        build(self.model, self.inputs)
        Network(self.model, self.inputs)  # which says what is wrong with the inputs as a whole
        for name, method in self.methods.items():
            with _errors_by(name):
                self._try(method)
        for name, method in self.methods.items():
            with _errors_by(name):
                explanation = self._first_explanation(method)
            self.explanations[name], self._references[name] = explanation, references_of(explanation)
        return Look({}, dict(self.explanations))

    def look(self) -> Look[Explanation]:
        numbers: dict[str, float] = {}
        results: dict[str, Explanation] = {}
        own = NAMES if self.regions is not None else NAMES[:2]
        for name, method in self.methods.items():
            numbers |= dict.fromkeys([f"{name}_{key}" for key in (*own, *self.metrics)], float("nan"))
            with self._going_on(f"explain by {name}"):
                explanation = called(method, self.model, self.inputs, self.targets, self.batch_size)
                check_finite(explanation)
                references = references_of(explanation)
                numbers[f"{name}_drift"] = drift(references, self._references[name])
                for key, value in map_numbers(explanation, self.regions).items():
                    numbers[f"{name}_{key}"] = value
                for key, metric in self.metrics.items():
                    with self._going_on(f"measure {key}"):
                        numbers[f"{name}_{key}"] = self._value(
                            key, metric, method, self.inputs, self.targets, explanation
                        )
                results[name], self._references[name] = explanation, references
        self.explanations |= results
        return Look(numbers, results)

    def note(self, look: Look[Explanation], number: int) -> None:
        if self.directory is not None:
            shown = f"{self.on} {number}" if number else "before training"
            for name in look.results:
                self._kept[name].append((shown, self.file(name, self.named(number)).with_suffix(".npz")))

    def draw(self, result: Explanation) -> Figure:
        return plots.show(result, self.labels)

    def file(self, name: str, look: str) -> Path:
        return (self.directory or Path()) / name / look

    def end(self) -> None:
        with self._forgiving(self.directory):
            self.films()

    # Inside

    def _try(self, method: Explainer) -> None:
        """All that a look does, on one example: mistakes are found at little cost."""
        inputs, targets = self._first_example()
        explanation = called(method, self.model, inputs, targets, self.batch_size)
        check_finite(explanation)
        map_numbers(explanation, self.regions, examples=len(flatten(self.inputs)[0][0]))
        for name, metric in self.metrics.items():
            self._value(name, of_rows(metric, slice(0, 1)), method, inputs, targets, explanation)

    def _first_explanation(self, method: Explainer) -> Explanation:
        """Of all inputs, by the untrained model; what needs no further passes is measured, to find mistakes."""
        explanation = called(method, self.model, self.inputs, self.targets, self.batch_size)
        map_numbers(explanation, self.regions)
        for name, metric in self.metrics.items():
            if not reads_model(metric):
                self._value(name, metric, method, self.inputs, self.targets, explanation)
        return explanation

    def _first_example(self) -> tuple[Inputs, Targets]:
        """The first example and its target, in the structure of all; a wrong number of targets shows only with all."""
        if isinstance(self.inputs, (list, tuple)) and not any(np.ndim(each) for each in self.inputs):
            inputs = list(self.inputs[:1])
        else:
            inputs = pack(self.inputs, [np.asarray(each)[:1] for each in flatten(self.inputs)[0]])
        if isinstance(self.targets, Boxes):
            return inputs, self.targets.first()
        if self.targets is None or isinstance(self.targets, Top) or not np.ndim(self.targets):
            return inputs, self.targets
        return inputs, np.asarray(self.targets)[:1]

    def _value(
        self,
        name: str,
        metric: Metric,
        method: Explainer,
        inputs: Inputs,
        targets: Targets,
        explanation: Explanation,
    ) -> float:
        """Mean of one metric. Raises ValueError if it cannot measure this."""
        result = measured(metric, method, self.model, inputs, targets, explanation, self.batch_size)
        return mean_of(result, name)


@contextlib.contextmanager
def _errors_by(method: str) -> Iterator[None]:
    """Says which method could not work."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise ValueError(f"ExplainCallback, method {method!r}: {error}") from error
