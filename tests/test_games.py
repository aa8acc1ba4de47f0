"""Coalitions of players, and each one's share: against definitions, listed over all coalitions."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
from exact_games import HARD, USUAL, of_order, shapley_values
from exact_games import interactions as exact_interactions

from tfxai.games import (
    Estimate,
    Pairs,
    Sample,
    Surrogate,
    alone,
    estimated,
    interactions,
    shapley,
    together,
)


def found(table: np.ndarray, pairs: int, seed: int = 0) -> Estimate:
    players = int(math.log2(len(table)))
    rows = Pairs(players, seed).upto(pairs)
    numbers, whole = rows @ 2 ** np.arange(players), 2**players - 1
    rows, numbers = np.concatenate([np.ones((1, players), bool), rows]), np.append(whole, numbers)
    sample = Sample.of(rows, table[numbers][:, None], table[whole - numbers][:, None], [Surrogate(rows)])
    return estimated(shapley(players), sample)


# Pairs


@pytest.mark.parametrize("players", [1, 2, 3, 5, 6, 10, 30])
def test_no_coalition_comes_twice_and_none_with_its_complement(players: int) -> None:
    pairs = Pairs(players, 0)
    rows = pairs.upto(min(pairs.every, 400))
    assert len(rows) == min(2 ** (players - 1) - 1, 400)
    assert (rows.sum(1) * 2 <= players).all()
    assert len({row.tobytes() for row in [*rows, *~rows]}) == 2 * len(rows)


@pytest.mark.parametrize("players", [6, 9, 20])
def test_draws_go_on_where_they_stopped(players: int) -> None:
    pairs, drawn = Pairs(players, 0), 0
    rows: list[np.ndarray] = []
    for wanted in (1, 3, 10, 17, 31, 32):
        rows += [*pairs.upto(wanted)]
        drawn = min(wanted, pairs.every)
        assert len(rows) == drawn == sum(pairs.taken.values())
    assert len({row.tobytes() for row in rows}) == drawn


def test_sizes_that_can_be_taken_whole_are_and_the_rest_is_even() -> None:
    pairs = Pairs(12, 0)
    pairs.upto(100)
    assert pairs.taken == {1: 12, 2: 18, 3: 18, 4: 18, 5: 17, 6: 17}
    pairs.upto(200)
    assert pairs.taken == {1: 12, 2: 66, 3: 31, 4: 31, 5: 30, 6: 30}


def test_every_coalition_of_a_size_is_as_likely_as_another() -> None:
    """Also of halves, where the first player stands for the pair; counted over 3000 seeds, within 5 deviations."""
    counts = np.zeros(2**6)
    for seed in range(3000):
        pairs = Pairs(6, seed)
        counts[pairs.upto(12) @ 2 ** np.arange(6)] += 1
    for size in (2, 3):
        of_size = [sum(2**i for i in some) for some in itertools.combinations(range(6), size) if size < 3 or 0 in some]  # fmt: skip
        assert 0 < pairs.taken[size] < pairs.there[size] == len(of_size)
        chance = pairs.taken[size] / len(of_size)
        assert np.abs(counts[of_size] - 3000 * chance).max() < 5 * np.sqrt(3000 * chance * (1 - chance))


# The surrogate


def by_features(rows: np.ndarray, game: np.ndarray, weights: dict[int, float], rest: float) -> tuple:
    """The same Bayesian regression on products of signs, written out; its function, and its Shapley values."""
    players = rows.shape[1]
    effects = [some for order in weights for some in itertools.combinations(range(players), order)]
    variances = np.array([weights[len(some)] / math.comb(players, len(some)) for some in effects])

    def features(rows: np.ndarray) -> np.ndarray:
        signs = np.where(rows, 1.0, -1.0)
        return np.stack([signs[:, some].prod(1) for some in effects], axis=1)

    x = features(rows)
    coefficients = variances[:, None] * x.T @ np.linalg.solve(x * variances @ x.T + rest * np.eye(len(x)), game[:, None])  # fmt: skip
    shares = np.array([[(i in some) / len(some) for some in effects] for i in range(players)])
    return lambda rows: features(rows) @ coefficients[:, 0], shares @ coefficients[:, 0]


@pytest.mark.parametrize("players", [3, 5, 7])
def test_it_is_the_regression_on_all_odd_effects(players: int) -> None:
    generator = np.random.default_rng(players)
    rows = np.concatenate([np.ones((1, players), bool), Pairs(players, 0).upto(min(20, 2 ** (players - 1) - 1))])  # fmt: skip
    game = generator.normal(size=len(rows))
    surrogate = Surrogate(rows)
    settings = surrogate._chosen(game)
    fit = surrogate.fit(game[:, None])
    weights = dict(zip((1, 3, 5), (1.0, settings[0], settings[0] * settings[1]), strict=True))
    weights = {order: weight for order, weight in weights.items() if order <= players}
    rest = settings[2] * sum(weights.values())
    function, shares = by_features(rows, game, weights, rest)
    np.testing.assert_allclose(fit.left[:, 0], game - function(rows), atol=1e-8)
    np.testing.assert_allclose(fit.read(shapley(players))[:, 0], shares, atol=1e-8)
    for row in range(len(rows)):  # what it would say without one row
        function, _ = by_features(np.delete(rows, row, 0), np.delete(game, row), weights, rest)
        np.testing.assert_allclose(fit.unseen[row, 0], game[row] - function(rows[[row]])[0], atol=1e-7)


def test_more_pairs_than_it_learns_from_are_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for 40: of these it is the smaller surrogate, and of the others what that says."""
    monkeypatch.setattr("tfxai.games.surrogate.FITTED", 40)
    rows = np.concatenate([np.ones((1, 9), bool), Pairs(9, 0).upto(120)])
    game = np.random.default_rng(0).normal(size=(121, 1))
    whole = Surrogate(rows)
    learned = whole._learned
    assert len(learned) == 40 and learned[0] == 0
    part = Surrogate(rows[learned])
    np.testing.assert_allclose(part.fit(game[learned]).read(shapley(9)), whole.fit(game).read(shapley(9)), atol=1e-10)  # fmt: skip
    np.testing.assert_allclose(part.fit(game[learned]).unseen, whole.fit(game).unseen[learned], atol=1e-10)
    others = np.setdiff1d(np.arange(121), learned)
    np.testing.assert_array_equal(whole.fit(game).left[others], whole.fit(game).unseen[others])


# Shapley values


@pytest.mark.parametrize("name", [*USUAL, *HARD])
@pytest.mark.parametrize("players", [2, 3, 6, 9])
def test_with_all_coalitions_they_are_those_of_the_definition(name: str, players: int) -> None:
    if players < 6 and name in ("rules", "rare"):
        return  # they need more
    table = {**USUAL, **HARD}[name](players, np.random.default_rng(players))
    every = found(table, 2 ** (players - 1) - 1)
    for values in (every.values, every.corrected):
        np.testing.assert_allclose(values[:, 0], shapley_values(table), atol=1e-9)
    assert every.freedom is None and not every.error.any()


@pytest.mark.parametrize("players", [8, 11])
def test_small_coalitions_alone_are_exact_for_effects_of_up_to_three(players: int) -> None:
    """Of two players: as antithetic permutations are, after 2 n + 1 passes. Of three: once sizes 1 and 2 are whole."""
    whole = (
        players + 2 * math.comb(players, 2) + players // 2
    )  # as many for the other sizes as for both of these
    for order, pairs, near in ((2, players, 3e-4), (3, whole, 1e-2)):
        table = of_order(players, order, np.random.default_rng(0))
        truth = shapley_values(table)
        assert np.abs(found(table, pairs).values[:, 0] - truth).max() < near * np.abs(truth).max()


@pytest.mark.parametrize("pairs", [0, 1, 4, 20, 100])
def test_they_add_up_whatever_was_drawn(pairs: int) -> None:
    table = USUAL["network"](8, np.random.default_rng(0))
    for values in (found(table, pairs).values, found(table, pairs).corrected):
        np.testing.assert_allclose(values.sum(), table[-1] - table[0], atol=1e-9)


@pytest.mark.parametrize("name", ["network", "noise", "unanimity"])
def test_corrected_values_are_right_on_average_and_their_error_is_stated(name: str) -> None:
    """Over 400 draws: the mean within 4.5 standard errors of the mean; the spread at most as stated, and not half of it."""
    table = {**USUAL, **HARD}[name](8, np.random.default_rng(1))
    draws = [found(table, 60, seed) for seed in range(400)]
    values = np.stack([draw.corrected[:, 0] for draw in draws])
    spread = values.std(0, ddof=1)
    assert (np.abs(values.mean(0) - shapley_values(table)) < 4.5 * spread / 20).all()
    stated = np.sqrt(np.mean([draw.error[:, 0] ** 2 for draw in draws], axis=0))
    assert (spread < 1.1 * stated).all() and (spread > stated / 3).all()


def test_values_err_less_than_corrected_ones_and_much_less_than_a_plain_regression() -> None:
    errors: dict[str, list[float]] = {"values": [], "corrected": [], "regression": []}
    for name, seed in itertools.product(USUAL, range(5)):
        table = USUAL[name](10, np.random.default_rng(seed))
        truth, pairs = shapley_values(table), Pairs(10, seed).upto(100)
        of = found(table, 100, seed)
        signs, numbers = np.where(pairs, 0.5, -0.5), pairs @ 2 ** np.arange(10)
        even = (table[-1] - table[0]) / 10
        sizes = pairs.sum(1)
        kernel = np.sqrt(9 / (sizes * (10 - sizes)) / np.bincount(sizes)[sizes])
        rest = (table[numbers] - table[1023 - numbers]) / 2 - signs.sum(1) * even
        centred = signs - signs.mean(1, keepdims=True)
        plain = even + np.linalg.lstsq(kernel[:, None] * centred, kernel * rest, rcond=None)[0]
        for key, values in (("values", of.values[:, 0]), ("corrected", of.corrected[:, 0]), ("regression", plain)):  # fmt: skip
            errors[key].append(float(np.linalg.norm(values - truth) / np.linalg.norm(truth)))
    assert np.median(errors["values"]) < np.median(errors["corrected"])
    assert np.median(errors["values"]) < 0.7 * np.median(errors["regression"])


# Interactions


def terms(table: np.ndarray, index: Any, pairs: int, seed: int = 0) -> tuple[Estimate, Estimate]:
    players, whole = int(math.log2(len(table))), len(table) - 1
    rows = Pairs(players, seed, singles=index == "STII").upto(pairs)
    rows = np.concatenate([np.ones((1, players), bool), rows])
    numbers, both = rows @ 2 ** np.arange(players), [Surrogate(rows), Surrogate(rows, even=True)]
    return interactions(
        index, Sample.of(rows, table[numbers][:, None], table[whole - numbers][:, None], both)
    )


def matrix(found: tuple[Estimate, Estimate], which: str = "values") -> np.ndarray:
    return getattr(found[1], which)[..., 0]


INDICES = ("k-SII", "STII", "FSII")


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("name", [*USUAL, *HARD])
@pytest.mark.parametrize("players", [2, 3, 6, 9])
def test_with_all_coalitions_interactions_are_those_of_the_definition(index: str, name: str, players: int) -> None:  # fmt: skip
    if players < 6 and name in ("rules", "rare"):
        return  # they need more
    table = {**USUAL, **HARD}[name](players, np.random.default_rng(players))
    found = terms(table, index, 2 ** (players - 1) - 1)
    for which in ("values", "corrected"):
        np.testing.assert_allclose(matrix(found, which), exact_interactions(table, index), atol=1e-9)
    np.testing.assert_allclose(found[0].values[:, 0], shapley_values(table), atol=1e-9)
    assert not found[1].error.any() and found[1].freedom is None


@pytest.mark.parametrize("players", [1, 2, 5, 64, 800])
def test_counts_of_any_number_of_players_add_up(players: int) -> None:
    """The product of two players' signs is worth 4 to the two; a game of one player is worth 2 to it, and no more to two."""
    assert shapley(players).effect(1) == pytest.approx(2)
    for index in INDICES if players > 1 else ():
        two = together(players, index)
        assert two.effect(1) == 0 and two.effect(2) == pytest.approx(4)
        assert np.isfinite(two.table).all() and np.isfinite(alone(players, index).table).all()


@pytest.mark.parametrize("index", INDICES)
def test_effects_of_two_are_found_from_few_pairs(index: str) -> None:
    """Of a game of second order all indices are its own numbers, once there are coalitions of one and of two players."""
    table = of_order(10, 2, np.random.default_rng(0))
    wanted = exact_interactions(table, "k-SII")
    np.testing.assert_allclose(exact_interactions(table, index), wanted, atol=1e-9)
    found = matrix(terms(table, index, 2 * (10 + 45)))
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("pairs", [10, 11, 40, 100])
def test_all_terms_add_up_whatever_was_drawn(index: str, pairs: int) -> None:
    table = USUAL["network"](8, np.random.default_rng(0))
    found = terms(table, index, pairs)
    for which in ("values", "corrected"):
        np.testing.assert_allclose(np.triu(matrix(found, which)).sum(), table[-1] - table[0], atol=1e-9)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("name", ["network", "noise"])
def test_corrected_interactions_are_right_on_average_and_their_error_is_stated(index: str, name: str) -> None:
    """As for Shapley values: over 300 draws, within 5 standard errors of the mean, and the spread as stated."""
    table = {**USUAL, **HARD}[name](8, np.random.default_rng(1))
    draws, wanted = [terms(table, index, 60, seed) for seed in range(300)], exact_interactions(table, index)
    values = np.stack([matrix(draw, "corrected") for draw in draws])
    spread = values.std(0, ddof=1)
    assert (np.abs(values.mean(0) - wanted) < 5 * spread / np.sqrt(300) + 1e-9).all()
    stated = np.sqrt(np.mean([matrix(draw, "error") ** 2 for draw in draws], axis=0))
    assert (spread < 1.15 * stated + 1e-9).all() and (spread > stated / 3 - 1e-9).all()


def test_interactions_err_less_than_corrected_ones() -> None:
    errors: dict[str, list[float]] = {"values": [], "corrected": []}
    for name, index, seed in itertools.product(USUAL, INDICES, range(3)):
        table = USUAL[name](10, np.random.default_rng(seed))
        wanted, found = exact_interactions(table, index), terms(table, index, 40, seed)
        for which, of in errors.items():
            of.append(float(np.linalg.norm(matrix(found, which) - wanted) / np.linalg.norm(wanted)))
    assert np.median(errors["values"]) < 0.9 * np.median(errors["corrected"])


def test_nothing_seen_is_nothing_known() -> None:
    table = USUAL["network"](6, np.random.default_rng(0))
    assert np.isinf(found(table, 0).error).all() and found(table, 0).freedom == 1
    assert (found(table, 1).error > found(table, 20).error.max()).all()
