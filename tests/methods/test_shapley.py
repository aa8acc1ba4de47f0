import itertools
from collections.abc import Callable

import keras
import numpy as np
import pytest
from exact_games import HARD, USUAL, network, noise, pairwise, shapley_values

import tfxai


def game(players: int, seed: int, kind: Callable = noise) -> tuple[Callable, np.ndarray]:
    """A model of rows of zeros and ones, and its Shapley values by definition."""
    table = kind(players, np.random.default_rng(seed))

    def model(rows: np.ndarray) -> np.ndarray:
        return table[(np.asarray(rows) > 0.5).astype(int) @ 2 ** np.arange(players)]

    return model, shapley_values(table)


@pytest.mark.parametrize("players", [8, 9, 10, 11, 12])
def test_with_the_full_budget_it_is_the_brute_force_value(players: int) -> None:
    model, wanted = game(players, players)
    found = tfxai.KernelSHAP(samples=2**players, background=0.0)(model, np.ones((1, players)))
    np.testing.assert_allclose(found.weights[0], wanted, atol=1e-4)
    np.testing.assert_allclose(found.weights[0].sum(), model(np.ones((1, players))) - model(np.zeros((1, players))), atol=1e-4)  # fmt: skip


# How sure it is


@pytest.mark.parametrize("tolerance", [0.2, "10%"])
def test_draws_end_when_every_value_is_within_the_tolerance(tolerance: float | str) -> None:
    model, truth = game(10, 0, network)
    found = tfxai.KernelSHAP(samples=1024, background=0.0, tolerance=tolerance)(model, np.ones((1, 10)))
    wanted = tolerance if isinstance(tolerance, float) else 0.1 * np.abs(found.weights).max()
    assert found.converged.all() and found.passes[0] < 1024
    assert np.abs(found.weights[0] - truth).max() <= wanted
    low, high = np.moveaxis(found.interval[0], -1, 0)
    assert (low <= truth).all() and (truth <= high).all()
    assert np.maximum(high - found.values[0], found.values[0] - low).max() <= wanted * 1.0001
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)
    closer = tfxai.KernelSHAP(samples=1024, background=0.0, tolerance=0.01)(model, np.ones((1, 10)))
    assert closer.passes[0] > found.passes[0]


def test_the_ceiling_is_kept_and_said() -> None:
    model, _ = game(12, 0)
    with pytest.warns(UserWarning, match=r"1 of 1 maps are not within the tolerance: in row 0 values may be off by [\d.]+"):  # fmt: skip
        found = tfxai.KernelSHAP(samples=100, background=0.0, tolerance=1e-3)(model, np.ones((1, 12)))
    assert found.passes[0] == 100 and not found.converged.any()


def test_passes_are_those_that_the_model_sees() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 9))
    seen: list[int] = []

    def model(batch: np.ndarray) -> np.ndarray:
        seen.append(len(batch))
        return np.tanh(np.asarray(batch) @ np.arange(9)) + np.asarray(batch)[:, 0] ** 2

    for tolerance in (None, 0.5):
        seen.clear()
        found = tfxai.KernelSHAP(samples=200, background=rows, tolerance=tolerance)(model, np.ones((2, 9)))
        as_they_are = 2 + (tolerance is None)  # and one row, once, to see what comes out
        assert sum(seen) == found.passes.sum() + as_they_are and (found.passes % 7 == 0).all()


def test_a_map_has_its_own_tolerance_among_several_targets() -> None:
    (one, first), (other, second) = game(9, 0, network), game(9, 1, pairwise)
    found = tfxai.KernelSHAP(samples=512, background=0.0, tolerance="5%")(
        lambda rows: np.stack([one(rows), other(rows)], 1), np.ones((2, 9)), [[0, 1], [1, 0]]
    )
    assert found.converged.shape == found.passes.shape == (2, 2)
    assert found.standard_error.shape == found.values.shape and found.interval.shape == (2, 2, 9, 2)
    for target, truth in enumerate((first, second)):
        assert np.abs(found.values[found.targets == target] - truth).max() < 0.05 * np.abs(truth).max()


def test_intervals_hold_for_all_parts_together_when_drawing_stops() -> None:
    """48 games, of all kinds: at most 8 misses of a confidence of 0.95 (a chance of 1 in 1000), and none is far off."""
    misses = 0
    for name, seed in itertools.product([*USUAL, *HARD], range(6)):
        players = 8 + seed % 3
        model, truth = game(players, seed, {**USUAL, **HARD}[name])
        found = tfxai.KernelSHAP(samples=2**players, background=0.0, tolerance="8%", seed=seed)(model, np.ones((1, players)))  # fmt: skip
        low, high = np.moveaxis(found.interval[0], -1, 0)
        slack = 1e-4 * np.abs(truth).max()  # scores are float32
        misses += bool((truth < low - slack).any() or (truth > high + slack).any())
    assert misses <= 8


def test_a_linear_model_has_w_times_x() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((10, 10, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    x = np.random.default_rng(0).random((2, 10, 10, 3)).astype(np.float32)
    found = tfxai.KernelSHAP(segments=20, samples=200, background=0.5)(model, x, targets=[[0, 1], [1, 0]])
    effects = (x - 0.5)[:, None] * model.layers[-1].kernel.numpy().T.reshape(1, 2, 10, 10, 3)
    for i, k in itertools.product(range(2), range(2)):
        maps = effects[i, found.targets[i, k]].sum(-1)
        wanted = [maps[found.segments[i] == s].sum() for s in range(found.segments[i].max() + 1)]
        np.testing.assert_allclose(found.weights[i, k, : len(wanted)], wanted, atol=1e-3)


def test_the_score_is_averaged_over_the_background() -> None:
    """A product of two columns: each gets x_i E[b_j] mixed with x_i x_j, half and half."""
    background = np.random.default_rng(0).normal(size=(20, 2))
    found = tfxai.KernelSHAP(background=background)(
        lambda rows: rows[:, 0] * rows[:, 1], np.array([[2.0, 3.0]])
    )
    b1, b2, both = (
        background[:, 0].mean(),
        background[:, 1].mean(),
        (background[:, 0] * background[:, 1]).mean(),
    )
    first = (2 * b2 - both + 6 - 3 * b1) / 2
    second = (3 * b1 - both + 6 - 2 * b2) / 2
    np.testing.assert_allclose(found.weights[0], [first, second], rtol=1e-5)
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_a_large_background_is_thinned_by_seed() -> None:
    rows = np.random.default_rng(0).normal(size=(1000, 3))
    calls: list[int] = []

    def model(batch: np.ndarray) -> np.ndarray:
        calls.append(len(batch))
        return np.asarray(batch).sum(1)

    tfxai.KernelSHAP(background=rows)(model, np.ones((1, 3)))
    assert sum(calls) == 8 * 100 + 2


def test_columns_that_come_one_by_one_are_the_parts() -> None:
    inputs = {"age": np.array([[50.0], [20.0]]), "place": np.array([["sea"], ["hill"]])}
    background = {"age": np.array([[30.0], [10.0]]), "place": np.array([["hill"], ["hill"]])}

    def model(columns: dict) -> np.ndarray:
        return np.asarray(columns["age"])[:, 0] + np.array([7.0 * (p == "sea") for (p,) in columns["place"]])

    found = tfxai.KernelSHAP(background=background)(model, inputs)
    np.testing.assert_allclose(found.values["age"], [[30.0], [0.0]], atol=1e-4)
    np.testing.assert_allclose(found.values["place"], [[7.0], [0.0]], atol=1e-4)


def test_strange_input_is_refused_with_a_hint() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)])
    x = np.ones((1, 8, 8, 3))
    with pytest.raises(ValueError, match="samples is 1"):
        tfxai.KernelSHAP(samples=1)
    for wrong in (0, -0.1, "1", "0%", "-1%", "%", float("nan"), True):
        with pytest.raises(ValueError, match=r'tolerance is .* such as "1%"'):
            tfxai.KernelSHAP(tolerance=wrong)
    with pytest.raises(ValueError, match="confidence is 1"):
        tfxai.KernelSHAP(confidence=1)
    with pytest.raises(ValueError, match="one segment only"):
        tfxai.KernelSHAP(segmenter=np.zeros((8, 8), int))(model, x)
    with pytest.raises(ValueError, match=r"label map has shape \(4, 8\), the input \(8, 8\)"):
        tfxai.KernelSHAP(segmenter=np.zeros((4, 8), int))(model, x)
    with pytest.raises(ValueError, match="slic, felzenszwalb, quickshift, watershed, grid"):
        tfxai.KernelSHAP(segmenter="slick")
    with pytest.raises(ValueError, match="training rows"):
        tfxai.KernelSHAP()(lambda rows: rows[:, 0], np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"background has shape \(5, 2\)"):
        tfxai.KernelSHAP(background=np.ones((5, 2)))(lambda rows: rows[:, 0], np.ones((1, 3)))
    with pytest.raises(ValueError, match="one part only"):
        tfxai.KernelSHAP(background=0.0)(lambda rows: rows[:, 0], np.ones((1, 1)))


def test_too_few_samples_are_said() -> None:
    with pytest.warns(UserWarning, match="3 samples are too few to tell 5 parts apart"):
        tfxai.KernelSHAP(samples=3, background=0.0)(lambda rows: np.asarray(rows)[:, 0], np.ones((1, 5)))


def test_columns_of_the_background_are_checked() -> None:
    inputs = {"age": np.array([[50.0]]), "place": np.array([["sea"]])}
    with pytest.raises(
        ValueError, match=r"background has the columns \['age'\], the inputs are \['age', 'place'\]"
    ):
        tfxai.KernelSHAP(background={"age": np.ones((3, 1))})(lambda columns: np.zeros(1), inputs)
