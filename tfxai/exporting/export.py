"""Explanations that need none of us: a model with its methods as signatures, for TensorFlow, ONNX Runtime or LiteRT."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tfxai.engines import Method, NotOneGraph, Request
from tfxai.exporting.explaining import Explaining, Predicting
from tfxai.exporting.file_kinds import FileKind
from tfxai.exporting.photos_in import NAME, PhotosIn
from tfxai.exporting.rendering import overlays, stretched
from tfxai.exporting.signatures import After, Front, Signature, Taking, named_specs, signature_of
from tfxai.photos import Crop
from tfxai.scores import Referring, Score
from tfxai.support import Count, File, Model, Tensor, checked, warn, whole_folder

PREDICT = "serving_default"


@checked
def export(
    model: Model,
    path: File,
    methods: Mapping[str, Method],
    *,
    format: Literal["saved_model", "onnx", "litert"] = "saved_model",
    inputs: Any = None,
    targets: Any = "top",
    score: str | Score | None = None,
    preprocess: str | Callable[..., Any] | None = None,
    crop: Crop = 1.0,
    labels: Any = None,
    render: bool = False,
    batch_size: Count = 32,
    quantize: Literal["float16", "int8"] | None = None,
) -> Path:
    """Writes a model that answers `predict` and `explain`, for programs that have no tfxai: returns the folder.

    A SavedModel has a signature for each method, of the name that it is given, and `serving_default`, the model as it was; their
    weights are there once. TensorFlow alone reads it (TensorFlow Serving, C++, Java ...):

        tfxai.export(model, "served/1", {"explain": tfxai.GradCAM()})
        tf.saved_model.load("served/1").signatures["explain"](inputs=photos)["values"]

    With "onnx" or "litert" the folder has a file for each, NAME.onnx or NAME.tflite, and `serving_default` beside them, for ONNX Runtime,
    or LiteRT with builtin operations (phones, boards, browsers): pip install "tfxai[export]". They take and give the same by the same names;
    but where a target is given, the class that was explained is `explained`, and one that is no class gives NaN. Gradients,
    paths, backward rules and class activation maps can be written so; an operation that has no counterpart there is refused by name.

    An explaining signature takes the inputs of the model by name (their own names, the keys of a dict, or `inputs`), and gives
    `values` (B, ...) as the method would, `target` (B,), `score` (B,), and of methods that promise a sum `baseline_score` and
    `delta`; where several inputs are explained, `values_NAME` for each. No row depends on the others.

    methods:    name of the signature -> method. Of those that sample, seed and numbers of samples are what they are here.
    inputs:     what the model takes: a tf.TensorSpec for each, in its structure, or a batch of them; unless given, what it says
                of itself. A first axis of None takes any number of rows (LiteRT: one). With a function as `preprocess`, what that takes.
    targets:    "top", the predicted class; "given", one with each row, int32 (B,) by the name `target`, where -1 is the predicted
                one; or one class for all.
    score:      what is explained, as of a method.
    preprocess: what stands in front of the model in every signature. A name of `tfxai.photos.scale` ("0..1", "-1..1",
                "resnet50" ..., "none"): files of photos come in as bytes, `photos` (B,), are decoded, cropped in the centre,
                resized and scaled. Or a TensorFlow function of what comes -> the model's inputs.
    crop:       of photos, part of height and width to keep, above 0 and at most 1; 0.875 is usual on ImageNet.
    labels:     names of the classes: adds `label` (B,), that of the target.
    render:     adds `overlay_bytes` (B,), PNG files of the map over its picture, drawn in the graph (TensorFlow Serving sends what ends in `_bytes` as Base64).
    batch_size: points of a path, or perturbed inputs, that the model sees at once.
    quantize:   of LiteRT files, how weights are kept: "float16", half the size, or "int8", a quarter; maps move by it, see
                docs/serving.md.

    Cost: a trace for each signature, no pass.

    Raises ValueError if the model does not say what it takes, a method's work is no graph (segments that are found, inpainting,
    a tolerance: it then says what to use), or the folder is there already.
    """
    _check(methods, score, targets)
    if crop != 1 and not isinstance(preprocess, str):
        raise ValueError(
            f'crop={crop} is of photos that come in as files. Give preprocess, such as "0..1", or leave it out.'
        )
    place = Path(path).expanduser()
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise ValueError(
            f"{path} is there already. Give a new folder, such as the next version, or remove it."
        )
    kind = FileKind(format, quantize)
    kind.check(preprocess, render, methods)
    taking = kind.taking(
        Taking.of(model, inputs if preprocess is None or isinstance(preprocess, str) else None)
    )
    front = front_of(taking, preprocess, crop, inputs)
    names = _names_of(labels)
    after = Telling(None if kind.apart else names, render)
    call = {
        "targets": targets,
        "score": score,
        "batch_size": batch_size,
        "front": front,
        "after": after,
        "apart": kind.apart,
    }
    signatures = [predicting(taking, front)]
    for name, method in methods.items():
        signatures.append(explaining(taking, name, method, **call))
        classes = signatures[-1].classes
        if classes is not None and _is_class(targets) and targets >= classes:
            raise ValueError(f"targets is class {targets}, the model has {classes} (0 to {classes - 1}).")
        if names is not None and classes is None:
            raise ValueError("labels are names of classes, and this score needs none. Leave them out.")
        if names is not None and len(names) != classes:
            raise ValueError(
                f"labels has {len(names)} names, the model has {classes} classes. Give one per class."
            )
        for message in signatures[-1].warnings:
            warn(message)
    with whole_folder(place) as part:
        kind.write(part, signatures, [model, preprocess], names)
    return place


def front_of(taking: Taking, preprocess: Any, crop: float, inputs: Any) -> Front | None:
    """What stands in front of the model. inputs: what a function of the user's takes."""
    if preprocess is None:
        return None
    if isinstance(preprocess, str):
        photos = PhotosIn.of(taking, preprocess, crop)
        return Front({NAME: tf.TensorSpec([taking.rows], tf.string)}, photos.seen)
    return Front(named_specs(inputs), lambda *given: (preprocess(*given), None))


def predicting(taking: Taking, front: Front | None) -> Signature:
    """The model as it was."""
    names = tuple(getattr(taking.model, "output_names", None) or ())
    return signature_of(PREDICT, taking, taking.network(), Predicting(names), front=front)


def explaining(
    taking: Taking,
    name: str,
    method: Method,
    *,
    targets: Any,
    score: str | Score | None,
    batch_size: int,
    front: Front | None,
    after: After,
    apart: bool,
) -> Signature:
    """A method's explanation of rows. apart: for another engine than TensorFlow."""
    network = taking.network(method)
    if network.adapter.runs_python:
        raise NotOneGraph("The model is a function on arrays, which needs Python. Export a TensorFlow model.")
    asked = method.default_score if score is None else score
    explained = None if targets == "top" else 0  # which class that is, is told when it runs
    request = Request.of(network, explained, asked, type(method).__name__, batch_size=batch_size)
    body = Explaining(method, request, taking.names, apart)
    target = {"top": -1, "given": "given"}.get(targets, targets)
    return signature_of(name, taking, network, body, target=target, front=front, after=after, apart=apart)


@dataclasses.dataclass(frozen=True)
class Telling:
    """What is added to the results of an explaining signature: names of classes, and pictures."""

    labels: tuple[str, ...] | None
    render: bool

    def __call__(
        self, inputs: Sequence[Tensor], pictures: Tensor | None, found: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        if self.labels is not None:
            found["label"] = tf.gather(tf.constant(self.labels), found["target"])
        if self.render:
            values = found.get("values")
            if values is None or values.shape.rank != 4 or len(inputs) != 1:
                raise ValueError("render=True is for one input that is images, (N, H, W, C). Leave it out.")
            found["overlay_bytes"] = overlays(values, stretched(inputs[0]) if pictures is None else pictures)
        return found


def _check(methods: Mapping[str, Method], score: Any, targets: Any) -> None:
    """Raises ValueError for what no file could answer."""
    if not methods:
        raise ValueError('methods is empty. Give them by name, such as {"explain": tfxai.GradCAM()}.')
    if isinstance(score, Referring):
        raise NotOneGraph(
            f"score={score!r} compares with boxes, areas or embeddings that are found before the explanation. Export a score of classes, "
            "or your own function (outputs, targets) -> (N,)."
        )
    known = targets in ("top", "given") if isinstance(targets, str) else _is_class(targets)
    if not known:
        raise ValueError(
            f'targets is {targets!r}. Give "top", "given", or one class, 0 or more, for all rows.'
        )
    for name, method in methods.items():
        if not isinstance(method, Method):
            raise ValueError(
                f"methods[{name!r}] is {method!r}. Give a method with its settings, such as tfxai.GradCAM()."
            )
        if not name.isidentifier() or name == PREDICT:
            raise ValueError(
                f'methods has the name {name!r}. Give a word such as "explain", which is not {PREDICT!r}.'
            )
        kind = type(method).__name__
        if method.not_one_graph is not None:
            raise NotOneGraph(f"{kind} cannot be exported: {method.not_one_graph}")
        if getattr(method, "tolerance", None) is not None:
            raise NotOneGraph(
                f"{kind}(tolerance=...) looks at what it has found before it goes on, which needs Python. Give a fixed number of steps or "
                "samples; of methods that promise a sum, delta tells each caller how far to trust it."
            )


def _names_of(labels: Any) -> tuple[str, ...] | None:
    """The names of the classes, in order. Raises ValueError if they are not texts, one for each."""
    if isinstance(labels, Mapping) and sorted(labels) == [*range(len(labels))]:
        labels = [labels[number] for number in range(len(labels))]
    if labels is None:
        return None
    names = list(labels) if isinstance(labels, (list, tuple, np.ndarray)) else [None]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"labels is {labels!r:.60}. Give a list of texts, the name of each class in turn.")
    return tuple(map(str, names))


def _is_class(targets: Any) -> bool:
    return isinstance(targets, (int, np.integer)) and not isinstance(targets, bool) and bool(targets >= 0)
