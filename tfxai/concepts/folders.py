"""Concepts as folders of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai import photos
from tfxai.support import warn


def from_folder(
    path: str | Path,
    size: int | tuple[int, int],
    scale: tuple[float, float] = (0, 255),
    *,
    crop: float = 1.0,
    channels: int = 3,
) -> dict[str, NDArray[np.float32]]:
    """The pictures of every sub-folder, by its name: float32 (N, height, width, 3), from `scale[0]` to `scale[1]`.

    Each is cropped to the middle and resized. Files that are no pictures are named in one warning and left out; hidden
    files are not looked at. The order is that of the names.

    path: a folder of folders, such as `striped/`, `dotted/`, `random500_0/`, `random500_1/`.
    size: height and width, or one number for both. scale: the range of pixels that the model takes.
    crop: part of the height and width to keep. channels: 3, or 1 for grey.

    Raises ValueError if there is no such folder, it has no sub-folders, or one of them has no pictures.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    inner = sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")
    if not inner:
        raise ValueError(
            f"{folder} has no sub-folders. Give a folder with one for each concept, such as striped/ or random500_0/."
        )
    unread: list[Path] = []
    found = {each.name: _pictures(each, size, scale, crop, channels, unread) for each in inner}
    _warn(unread)
    return found


def images_from(
    folder: str | Path,
    size: int | tuple[int, int],
    scale: tuple[float, float] = (0, 255),
    *,
    crop: float = 1.0,
    channels: int = 3,
) -> NDArray[np.float32]:
    """The pictures of one folder, as `from_folder` reads those of each."""
    if not Path(folder).is_dir():
        raise ValueError(f"There is no folder {folder}.")
    unread: list[Path] = []
    found = _pictures(Path(folder), size, scale, crop, channels, unread)
    _warn(unread)
    return found


def _pictures(
    folder: Path,
    size: int | tuple[int, int],
    scale: tuple[float, float],
    crop: float,
    channels: int,
    unread: list[Path],
) -> NDArray[np.float32]:
    shape = checked_size(size)
    pictures = []
    for file in sorted(each for each in folder.iterdir() if each.is_file() and each.name[0] != "."):
        try:
            pixels = photos.read(file, channels)
        except ValueError:
            unread.append(file)
        else:
            pictures.append(photos.fit(pixels, shape, crop))
    if not pictures:
        inner = any(each.is_dir() for each in folder.iterdir())
        hint = " It has sub-folders: read them with from_folder." if inner else ""
        raise ValueError(f"{folder} has no pictures that can be read.{hint}")
    return scaled_to(np.stack(pictures) / 255, scale)


def _warn(unread: list[Path]) -> None:
    if unread:
        names = ", ".join(map(str, unread[:10])) + (
            f" and {len(unread) - 10} more" if len(unread) > 10 else ""
        )
        warn(f"Left out, for they are no pictures that can be read: {names}.")


def checked_size(size: Any) -> tuple[int, int]:
    both = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(both) != 2 or not all(isinstance(n, (int, np.integer)) and n > 0 for n in both):
        raise ValueError(f"size is {size!r}. Give the height and width of pictures in pixels.")
    height, width = both
    return int(height), int(width)


def scaled_to(pictures: NDArray, scale: tuple[float, float]) -> NDArray[np.float32]:
    if np.shape(scale) != (2,):
        raise ValueError(f"scale is {scale!r}. Give the lowest and the highest number, such as (0, 255).")
    low, high = scale
    return (low + pictures * (high - low)).astype(np.float32)
