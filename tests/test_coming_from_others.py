"""What docs/coming_from.md says of alibi, tensorflow/tcav and iNNvestigate, wherever they are installed."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from beside import K, L, apart, table

import tfxai
from tfxai.concepts.cav import concept_vector

pytestmark = pytest.mark.slow


def test_alibi() -> None:
    explainers = pytest.importorskip("alibi.explainers", exc_type=ImportError)
    model, background, rows = table()
    for steps in (20, 50):
        ours = tfxai.IntegratedGradients(steps=steps)(model, rows, K)
        found = explainers.IntegratedGradients(model, n_steps=steps).explain(rows, target=[K] * 3)
        assert apart(found.attributions[0], ours.values) < 1e-6
        np.testing.assert_allclose(found.deltas, ours.delta, atol=1e-5)

    def score(values: Any) -> np.ndarray:
        return model(np.asarray(values, "float32")).numpy()[:, K]

    kernel = explainers.KernelShap(score, link="identity", seed=0)
    kernel.fit(background)
    found = kernel.explain(rows, nsamples=512, l1_reg=False, silent=True)
    exact = tfxai.KernelSHAP(samples=512, background=background)(model, rows, K, score="output")
    assert apart(found.shap_values[0], exact.values) < 1e-6


@dataclasses.dataclass
class Answers:
    """A model as tensorflow/tcav asks it: for the slope of what is to become small, at a layer and one example.

    Its own models give that of the cross entropy, which has the sign of minus the probability's.
    """

    model: keras.Model
    score: str

    def label_to_id(self, label: int) -> int:
        return label

    def get_gradient(self, _: Any, targets: list[int], layer: str, example: np.ndarray) -> np.ndarray:
        return -tfxai.Gradient()(self.model, example[None], targets[0], at=layer, score=self.score).values


@pytest.fixture
def tcav(monkeypatch: pytest.MonkeyPatch) -> Any:
    """It keeps results as messages of an older protobuf, which no longer load and are not needed here."""
    pytest.importorskip("tcav")
    messages = types.ModuleType("results_pb2")
    messages.Result = messages.Results = None  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "tcav.tcav_results.results_pb2", messages)
    return pytest.importorskip("tcav.tcav")


def test_tcav_counts_as_we_do_and_its_own_models_count_for_the_loss(tcav: Any) -> None:
    keras.utils.set_random_seed(2)
    layers = [L.Conv2D(6, 3, activation="relu", name="edges"), L.Conv2D(6, 3, activation="relu")]
    model = keras.Sequential([keras.Input((16, 16, 3)), *layers, L.Flatten(), L.Dense(4)])
    draw = np.random.default_rng(0)
    pictures = draw.random((40, 16, 16, 3)).astype("float32")
    red = (draw.random((40, 16, 16, 3)) * [1, 0.3, 0.3]).astype("float32")
    others = draw.random((200, 16, 16, 3)).astype("float32")
    ideas = tfxai.TCAV(["edges"], random_runs=4)(model, pictures, 2, {"red": red}, others)
    cavs, scores = ideas.cavs["red", "edges"], ideas.scores[0, 0, 0]
    assert len(cavs) == len(scores) > 1

    counted: dict[str, list[float]] = {"logit": [], "probability": []}
    for score, found in counted.items():
        for cav in cavs:
            vector = tcav.CAV(["red", "other"], "edges", {})
            vector.cavs = [cav.ravel(), -cav.ravel()]
            found.append(
                tcav.TCAV.compute_tcav_score(
                    Answers(model, score), 2, "red", vector, pictures, pictures, run_parallel=False
                )
            )
    np.testing.assert_allclose(counted["logit"], scores, atol=1e-6)
    assert 0 < scores.mean() < 1  # the logit of the class, as in the paper
    assert np.abs(counted["probability"] - scores).max() > 0.3  # a softmax's loss, as in its own models


def test_tcav_finds_the_direction_that_our_logistic_regression_finds(tcav: Any) -> None:
    draw = np.random.default_rng(0)
    concept, other = draw.normal(size=(3000, 10)) + (np.arange(10) == 3), draw.normal(size=(3000, 10))
    vector = tcav.CAV(["concept", "other"], "layer", {"model_type": "logistic", "alpha": 0.01})
    with tf.device("/CPU:0"):
        vector.train({"concept": {"layer": concept}, "other": {"layer": other}})
    there = vector.get_direction("concept")
    here, _ = concept_vector(concept, other, "logistic", np.random.default_rng(0))
    assert there @ here / np.linalg.norm(there) > 0.99


# Keras 2 and graphs, as iNNvestigate needs them: only in a process of its own. A row at a time, for a reason: see the page.
THERE = """
import sys
import innvestigate
import numpy as np
import tensorflow as tf

tf.compat.v1.disable_eager_execution()
L = tf.keras.layers
given = np.load(sys.argv[1])
inputs = tf.keras.Input((12, 12, 3))
maps = L.Conv2D(8, 3, activation="relu")(L.Conv2D(6, 3, activation="relu")(inputs))
model = tf.keras.Model(inputs, L.Dense(4)(L.Dense(10, activation="relu")(L.Flatten()(maps))))
model.set_weights([given[f"w{i}"] for i in range(8)])
found = {}
for name in ("gradient", "input_t_gradient", "integrated_gradients", "lrp.epsilon", "lrp.alpha_2_beta_1", "lrp.alpha_1_beta_0", "guided_backprop", "deconvnet"):
    analyzer = innvestigate.create_analyzer(name, model, neuron_selection_mode="index")
    found[name] = np.concatenate([analyzer.analyze(row[None], neuron_selection=1) for row in given["x"]])
np.savez(sys.argv[2], **found)
"""


def test_innvestigate_on_keras_2(tmp_path: Path) -> None:
    if importlib.util.find_spec("innvestigate") is None:
        pytest.skip("could not import 'innvestigate'")
    keras.utils.set_random_seed(2)
    inputs = keras.Input((12, 12, 3))
    maps = L.Conv2D(8, 3, activation="relu")(L.Conv2D(6, 3, activation="relu")(inputs))
    model = keras.Model(inputs, L.Dense(4)(L.Dense(10, activation="relu")(L.Flatten()(maps))))
    x = np.random.default_rng(0).uniform(-1, 1, (6, 12, 12, 3)).astype("float32")
    weights = {f"w{i}": weight for i, weight in enumerate(model.get_weights())}
    np.savez(tmp_path / "given.npz", x=x, **weights)
    subprocess.run(
        [sys.executable, "-c", THERE, tmp_path / "given.npz", tmp_path / "found.npz"],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        check=True,
    )
    found = np.load(tmp_path / "found.npz")
    for name, ours, room in (
        ("gradient", tfxai.Gradient(), 1e-5),
        ("input_t_gradient", tfxai.InputXGradient(), 1e-5),
        ("lrp.epsilon", tfxai.LRP(epsilon=1e-7), 1e-5),
        ("lrp.alpha_2_beta_1", tfxai.LRP("alpha_beta", epsilon=1e-7), 1e-3),
        ("lrp.alpha_1_beta_0", tfxai.LRP("alpha_beta", alpha=1.0, beta=0.0, epsilon=1e-7), 1e-3),
    ):
        assert apart(found[name], ours(model, x, K).values) < room, name
    ours = tfxai.IntegratedGradients()(model, x, K).values
    short = found["integrated_gradients"].sum() / ours.sum()  # its start counts in full, and is flat here
    assert short == pytest.approx(63 / 64, rel=1e-3)
    # Its backward rules start from the score instead of from one: of a negative one, they explain what speaks against the class.
    scores = model(x).numpy()[:, K]
    assert scores.min() < 0 < scores.max()
    against = keras.models.clone_model(model)
    against.set_weights([*model.get_weights()[:-2], *(-weight for weight in model.get_weights()[-2:])])
    for name, ours in (("guided_backprop", tfxai.GuidedBackprop()), ("deconvnet", tfxai.Deconvnet())):
        for row, score in enumerate(scores):
            values = ours(model if score > 0 else against, x[row : row + 1], K).values[0]
            assert apart(found[name][row], abs(score) * values) < 1e-5
