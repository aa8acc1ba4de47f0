import numpy as np
import pytest
from PIL import Image

from tfxai import methods
from tfxai.cli import demo_picture as demo
from tfxai.cli import main

pytestmark = pytest.mark.usefixtures("memory")
SEEN = ["tiger cat 39%", "espresso 95%", "missile 30%", "moped 45%", "palace 35%", "daisy 32%"]


def shown(tmp_path, capsys):
    """The demo's picture as an array, after a look at what it prints."""
    assert main(["demo", "--out", str(tmp_path / "demo.png")]) == 0
    out = capsys.readouterr().out
    assert f"Picture: {tmp_path / 'demo.png'}\n" in out
    assert all(seen in out for seen in SEEN)
    assert f"Page: {tmp_path / 'demo.html'}\n" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["demo.html", "demo.png"]
    page = (tmp_path / "demo.html").read_text(encoding="utf-8")
    assert len(page) < 5e6 and all(name in page for name in demo.METHODS) and "tiger cat" in page
    return np.asarray(Image.open(tmp_path / "demo.png").convert("RGB")).astype(float)


@pytest.mark.slow
def test_one_method_makes_two_columns_and_six_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "METHODS", {"Grad-CAM": (methods.GradCAM(), 1)})
    picture = shown(tmp_path, capsys)
    assert 2.5 < picture.shape[0] / picture.shape[1] < 3.5
    assert picture.std() > 30


@pytest.mark.slow
def test_the_whole_demo_draws_every_method_on_every_photo(tmp_path, capsys):
    picture = shown(tmp_path, capsys)
    columns, rows = 1 + len(demo.METHODS), 6
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    cells = picture[: rows * height, : columns * width].reshape(rows, height, columns, width, 3)
    # A map that is missing, or empty, would leave its cell in one colour.
    assert (cells.std(axis=(1, 3)) > 8).all()
