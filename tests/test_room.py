"""batch_size="auto": as many rows as there is room for, the same everywhere, and fewer once memory ran short."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from data_runs import images, network

import tfxai
from tfxai.graphs import bytes_of_a_row
from tfxai.metrics.result import METRICS
from tfxai.model import Needs, Network, halved, room, rows_at_once
from tfxai.model.tracing import cache_of

L = keras.layers


def dense(width: int, deep: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((width,)), *[L.Dense(width, activation="relu") for _ in range(deep)], L.Dense(2)]
    )


def test_rows_follow_what_the_layers_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer puts out three tensors of its width: a product, a sum and a ReLU."""
    width, deep = 256, 4
    rows = np.zeros((3, width), "float32")
    each = 4 * (deep * 3 * width + width)  # and the input
    monkeypatch.setattr(room, "BUDGET", 20 * each)
    forward = rows_at_once(Network(dense(width, deep), rows, Needs(gradients=False)))
    back = rows_at_once(Network(dense(width, deep), rows, Needs()))
    assert (forward, back) == (16, 8)
    monkeypatch.setattr(room, "BUDGET", 1)
    assert rows_at_once(Network(dense(width, deep), rows)) == 1
    monkeypatch.setattr(room, "BUDGET", 10**12)
    assert rows_at_once(Network(dense(width, deep), rows)) == room.MOST
    assert rows_at_once(Network(lambda x: np.asarray(x).sum(1), rows, Needs(gradients=False))) == room.UNKNOWN


def test_rows_follow_what_calls_and_loops_put_out(tmp_path: Path) -> None:
    """A saved model is one call to whoever looks from outside, and a recurrent layer one loop."""
    layers = [L.Conv2D(32, 3, activation="relu"), L.Conv2D(32, 3), L.GlobalAveragePooling2D(), L.Dense(3)]
    plain = keras.Sequential([keras.Input((112, 112, 3)), *layers])
    plain.export(tmp_path / "saved", verbose=False)
    called = L.TFSMLayer(str(tmp_path / "saved"), call_endpoint="serve")
    saved = keras.Sequential([keras.Input((112, 112, 3)), called])
    photos = np.zeros((1, 112, 112, 3), "float32")
    expected = rows_at_once(Network(plain, photos))
    assert rows_at_once(Network(saved, photos)) == expected < room.MOST

    def recurrent(steps: int) -> int:
        model = keras.Sequential([keras.Input((steps, 8)), L.LSTM(256, return_sequences=True), L.LSTM(64)])
        traced = tf.function(model).get_concrete_function(tf.TensorSpec((None, steps, 8)))
        return bytes_of_a_row(traced.graph.as_graph_def(add_shapes=True))

    gates = (
        4 * 4 * (256 + 64)
    )  # bytes: four of each unit, of which a step puts out their product with weights at least
    assert 4 * gates * 200 < recurrent(200) < 20 * gates * 200
    assert recurrent(400) == pytest.approx(2 * recurrent(200), rel=0.02)


@pytest.mark.parametrize(
    "method",
    [tfxai.Gradient(), tfxai.GradCAM(), tfxai.RISE(samples=16, cells=3), tfxai.SmoothGrad(samples=3)],
)
def test_values_are_those_of_that_number(method: tfxai.methods.Method) -> None:  # pyright: ignore
    model, data = network(), images(20)
    found = method(model, data, batch_size="auto")
    assert found.receipt is not None and found.receipt.batch_size == 1024
    np.testing.assert_array_equal(found.values, method(model, data, batch_size=1024).values)
    assert tfxai.verify(found, model).status == 0


def test_a_model_with_a_batch_of_its_own_keeps_it() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(batch_shape=(2, 4)), L.Dense(3)])
    data = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    found = tfxai.Gradient()(model, data, batch_size="auto")
    np.testing.assert_array_equal(found.values, tfxai.Gradient()(model, data).values)


def test_what_did_not_fit_is_not_tried_again() -> None:
    model, data = network(), images(4)
    assert halved(model, 64) == 32
    assert rows_at_once(Network(model, data)) == 32
    found = tfxai.Gradient()(model, data, batch_size="auto")
    assert found.receipt is not None and found.receipt.batch_size == 32


def test_a_run_keeps_the_number_it_was_begun_with(tmp_path: Path) -> None:
    model, data = network(), images(40)
    results = tfxai.explain_dataset(
        tfxai.Gradient(), model, data[:16], tmp_path, shard_rows=8, progress=False
    )
    assert results.settings["batch_size"] == 1024
    (tmp_path / "rows" / "shard-000001.parquet").unlink()
    halved(model, 64)  # another machine, with less room
    results = tfxai.explain_dataset(
        tfxai.Gradient(), model, data[:16], tmp_path, shard_rows=8, progress=False
    )
    assert results.finished and results.settings["batch_size"] == 1024


def callback_values(model: keras.Model, data: np.ndarray, rows: Any) -> np.ndarray:
    callback = tfxai.ExplainCallback(tfxai.Gradient(), data, batch_size=rows)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0, {})
    return callback.explanations["gradient"].values


def tcav_scores(model: keras.Model, data: np.ndarray, rows: Any) -> np.ndarray:
    sets = [images(10, seed) for seed in range(1, 6)]
    tcav = tfxai.TCAV("edges", random_runs=2)
    return tcav(model, data, 0, {"noise": sets[0]}, sets[1:], batch_size=rows).magnitudes


def sanity_similarity(model: keras.Model, data: np.ndarray, rows: Any) -> np.ndarray:
    report = tfxai.sanity.randomize_model(tfxai.Gradient(), model, data, batch_size=rows, explanations=True)
    return np.concatenate([each.values for each in report.explanations["gradient"]])


def measured_values(name: str) -> Any:
    def values(model: keras.Model, data: np.ndarray, rows: Any) -> np.ndarray:
        function = METRICS[name]
        if function.explains_again:
            return function(tfxai.Gradient(), model, data, batch_size=rows).values
        return function(model, tfxai.Gradient()(model, data, batch_size=4), batch_size=rows).values

    return values


CALLS: dict[str, Any] = {
    "probabilities": lambda model, data, rows: tfxai.predictions.probabilities(model, data, batch_size=rows),
    "compare_methods": lambda model, data, rows: tfxai.compare_methods(
        tfxai.Gradient(), model, data, batch_size=rows
    ).values["deletion"],
    "sort_by_concept": lambda model, data, rows: tfxai.concepts.sort_by_concept(
        model, "classes", data, np.arange(5.0), batch_size=rows
    ),
    "randomize_model": sanity_similarity,
    "TCAV": tcav_scores,
    "callback": callback_values,
    **{name: measured_values(name) for name in ("deletion", "road", "infidelity", "max_sensitivity", "irof")},
}


@pytest.mark.parametrize("call", CALLS)
def test_all_that_asks_a_model_takes_auto(call: str) -> None:
    """The bits are those of the number that there is room for; here memory ran short before, so that four is the most."""
    model, data = network(), images(11)
    halved(model, 8)
    found = CALLS[call](model, data, "auto")
    assert cache_of(model).rows == 4
    np.testing.assert_array_equal(found, CALLS[call](network(), data, 4))


SHORT = """
import resource, sys, warnings
from pathlib import Path
import keras, numpy as np, tfxai
from tfxai.data.explaining import Explaining
from tfxai.data.rows import Rows
from tfxai.model import room

warnings.simplefilter("always")
keras.utils.set_random_seed(0)
inputs = keras.Input((100,))
steps = keras.ops.reshape(keras.ops.arange(1000, dtype="float32"), (1, 1, 1000))
waves = keras.ops.tanh(keras.ops.tanh(keras.layers.Reshape((100, 1))(inputs) * steps))
model = keras.Model(inputs, keras.ops.sum(waves, axis=1)[:, 1:3])
data = np.random.default_rng(0).normal(size=(1024, 100)).astype("float32")
explanation = tfxai.Gradient()(model, data, 0, batch_size=16)
if sys.argv[1] == "deletion":
    expected = tfxai.metrics.deletion(model, explanation, step=25, batch_size=16).values
elif sys.argv[1] == "probabilities":
    expected = tfxai.predictions.probabilities(model, data, batch_size=16)
else:
    expected = explanation.values
room.BUDGET = 10**12
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[2]) * 10**6, -1))
with warnings.catch_warnings(record=True) as told:
    if sys.argv[1] == "method":
        found = tfxai.Gradient()(model, data, 0, batch_size="auto").values
    elif sys.argv[1] == "probabilities":
        found = tfxai.predictions.probabilities(model, data, batch_size="auto")
    elif sys.argv[1] == "deletion":
        found = tfxai.metrics.deletion(model, explanation, step=25, batch_size="auto").values
    else:
        explaining = Explaining(tfxai.Gradient(), model, 1024, {})
        found = explaining(Rows(data), 0).explanation.values
        assert explaining.batch_size < 1024
np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
words = [str(each.message) for each in told if "memory does not suffice" in str(each.message)]
print(len(words))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "more"), [("method", 600), ("shard", 600), ("probabilities", 300), ("deletion", 300)]
)
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a process's memory")
def test_too_little_memory_halves_the_batch(kind: str, more: int) -> None:
    """A process that may have some MB more than it has, and is asked for several times as much."""
    found = subprocess.run(
        [sys.executable, "-c", SHORT, kind, str(more)], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert int(found.stdout.split()[-1]) == 1
