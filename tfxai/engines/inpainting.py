"""Hidden pixels filled from what is still visible around them, inside a trace."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfxai.engines.cams import enlarged
from tfxai.support import Tensor


def inpainted(x: Tensor, hidden: Tensor, masks: Tensor) -> Tensor:
    """Visible pixels as they are; the others from ever coarser averages of visible ones (pull-push interpolation).

    x (1, H, W, C); masks (B, H, W), 1 where visible; hidden (1 or B, H, W, C) where nothing is visible.

    Gortler, Grzeszczuk, Szeliski, Cohen: The Lumigraph, SIGGRAPH 1996, section 3.4.2. doi:10.1145/237170.237200
    """
    weights = masks[..., None]
    levels: list[Any] = [(tf.cast(x, tf.float32) * weights, weights)]
    while max(levels[-1][0].shape[1:3]) > 1:
        levels.append(tuple(tf.nn.avg_pool2d(part, 2, 2, "SAME") for part in levels[-1]))
    filled = tf.reduce_mean(tf.cast(hidden, tf.float32), (1, 2), keepdims=True)
    for colours, weights in reversed(levels):
        coarse = enlarged(
            filled, colours.shape[1:3]
        )  # not tf.image.resize, which XLA gets wrong for odd sizes
        filled = tf.where(weights > 0, tf.math.divide_no_nan(colours, weights), coarse)
    return tf.cast(filled, x.dtype)
