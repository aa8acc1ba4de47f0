"""Files that are written whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PICTURES = (".png", ".jpg", ".pdf", ".svg")


def writable(name: str | Path, endings: Sequence[str]) -> Path:
    """The path, if a file of that name can be written.

    Raises ValueError if it has none of the endings, is a folder, or its folder is missing or cannot be written to.
    """
    path = Path(name)
    if path.suffix.lower() not in endings:
        raise ValueError(f"{name} cannot be written: give a file name that ends in {' or '.join(endings)}.")
    if path.is_dir():
        raise ValueError(f"{name} cannot be written: it is a folder. Give a file name.")
    if not path.parent.is_dir():
        raise ValueError(f"{name} cannot be written: there is no folder {path.parent}.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            return path
    except OSError as error:
        raise ValueError(f"{name} cannot be written: {error.strerror} in {path.parent}.") from error


def is_file_name(name: str) -> bool:
    """Whether a file or folder of that name can be made on every system."""
    return re.fullmatch(r"[^/\\:*?\"<>|\x00-\x1f]+", name) is not None and name not in (".", "..")


@contextlib.contextmanager
def whole_file(path: Path, *, sync: bool = False) -> Iterator[Path]:
    """A new file beside the one that is meant: it takes its place in the end, or goes if anything fails.

    sync: it has reached the disk before it takes its place, and its name has when this is left.

    Devices, pipes and folders cannot be replaced: their own path is given, to be written to or to fail.

    Raises OSError, with the path that was given, if there is no such folder or nothing can be written in it.
    """
    place = path.resolve()
    if place.exists() and not place.is_file():
        yield path
        return
    part = place.with_name(f".{place.stem[:50]}.{os.getpid()}{place.suffix}")
    try:
        yield part
        if sync:
            _on_disk(part)
        part.replace(place)
        if sync and os.name == "posix":  # elsewhere folders cannot be opened
            _on_disk(place.parent)
    except OSError as error:
        if error.errno is None or error.filename not in (None, part, str(part)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        # What never came to be, in a folder that is missing or closed, need not go either.
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder beside the one that is meant: it takes its place in the end, or goes if anything fails.

    Raises OSError, with the path that was given, if nothing can be written there.
    """
    place = path.resolve()
    part = place.with_name(f".{place.name[:50]}.{os.getpid()}")
    try:
        part.mkdir(parents=True)
        yield part
        if place.is_dir():
            place.rmdir()  # an empty one
        part.replace(place)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _on_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, would outlive a loss of power."""
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
