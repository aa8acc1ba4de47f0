"""What "absent" looks like, value by value."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf

import tfxai
from tfxai import baselines

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 1, (2, 9, 11, 3)).astype(np.float32)
SERIES = RNG.normal(size=(2, 20, 4)).astype(np.float32)
VOLUMES = RNG.normal(size=(2, 5, 6, 7, 2)).astype(np.float32)
ROWS = RNG.normal(size=(2, 6)).astype(np.float32)
EVERY = {"images": IMAGES, "series": SERIES, "volumes": VOLUMES, "rows": ROWS}
FUNCTIONS = {"blur": baselines.blur(2), "mean": baselines.mean(), "noise": baselines.noise()}


@pytest.mark.parametrize("name", ["images", "series", "volumes"])
@pytest.mark.parametrize("sigma", [0.7, 3.0])
def test_blur_is_a_gaussian_of_each_channel_of_each_example(name: str, sigma: float) -> None:
    inputs = EVERY[name]
    found = baselines.blur(sigma)(inputs)
    for n, example in enumerate(inputs):
        for c in range(inputs.shape[-1]):
            wanted = scipy.ndimage.gaussian_filter(example[..., c].astype(np.float64), sigma, mode="nearest")
            np.testing.assert_allclose(found[n, ..., c], wanted, rtol=1e-4, atol=1e-5)


def test_a_wide_blur_leaves_nothing_of_a_pattern_and_all_of_a_constant() -> None:
    chess = np.indices((40, 40)).sum(0)[None, :, :, None] % 2 * np.float32(2)
    np.testing.assert_allclose(baselines.blur(3)(chess)[0, 15:25, 15:25], 1, atol=1e-3)
    flat = np.full((1, 8, 8, 3), 200, np.float32)
    np.testing.assert_allclose(baselines.blur()(flat), 200, rtol=1e-5)


def test_blur_of_rows_is_refused() -> None:
    with pytest.raises(ValueError, match=r"series, images or volumes.*\(2, 6\)"):
        baselines.blur()(ROWS)


@pytest.mark.parametrize("name", ["images", "series", "volumes"])
def test_mean_is_the_mean_colour_of_each_example(name: str) -> None:
    inputs = EVERY[name]
    found = baselines.mean()(inputs)
    for n, example in enumerate(inputs):
        colour = [example[..., c].mean() for c in range(example.shape[-1])]
        np.testing.assert_allclose(found[n], np.broadcast_to(colour, example.shape), rtol=1e-5, atol=1e-6)


def test_mean_of_a_row_is_its_mean() -> None:
    found = baselines.mean()(ROWS)
    np.testing.assert_allclose(found, np.repeat(ROWS.mean(1, keepdims=True), 6, axis=1), rtol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_noise_is_uniform_and_the_same_for_every_example(name: str) -> None:
    found = baselines.noise(-3, 5)(EVERY[name])
    np.testing.assert_array_equal(found[0], found[1])
    assert found.min() >= -3
    assert found.max() <= 5
    assert len(np.unique(found[0])) == found[0].size
    alone = baselines.noise(-3, 5)(EVERY[name][:1])
    np.testing.assert_array_equal(alone[0], found[0])


def test_noise_has_the_mean_and_spread_of_a_uniform_one() -> None:
    found = baselines.noise(2, 6)(np.zeros((1, 100, 100, 1), np.float32))
    assert abs(found.mean() - 4) < 5 * 4 / 12**0.5 / 100
    assert abs(found.std() - 4 / 12**0.5) < 0.05


def test_noise_depends_on_the_seed_alone() -> None:
    np.random.seed(3)
    state = np.random.get_state()[1].copy()
    one, again, other = (baselines.noise(seed=seed)(IMAGES) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1
    np.testing.assert_array_equal(baselines.noise()(IMAGES), one)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", EVERY)
def test_inputs_are_not_changed(function: str, name: str) -> None:
    if (function, name) == ("blur", "rows"):
        return
    inputs = EVERY[name].copy()
    found = FUNCTIONS[function](inputs)
    assert (found.shape, found.dtype) == (inputs.shape, np.float32)
    np.testing.assert_array_equal(inputs, EVERY[name])
    before = found.copy()
    inputs[:] = 7
    np.testing.assert_array_equal(found, before)  # and the answer is no window on the inputs


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_example_has_a_baseline_of_its_own(function: str) -> None:
    whole = FUNCTIONS[function](IMAGES)
    for n in range(2):
        np.testing.assert_allclose(FUNCTIONS[function](IMAGES[n : n + 1])[0], whole[n], rtol=1e-6)


def test_settings_can_be_compared_read_and_replaced() -> None:
    assert baselines.blur(3) == baselines.blur(3.0) != baselines.blur(4)
    assert "sigma=3.0" in repr(baselines.blur(3))
    assert dataclasses.replace(baselines.noise(), seed=4) == baselines.noise(seed=4)
    method = tfxai.IntegratedGradients(baseline=baselines.noise(0, 1))
    assert method == tfxai.IntegratedGradients(baseline=baselines.noise(0, 1))
    assert "Noise(low=0.0, high=1.0, seed=0)" in repr(method)


def linear(x: Any) -> Any:
    return tf.reduce_sum(tf.reshape(x, (tf.shape(x)[0], -1)), 1, keepdims=True)


COLOUR = np.array([0.1, 0.2, 0.3], np.float32)
GIVEN: dict[str, tuple[Any, Any]] = {
    "a number": (0.5, 0.5),
    "a colour": (COLOUR, COLOUR),
    "one example": (IMAGES[0], IMAGES[0]),
    "one for each input": (IMAGES[::-1], IMAGES[::-1]),
    "a list": ([0.1, 0.2, 0.3], COLOUR),
    "a function": (lambda x: x / 2, IMAGES / 2),
    "blur": (baselines.blur(2), baselines.blur(2)(IMAGES)),
    "mean": (baselines.mean(), baselines.mean()(IMAGES)),
    "noise": (baselines.noise(0, 9), baselines.noise(0, 9)(IMAGES)),
}


@pytest.mark.parametrize("name", GIVEN)
def test_the_values_of_a_sum_are_what_is_above_the_baseline(name: str) -> None:
    """Every weight of the model is 1, so each value is input - baseline."""
    given, baseline = GIVEN[name]
    for method in (
        tfxai.IntegratedGradients(steps=1, baseline=given),
        tfxai.GuidedIG(steps=2, baseline=given),
    ):
        result = method(linear, IMAGES)
        np.testing.assert_allclose(result.values, IMAGES - baseline, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(result.inputs, IMAGES)


def test_several_baselines_are_averaged() -> None:
    """The model is a square, so integrated gradients are known: (x - b) (x + b)."""
    several = baselines.several(0.0, COLOUR, baselines.mean())
    result = tfxai.IntegratedGradients(steps=2, baseline=several)(lambda x: linear(x**2), IMAGES)
    each = [IMAGES**2 - np.broadcast_to(b, IMAGES.shape) ** 2 for b in (0, COLOUR, baselines.mean()(IMAGES))]
    np.testing.assert_allclose(result.values, np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.delta, 0, atol=1e-3)


def test_each_input_can_have_its_own_baseline() -> None:
    inputs = {"image": IMAGES, "row": ROWS}

    def model(x: Any) -> Any:
        return linear(x["image"]) + linear(x["row"])

    for given, image, row in (
        ({"image": COLOUR, "row": 2.0}, COLOUR, 2.0),
        ({"row": 2.0}, 0.0, 2.0),  # zeros unless given
        (0.5, 0.5, 0.5),
        (baselines.mean(), baselines.mean()(IMAGES), baselines.mean()(ROWS)),
    ):
        values = tfxai.IntegratedGradients(steps=1, baseline=given)(model, inputs).values
        np.testing.assert_allclose(values["image"], IMAGES - image, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(values["row"], ROWS - row, rtol=1e-4, atol=1e-5)
