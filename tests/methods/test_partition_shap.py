import keras
import numpy as np
import pytest
from covering import once
from scipy.ndimage import uniform_filter

import tfxai
from tfxai.engines.inpainting import inpainted

L = keras.layers


def linear(*shape: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(3)])


def test_a_linear_model_has_w_times_x() -> None:
    model, x = linear(4, 4, 2), np.random.default_rng(0).random((2, 4, 4, 2)).astype(np.float32)
    found = tfxai.PartitionSHAP(evals=1000, masker=0.3)(model, x, targets=1)
    wanted = (x - 0.3) * model.layers[-1].kernel.numpy()[:, 1].reshape(4, 4, 2)
    np.testing.assert_allclose(found.values[..., 0], wanted.sum(-1), atol=1e-3)


MASKERS = {
    "text": "blur(5,4)",
    "inpaint": "inpaint",
    "mean": "mean",
    "number": 0.2,
    "function": tfxai.baselines.blur(2.0),
}


@once("masker", masker=MASKERS, evals=("2", "3", "50", "101"))
def test_values_add_up_within_the_budget(masker: str, evals: str) -> None:
    x = np.random.default_rng(0).random((1, 12, 10, 3))
    passes = []

    def model(images: np.ndarray) -> np.ndarray:
        images = np.asarray(images)
        passes.append(images)
        return np.stack([(images**2).mean((1, 2, 3)), np.abs(images[:, 3:6, 2:5]).max((1, 2, 3))], 1)

    found = tfxai.PartitionSHAP(evals=int(evals), masker=MASKERS[masker])(model, x, targets=[[0, 1]])
    seen = np.concatenate(passes)[2:]  # one to try the callable, one to score the input
    assert len(seen) <= int(evals)
    empty, full = model(seen[:2])
    np.testing.assert_allclose(seen[1], x[0], atol=1e-6)
    np.testing.assert_allclose(found.values[0].sum((1, 2, 3)), full - empty, atol=1e-3)
    np.testing.assert_allclose(found.delta, 0, atol=1e-3)


def test_it_goes_where_the_score_moves() -> None:
    x = np.ones((1, 16, 16, 1), np.float32)
    found = tfxai.PartitionSHAP(evals=640, masker=0.0)(lambda images: images[:, 10, 9, 0], x)
    wanted = np.zeros((1, 16, 16, 1))
    wanted[0, 10, 9, 0] = (
        1  # eight levels, with 1 + 2 + 4 ... + 128 contexts; going level by level takes 43 times as much
    )
    np.testing.assert_allclose(found.values, wanted, atol=1e-5)


def test_blur_is_a_box_of_so_many_pixels() -> None:
    x = np.random.default_rng(0).random((1, 12, 10, 3)).astype(np.float32)
    seen = []

    def model(images: np.ndarray) -> np.ndarray:
        seen.append(np.asarray(images))
        return np.zeros(len(images))

    tfxai.PartitionSHAP(evals=2, masker="blur(5, 3)")(model, x)
    empty = np.concatenate(seen)[-2]
    padded = np.pad(x[0], [(2, 2), (1, 1), (0, 0)], mode="reflect")
    slow = np.array([[padded[i : i + 5, j : j + 3].mean((0, 1)) for j in range(10)] for i in range(12)])
    np.testing.assert_allclose(empty, slow, atol=1e-5)
    np.testing.assert_allclose(empty, uniform_filter(x[0], (5, 3, 1), mode="mirror"), atol=1e-6)


def test_inpainting_keeps_what_is_visible_and_continues_it() -> None:
    ramp = np.tile(np.linspace(0, 1, 32, dtype=np.float32)[None, :, None], (32, 1, 3))[None]
    mask = np.ones((2, 32, 32), np.float32)
    mask[0, 10:20, 10:20] = 0
    mask[1] = 0
    mean = np.broadcast_to(ramp.mean((1, 2), keepdims=True), ramp.shape)
    filled = inpainted(ramp, mean, mask).numpy()
    np.testing.assert_array_equal(filled[0][mask[0] > 0], ramp[0][mask[0] > 0])
    assert np.abs(filled[0] - ramp[0]).max() < 0.12  # a mean colour would be off by 0.2
    np.testing.assert_allclose(filled[1], mean[0], atol=1e-6)


def test_correlated_columns_go_together() -> None:
    """Two copies of one column share what they have in common before a third column takes part."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 50))
    background = np.stack([a, b, a + 0.01 * generator.normal(size=50)], 1)
    seen = []

    def model(rows: np.ndarray) -> np.ndarray:
        seen.append(np.asarray(rows))
        return np.asarray(rows).prod(1)

    tfxai.PartitionSHAP(masker=background, evals=4)(model, np.full((1, 3), 5.0))
    halves = {tuple(row == 5.0) for row in np.concatenate(seen)[-4 * 50 :]}
    assert halves == {(False,) * 3, (True,) * 3, (True, False, True), (False, True, False)}


def test_columns_without_background_are_refused() -> None:
    with pytest.raises(ValueError, match="training rows"):
        tfxai.PartitionSHAP()(linear(5), np.ones((1, 5)))


def test_texts_are_halved() -> None:
    worth = {"very": 0.0, "good": 2.0, "film": 1.0, "but": -1.0, "long": -3.0}
    found = tfxai.PartitionSHAP()(lambda texts: np.array([sum(worth[w] for w in t.split()) for t in texts]), ["very good film but long"])  # fmt: skip
    np.testing.assert_allclose(found.values, [[0, 2, 1, -1, -3]], atol=1e-5)
    assert found.tokens == [list(worth)]


def test_series_are_halved_along_time() -> None:
    found = tfxai.PartitionSHAP(masker=0.0, evals=100)(lambda x: x[:, 3, 0] * 2.0, np.ones((1, 16, 2)))
    assert found.values.shape == (1, 16, 1)
    np.testing.assert_allclose(found.values[0, :, 0], 2.0 * (np.arange(16) == 3), atol=1e-5)


@pytest.mark.parametrize("settings", [{"evals": 1}, {"masker": "blurr(3,3)"}, {"masker": "blur(0,3)"}])
def test_settings_are_checked(settings: dict) -> None:
    with pytest.raises(ValueError, match=r"evals is 1|blur"):
        tfxai.PartitionSHAP(**settings)
