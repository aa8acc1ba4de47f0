"""Exported folders answer as the library does, in a process that has TensorFlow and nothing of ours."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import models
import numpy as np
import pytest
import tensorflow as tf
from kinds import flat

import tfxai
from tfxai import zoo
from tfxai.engines import Method

L = keras.layers
SERVED = Path(__file__).parent / "served.py"
REFUSED = ("XRAI", "ShapleyInteractions")
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"samples": 6} for name in ("SmoothGrad", "SquareGrad", "VarGrad")},
    **{name: {"steps": 7} for name in ("IntegratedGradients", "BlurIG", "GuidedIG", "Conductance")},
    # From 1000 passes on the library has weights in its trace as constants, which are added up in another order.
    "KernelSHAP": {"samples": 64, "segments": 6, "segmenter": "grid"},
    "LIME": {"samples": 40, "segments": 6, "segmenter": "grid"},
    "RISE": {"samples": 31, "cells": 3},
}
NEAR = 1e-6  # of the largest value: what another order of adding up leaves
ROUNDED = {"BlurIG": 3e-6}  # whose cosines are products in the graph, and SciPy's here
OTHERS = [
    "functional_logits",
    "sequential",
    "compiled_subclassed",
    "dict_of_outputs",
    "tf_keras",
    "callable",
    "series",
]
OTHERS += ["volume", "grey", "sigmoid_unit", "two_inputs_dict", "vit"]
FEW = ["Gradient", "DeepLIFT", "LRP", "GradCAM", "SmoothGrad", "ScoreCAM", "AttentionRelevance"]


def method(name: str, kind: Any) -> Method:
    given = dict(SETTINGS.get(name, {}))
    if name == "ExpectedGradients":
        given = {"background": kind.inputs, "samples": 10}
    if name == "KernelSHAP" and kind.tokens:
        given["samples"] = 512  # all coalitions of nine tokens
    return getattr(tfxai, name)(**given)


def explained(kind: Any, methods: Sequence[str]) -> dict[str, tfxai.Explanation]:
    """What the library says, of each of these methods that explains this kind of model and can be exported."""
    found = {}
    for name in methods:
        if name in REFUSED or (name == "PartitionSHAP" and not kind.tokens):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                targets = None if kind.named else 0
                found[name] = method(name, kind)(kind.model, kind.inputs, targets, score=kind.score)
            except ValueError:  # no images, no attention, no layers
                continue
    return found


def arrays_by_name(kind: Any) -> dict[str, np.ndarray]:
    if isinstance(kind.inputs, Mapping):
        return {name: np.asarray(array) for name, array in kind.inputs.items()}
    names = ["image", "row"] if kind.name.startswith("two_inputs") else ["inputs"]
    return {name: np.asarray(array) for name, array in zip(names, flat(kind.inputs), strict=True)}


def answers(
    tmp_path: Path, folders: Mapping[str, Mapping[str, np.ndarray]], script: Path = SERVED
) -> dict[str, Any]:
    """What signatures answer in a process of its own. folders: with their inputs by name."""
    jobs = []
    for folder, inputs in folders.items():
        stem = str(tmp_path / Path(folder).name)
        np.savez(f"{stem}.in.npz", **inputs)
        jobs.append({"folder": folder, "inputs": f"{stem}.in.npz", "answers": f"{stem}.out.npz"})
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "jobs.json")], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert "gradient" not in run.stderr  # TensorFlow warns of rules that a file asks for and nobody has
    return {job["folder"]: dict(np.load(job["answers"])) for job in jobs}


def values_by_name(kind: Any, explanation: tfxai.Explanation) -> dict[str, np.ndarray]:
    parts = dict(zip(arrays_by_name(kind), flat(explanation.values), strict=True))
    given = {name: values for name, values in parts.items() if values is not None}
    return (
        {"values": next(iter(given.values()))}
        if len(given) == 1
        else {f"values_{n}": v for n, v in given.items()}
    )


def check(
    kind: Any, name: str, want: tfxai.Explanation, got: Mapping[str, np.ndarray], within: float = NEAR
) -> None:
    near, unit = max(ROUNDED.get(name, NEAR), within), kind.unit or 0.0
    expected = values_by_name(kind, want)
    assert {key.split("/")[1] for key in got if key.startswith(f"{name}/values")} == {*expected}
    for key, values in expected.items():
        found = got[f"{name}/{key}"]
        assert found.shape == values.shape
        size = np.nanmax(np.abs(values), initial=1e-12)
        assert np.abs(found - values).max() <= (near + unit) * size, (
            name,
            key,
            np.abs(found - values).max() / size,
        )
    np.testing.assert_array_equal(got[f"{name}/target"], want.targets)
    np.testing.assert_allclose(got[f"{name}/score"], want.scores, rtol=within, atol=within)
    assert (want.delta is None) == (f"{name}/delta" not in got)
    if want.delta is not None:
        scale = np.abs(want.scores).max() + np.abs(got.get(f"{name}/baseline_score", np.zeros(1))).max()
        np.testing.assert_allclose(got[f"{name}/delta"], want.delta, atol=float(2 * within * scale))


def prove(tmp_path: Path, names: list[str], methods: Sequence[str] = tfxai.methods.__all__) -> set[str]:
    """Exports kinds with methods, runs them elsewhere, and compares; returns the methods that were compared."""
    wanted, folders = {}, {}
    for name in names:
        kind = models.kind(name)
        wanted[name] = kind, explained(kind, methods)
        given = {each: method(each, kind) for each in wanted[name][1]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            targets = "top" if kind.named else 0
            folder = str(tmp_path / name)
            tfxai.export(kind.model, folder, given, inputs=kind.inputs, score=kind.score, targets=targets)
        folders[folder] = arrays_by_name(kind)
    found = answers(tmp_path, folders)
    for name, (kind, explanations) in wanted.items():
        got = found[str(tmp_path / name)]
        for each, want in explanations.items():
            check(kind, each, want, got)
    return {each for _, explanations in wanted.values() for each in explanations}


def test_every_method_is_the_same_without_us(tmp_path: Path) -> None:
    assert prove(tmp_path, ["functional_softmax"]) >= {"Gradient", "GradCAM", "LRP", "RISE", "KernelSHAP"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "first", "step"),
    [
        ("nested", 0, 1),
        ("embedding", 0, 1),
        ("subclassed", 0, 2),
        ("two_inputs_list", 1, 2),
        ("mixed_float16", 0, 2),
    ],
)
def test_on_every_kind_of_model(tmp_path: Path, name: str, first: int, step: int) -> None:
    """Half of the methods on some: all together took six minutes, and found nothing more."""
    methods = tfxai.methods.__all__[first::step]
    assert len(prove(tmp_path, [name], methods)) >= 9


@pytest.mark.slow
@pytest.mark.parametrize("some", [OTHERS[:6], OTHERS[6:]])
def test_on_further_kinds(tmp_path: Path, some: list[str]) -> None:
    assert prove(tmp_path, some, FEW)


@pytest.mark.slow
def test_on_a_deep_network(tmp_path: Path) -> None:
    model = zoo.efficientnet_lite0()
    fitted = [tfxai.photos.fit(photo, (224, 224)) for photo in list(zoo.sample_photos().values())[:2]]
    photos = np.stack(fitted).astype(np.float32)
    methods = {
        "cam": tfxai.GradCAM(),
        "gradient": tfxai.Gradient(),
        "path": tfxai.IntegratedGradients(steps=8),
    }
    folder = str(tfxai.export(model, tmp_path / "m", methods))
    got = answers(tmp_path, {folder: {"photo": photos}})[folder]
    for name, each in methods.items():
        want = each(model, photos, batch_size=8).values
        assert np.linalg.norm(got[f"{name}/values"] - want) <= 1e-4 * np.linalg.norm(want), name


# What a caller may ask


@pytest.fixture(scope="module")
def small() -> Any:
    keras.utils.set_random_seed(3)
    inputs = keras.Input((10, 10, 3), name="photo")
    x = L.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    x = L.BatchNormalization()(x)
    return keras.Model(inputs, L.Dense(5, activation="softmax", name="class")(L.Flatten()(x)))


@pytest.fixture(scope="module")
def photos() -> Any:
    return np.random.default_rng(0).random((3, 10, 10, 3), np.float32)


def load(folder: Path) -> Any:
    """The signatures; what they hang on must live as long."""
    loaded = tf.saved_model.load(str(folder))
    return lambda name, **given: loaded.signatures[name](**{k: tf.constant(v) for k, v in given.items()})


def test_a_given_target_is_explained_and_minus_one_is_the_predicted_class(
    small: Any, photos: Any, tmp_path: Path
) -> None:
    method = tfxai.IntegratedGradients(steps=5)
    run = load(tfxai.export(small, tmp_path / "m", {"explain": method}, targets="given"))
    targets = np.array([4, -1, 0], np.int32)
    found = run("explain", photo=photos, target=targets)
    best = small.predict(photos, verbose=0).argmax(1)
    want = method(small, photos, [4, best[1], 0])
    np.testing.assert_allclose(found["values"], want.values, atol=1e-6 * np.abs(want.values).max())
    np.testing.assert_array_equal(found["target"], want.targets)


@pytest.mark.parametrize("target", [[0, 1], [0, 5, 1], [0, -2, 1]])
def test_targets_that_are_none_fail(small: Any, photos: Any, tmp_path: Path, target: list[int]) -> None:
    run = load(tfxai.export(small, tmp_path / "m", {"explain": tfxai.Gradient()}, targets="given"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="target must hold one class for each row"):
        run("explain", photo=photos, target=np.array(target, np.int32))


def test_the_model_answers_as_before_and_is_left_as_it_was(small: Any, photos: Any, tmp_path: Path) -> None:
    before = [weight.numpy() for weight in small.weights]
    run = load(
        tfxai.export(small, tmp_path / "m", {"explain": tfxai.GradCAM(), "lrp": tfxai.LRP()}, targets=2)
    )
    np.testing.assert_array_equal(run("serving_default", photo=photos)["class"], small(photos))
    for old, weight in zip(before, small.weights, strict=True):
        np.testing.assert_array_equal(old, weight.numpy())
    small.fit(photos, np.zeros((3, 5)), verbose=0) if small.compiled else None
    np.testing.assert_array_equal(run("explain", photo=photos)["target"], [2, 2, 2])


def test_rows_do_not_depend_on_each_other_and_any_number_may_come(
    small: Any, photos: Any, tmp_path: Path
) -> None:
    methods = {"ig": tfxai.IntegratedGradients(steps=40), "hidden": tfxai.Occlusion()}
    run = load(tfxai.export(small, tmp_path / "m", methods))
    for name in methods:
        together = run(name, photo=photos)["values"]
        alone = np.concatenate([run(name, photo=photos[i : i + 1])["values"] for i in range(3)])
        np.testing.assert_allclose(alone, together, atol=1e-6 * np.abs(together).max())


def test_weights_are_on_the_disk_once(tmp_path: Path) -> None:
    inputs = keras.Input((8,), name="row")
    model = keras.Model(inputs, L.Dense(5)(L.Dense(2000, activation="relu")(L.Dense(2000)(inputs))))
    methods = {f"m{i}": tfxai.Gradient() for i in range(3)}
    folder = tfxai.export(model, tmp_path / "m", methods)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert size < 1.1 * 4 * model.count_params()


def test_a_fixed_number_of_rows_and_open_sizes(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, None, 3))
    x = L.Conv2D(4, 3, activation="relu")(inputs)
    model = keras.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(L.Conv2D(5, 3, strides=2)(x))))
    methods: dict[str, Method] = {"cam": tfxai.GradCAM(), "ig": tfxai.IntegratedGradients(steps=5)}
    free, fixed = tmp_path / "free", tmp_path / "fixed"
    run = load(tfxai.export(model, free, methods))
    generator = np.random.default_rng(0)
    for shape in ((2, 20, 30, 3), (1, 33, 17, 3)):
        photo = generator.random(shape, np.float32)
        for name, each in methods.items():
            want = each(model, photo).values
            np.testing.assert_allclose(
                run(name, inputs=photo)["values"], want, atol=1e-6 * np.abs(want).max()
            )
    spec = tf.TensorSpec((2, 16, 16, 3))
    tfxai.export(model, fixed, methods, inputs=spec)
    signature = tf.saved_model.load(str(fixed)).signatures["ig"]
    assert signature.structured_outputs["values"].shape == (2, 16, 16, 3)


@pytest.mark.parametrize(
    "baseline", [0.3, tfxai.baselines.blur(2), tfxai.baselines.mean(), tfxai.baselines.noise(0, 1)]
)
def test_baselines_are_made_in_the_graph(small: Any, photos: Any, tmp_path: Path, baseline: Any) -> None:
    methods = {
        "ig": tfxai.IntegratedGradients(steps=4, baseline=baseline),
        "hidden": tfxai.Occlusion(baseline=baseline),
    }
    run = load(tfxai.export(small, tmp_path / "m", methods))
    for name, each in methods.items():
        want = each(small, photos).values
        np.testing.assert_allclose(run(name, photo=photos)["values"], want, atol=2e-6 * np.abs(want).max())


def test_several_baselines_are_averaged(small: Any, photos: Any, tmp_path: Path) -> None:
    method = tfxai.IntegratedGradients(steps=4, baseline=tfxai.baselines.several(0.0, 1.0))
    want = method(small, photos)
    found = load(tfxai.export(small, tmp_path / "m", {"ig": method}))("ig", photo=photos)
    np.testing.assert_allclose(found["values"], want.values, atol=1e-6 * np.abs(want.values).max())
    np.testing.assert_allclose(found["delta"], want.delta, atol=1e-6)


# What cannot be


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (tfxai.XRAI(), "XRAI cannot be exported: it looks for regions"),
        (tfxai.ShapleyInteractions(), "Export KernelSHAP"),
        (tfxai.IntegratedGradients(tolerance="1%"), "looks at what it has found"),
        (tfxai.LIME(), 'Give segmenter="grid"'),
        (tfxai.KernelSHAP(segmenter="grid", segments=20, samples=100), "take fewer segments"),
        (tfxai.PartitionSHAP(), "halved to the end"),
        (tfxai.Occlusion(baseline=lambda x: 0 * x), "which needs Python. Give a number"),
        (
            tfxai.IntegratedGradients(baseline=np.zeros((3, 10, 10, 3), np.float32)),
            "one for each input. Give one for all",
        ),
    ],
)
def test_what_needs_python_is_refused_with_what_works(
    small: Any, tmp_path: Path, method: Method, words: str
) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        tfxai.export(small, tmp_path / "m", {"explain": method})
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"methods": {}}, "methods is empty"),
        ({"methods": {"my map": tfxai.Gradient()}}, "has the name 'my map'"),
        ({"methods": {"serving_default": tfxai.Gradient()}}, "which is not 'serving_default'"),
        ({"methods": {"explain": tfxai.Gradient}}, "methods"),
        ({"targets": [1, 2]}, "targets is"),
        ({"targets": -1}, "targets is -1"),
        ({"score": tfxai.scores.detection()}, "compares with boxes"),
        ({"inputs": tf.TensorSpec((None, 4, 4, 3))}, "shape"),
    ],
)
def test_wrong_arguments_are_refused_and_nothing_is_written(
    small: Any, tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        tfxai.export(small, tmp_path / "m", **{"methods": {"explain": tfxai.Gradient()}, **given})
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_is_there_is_kept(small: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"is there already\. Give a new folder"):
        tfxai.export(small, tmp_path, {"explain": tfxai.Gradient()})
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_function_on_arrays_is_refused(tmp_path: Path) -> None:
    def model(x: np.ndarray) -> np.ndarray:
        return np.stack([x.sum(1), x[:, 0]], 1)

    with pytest.raises(ValueError, match="a function on arrays"):
        tfxai.export(
            model, tmp_path / "m", {"explain": tfxai.Occlusion()}, inputs=np.zeros((1, 4), np.float32)
        )


def test_a_model_that_does_not_say_what_it_takes_wants_inputs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Give inputs: a tf.TensorSpec"):
        tfxai.export(lambda x: x @ tf.ones((4, 2)), tmp_path / "m", {"explain": tfxai.Gradient()})


@dataclasses.dataclass(frozen=True)
class Doubled(Method):
    """A method of the user's own, in two lines on an engine."""

    def attribute(self, request: Any) -> Any:
        found = tfxai.Gradient().attribute(request)
        return dataclasses.replace(found, values=[2 * value for value in found.values])


def test_a_method_of_ones_own_is_exported(small: Any, photos: Any, tmp_path: Path) -> None:
    run = load(tfxai.export(small, tmp_path / "m", {"mine": Doubled()}))
    want = 2 * tfxai.Gradient()(small, photos).values
    np.testing.assert_allclose(run("mine", photo=photos)["values"], want, rtol=1e-6, atol=1e-9)
