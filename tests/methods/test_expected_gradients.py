"""Expected gradients: the closed form on a linear model, and errors that are what they say."""

import numpy as np
import tensorflow as tf

import tfxai

RNG = np.random.default_rng(0)
W = RNG.normal(size=5).astype(np.float32)
X = RNG.normal(size=(3, 5)).astype(np.float32)
BACKGROUND = RNG.normal(size=(20, 5)).astype(np.float32)


def linear(x: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matvec(x, W)


def test_a_linear_model_gives_w_times_the_distance_to_the_mean_of_the_draws() -> None:
    result = tfxai.ExpectedGradients(BACKGROUND, samples=50, seed=3)(linear, X)
    # Every row sees the same draws, so values differ by w (x - x') exactly.
    np.testing.assert_allclose(result.values[0] - result.values[1], W * (X[0] - X[1]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(result.delta, 0, atol=1e-4)
    mean = W * (X - BACKGROUND.mean(0))
    assert (np.abs(result.values - mean) <= 5 * result.standard_error).all()


def test_the_standard_error_is_the_spread_over_seeds() -> None:
    runs = [tfxai.ExpectedGradients(BACKGROUND, samples=30, seed=s)(linear, X[:1]) for s in range(60)]
    spread = np.std([run.values for run in runs], axis=0)
    stated = np.mean([run.standard_error for run in runs], axis=0)
    np.testing.assert_allclose(stated, spread, rtol=0.35)


def test_one_background_example_is_integrated_gradients() -> None:
    def square(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x**2, 1)

    result = tfxai.ExpectedGradients(BACKGROUND[:1], samples=2000)(square, X)
    wanted = X**2 - BACKGROUND[0] ** 2 - 0
    exact = (X - BACKGROUND[0]) * (X + BACKGROUND[0])
    np.testing.assert_allclose(exact, wanted, rtol=1e-3, atol=1e-5)
    assert (np.abs(result.values - exact) <= 5 * result.standard_error + 1e-4).all()
