"""Exported ONNX and LiteRT files answer as the library does, in a process that has no TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from test_export import answers, arrays_by_name, check, explained, method

import tfxai
from tfxai.cli import main

pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")
L = keras.layers
ELSEWHERE = Path(__file__).parent / "served_elsewhere.py"
NEAR = 1e-4  # of the largest value
# Loops of loops, and loops with convolutions in steps in ONNX, which the converters do not take.
REFUSED = {"onnx": ("GuidedIG", "Conductance"), "litert": ("GuidedIG",)}
USUAL = (
    "Gradient",
    "InputXGradient",
    "GuidedBackprop",
    "DeepLIFT",
    "LRP",
    "GradCAM",
    "IntegratedGradients",
    "SmoothGrad",
)


def needs_no_loops(name: str) -> bool:
    needs = getattr(tfxai, name).needs
    return needs.gradients or needs.layers


def prove(tmp_path: Path, names: Sequence[str], format: Any, methods: Sequence[str]) -> set[str]:
    """Exports kinds with methods, runs them elsewhere, and compares; returns the methods that were compared."""
    wanted, folders = {}, {}
    for name in names:
        kind = models.kind(name)
        wanted[name] = kind, explained(kind, methods)
        inputs = arrays_by_name(kind)
        specs = {key: tf.TensorSpec(array.shape, array.dtype, name=key) for key, array in inputs.items()}
        given: Any = specs if isinstance(kind.inputs, dict) else list(specs.values())
        folder, targets = str(tmp_path / name), "top" if kind.named else 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tfxai.export(
                kind.model,
                folder,
                {each: method(each, kind) for each in wanted[name][1]},
                format=format,
                inputs=given if len(specs) > 1 or isinstance(given, dict) else given[0],
                score=kind.score,
                targets=targets,
            )
        folders[folder] = inputs
    found = answers(tmp_path, folders, ELSEWHERE)
    for name, (kind, explanations) in wanted.items():
        for each, want in explanations.items():
            check(kind, each, want, found[str(tmp_path / name)], NEAR)
    return {each for _, explanations in wanted.values() for each in explanations}


@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_the_usual_methods_without_tensorflow(tmp_path: Path, format: str) -> None:
    few = ["Gradient", "GradCAM", "IntegratedGradients"]
    assert prove(tmp_path, ["functional_softmax"], format, few) == {*few}


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "litert"])
def test_every_family_without_tensorflow(tmp_path: Path, format: str) -> None:
    every = [n for n in tfxai.methods.__all__ if n not in ("XRAI", *REFUSED[format]) and needs_no_loops(n)]
    proved = prove(tmp_path, ["functional_softmax"], format, every)
    assert proved == {*every} - {"AttentionRollout", "AttentionRelevance"}


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "litert"])
@pytest.mark.parametrize("names", [["nested", "two_inputs_list"], ["subclassed", "embedding", "vit"]])
def test_kinds_of_models_without_tensorflow(tmp_path: Path, format: str, names: list[str]) -> None:
    some = USUAL if "vit" not in names else [*USUAL[:6:2], "AttentionRelevance"]
    assert len(prove(tmp_path, names, format, some)) >= 3


def small() -> Any:
    keras.utils.set_random_seed(2)
    inputs = keras.Input((9, 9, 3), name="photo")
    x = L.Conv2D(4, 3, activation="relu")(inputs)
    return keras.Model(inputs, L.Dense(3)(L.Flatten()(x)))


PHOTOS = np.random.default_rng(0).random((3, 9, 9, 3), np.float32)


def test_any_number_of_rows_a_target_for_each_and_names_of_classes(tmp_path: Path) -> None:
    import onnxruntime

    model, method = small(), tfxai.Gradient()
    tfxai.export(
        model, tmp_path / "m", {"explain": method}, format="onnx", targets="given", labels=["a", "b", "c"]
    )
    assert (tmp_path / "m" / "labels.txt").read_text() == "a\nb\nc\n"
    session = onnxruntime.InferenceSession(str(tmp_path / "m" / "explain.onnx"))
    names = [each.name for each in session.get_outputs()]
    for rows in (1, 3):
        targets = np.array([2, -1, 7][:rows], np.int32)
        found = dict(zip(names, session.run(None, {"photo": PHOTOS[:rows], "target": targets}), strict=True))
        best = int(np.argmax(model(PHOTOS[1:2])))
        want = method(model, PHOTOS, [2, best, 0]).values
        np.testing.assert_allclose(found["values"][:2], want[:rows][:2], atol=1e-5 * np.abs(want).max())
        assert found["explained"][:2].tolist() == [2, best][:rows]
        assert np.isnan(found["values"][2:]).all()  # the model has no class 7


def test_litert_takes_one_row_and_weights_are_kept_smaller(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    keras.utils.set_random_seed(1)
    inputs = keras.Input((16,), name="row")
    model = keras.Model(
        inputs, L.Dense(3)(L.Dense(512, activation="relu")(L.Dense(512, activation="relu")(inputs)))
    )
    row, sizes = np.random.default_rng(0).random((1, 16), np.float32), {}
    want = tfxai.Gradient()(model, row).values
    for kept, apart in ((None, 1e-5), ("float16", 1e-2), ("int8", 0.2)):
        folder = tfxai.export(
            model, tmp_path / str(kept), {"explain": tfxai.Gradient()}, format="litert", quantize=kept
        )
        sizes[kept] = (folder / "explain.tflite").stat().st_size
        found = Interpreter(str(folder / "explain.tflite")).get_signature_runner("serving_default")(row=row)
        assert np.abs(found["values"] - want).max() <= apart * np.abs(want).max()
    assert sizes["int8"] < 0.4 * sizes[None] and sizes["float16"] < 0.6 * sizes[None]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preprocess": "0..1"}, "reads or writes pictures as files"),
        ({"render": True}, "reads or writes pictures as files"),
        ({"methods": {"hidden": tfxai.Occlusion()}}, "shows the model many inputs"),
        ({"quantize": "int8"}, 'is for format="litert"'),
        (
            {"methods": {"path": tfxai.IntegratedGradients(steps=200)}},
            "With a fixed number of rows more can be written",
        ),
    ],
)
def test_what_onnx_cannot_hold_is_refused(tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tfxai.export(
            small(), tmp_path / "m", **{"methods": {"explain": tfxai.Gradient()}, "format": "onnx", **given}
        )
    assert not [*tmp_path.iterdir()]


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small().save(tmp_path / "model.keras")
    words = ["export", "--model", f"{tmp_path}/model.keras", "--method", "grad_cam", "--format", "litert"]
    assert main([*words, "--out", f"{tmp_path}/m"]) == 0
    assert "grad_cam.tflite" in capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "m").iterdir()) == [
        "grad_cam.tflite",
        "serving_default.tflite",
    ]
