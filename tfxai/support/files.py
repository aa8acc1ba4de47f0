"""Files that are written whole, or not at all."""

from __future__ import annotations

import contextlib
import os
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


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A new file beside the one that is meant: it takes its place in the end, or goes if anything fails."""
    path = path.resolve()
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
