"""What a command gives: files, checked before the work and written whole or not at all; tables."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tfxai.support import whole_file, writable

CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)?|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def output_file(name: str | None, endings: Sequence[str], inputs: Iterable[str | None] = ()) -> Path | None:
    """The file to write, or None where the command line names none.

    endings: one of which the name must have.
    inputs:  files that the command reads, which it must not overwrite, and folders, in which it must not overwrite any;
             None for what the command line does not name.

    Raises ValueError if the file cannot be written, or is one of the inputs.
    """
    if name is None:
        return None
    path = writable(name, endings)
    for taken in map(Path, filter(None, inputs)):
        inside = taken.is_dir() and taken.resolve() in path.resolve().parents
        if path.exists() and (inside or (taken.exists() and path.samefile(taken))):
            raise ValueError(f"{path} is an input of this command. Name another file to write.")
    return path


def write_files(*files: tuple[Path | None, Callable[[Path], object]]) -> None:
    """Calls each function with a file to write; none takes its place before all are written.

    Where the path is None nothing is called.
    """
    with contextlib.ExitStack() as parts:
        for path, save in files:
            if path is not None:
                save(parts.enter_context(whole_file(path)))


def print_files(**files: Path | None) -> None:
    """A line for each file that was written: `Picture: cam.png`."""
    for name, path in files.items():
        if path is not None:
            print(printable(f"{name}: {path}"))


def printable(text: str) -> str:
    """A text without what would steer a terminal: names of classes and files may come from anyone."""
    return CONTROL.sub("", text)


def print_table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table on stdout; 160 characters wide where that is not a terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for row in rows:
        table.add_row(*(printable(str(cell)) for cell in row))
    # File and class names may look like markup.
    console = Console(markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
