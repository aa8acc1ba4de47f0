"""A progress bar for whoever asks for one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(show: bool, name: str, total: float) -> Iterator[Callable[[float], None]]:
    """Gives the function that moves the bar on; without `show`, one that does nothing."""
    if not show:
        yield lambda amount: None
        return
    from rich.console import Console  # only here: quiet calls need none of it
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=total)
        yield lambda amount: bar.advance(task, amount)
