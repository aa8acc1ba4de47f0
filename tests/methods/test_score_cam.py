import keras
import numpy as np
import pytest

import tfxai

L = keras.layers


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [L.Conv2D(6, 3, activation="relu", name="maps"), L.GlobalAveragePooling2D(), L.Dense(4)]
    model = keras.Sequential([keras.Input((10, 12, 3)), *layers])
    kernel, bias = model.get_layer("maps").get_weights()
    bias[2], kernel[..., 2] = 1.0, 0.0  # one constant map
    bias[4] = -100.0  # and one that is zero
    model.get_layer("maps").set_weights([kernel, bias])
    return model


def test_maps_are_weighed_as_they_are_and_constant_ones_only_stay_in_the_softmax() -> None:
    model, x = small(), np.random.default_rng(0).random((1, 10, 12, 3)).astype(np.float32)
    heat = tfxai.ScoreCAM()(model, x, targets=1).values[0, ..., 0]
    maps = keras.Model(model.inputs, model.get_layer("maps").output)(x).numpy()[0]

    def probability(image: np.ndarray) -> float:
        logits = model(image[None]).numpy()[0].astype(np.float64)
        return float(np.exp(logits[1]) / np.exp(logits).sum())

    rows = np.clip((np.arange(10) + 0.5) * 0.8 - 0.5, 0, 7)
    columns = np.clip((np.arange(12) + 0.5) * 10 / 12 - 0.5, 0, 9)
    gains, large = [], []
    for k in range(6):
        tall = np.stack([np.interp(rows, np.arange(8), maps[:, j, k]) for j in range(10)], 1)
        wide = np.stack([np.interp(columns, np.arange(10), line) for line in tall])
        varies = np.ptp(maps[..., k]) > 0
        large.append(wide * varies)
        mask = (wide - wide.min()) / (wide.max() - wide.min()) if varies else 0 * wide
        gains.append(probability(x[0] * mask[..., None]) - probability(0 * x[0]))
    weights = np.exp(gains) / np.exp(gains).sum()
    np.testing.assert_allclose(heat, np.maximum(np.tensordot(weights, large, 1), 0), atol=1e-5)
    assert gains[2] == gains[4] == 0


def test_a_softmax_is_taken_once() -> None:
    model, x = small(), np.random.default_rng(0).random((2, 10, 12, 3))
    soft = keras.Sequential([keras.Input((10, 12, 3)), *model.layers, L.Softmax()])
    np.testing.assert_allclose(
        tfxai.ScoreCAM(layer="maps")(model, x).values, tfxai.ScoreCAM(layer="maps")(soft, x).values, atol=1e-6
    )


def test_the_baseline_shines_through_where_the_map_is_dark() -> None:
    model, x = small(), np.random.default_rng(0).random((1, 10, 12, 3))
    black, same = (
        tfxai.ScoreCAM(baseline=b)(model, x, targets=0).values for b in (0.0, lambda images: images)
    )
    assert np.abs(black - same).max() > 1e-5
    # Against itself nothing is gained: all channels weigh the same.
    plain = tfxai.ScoreCAM(baseline=lambda images: images)(model, x, targets=3).values
    np.testing.assert_allclose(same, plain, atol=1e-6)


def test_only_the_strongest_channels() -> None:
    model, x = small(), np.random.default_rng(0).random((1, 10, 12, 3))
    every = tfxai.ScoreCAM(channels=6)(model, x).values
    np.testing.assert_allclose(every, tfxai.ScoreCAM()(model, x).values, atol=1e-6)
    assert np.abs(tfxai.ScoreCAM(channels=2)(model, x).values - every).max() > 1e-4
    with pytest.raises(ValueError, match="channels is 0"):
        tfxai.ScoreCAM(channels=0)


def test_ablation_of_a_linear_head_is_weight_times_mean() -> None:
    model, x = small(), np.random.default_rng(0).random((2, 10, 12, 3))
    layer = model.get_layer("maps")
    maps = keras.Model(model.inputs, layer.output)(x).numpy()
    weights = maps.mean((1, 2)) * model.layers[-1].kernel.numpy()[:, 1]
    small_heat = np.maximum(np.einsum("bhwc,bc->bhw", maps, weights), 0)
    found = tfxai.AblationCAM(layer=layer)(model, x, targets=1).values[..., 0]
    # Enlarging keeps the mean of the inner places; compare where pixels lie on grid points by a second, exact route.
    large = tfxai.HiResCAM(layer=layer)(model, x, targets=1)
    assert large.values.shape == (2, 10, 12, 1)
    rows = np.clip((np.arange(10) + 0.5) * 0.8 - 0.5, 0, 7)
    columns = np.clip((np.arange(12) + 0.5) * 10 / 12 - 0.5, 0, 9)
    for one, wanted in zip(found, small_heat, strict=True):
        tall = np.stack([np.interp(rows, np.arange(8), wanted[:, j]) for j in range(10)], 1)
        np.testing.assert_allclose(one, [np.interp(columns, np.arange(10), line) for line in tall], atol=1e-5)


@pytest.mark.parametrize("method", [tfxai.ScoreCAM, tfxai.AblationCAM])
def test_layers_that_do_not_fit_are_refused(method: type) -> None:
    model, x = small(), np.ones((1, 10, 12, 3))
    with pytest.raises(ValueError, match="no spatial maps"):
        method(layer=-1)(model, x)
    with pytest.raises(ValueError, match="does not exist"):
        method(layer="mapps")(model, x)
