import keras
import numpy as np
import pytest

import tfxai

L = keras.layers


def linear(*shape: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(3)])


def contributions(model: keras.Model, x: np.ndarray, target: int) -> np.ndarray:
    return x * model.layers[-1].kernel.numpy()[:, target].reshape(x.shape[1:])


def test_occlusion_of_a_linear_model_is_w_times_x_under_the_window() -> None:
    model, x = linear(8, 8, 2), np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype(np.float32)
    found = tfxai.Occlusion(window=2, stride=2)(model, x, targets=1)
    blocks = contributions(model, x, 1).sum(-1).reshape(2, 4, 2, 4, 2).sum((2, 4))
    np.testing.assert_allclose(found.values[:, ::2, ::2, 0], blocks, atol=1e-5)
    np.testing.assert_array_equal(found.values[:, 1::2, 1::2], found.values[:, ::2, ::2])


def test_the_difference_to_the_baseline_counts() -> None:
    model, x = linear(8, 8, 2), np.random.default_rng(0).normal(size=(1, 8, 8, 2)).astype(np.float32)
    found = tfxai.Occlusion(window=1, stride=1, baseline=tfxai.baselines.mean())(model, x, targets=0)
    gone = x - x.mean((1, 2), keepdims=True)
    np.testing.assert_allclose(found.values[..., 0], contributions(model, gone, 0).sum(-1), atol=1e-5)


def test_the_last_window_lies_flush_with_the_edge_and_overlaps_are_averaged() -> None:
    model, x = linear(7, 1), np.arange(1.0, 8).reshape(1, 7, 1)
    model.layers[-1].set_weights([np.ones((7, 3)), np.zeros(3)])
    found = tfxai.Occlusion(window=3, stride=3)(model, x, targets=0)
    first, second, last = 1 + 2 + 3, 4 + 5 + 6, 5 + 6 + 7  # windows at 0, 3 and 4
    wanted = [first] * 3 + [second, (second + last) / 2, (second + last) / 2, last]
    np.testing.assert_allclose(found.values[0, :, 0], wanted, atol=1e-5)


def test_rows_are_hidden_column_by_column() -> None:
    model, x = linear(5), np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_allclose(
        tfxai.Occlusion()(model, x, targets=2).values, contributions(model, x, 2), atol=1e-5
    )


def test_token_ids_are_replaced_by_the_baseline_id() -> None:
    keras.utils.set_random_seed(0)
    embed, dense = L.Embedding(9, 4), L.Dense(2)
    model = keras.Sequential([keras.Input((6,)), embed, L.GlobalAveragePooling1D(), dense])
    ids = np.array([[1, 2, 3, 4, 5, 6]])
    found = tfxai.Occlusion(baseline=8)(model, ids, targets=1)
    table, kernel = embed.embeddings.numpy(), dense.kernel.numpy()[:, 1]
    np.testing.assert_allclose(found.values, (table[ids] - table[8]) @ kernel / 6, atol=1e-6)


def test_windows_may_differ_along_the_axes() -> None:
    model, x = linear(6, 4, 1), np.ones((1, 6, 4, 1), np.float32)
    found = tfxai.Occlusion(window=(3, 2), stride=(3, 2))(model, x, targets=0)
    blocks = contributions(model, x, 0)[..., 0].reshape(1, 2, 3, 2, 2).sum((2, 4))
    np.testing.assert_allclose(found.values[:, ::3, ::2, 0], blocks, atol=1e-5)


def test_a_score_of_ones_own_is_explained() -> None:
    model, x = linear(4), np.ones((1, 4), np.float32)
    found = tfxai.Occlusion()(model, x, score=tfxai.scores.regression(2))
    np.testing.assert_allclose(found.values, contributions(model, x, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"window": 9}, "no larger than the input"),
        ({"window": 2, "stride": 3}, "stride no larger than the window"),
        ({"window": (2, 2, 2)}, "2 of them"),
        ({"window": 0}, "1 or more"),
        ({"stride": 1.5}, "whole number"),
        ({"input": "photo"}, "input='photo': the inputs are 0"),
    ],
)
def test_what_does_not_fit_is_said(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tfxai.Occlusion(**settings)(linear(8, 8, 2), np.ones((1, 8, 8, 2)))
