"""How an assertion fails: with numbers, and with a picture that is written beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from matplotlib.figure import Figure

from tfxai.support import PICTURES, File, whole_file, writable

FOLDER = "tfxai-failures"  # in the folder from which the tests were started


def check_picture(picture: File | None) -> None:
    """Raises ValueError, before any work, if a picture of that name cannot be written."""
    if picture is not None:
        writable(picture, PICTURES)


def fail(message: str, draw: Callable[[], Figure], picture: File | None) -> NoReturn:
    """Raises AssertionError with the message, and where the picture lies.

    picture: where; None: in tfxai-failures, by the name of the test that runs.
    """
    path = Path(FOLDER) / f"{_name_of_test()}.png" if picture is None else Path(picture)
    try:
        if picture is None:
            path.parent.mkdir(exist_ok=True)
        with whole_file(path) as part:
            draw().savefig(part)
        where = f"Picture: {path.resolve()}"
    except (OSError, ValueError) as error:  # what is wrong with the model is worth more than its picture
        where = f"No picture: {error}"
    raise AssertionError(f"{message}\n{where}")


def _name_of_test() -> str:
    """Of pytest's `tests/test_a.py::test_b[c] (call)`: test_a.test_b-c; without pytest a word."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "assertion").rpartition(" (")[0] or "assertion"
    file, _, name = test.partition("::")
    words = f"{Path(file).stem}.{name}" if name else file
    return re.sub(r"[^\w.]+", "-", words).strip("-.")[:150]
