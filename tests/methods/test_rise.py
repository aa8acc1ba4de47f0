from typing import Any

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


def corners_map(row: int = 2, column: int = 3) -> np.ndarray:
    """E[m m'] / E[m] of the paper's masks, summed over all shifts and independent bits."""

    def enlarging(shift: int) -> np.ndarray:
        """(side, cells): how much each bit counts at each pixel."""
        length = (CELLS + 1) * STEP
        where = (np.arange(length) + 0.5) * CELLS / length - 0.5
        each = [np.interp(where, np.arange(CELLS), bit) for bit in np.eye(CELLS)]
        return np.stack(each, 1)[shift : shift + SIDE]

    # A pixel is a sum of independent bits, so E[m m'] = keep^2 + keep (1 - keep) sum(a a').
    shared = np.mean([np.outer(enlarging(i) @ enlarging(i)[row], enlarging(j) @ enlarging(j)[column]).reshape(SIDE, SIDE)
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


def linear(images: tf.Tensor) -> tf.Tensor:
    """Reads two places, one against the other."""
    return 3 * images[:, 2, 3, 0] - images[:, 9, 8, 0]


def test_what_is_linear_in_the_mask_is_known_from_few_masks() -> None:
    """Against the mean over 20000 masks, without pairs and regression, within its own error."""
    wanted = np.zeros((SIDE, SIDE))
    for weight, corner_of in ((3, (2, 3)), (-1, (9, 8))):
        wanted += weight * corners_map(*corner_of)
    errors = {}
    for samples in (200, 1000):
        found = tfxai.RISE(samples, CELLS, KEEP)(linear, IMAGE)
        errors[samples] = np.abs(found.values[0, ..., 0] - wanted).max()
    plain = np.abs(plainly(linear, 1000) - wanted).max()
    assert errors[200] < plain / 2 and errors[1000] < plain / 4


def plainly(score: Any, samples: int) -> np.ndarray:
    """The paper's mean, less what chance makes of the mean score; masks as the method's own model sees them."""
    masks = []

    def spy(images: np.ndarray) -> np.ndarray:
        masks.append(np.asarray(images))
        return np.zeros(len(images))

    for seed in range(samples // 100):
        tfxai.RISE(199, CELLS, KEEP, seed=100 + seed)(spy, IMAGE)
    each = np.concatenate([batch for batch in masks if len(batch) > 1])[::2][:samples]  # one of each pair
    scores = score(tf.constant(each)).numpy()
    return scores.mean() + ((scores - scores.mean())[:, None, None] * each[..., 0]).mean(0) / KEEP


def test_half_the_masks_are_enough() -> None:
    """On a network whose score is far from linear, against a very long run, over 8 seeds."""
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential([keras.Input((SIDE, SIDE, 1)), *layers])
    model.layers[-1].kernel.assign(4 * model.layers[-1].kernel)
    score = lambda x: model(x)[:, 1]  # noqa: E731
    truth = tfxai.RISE(40_000, CELLS, KEEP)(score, IMAGE, batch_size=500).values[0, ..., 0]
    truth -= truth.mean()

    def off(values: np.ndarray) -> float:
        return float(np.square(values - values.mean() - truth).mean())

    ours = np.mean(
        [off(tfxai.RISE(400, CELLS, KEEP, seed=s)(score, IMAGE).values[0, ..., 0]) for s in range(8)]
    )
    plain = np.mean([off(plainly(score, 800)) for _ in range(1)])
    assert ours < plain


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


def test_masks_that_all_show_the_same() -> None:
    """So few cells are kept that no mask shows any, and there is nothing to learn from."""
    found = tfxai.RISE(samples=20, cells=7, keep=1e-6)(corner, IMAGE)
    np.testing.assert_allclose(found.values, 0, atol=1e-6)
