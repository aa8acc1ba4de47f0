"""What the issue promises on EfficientNet-Lite0 with a photo of a cat, class 282."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfxai
from tfxai import photos, zoo
from tfxai.model.tracing import traces

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("memory")]
CAT = 282


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return zoo.efficientnet_lite0()


@pytest.fixture
def model(trained) -> keras.Model:
    """The same layers in a model whose traces end with the test."""
    return keras.Model(trained.inputs, trained.outputs)


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return photos.fit(zoo.sample_photos()["chelsea"], (224, 224), crop=0.875)[None]


@pytest.fixture(scope="module")
def change(trained, cat) -> float:
    """Score of the cat minus score of black."""
    both = tfxai.Gradient()(trained, np.concatenate([cat, 0 * cat]), targets=CAT).scores
    return float(both[0] - both[1])


def test_fifty_steps_of_integrated_gradients_are_within_three_percent(model, cat, change) -> None:
    result = tfxai.IntegratedGradients(steps=50)(model, cat, targets=CAT)
    np.testing.assert_allclose(result.delta, result.values.sum() - change, atol=1e-3)
    assert abs(result.delta[0]) <= 0.03 * abs(change)


def test_a_tolerance_of_one_percent_is_kept(model, cat, change) -> None:
    result = tfxai.IntegratedGradients(tolerance="1%")(model, cat, targets=CAT)
    np.testing.assert_allclose(result.delta, result.values.sum() - change, atol=1e-3)
    assert abs(result.delta[0]) <= 0.01 * abs(change)


def test_deeplift_is_complete(model, cat, change) -> None:
    result = tfxai.DeepLIFT()(model, cat, targets=CAT)
    np.testing.assert_allclose(result.values.sum(), change, atol=1e-2)
    np.testing.assert_allclose(result.delta, 0, atol=1e-2)


def test_grad_cam_peaks_on_the_cat(model, cat) -> None:
    heat = tfxai.GradCAM()(model, cat, targets=CAT).values[0, ..., 0]
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    # The cat's face fills the left half of the crop; its ears start at row 20, the lower right corner is cloth.
    assert 20 <= y <= 190
    assert 10 <= x <= 150
    assert heat[:, :150].sum() > 2 * heat[:, 150:].sum()


def test_guided_backprop_is_not_the_gradient(model, cat) -> None:
    plain = tfxai.Gradient()(model, cat, targets=CAT).values
    guided = tfxai.GuidedBackprop()(model, cat, targets=CAT).values
    assert abs(np.corrcoef(plain.ravel(), guided.ravel())[0, 1]) < 0.5


def test_the_same_seed_gives_the_same_bits_and_traces_nothing_again(model, cat) -> None:
    for method in (tfxai.SmoothGrad(samples=4, seed=5), tfxai.GradCAM(), tfxai.DeepLIFT()):
        first = method(model, cat, targets=CAT)
        count = traces(model)
        second = method(model, cat, targets=CAT)
        assert traces(model) == count
        np.testing.assert_array_equal(first.values, second.values)
