"""Small nets, each with what another family of models is made of, and the methods that are written into files for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import exported
import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

import tfxai
from tfxai import photos, zoo

L = keras.layers


def settled(inputs: Any, outputs: Any, *arrays: NDArray) -> tuple[Any, Any]:
    """A model whose weights are no zeros and ones, and inputs for it."""
    model, random = keras.Model(inputs, outputs), np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(weight + random.uniform(0.01, 0.1, weight.shape))
    return model, arrays[0] if len(arrays) == 1 else list(arrays)


def images(*shape: int) -> NDArray:
    return np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)


def classic() -> tuple[Any, Any]:
    x = image = keras.Input((13, 13, 3))
    x = L.ReLU()(L.BatchNormalization()(L.Conv2D(8, 3, padding="same", strides=2, use_bias=False)(x)))
    x = L.MaxPooling2D(3, 2, padding="same")(x)
    x = L.AveragePooling2D(2, 1)(L.Conv2D(6, 3, activation="elu", padding="same")(x))
    return settled(image, L.Dense(5, activation="softmax")(L.Flatten()(x)), images(13, 13, 3))


def mobile() -> tuple[Any, Any]:
    x = image = keras.Input((16, 16, 3))
    x = L.ReLU(6)(L.BatchNormalization()(L.Conv2D(8, 3, strides=2, padding="same")(x)))
    for step in (1, 2):
        y = L.ReLU(6)(L.BatchNormalization()(L.Conv2D(16, 1)(x)))
        y = L.DepthwiseConv2D(3, step, "same" if step == 1 else "valid")(L.ZeroPadding2D(step - 1)(y))
        y = L.Conv2D(8, 1)(L.ReLU(6)(L.BatchNormalization()(y)))
        x = L.Add()([x, y]) if step == 1 else y
    scale = L.Dense(8, activation="sigmoid")(L.GlobalAveragePooling2D()(x))
    x = L.SeparableConv2D(8, 3, activation="silu")(L.Multiply()([x, L.Reshape((1, 1, 8))(scale)]))
    return settled(image, L.Dense(4)(L.GlobalAveragePooling2D()(x)), images(16, 16, 3))


def attentive() -> tuple[Any, Any]:
    x = image = keras.Input((8, 8, 3))
    x = L.Reshape((16, 8))(L.Conv2D(8, 2, 2)(x))
    normal = L.LayerNormalization()(x)
    x = L.Add()([x, L.MultiHeadAttention(2, 4)(normal, normal)])
    x = L.Add()([x, L.Dense(8)(L.Dense(16, activation="gelu")(L.LayerNormalization()(x)))])
    return settled(image, L.Dense(3)(L.GlobalAveragePooling1D()(x)), images(8, 8, 3))


def words() -> tuple[Any, Any]:
    ids = keras.Input((7,), dtype="int32")
    x = L.Conv1D(6, 3, padding="causal", dilation_rate=2, activation="tanh")(L.Embedding(11, 5)(ids))
    given = np.random.default_rng(0).integers(0, 11, (2, 7)).astype(np.int32)
    return settled(ids, L.Dense(3)(L.GlobalMaxPooling1D()(x)), given)


def two_inputs() -> tuple[Any, Any]:
    image, row = keras.Input((8, 8, 2)), keras.Input((4,))
    x = L.GlobalMaxPooling2D()(
        L.Conv2D(5, 3, activation="softplus")(L.UpSampling2D(2, interpolation="bilinear")(image))
    )
    x = L.Concatenate()([x, L.Dense(4, activation="selu")(row)])
    return settled([image, row], L.Dense(3)(x), images(8, 8, 2), images(4))


def columns() -> tuple[Any, Any]:
    row = keras.Input((6,))
    return settled(row, L.Dense(3)(L.Dense(8, activation="relu")(row)), images(6))


def wide() -> tuple[Any, Any]:
    row = keras.Input((64,))
    x = L.Dense(256, activation="tanh")(L.Dense(256, activation="tanh")(row))
    return settled(row, L.Dense(3)(x), images(64))


def every() -> list[Any]:
    """One net in the quick suite, the others in the slow one."""
    slow = [mobile, attentive, words, two_inputs, efficientnet]
    return [classic, *(pytest.param(build, marks=pytest.mark.slow) for build in slow)]


def efficientnet() -> tuple[Any, Any]:
    fitted = [photos.fit(zoo.sample_photos()[name], (224, 224), crop=0.875) for name in ("chelsea", "rocket")]
    return zoo.efficientnet_lite0(), np.stack(fitted).astype(np.float32)


METHODS = {"gradient": tfxai.Gradient(), "guided": tfxai.GuidedBackprop(), "maps": tfxai.GradCAM()}
HAVE = {attentive: ["gradient"], words: ["gradient"], efficientnet: ["maps", "gradient"]}
# Rounding opens and closes gates of a deep net: TensorFlow's own gradient moves by 0.016 if a photo is 1.000001 times as bright.
ALLOWED = {(efficientnet, "gradient"): 0.02}


def wrong(
    build: Callable[[], Any], write: Callable[[Any, Path], None], engine: str, folder: Path
) -> dict[str, float]:
    """For each method of a net the largest error of its file, of the largest value, where it is more than allowed."""
    model, arrays = build()
    given = {f"input_{i}": array for i, array in enumerate(tf.nest.flatten(arrays))}
    names = list(HAVE.get(build, METHODS))
    if build is efficientnet and engine == "onnx":
        names.remove("gradient")  # the converter takes long, and smaller nets have the same operations
    for name in names:
        function = exported.traced(METHODS[name], model, arrays)
        write(function, folder / f"{name}.{engine}")
        exported.put(folder, name, function, {**given, "target": np.array([-1, 1], np.int32)})
    errors = exported.without_tensorflow(folder, engine)
    assert {*errors} == {*names}
    return {name: error for name, error in errors.items() if error > ALLOWED.get((build, name), 1e-4)}
