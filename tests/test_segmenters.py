"""Segmenters of three families, trained to find discs and rings of the same grey: what speaks for an area lies where it is."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import keras
import numpy as np
import pytest
from kinds import seeded

import tfxai

pytestmark = pytest.mark.slow
L, K = keras.layers, keras.ops
SIDE, REACH = (
    48,
    14,
)  # pixels: of a photo, and from the middle of a shape of radius 8 to where nothing tells of it any more
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def scenes(count: int, seed: int, share: float = 0.7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A disc (1) and a ring (2) on noise, in one half each: photos, what each pixel is, and the middles (count, 2, 2).

    share: of the scenes in which a shape is, whether the other one is there or not, so that none tells of the other.
    """
    generator = np.random.default_rng(seed)
    photos = generator.normal(0, 0.1, (count, SIDE, SIDE, 1)).astype(np.float32)
    truth = np.zeros((count, SIDE, SIDE), int)
    sides = generator.permuted(np.tile([0, 24], (count, 1)), axis=1)
    middles = np.stack(
        [generator.integers(9, 39, (count, 2)), generator.integers(9, 15, (count, 2)) + sides], 2
    )
    for n in range(count):
        for kind in np.flatnonzero(generator.uniform(size=2) < share) + 1:
            far = np.hypot(ROWS - middles[n, kind - 1, 0], COLUMNS - middles[n, kind - 1, 1])
            truth[n][(far < 8) & ((kind == 1) | (far > 4))] = kind
    photos[truth > 0] += 0.8
    return photos, truth, middles


def convolved(x: Any, channels: int, size: int = 3, **more: Any) -> Any:
    return L.Conv2D(channels, size, padding="same", activation="relu", **more)(x)


def u_net() -> keras.Model:
    """Down and up again, with the finer maps beside the coarser ones."""
    photo = keras.Input((SIDE, SIDE, 1))
    fine = convolved(photo, 12)
    middle = convolved(L.MaxPooling2D()(fine), 24)
    deep = convolved(convolved(L.MaxPooling2D()(middle), 32), 32)
    up = convolved(L.Concatenate()([L.UpSampling2D()(deep), middle]), 24)
    up = convolved(L.Concatenate()([L.UpSampling2D()(up), fine]), 12)
    return keras.Model(photo, L.Softmax()(L.Conv2D(3, 1)(up)))


def deep_lab() -> keras.Model:
    """A pyramid of dilated convolutions on coarse maps, the mean of them all, and the finer maps before the last layers."""
    photo = keras.Input((SIDE, SIDE, 1))
    fine = convolved(photo, 12, strides=2)
    coarse = convolved(convolved(fine, 24, strides=2), 24)
    pyramid = [convolved(coarse, 12, 1), *(convolved(coarse, 12, dilation_rate=rate) for rate in (2, 3))]
    mean = L.Dense(12, "relu")(L.GlobalAveragePooling2D(keepdims=True)(coarse))
    pyramid.append(L.UpSampling2D(SIDE // 4)(mean))
    up = L.UpSampling2D(interpolation="bilinear")(convolved(L.Concatenate()(pyramid), 24, 1))
    up = convolved(L.Concatenate()([up, convolved(fine, 8, 1)]), 24)
    return keras.Model(photo, L.UpSampling2D(interpolation="bilinear")(L.Conv2D(3, 1)(up)))


def seg_former() -> keras.Model:
    """Attention among overlapping patches in two sizes, keys and values of the finer ones shortened; both through one dense layer."""
    photo = keras.Input((SIDE, SIDE, 1))

    def stage(x: Any, width: int, size: int, strides: int, shorter: int) -> Any:
        x = L.LayerNormalization()(L.Conv2D(width, size, strides=strides, padding="same")(x))
        side = x.shape[1]
        y = L.LayerNormalization()(x)
        keys = L.Conv2D(width, shorter, strides=shorter)(y) if shorter > 1 else y
        flat = [L.Reshape((-1, width))(each) for each in (y, keys)]
        x = x + L.Reshape((side, side, width))(L.MultiHeadAttention(2, width // 2)(*flat))
        y = L.Dense(2 * width)(L.LayerNormalization()(x))
        y = L.Activation("gelu")(L.DepthwiseConv2D(3, padding="same")(y))
        return x + L.Dense(width)(y)

    fine = stage(photo, 16, 7, 2, 4)
    coarse = stage(fine, 24, 3, 2, 1)
    both = [L.Dense(16)(fine), L.UpSampling2D(interpolation="bilinear")(L.Dense(16)(coarse))]
    logits = L.Conv2D(3, 1)(L.Dense(24, "relu")(L.Concatenate()(both)))
    return keras.Model(photo, L.UpSampling2D(interpolation="bilinear")(logits))


FAMILIES = {build.__name__: build for build in (u_net, deep_lab, seg_former)}


@functools.cache
def trained(family: str) -> keras.Model:
    seeded(0)
    model = FAMILIES[family]()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=family != "u_net")
    model.compile(keras.optimizers.Adam(3e-3), loss)
    model.fit(*scenes(600, 0)[:2], batch_size=16, epochs=8, verbose=0)
    photos, truth, _ = scenes(40, 1)
    said = model.predict(photos, verbose=0).argmax(-1)
    assert (said == truth)[truth > 0].mean() > 0.9
    return model


METHODS: dict[str, Any] = {
    "integrated_gradients": tfxai.IntegratedGradients(steps=30),
    "lrp": tfxai.LRP(),
    "attn_lrp": tfxai.LRP("attention"),
    "occlusion": tfxai.Occlusion(window=6, stride=3),
    "grad_cam": tfxai.GradCAM(),
}
# How much of the evidence must lie there. Attention reads the whole photo, also where there is only noise, and on a path from
# black most of all; in a class activation map a channel counts wherever it is on.
SHARES = {
    **{
        (family, method): 0.9
        for family in ("u_net", "deep_lab")
        for method in ("integrated_gradients", "lrp", "occlusion")
    },
    **dict.fromkeys([("u_net", "grad_cam"), ("deep_lab", "grad_cam"), ("seg_former", "grad_cam")], 0.5),
    ("seg_former", "occlusion"): 0.85,
    ("seg_former", "attn_lrp"): 0.7,
}


@pytest.mark.parametrize(("family", "method"), SHARES)
def test_what_speaks_for_an_area_lies_where_it_is(family: str, method: str) -> None:
    """Of each of the two shapes in a photo, by its mask and by a click on it: most of the evidence, and the largest value."""
    model = trained(family)
    photos, truth, middles = scenes(6, 2, share=1)
    for kind in (1, 2):
        y, x = middles[:, kind - 1].T[..., None, None]
        near = np.hypot(ROWS - y, COLUMNS - x) < REACH
        mask, pixel = truth == kind, middles[:, kind - 1] - [0, 6]
        for of in (
            functools.partial(tfxai.scores.region, mask),
            functools.partial(tfxai.scores.click, pixel),
        ):
            # The logits of one place have no zero of their own: only differences mean something.
            score = tfxai.scores.contrast(of(channel=kind), of(channel=0))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                found = METHODS[method](model, photos, score=score)
            evidence = np.maximum(found.heatmap(), 0)
            inside = (evidence * near).sum((1, 2)) / evidence.sum((1, 2))
            assert np.mean(inside) >= SHARES[family, method]
            assert (evidence * near).max() == evidence.max()
