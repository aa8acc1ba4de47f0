"""Reads the arrays of a PyTorch weight file with NumPy alone.

A pickle is a program, so this reader runs only the four names that plain weights need, and each of them is a
function of this file or an empty dict.
"""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C  # opens the format that torch.save wrote before version 1.6
# What damaged bytes make the unpickler, or the functions that it calls, raise.
BROKEN = (pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError, OverflowError)


def read(path: str | Path) -> dict[str, NDArray]:
    """Arrays by name, in the order of the file, for a state dict in PyTorch's first file format.

    Raises ValueError if the file is something else, is cut short, or asks for any other code to run.
    """
    size = Path(path).stat().st_size
    with Path(path).open("rb") as file:
        try:
            if _Weights(file, size).load() != MAGIC:
                raise ValueError("it does not start like one")
            for _ in ("protocol", "the writer's byte order"):
                _Weights(file, size).load()
            weights = _Weights(file, size)
            arrays = weights.load()
            keys = _Weights(file, size).load()
            if set(keys) != set(weights.storages):
                raise ValueError("the list of its storages does not match its arrays")
            for key in keys:
                _fill(weights.storages[key], file)
            return dict(arrays.items())
        except BROKEN as error:
            raise ValueError(
                f"{path} is not a PyTorch weight file that can be read safely: {error}."
            ) from error


def _fill(storage: NDArray, file: BinaryIO) -> None:
    """Reads the numbers of a storage, which stand behind their count, into it."""
    data = file.read(8 + storage.nbytes)
    if len(data) != 8 + storage.nbytes or int.from_bytes(data[:8], "little") != storage.size:
        raise ValueError("it is cut short or damaged")
    storage[:] = np.frombuffer(data, storage.dtype, offset=8)


class _Weights(pickle.Unpickler):
    """The arrays are views of storages whose bytes come after the pickle: kept here, to be filled then."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file)
        self.size = size
        self.storages: dict[str, NDArray] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for a name of the pickle. Raises ValueError for all that plain weights do not need."""
        if (module, name) not in ALLOWED:
            raise ValueError(
                f"it asks for {module}.{name}, which weights do not need, so nothing of it was run"
            )
        return ALLOWED[module, name]

    def persistent_load(self, pid: tuple[Any, ...]) -> NDArray:
        """The storage of that name, as zeros yet. Raises ValueError if it cannot be one of this file."""
        _, dtype, key, _, length, view = pid
        if view is not None:
            raise ValueError("it holds a view of a storage, which is not supported")
        if key not in self.storages:
            if not 0 <= length * dtype.itemsize <= self.size:
                raise ValueError("it announces more numbers than it holds")
            self.storages[key] = np.zeros(length, dtype)
        return self.storages[key]


def _array(
    storage: NDArray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> NDArray:
    """In the place of torch._utils._rebuild_tensor_v2: a view of a storage; offset and strides count numbers."""
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    # NumPy would follow bad strides out of the storage, into other memory.
    if min((offset, *shape, *strides)) < 0 or (0 not in shape and last >= storage.size):
        raise ValueError("an array reaches beyond its storage")
    steps = [stride * storage.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, steps)


# All names that a pickle may ask for.
ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _array,
    ("torch", "FloatStorage"): np.dtype("<f4"),
    ("torch", "LongStorage"): np.dtype("<i8"),
}
