"""A receipt tells how an explanation came about, and `tfxai.verify` makes it again: equal to the bit, or what differs first."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfxai
from tfxai.cli import main
from tfxai.model import snapshot
from tfxai.model.addresses import addresses
from tfxai.model.reading import WeightReader, _traced
from tfxai.receipts.rebuilding import known_classes, rebuilt
from tfxai.results import Explanation, array_digest, recipe
from tfxai.results.storage import packed

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(3, 8, 8, 2)).astype(np.float32)
ROWS = RNG.normal(size=(4, 6)).astype(np.float32)
SHARP = tfxai.baselines.noise(seed=3)


def convolutional() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="edges")(inputs)
    mean = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="classes")(mean))


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.inner = convolutional()

    def call(self, x: Any) -> Any:
        return self.inner(x)


def dense() -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(5, activation="tanh", name="hidden"), keras.layers.Dense(3, name="out")]
    return keras.Sequential([keras.Input((6,)), *layers])


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return convolutional()


@pytest.fixture(scope="module")
def saved(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    explanation = tfxai.SmoothGrad(samples=3)(model, IMAGES, 1)
    return explanation.save(tmp_path_factory.mktemp("receipts") / "map.npz")


def flip_lowest_bit(variable: Any) -> None:
    values = np.array(variable.numpy())
    values.view(np.uint32).reshape(-1)[0] ^= 1
    variable.assign(values)


def changed(file: Path, **fields: Any) -> Explanation:
    """The explanation in a file, with other fields; of the receipt where it has such."""
    explanation = Explanation.load(file)
    own = {field.name for field in dataclasses.fields(explanation)}
    receipt = dataclasses.replace(explanation.receipt, **{k: v for k, v in fields.items() if k not in own})
    return dataclasses.replace(explanation, receipt=receipt, **{k: v for k, v in fields.items() if k in own})


# What a receipt holds


def test_a_receipt_holds_the_whole_call(model: keras.Model) -> None:
    method = tfxai.SmoothGrad(samples=3, seed=7)
    receipt = method(model, IMAGES, [0, 1, 2], score="probability", batch_size=2).receipt
    assert receipt.method == {"class": "SmoothGrad", "settings": recipe(method)["settings"]}
    assert receipt.method["settings"]["samples"] == 3 and receipt.seed == 7
    assert (receipt.score, receipt.targets, receipt.at) == ("probability", [0, 1, 2], None)
    assert (receipt.batch_size, receipt.jit_compile, receipt.given) == (2, False, "arrays")
    assert [weight["path"] for weight in receipt.weights] == [
        "edges/kernel", "edges/bias", "classes/kernel", "classes/bias"
    ]  # fmt: skip
    for told, variable in zip(receipt.weights, model.weights, strict=True):
        assert told == {"path": told["path"], **array_digest(variable.numpy())}
    assert receipt.inputs == {"inputs": array_digest(IMAGES)}
    assert len(receipt.structure) == 64
    assert receipt.environment["tensorflow"] == tf.__version__
    assert {"tfxai", "keras", "numpy", "python", "processor", "device", "cores", "intra_op_threads"} <= set(
        receipt.environment
    )
    assert receipt.warnings == [] and receipt.rows is None


def test_digests_are_those_that_anybody_gets_from_the_numbers() -> None:
    import hashlib

    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    told = array_digest(array.T)
    assert told["sha256"] == hashlib.sha256(np.ascontiguousarray(array.T).tobytes()).hexdigest()
    assert (told["shape"], told["dtype"]) == ([3, 2], "float32")
    assert array_digest(np.array(["a", "b"], object)) == array_digest(np.array(["a", "b"]))
    assert array_digest(np.array(["ab"], object)) != array_digest(np.array(["a", "b"], object))


def test_warnings_are_kept_and_still_given_at_the_users_line() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, kernel_initializer="zeros")])
    with pytest.warns(UserWarning, match="every value of every map is 0") as given:
        receipt = tfxai.Gradient()(model, ROWS).receipt
    assert receipt.warnings == [str(each.message) for each in given]
    assert given[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert tfxai.Gradient()(model, ROWS).receipt.warnings == receipt.warnings


def test_the_json_form_is_as_documented(model: keras.Model) -> None:
    explanation = tfxai.IntegratedGradients(baseline=np.zeros((8, 8, 2), np.float32))(
        model, IMAGES, tfxai.top(2)
    )
    data = json.loads(explanation[[2, 0]].receipt.json())
    assert list(data) == [
        "receipt", "method", "seed", "call", "model", "inputs", "rows", "environment", "passes", "warnings"
    ]  # fmt: skip
    assert data["receipt"] == 1 and data["rows"] == [2, 0]
    assert data["method"]["class"] == "IntegratedGradients"
    assert data["method"]["settings"]["baseline"] == {"array": array_digest(np.zeros((8, 8, 2), np.float32))}
    assert data["call"] == {
        "score": "logit",
        "targets": {"class": "Top", "settings": {"k": 2}},
        "at": None,
        "batch_size": 32,
        "jit_compile": False,
    }
    assert set(data["model"]) == {"structure", "weights"}
    assert set(data["model"]["weights"][0]) == {"path", "shape", "dtype", "sha256"}
    assert data["inputs"]["arrays"]["inputs"]["shape"] == [3, 8, 8, 2]


def test_it_reads_well(model: keras.Model) -> None:
    text = str(tfxai.SmoothGrad(samples=3)(model, IMAGES).receipt)
    assert text.splitlines()[0].startswith("method       SmoothGrad(samples=3")
    assert "weights      4 arrays" in text and f"tensorflow {tf.__version__}" in text


def test_numbers_that_are_not_finite_are_words_in_json() -> None:
    explanation = tfxai.Occlusion(window=2)(lambda x: np.nan_to_num(x), np.array([[1.0, np.nan, 2.0]]))
    assert "NaN" not in explanation.receipt.json()


# Weights as they were


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_receipt_knows_the_weights_of_its_call_however_the_model_trains_on(jit_compile: bool) -> None:
    model = dense()
    before = [array_digest(v.numpy())["sha256"] for v in model.weights]
    receipt = tfxai.Gradient()(model, ROWS).receipt
    model.compile("adam", "mse", jit_compile=jit_compile)
    model.fit(ROWS, np.eye(3)[[0, 1, 2, 0]], epochs=2, verbose=0)
    for variable in model.weights:
        variable.assign_add(variable * 0 + 1)
    assert [weight["sha256"] for weight in receipt.weights] == before


def test_a_receipt_does_not_keep_old_weights_in_memory() -> None:
    model = dense()
    first = tfxai.Gradient()(model, ROWS)
    again = tfxai.Gradient()(model, ROWS)
    held = [cell.cell_contents for cell in first.receipt._find.__closure__]
    (snapshot,) = [each for each in held if type(each).__name__ == "Snapshot"]
    assert any(cell.cell_contents is snapshot for cell in again.receipt._find.__closure__)
    flip_lowest_bit(model.weights[0])
    other = tfxai.Gradient()(model, ROWS)
    assert snapshot._held == []
    assert other.receipt.weights[0] != first.receipt.weights[0]
    assert other.receipt.weights[1:] == first.receipt.weights[1:]
    (last,) = [
        cell.cell_contents
        for cell in tfxai.Gradient()(model, ROWS + 1).receipt._find.__closure__
        if type(cell.cell_contents).__name__ == "Snapshot"
    ]
    del model, snapshot
    gc.collect()
    assert last._held == []


class Rows(tf.Module):
    """A table, of which ids take rows."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.words = tf.Variable(tf.ones((5, 2))), tf.Variable(["a", "b"])

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, self.table[:3])


def trained(variable: Any) -> None:
    """Single rows are written, as of an embedding."""
    variable.scatter_add(tf.IndexedSlices(tf.ones((1, 2)), [1]))


@pytest.mark.parametrize("quick", [True, False])
def test_rows_written_in_place_leave_a_receipt_as_it_was(
    quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfxai.model.reading._one_operation_will_do", lambda: quick)
    model, receipts, digests = Rows(), [], []
    for _ in range(4):
        digests.append([array_digest(each.numpy()) for each in model.variables])
        receipts.append(tfxai.Gradient()(model, ROWS[:, :3], 0).receipt)
        trained(model.table)
    for receipt, before in zip(receipts, digests, strict=True):
        assert [{key: told[key] for key in before[0]} for told in receipt.weights] == before


def test_weights_are_read_without_a_copy_and_known_by_their_address() -> None:
    variables = [tf.Variable(tf.ones(1000)), tf.Variable(tf.ones(7, tf.int64)), tf.Variable(["a"])]
    read = WeightReader([(each.name, each) for each in variables])
    first, second = addresses(read()), addresses(read())
    held, again = read(), _traced(variables)()
    assert addresses(held)[0] == np.asarray(held[0]).__array_interface__["data"][0] == addresses(again)[0]
    assert first == second and first[2] is None
    variables[0].assign_add(tf.ones(1000))
    assert addresses(read())[0] != addresses(held)[0] and addresses(read())[1] == addresses(held)[1]
    assert np.all(held[0] == 1)


def test_a_snapshot_is_shared_where_each_read_copies() -> None:
    model = Rows()
    trained(model.table)
    first = snapshot(model)
    assert snapshot(model) is first
    trained(model.table)
    assert snapshot(model) is not first and first._held == []


def test_a_receipt_can_be_pickled_and_copied(model: keras.Model) -> None:
    explanation = tfxai.Gradient()(model, IMAGES)
    copied = pickle.loads(pickle.dumps(explanation))
    assert copied.receipt.json() == explanation.receipt.json()
    assert tfxai.verify(copied, model).status == 0


def test_the_same_model_built_twice_has_one_structure_whatever_its_layers_are_called() -> None:
    def built(units: int = 4, activation: str = "softmax") -> keras.Model:
        inputs = keras.Input((6,))
        hidden = keras.layers.Dense(units, activation=activation)(inputs)
        return keras.Model(inputs, keras.layers.Softmax()(keras.layers.Add()([hidden, hidden])))

    def structure(model: keras.Model) -> str | None:
        return tfxai.Gradient()(model, ROWS, 0).receipt.structure

    one, two = built(), built()
    assert one.layers[1].name != two.layers[1].name
    assert structure(one) == structure(two)
    assert structure(built(activation="tanh")) != structure(one) != structure(built(5))


# Verified


NOISE = RNG.normal(size=(5, 8, 8, 2)).astype(np.float32)
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "gradient": (tfxai.Gradient(), {}),
    "smooth gradient": (tfxai.SmoothGrad(samples=5, seed=3), {"targets": tfxai.top(2), "batch_size": 2}),
    "a function of baselines": (tfxai.IntegratedGradients(steps=8, baseline=SHARP), {"targets": [0, 1, 2]}),
    "several baselines": (
        tfxai.IntegratedGradients(steps=8, baseline=tfxai.baselines.several(0.0, NOISE[0])), {}
    ),
    "a background": (tfxai.ExpectedGradients(background=NOISE, samples=6, seed=1), {"targets": 1}),
    "masks": (tfxai.RISE(samples=20, seed=2), {"score": tfxai.scores.probability()}),
    "coalitions": (tfxai.KernelSHAP(segmenter="grid", segments=4, samples=12, background=NOISE), {}),
    "a layer": (tfxai.GradCAM(layer="edges"), {"targets": np.array([2, 1, 0])}),
    "at a layer": (tfxai.IntegratedGradients(steps=4), {"at": "edges"}),
    "an area": (tfxai.LRP(), {"score": tfxai.scores.contrast(0, 1)}),
    "XLA": (tfxai.Gradient(), {"jit_compile": True}),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_the_same_model_gives_the_same_bits(name: str, model: keras.Model, tmp_path: Path) -> None:
    method, call = METHODS[name]
    file = method(
        model, IMAGES, call.get("targets"), **{k: v for k, v in call.items() if k != "targets"}
    ).save(tmp_path / "map.npz")
    other = convolutional()  # the same weights, other names and other traces
    found = tfxai.verify(file, other)
    assert (found.status, found.words[:16]) == (0, "Equal to the bit"), found
    flip_lowest_bit(other.get_layer("classes").bias)
    found = tfxai.verify(file, other)
    assert found.status == 1 and "classes/bias" in found.words


def subclassed() -> keras.Model:
    model = Subclassed()
    model(IMAGES)
    return model


class Carrying(tf.Module):
    def __init__(self) -> None:
        self.factor = tf.Variable(np.linspace(1, 2, 6, dtype=np.float32), name="factor")

    def __call__(self, x: Any) -> Any:
        return tf.stack([tf.reduce_sum(x * self.factor, 1), tf.reduce_sum(x, 1)], 1)


def doubled(x: Any) -> Any:
    return x[:, :3] * x[:, 3:]


@pytest.mark.parametrize(
    ("build", "inputs"),
    [(subclassed, IMAGES), (dense, ROWS), (Carrying, ROWS), (lambda: doubled, ROWS)],
)
def test_every_kind_of_model_is_verified(build: Callable[[], Any], inputs: np.ndarray) -> None:
    explanation = tfxai.Gradient()(build(), inputs)
    found = tfxai.verify(explanation, build())
    assert found.status == 0, found
    weights = explanation.receipt.weights
    assert (weights is None) == (build() is doubled) == ("only what it answers" in found.words)


def test_a_function_of_arrays_is_verified_by_what_it_answers() -> None:
    explanation = tfxai.Occlusion(window=2)(lambda x: x @ np.eye(6)[:, :2], ROWS)
    assert explanation.receipt.weights is explanation.receipt.structure is None
    assert tfxai.verify(explanation, lambda x: x @ np.eye(6)[:, :2]).status == 0
    found = tfxai.verify(explanation, lambda x: x @ np.eye(6)[:, 1:3])
    assert found.status == 1 and "differ in" in found.words


def test_a_module_is_verified_and_its_changed_weight_named(model: keras.Model, tmp_path: Path) -> None:
    model.export(tmp_path / "exported", verbose=False)
    file = tfxai.Gradient()(tfxai.hub.load(tmp_path / "exported"), IMAGES).save(tmp_path / "map.npz")
    module = tfxai.hub.load(tmp_path / "exported")
    assert tfxai.verify(file, module).status == 0
    name, variable = next((n, v) for n, v in module.variables.items() if "classes" in n and "kernel" in n)
    flip_lowest_bit(variable)
    found = tfxai.verify(file, module)
    assert found.status == 1 and name in found.words


def test_a_file_has_one_structure_however_often_it_is_loaded(tmp_path: Path) -> None:
    layers = [keras.Input((5, 3)), keras.layers.LSTM(4), keras.layers.Dense(2)]
    keras.Sequential(layers).export(tmp_path / "exported", verbose=False)
    one, other = tfxai.hub.load(tmp_path / "exported"), tfxai.hub.load(tmp_path / "exported")
    assert one.structure == other.structure and one.constants == {}


def test_a_frozen_graph_is_verified(tmp_path: Path) -> None:
    def frozen(factor: float) -> Any:
        kernel = np.linspace(0, factor, 18, dtype=np.float32).reshape(6, 3)
        call = tf.function(lambda x: tf.nn.softmax(x @ tf.constant(kernel, name="kernel")), autograph=False)
        graph = call.get_concrete_function(tf.TensorSpec((None, 6), tf.float32, "rows")).graph
        tf.io.write_graph(graph, str(tmp_path), "model.pb", as_text=False)
        return tfxai.hub.load(tmp_path / "model.pb")

    explanation = tfxai.Gradient()(frozen(1), ROWS)
    assert [weight["path"] for weight in explanation.receipt.weights] == ["kernel"]
    assert tfxai.verify(explanation, frozen(1)).status == 0
    assert "weight kernel is another one" in tfxai.verify(explanation, frozen(1.5)).words


def test_texts_are_verified() -> None:
    def score(texts: list[str]) -> np.ndarray:
        return np.array([[text.count("good"), len(text)] for text in texts], np.float32)

    explanation = tfxai.KernelSHAP(samples=20)(score, ["a good day", "bad"], 0)
    assert tfxai.verify(explanation, score).status == 0
    masked = tfxai.KernelSHAP(samples=20)(score, tfxai.Text(["a good day", "bad"], mask="?"), 0)
    with pytest.raises(
        ValueError, match=r"The inputs came as Text, which a file does not hold. Give inputs="
    ):
        tfxai.verify(masked, score)
    assert tfxai.verify(masked, score, tfxai.Text(["a good day", "bad"], mask="?")).status == 0


def test_tables_are_verified() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(ROWS, columns=list("abcdef"))

    def score(frame: Any) -> np.ndarray:
        return frame[["a", "b"]].to_numpy()

    explanation = tfxai.KernelSHAP(samples=20, background=table[:2])(score, table, 0)
    with pytest.raises(ValueError, match="came as DataFrame"):
        tfxai.verify(explanation, score)
    assert tfxai.verify(explanation, score, table).status == 0


def test_several_inputs_are_verified(tmp_path: Path) -> None:
    one, other = keras.Input((6,), name="one"), keras.Input((3,), name="other")
    both = keras.layers.Concatenate()([one, other])
    model = keras.Model({"one": one, "other": other}, keras.layers.Dense(2)(both))
    inputs = {"one": ROWS, "other": ROWS[:, :3]}
    explanation = tfxai.Gradient()(model, inputs)
    assert tfxai.verify(explanation.save(tmp_path / "map.npz"), model).status == 0
    found = tfxai.verify(explanation, model, {"one": ROWS, "other": ROWS[:, 1:4]})
    assert found.status == 1 and "other is another one" in found.words


# What differs


def test_another_structure_is_told(saved: Path) -> None:
    model = convolutional()
    model.get_layer("edges").activation = keras.activations.tanh
    found = tfxai.verify(saved, model)
    assert found.status == 1 and found.words.startswith("Different: structure: the model's configuration")
    model = convolutional()
    model.get_layer("edges").use_bias = None  # says another thing; of a bias of 0 it does the same
    found = tfxai.verify(saved, model)
    assert found.status == 0 and found.words.endswith("is another one, to no effect).")


def test_another_model_is_told_by_its_first_weight_of_another_shape(saved: Path) -> None:
    inputs = keras.Input((8, 8, 2))
    maps = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 5, name="wide")(inputs))
    found = tfxai.verify(saved, keras.Model(inputs, keras.layers.Dense(3)(maps)))
    assert (
        found.status == 1
        and "edges/kernel was float32 (3, 3, 2, 4), the model has wide/kernel" in found.words
    )


def test_other_inputs_are_told(saved: Path, model: keras.Model) -> None:
    assert tfxai.verify(saved, model, IMAGES.astype(np.float64)).status == 0
    found = tfxai.verify(saved, model, IMAGES + 1e-6)
    assert found.status == 1 and found.words.startswith("inputs is another one")


def test_inputs_that_were_changed_in_the_file_are_told(saved: Path, model: keras.Model) -> None:
    found = tfxai.verify(changed(saved, inputs=IMAGES * 2), model)
    assert found.status == 1 and found.words.startswith("inputs is another one")


def test_changed_values_are_told_with_their_place(saved: Path, model: keras.Model) -> None:
    values = Explanation.load(saved).values.copy()
    values[1, 2, 3, 0] += 1
    found = tfxai.verify(changed(saved, values=values), model)
    assert found.status == 1
    assert found.words.startswith("Different: values differ in 1 of 384 places, most at values[1, 2, 3, 0]")


@pytest.mark.parametrize("field", ["targets", "scores", "method", "score"])
def test_every_field_is_compared(field: str, saved: Path, model: keras.Model) -> None:
    before = getattr(Explanation.load(saved), field)
    other = "Gradient()" if isinstance(before, str) else before + np.ones(1, before.dtype)
    found = tfxai.verify(changed(saved, **{field: other}), model)
    assert found.status == 1 and field in found.words


def test_a_setting_that_was_changed_in_the_file_shows_in_the_values(saved: Path, model: keras.Model) -> None:
    receipt = Explanation.load(saved).receipt
    assert receipt is not None
    other = {**receipt.method, "settings": {**receipt.method["settings"], "samples": 4}}
    found = tfxai.verify(changed(saved, method=other), model)
    assert found.status == 1


def with_environment(file: Path, moved: float, **environment: Any) -> Explanation:
    """The explanation as another environment would have left it: values moved by a part of the largest."""
    explanation = Explanation.load(file)
    assert explanation.receipt is not None
    values = explanation.values + np.float32(moved * np.abs(explanation.values).max())
    receipt = dataclasses.replace(
        explanation.receipt, environment={**explanation.receipt.environment, **environment}
    )
    return dataclasses.replace(explanation, values=values, receipt=receipt)


def test_another_environment_may_move_the_last_digits(saved: Path, model: keras.Model) -> None:
    found = tfxai.verify(with_environment(saved, 1e-6, numpy="1.0", cores=96), model)
    assert found.status == 2
    assert f"numpy {np.__version__} (was 1.0); cores" in found.words and "within 0.0001" in found.words
    assert tfxai.verify(with_environment(saved, 1e-6, numpy="1.0"), model, tolerance=1e-8).status == 1
    assert tfxai.verify(with_environment(saved, 1e-2, numpy="1.0"), model).status == 1
    assert tfxai.verify(with_environment(saved, 1e-6), model).status == 1
    assert tfxai.verify(with_environment(saved, 0, numpy="1.0"), model).status == 0


# What cannot be kept


def black(inputs: np.ndarray) -> np.ndarray:
    return np.zeros_like(inputs)


def mean_of(outputs: Any, targets: Any) -> Any:
    return tf.reduce_mean(outputs, axis=1) + outputs[:, 0]


def test_a_function_of_the_users_own_must_be_given_again(model: keras.Model, tmp_path: Path) -> None:
    file = tfxai.IntegratedGradients(steps=4, baseline=black)(model, IMAGES, score=mean_of).save(
        tmp_path / "map.npz"
    )
    with pytest.raises(
        ValueError, match=r"not keep baseline \(the function black\); score \(the function mean_of\). Verify"
    ):
        tfxai.verify(file, model)
    method = tfxai.IntegratedGradients(steps=4, baseline=black)
    assert tfxai.verify(file, model, method=method, score=mean_of).status == 0
    other = tfxai.IntegratedGradients(steps=5, baseline=black)
    found = tfxai.verify(file, model, method=other, score=mean_of)
    assert found == tfxai.Verification(1, "setting steps is 5, it was 4")


def test_large_arrays_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfxai.results.recipes.LARGEST", 100)
    assert recipe(np.zeros(100)) == {"unkept": "an array (100,), larger than 0 MB"}


def test_nothing_else_than_classes_of_tfxai_is_made_of_a_file() -> None:
    for data in ({"class": "system", "settings": {}}, {"class": "Popen", "settings": {"args": "ls"}}):
        with pytest.raises(ValueError, match=r"this version of tfxai does not know"):
            rebuilt(data)
    with pytest.raises(ValueError, match="settings colour, which this version"):
        rebuilt({"class": "Blur", "settings": {"colour": 1}})
    assert all(kind.__module__.startswith("tfxai.") for kind in known_classes().values())
    assert set(tfxai.methods.__all__) <= set(known_classes())


@pytest.mark.parametrize(
    "value",
    [
        tfxai.baselines.several(0, tfxai.baselines.blur(3), tfxai.baselines.mean()),
        tfxai.scores.region(np.eye(8), 1),
        tfxai.scores.click((1, 2)),
        tfxai.scores.detection(tfxai.scores.yolo([[(1, 2)], [(3, 4)]])),
        tfxai.boxes([[0, 0, 4, 4]]),
        tfxai.scores.contrast(tfxai.scores.similarity(IMAGES), tfxai.scores.similarity(IMAGES + 1)),
        {"a": [1, (2.5, None)], "b": "word"},
    ],
)
def test_settings_come_back_from_their_data(value: Any) -> None:
    arrays: dict[str, np.ndarray] = {}
    data = recipe(value)
    packed(data, arrays)  # a file can hold it
    again = rebuilt(data)
    assert type(again) is type(value)
    assert recipe(again).__repr__() == data.__repr__()


# Parts, old files, copies


def test_a_part_is_verified_with_all_inputs_of_its_call(saved: Path, model: keras.Model) -> None:
    part = Explanation.load(saved)[1:][[1]]
    assert part.receipt is not None and part.receipt.rows is not None and part.receipt.rows.tolist() == [2]
    with pytest.raises(ValueError, match="holds 1 of the 3 examples of its call"):
        tfxai.verify(part, model)
    assert tfxai.verify(part, model, IMAGES).status == 0
    assert tfxai.verify(Explanation.load(saved)[:], model).status == 0


def test_files_without_a_receipt_load_and_say_so(saved: Path, model: keras.Model, tmp_path: Path) -> None:
    with np.load(saved) as file:
        arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays["header"]))
    del header["fields"]["receipt"]  # as version 0.1 wrote it
    old = tmp_path / "old.npz"
    np.savez(old, **{**arrays, "header": np.array(json.dumps(header))})
    explanation = Explanation.load(old)
    assert explanation.receipt is None and explanation[1:].receipt is None
    np.testing.assert_array_equal(explanation.values, Explanation.load(saved).values)
    with pytest.raises(ValueError, match="has no receipt: an older version wrote it"):
        tfxai.verify(old, model)


def test_values_that_no_method_made_have_no_receipt(model: keras.Model) -> None:
    report = tfxai.sanity.smooth(tfxai.Gradient(), model, IMAGES, samples=2, explanations=True)
    assert report.explanations is not None
    assert {explanation.receipt for explanation in report.explanations["gradient"]} == {None}


# Same seed, same bits

CALL = """
import sys
import keras, numpy as np, tensorflow as tf
threads, batch_size = map(int, sys.argv[3:])
if threads:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
import tfxai
model, inputs = keras.saving.load_model(sys.argv[1]), np.random.default_rng(5).normal(size=(4, 8, 8, 2)).astype("float32")
methods = [tfxai.Gradient(), tfxai.GradCAM(), tfxai.SmoothGrad(samples=4), tfxai.RISE(samples=12), tfxai.Occlusion(window=4),
           tfxai.KernelSHAP(segmenter="grid", segments=4, samples=10), tfxai.LIME(segmenter="grid", segments=4, samples=20)]
for number, method in enumerate(methods):
    method(model, inputs, batch_size=batch_size).save(f"{sys.argv[2]}_{number}.npz")
"""
SUMS = (2, 3)  # of many passes, in another order for another batch size


def in_fresh_process(model: Path, out: Path, seed: str, threads: int, batch_size: int) -> list[Explanation]:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", CALL, str(model), str(out), str(threads), str(batch_size)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return [Explanation.load(f"{out}_{number}.npz") for number in range(7)]


@pytest.mark.slow
def test_fresh_processes_give_the_same_bits(model: keras.Model, tmp_path: Path) -> None:
    file = tmp_path / "model.keras"
    model.save(file)
    first = in_fresh_process(file, tmp_path / "a", "1", 0, 32)
    again = in_fresh_process(file, tmp_path / "b", "2", 0, 32)
    threads = in_fresh_process(file, tmp_path / "c", "3", 1, 32)
    batches = in_fresh_process(file, tmp_path / "d", "4", 0, 3)
    for number, one in enumerate(first):
        np.testing.assert_array_equal(again[number].values, one.values, strict=True)
        assert again[number].receipt.json() == one.receipt.json()
        np.testing.assert_array_equal(threads[number].values, one.values, err_msg=one.method)
        scale = np.abs(one.values).max()
        apart = 3e-6 * scale if number in SUMS else 0
        np.testing.assert_allclose(batches[number].values, one.values, rtol=0, atol=apart, err_msg=one.method)
        assert tfxai.verify(one, model).status in (0, 2)


# The command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model and a photo, in the working folder."""
    monkeypatch.chdir(tmp_path)
    layers = [keras.layers.Conv2D(4, 3, activation="relu", name="edges"), keras.layers.GlobalMaxPooling2D()]
    keras.Sequential([keras.Input((16, 16, 3)), *layers, keras.layers.Dense(3, name="out")]).save(
        "model.keras"
    )
    Image.fromarray(RNG.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save("photo.png")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(words)
    return status, *capsys.readouterr()


def test_the_command_verifies_what_explain_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "explain", "photo.png", "--model", "model.keras", "--method", "smooth_grad", "--set",
                "samples=3", "--save", "map.npz")[0] == 0  # fmt: skip
    status, out, err = told(capsys, "verify", "map.npz", "--model", "model.keras")
    assert (status, err) == (0, "") and out.startswith("Equal to the bit: SmoothGrad(samples=3")
    assert out.endswith("Compared: 4 weights, inputs, settings, targets, scores, 768 values.\n")
    assert out.count("\n") == 1
    inputs = Explanation.load("map.npz").inputs
    np.save("inputs.npy", inputs)
    np.savez("inputs.npz", anything=inputs + 1)
    assert told(capsys, "verify", "map.npz", "--model", "model.keras", "--inputs", "inputs.npy")[0] == 0
    status, out, _ = told(capsys, "verify", "map.npz", "--model", "model.keras", "--inputs", "inputs.npz")
    assert status == 1 and out.startswith("inputs is another one")
    with_environment(Path("map.npz"), 1e-6, python="2.7").save("elsewhere.npz")
    status, out, _ = told(capsys, "verify", "elsewhere.npz", "--model", "model.keras")
    assert status == 2 and "(was 2.7)" in out
    model = keras.saving.load_model("model.keras")
    flip_lowest_bit(model.get_layer("edges").kernel)
    model.save("other.keras")
    status, out, _ = told(capsys, "verify", "map.npz", "--model", "other.keras")
    assert (status, out) == (1, "weight edges/kernel is another one (1 of 4 weights differ)\n")


@pytest.mark.parametrize("kind", [list, dict])
def test_several_inputs_come_from_one_file(
    kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ends = {"one": keras.Input((6,), name="one"), "other": keras.Input((6,), name="other")}
    model = keras.Model(ends, keras.layers.Dense(2)(keras.layers.Multiply()([*ends.values()])))
    if kind is list:
        model = keras.Model([*ends.values()], model.output)
    inputs = {"one": ROWS, "other": ROWS * 2}
    tfxai.Gradient()(model, inputs if kind is dict else [*inputs.values()])[:2].save("map.npz")
    model.save("model.keras")
    np.savez("inputs.npz", **inputs)
    assert told(capsys, "verify", "map.npz", "--model", "model.keras", "--inputs", "inputs.npz")[0] == 0
    assert told(capsys, "verify", "map.npz", "--model", "model.keras")[0] == 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("verify no.npz --model model.keras", "no.npz"),
        ("verify photo.png --model model.keras", "is not a saved explanation"),
        ("verify map.npz --model no.keras", "There is no model no.keras"),
        (
            "verify map.npz --model model.keras --inputs photo.png",
            "--inputs is photo.png. Give a file that ends in",
        ),
        ("verify map.npz --model model.keras --inputs no.npy", "no.npy"),
        ("verify map.npz --model model.keras --tolerance -1", "tolerance is -1"),
        ("verify map.npz", "--model"),
    ],
)
def test_what_cannot_be_compared_is_no_answer(
    words: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tfxai.Gradient()(
        keras.saving.load_model("model.keras"), IMAGES[:, :8, :8, :1].repeat(3, 3).repeat(2, 1).repeat(2, 2)
    ).save("map.npz")
    status, _, err = told(capsys, *words.split())
    assert status == 3 and message in err and len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_map_of_the_demo_model_is_verified_and_one_bit_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.fromarray(RNG.integers(0, 256, (240, 240, 3), dtype=np.uint8)).save("photo.png")
    assert main(["explain", "photo.png", "--model", "demo", "--method", "grad_cam", "--save", "map.npz"]) == 0
    assert main(["verify", "map.npz", "--model", "demo"]) == 0
    model = tfxai.zoo.efficientnet_lite0()
    layer = [each for each in model.layers if each.weights][20]
    before = np.array(layer.weights[0].numpy())
    flip_lowest_bit(layer.weights[0])
    try:
        found = tfxai.verify("map.npz", model)
    finally:
        layer.weights[0].assign(before)
    assert found.status == 1 and layer.name in found.words
    capsys.readouterr()
