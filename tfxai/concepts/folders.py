"""Concepts as folders of pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfxai import photos
from tfxai.concepts.pixels import checked_size, scaled_to
from tfxai.photos import Channels, Crop
from tfxai.support import File, checked, warn

NAMED = 10  # files that a warning names


@checked
def from_folder(
    path: File,
    size: int | tuple[int, int],
    scale: tuple[float, float] = (0, 255),
    *,
    crop: Crop = 1.0,
    channels: Channels = 3,
) -> dict[str, NDArray[np.float32]]:
    """The pictures of every sub-folder, by its name: float32 (N, height, width, 3), from `scale[0]` to `scale[1]`.

    Each is cropped to the middle and resized. Files that are not pictures are named in one warning and left out; hidden
    files are not looked at. The order is that of the names.

    path: a folder of folders, such as `striped/`, `dotted/`, `random500_0/`, `random500_1/`.
    size: height and width, or one number for both. scale: the range of pixels that the model takes.
    crop: part of the height and width to keep. channels: 3, or 1 for grey.

    Raises ValueError if the folder does not exist or has no sub-folders, or if one of them has no pictures.
    """
    folders = sub_folders(_existing(path))
    if not folders:
        raise ValueError(
            f"{path} has no sub-folders. Give a folder with one for each concept, such as striped/ or random500_0/."
        )
    unread: list[Path] = []
    pictures = {folder.name: _pictures(folder, size, scale, crop, channels, unread) for folder in folders}
    _warn_of(unread)
    return pictures


@checked
def images_from(
    folder: File,
    size: int | tuple[int, int],
    scale: tuple[float, float] = (0, 255),
    *,
    crop: Crop = 1.0,
    channels: Channels = 3,
) -> NDArray[np.float32]:
    """The pictures of one folder, (N, height, width, 3), as `from_folder` reads those of each.

    Raises ValueError if the folder does not exist, or has no pictures.
    """
    unread: list[Path] = []
    pictures = _pictures(_existing(folder), size, scale, crop, channels, unread)
    _warn_of(unread)
    return pictures


def sub_folders(folder: str | Path) -> list[Path]:
    """The folders in a folder in the order of their names, without hidden ones; none if it does not exist."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(inner for inner in folder.iterdir() if inner.is_dir() and inner.name[0] != ".")


def _existing(path: str | Path) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    return folder


def _pictures(
    folder: Path,
    size: int | tuple[int, int],
    scale: tuple[float, float],
    crop: float,
    channels: int,
    unread: list[Path],
) -> NDArray[np.float32]:
    """(N, height, width, channels); files that are not pictures are added to `unread`."""
    shape = checked_size(size)
    pictures = []
    for file in sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != "."):
        try:
            pixels = photos.read(file, channels)
        except ValueError:
            unread.append(file)
        else:
            pictures.append(photos.fit(pixels, shape, crop))
    if not pictures:
        has_folders = any(inner.is_dir() for inner in folder.iterdir())
        hint = " It has sub-folders: read them with from_folder." if has_folders else ""
        raise ValueError(f"{folder} has no pictures that can be read.{hint}")
    return scaled_to(np.stack(pictures) / 255, scale)


def _warn_of(unread: list[Path]) -> None:
    if unread:
        names = ", ".join(map(str, unread[:NAMED]))
        more = f" and {len(unread) - NAMED} more" if len(unread) > NAMED else ""
        warn(f"Left out, because they are not pictures that can be read: {names}{more}.")
