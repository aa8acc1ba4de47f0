import itertools
import math
from collections.abc import Callable

import keras
import numpy as np
import pytest

import tfxai
from tfxai.methods.kernel_shap import drawn, shapley


def game(players: int, seed: int) -> tuple[Callable, np.ndarray]:
    """A random game and its Shapley values by definition."""
    table = np.random.default_rng(seed).normal(size=2**players)
    powers = 2 ** np.arange(players)

    def model(rows: np.ndarray) -> np.ndarray:
        return table[(np.asarray(rows) > 0.5).astype(int) @ powers]

    values = np.zeros(players)
    for coalition in range(2**players):
        size = coalition.bit_count()
        for player in range(players):
            if not coalition >> player & 1:
                chance = math.factorial(size) * math.factorial(players - size - 1) / math.factorial(players)
                values[player] += chance * (table[coalition | 1 << player] - table[coalition])
    return model, values


@pytest.mark.parametrize("players", [8, 9, 10, 11, 12])
def test_with_the_full_budget_it_is_the_brute_force_value(players: int) -> None:
    model, wanted = game(players, players)
    found = tfxai.KernelSHAP(samples=2**players, background=0.0)(model, np.ones((1, players)))
    np.testing.assert_allclose(found.weights[0], wanted, atol=1e-4)
    np.testing.assert_allclose(found.weights[0].sum(), model(np.ones((1, players))) - model(np.zeros((1, players))), atol=1e-4)  # fmt: skip


def independent(players: int, samples: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coalitions as the first KernelSHAP drew them: each by itself, from the kernel, with repeats."""
    sizes = np.arange(1, players)
    chance = 1 / (sizes * (players - sizes))
    rows = np.zeros((samples, players), bool)
    rows[1] = True
    for row in rows[2:]:
        row[generator.permutation(players)[: generator.choice(sizes, p=chance / chance.sum())]] = True
    return rows, np.ones(samples - 2)


@pytest.mark.parametrize("players", [8, 10, 12])
def test_a_quarter_of_the_budget_errs_less_than_independent_sampling(players: int) -> None:
    """By the mean squared error over games and seeds, with a margin."""
    ours, theirs = [], []
    for seed in range(12):
        model, wanted = game(players, seed)
        for rows, weights in (drawn(players, 2**players // 4, seed), independent(players, 2**players // 4, np.random.default_rng(seed))):  # fmt: skip
            errors = ours if len(ours) == len(theirs) else theirs
            errors.append(((shapley(rows, weights, model(rows)[:, None])[:, 0] - wanted) ** 2).mean())
    assert np.mean(ours) < 0.8 * np.mean(theirs)


@pytest.mark.parametrize(("players", "samples"), [(5, 14), (6, 30), (10, 100), (30, 500), (64, 50), (2, 2), (2, 4), (3, 7)])  # fmt: skip
def test_coalitions_come_in_pairs_without_repeats_within_the_budget(players: int, samples: int) -> None:
    rows, weights = drawn(players, samples, seed=0)
    assert len(rows) == len(weights) + 2 <= samples
    assert not rows[0].any() and rows[1].all()
    seen = {row.tobytes() for row in rows}
    assert len(seen) == len(rows)
    assert all((~row).tobytes() in seen for row in rows)
    if 2**players <= samples:
        assert len(rows) == 2**players


def test_sizes_share_the_kernel() -> None:
    rows, weights = drawn(9, 100, seed=0)
    for size in range(1, 9):
        np.testing.assert_allclose(weights[rows[2:].sum(1) == size].sum(), 8 / (size * (9 - size)))


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
