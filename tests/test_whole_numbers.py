"""Inputs of whole numbers that a model turns into fractions: pixels of 8 bits, counts beside measurements, masks."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

L = keras.layers


@pytest.mark.parametrize(
    "method", [tfxai.InputXGradient(), tfxai.IntegratedGradients(steps=3), tfxai.DeepLIFT(), tfxai.LRP()]
)
def test_a_count_beside_a_measurement_has_its_share(method: Any) -> None:
    n, f = keras.Input((1,), dtype="int32", name="n"), keras.Input((1,), name="f")
    total = L.Add()([2 * keras.ops.cast(n, "float32"), f])
    model = keras.Model({"n": n, "f": f}, total)
    with pytest.warns(UserWarning, match="whole numbers, which have no gradient"):
        found = method(model, {"n": np.array([[3]]), "f": np.array([[2.0]])}, 0).values
    assert float(found["n"][0, 0]) == pytest.approx(6, rel=1e-4)
    assert float(found["f"][0, 0]) == pytest.approx(2, rel=1e-4)


def test_a_mask_of_token_ids_stays_as_it_is() -> None:
    ids, mask = keras.Input((4,), dtype="int32", name="ids"), keras.Input((4,), dtype="int32", name="mask")
    there = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    table = L.Embedding(6, 1)
    model = keras.Model({"ids": ids, "mask": mask}, keras.ops.sum(table(ids) * there, axis=1))
    given = {"ids": np.array([[1, 2, 3, 4]]), "mask": np.array([[1, 1, 0, 1]])}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = tfxai.IntegratedGradients(steps=3)(model, given, 0)
    worth = table.get_weights()[0][:, 0]
    np.testing.assert_allclose(found.values["ids"], worth[given["ids"]] * given["mask"], atol=1e-6)
    assert found.values["mask"] is None


def test_noise_and_paths_go_through_fractions() -> None:
    """Between two pixels there is no whole number, and still a path: the square of a pixel rises by its square."""
    model = keras.Sequential(
        [
            keras.Input((2, 2, 1), dtype="uint8"),
            L.Rescaling(1 / 10),
            L.Lambda(lambda x: tf.reduce_sum(x**2, (1, 2))),
        ]
    )
    x = np.array([[[[1], [2]], [[3], [4]]]], np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = tfxai.IntegratedGradients(steps=20, rule="midpoint")(model, x, 0)
        smooth = tfxai.SmoothGrad(samples=64, noise=0.1)(model, x, 0)
    np.testing.assert_allclose(path.values, x**2.0 / 100, rtol=1e-3)
    assert path.inputs.dtype.kind in "iu"
    np.testing.assert_allclose(smooth.values, 2 * x / 100.0, atol=0.005)


def test_a_module_with_pixels_of_8_bits(tmp_path: Any) -> None:
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1), dtype="uint8"),
            L.Rescaling(1 / 255),
            L.Conv2D(2, 3, activation="relu"),
            L.GlobalAveragePooling2D(),
            L.Dense(2),
        ]
    )
    model.export(tmp_path / "m", verbose=False)
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 1)).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in (tfxai.Gradient(), tfxai.IntegratedGradients(steps=3)):
            wanted, found = (method(each, x, 0).values for each in (model, tfxai.hub.load(tmp_path / "m")))
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-7)
            assert np.abs(wanted).max() > 0
