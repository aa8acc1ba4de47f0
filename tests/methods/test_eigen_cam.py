"""EigenCAM's sign, where the mean activation has none to give."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import tfxai

L = keras.layers


@pytest.mark.parametrize("weights", [(1.0, -1.0), (-1.0, 1.0), (1.0, 1.0, -2.0), (0.3, 0.2, -0.4, -0.1)])
def test_channels_whose_mean_is_zero_have_a_positive_map(weights: tuple[float, ...]) -> None:
    """As behind a layer normalization: a map of one component, whose size is that of the image."""
    model = keras.Sequential(
        [
            keras.Input((4, 5, 1)),
            L.Conv2D(len(weights), 1, use_bias=False, name="maps"),
            L.GlobalAveragePooling2D(),
            L.Dense(2),
        ]
    )
    model.get_layer("maps").set_weights([np.reshape(weights, (1, 1, 1, -1))])
    images = np.random.default_rng(0).uniform(0.1, 1, (6, 4, 5, 1)).astype(np.float32)
    found = tfxai.EigenCAM(layer="maps")(model, images, 0).values
    np.testing.assert_allclose(found, images * np.linalg.norm(weights), rtol=1e-4, atol=1e-4)
