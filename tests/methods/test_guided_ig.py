"""Guided IG against a slow transcription of the paper's algorithm, value by value and group by group."""

import numpy as np
import tensorflow as tf

import tfxai

RNG = np.random.default_rng(0)
A = RNG.normal(size=(12, 5)).astype(np.float32)
B = RNG.normal(size=5).astype(np.float32)
X = RNG.uniform(0.2, 1, size=(2, 12)).astype(np.float32)


def model(x: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(tf.tanh(tf.matmul(x, A)), B)


def gradient(x: np.ndarray) -> np.ndarray:
    h = np.tanh(x @ A)
    return A @ ((1 - h**2) * B)


def algorithm(x: np.ndarray, steps: int, fraction: float, distance: float) -> np.ndarray:
    """Algorithm 1: move the values with the smallest gradients, a group at a time, until the step's way is gone."""
    start = np.zeros_like(x)
    point, total = start.copy(), np.abs(x - start).sum()
    attribution = np.zeros_like(x)
    for step in range(steps):
        slope, share = gradient(point), (step + 1) / steps
        lowest = start + max(share - distance, 0) * (x - start)
        highest = start + min(share + distance, 1) * (x - start)
        before = point.copy()
        late = np.abs(x - point) > np.abs(x - lowest)
        point[late] = lowest[late]
        while True:
            needed = np.abs(x - point).sum() - (1 - share) * total
            free = [i for i in np.argsort(np.abs(slope), kind="stable") if abs(highest[i] - point[i]) > 0]
            if needed <= 1e-9 or not free:
                break
            group = free[: int(fraction * (len(x) - 1)) + 1]
            reach = np.abs(highest[group] - point[group]).sum()
            point[group] += min(needed / reach, 1) * (highest[group] - point[group])
        attribution += slope * (point - before)
    return attribution


def test_values_are_those_of_the_paper() -> None:
    for steps, fraction, distance in ((5, 0.1, 0.3), (10, 0.25, 0.05), (4, 0.5, 1.0), (7, 1.0, 0.1)):
        method = tfxai.GuidedIG(steps=steps, fraction=fraction, max_distance=distance)
        wanted = np.stack([algorithm(x.astype(np.float64), steps, fraction, distance) for x in X])
        np.testing.assert_allclose(method(model, X).values, wanted, rtol=1e-3, atol=1e-5)


def test_the_path_ends_at_the_input_so_delta_falls_with_steps() -> None:
    gaps = [np.abs(tfxai.GuidedIG(steps=n, max_distance=0.1)(model, X).delta).max() for n in (10, 100, 1000)]
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 2e-3


def test_values_that_are_equally_steep_move_together() -> None:
    # At the start no unit of the first layer is on: all slopes are zero, and only the input's order could tell values apart.
    def rectified(x: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matvec(tf.nn.relu(tf.matmul(x, A) - 0.3), tf.abs(B))

    method = tfxai.GuidedIG(steps=6, fraction=0.25, max_distance=0.3)
    order = np.random.default_rng(1).permutation(12)
    back = np.argsort(order)

    def shuffled(x: tf.Tensor) -> tf.Tensor:
        return rectified(tf.gather(x, back, axis=1))

    values = method(rectified, X).values
    assert np.abs(values).max() > 0.1
    np.testing.assert_allclose(method(shuffled, X[:, order]).values, values[:, order], rtol=1e-5, atol=1e-6)
