"""`tfxai run`: a folder or a table explained from the command line, and gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from data_runs import network
from PIL import Image

import tfxai
from tfxai.cli import main
from tfxai.data.rows import joined
from tfxai.data.sources import Folder, source_of

PICTURES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("run")
    network().save(root / "model.keras")
    table = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    table.save(root / "table.keras")
    generator = np.random.default_rng(0)
    (root / "photos").mkdir()
    for number in range(PICTURES):
        pixels = generator.integers(0, 255, (10, 12, 3), np.uint8)
        Image.fromarray(pixels).save(root / "photos" / f"{number:02d}.png")
    (root / "photos" / "zz.png").write_bytes(b"broken")
    frame = pd.DataFrame(generator.normal(size=(20, 3)), columns=["a", "b", "c"])
    frame["name"], frame["truth"] = [f"row {i}" for i in range(20)], 1
    frame.to_parquet(root / "rows.parquet")
    return root


def test_a_folder_of_pictures(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--model", f"{folder}/model.keras", "--data", f"{folder}/photos", "--preprocess", "-1..1"]
    assert main([*words, "--method", "grad_cam,gradient", "--out", f"{tmp_path}/out"]) == 0
    said = capsys.readouterr()
    assert "13 rows in" in said.out and "1 failed." in said.out and "zz.png" in said.out
    results = tfxai.open_results(tmp_path / "out")
    model = keras.saving.load_model(folder / "model.keras")
    rows = joined(list(source_of(Folder(folder / "photos", "-1..1"), model).parts))
    np.testing.assert_array_equal(
        results.array("values", "grad_cam"), tfxai.GradCAM()(model, rows.inputs[:PICTURES]).values
    )
    assert main([*words, "--method", "grad_cam,gradient", "--out", f"{tmp_path}/out"]) == 0
    assert main([*words, "--method", "grad_cam", "--out", f"{tmp_path}/out"]) == 2
    assert "holds another run: its methods are grad_cam, gradient" in capsys.readouterr().err


def test_a_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "run",
        "--model",
        f"{folder}/table.keras",
        "--data",
        f"{folder}/rows.parquet",
        "--columns",
        "a,b,c",
    ]
    words += ["--id", "name", "--label", "truth", "--target", "label", "--out", f"{tmp_path}/out"]
    assert main([*words, "--method", "integrated_gradients", "--set", "steps=5"]) == 0
    assert "20 rows" in capsys.readouterr().out
    frame = pd.read_parquet(folder / "rows.parquet")
    weights = keras.saving.load_model(folder / "table.keras").layers[0].kernel.numpy()
    found = tfxai.open_results(tmp_path / "out")["row 7"]
    np.testing.assert_allclose(
        found.values[0], frame.loc[7, ["a", "b", "c"]].to_numpy(float) * weights[:, 1], rtol=1e-4
    )


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--data", "nothing"], "There is no file or folder nothing"),
        (["--id", "name"], "--id is for tables"),
        (["--method", "lime,rise", "--set", "samples=5"], "--set is for one method"),
        (["--method", "grad_cat"], "grad_cam"),
    ],
)
def test_what_does_not_fit_is_told(
    folder: Path, tmp_path: Path, words: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["run", "--model", f"{folder}/model.keras", "--data", f"{folder}/photos", "--method", "grad_cam"]
    assert main([*start, "--out", f"{tmp_path}/out", *words]) == 2
    assert why in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_interrupt_says_how_to_go_on(folder: Path, tmp_path: Path) -> None:
    words = ["run", "--model", f"{folder}/model.keras", "--data", f"{folder}/photos", "--method", "rise"]
    words += ["--set", "samples=20000", "--shard-rows", "1", "--out", f"{tmp_path}/out"]
    process = subprocess.Popen([sys.executable, "-m", "tfxai", *words], stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("out/rows/shard-*")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "The same call goes on from there" in said
    assert main(words) == 0
    assert len(tfxai.open_results(tmp_path / "out")) == PICTURES + 1


@pytest.mark.slow
def test_by_workers_of_ray(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray")
    command = ["run", "--model", str(folder / "model.keras"), "--data", str(folder / "photos"), "--method"]
    command += ["grad_cam", "--shard-rows", "4", "--out"]
    assert main([*command, str(tmp_path / "here")]) == 0
    assert main([*command, str(tmp_path / "there"), "--ray", "--workers", "1"]) == 0
    here, there = (tfxai.open_results(tmp_path / name) for name in ("here", "there"))
    assert there.finished and here.failures() == there.failures()
    np.testing.assert_allclose(here.array(), there.array(), rtol=1e-5, atol=1e-6)
    assert main([*command, str(tmp_path / "other"), "--workers", "2"]) == 2
    assert "add --ray" in capsys.readouterr().err
