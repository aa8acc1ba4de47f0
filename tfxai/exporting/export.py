"""Explanations that need none of us: a model with its methods as signatures, for TensorFlow, ONNX Runtime or LiteRT."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from tfxai.engines import Method, NotOneGraph
from tfxai.exporting.explaining import Explaining, Predicting
from tfxai.exporting.saved_model import write_saved_model
from tfxai.exporting.signatures import Front, Signature, Taking, signature_of
from tfxai.model import Needs
from tfxai.scores import Referring, Score
from tfxai.support import Count, File, Model, checked, is_file_name, warn

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
    batch_size: Count = 32,
) -> Path:
    """Writes a model that answers `predict` and `explain`, for programs that do not have tfxai."""
    if not methods:
        raise ValueError('methods is empty. Give them by name, such as {"explain": tfxai.GradCAM()}.')
    taking = Taking.of(model, inputs)
    signatures = [predicting(taking), *(explaining(taking, name, method, targets, score, batch_size) for name, method in methods.items())]
    write_saved_model(Path(path), signatures, model)
    return Path(path)


def predicting(taking: Taking) -> Signature:
    network = taking.network()
    names = tuple(getattr(taking.model, "output_names", None) or ())
    return signature_of(PREDICT, taking, network, Predicting(names))


def explaining(taking, name, method, targets, score, batch_size) -> Signature:
    check_exportable(method, score)
    network = taking.network(method)
    given = targets != "top"
    score = method.default_score if score is None else score
    body = Explaining(method, score, taking.names, given, batch_size, one_size=False)
    code = {"top": -1, "given": "given"}.get(targets, targets)
    return signature_of(name, taking, network, body, target=code)


def check_exportable(method, score) -> None:
    pass
