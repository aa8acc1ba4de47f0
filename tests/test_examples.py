"""The scripts in examples/ run as they stand, find what is there, and draw it."""

import json
import re
import runpy
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfxai

pytestmark = pytest.mark.usefixtures("memory")
EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, folder: Path, monkeypatch, capsys) -> tuple[dict, str]:
    """What the script defines, and what it prints."""
    monkeypatch.setattr(sys, "argv", [name, str(folder)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # no example shows a method that had to give in
        defined = runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return defined, capsys.readouterr().out


def drawn(path: Path) -> bool:
    """Whether a picture shows something, in colour."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(float)
    return min(pixels.shape[:2]) > 300 and pixels.std() > 20 and np.ptp(pixels, axis=2).max() > 100


def pictures(folder: Path) -> set[str]:
    found = list(folder.iterdir())
    assert all(drawn(path) for path in found)
    return {path.name for path in found}


@pytest.mark.slow
def test_explain_imagenet(tmp_path, monkeypatch, capsys):
    defined, printed = run("explain_imagenet.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"imagenet_methods.png", "imagenet_classes.png"}
    for seen in ("tiger cat 39%, Egyptian cat 36%", "espresso 95%", "missile 30%"):
        assert seen in printed
    errors = re.findall(r"error ([\d.]+)%", printed)
    assert len(errors) == 3 and all(float(error) <= 1 for error in errors)
    # The photo without its details is no cat; with them it is: that is what the values share out.
    rise = defined["integrated"].values.sum(axis=(1, 2, 3)) - defined["integrated"].delta
    assert (rise > 4).all()
    assert defined["labels"][defined["classes"].targets[0, 0]] == "tiger cat"
    # The rocket stands in the middle third; VarGrad finds it there.
    rocket = defined["explanations"]["VarGrad"].heatmap()[2]
    assert rocket[:, 75:149].sum() > 0.5 * rocket.sum()


@pytest.mark.slow
def test_your_own_model(tmp_path, monkeypatch, capsys):
    defined, printed = run("your_own_model.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"digits.png", "mistakes.png"}
    right = int(re.match(r"(\d+) of 450 digits", printed).group(1))  # pyright: ignore[reportOptionalMemberAccess]
    assert 360 < right < 450
    assert "backbone/conv2d" in printed
    mistakes = defined["mistakes"]
    assert mistakes.score == "lead"
    assert (mistakes.scores > 0).all()  # each of them put the wrong digit first
    np.testing.assert_array_equal(mistakes.targets, defined["predicted"][defined["wrong"]])
    rise = mistakes.values.sum(axis=(1, 2, 3)) - mistakes.delta
    assert (np.abs(mistakes.delta) <= 0.011 * np.abs(rise) + 1e-3).all()
    # DeepLIFT adds up to the logit's distance from that of an empty picture.
    found, model = defined["found"]["DeepLIFT"], defined["model"]
    empty = model(np.zeros((1, 32, 32, 1), "float32")).numpy()[0]
    rise = found.scores - empty[found.targets]
    np.testing.assert_allclose(found.values.sum(axis=(1, 2, 3)), rise, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_lime_debugging(tmp_path, monkeypatch, capsys):
    defined, printed = run("lime_debugging.py", tmp_path, monkeypatch, capsys)
    segmenters = {"slic", "felzenszwalb", "quickshift", "watershed"}
    assert pictures(tmp_path) == {"lime_segmenters.png", *(f"lime_{name}.png" for name in segmenters)}
    assert defined["labels"][defined["chosen"]] == "Egyptian cat" and "Egyptian cat 36%" in printed
    for explanation in defined["found"].values():
        assert explanation.weights.shape[1] == explanation.segments.max() + 1 >= 20
        marked = defined["regions"](explanation)
        assert len(np.unique(explanation.segments[0][marked])) == 5
        assert explanation.r2[0] > 0.1
    # Other coalitions move the answer less than other segments do.
    assert defined["again"][0] > 0.8 > max(correlation for correlation, _ in defined["moved"].values())
    assert len(re.findall(r"correlation", printed)) == 7


@pytest.mark.slow
def test_shap_wrong_predictions(tmp_path, monkeypatch, capsys):
    defined, printed = run("shap_wrong_predictions.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"wrong_and_right.png"}
    mistakes, wrong, truth = defined["mistakes"], defined["wrong"], defined["truth"]
    assert 3 <= len(wrong) < 45
    assert f"{len(wrong)} of 450 digits are misread" in printed
    assert (mistakes.targets[:, 0] == defined["predicted"][wrong]).all()
    assert (mistakes.targets[:, 0] != truth[wrong]).all()
    # The maps add up to what the ink changes, for every class.
    logits = defined["model"](np.concatenate([defined["images"][wrong], np.zeros((1, 32, 32, 1))])).numpy()
    rise = np.take_along_axis(logits[:-1] - logits[-1], mistakes.targets, axis=1)
    np.testing.assert_allclose(mistakes.heatmap().sum(axis=(2, 3)), rise, rtol=1e-3, atol=1e-3)
    assert defined["mended"] > max(len(defined["fair"]) / 2, defined["by_chance"])


@pytest.mark.slow
def test_score_cam(tmp_path, monkeypatch, capsys):
    defined, printed = run("score_cam.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"score_cam.png"}
    names = {name for name, _ in defined["halves"]}
    assert names == {"Score-CAM", "Grad-CAM", "Grad-CAM++", "Layer-CAM", "Ablation-CAM"}
    for name in names:  # what lights up is what the class needs
        assert (defined["halves"][name, True] > defined["halves"][name, False]).mean() >= 0.75
    assert printed.count("half left") == 10


@pytest.mark.slow
def test_text_table_series(tmp_path, monkeypatch, capsys):
    _, printed = run("text_table_series.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"text.png", "table.png", "series.png"}
    signs, noise, peaks = (float(number) for number in re.findall(r"([\d.]+)%", printed))
    assert signs > 90
    assert noise < 100 * 5 / 18 / 2  # less than half of what five arbitrary columns would have
    assert peaks == 100
    close = re.findall(r"correlates ([-\d.]+) with LIME, ([-\d.]+) with PartitionSHAP", printed)
    assert len(close) == 3 and all(float(number) > 0.7 for pair in close for number in pair)


@pytest.mark.slow
def test_sanity_checks_hub(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    defined, printed = run("sanity_checks_hub.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"sanity_methods.png", "sanity_cascade.png"}
    for seen in ("chosen: image_classification", "tiger cat 39%", "espresso 95%", "moped 45%"):
        assert seen in printed
    report = defined["report"]
    assert len(report.layers) == 19
    assert report.scores[1:].max() < 0.01
    assert report.verdict() == {"Gradient": True, "Guided Backprop": False, "Grad-CAM": True}


@pytest.mark.slow
def test_tcav_colours(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    defined, printed = run("tcav_colours.py", tmp_path, monkeypatch, capsys)
    assert drawn(tmp_path / "tcav_colours.png")
    table = {(row["target"], row["layer"], row["concept"]): row for row in defined["results"]["keras"].table}
    assert len(table) == 3 * 2 * 6
    # Each character leans on what it is painted with, in the layer that the classes are read from.
    for kind, colours in enumerate((["green"], ["red", "white"], ["yellow", "black"])):
        for colour in colours:
            row = table[kind, "conv3", colour]
            assert row["significant"] and row["score"] > 0.9
    assert table[0, "conv3", "red"]["score"] < 0.1 and table[1, "conv3", "green"]["score"] < 0.1
    differences = [float(number) for number in re.findall(r"differ by at most ([\d.e-]+)", printed)]
    assert len(differences) == 2 and max(differences) <= 1e-5


@pytest.mark.slow
def test_tcav_textures(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    defined, printed = run("tcav_textures.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"tcav_textures.png", "most_and_least_striped.png"}
    gravel = [row for row in defined["result"].table if row["concept"] == "gravel"]
    assert len(gravel) == 3 and all(row["significant"] and row["score"] > 0.9 for row in gravel)
    assert int(re.match(r"(\d+)%", printed).group(1)) >= 90  # pyright: ignore[reportOptionalMemberAccess]
    green = [row for row in defined["result"].table if row["concept"] == "green"]
    assert not any(row["significant"] and row["score"] > 0.5 for row in green)
    assert len(set(defined["order"])) == 60


@pytest.mark.slow
def test_compare_methods(tmp_path, monkeypatch, capsys):
    defined, printed = run("compare_methods.py", tmp_path, monkeypatch, capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"methods.csv", "leaderboard.png", "deletion.png"}
    table = defined["table"]
    assert table.methods == [*defined["methods"], "random", "edges"]
    assert table.metrics == ["average_drop", "average_increase", "deletion", "insertion"]
    # As the paper has it: maps of areas keep more of the class than maps of single pixels, which keep next to nothing.
    for areas in ("GradCAM", "GradCAMPlusPlus", "ScoreCAM", "RISE"):
        assert table.mean(areas, "average_drop") < 0.5 < 0.9 < table.mean("Gradient", "average_drop")
        assert table.mean(areas, "insertion") > table.mean("random", "insertion")
    assert (
        table.mean("SmoothGrad", "deletion")
        < table.mean("random", "deletion")
        < table.mean("edges", "deletion")
    )
    assert printed.count("95 %") == 4


@pytest.mark.slow
def test_train_with_explanations(tmp_path, monkeypatch, capsys):
    """The mark draws the evidence into its corner, and costs the sevens; without it the strokes hold both."""
    defined, printed = run("train_with_explanations.py", tmp_path, monkeypatch, capsys)
    assert drawn(tmp_path / "training.png")
    wrong, right = (int(share) for share in re.findall(r"(\d+) % of sevens", printed))
    assert wrong < 20 and right > 80
    corner, strokes = defined["with_mark"]["ig_region"], defined["with_mark"]["ig_strokes"]
    assert min(corner[1:]) > 0.6 and max(strokes[1:]) < 0.35
    corner, strokes = defined["without"]["ig_region"], defined["without"]["ig_strokes"]
    assert max(corner[1:]) < 0.1 and min(strokes[1:]) > 0.8
    for name in ("with_mark", "without_mark"):
        inside = [tfxai.Explanation.load(path) for path in sorted((tmp_path / name / "ig").glob("*.npz"))]
        evidence = [np.maximum(each.heatmap(), 0) for each in inside]
        shares = [(e[:, 25:, 25:].sum(axis=(1, 2)) / e.sum(axis=(1, 2))).mean() for e in evidence]
        assert shares[1:] == pytest.approx(
            defined["with_mark" if name == "with_mark" else "without"]["ig_region"], abs=1e-5
        )
        with Image.open(tmp_path / name / "ig" / "image_3.gif") as film:
            assert film.n_frames == 7


def test_examples_are_short_and_all_are_tested():
    scripts = sorted(EXAMPLES.glob("*.py"))
    assert len(scripts) == 17
    for script in scripts:
        assert len(script.read_text(encoding="utf-8").splitlines()) < 60
        assert f"test_{script.stem}" in globals()


def share_inside(explanation, of_the_other=False):
    """How much of the positive evidence lies inside of its own box, or of the other one: (pictures, 2)."""
    boxes = explanation.references["boxes"].round()[:, :: -1 if of_the_other else 1]
    y0, x0, y1, x1 = np.moveaxis(boxes, -1, 0)[..., None, None]
    y, x = np.mgrid[:48, :48]
    evidence = np.maximum(explanation.heatmap(), 0)
    return (evidence * ((y >= y0) & (y < y1) & (x >= x0) & (x < x1))).sum((2, 3)) / evidence.sum((2, 3))


@pytest.mark.slow
def test_explain_detections(tmp_path, monkeypatch, capsys):
    """At least 90 % of the evidence for a box lies inside of it, and maps of two boxes are not each other's."""
    defined, printed = run("explain_detections.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"detections.png"}
    own, other = (
        {name: share_inside(each, of_the_other=swapped).mean() for name, each in defined["found"].items()}
        for swapped in (False, True)
    )
    assert own["IG"] >= 0.9 and own["Occlusion"] >= 0.9, printed
    assert max(other.values()) < 0.1, printed
    assert own["Layer-CAM"] > 10 * other["Layer-CAM"]
    # Of every box: the wrong one never has more.
    for each in defined["found"].values():
        assert (share_inside(each) > share_inside(each, of_the_other=True)).mean() > 0.9


@pytest.mark.slow
def test_explain_segments(tmp_path, monkeypatch, capsys):
    defined, printed = run("explain_segments.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"segments_click.png", "segments_area.png", "segments_rather.png"}
    assert "Seen at the clicked pixels: ring, ring, ring, ring" in printed
    assert np.mean(defined["inside"]) > 0.95
    # The hole in the middle tells a ring from a disc.
    for heat, (y, x) in zip(defined["rather"].heatmap(), defined["middles"][:, 1], strict=True):
        far = np.hypot(defined["rows"] - y, defined["columns"] - x)
        assert np.abs(heat[far < 12]).sum() > 0.6 * np.abs(heat).sum()


@pytest.mark.slow
def test_why_alike(tmp_path, monkeypatch, capsys):
    defined, printed = run("why_alike.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"why_alike.png", "why_alike_swapped.png"}
    np.testing.assert_allclose(defined["query"].scores, defined["swapped"].scores, atol=1e-5)
    labels = defined["digits"].target
    assert (labels[defined["nearest"]] == labels[defined["queries"]]).mean() >= 0.75
    assert (defined["rather"].scores >= 0).all(), printed


@pytest.mark.slow
def test_explain_generation(tmp_path, monkeypatch, capsys):
    defined, printed = run("explain_generation.py", tmp_path, monkeypatch, capsys)
    assert pictures(tmp_path) == {"generation.png", "bark_not_barks.png", "bark_not_sleep.png"}
    assert "bark because they are" in printed
    written = defined["written"]
    sources = [written.pieces[i] for i in written.matrix.argmax(1)]
    assert (sources[0], sources[2], sources[3]) == ("dogs", "bark", "they")
    assert printed.count('most of all for "dogs"') == 2


@pytest.mark.slow
def test_explain_a_test_set(tmp_path, monkeypatch, capsys):
    defined, printed = run("explain_a_test_set.py", tmp_path, monkeypatch, capsys)
    first, second, last = printed.splitlines()
    assert "not finished" in first and "1797 rows, finished" in second
    assert 128 <= int(re.search(r"(\d+) rows", first)[1]) < 1797
    assert {path.name for path in tmp_path.glob("*.png")} == {"digits_classes.png", "digits_odd.png"}
    assert all(drawn(path) for path in tmp_path.glob("*.png"))
    results = defined["results"]
    assert len(results) == 1797 and not results.failures()
    odd, all_of_them = map(int, re.findall(r"(\d+)%", last))
    assert odd > 2 * all_of_them  # a map unlike its class's is a sign
    maps = results.array("values", "path")
    one = defined["tfxai"].IntegratedGradients()(defined["model"], defined["images"][1700:1701])
    np.testing.assert_allclose(maps[1700], one.values[0], atol=1e-5)


@pytest.mark.slow
def test_guard_a_model(tmp_path, monkeypatch, capsys):
    _, printed = run("guard_a_model.py", tmp_path, monkeypatch, capsys)
    right = {
        name: float(share) for name, share in re.findall(r"(\w+): ([\d.]+)% of the test digits", printed)
    }
    assert len(right) == 8 and right["cheat"] >= right["old"] > 90  # accuracy sees nothing
    assert "honest: exit status 0" in printed and "cheat: exit status 1" in printed
    cheat, honest = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("cheat", "honest"))
    assert cheat["changed"] and cheat["p_value"] < 0.01 and not honest["changed"]
    assert cheat["similarity"] < min(cheat["twin_similarity"]) - 0.1
    assert all(drawn(tmp_path / f"{name}.png") for name in ("cheat", "honest"))
