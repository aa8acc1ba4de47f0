import keras
import numpy as np
import pytest

import tfxai


def model() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])


X = np.random.default_rng(0).random((2, 16, 16, 3))


def test_runs_are_compared_by_rank_correlation() -> None:
    method = tfxai.LIME(samples=60, segments=9, segmenter="grid")
    found = tfxai.stability(method, model(), X, targets=tfxai.top(2), seeds=3, segmenters=["slic"])
    assert list(found.explanations) == ["seed=0", "seed=1", "seed=2", "segmenter=slic"]
    assert found.agreement.shape == (2, 2, 4, 4) and found.mean.shape == (2, 2)
    one, other = (found.explanations[name].heatmap()[1, 0].ravel() for name in ("seed=0", "segmenter=slic"))
    ranks = [
        np.array([(v > values).sum() + (v == values).sum() / 2 for v in values]) for values in (one, other)
    ]
    np.testing.assert_allclose(found.agreement[1, 0, 0, 3], np.corrcoef(ranks)[0, 1], atol=1e-5)
    pairs = [found.agreement[0, 0, i, j] for i in range(4) for j in range(i)]
    np.testing.assert_allclose(found.mean[0, 0], np.mean(pairs), atol=1e-6)
    assert "seed=0" in repr(found) and "segmenter=slic" in repr(found)


def test_the_first_run_is_the_method_itself() -> None:
    method = tfxai.RISE(samples=50, seed=5)
    found = tfxai.stability(method, model(), X, seeds=2)
    np.testing.assert_array_equal(found.explanations["seed=5"].values, method(model(), X).values)


def test_words_beyond_a_text_are_left_out() -> None:
    def score(texts: list[str]) -> np.ndarray:
        return np.array([2.0 * t.count("good") - t.count("a") + len(t) ** 2 for t in texts])

    found = tfxai.stability(tfxai.LIME(samples=20), score, ["a good film indeed", "so good"], seeds=3)
    assert np.isfinite(found.mean).all()


def test_nothing_to_change_is_refused() -> None:
    with pytest.raises(ValueError, match="Gradient has no seed"):
        tfxai.stability(tfxai.Gradient(), model(), X)
    with pytest.raises(ValueError, match="RISE has no segmenter"):
        tfxai.stability(tfxai.RISE(), model(), X, segmenters=["slic"])
    with pytest.raises(ValueError, match="two or more"):
        tfxai.stability(tfxai.LIME(), model(), X, seeds=1)


def test_a_text_that_cannot_be_compared_does_not_spoil_the_mean() -> None:
    def score(texts: list[str]) -> np.ndarray:
        return np.array([float("good" in t) for t in texts])

    found = tfxai.stability(tfxai.KernelSHAP(), score, ["a good film", "so"], seeds=2)
    assert np.isnan(found.mean[1]) and found.mean[0] == 1
    assert "1.00" in repr(found)
    with pytest.raises(ValueError, match="different seeds"):
        tfxai.stability(tfxai.RISE(), model(), X, seeds=[1, 1])
