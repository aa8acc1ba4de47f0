"""Integrated gradients: closed forms, baselines, rules and refinement."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai import baselines

W = np.random.default_rng(0).normal(size=(6,)).astype(np.float32)
X = np.random.default_rng(1).normal(size=(3, 6)).astype(np.float32)


def linear(x: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(x, W)


def cubic(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(x**3, axis=1)


def kinked(x: tf.Tensor) -> tf.Tensor:
    """A steep kink at 0.313 of the way, which no fixed rule meets."""
    return tf.nn.relu(tf.reduce_sum(x, axis=1) - 0.313 * 6) * 5


@pytest.mark.parametrize("rule", ["gauss_legendre", "midpoint", "trapezoid"])
def test_a_linear_model_gives_w_times_x_minus_baseline(rule: str) -> None:
    result = tfxai.IntegratedGradients(steps=2, rule=rule, baseline=0.5)(linear, X)
    np.testing.assert_allclose(result.values, W * (X - 0.5), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.delta, 0, atol=1e-5)


def test_two_gauss_legendre_points_integrate_a_cubic_exactly() -> None:
    result = tfxai.IntegratedGradients(steps=2)(cubic, X)
    np.testing.assert_allclose(result.values, X**3, rtol=1e-4, atol=1e-5)
    wrong = tfxai.IntegratedGradients(steps=2, rule="midpoint")(cubic, X)
    np.testing.assert_allclose(wrong.values, 3 * X**3 * (0.25**2 + 0.75**2) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(wrong.delta, wrong.values.sum(1) - (X**3).sum(1), rtol=1e-3, atol=1e-4)


def test_the_trapezoid_rule_counts_its_ends_half() -> None:
    result = tfxai.IntegratedGradients(steps=3, rule="trapezoid")(cubic, X)
    np.testing.assert_allclose(result.values, 3 * X**3 * (0 + 2 * 0.25 + 1) / 4, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unit", ["%", ""])
@pytest.mark.parametrize("tolerance", [0.05, 0.01, 0.001])
def test_the_tolerance_is_kept_where_fixed_points_miss(tolerance: float, unit: str) -> None:
    ones = np.ones((2, 6), np.float32) * [[1.0], [1.3]]
    fixed = tfxai.IntegratedGradients(steps=50)(kinked, ones)
    asked = f"{100 * tolerance}%" if unit else tolerance
    refined = tfxai.IntegratedGradients(steps=50, tolerance=asked)(kinked, ones)
    change = np.abs(refined.scores - 0)
    assert (np.abs(refined.delta) <= (tolerance * change if unit else tolerance)).all()
    assert (
        np.abs(fixed.delta).max() > 0.001 * change.max()
    )  # the model is rough enough for this test to mean something
    np.testing.assert_allclose(refined.values.sum(1), refined.scores, rtol=tolerance, atol=tolerance)
    # All features are alike here, so each has a sixth.
    np.testing.assert_allclose(refined.values, refined.values.mean(1, keepdims=True) * np.ones(6), rtol=1e-4)


def test_several_baselines_are_averaged() -> None:
    low, high = np.full(6, -1.0), baselines.mean()
    both = tfxai.IntegratedGradients(baseline=baselines.several(low, high))(cubic, X)
    one, other = (tfxai.IntegratedGradients(baseline=b)(cubic, X) for b in (low, high))
    np.testing.assert_allclose(both.values, (one.values + other.values) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(both.delta, (one.delta + other.delta) / 2, atol=1e-6)


def test_a_baseline_of_token_ids_is_looked_up_and_a_number_is_meant_at_the_embedding() -> None:
    keras.utils.set_random_seed(0)
    embed, dense = keras.layers.Embedding(10, 3), keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((4,)), embed, keras.layers.Flatten(), dense])
    ids = np.array([[1, 2, 3, 4]])
    table, weights = np.asarray(embed.embeddings), np.asarray(dense.kernel).reshape(4, 3, 2)
    for baseline, point in (
        (0.0, np.zeros((4, 3))),
        (0.5, np.full((4, 3), 0.5)),
        (np.array([7, 7, 7, 7]), table[[7, 7, 7, 7]]),
        (lambda ids: np.zeros_like(ids), table[[0, 0, 0, 0]]),
    ):
        result = tfxai.IntegratedGradients(steps=3, baseline=baseline)(model, ids, targets=1)
        wanted = ((table[ids[0]] - point) * weights[..., 1]).sum(-1)
        np.testing.assert_allclose(result.values[0], wanted, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(result.delta, 0, atol=1e-5)


def test_a_dict_of_inputs_takes_a_dict_of_baselines() -> None:
    def model(inputs: dict) -> tf.Tensor:
        return linear(inputs["a"]) + cubic(inputs["b"])

    result = tfxai.IntegratedGradients(baseline={"a": 1.0, "b": -X})(model, {"a": X, "b": X})
    np.testing.assert_allclose(result.values["a"], W * (X - 1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(result.values["b"], 2 * X**3, rtol=1e-4, atol=1e-5)
