"""README and guide keep their word: their code and commands run, the table lists every method."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import tfxai
from tfxai.cli import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Of the README and then of the guide, which goes on from there."""
    return re.findall(rf"^```{language}\n(.*?)^```", README + GUIDE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def shared() -> dict:
    return {}


@pytest.fixture
def names(tmp_path, monkeypatch, shared) -> dict:
    """What the Python blocks define, run one after the other in an empty folder; once for all tests."""
    monkeypatch.chdir(tmp_path)
    if not shared:
        keras.utils.set_random_seed(0)
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), shared)
        shared["written"] = {path.name for path in tmp_path.iterdir()}
        shared["maps"] = {path.name for path in (tmp_path / "maps" / "grad_cam").iterdir()}
    return shared


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_the_code_runs_without_a_warning_and_writes_what_it_names(names):
    assert names["written"] == {
        "explanation.png", "explanation.npz", "audited.npz", "methods.png", "boxes.png", "segments.png", "bars.png", "words.png", "exported", "sanity.png",
        "tcav.png", "leaderboard.png", "written.png", "together.png", "logs", "maps", "run", "today", "classes.png", "compared.png", "importance.png", "beeswarm.png",
        "page.html", "served",
    }  # fmt: skip


@pytest.mark.slow
def test_shapes_in_the_code_are_true(names):
    explanation = names["explanation"]
    assert explanation.values.shape == (2, 32, 32, 3) and explanation.values.dtype == np.float32
    assert explanation.targets.shape == explanation.scores.shape == explanation.delta.shape == (2,)
    assert explanation.heatmap().shape == (2, 32, 32)
    assert names["ranked"].values.shape == (2, 3, 32, 32, 1)
    assert names["verified"].status == 0
    np.testing.assert_array_equal(names["again"].values, explanation.values)
    assert names["lime"].weights.shape[:2] == names["lime"].r2.shape == (2, 2)
    assert names["lime"].segments.shape == (2, 32, 32)
    assert np.abs(names["shap"].delta).max() < 1e-4
    tokens = tfxai.IntegratedGradients()(names["reader"], names["ids"], targets=1)
    assert tokens.values.shape == (2, 4)


@pytest.mark.slow
def test_the_commands_run(names, capsys):
    photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(photo).save("photo.jpg")
    for name in ("model", "detector", "segmenter"):
        names[name].save(f"{name}.keras")
    names["model"].export("exported", verbose=False)
    for folder, count in {
        "concepts/red": 12,
        "concepts/dotted": 12,
        "shapes": 12,
        "concepts/random": 90,
    }.items():
        Path(folder).mkdir(parents=True)
        for i, image in enumerate(
            tfxai.concepts.patterns("checked" if count > 12 else "red", count, 32, seed=count)
        ):
            Image.fromarray(image.astype(np.uint8)).save(f"{folder}/{i}.png")
    commands = blocks("bash")[0].splitlines()
    assert len(commands) == 16
    for command in commands:
        program, *words = command.split()
        assert program == "tfxai"
        assert main(words) == 0, capsys.readouterr().err
    files = {path.name for path in Path().iterdir()}
    expected = {
        "photo.jpg",
        "model.keras",
        "detector.keras",
        "segmenter.keras",
        "click.png",
        "boxes.png",
        "photo_integrated_gradients.png",
        "cam.png",
        "cam.npz",
        "maps_of_shapes",
        "best.png",
        "report.png",
        "photo.html",
        "tcav.png",
        "table.csv",
        "concepts",
        "shapes",
        "exported",
        "served_photos",
    }
    assert files >= expected and files - expected <= names["written"]
    assert tfxai.Explanation.load("cam.npz").values.shape == (1, 2, 32, 32, 1)
    printed = capsys.readouterr().out
    assert "* shapes " in printed
    assert "gradient: " in printed
    assert "edges" in printed


def test_the_table_lists_every_method_once():
    rows = [line.split("|")[1] for line in README.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(listed) == sorted(tfxai.methods.__all__)


def test_links_and_pictures_are_there():
    linked = [ROOT / path for path in re.findall(r"\]\(([^)#]+)", README)]
    linked += [ROOT / "docs" / path for path in re.findall(r"\]\(([^)#]+)", GUIDE)]
    assert all(path.exists() for path in linked)
    pictures = set((ROOT / "docs").glob("*.png"))
    assert len(pictures) == 6 and pictures <= set(linked)
    assert all(path.stat().st_size < 600_000 for path in pictures)


@pytest.mark.slow
def test_the_callbacks_of_the_recipes_saw_the_training(names):
    assert names["maps"] == {
        *(f"epoch_000{i}.{end}" for i in range(3) for end in ("png", "npz")), "image_0.gif", "image_1.gif",
    }  # fmt: skip
    assert len(names["history"]["grad_cam_region"]) == 2
    assert all(0 <= share <= 1 for share in names["history"]["grad_cam_region"])
    assert len(names["leaning"]["tcav_striped_edges"]) == 2
