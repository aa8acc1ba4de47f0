"""Arrays that TensorFlow reads where they lie, without a copy."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import Tensor

ALIGNED = 64  # bytes, of addresses that TensorFlow reads from without a copy
LARGE = 1 << 18  # bytes from which a copy is worth avoiding


def aligned(array: NDArray) -> NDArray[np.float32]:
    """A copy as float32 that TensorFlow can read where it lies."""
    room = np.empty(array.size * 4 + ALIGNED, np.uint8)
    start = -room.ctypes.data % ALIGNED
    copy = room[start : start + array.size * 4].view(np.float32).reshape(array.shape)
    copy[...] = array
    return copy


def tensor_of(argument: NDArray | Tensor) -> Tensor:
    """The argument as a tensor; large inputs share their memory with it, so nobody may change them meanwhile."""
    if isinstance(argument, np.ndarray) and argument.nbytes >= LARGE and argument.dtype == np.float32:
        flags = argument.flags
        if flags.c_contiguous and flags.writeable and argument.ctypes.data % ALIGNED == 0:
            return tf.experimental.dlpack.from_dlpack(argument.__dlpack__())
    return tf.convert_to_tensor(argument)
