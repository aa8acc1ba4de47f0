"""Inputs as pictures in red, green and blue, however the model takes its colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# How models take colours: (offset, scale, channel order) bring them back to 0..1 if the darkest value lies
# below the last number. The fourth and fifth are the modes "torch" and "caffe" of keras.applications.
_CODES = [
    (0.0, 1.0, 1, np.inf),
    (1.0, 1 / 2, 1, -0.75),
    (0.0, 1 / 255, 1, np.inf),
    (np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], np.array([0.229, 0.224, 0.225]), 1, -1.0),
    (np.array([103.939, 116.779, 123.68]), 1 / 255, -1, -30.0),
]


def rgb(inputs: NDArray) -> NDArray:
    """Images (N, H, W, C) and volumes (N, D, H, W, C) as RGB in 0..1; anything else unchanged.

    The range tells how colours were coded. Where nothing fits, each picture is stretched over its own range.
    """
    if inputs.ndim < 4:
        return inputs
    pictures = inputs.astype(np.float32)
    codes = _CODES if pictures.shape[-1] == 3 else _CODES[:3]
    if pictures.shape[-1] != 3:
        pictures = pictures.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    if 1.001 < pictures.max() <= 64 and pictures.min() >= 0:
        codes = []  # counts, such as digits of 0 to 16: as 0 to 255 they would be black
    for offset, scale, order, darkest in codes:
        colours = (pictures + offset) * scale
        if colours.min() >= -1e-3 and colours.max() <= 1.001 and pictures.min() < darkest:
            return colours[..., ::order].clip(0, 1)
    axes = tuple(range(1, pictures.ndim))
    low, high = pictures.min(axis=axes, keepdims=True), pictures.max(axis=axes, keepdims=True)
    return (pictures - low) / np.maximum(high - low, 1e-12)
