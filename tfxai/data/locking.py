"""One process at a time writes into a directory; the system lets go of the lock of one that died."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextlib.contextmanager
def held(directory: Path) -> Iterator[None]:
    """Raises ValueError if another process holds the directory."""
    if fcntl is None:
        yield
        return
    with (directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"Another process is writing into {directory}. Wait for it, or give another directory."
            ) from None
        yield
