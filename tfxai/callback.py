"""Explanations while a model trains: what does it look at, and when did that change?

    watch = tfxai.ExplainCallback([tfxai.GradCAM()], images, labels_of_images, log_dir="logs", directory="maps")
    history = model.fit(x, y, epochs=10, callbacks=[watch])
    history.history["grad_cam_drift"]

Nothing that is seen here touches the training: weights, random numbers and files are as they would be without.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tfxai import metrics as measures
from tfxai import plots
from tfxai.canvas import Labels, pixels, title
from tfxai.concepts import TCAV, TCAVResult
from tfxai.explanation import Explanation
from tfxai.files import whole
from tfxai.inputs import flatten, pack
from tfxai.metrics.compare import checked_metrics, measured
from tfxai.metrics.maps import entropy, masks_of, share_inside
from tfxai.metrics.result import plain
from tfxai.names import named_methods
from tfxai.network import thawed
from tfxai.sanity import called
from tfxai.similarity import Reference

FRAMES = 30  # of a film, spread evenly over the training
SECONDS = 6  # that a film takes at most, and one for its last frame


class Study(keras.callbacks.Callback):
    """When to look at a model in training, and where to put what is seen. Studies say what to look at.

    Looks are counted from 1, as Keras prints epochs; number 0 is the untrained model.
    """

    def __init__(
        self,
        every: int,
        on: Literal["epoch", "batch"],
        log_dir: str | Path | None,
        directory: str | Path | None,
        batch_size: int,
    ) -> None:
        super().__init__()
        if on not in ("epoch", "batch"):
            raise ValueError(f'on is {on!r}. Give "epoch" or "batch".')
        for name, value in (("every", every), ("batch_size", batch_size)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} is {value!r}. Give a whole number, 1 or more.")
        for name, value in (("log_dir", log_dir), ("directory", directory)):
            if value is not None and not isinstance(value, (str, Path)):
                raise ValueError(f"{name} is a {type(value).__name__}. Give the path of a folder, or None.")
        if log_dir is not None and importlib.util.find_spec("tensorboard") is None:
            raise ImportError("log_dir needs TensorBoard, which is not installed: pip install tensorboard")
        self.every, self.on, self.batch_size = int(every), on, int(batch_size)
        self.log_dir = None if log_dir is None else Path(log_dir)
        self.directory = None if directory is None else Path(directory)
        self.async_safe = on == "epoch"  # nothing happens after a batch, so Keras need not wait for it
        self._writer: Any = None

    # What a study does

    def begin(self) -> None:
        """Tries everything on the untrained model. Raises ValueError if something cannot work."""
        raise NotImplementedError

    def look(self) -> dict[str, float]:
        """Numbers by the names under which history and TensorBoard keep them."""
        raise NotImplementedError

    def keep(self, name: str, number: int) -> None:
        """Writes what was last seen. name: `epoch_0003`, without folder and ending."""
        raise NotImplementedError

    def note(self, number: int) -> None:
        """Remembers what was last seen, by its number."""

    def end(self) -> None:
        """Writes what tells of the whole training."""

    # When; tf_keras asks which hooks there are, by these names

    def _implements_train_batch_hooks(self) -> bool:
        return self.on == "batch"

    def _implements_test_batch_hooks(self) -> bool:
        return False

    def _implements_predict_batch_hooks(self) -> bool:
        return False

    def on_train_begin(self, logs: Any = None) -> None:
        self._numbers: dict[str, float] = {}
        self._number: int | None = None  # not known before the first epoch, which need not be number 0
        self._batches = self._batches_before = 0
        self._warned: set[str] = set()
        self._close()
        with thawed():
            self.begin()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._batches_before = self._batches
        self._numbers = {}
        if self._number is None:
            self._number = self._start = 0 if self.on == "batch" else epoch
            self.note(self._number)
            self._keep({})

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.on == "epoch":
            return
        # Several steps may come as one: then once for all of them.
        before, self._batches = self._batches, self._batches_before + batch + 1
        if self._batches // self.every > before // self.every:
            self._looked(self._batches)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.on == "epoch" and (epoch + 1) % self.every == 0:
            self._looked(epoch + 1)
        if logs is not None:
            logs.update(self._numbers)

    def on_train_end(self, logs: Any = None) -> None:
        if self.directory is not None:
            with self._forgiving(self.directory):
                self.end()
        self._close()

    def _looked(self, number: int) -> None:
        with thawed():
            self._numbers = self.look()
        self._number = number
        self.note(number)
        try:
            self._keep(self._numbers)
        except Exception as error:  # whatever cannot be drawn must not end a training
            self.warn("picture", f"{type(self).__name__} could not draw: {error} The training goes on.")

    # Where

    def _keep(self, numbers: Mapping[str, float]) -> None:
        number = self._number or 0
        if self.log_dir is not None:
            with self._forgiving(self.log_dir):
                if self._writer is None:
                    self.log_dir.mkdir(parents=True, exist_ok=True)
                    self._writer = tf.summary.create_file_writer(str(self.log_dir))
                with self._writer.as_default(step=number):
                    for name, value in numbers.items():
                        tf.summary.scalar(name, value)
        if self.directory is not None or self._writer is not None:
            width = 4 if self.on == "epoch" else 6
            self.keep(f"{self.on}_{number:0{width}d}", number)
        if self._writer is not None and self.log_dir is not None:
            with self._forgiving(self.log_dir):
                self._writer.flush()

    def put(self, name: str, figure: Figure, number: int, file: Path | None) -> None:
        """Draws once, for TensorBoard and for the file."""
        image = pixels(figure)
        if self._writer is not None and self.log_dir is not None:
            with self._forgiving(self.log_dir), self._writer.as_default(step=number):
                tf.summary.image(name, image[None])
        if file is not None and self.directory is not None:
            with self._forgiving(self.directory):
                file.parent.mkdir(parents=True, exist_ok=True)
                with whole(file) as part:
                    Image.fromarray(image).save(part)

    def save(self, result: Any, file: Path) -> bool:
        """Whether a result could be written."""
        with self._forgiving(file.parent if self.directory is None else self.directory):
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole(file) as part:
                result.save(part)
            return True
        return False

    @contextlib.contextmanager
    def _forgiving(self, path: Path) -> Iterator[None]:
        """A disk that fails costs its files, and not the training; one warning for each path says so."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            self.warn(
                str(path),
                f"Nothing can be written to {path} ({_reason(error)}). The training goes on; look for another place.",
            )

    def warn(self, key: str, text: str) -> None:
        """Once in a training."""
        if key not in self._warned:
            self._warned.add(key)
            warnings.warn(text, stacklevel=2)

    def _close(self) -> None:
        if self._writer is not None and self.log_dir is not None:
            with self._forgiving(self.log_dir):
                self._writer.close()
        self._writer = None


class ExplainCallback(Study):
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
                map of an image changed, from the untrained state (epoch_0000) on; up to 30 frames, each on its own scale.
    labels:     class names, for the pictures.
    metrics:    names in tfxai.metrics, functions of that kind, or a dict name -> function.
    regions:    where the evidence should be: masks (N, H, W) or boxes (N, 4) as y0, x0, y1, x1.
    batch_size: examples that the model sees at once.
    score:      what is explained, as for every method: for a model with several outputs, or a metric of your own.

    In the history and in TensorBoard, mean over the inputs:

    METHOD_drift:   1 - rank correlation with the map of the look before, 0 to 2; the first look is compared with the
                    untrained state. It should calm down.
    METHOD_region:  share of the positive evidence inside `regions`, 0 to 1; 0 for an empty map.
    METHOD_entropy: of how the evidence is spread, in nats: 0 to ln(places).
    METHOD_METRIC:  each of `metrics`.

    With on="batch" TensorBoard has every look, and the history the last of each epoch. Epochs without a look have no
    entry, as Keras does it with `validation_freq`. A callback that monitors such a number must come after this one.

    explanations: name -> Explanation, of the last look.

    Raises ValueError at the start of the training, before its first epoch, if a method, target, metric or region
    cannot work. Later errors (a model that has become NaN) are warned of once, and give NaN.
    Cost: that of the methods and metrics for each look, and for the untrained state; pictures take about a third of a second each.

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
        super().__init__(every, on, log_dir, directory, batch_size)
        self.methods = named_methods(methods)
        if directory is not None and (odd := [name for name in self.methods if not _is_file_name(name)]):
            raise ValueError(
                f"The method name {odd[0]!r} cannot be the name of a folder in directory. Give another one."
            )
        if score is not None:
            self.methods = {
                name: functools.partial(method, score=score) for name, method in self.methods.items()
            }
        self.inputs, self.targets, self.labels, self.regions = inputs, targets, labels, regions
        self.metrics = checked_metrics(_with_regions(metrics, regions)) if _given(metrics) else {}
        self.explanations: dict[str, Explanation] = {}

    def begin(self) -> None:
        one = self._first()
        model: Any = self.model
        if not model.built:  # which Keras leaves to the first step
            model(one[0], training=False)
        self.explanations, self._references, self._files = {}, {}, {name: [] for name in self.methods}
        for name, method in self.methods.items():
            try:
                found = called(method, self.model, *one, self.batch_size)
                self._measured(method, *one, found, slice(0, 1))
            except ValueError as error:
                raise ValueError(f"ExplainCallback, method {name!r}: {error}") from error
        for name, method in self.methods.items():
            found = called(method, self.model, self.inputs, self.targets, self.batch_size)
            if self.regions is not None:
                self._masks(found, np.asarray(self.regions))
            self.explanations[name], self._references[name] = found, _references(found)

    def look(self) -> dict[str, float]:
        numbers = {}
        for name, method in self.methods.items():
            try:
                found = called(method, self.model, self.inputs, self.targets, self.batch_size)
                now = self._measured(method, self.inputs, self.targets, found, slice(None))
            except Exception as error:  # whatever it is, it must not end a training
                self.warn(name, f"ExplainCallback, method {name!r} failed: {error} The training goes on.")
                numbers.update(dict.fromkeys(self._names(name), float("nan")))
                continue
            references = _references(found)
            pairs = zip(references, self._references[name], strict=True)
            drift = 1 - np.mean([one.spearman(other) for one, other in pairs])
            numbers.update(zip(self._names(name), [float(drift), *now], strict=True))
            self.explanations[name], self._references[name] = found, references
        return numbers

    def keep(self, name: str, number: int) -> None:
        for method, found in self.explanations.items():
            stem = None if self.directory is None else self.directory / method / name
            if stem is not None and self.save(found, stem.with_suffix(".npz")):
                self._files[method].append((number, stem.with_suffix(".npz")))
            self.put(method, self._drawn(found), number, None if stem is None else stem.with_suffix(".png"))

    def end(self) -> None:
        for files in self._files.values():
            count = len(files)
            evenly = np.unique(np.linspace(0, count - 1, min(count, FRAMES)).round().astype(int))
            named = [
                ("before training" if number == self._start else f"{self.on} {number}", file)
                for number, file in files
            ]
            _films([named[i] for i in evenly], self.labels)

    # Inside

    def _first(self) -> tuple[Any, Any]:
        """The first example and its target, in the structure of all; a wrong number of targets shows only with all."""
        if isinstance(self.inputs, (list, tuple)) and not any(np.ndim(each) for each in self.inputs):
            inputs = list(self.inputs[:1])
        else:
            inputs = pack(self.inputs, [np.asarray(each)[:1] for each in flatten(self.inputs)[0]])
        return inputs, np.asarray(self.targets)[:1] if np.ndim(self.targets) else self.targets

    def _names(self, method: str) -> list[str]:
        region = [] if self.regions is None else [f"{method}_region"]
        return [
            f"{method}_drift",
            f"{method}_entropy",
            *region,
            *(f"{method}_{name}" for name in self.metrics),
        ]

    def _measured(
        self, method: Callable[..., Any], inputs: Any, targets: Any, found: Explanation, rows: slice
    ) -> list[float]:
        """Entropy, region, and the metrics; rows: which of the examples these are."""
        heat = _maps(found)
        numbers = [float(entropy(np.nan_to_num(heat)).mean())]
        if self.regions is not None:
            masks = self._masks(found, np.asarray(self.regions)[rows])
            numbers.append(float(share_inside(heat, masks).mean()))
        for name, function in self.metrics.items():
            if "regions" in getattr(function, "keywords", {}):
                function = functools.partial(function, regions=np.asarray(function.keywords["regions"])[rows])
            value = measured(function, method, self.model, inputs, targets, found, self.batch_size)
            if not hasattr(value, "mean"):
                raise ValueError(f"The metric {name!r} gave {type(value).__name__}. Give a MetricResult.")
            numbers.append(float(value.mean))
        return numbers

    def _masks(self, found: Explanation, regions: NDArray) -> NDArray[np.bool_]:
        return masks_of(regions, _maps(found).shape, found.targets.shape)

    def _drawn(self, found: Explanation) -> Figure:
        return plots.show(found, self.labels)


class ConceptCallback(Study):
    """How much a class leans on concepts, as training goes: TCAV after every so many epochs.

    `model.fit(x, y, callbacks=[tfxai.ConceptCallback(tfxai.TCAV(["conv"]), zebras, 3, {"striped": striped}, random)])`

    tcav, inputs, targets, concepts, random, score: as for tfxai.TCAV and its call; targets is a class, or several.
    every:     looks at every so many epochs.
    log_dir:   folder for TensorBoard's event files: the chart as an image, and all numbers.
    directory: folder for epoch_0003.png (the chart) and epoch_0003.npz (a TCAVResult), from the untrained state
               (epoch_0000) on.
    labels:    class names, for the charts.

    In the history and in TensorBoard: tcav_CONCEPT_LAYER, the mean score over runs (NaN where the layer has not learned the
    concept), and tcav_CONCEPT_LAYER_p, its corrected p-value; with several targets the class stands before the concept.

    results: epoch -> TCAVResult without its vectors.

    Raises ValueError at the start of the training if a layer, concept or target cannot work.
    Cost: that of TCAV for each look, and for the untrained state.

    Kim et al.: Interpretability Beyond Feature Attribution, 2018. arXiv:1711.11279
    """

    def __init__(
        self,
        tcav: TCAV,
        inputs: Any,
        targets: int | Sequence[int],
        concepts: Mapping[str, Any],
        random: Any,
        *,
        every: int = 1,
        log_dir: str | Path | None = None,
        directory: str | Path | None = None,
        labels: Labels | None = None,
        score: Any = "logit",
        batch_size: int = 32,
    ) -> None:
        super().__init__(every, "epoch", log_dir, directory, batch_size)
        if not isinstance(tcav, TCAV):
            raise ValueError(
                f"tcav is a {type(tcav).__name__}. Give a test and its layers, such as tfxai.TCAV(['conv'])."
            )
        self.tcav, self.labels = tcav, labels
        self._question = (inputs, targets, concepts, random)
        self._options = {"score": score, "batch_size": batch_size}
        self.results: dict[int, TCAVResult] = {}
        self._found: Any = None

    def begin(self) -> None:
        self.results = {}
        self._found = self.tcav(self.model, *self._question, **self._options)

    def look(self) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what there is to say was said at the start
            try:
                self._found = self.tcav(self.model, *self._question, **self._options)
            except Exception as error:  # whatever it is, it must not end a training
                with warnings.catch_warnings():
                    warnings.simplefilter("default")
                    self.warn("tcav", f"ConceptCallback failed: {error} The training goes on.")
                return dict.fromkeys(self._numbers, float("nan"))
        numbers = {}
        for row in self._found.table:
            target = f"{row['target']}_" if len(self._found.targets) > 1 else ""
            name = f"tcav_{target}{row['concept']}_{row['layer']}"
            numbers |= {name: row["score"], f"{name}_p": row["p_value"]}
        return numbers

    def note(self, number: int) -> None:
        self.results[number] = dataclasses.replace(self._found, cavs={})

    def keep(self, name: str, number: int) -> None:
        file = None if self.directory is None else self.directory / name
        if file is not None:
            self.save(self._found, file.with_suffix(".npz"))
        self.put(
            "tcav",
            plots.tcav(self._found, self.labels),
            number,
            None if file is None else file.with_suffix(".png"),
        )


def _maps(found: Explanation) -> NDArray[np.float32]:
    """(rows, ...) of all examples and targets."""
    heat = found.heatmap()
    return heat.reshape(-1, *heat.shape[found.targets.ndim :])


def _references(found: Explanation) -> list[Reference]:
    return [Reference(heat) for heat in _maps(found)]


def _given(metrics: Any) -> bool:
    return callable(metrics) or isinstance(metrics, str) or bool(metrics)


def _with_regions(metrics: Any, regions: Any) -> Any:
    """The metrics by name; those of regions get the callback's.

    Raises ValueError if one needs regions, and there are none.
    """
    if not isinstance(metrics, Mapping):
        listed = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
        named = {m if isinstance(m, str) else getattr(plain(m), "__name__", "metric"): m for m in listed}
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


def _films(files: Sequence[tuple[str, Path]], labels: Labels | None) -> None:
    """image_0.gif ... beside the explanations, a frame for each of them."""
    if not files:
        return
    count = min(len(Explanation.load(files[0][1])), 16)
    films: list[list[Image.Image]] = [[] for _ in range(count)]
    for name, file in files:
        found = Explanation.load(file)
        for number, film in enumerate(films):
            figure = plots.show(found[number], labels)
            title(figure.axes[0], name, "")
            film.append(Image.fromarray(pixels(figure)))
    for number, film in enumerate(films):
        size = max(frame.width for frame in film), max(frame.height for frame in film)
        frames = [_padded(frame, size).quantize(256, dither=Image.Dither.NONE) for frame in film]
        each = max(100, min(500, 1000 * SECONDS // len(frames)))
        with whole(files[0][1].with_name(f"image_{number}.gif")) as part:
            frames[0].save(
                part,
                save_all=True,
                append_images=frames[1:],
                duration=[each] * (len(frames) - 1) + [1500],
                loop=0,
            )


def _padded(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """On white, in the corner: the picture of one epoch may need more room for its words than another's."""
    if frame.size == size:
        return frame
    sheet = Image.new("RGB", size, "white")
    sheet.paste(frame)
    return sheet


def _is_file_name(name: str) -> bool:
    return re.fullmatch(r"[^/\\:*?\"<>|\x00-\x1f]+", name) is not None and name not in (".", "..")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
