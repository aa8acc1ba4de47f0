"""The arrays of a result's file, read one by one when they are asked for, and none larger than it says itself."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from numpy.lib import format as npy
from numpy.typing import NDArray

LARGE, RATIO = 100 * 2**20, 200  # bytes from which a header must not be so many times larger than in the file


class Members(Mapping[str, NDArray]):
    """Name -> array, of an .npz file that is open while this is a context.

    A small file may hold what fills any memory once it is unpacked, so nothing is read that nobody asks for, and of an
    array no more than its shape and type take.

    Raises ValueError where an array holds Python objects, which are never read, or another number of bytes than it says;
    OSError or zipfile.BadZipFile if there is no such file.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = zipfile.ZipFile(path)
        self._sizes = {info.filename: info for info in self._file.infolist()}
        self._read: dict[str, NDArray] = {}

    def __enter__(self) -> Members:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        return (name.removesuffix(".npy") for name in self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def __getitem__(self, name: str) -> NDArray:
        if name not in self._read:
            self._read[name] = self._array(f"{name}.npy")
        return self._read[name]

    def header(self) -> str:
        """The text of the array named header, which tells what the others are."""
        info = self._sizes["header.npy"]
        if info.file_size > LARGE and info.file_size > RATIO * info.compress_size:
            raise ValueError(
                f"its header unpacks to {info.file_size / 2**30:.1f} GiB of next to nothing, so it was not read"
            )
        return str(self["header"])

    def _array(self, member: str) -> NDArray:
        info = self._sizes[member]
        with self._file.open(info) as file:
            version = npy.read_magic(file)  # pyright: ignore[reportArgumentType]
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read(file)  # pyright: ignore[reportArgumentType]
            if dtype.hasobject:
                raise ValueError(f"{member} holds Python objects, which are never read")
            if info.file_size != file.tell() + math.prod(shape) * dtype.itemsize:
                raise ValueError(f"{member} holds another number of bytes than its shape {shape} says")
        with self._file.open(info) as file:
            return npy.read_array(file, allow_pickle=False)  # pyright: ignore[reportArgumentType]
