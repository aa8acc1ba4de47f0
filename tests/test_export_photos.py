"""Exported models that take photos as files, name what they see, and draw their maps; and the command that writes them."""

from __future__ import annotations

import dataclasses
import functools
import io
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from test_export import load

import tfxai
from tfxai import plots, zoo
from tfxai.cli import main
from tfxai.exporting.photos_in import PhotosIn

L = keras.layers


@pytest.fixture(scope="module")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of photos in -1..1, as a file."""
    keras.utils.set_random_seed(4)
    inputs = keras.Input((40, 30, 3), name="pixels")
    x = L.Conv2D(6, 5, strides=2, activation="relu")(inputs)
    model = keras.Model(inputs, L.Dense(3, activation="softmax", name="class")(L.GlobalAveragePooling2D()(x)))
    model.save(tmp_path_factory.mktemp("eyes") / "model.keras")
    return model


def encoded(kind: str) -> tuple[list[bytes], list[np.ndarray]]:
    """Files of photos, and what Pillow reads of them."""
    files, arrays = [], []
    for pixels in list(zoo.sample_photos().values())[:3]:
        file = io.BytesIO()
        Image.fromarray(pixels[::4, ::4]).save(file, kind)
        files.append(file.getvalue())
        arrays.append(np.asarray(Image.open(io.BytesIO(files[-1])).convert("RGB")))
    return files, arrays


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("scaling", ["-1..1", "resnet50"])
def test_photos_come_in_as_files_and_are_prepared_as_here(
    eyes: Any, tmp_path: Path, kind: str, scaling: str
) -> None:
    files, arrays = encoded(kind)
    fed = tfxai.photos.scale([tfxai.photos.fit(array, (40, 30), crop=0.9) for array in arrays], scaling)
    method = tfxai.GradCAM()
    run = load(tfxai.export(eyes, tmp_path / "m", {"explain": method}, preprocess=scaling, crop=0.9))
    found, want = run("explain", photos=np.array(files)), method(eyes, fed)
    # One pixel in some thousand is a level of 255 apart.
    np.testing.assert_allclose(found["score"], want.scores, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found["values"], want.values, atol=5e-3 * want.values.max())
    np.testing.assert_allclose(
        run("serving_default", photos=np.array(files))["class"], eyes(fed), rtol=1e-3, atol=1e-3
    )


def turned(orientation: int) -> bytes:
    """A JPEG photo that a camera held so."""
    tags, file = Image.Exif(), io.BytesIO()
    tags[274] = orientation
    pixels = next(iter(zoo.sample_photos().values()))[::5, ::5]
    Image.fromarray(pixels).save(file, "JPEG", exif=tags.tobytes(), quality=95)
    return file.getvalue()


def drawn(mode: str) -> bytes:
    """A PNG with a part that is seen through, of 16 bits, or of a palette."""
    file, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (50, 60, 4), np.uint8)
    images = {
        "RGBA": lambda: Image.fromarray(pixels, "RGBA"),
        "I;16": lambda: Image.fromarray(pixels[..., 0].astype(np.uint16) * 251),
        "P": lambda: Image.fromarray(pixels[..., :3]).quantize(16),
    }
    images[mode]().save(file, "PNG")
    return file.getvalue()


def slow(case: Any) -> Any:
    return pytest.param(case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "made",
    [
        functools.partial(turned, 6),
        functools.partial(drawn, "RGBA"),
        *(slow(functools.partial(turned, number)) for number in (1, 2, 3, 4, 5, 7, 8)),
        *(slow(functools.partial(drawn, mode)) for mode in ("I;16", "P")),
    ],
)
def test_photos_are_upright_and_opaque_as_viewers_show_them(made: Any, tmp_path: Path) -> None:
    file = made()
    (tmp_path / "photo").write_bytes(file)
    want = tfxai.photos.fit(tfxai.photos.read(tmp_path / "photo"), (40, 30))
    found = PhotosIn((40, 30), 3, "none").pixels(tf.constant([file])).numpy()[0]
    # Levels of 255: what is seen through is rounded differently, and resizing makes twice of that.
    assert np.abs(found - want).max() <= 2 and np.abs(found - want).mean() < 0.2


def test_what_is_no_photo_fails(eyes: Any, tmp_path: Path) -> None:
    run = load(tfxai.export(eyes, tmp_path / "m", {"explain": tfxai.GradCAM()}, preprocess="0..1"))
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        run("explain", photos=np.array([b"nonsense"]))


def test_a_function_of_ones_own_stands_in_front(eyes: Any, tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (2, 80, 60, 3), np.uint8)

    def halved(pixels: Any) -> Any:
        return tf.nn.avg_pool2d(tf.cast(pixels, tf.float32), 2, 2, "VALID") / 255

    spec = tf.TensorSpec((None, 80, 60, 3), tf.uint8, name="raw")
    method = tfxai.Gradient()
    run = load(tfxai.export(eyes, tmp_path / "m", {"explain": method}, preprocess=halved, inputs=spec))
    want = method(eyes, halved(raw).numpy()).values
    np.testing.assert_allclose(run("explain", raw=raw)["values"], want, atol=1e-6 * np.abs(want).max())


def test_classes_are_named_and_maps_are_drawn_as_matplotlib_would(eyes: Any, tmp_path: Path) -> None:
    files, arrays = encoded("PNG")
    methods = {"cam": tfxai.GradCAM(), "gradient": tfxai.Gradient()}
    labels = {2: "moon", 0: "cat", 1: "cup"}
    folder = tfxai.export(eyes, tmp_path / "m", methods, preprocess="-1..1", labels=labels, render=True)
    run = load(folder)
    pixels = np.stack([tfxai.photos.fit(array, (40, 30)) for array in arrays])
    for name, signed in (("cam", False), ("gradient", True)):
        found = run(name, photos=np.array(files))
        assert [label.decode() for label in found["label"].numpy()] == [
            labels[int(i)] for i in found["target"]
        ]
        for file, values, photo in zip(
            found["overlay_bytes"].numpy(), found["values"].numpy(), pixels, strict=True
        ):
            drawn = np.asarray(Image.open(io.BytesIO(file))).astype(float)
            heat = values.sum(-1)
            scale = np.percentile(np.abs(heat), 99)
            colours = plots.SIGNED if signed else plots.HEAT
            over = colours((heat / scale + 1) / 2 if signed else heat / scale)
            grey = photo.mean(-1, keepdims=True).repeat(3, -1) / 255
            below = 0.75 + 0.25 * grey if signed else grey
            want = 255 * (below + over[..., 3:] * (over[..., :3] - below))
            # A value on the edge between two colours may fall to either side.
            assert np.quantile(np.abs(drawn - want), 0.99) <= 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"preprocess": "0.1"}, "There is no preprocess '0.1'"),
        ({"preprocess": lambda x: x}, "inputs is not given. Say what preprocess takes"),
        ({"labels": ["a", "b"]}, "labels has 2 names, the model has 3 classes"),
        ({"labels": "abc"}, "labels is 'abc'. Give a list of texts"),
        ({"labels": [1, 2, 3]}, "Give a list of texts"),
        ({"crop": 0.5}, "crop=0.5 is of photos that come in as files"),
        (
            {"preprocess": lambda x: x[:, :5], "inputs": tf.TensorSpec((None, 40, 30, 3))},
            "preprocess gives float32 (None, 5, 30, 3)",
        ),
    ],
)
def test_wrong_fronts_are_refused(eyes: Any, tmp_path: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        tfxai.export(eyes, tmp_path / "m", {"explain": tfxai.Gradient()}, **given)
    assert not [*tmp_path.iterdir()]


def test_tables_are_neither_photos_nor_drawn(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    for given, words in (
        ({"preprocess": "0..1"}, "take photos of one size"),
        ({"render": True}, "one input that is images"),
    ):
        with pytest.raises(ValueError, match=words):
            tfxai.export(model, tmp_path / "m", {"explain": tfxai.Gradient()}, **given)


def test_from_the_command_line(eyes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    eyes.save(tmp_path / "model.keras")
    words = [
        "export",
        "--model",
        f"{tmp_path}/model.keras",
        "--method",
        "grad_cam,integrated_gradients",
        "--set",
        "steps=4",
    ]
    assert main([*words, "--target", "given", "--out", f"{tmp_path}/m"]) == 0
    said = capsys.readouterr().out
    assert "integrated_gradients" in said and "target (any) int32" in said and "delta (any) float32" in said
    photos = np.random.default_rng(0).random((2, 40, 30, 3), np.float32)
    found = load(tmp_path / "m")("integrated_gradients", pixels=photos, target=np.array([1, -1], np.int32))
    want = tfxai.IntegratedGradients(steps=4)(eyes, photos, found["target"].numpy())
    np.testing.assert_allclose(found["values"], want.values, atol=1e-6 * np.abs(want.values).max())
    assert main(["hub", f"{tmp_path}/m"]) == 0
    assert "grad_cam" in capsys.readouterr().out
    saved = tfxai.IntegratedGradients(steps=4)(eyes, photos, [2, 1])
    saved.save(tmp_path / "map.npz")
    asked = ["verify", f"{tmp_path}/map.npz", "--model", f"{tmp_path}/m", "--signature"]
    assert main([*asked, "integrated_gradients"]) in (0, 2)  # to the bit, or but for rounding
    assert main([*asked, "grad_cam"]) == 1
    assert "values: the signature gives (2, 40, 30, 1), not (2, 40, 30, 3)" in capsys.readouterr().out
    dataclasses.replace(saved, values=saved.values * 1.01).save(tmp_path / "other.npz")
    assert main([*asked[:1], f"{tmp_path}/other.npz", *asked[2:], "integrated_gradients"]) == 1
    assert "values: up to 0.0099 of the largest apart" in capsys.readouterr().out
    assert main([*asked, "explain"]) == 3
    assert "Give one of: grad_cam, integrated_gradients" in capsys.readouterr().err
    assert main([*words, "--out", f"{tmp_path}/m"]) == 2  # it is there
    assert "is there already" in capsys.readouterr().err
    assert main([*words[:-1], "wings=4", "--out", f"{tmp_path}/n"]) == 2
    assert "has a setting 'wings'" in capsys.readouterr().err
