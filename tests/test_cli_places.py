"""`tfxai explain` of boxes and clicked pixels: what it says equals the call from Python, in pixels of the photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import tfxai
from tfxai.cli import main

L = keras.layers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector and a segmenter, and a photo that is twice as large and wider than what they see."""
    folder = tmp_path_factory.mktemp("places")
    keras.utils.set_random_seed(1)
    image = keras.Input((24, 24, 3))
    maps = L.Conv2D(6, 8, strides=8, activation="relu")(L.Rescaling(1 / 255)(image))
    corner = L.Reshape((9, 2))(L.Conv2D(2, 1, activation="sigmoid")(maps))
    ends = L.Rescaling(10.0, 12.0)(corner)
    boxes = L.Concatenate()([L.Rescaling(10.0)(corner), ends])
    scores = L.Reshape((9, 3))(L.Conv2D(3, 1, activation="sigmoid")(maps))
    keras.Model(image, {"boxes": boxes, "scores": scores}).save(folder / "detector.keras")
    segments = L.Conv2D(4, 3, padding="same", activation="softmax")(L.Rescaling(1 / 255)(image))
    keras.Model(image, segments).save(folder / "segmenter.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 60, 3), dtype="uint8")
    Image.fromarray(pixels).save(folder / "a.png")
    return folder


def saved(folder: Path, here: Path, model: str, *options: str) -> tfxai.Explanation:
    """What a command writes."""
    command = [
        "explain",
        folder / "a.png",
        "--model",
        folder / f"{model}.keras",
        "--method",
        "gradient",
        *options,
    ]
    assert (
        main([str(each) for each in (*command, "--save", here / "found.npz", "--out", here / "o.png")]) == 0
    )
    assert (here / "o.png").stat().st_size > 5000
    return tfxai.Explanation.load(here / "found.npz")


def python(folder: Path, model: str, targets: Any, score: Any) -> tfxai.Explanation:
    """The same from Python; the photo of 60 x 48 pixels is cut to its middle 48 and halved."""
    photo = tfxai.photos.fit(tfxai.photos.read(folder / "a.png"), (24, 24))[None]
    return tfxai.Gradient()(keras.saving.load_model(folder / f"{model}.keras"), photo, targets, score=score)


def test_boxes_in_pixels_of_the_photo(folder: Path, tmp_path: Path) -> None:
    found = saved(folder, tmp_path, "detector", "--box", "10,4,30,40", "--box", "26,8,46,32", "--target", "2")
    corners = [[[2, 2, 20, 12], [4, 10, 16, 20]]]
    wanted = python(folder, "detector", tfxai.boxes(corners, 2), tfxai.scores.detection())
    np.testing.assert_allclose(found.references["boxes"], corners)
    np.testing.assert_allclose(found.values, wanted.values)


def test_the_surest_boxes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = saved(folder, tmp_path, "detector", "--top-boxes", "2")
    wanted = python(folder, "detector", tfxai.boxes(k=2), tfxai.scores.detection())
    np.testing.assert_allclose(found.values, wanted.values)
    np.testing.assert_array_equal(found.targets, wanted.targets)
    assert "likeness to the box" in capsys.readouterr().out


@pytest.mark.parametrize("target", [None, "1"])
def test_a_clicked_pixel(folder: Path, tmp_path: Path, target: str | None) -> None:
    options = [] if target is None else ["--target", target]
    found = saved(folder, tmp_path, "segmenter", "--click", "20,30", *options)
    wanted = python(folder, "segmenter", target and int(target), tfxai.scores.click((15, 7)))
    np.testing.assert_array_equal(found.references["points"], [[15, 7]])
    np.testing.assert_allclose(found.values, wanted.values)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--box 1,2,3", "4 numbers"),
        ("--box 0,0,20,20", "outside of what the model sees"),
        ("--click 3,3", "x from 6 to 54"),
        ("--click 20,a", "2 numbers"),
        ("--click 20,20 --box 10,4,30,40", "Leave out"),
        ("--top-boxes 2 --box 10,4,30,40", "Give one of the two"),
        ("--top-boxes 100", "Ask for so many"),
        ("--top 2 --box 10,4,30,40", "neither"),
        ("--top 2 --top-boxes 1", "not allowed"),
        ("--box 30,4,10,40", "without area"),
    ],
)
def test_what_does_not_fit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture, options: str, words: str
) -> None:
    command = (
        f"explain {folder}/a.png --model {folder}/detector.keras --method gradient --out {tmp_path}/o.png "
    )
    try:
        status = main((command + options).split())
    except SystemExit as stop:  # of the parser itself
        status = stop.code
    assert status == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
