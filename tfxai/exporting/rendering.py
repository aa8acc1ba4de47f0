"""A map drawn over its picture inside the graph, as PNG bytes: the colours of `tfxai.plots.heatmap`, without Matplotlib."""

from __future__ import annotations

from typing import cast

import numpy as np
import tensorflow as tf
from matplotlib.colors import ListedColormap
from numpy.typing import NDArray

from tfxai.plots import HEAT, SIGNED
from tfxai.support import Tensor

PERCENTILE = 99.0  # of |map|, where the colours end


def overlays(values: Tensor, pictures: Tensor) -> Tensor:
    """(B,) PNG files, of maps (B, H, W, C) over pictures (B, H, W, 1 or 3) in 0..1.

    Red for, blue against where a map has both; heat where it has no sign. The colours end at the 99th percentile of |map|.
    """
    heat = tf.cast(tf.reduce_sum(values, -1), tf.float32)
    return tf.map_fn(
        lambda each: _overlay(*each), (heat, pictures), fn_output_signature=tf.TensorSpec([], tf.string)
    )


def _overlay(heat: Tensor, picture: Tensor) -> Tensor:
    signed = tf.reduce_any(heat < 0)
    scale = _percentile(tf.abs(heat))
    share = tf.clip_by_value(tf.math.divide_no_nan(heat, scale), -1.0, 1.0)
    grey = tf.reduce_mean(picture, -1, keepdims=True) * tf.ones([3])
    above = tf.where(signed, _coloured(SIGNED, (share + 1) / 2), _coloured(HEAT, share))
    below = tf.where(signed, 0.75 + 0.25 * grey, grey)  # red and blue need a pale ground
    colours, opacity = tf.split(above, [3, 1], -1)
    mixed = below + opacity * (colours - below)
    return tf.io.encode_png(tf.cast(tf.round(255 * mixed), tf.uint8))


def _coloured(colours: ListedColormap, share: Tensor) -> Tensor:
    """(H, W, 4) of shares in 0..1."""
    table = cast(NDArray, colours(np.arange(colours.N))).astype(np.float32)
    numbers = tf.cast(share * colours.N, tf.int32)
    return tf.gather(table, tf.clip_by_value(numbers, 0, colours.N - 1))


def _percentile(sizes: Tensor) -> Tensor:
    """As NumPy has it, between the two nearest; the largest where that is zero."""
    ranked = tf.sort(tf.reshape(sizes, [-1]))
    place = PERCENTILE / 100 * tf.cast(tf.size(ranked) - 1, tf.float32)
    below = tf.cast(tf.floor(place), tf.int32)
    low, high = ranked[below], ranked[tf.minimum(below + 1, tf.size(ranked) - 1)]
    found = low + (place - tf.floor(place)) * (high - low)
    return tf.where(found > 0, found, ranked[-1])


def stretched(images: Tensor) -> Tensor:
    """Images (B, H, W, C) over 0..1, each over its own range: what a model takes tells no more of its colours."""
    axes, images = [1, 2, 3], tf.cast(images, tf.float32)
    low, high = (f(images, axes, keepdims=True) for f in (tf.reduce_min, tf.reduce_max))
    return tf.math.divide_no_nan(images - low, high - low)
