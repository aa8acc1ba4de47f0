"""docs/coming_from_vertex.md: its code runs, and the numbers that it puts beside theirs are these."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

PAGE = (Path(__file__).parent.parent / "docs" / "coming_from_vertex.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's code defines, on a small model that ends in a softmax."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    shared = {"model": model, "names": ["cat", "dog", "fox"], "images": pictures()}
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("vertex"))
        for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
            exec(compile(block, "coming_from_vertex.md", "exec"), shared)
    return shared


def pictures() -> np.ndarray:
    """Two pictures of four flat quarters with a little noise."""
    generator = np.random.default_rng(0)
    quarters = generator.uniform(size=(2, 2, 2, 3)).repeat(16, 1).repeat(16, 2)
    return np.clip(quarters + generator.normal(0, 0.01, quarters.shape), 0, 1).astype("float32")


def test_the_fields_are_those_of_the_method_and_of_the_model(names: dict[str, Any]) -> None:
    model, images = names["model"], names["images"]
    outputs = model.predict(images, verbose=0)
    ends = [model.predict(np.full((1, 32, 32, 3), each, "float32"), verbose=0)[0] for each in (0, 1)]
    for i, told in enumerate(names["attributions"]):
        best = int(outputs[i].argmax())
        assert told["outputIndex"] == [best] and told["outputDisplayName"] == names["names"][best]
        assert told["instanceOutputValue"] == pytest.approx(float(outputs[i, best]), rel=1e-5)
        assert told["baselineOutputValue"] == pytest.approx(float(np.mean(ends, 0)[best]), rel=1e-5)
        change = told["instanceOutputValue"] - told["baselineOutputValue"]
        missing = abs(np.sum(told["featureAttributions"]["photo"]) - change) / abs(change)
        assert told["approximationError"] == pytest.approx(missing, abs=1e-4)
        assert told["approximationError"] < 0.05


def test_regions_share_out_the_same_sum(names: dict[str, Any]) -> None:
    values = names["answer"]["values"].sum(-1)
    for found, own in zip(names["regions"], values, strict=True):
        assert found.shape == (32, 32) and 2 <= len(np.unique(found)) <= 16
        assert found.sum() == pytest.approx(own.sum(), rel=1e-4, abs=1e-5)


def test_sampled_shapley_values_are_exact_where_all_coalitions_fit(tmp_path: Path) -> None:
    """p paths over F features of a product: half of its change each, and what is left to the third alone."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Lambda(lambda x: x[:, :1] * x[:, 1:2] + x[:, 2:])]
    )
    method = tfxai.KernelSHAP(samples=3 * 3, background=np.zeros((1, 3), "float32"))
    tfxai.export(model, tmp_path / "1", {"explain": method})
    explain = tf.saved_model.load(str(tmp_path / "1")).signatures["explain"]
    found = explain(inputs=tf.constant([[2.0, 3.0, 5.0]]))
    np.testing.assert_allclose(found["values"], [[3, 3, 5]], rtol=1e-4)
    np.testing.assert_allclose([*found["score"], *found["baseline_score"]], [11, 0], atol=1e-5)


def test_xrai_is_refused_with_what_to_do(names: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Export IntegratedGradients"):
        tfxai.export(names["model"], tmp_path / "1", {"explain": tfxai.XRAI()})
