"""Parquet, by way of pyarrow, which is an extra."""

from __future__ import annotations

import functools
from typing import Any


@functools.cache
def pyarrow() -> Any:
    """The package with its parts. Raises ImportError, with what to install, where it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Data sets are written and read as Parquet by pyarrow, which is not installed: pip install 'tfxai[data]'"
        ) from error
    return pyarrow
