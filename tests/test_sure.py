"""Tolerances and intervals on every kind of model: rounds are the plain method, and everything has its shape."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every, once
from kinds import Kind, flat
from models import BUILDERS, kind
from test_battery import explained, same

import tfxai

EASY = 1e9  # a tolerance that the first look at which drawing may end has reached
BY_GRADIENTS = {
    "SmoothGrad": tfxai.SmoothGrad,
    "SquareGrad": tfxai.SquareGrad,
    "VarGrad": tfxai.VarGrad,
}


@once("name", name=BUILDERS, method=BY_GRADIENTS, step=5)
def test_rounds_of_gradients_are_the_mean_of_the_same_draws(name: str, method: str) -> None:
    model = kind(name)
    found, values = explained(BY_GRADIENTS[method](samples=90, tolerance=EASY), model)
    (draws,) = set(found.passes.reshape(-1).tolist())
    assert 20 < draws < 90 and found.converged.all()
    fits(found, model)
    if method == "VarGrad":  # the mean of pairs, not the variance of all: nearly the same
        assert all((one >= 0).all() for one in values if one is not None)
        return
    _, plain = explained(BY_GRADIENTS[method](samples=draws), model)
    for one, other in zip(values, plain, strict=True):
        same(one, other, model)


@every(9, name=BUILDERS)
def test_expected_gradients_are_sure_on_every_kind(name: str) -> None:
    model = kind(name)
    background = model.structured([np.zeros_like(x[:1]) for x in model.flat])
    found, _ = explained(tfxai.ExpectedGradients(background, samples=90, tolerance=EASY), model)
    assert (found.passes > 20).all() and found.converged.all()
    fits(found, model)


@every(6, 1, name=BUILDERS)
def test_coalitions_are_sure_on_every_kind(name: str) -> None:
    model = kind(name)
    rows = model.structured([np.zeros_like(x[:2]) for x in model.flat])
    own = {"score": model.asked.get("score") or "logit"}
    try:
        found, _ = explained(tfxai.KernelSHAP(samples=60, segments=6, tolerance="80%"), model, **own)
    except ValueError as error:
        if "training rows" not in str(error):
            raise
        found, _ = explained(
            tfxai.KernelSHAP(samples=60, background=rows, tolerance="80%"), model, score="logit"
        )
    fits(found, model)
    assert (found.passes > 0).all()
    spans = found.weights_interval
    there = np.isfinite(found.weights)
    assert (spans[there][:, 0] <= found.weights[there] + 1e-5).all()
    assert (spans[there][:, 1] >= found.weights[there] - 1e-5).all()


def fits(found: Any, model: Kind) -> None:
    """Every part of the uncertainty has the shape of what it is about, and values lie in their intervals."""
    assert found.passes.shape == found.converged.shape == found.targets.shape
    parts = zip(flat(found.values), flat(found.standard_error), flat(found.interval), strict=True)
    for values, errors, ends in parts:
        if values is None:
            assert errors is None and ends is None
            continue
        assert errors.shape == values.shape and ends.shape == (*values.shape, 2)
        slack = 1e-5 * np.abs(values).max() + 1e-12
        assert (errors >= 0).all()
        assert (ends[..., 0] <= values + slack).all() and (values <= ends[..., 1] + slack).all()


@pytest.mark.parametrize("method", [tfxai.RISE, tfxai.LIME, tfxai.KernelSHAP, tfxai.SmoothGrad])
def test_settings_are_checked(method: type) -> None:
    for wrong in (0, -1, "1", "0 %", "five", float("inf")):
        with pytest.raises(ValueError, match="tolerance is"):
            method(tolerance=wrong)
    with pytest.raises(ValueError, match=r"confidence is 1\.0"):
        method(confidence=1.0)


def test_the_length_of_a_tokens_gradient_is_within_the_tolerance() -> None:
    """Not only each of its sixteen numbers."""
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Embedding(9, 16),
        keras.layers.Flatten(),
        keras.layers.Dense(8, "tanh"),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential([keras.Input((4,), dtype="int32"), *layers])
    found = tfxai.SmoothGrad(samples=20_000, noise=2.0, tolerance="5%")(
        model, np.array([[1, 2, 3, 4]]), score="output"
    )
    assert found.converged.all() and 20 < found.passes[0] < 20_000
    assert np.ptp(found.interval, axis=-1).max() / 2 <= 0.05 * found.values.max() * 1.001


@pytest.mark.parametrize("method", [tfxai.SmoothGrad(samples=200, tolerance="5%"), tfxai.ExpectedGradients(np.ones((3, 4)), samples=200, tolerance="5%")])  # fmt: skip
def test_a_row_that_is_no_number_stops_and_the_others_go_on(method: Any) -> None:
    rows = np.array([[10.0, 2, 3, 4], [-10, 2, 3, 4]], np.float32)
    with pytest.warns(UserWarning, match="not a number") as told:
        found = method(lambda x: tf.reduce_sum(x**3, 1) * tf.sqrt(x[:, 0]) / tf.sqrt(x[:, 0]), rows)
    assert not any("nan" in str(each.message) for each in told)
    assert not found.converged[1] and np.isfinite(found.values[0]).all() and found.passes[0] > found.passes[1]


@pytest.mark.parametrize("method", [tfxai.RISE(samples=2, tolerance=0.1), tfxai.LIME(samples=5, segmenter="grid", segments=9, tolerance=0.1), tfxai.ExpectedGradients(np.ones((1, 6, 6, 1)), samples=2, tolerance=0.1)])  # fmt: skip
def test_from_one_draw_or_fewer_than_unknowns_nothing_is_known(method: Any) -> None:
    """Their spread would be 0, which proves nothing."""

    def score(images: Any) -> Any:
        return tf.reduce_sum(images[:, 2:4, 2:4, 0], (1, 2)) ** 2

    with pytest.warns(UserWarning, match="are not within the tolerance: in row 0 values may be off by inf"):
        found = method(score, np.ones((1, 6, 6, 1), np.float32))
    assert not found.converged.any() and np.isinf(found.interval).all()
