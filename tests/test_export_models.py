"""Models that people have beside the battery's are exported as they are: files, tables of words, loops, batches of their own, functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
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


def test_a_class_that_the_model_has_not_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    with pytest.raises(ValueError, match="targets is class 2, the model has 2"):
        tfxai.export(model, tmp_path / "m", {"explain": tfxai.Gradient()}, targets=2)
    assert not [*tmp_path.iterdir()]
