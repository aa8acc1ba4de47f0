"""Where in memory weights lie, by which two readings are known to be one without a look at any number."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.support import Tensor

NUMBERS = {
    tf.float32,
    tf.float64,
    tf.float16,
    tf.bfloat16,
    tf.int8,
    tf.int16,
    tf.int32,
    tf.int64,
    tf.uint8,
    tf.uint32,
}
pointer = ctypes.PYFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.py_object, ctypes.c_char_p)
pointer_in = pointer(("PyCapsule_GetPointer", ctypes.pythonapi))


def addresses(weights: Sequence[Tensor | NDArray]) -> list[int | None]:
    """The address of each weight, on whatever device; None of what has none, such as words. It counts while they are held."""
    return [_address(weight) for weight in weights]


def _address(weight: Tensor | NDArray) -> int | None:
    if isinstance(weight, np.ndarray):
        return id(weight)  # a constant
    if weight.dtype not in NUMBERS:  # of words the next line would end the process
        return None
    capsule = tf.experimental.dlpack.to_dlpack(weight)  # half the time of NumPy's interface, and knows GPUs
    return pointer_in(capsule, b"dltensor")[0]  # a DLTensor begins with the address
