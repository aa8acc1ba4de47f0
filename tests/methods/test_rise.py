import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai


def corner(images: tf.Tensor) -> tf.Tensor:
    """Reads nothing but one pixel."""
    return images[:, 2, 3, 0]


CELLS, KEEP, SIDE, STEP = 4, 0.4, 14, 4  # 14 / 4, rounded up
IMAGE = np.ones((1, SIDE, SIDE, 1), np.float32)


def corners_map() -> np.ndarray:
    """E[m m'] / E[m] of the paper's masks, summed over all shifts and independent bits."""

    def enlarging(shift: int) -> np.ndarray:
        """(side, cells): how much each bit counts at each pixel."""
        length = (CELLS + 1) * STEP
        where = (np.arange(length) + 0.5) * CELLS / length - 0.5
        each = [np.interp(where, np.arange(CELLS), bit) for bit in np.eye(CELLS)]
        return np.stack(each, 1)[shift : shift + SIDE]

    # A pixel is a sum of independent bits, so E[m m'] = keep^2 + keep (1 - keep) sum(a a').
    shared = np.mean([np.outer(enlarging(i) @ enlarging(i)[2], enlarging(j) @ enlarging(j)[3]).reshape(SIDE, SIDE)
                      for i in range(STEP) for j in range(STEP)], axis=0)  # fmt: skip
    return KEEP + (1 - KEEP) * shared


def test_it_is_unbiased_on_a_model_that_reads_one_corner() -> None:
    wanted = corners_map()
    runs = [tfxai.RISE(4000, CELLS, KEEP, seed=seed)(corner, IMAGE) for seed in range(10)]
    maps = [run.values[0, ..., 0] for run in runs]
    mean, error = np.mean(maps, 0), np.std(maps, 0, ddof=1) / np.sqrt(10)
    assert (np.abs(mean - wanted) <= 5 * error + 1e-3).all()
    assert error.max() < 0.01 < wanted.max() - wanted.min() - 0.2
    assert runs[0].passes[0] == 4000 and runs[0].converged is None


def test_the_standard_error_is_the_spread_over_seeds() -> None:
    runs = [tfxai.RISE(500, CELLS, KEEP, seed=seed)(corner, IMAGE) for seed in range(60)]
    spread = np.std([run.values for run in runs], axis=0, ddof=1)
    np.testing.assert_allclose(np.mean([run.standard_error for run in runs], axis=0), spread, rtol=0.4)


@pytest.mark.parametrize("tolerance", [0.05, "12%"])
def test_intervals_hold_for_all_places_together_when_drawing_stops(tolerance: float | str) -> None:
    """Against the closed form, for 24 seeds: at most 5 misses of a confidence of 0.95 (a chance of 1 in 1000)."""
    wanted, misses = corners_map(), 0
    for seed in range(24):
        found = tfxai.RISE(40_000, CELLS, KEEP, seed=seed, tolerance=tolerance)(corner, IMAGE)
        low, high = np.moveaxis(found.interval[0, ..., 0, :], -1, 0)
        assert found.converged.all() and 200 < found.passes[0] < 40_000
        most = tolerance if isinstance(tolerance, float) else 0.12 * np.abs(found.values - KEEP).max() * 1.1
        assert (high - low).max() / 2 <= most * 1.001
        misses += bool((wanted < low).any() or (wanted > high).any())
    assert misses <= 5


def test_the_sum_is_that_of_score_times_mask() -> None:
    """A model that returns its mask's mean: the map's mean follows from the scores alone."""
    image = np.ones((1, 8, 8, 1), np.float32)
    seen = []

    def mean(images: np.ndarray) -> np.ndarray:
        values = np.asarray(images).mean((1, 2, 3))  # NumPy: this callable sees real masks
        seen.append(values)
        return values

    found = tfxai.RISE(samples=500, cells=4, keep=0.3)(mean, image)
    scores = np.concatenate(seen)[-500:]
    wanted = scores.mean() + ((scores - scores.mean()) * scores).sum() / (500 * 0.3)
    np.testing.assert_allclose(found.values.mean(), wanted, rtol=1e-5)
    np.testing.assert_allclose(scores.mean(), 0.3, atol=0.02)


def test_a_score_that_never_moves_gives_a_flat_map() -> None:
    found = tfxai.RISE(samples=30)(lambda images: 5 + 0 * images[:, 0, 0, 0], np.ones((1, 8, 8, 1)))
    np.testing.assert_allclose(found.values, 5, rtol=1e-6)


def test_every_mask_has_a_shift_of_its_own() -> None:
    masks = []

    def spy(images: np.ndarray) -> np.ndarray:
        masks.append(np.asarray(images)[..., 0])
        return np.zeros(len(images))

    tfxai.RISE(samples=200, cells=2, keep=0.5)(spy, np.ones((1, 12, 12, 1)))
    all_masks = np.concatenate(masks)[-200:]
    # Where a line stops being flat tells the shift.
    kinks = {tuple(np.flatnonzero(np.abs(np.diff(np.diff(m[0]))) > 1e-4)) for m in all_masks}
    assert len(kinks) > 6


def test_the_seed_decides_and_the_batch_does_not() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((9, 9, 2)), keras.layers.Flatten(), keras.layers.Dense(3, "softmax")]
    )
    x = np.random.default_rng(0).random((1, 9, 9, 2))
    one = tfxai.RISE(samples=50, seed=1)(model, x)
    np.testing.assert_array_equal(one.values, tfxai.RISE(samples=50, seed=1)(model, x).values)
    np.testing.assert_allclose(
        one.values, tfxai.RISE(samples=50, seed=1)(model, x, batch_size=7).values, atol=1e-6
    )
    assert np.abs(one.values - tfxai.RISE(samples=50, seed=2)(model, x).values).max() > 1e-3


def test_all_classes_come_from_the_same_passes() -> None:
    calls = []

    def model(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return np.asarray(images).reshape(len(images), -1)[:, :4]

    image = np.arange(48.0).reshape(1, 4, 4, 3)
    found = tfxai.RISE(samples=64)(model, image, targets=tfxai.top(4))
    np.testing.assert_array_equal(found.targets, [[3, 2, 1, 0]])
    assert sum(calls) <= 64 + 2  # and one to find the classes, one to try the callable
    single = tfxai.RISE(samples=64)(model, image, targets=1)
    np.testing.assert_allclose(found.values[0, 2], single.values[0], rtol=1e-6)


@pytest.mark.parametrize("settings", [{"keep": 1.0}, {"keep": 0}, {"cells": 1}, {"samples": 0}])
def test_settings_are_checked(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"RISE|keep"):
        tfxai.RISE(**settings)
