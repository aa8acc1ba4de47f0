"""What parts count together: against all coalitions, on functions whose interactions are known."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from exact_games import HARD, USUAL, interactions, members, network, shapley_values

import tfxai


def game(players: int, seed: int, kind: Any = network) -> tuple[Any, np.ndarray]:
    """A model of rows of zeros and ones, and what its coalitions are worth."""
    table = kind(players, np.random.default_rng(seed))
    return lambda rows: table[(np.asarray(rows) > 0.5).astype(int) @ 2 ** np.arange(players)], table


@pytest.mark.parametrize("index", ["k-SII", "STII", "FSII"])
def test_with_the_full_budget_they_are_those_of_the_definition(index: Any) -> None:
    model, table = game(9, 0)
    found = tfxai.ShapleyInteractions(index=index, samples=512, background=0.0)(model, np.ones((1, 9)))
    wanted = interactions(table, index)
    np.testing.assert_allclose(found.interactions[0], wanted, atol=1e-5)
    np.testing.assert_array_equal(found.interactions, np.swapaxes(found.interactions, -1, -2))
    np.testing.assert_allclose(found.weights[0], shapley_values(table), atol=1e-5)
    np.testing.assert_allclose(np.triu(found.interactions[0]).sum(), table[-1] - table[0], atol=1e-5)
    assert not found.interactions_error.any() and found.passes[0] == 512
    assert (np.ptp(found.interactions_interval, axis=-1) == 0).all()


def test_a_product_of_two_columns_is_their_interaction() -> None:
    """x0 x1 against b0 b1: a product of what each moved is theirs together; of k-SII half of it is taken off each."""
    x, b = np.array([[2.0, 3.0, 5.0]]), np.array([[1.0, -1.0, 4.0]])
    found = tfxai.ShapleyInteractions(background=b)(lambda r: r[:, 0] * r[:, 1] + 7 * r[:, 2], x)
    together = (2 - 1) * (3 + 1)
    alone = [(2 - 1) * -1.0, 1.0 * (3 + 1), 7.0 * (5 - 4)]
    np.testing.assert_allclose(found.interactions[0], np.diag(alone) + together * (1 - np.eye(3)) * np.outer([1, 1, 0], [1, 1, 0]), atol=1e-5)  # fmt: skip


def test_words_that_say_the_same_take_from_each_other_and_texts_may_differ_in_length() -> None:
    def score(texts: Any) -> np.ndarray:
        return np.array(
            [1.0 * ("good" in t or "fine" in t) - 2.0 * ("not" in t and "good" in t) for t in texts]
        )

    found = tfxai.ShapleyInteractions()(score, ["good fine not", "fine"])
    wanted = np.array([[1.0, -1, -2], [-1, 1, 0], [-2, 0, 0]])
    np.testing.assert_allclose(found.interactions[0], wanted, atol=1e-6)
    assert found.interactions[1, 0, 0] == 1 and np.isnan(found.interactions[1].reshape(-1)[1:]).all()
    assert found.interactions_interval.shape == (2, 3, 3, 2) and found.tokens[1] == ["fine"]


def test_segments_and_classes() -> None:
    """The score is a product of the means of two quarters, for the other class their sum."""
    keras.utils.set_random_seed(0)
    cut = np.repeat(np.repeat(np.arange(4).reshape(2, 2), 4, 0), 4, 1)
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 3)).astype(np.float32)

    def model(x: Any) -> np.ndarray:
        first, last = np.asarray(x)[:, :4, :4].mean((1, 2, 3)), np.asarray(x)[:, 4:, 4:].mean((1, 2, 3))
        return np.stack([first * last, first + last], 1)

    method = tfxai.ShapleyInteractions(segmenter=cut, background=0.0)
    found = method(model, images, np.array([[0, 1], [1, 0]]))
    assert found.interactions.shape == (2, 2, 4, 4)
    for row, (product, total) in enumerate(((0, 1), (1, 0))):
        both = model(images[row : row + 1])[0, 0]
        assert found.interactions[row, product, 0, 3] == pytest.approx(both, rel=1e-4)
        np.testing.assert_allclose(np.triu(found.interactions[row, total], 1), 0, atol=1e-6)
    one = method(model, images[1:], [0])
    np.testing.assert_allclose(one.interactions[0], found.interactions[1, 1], atol=1e-6)


@pytest.mark.parametrize("index", ["k-SII", "STII", "FSII"])
def test_intervals_hold_for_all_numbers_together_when_drawing_stops(index: Any) -> None:
    """24 games, of all kinds: at most 5 misses of a confidence of 0.95 (a chance of 1 in 500), and all is within the tolerance."""
    misses = 0
    for name, seed in itertools.product([*USUAL, *HARD], range(3)):
        model, table = game(8, seed, {**USUAL, **HARD}[name])
        found = tfxai.ShapleyInteractions(index=index, background=0.0, samples=256, tolerance="20%", seed=seed)(model, np.ones((1, 8)))  # fmt: skip
        assert found.converged.all()
        wanted = interactions(table, index)
        low, high = np.moveaxis(found.interactions_interval[0], -1, 0)
        slack = 1e-4 * np.abs(wanted).max()
        misses += bool((wanted < low - slack).any() or (wanted > high + slack).any())
        reach = np.maximum(high - found.interactions[0], found.interactions[0] - low).max()
        assert reach <= 0.2 * np.abs(found.interactions[0]).max() * 1.001
    assert misses <= 5


def test_first_order_is_kernel_shap() -> None:
    model, _ = game(9, 1)
    settings: dict[str, Any] = {"samples": 120, "background": 0.0, "seed": 3}
    found = tfxai.ShapleyInteractions(order=1, **settings)(model, np.ones((1, 9)))
    wanted = tfxai.KernelSHAP(**settings)(model, np.ones((1, 9)))
    np.testing.assert_array_equal(found.values, wanted.values)
    np.testing.assert_array_equal(found.interval, wanted.interval)
    np.testing.assert_array_equal(found.interactions[0], np.diag(wanted.weights[0]))
    second = tfxai.ShapleyInteractions(**settings)(model, np.ones((1, 9)))  # from the same passes
    np.testing.assert_array_equal(second.values, wanted.values)
    assert second.passes == wanted.passes


def test_the_empty_beginning_of_stii_needs_each_part_alone() -> None:
    model, table = game(9, 0)
    with pytest.raises(ValueError, match=r"STII.*9 parts alone.*20 samples or more; there are 18"):
        tfxai.ShapleyInteractions(index="STII", samples=18, background=0.0)(model, np.ones((1, 9)))
    found = tfxai.ShapleyInteractions(index="STII", samples=20, background=0.0)(model, np.ones((1, 9)))
    alone = table[2 ** np.arange(9)] - table[0]
    np.testing.assert_allclose(np.diag(found.interactions[0]), alone, atol=1e-5)
    assert not np.diag(found.interactions_error[0]).any()
    with pytest.raises(ValueError, match="order is 3"):
        tfxai.ShapleyInteractions(order=3)
    with pytest.raises(ValueError, match="index is 'SII'"):
        tfxai.ShapleyInteractions(index="SII")  # pyright: ignore[reportArgumentType]


def test_they_are_kept_in_files_and_rows_can_be_taken(tmp_path: Any) -> None:
    rows = members(4).astype(float)[[7, 11, 15]]
    method = tfxai.ShapleyInteractions(background=np.zeros((2, 4)))
    found = method(lambda r: r[:, 0] * r[:, 1] + r[:, 2], rows)
    again = tfxai.Explanation.load(found.save(tmp_path / "found.npz"))
    for name in ("interactions", "interactions_error", "interactions_interval", "weights"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert type(again) is type(found)
    np.testing.assert_array_equal(again[[2, 0]].interactions, found.interactions[[2, 0]])
    assert tfxai.verify(again, lambda r: r[:, 0] * r[:, 1] + r[:, 2]).status == 0


def test_of_two_samples_nothing_is_known_and_no_number_is_missing() -> None:
    found = tfxai.ShapleyInteractions(background=np.zeros((1, 6)), samples=2)(lambda r: r.sum(1) ** 2, np.ones((1, 6)))  # fmt: skip
    assert np.isfinite(found.interactions).all()
    assert np.isinf(found.interactions_interval).all() and np.isinf(found.interval).all()


def test_more_parts_than_a_number_can_count_coalitions_of() -> None:
    columns = 1100
    with pytest.warns(UserWarning, match="too few to tell 1100 parts apart"):
        found = tfxai.KernelSHAP(background=np.zeros((1, columns)), samples=60)(lambda r: r.sum(1), np.ones((1, columns)))  # fmt: skip
    np.testing.assert_allclose(found.values, 1, rtol=1e-4)
