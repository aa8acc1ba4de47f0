"""Models that people have beside the battery's are exported as they are: files, tables of words, loops, batches of their own, functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import once
from test_export import load

import tfxai

L = keras.layers
Case = tuple[Any, Any, dict[str, Any]]  # a model, inputs, and what `export` has to be told


def numbers(*shape: int) -> Any:
    return np.random.default_rng(1).random(shape, np.float32)


def photos(folder: Path) -> Any:
    inputs = keras.Input((10, 10, 3), name="photo")
    x = L.Conv2D(4, 3, activation="relu", name="conv")(inputs)
    model = keras.Model(inputs, L.Dense(4, activation="softmax")(L.Flatten()(x)))
    model.export(str(folder / "exported"), verbose=False)
    return str(folder / "exported")


def module(folder: Path) -> Case:
    return tfxai.hub.load(photos(folder)), numbers(2, 10, 10, 3), {}


def module_as_layer(folder: Path) -> Case:
    layer = tfxai.hub.as_layer(tfxai.hub.load(photos(folder)))
    return keras.Sequential([keras.Input((10, 10, 3)), layer]), numbers(2, 10, 10, 3), {}


def saved_model_as_layer(folder: Path) -> Case:
    layer = L.TFSMLayer(photos(folder), call_endpoint="serving_default")
    return keras.Sequential([keras.Input((10, 10, 3)), layer]), numbers(2, 10, 10, 3), {}


def columns_with_words(folder: Path) -> Case:
    word, row = keras.Input((1,), dtype="string", name="word"), keras.Input((3,), name="row")
    looked_up = L.StringLookup(vocabulary=["a", "b", "c"], output_mode="one_hot")(word)
    model = keras.Model({"word": word, "row": row}, L.Dense(3)(L.Concatenate()([looked_up, row])))
    return model, {"word": np.array([["a"], ["c"]], object), "row": numbers(2, 3)}, {}


def recurrent(folder: Path) -> Case:
    return keras.Sequential([keras.Input((7, 3)), L.LSTM(5), L.Dense(3)]), numbers(2, 7, 3), {}


def batch_of_its_own(folder: Path) -> Case:
    model = keras.Sequential([keras.Input(batch_shape=(2, 6)), L.Dense(5, activation="relu"), L.Dense(2)])
    return model, numbers(2, 6), {}


def stateful(folder: Path) -> Case:
    model = keras.Sequential([keras.Input(batch_shape=(2, 7, 3)), L.LSTM(5, stateful=True), L.Dense(3)])
    return model, numbers(2, 7, 3), {}


def function(folder: Path) -> Case:
    def model(x: Any) -> Any:
        return tf.stack([x[:, 0] * x[:, 1], x[:, 2] ** 2], 1)

    return model, numbers(3, 3), {"inputs": tf.TensorSpec((None, 3), tf.float32)}


SLOW = [module, module_as_layer, saved_model_as_layer, columns_with_words, recurrent, stateful]
CASES = [function, batch_of_its_own, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)]


@pytest.mark.parametrize("case", CASES)
def test_models_that_people_have(case: Callable[[Path], Case], tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, inputs, given = case(tmp_path)
    methods = {"gradient": tfxai.Gradient(), "path": tfxai.IntegratedGradients(steps=40)}
    run = load(tfxai.export(model, tmp_path / "m", methods, **given))
    name = "photo" if case is module else "inputs"
    fed = inputs if isinstance(inputs, dict) else {name: inputs}
    fed = {key: np.array(array.tolist()) if array.dtype == object else array for key, array in fed.items()}
    for name, method in methods.items():
        want = method(model, inputs)
        values = want.values["row"] if isinstance(want.values, dict) else want.values
        found = run(name, **fed)
        np.testing.assert_allclose(found["values"], values, atol=1e-6 * np.abs(values).max())
        np.testing.assert_array_equal(found["target"], want.targets)


def bytes_model() -> Any:
    pixels = keras.Input((8, 8, 3), dtype="uint8", name="pixels")
    x = L.Conv2D(3, 3, activation="relu")(L.Rescaling(1 / 255.0)(pixels))
    return keras.Model(pixels, L.Dense(3)(L.Flatten()(x)))


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    "method",
    [
        tfxai.IntegratedGradients(steps=5, baseline=tfxai.baselines.blur(1)),
        tfxai.IntegratedGradients(steps=5, baseline=tfxai.baselines.mean()),
        tfxai.Occlusion(baseline=tfxai.baselines.blur(2)),
        tfxai.BlurIG(steps=5, max_sigma=4),
    ],
)
def test_baselines_of_whole_numbers(method: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = bytes_model()
    run = load(tfxai.export(model, tmp_path / "m", {"explain": method}))
    want = method(model, PIXELS).values
    np.testing.assert_allclose(run("explain", pixels=PIXELS)["values"], want, atol=3e-6 * np.abs(want).max())


@pytest.mark.slow
@pytest.mark.parametrize("method", [tfxai.RISE(samples=1000), tfxai.LIME(segmenter="grid", segments=9)])
def test_methods_with_many_passes(method: Any, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model, seen = (
        keras.Sequential([keras.Input((8, 8, 3)), L.Conv2D(3, 3), L.Flatten(), L.Dense(3)]),
        numbers(1, 8, 8, 3),
    )
    run = load(tfxai.export(model, tmp_path / "m", {"explain": method}))
    want = method(model, seen).values
    # The library has weights in such a trace as constants, which are added up in another order.
    np.testing.assert_allclose(run("explain", inputs=seen)["values"], want, atol=1e-5 * np.abs(want).max())


USUAL = {
    "Gradient": tfxai.Gradient(),
    "IntegratedGradients": tfxai.IntegratedGradients(steps=4),
    "GradCAM": tfxai.GradCAM(),
    "Occlusion": tfxai.Occlusion(),
}
READ_AS = {"series": (10, 1), "pictures": (6, 6, 3)}


@once("name", name=USUAL, read_as=READ_AS)
def test_rows_that_the_model_reads_as_series_or_pictures(name: str, read_as: str, tmp_path: Path) -> None:
    method, shape = USUAL[name], READ_AS[read_as]
    keras.utils.set_random_seed(0)
    conv = L.Conv1D(3, 3, activation="relu") if len(shape) == 2 else L.Conv2D(3, 3, activation="relu")
    layers = [keras.Input((int(np.prod(shape)),)), L.Reshape(shape), conv, L.Flatten(), L.Dense(2)]
    model, rows = keras.Sequential(layers), numbers(3, int(np.prod(shape)))
    run = load(tfxai.export(model, tmp_path / "m", {"explain": method}))
    want = method(model, rows).values
    np.testing.assert_allclose(run("explain", inputs=rows)["values"], want, atol=1e-6 * np.abs(want).max())


def test_what_expected_gradients_miss_with_padding(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    words = keras.Input((9,), dtype="int32", name="ids")
    x = L.GlobalAveragePooling1D()(L.Embedding(50, 6, mask_zero=True)(words))
    model, random = keras.Model(words, L.Dense(3)(x)), np.random.default_rng(0)
    ids, background = (random.integers(1, 50, (n, 9)).astype(np.int32) for n in (5, 4))
    ids[:, 7:] = 0
    method = tfxai.ExpectedGradients(background=background, samples=40)
    found = load(tfxai.export(model, tmp_path / "m", {"explain": method}, targets=0))("explain", ids=ids)
    np.testing.assert_allclose(found["delta"], method(model, ids, 0).delta, atol=1e-6)


@pytest.mark.slow
def test_what_stands_in_front_may_own_tables(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    texts = L.TextVectorization(output_sequence_length=5)
    texts.adapt(["a cat sat on a mat", "a dog ran"])
    ids = keras.Input((5,), dtype="int64", name="ids")
    model = keras.Model(ids, L.Dense(3)(L.GlobalAveragePooling1D()(L.Embedding(20, 4)(ids))))
    spec = tf.TensorSpec((None,), tf.string, name="text")
    method = tfxai.IntegratedGradients(steps=4)
    run = load(tfxai.export(model, tmp_path / "m", {"explain": method}, preprocess=texts, inputs=spec))
    written = np.array(["a dog sat", "on a mat"])
    want = method(model, np.asarray(texts(written))).values
    np.testing.assert_allclose(run("explain", text=written)["values"], want, atol=1e-6 * np.abs(want).max())


def test_names_in_another_order_than_the_models_are_refused(tmp_path: Path) -> None:
    first, second = keras.Input((6,), name="first"), keras.Input((6,), name="second")
    model = keras.Model([first, second], L.Dense(3)(L.Concatenate()([first, second])))
    turned = [tf.TensorSpec((None, 6), name=name) for name in ("second", "first")]
    with pytest.raises(ValueError, match=r"the model takes .*'first', 'second'.*in this order"):
        tfxai.export(model, tmp_path / "m", {"explain": tfxai.Gradient()}, inputs=turned)


def test_a_class_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    with pytest.raises(ValueError, match="targets is class 2, the model has 2"):
        tfxai.export(model, tmp_path / "m", {"explain": tfxai.Gradient()}, targets=2)
    assert not [*tmp_path.iterdir()]
