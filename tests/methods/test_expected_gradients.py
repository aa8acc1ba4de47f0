"""Expected gradients: the closed form on a linear model, and errors that are what they say."""

import keras
import numpy as np
import pytest
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


def spread_and_stated(samples: int, batch_size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Over 80 seeds."""
    runs = [tfxai.ExpectedGradients(BACKGROUND, samples=samples, seed=s)(mixed, X[:1], batch_size=batch_size) for s in range(80)]  # fmt: skip
    stated = np.sqrt(np.mean([run.standard_error**2 for run in runs], axis=0))
    return np.std([run.values for run in runs], axis=0, ddof=1), stated


@pytest.mark.parametrize(("samples", "batch_size"), [(54, 7), (66, 32), (80, 1)])
def test_the_standard_error_is_the_spread_over_seeds(samples: int, batch_size: int) -> None:
    """Of 27, 33 and 40 pairs of a background of 20: a whole round and parts of the next, in two stages.

    More where halves of the way differ much: that does not move the mean, and looks like chance.
    """
    spread, stated = spread_and_stated(samples, batch_size)
    assert (spread <= 1.2 * stated).all() and (stated <= 3 * spread).all()


def test_of_few_draws_the_standard_error_is_at_least_the_spread() -> None:
    """Draws without repeats err less than it says: what each example alone is spread by is not known."""
    spread, stated = spread_and_stated(30)
    assert (spread <= 1.2 * stated).all()


def test_each_example_of_the_background_comes_as_often_as_the_others() -> None:
    """So a linear model, for which the place on the way does not matter, is known without error after one round."""
    mean = W * (X - BACKGROUND.mean(0))
    once = tfxai.ExpectedGradients(BACKGROUND, samples=20)(linear, X)
    np.testing.assert_allclose(once.values, mean, atol=1e-4)
    pairs = tfxai.ExpectedGradients(BACKGROUND, samples=80)(linear, X)
    np.testing.assert_allclose(pairs.values, mean, atol=1e-4)
    np.testing.assert_allclose(pairs.standard_error, 0, atol=1e-4)
    assert (pairs.passes == 80).all()
    assert (tfxai.ExpectedGradients(BACKGROUND, samples=81)(linear, X).passes == 80).all()


def test_one_background_example_is_integrated_gradients() -> None:
    def square(x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(x**2, 1)

    result = tfxai.ExpectedGradients(BACKGROUND[:1], samples=2000)(square, X)
    wanted = X**2 - BACKGROUND[0] ** 2 - 0
    exact = (X - BACKGROUND[0]) * (X + BACKGROUND[0])
    np.testing.assert_allclose(exact, wanted, rtol=1e-3, atol=1e-5)
    assert (np.abs(result.values - exact) <= 5 * result.standard_error + 1e-4).all()


def mixed(x: tf.Tensor) -> tf.Tensor:
    """Gradients depend on the place on the way, and on the other values."""
    return tf.reduce_sum(tf.sin(2 * x), 1) + x[:, 0] * x[:, 1] * x[:, 2] + x[:, 3] * x[:, 4]


def cubic(x: tf.Tensor) -> tf.Tensor:
    """Each value adds its cube; so it contributes x³ - b³ on the way from b."""
    return tf.reduce_sum(x**3, 1)


def test_intervals_hold_for_all_values_together_when_drawing_stops() -> None:
    """The closed form, for 60 seeds: at most 9 misses of a confidence of 0.95 (a chance of 1 in 1000)."""
    wanted, misses = X[:1] ** 3 - (BACKGROUND**3).mean(0), 0
    for seed in range(60):
        found = tfxai.ExpectedGradients(BACKGROUND, samples=20_000, seed=seed, tolerance="20%")(cubic, X[:1])
        assert found.converged.all() and 20 < found.passes[0] < 20_000
        low, high = np.moveaxis(found.interval, -1, 0)
        assert (high - low).max() / 2 <= 0.2 * np.abs(found.values).max() * 1.001
        misses += bool((wanted < low).any() or (wanted > high).any())
    assert misses <= 9


def test_delta_knows_how_much_each_row_has_drawn() -> None:
    found = tfxai.ExpectedGradients(BACKGROUND, samples=20_000, tolerance=0.4)(linear, X * [[1], [3], [0.1]])
    np.testing.assert_allclose(found.delta, 0, atol=1e-3)


def test_the_error_of_a_token_is_that_of_its_sum() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,), dtype="int32"), keras.layers.Embedding(9, 8), keras.layers.Flatten(), keras.layers.Dense(6, "tanh"), keras.layers.Dense(1)])  # fmt: skip
    ids, background = np.array([[1, 2, 3, 4]]), np.random.default_rng(0).integers(0, 9, (12, 4))
    runs = [tfxai.ExpectedGradients(background, samples=40, seed=s)(model, ids, score="output") for s in range(40)]  # fmt: skip
    assert runs[0].standard_error.shape == runs[0].values.shape == (1, 4)
    spread = np.std([run.values for run in runs], axis=0)
    np.testing.assert_allclose(np.mean([run.standard_error for run in runs], axis=0), spread, rtol=0.35)
