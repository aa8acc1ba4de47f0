"""`tfxai gate`: exit status, numbers, pictures and references, by real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import shortcuts
from PIL import Image

import tfxai
from tfxai.cli import main
from tfxai.comparing import ModelReference

TWINS = ["--twin", "2.keras", "--twin", "3.keras", "--twin", "4.keras"]
BY = ["--method", "integrated_gradients", "--set", "steps=16", "--batch-size", "200"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models 0 to 4, trained again and again, one that reads marks, and marked digits in several kinds of files."""
    folder = tmp_path_factory.mktemp("gate")
    for seed in range(5):
        shortcuts.network(seed).save(folder / f"{seed}.keras")
    shortcuts.network(0, on_marks=True).save(folder / "cheat.keras")
    images, classes = shortcuts.seen()
    np.save(folder / "x.npy", images)
    np.savez(folder / "x.npz", x=images, y=classes)
    np.save(folder / "regions.npy", np.repeat(shortcuts.frame()[None], len(images), 0))
    (folder / "pictures").mkdir()
    for number, image in enumerate(images[:40, ..., 0]):
        Image.fromarray((image * 255).astype(np.uint8)).save(folder / "pictures" / f"{number:03}.png")
    return folder


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.filterwarnings("ignore:IntegratedGradients")
def test_a_shortcut_fails_the_gate_and_a_twin_passes_it(here: Path, capsys: Any) -> None:
    common = ["gate", "--old", "0.keras", *TWINS, *BY, "--regions", "regions.npy"]
    written = ["--json", "found.json", "--out", "found.png", "--save-reference", "known.npz"]
    assert main([*common, "--new", "cheat.keras", "--data", "x.npy", *written]) == 1
    printed = capsys.readouterr().out
    assert "looks at something else" in printed and "Picture: found.png" in printed
    found = json.loads(Path("found.json").read_text())
    assert found["changed"] is True and found["p_value"] < 0.05 and found["twins"] == 3
    assert found["inside"][1] > 0.6 > 0.2 > found["inside"][0]
    with Image.open("found.png") as picture:
        assert min(picture.size) > 500
    assert len(ModelReference.load("known.npz").twin_similarity) == 3
    again = ["gate", "--reference", "known.npz", "--new", "1.keras", "--data", "x.npz", *BY]
    assert main([*again, "--out", "found.html"]) == 0
    page = Path("found.html").read_text(encoding="utf-8")
    assert "1.keras beside known.npz" in page and "no more than training again changes" in page
    assert "no more than training again changes" in capsys.readouterr().out


def test_the_command_says_what_python_says(here: Path, capsys: Any) -> None:
    common = [
        "gate",
        "--old",
        "0.keras",
        *TWINS,
        "--data",
        "pictures",
        "--method",
        "gradient",
        "--preprocess",
        "0..1",
    ]
    assert main([*common, "--save-reference", "pictures.npz"]) == 0
    assert "ModelReference(40 maps" in capsys.readouterr().out
    images = np.round(shortcuts.seen()[0][:40] * 255 - 0.5).clip(0, 255).astype(np.float32) / 255
    old, *twins = (shortcuts.network(seed) for seed in (0, 2, 3, 4))
    wanted = tfxai.comparing.reference(old, images, tfxai.Gradient(), twins=twins)
    np.testing.assert_allclose(
        ModelReference.load("pictures.npz").twin_similarity, wanted.twin_similarity, atol=0.02
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--old", "0.keras", "--new", "1.keras", "--twin", "2.keras"], "1 twins came"),
        (["--new", "1.keras"], "0 twins came and no old model"),
        (["--old", "0.keras", *TWINS], "There is no --new model"),
        (["--old", "0.keras", *TWINS, "--new", "1.keras", "--reference", "x"], "Leave out --old"),
        (["--reference", "missing.npz", "--new", "1.keras"], "There is no file or folder missing.npz"),
        (["--old", "0.keras", *TWINS, "--new", "none.keras"], "There is no model none.keras"),
        (["--old", "0.keras", *TWINS, "--new", "1.keras", "--columns", "a"], "--columns is for tables"),
        (["--old", "0.keras", *TWINS, "--new", "1.keras", "--out", "a.txt"], "ends in .png"),
    ],
)
def test_errors_are_one_sentence_and_status_2(
    here: Path, capsys: Any, arguments: list[str], words: str
) -> None:
    assert main(["gate", "--data", "x.npy", "--method", "gradient", *arguments]) == 2
    printed = capsys.readouterr()
    assert words in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_tables_are_read_and_pictures_that_are_none_are_told(here: Path, tmp_path: Path, capsys: Any) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    for seed in range(5):
        keras.utils.set_random_seed(seed)
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / f"{seed}.keras")
    numbers = np.random.default_rng(0).random((30, 5))
    pandas.DataFrame(numbers, columns=[*"abcde"]).to_parquet(tmp_path / "x.parquet")
    models = ["--old", "0", "--new", "1", "--twin", "2", "--twin", "3", "--twin", "4"]
    words = [f"{tmp_path}/{word}.keras" if word.isdigit() else word for word in models]
    table = [
        "--data",
        str(tmp_path / "x.parquet"),
        "--columns",
        "d,a,b,c",
        "--json",
        str(tmp_path / "a.json"),
    ]
    status = main(["gate", *words, *table, "--method", "gradient"])
    found = json.loads((tmp_path / "a.json").read_text())
    old, new, *twins = (keras.saving.load_model(tmp_path / f"{seed}.keras") for seed in range(5))
    wanted = tfxai.compare_models(old, new, numbers[:, [3, 0, 1, 2]], tfxai.Gradient(), twins=twins)
    assert found["p_value"] == pytest.approx(wanted.p_value, rel=1e-4) and status == int(wanted.changed or 0)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    common = ["gate", "--old", "0.keras", *TWINS, "--new", "1.keras", "--method", "gradient"]
    assert main([*common, "--data", str(tmp_path / "broken")]) == 2
    assert "1 of 1 rows cannot be read, such as row 0" in capsys.readouterr().err
