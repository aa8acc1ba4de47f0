"""Assertions for tests: what they accept, what they say when they fail, the picture beside it, and the plugin in a pytest of its own."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import shortcuts
from PIL import Image

import tfxai
from tfxai import comparing, metrics
from tfxai.testing import assert_ignores, assert_looks_at, assert_passes_sanity, assert_same_reasons

pytest_plugins = "pytester"
X = np.random.default_rng(0).random((6, 8, 8, 1)).astype(np.float32) + 0.5
LEFT = np.array([[0, 0, 8, 4]] * 6)
RIGHT = np.array([[0, 4, 8, 8]] * 6)
ROOT = Path(tfxai.__file__).parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def left() -> keras.Model:
    """Nine tenths of the evidence of equal pixels lies on the left."""
    weights = np.zeros((8, 8, 1), np.float32)
    weights[:, :4], weights[:, 4:] = 0.9, 0.1
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1, use_bias=False)]
    )
    model.set_weights([weights.reshape(64, 1)])
    return model


def test_evidence_is_where_it_should_be(left: keras.Model) -> None:
    assert_looks_at(left, X, LEFT, 0.8, targets=0)
    assert_ignores(left, X, RIGHT, 0.2, targets=0)
    assert not Path("tfxai-failures").exists()


@pytest.mark.parametrize(
    ("check", "regions", "share", "asked"),
    [
        (assert_looks_at, RIGHT, 0.6, "at least 0.6 was asked for"),
        (assert_ignores, LEFT, 0.1, "at most 0.1 was allowed"),
    ],
)
def test_a_failure_says_numbers_and_where_the_picture_lies(
    left: Any, check: Any, regions: Any, share: float, asked: str
) -> None:
    explanation = tfxai.IntegratedGradients()(left, X, 0)
    wanted = metrics.localisation(explanation, regions)
    with pytest.raises(AssertionError) as failed:
        check(left, X, regions, share, targets=0)
    message = str(failed.value)
    assert f"{wanted.mean:.3f} of the positive evidence" in message and asked in message
    assert f"{wanted.interval[0]:.3f} to {wanted.interval[1]:.3f}" in message
    (picture,) = Path("tfxai-failures").iterdir()
    assert picture.name.startswith("test_testing.test_a_failure_says") and str(picture.resolve()) in message
    with Image.open(picture) as drawn:
        assert np.asarray(drawn).std() > 5
    with pytest.raises(AssertionError, match=r"own\.png"):
        check(left, X, regions, share, targets=0, picture="own.png")
    assert Path("own.png").exists()


def test_arguments_are_checked_before_any_work(left: Any) -> None:
    with pytest.raises(ValueError, match="share is 60"):
        assert_looks_at(left, X, LEFT, 60)
    with pytest.raises(ValueError, match="no folder"):
        assert_looks_at(left, X, LEFT, picture="missing/a.png")


def test_maps_that_outlive_the_weights_fail() -> None:
    model = shortcuts.network(0)
    images, _ = shortcuts.seen()

    def shown(model: Any, inputs: Any, targets: Any) -> tfxai.Explanation:
        """The image itself."""
        classes = np.broadcast_to(np.asarray(targets), len(inputs)).astype(np.int64)
        return tfxai.Explanation(inputs, inputs, classes, np.zeros(len(inputs), np.float32))

    assert_passes_sanity(tfxai.Gradient(), model, images[:8])
    with pytest.raises(
        AssertionError, match=r"Maps of shown outlive the weights(?s:.*)FAILS(?s:.*)Picture: "
    ):
        assert_passes_sanity(shown, model, images[:8])


def test_reasons_are_the_same_for_a_twin_and_not_for_a_shortcut() -> None:
    images, _ = shortcuts.seen()
    twins = [shortcuts.network(seed) for seed in (2, 3, 4, 5)]
    known = comparing.reference(shortcuts.network(0), images, tfxai.Gradient(), twins=twins)
    assert_same_reasons(known, shortcuts.network(1), images, tfxai.Gradient())
    path = known.save("known.npz")
    with pytest.raises(
        AssertionError, match=r"The new model looks at something else, p (?s:.*)twins' (?s:.*)Picture: "
    ):
        assert_same_reasons(path, shortcuts.network(0, on_marks=True), images, tfxai.Gradient())
    with pytest.raises(ValueError, match="There are 1 twins, and it takes 3"):
        assert_same_reasons(
            shortcuts.network(0), shortcuts.network(1), images[:5], tfxai.Gradient(), twins=twins[:1]
        )


# The plugin

GIVEN = """
import numpy as np, tfxai
from tfxai import comparing

def known():
    count = 4
    return comparing.ModelReference(
        np.ones((count, 2), np.float32), np.zeros(count, int), np.zeros((4, count), int), np.ones((3, count), np.float32),
        None, None, ["digest"], "method"
    )

def test_kept(tfxai_reference):
    assert tfxai_reference(known).digest == ["digest"]
    assert len(tfxai_reference(known, "other").maps) == 4
"""


def test_references_are_written_beside_the_test_and_read_again(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_given=GIVEN)
    options = ("-p", "tfxai.pytest_plugin", "-p", "no:xdist", "-p", "no:cacheprovider")
    missing = pytester.runpytest_inprocess(*options)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines("*There is no *test_given.test_kept.npz. Run pytest --tfxai-update once*")
    pytester.runpytest_inprocess(*options, "--tfxai-update").assert_outcomes(passed=1)
    assert {path.name for path in pytester.path.glob("*.npz")} == {
        "test_given.test_kept.npz",
        "test_given.test_kept.other.npz",
    }
    pytester.runpytest_inprocess(*options).assert_outcomes(passed=1)


def test_the_plugin_starts_neither_tensorflow_nor_numpy() -> None:
    code = "import sys, tfxai.pytest_plugin; print({'tensorflow', 'keras', 'numpy', 'matplotlib'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.strip() == "set()"


def test_pytest_finds_the_plugin_by_its_entry_point() -> None:
    found = {each.value for each in importlib.metadata.entry_points(group="pytest11")}
    assert "tfxai.pytest_plugin" in found
