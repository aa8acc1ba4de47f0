"""Words for people: warnings at their own line, the gist of another error, the nearest name."""

from __future__ import annotations

import contextlib
import contextvars
import difflib
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

_LISTENERS: contextvars.ContextVar[tuple[list[str], ...]] = contextvars.ContextVar("listeners", default=())


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the line of the user's own code that led here, however deep it was.

    That is the innermost frame outside of this package, of Keras and TensorFlow (which call back), and of contextlib.
    """
    for heard in _LISTENERS.get():
        heard.append(message)
    folders = _library_folders()
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and _is_library(frame.f_code.co_filename, folders):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=depth)


@contextlib.contextmanager
def warnings_heard() -> Iterator[list[str]]:
    """Collects what `warn` says while this is a context, whatever Python's filters make of it. Nothing is swallowed."""
    heard: list[str] = []
    before = _LISTENERS.set((*_LISTENERS.get(), heard))
    try:
        yield heard
    finally:
        _LISTENERS.reset(before)


def _library_folders() -> tuple[str, ...]:
    """Of the packages whose frames are not a user's code."""
    names = ("tfxai", "keras", "tf_keras", "tensorflow")
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]
    return tuple(str(Path(file).parent) + os.sep for file in files if file)


def _is_library(file: str, folders: tuple[str, ...]) -> bool:
    return file == contextlib.__file__ or file.startswith(folders)


def first_line(error: BaseException) -> str:
    """The first line that says what went wrong, of an error of another library."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Exception encountered")] or lines
    return lines[0].replace("\x1b[1m", "").replace("\x1b[0m", "")[:300] if lines else type(error).__name__


def snake_case(name: str) -> str:
    """`GradCAMPlusPlus` -> `grad_cam_plus_plus`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def nearest(name: str, known: Iterable[str]) -> str:
    """A question for the end of an error, with up to three names that are near; empty if none is."""
    near = difflib.get_close_matches(name.lower(), list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""
