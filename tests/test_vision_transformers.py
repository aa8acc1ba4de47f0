"""Vision transformers of all families, whose heads are fitted to the colour of a patch that is planted somewhere: maps lie on it."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from kinds import seeded

import tfxai

pytestmark = pytest.mark.slow
L, K = keras.layers, keras.ops
SIDE, CELL, WIDTH = 32, 4, 24  # pixels; 8 x 8 cells
KINDS = 3


def planted(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise with one coloured patch of two by two cells: photos, its colour, and its first row and column of cells."""
    generator = np.random.default_rng(seed)
    photos = generator.uniform(0.3, 0.7, (count, SIDE, SIDE, 3)).astype(np.float32)
    kinds, places = generator.integers(KINDS, size=count), generator.integers(0, 7, (count, 2))
    for photo, kind, (row, column) in zip(photos, kinds, places * CELL, strict=True):
        photo[row : row + 2 * CELL, column : column + 2 * CELL] += np.eye(3)[kind] * 3 - 1
    return photos, kinds, places


@keras.saving.register_keras_serializable("tests")
class Extra(L.Layer):
    """Tokens of its own in front of the others (class, distillation, registers), and a vector for each place."""

    def __init__(self, count: int, **more: Any) -> None:
        super().__init__(**more)
        self.count = count

    def build(self, shape: Any) -> None:
        self.own = self.add_weight(shape=(1, self.count, shape[-1]), initializer="random_normal", name="own")
        self.places = self.add_weight(
            shape=(1, shape[1] + self.count, shape[-1]), initializer="random_normal", name="places"
        )

    def call(self, x: Any) -> Any:
        x = K.concatenate([K.repeat(self.own, K.shape(x)[0], 0), x], 1) if self.count else x
        return x + self.places


def block(x: Any, attended: Callable[[Any], Any]) -> Any:
    x = x + attended(L.LayerNormalization()(x))
    return x + L.Dense(WIDTH)(L.Dense(2 * WIDTH, "gelu")(L.LayerNormalization()(x)))


def attention(y: Any) -> Any:
    return L.MultiHeadAttention(2, WIDTH // 2)(y, y)


def vision(extra: int, read: Callable[[Any], Any]) -> keras.Model:
    """ViT and its kin: `extra` tokens in front."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(WIDTH, CELL, strides=CELL)(inputs)
    x = Extra(extra)(L.Reshape((64, WIDTH))(x))
    for _ in range(2):
        x = block(x, attention)
    return keras.Model(inputs, L.Dense(KINDS)(read(L.LayerNormalization()(x))))


def swin() -> keras.Model:
    """Attention within windows of four by four cells, shifted in the second block, and patches that are merged before the third."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(WIDTH, CELL, strides=CELL)(inputs)

    def within(y: Any, shift: int, side: int) -> Any:
        y = K.roll(y, (-shift, -shift), (1, 2))
        n = side // 4
        y = K.reshape(y, (-1, n, 4, n, 4, WIDTH))
        y = K.reshape(K.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, 16, WIDTH))
        y = K.reshape(attention(y), (-1, n, n, 4, 4, WIDTH))
        y = K.reshape(K.transpose(y, (0, 1, 3, 2, 4, 5)), (-1, side, side, WIDTH))
        return K.roll(y, (shift, shift), (1, 2))

    for shift in (0, 2):
        x = block(x, lambda y, shift=shift: within(y, shift, 8))
    merged = K.reshape(
        K.transpose(K.reshape(x, (-1, 4, 2, 4, 2, WIDTH)), (0, 1, 3, 2, 4, 5)), (-1, 4, 4, 4 * WIDTH)
    )
    x = L.Dense(WIDTH)(L.LayerNormalization()(merged))
    x = block(x, lambda y: within(y, 0, 4))
    return keras.Model(inputs, L.Dense(KINDS)(L.GlobalAveragePooling2D()(L.LayerNormalization()(x))))


def segformer() -> keras.Model:
    """Attention to keys of every second cell only, a convolution between the dense layers, and a head of classes for cells."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(WIDTH, 7, strides=CELL, padding="same")(inputs)
    for _ in range(2):
        y = L.LayerNormalization()(L.Reshape((64, WIDTH))(x))
        few = L.Reshape((16, WIDTH))(L.Conv2D(WIDTH, 2, strides=2)(L.Reshape((8, 8, WIDTH))(y)))
        x = x + L.Reshape((8, 8, WIDTH))(L.MultiHeadAttention(2, WIDTH // 2)(y, few))
        y = L.Conv2D(2 * WIDTH, 1)(L.LayerNormalization()(x))
        x = x + L.Conv2D(WIDTH, 1)(L.Activation("gelu")(L.DepthwiseConv2D(3, padding="same")(y)))
    return keras.Model(inputs, L.Dense(KINDS)(L.GlobalAveragePooling2D()(L.LayerNormalization()(x))))


FAMILIES: dict[str, Callable[[], keras.Model]] = {
    "vit": lambda: vision(1, lambda x: x[:, 0]),
    "deit": lambda: vision(2, lambda x: (x[:, 0] + x[:, 1]) / 2),
    "registers": lambda: vision(5, lambda x: x[:, 0]),
    "pooled": lambda: vision(0, lambda x: K.mean(x, 1)),
    "swin": swin,
    "segformer": segformer,
}


@functools.cache
def family(name: str) -> keras.Model:
    """Random weights, and a linear head that is fitted to what they make of photos: it reads the colour."""
    seeded(0)
    model = FAMILIES[name]()
    photos, kinds, _ = planted(400, 0)
    features = np.asarray(keras.Model(model.input, model.layers[-1].input)(photos), np.float64)
    wanted = np.eye(KINDS)[kinds] - 1 / KINDS
    centred = features - features.mean(0)
    kernel = np.linalg.solve(
        centred.T @ centred + 1e-2 * len(photos) * np.eye(WIDTH) * centred.var(), centred.T @ wanted
    )
    model.layers[-1].set_weights([kernel, -features.mean(0) @ kernel])
    photos, kinds, _ = planted(200, 1)
    assert (np.asarray(model(photos)).argmax(1) == kinds).mean() > 0.95
    return model


METHODS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "grad_cam": (tfxai.GradCAM(), tuple(FAMILIES)),
    "layer_cam": (tfxai.LayerCAM(), tuple(FAMILIES)),
    "attention_relevance": (tfxai.AttentionRelevance(), ("vit", "deit", "registers", "pooled")),
    "attention_relevance_of_weights": (
        tfxai.AttentionRelevance(relevance="attention"),
        ("vit", "deit", "registers", "pooled"),
    ),
    "lrp": (tfxai.LRP(rule="attention"), tuple(FAMILIES)),
    "integrated_gradients": (tfxai.IntegratedGradients(baseline=0.5, steps=20), tuple(FAMILIES)),
}


@pytest.mark.parametrize(
    ("name", "method"), [(name, method) for method, (_, names) in METHODS.items() for name in names]
)
def test_maps_lie_on_the_planted_patch_and_nowhere_beside_it(name: str, method: str) -> None:
    """On average over photos there is most at the patch, and less at every place that is so far up, down, left or right of it."""
    model, (photos, kinds, places) = family(name), planted(120, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        heat = METHODS[method][0](model, photos, targets=kinds).heatmap()
    cells = heat.reshape(len(photos), 8, CELL, 8, CELL).sum((2, 4))
    cells /= np.abs(cells).sum((1, 2), keepdims=True) + 1e-12
    found: dict[tuple[int, int], float] = {}
    for down, right in itertools.product(range(-5, 6), repeat=2):
        corners = places + np.array([down, right])
        inside = ((corners >= 0) & (corners <= 6)).all(1)
        if inside.sum() >= 20:
            found[down, right] = float(
                np.mean(
                    [
                        each[r : r + 2, c : c + 2].sum()
                        for each, (r, c) in zip(cells[inside], corners[inside], strict=True)
                    ]
                )
            )
    assert max(found, key=lambda step: found[step]) == (0, 0), found
    others = [value for step, value in found.items() if max(map(abs, step)) >= 2]
    # Where all rows are pooled, each hands on most of itself: attention shows only a little of what is read.
    pale = name == "pooled" and method.startswith("attention")
    assert found[0, 0] > (1.0 if pale else 1.1) * max(others)
