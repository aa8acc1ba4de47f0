"""SmoothGrad, VarGrad and SquareGrad on models whose noisy gradients are known."""

import numpy as np
import pytest
import tensorflow as tf

import tfxai

X = np.linspace(-1, 3, 12, dtype=np.float32).reshape(1, 12)


def quadratic(x: tf.Tensor) -> tf.Tensor:
    """Gradient x: at a noisy copy it is x + noise, so the methods report the noise itself."""
    return tf.reduce_sum(x**2, axis=1, keepdims=True) / 2


def cubic(x: tf.Tensor) -> tf.Tensor:
    """Gradient 3 x²: under noise of deviation s its mean is 3 (x² + s²), and that of its square 9 (x⁴ + 6 x² s² + 3 s⁴)."""
    return tf.reduce_sum(x**3, axis=1, keepdims=True)


def noise(samples: int, level: float, seed: int = 0) -> np.ndarray:
    """(samples, 12): what was added, read off a model whose gradient shows it."""
    runs = [
        tfxai.SmoothGrad(samples=n, noise=level, seed=seed)(quadratic, X).values - X
        for n in range(1, samples + 1)
    ]
    sums = np.concatenate([run * n for n, run in enumerate(runs, start=1)])
    return np.diff(np.concatenate([np.zeros((1, 12)), sums]), axis=0)


def test_noise_has_the_spread_of_a_fraction_of_the_range() -> None:
    draws = noise(samples=60, level=0.15)
    assert abs(draws.std() - 0.15 * 4) < 0.06  # the range of X is 4; 720 draws
    assert abs(draws.mean()) < 4 * 0.6 / 720**0.5
    assert len(np.unique(draws.round(5))) > 700  # no draw is used twice


def test_the_mean_square_is_that_of_the_same_draws() -> None:
    draws = noise(samples=20, level=0.2)
    square = tfxai.SquareGrad(samples=20, noise=0.2)(quadratic, X).values[0]
    np.testing.assert_allclose(square, ((X + draws) ** 2).mean(axis=0), rtol=1e-3)


def test_the_variance_is_that_of_the_noise() -> None:
    """Twelve variances of 4000 normal numbers, each with a relative deviation of sqrt(2 / 4000); none is mirrored."""
    variance = tfxai.VarGrad(samples=4000, noise=0.2)(quadratic, X).values[0]
    np.testing.assert_allclose(variance, (0.2 * 4) ** 2, rtol=4.5 * (2 / 4000) ** 0.5)
    assert (tfxai.VarGrad(samples=2, noise=0.2)(quadratic, X).values > 0).all()


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_every_other_copy_mirrors_the_one_before(batch_size: int) -> None:
    draws = noise(samples=6, level=0.2)
    np.testing.assert_allclose(draws[::2], -draws[1::2], atol=1e-4)
    rows = np.concatenate([X, X + 1, 2 * X])
    values = tfxai.SmoothGrad(samples=8, noise=0.2)(quadratic, rows, batch_size=batch_size).values
    np.testing.assert_allclose(values, rows, atol=1e-5)  # what is linear in the noise falls out
    known = tfxai.SmoothGrad(samples=8, noise=0.2, tolerance=1e9)(quadratic, rows, batch_size=batch_size)
    np.testing.assert_allclose(known.standard_error, 0, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
@pytest.mark.parametrize("kind", [tfxai.SmoothGrad, tfxai.SquareGrad, tfxai.VarGrad])
def test_the_error_is_that_of_pairs_however_they_are_cut(kind: type, batch_size: int) -> None:
    rows, method = np.concatenate([X, X + 1, 2 * X]), kind(samples=50, noise=0.1, tolerance=1e9)
    one, same = method(cubic, rows), method(cubic, rows, batch_size=batch_size)
    np.testing.assert_allclose(same.values, one.values, rtol=1e-4)
    np.testing.assert_allclose(same.standard_error, one.standard_error, rtol=1e-3)
    alone = method(cubic, rows[1:2])
    np.testing.assert_allclose(alone.values[0], one.values[1], rtol=1e-4)


@pytest.mark.parametrize("kind", [tfxai.SmoothGrad, tfxai.SquareGrad, tfxai.VarGrad])
def test_of_one_draw_nothing_is_known(kind: type) -> None:
    with pytest.raises(ValueError, match=r"samples is 3, which tells no spread\. Give 4 or more"):
        kind(samples=3, tolerance=0.1)


def test_the_error_is_the_spread_over_seeds() -> None:
    """A deviation over 30 seeds has itself one of 13 %."""
    runs = [tfxai.SmoothGrad(samples=20, noise=0.1, seed=s, tolerance=1e9)(cubic, X) for s in range(30)]
    spread = np.std([run.values for run in runs], axis=0, ddof=1)
    stated = np.sqrt(np.mean([run.standard_error**2 for run in runs], axis=0))
    np.testing.assert_allclose(stated, spread, rtol=0.45)


def test_variance_is_stable_where_the_gradient_is_large() -> None:
    """E[g^2] - E[g]^2 in float32 would lose a variance of 1e-6 of the squared mean."""

    def steep(x: tf.Tensor) -> tf.Tensor:
        return 1000 * tf.reduce_sum(x, 1, keepdims=True) + quadratic(x)

    variance = tfxai.VarGrad(samples=50, noise=0.2)(steep, X).values
    wanted = tfxai.VarGrad(samples=50, noise=0.2)(quadratic, X).values
    np.testing.assert_allclose(variance, wanted, rtol=1e-2)


def test_batch_size_does_not_change_the_answer_and_the_seed_does() -> None:
    many = np.concatenate([X, X * 2, X + 1])
    one = tfxai.SmoothGrad(samples=7)(quadratic, many, batch_size=32).values
    for size in (1, 2, 5):
        np.testing.assert_allclose(
            tfxai.SmoothGrad(samples=7)(quadratic, many, batch_size=size).values, one, atol=1e-5
        )
    assert np.abs(tfxai.SmoothGrad(samples=7, seed=1)(quadratic, many).values - one).max() > 0.05


def test_every_input_gets_noise_of_its_own() -> None:
    def both(inputs: list) -> tf.Tensor:
        return quadratic(inputs[0]) + quadratic(inputs[1])

    values = tfxai.SmoothGrad(samples=3)(both, [X, X.copy()]).values
    assert np.abs((values[0] - X) - (values[1] - X)).max() > 0.05


# With a tolerance


@pytest.mark.parametrize(
    "method", [tfxai.SmoothGrad, pytest.param(tfxai.SquareGrad, marks=pytest.mark.slow), tfxai.VarGrad]
)
def test_intervals_hold_for_all_values_together_when_drawing_stops(method: type) -> None:
    """The closed form, for 24 seeds: at most 5 misses of a confidence of 0.95 (a chance of 1 in 1000)."""
    spread = 0.1 * 4
    mean, square = 3 * (X**2 + spread**2), 9 * (X**4 + 6 * X**2 * spread**2 + 3 * spread**4)
    wanted = {tfxai.SmoothGrad: mean, tfxai.SquareGrad: square, tfxai.VarGrad: square - mean**2}[method]
    misses, share = 0, 0.12 if method is tfxai.VarGrad else 0.05
    for seed in range(24):
        found = method(samples=20_000, noise=0.1, seed=seed, tolerance=f"{100 * share}%")(cubic, X)
        assert found.converged.all() and 20 < found.passes[0] < 20_000
        low, high = np.moveaxis(found.interval, -1, 0)
        half = (high - low) / 2
        assert half.max() <= share * np.abs(found.values).max() * 1.001
        misses += bool((wanted < low).any() or (wanted > high).any())
    assert misses <= 5


def test_a_row_draws_as_much_as_it_needs_whatever_its_neighbours() -> None:
    rows = np.concatenate([X, X / 100 + 5, X[:, ::-1]])
    method = tfxai.SmoothGrad(samples=5000, noise=0.1, tolerance="4%")
    together = method(cubic, rows)
    assert together.passes[1] < together.passes[0]
    for row in range(3):
        alone = method(cubic, rows[row : row + 1])
        assert alone.passes[0] == together.passes[row]
        np.testing.assert_allclose(alone.values[0], together.values[row], rtol=1e-4)
        np.testing.assert_allclose(alone.interval[0], together.interval[row], rtol=1e-4)


def test_rounds_are_the_mean_of_the_same_draws() -> None:
    found = tfxai.SmoothGrad(samples=300, noise=0.1, tolerance=1e9)(cubic, X)
    assert found.passes[0] < 300 and found.converged.all()
    plain = tfxai.SmoothGrad(samples=int(found.passes[0]), noise=0.1)(cubic, X)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5)
    with pytest.warns(UserWarning, match="1 of 1 maps are not within the tolerance"):
        found = tfxai.SmoothGrad(samples=300, noise=0.1, tolerance=1e-6)(cubic, X)
    plain = tfxai.SmoothGrad(samples=300, noise=0.1)(cubic, X)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5)
    assert found.passes[0] == 300 and not found.converged.any() and plain.interval is None
