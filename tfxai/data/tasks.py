"""The work of a run, shard by shard: what is to be done with one, and who does it in this process."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfxai.data import header, shards
from tfxai.data.explaining import Explained, ExplainingAll
from tfxai.data.kept import Kept
from tfxai.data.rows import Rows
from tfxai.scores import Targets


@dataclasses.dataclass(frozen=True)
class Task:
    """One shard that is to be made.

    targets: one for all rows, or an array with one entry for each.
    """

    number: int
    rows: Rows
    targets: Targets


@dataclasses.dataclass(frozen=True)
class Done:
    """A shard that is on the disk, with its number of rows, and how many of them failed."""

    rows: int
    failed: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be done with every shard, but for the model. It can be sent to another process.

    head: of the run. call: what every method is called with.
    """

    directory: Path
    head: Mapping[str, Any]
    methods: Mapping[str, Any]
    batch_size: int
    call: dict[str, Any]
    kept: Kept

    def explaining(self, model: Any) -> ExplainingAll:
        """The methods on a model."""
        return ExplainingAll.of(self.methods, model, self.batch_size, self.call)

    def write(self, task: Task, found: Mapping[str, Explained]) -> Done:
        """A shard; before the first one what the run was begun with, so that a call that fails leaves nothing behind."""
        if not (self.directory / header.FILE).exists():
            header.write(self.directory, self.head)
        shards.write(self.directory, task.number, task.rows, found, self.kept)
        return Done(len(task.rows), len(next(iter(found.values())).failed))


def done_here(plan: Plan, model: Any, tasks: Iterator[Task], proven: bool) -> Generator[Done]:
    """Does the tasks in this process: one shard is written while the next is explained."""
    explaining = plan.explaining(model)
    writing: concurrent.futures.Future[Done] | None = None
    with concurrent.futures.ThreadPoolExecutor(1) as writer:
        for task in tasks:
            found = explaining(task.rows, task.targets, proven)
            if writing is not None:
                yield writing.result()
            writing = writer.submit(plan.write, task, found)
        if writing is not None:
            yield writing.result()


@dataclasses.dataclass(frozen=True)
class RowTargets:
    """What a user gave as targets, for the rows of a data set.

    given: as for a method, an array with an entry for each row, or "label". total: how many rows there are, where that is known.
    """

    given: Targets | str
    total: int | None

    @property
    def by_position(self) -> bool:
        """Whether there is one for each row."""
        return hasattr(self.given, "__len__") and not isinstance(self.given, (str, tuple))

    def of(self, rows: Rows) -> Any:
        """Those of some rows. Raises ValueError if there are none for them."""
        if isinstance(self.given, str):
            labels = rows.labels
            if labels is not None and labels.dtype.kind in "OUS":
                raise ValueError(
                    f'targets="label", and the labels are words, such as {labels.reshape(-1)[0]!r}. Give the number of a class for each row: '
                    "targets=[...]."
                )
            if labels is None or labels.dtype.kind not in "iu" or labels.shape[1:] not in ((), (1,)):
                told = "no labels" if labels is None else f"labels {labels.shape} of {labels.dtype}"
                raise ValueError(
                    f'targets="label", and the data give {told}. Give a class for each row: of one-hot labels labels.argmax(-1).'
                )
            return labels.reshape(-1).astype(int)
        if not self.by_position:
            return self.given
        chosen = np.asarray(self.given)
        assert rows.positions is not None
        if chosen.ndim == 0:
            return self.given
        if (rows.positions >= len(chosen)).any() or self.total not in (None, len(chosen)):
            raise ValueError(
                f"{len(chosen)} targets came for {self.total or 'more'} rows. Give one for each row, or one int for all."
            )
        return chosen[rows.positions]
