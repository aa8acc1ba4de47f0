"""Size and range of the pictures that are read or drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def checked_size(size: int | Sequence[int]) -> tuple[int, int]:
    """Height and width, from both or from one number. Raises ValueError unless they are whole numbers above 0."""
    both = np.asarray([size, size] if np.ndim(size) == 0 else size)
    if both.shape != (2,) or both.dtype.kind not in "iu" or (both <= 0).any():
        raise ValueError(f"size is {size!r}. Give the height and width of pictures in pixels.")
    height, width = both.tolist()
    return height, width


def scaled_to(pictures: NDArray, scale: tuple[float, float]) -> NDArray[np.float32]:
    """Pictures of 0 to 1 in the range from `scale[0]` to `scale[1]`. Raises ValueError unless it has two ends."""
    if np.shape(scale) != (2,):
        raise ValueError(f"scale is {scale!r}. Give the lowest and the highest number, such as (0, 255).")
    low, high = scale
    return (low + pictures * (high - low)).astype(np.float32)
