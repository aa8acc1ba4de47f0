"""A progress bar for whoever asks for one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress_bar(
    show: bool, name: str, total: float | None, unit: str = ""
) -> Iterator[Callable[[float], None]]:
    """Gives the function that moves the bar on; without `show`, one that does nothing.

    total: None where it is not known. unit: of what is counted, such as "rows": count and rate are then shown, too.
    """
    if not show:
        yield lambda amount: None
        return
    from rich.console import Console  # only here: quiet calls need none of it
    from rich.progress import MofNCompleteColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{unit}, {task.speed:.3g} a second" if task.speed else unit)

    counted = (MofNCompleteColumn(), Rate()) if unit else ()
    columns = (*Progress.get_default_columns(), *counted)
    with Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=300) as bar:
        task = bar.add_task(name, total=total)
        yield lambda amount: bar.advance(task, amount)
