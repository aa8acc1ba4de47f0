"""A data set explained from its first row to its last, into a directory, from which it can go on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.data import header, locking, shards
from tfxai.data.explaining import first_row, named_methods
from tfxai.data.kept import Kept
from tfxai.data.on_ray import Ray, done_on_ray
from tfxai.data.probing import check_answers
from tfxai.data.results import FINISHED, Results, open_results
from tfxai.data.resuming import still_to_do
from tfxai.data.rows import Rows, placed
from tfxai.data.sources import source_of
from tfxai.data.stopping import asked_to_stop, read_ahead
from tfxai.data.tasks import Done, Plan, RowTargets, Task, done_here
from tfxai.engines import Method
from tfxai.inputs import flatten
from tfxai.model import At
from tfxai.scores import Score, Targets
from tfxai.support import BatchSize, Count, File, Model, checked, number, progress_bar, warn, whole_file

SHARD = 2**25  # bytes of inputs and values of a shard, where nobody says how many rows
FEWEST, MOST = 16, 2**14  # rows of such a shard
ENOUGH = 1000  # rows after which a share of failures means something, where their number is not known


@checked
def explain_dataset(
    method: Method | Sequence[Method] | Mapping[str, Method],
    model: Model,
    data: Any,
    directory: File,
    *,
    targets: Targets | Literal["label"] = None,
    ids: Any = None,
    keep: Literal["values", "heatmap", "summary"] = "values",
    keep_inputs: bool = True,
    float16: bool = False,
    resume: bool = True,
    batch_size: BatchSize = "auto",
    shard_rows: Count | None = None,
    most_failed: Annotated[float, number(least=0, most=1)] = 0.1,
    progress: bool = True,
    score: str | Score | None = None,
    at: At = None,
    engine: Literal["ray"] | Ray | None = None,
) -> Results:
    """Explains every row of a data set, writes shards into a directory, and goes on there after whatever ended it.

    A shard is one Parquet file that is there whole or not at all. Killed at any moment and called again, the run leaves the bytes
    that it would have left undisturbed. Memory does not grow with the number of rows: three shards are held, one that is read, one that is explained, and
    one that is written, at the same time. Each shard is one call of the method, so its values are those of `method(model, inputs)` for these rows.

    method:     a method, several, or a dict that names them; all explain the rows in one pass over the data.
    data:       arrays or memory maps as the model takes them, or (inputs, labels) of them; a tf.data.Dataset, batched or not; a keras.utils.PyDataset; a
                generator of batches; the path of a folder of pictures, of a Parquet file or a folder of them; tfxai.data.Folder
                or Table. Elements are inputs, (inputs, labels), (inputs, labels, ids), or dicts with "label" and "id" beside
                the inputs.
    directory:  where the run lies; made if it is not there.
    targets:    as for a method; an array has an entry for each row; "label" explains the labels. The class that the model predicts is
                written in any case, with classes of your own by a pass more.
    ids:        by which rows are known, whole numbers or words; None: those of the data, else positions.
    keep:       "values"; "heatmap": summed over channels, without errors; "summary": sums of that in at most 16 x 16 cells (256 steps
                of a series, 6 x 6 x 6 of a volume; the columns of a table), with the inputs' means there. Of each map there are
                also the numbers of `results.frame()`; of texts these alone.
    keep_inputs: the inputs are written, too, so that `results[id]` is whole.
    float16:    values as half-precision numbers: half the space, three digits.
    resume:     goes on with the run in the directory; False: refuses where there is one.
    batch_size: as for a method; "auto" is found before the first row, and kept for the whole run.
    shard_rows: rows of a shard; None: as many as make about 32 MB, from 16 to 16384.
    most_failed: share of rows that may fail; more end the run.
    progress:   a bar with rows, rate and time left, on stderr.
    score, at:  as for a method.
    engine:     None: this process. "ray", or tfxai.data.Ray(workers=8, gpus=1): processes on one machine or many, which write the
                shards into the same directory; this process reads the data and hands them out. The bytes depend on the threads that
                each worker has, not on how many workers there are.

    Rows that are NaN, cannot be read, or get no finite score are written down with the reason. Ctrl-C ends the run after the shard
    in hand; a second one at once.

    Raises ValueError if an argument does not fit, the directory holds another run (it names the first difference), another process
    writes into it, no row of the first shard can be explained, or too many fail. OSError if the disk is full: what was written
    stays.
    """
    directory = Path(directory)
    methods = named_methods(method)
    source = source_of(data, model, ids)
    parts = iter(source.parts)
    first = next(parts, None)
    if first is None:
        raise ValueError("The data hold no rows.")
    _check_baselines(methods, first)
    kept = Kept(keep, keep_inputs, float16)
    batch_size = header.batch_size_of(directory, batch_size, methods, model, first_row(first))
    head = header.header_of(
        methods,
        model,
        first_row(first),
        targets=targets,
        score=score,
        at=at,
        keep=keep,
        keep_inputs=keep_inputs,
        float16=float16,
        batch_size=batch_size,
        shard_rows=shard_rows or _rows_of_a_shard(directory, first),
        prepared=source.prepared,
    )
    how = Ray() if isinstance(engine, str) else engine
    if how is not None:
        head["environment"] |= how.threads
    _make_folders(directory)
    with locking.held(directory):
        finished = _begun(directory, head, resume, source.total)
        call, of_rows = {"score": score, "at": at}, RowTargets(targets, source.total)
        check_answers(directory, methods, model, next(placed([first])), of_rows, call)
        plan = Plan(directory.absolute(), head, methods, batch_size, call, kept)
        run = _Run(plan, _engine_of(how), of_rows, source.ids, most_failed, finished)
        run(model, _with_first(first, parts), progress)
    return open_results(directory)


def _make_folders(directory: Path) -> None:
    """Raises OSError, with what to do, if there can be none."""
    try:
        (directory / shards.FOLDER).mkdir(parents=True, exist_ok=True)
        (directory / ".lock").touch()
    except OSError as error:
        words = f"{error.strerror}: a run needs a folder that it may write into. tfxai.open_results reads one without writing"
        raise OSError(error.errno, words, str(directory)) from None


def _engine_of(how: Ray | None) -> Callable[..., Generator[Done]]:
    return done_here if how is None else functools.partial(done_on_ray, how)


def _check_baselines(methods: Mapping[str, Method], first: Rows) -> None:
    """Raises ValueError if a baseline has an entry for each example: which rows those are, a shard does not know."""
    axes = np.ndim(flatten(first.inputs)[0][0])
    for name, method in methods.items():
        baseline: Any = getattr(method, "baseline", None)
        shape: list[int] = list(baseline.shape) if hasattr(baseline, "shape") else []
        if len(shape) == axes and shape[0] > 1:
            raise ValueError(
                f"{name}: baseline has the shape {tuple(shape)}, one for each example. Give one for all, or explain these "
                "examples without a data set."
            )


def _rows_of_a_shard(directory: Path, first: Rows) -> int:
    """As the run was begun with; of a new one a power of two, of the size of one row alone."""
    if (saved := header.read(directory)) is not None:
        return int(saved["settings"]["shard_rows"])
    size = sum(np.asarray(array[:1]).nbytes + 4 * array[:1].size for array in flatten(first.inputs)[0])
    return int(2 ** np.clip(np.floor(np.log2(SHARD / max(size, 1))), np.log2(FEWEST), np.log2(MOST)))


def _with_first(first: Rows, rest: Iterator[Rows]) -> Iterator[Rows]:
    yield first
    yield from rest


def _begun(directory: Path, head: Mapping[str, Any], resume: bool, total: int | None) -> bool:
    """Checks the header, if one is there; whether the run is finished.

    Raises ValueError if the directory holds another run, or one that is not to go on.
    """
    saved = header.read(directory)
    if saved is None:
        if shards.numbers_in(directory):
            raise ValueError(f"{directory} has shards, and no {header.FILE}. Give another directory.")
        return False
    header.tidy(directory)
    if not resume:
        raise ValueError(f"{directory} holds a run. Give another directory, or resume=True.")
    header.check_same(saved, head, directory)
    try:
        told = json.loads((directory / FINISHED).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    if total not in (None, told["rows"]):
        raise ValueError(
            f"The run in {directory} is finished, with {told['rows']} rows, and the data hold {total}. Give another directory."
        )
    return told["shards"] == len(shards.numbers_in(directory))  # else somebody took one away


@dataclasses.dataclass
class _Run:
    """One run: reads, explains and writes at the same time.

    engine: who does the tasks; called with the plan, the model, the tasks and whether any row was explained before.
    ids: all of them, where they are known before the data are read. finished: nothing is left to do.
    """

    plan: Plan
    engine: Callable[[Plan, Model, Iterator[Task], bool], Generator[Done]]
    targets: RowTargets
    ids: NDArray | None
    most_failed: float
    finished: bool

    def __call__(self, model: Model, parts: Iterable[Rows], progress: bool) -> None:
        """Explains what is not there yet, and says in the end how much there is."""
        directory, total = self.plan.directory, self.targets.total
        ahead = still_to_do(
            parts,
            directory,
            self.plan.head["settings"]["shard_rows"],
            known=self.ids,
            total=total,
            by_position=self.targets.by_position,
            finished=self.finished,
        )
        tasks = (Task(number, rows, self.targets.of(rows)) for number, rows in ahead)
        done, failed = self._there()
        with (
            asked_to_stop() as stop,
            progress_bar(progress, "Explaining", total, "rows") as advance,
            contextlib.closing(read_ahead(tasks, stop)) as wanted,
            contextlib.closing(self.engine(self.plan, model, wanted, done > failed)) as finished,
        ):
            advance(done)
            for shard in finished:
                done, failed = done + shard.rows, failed + shard.failed
                advance(shard.rows)
                self._check_failures(done, failed, ENOUGH if total is None else total)
            if stop.is_set():
                raise KeyboardInterrupt(
                    f"Ended after {done} rows. The same call goes on from there ({directory})."
                )
        if not self.finished:
            self._finish()

    def _there(self) -> tuple[int, int]:
        """Rows that are written already, and how many of them failed."""
        done, failed = 0, 0
        for which in shards.numbers_in(self.plan.directory):
            shard = shards.Shard(self.plan.directory, which)
            done, failed = done + len(shard), failed + shard.told["failed"]
            shard.close()
        return done, failed

    def _check_failures(self, done: int, failed: int, expected: int) -> None:
        """expected: rows of which a share may fail."""
        if failed > self.most_failed * max(done, expected):
            raise ValueError(
                f"{failed} of {done} rows could not be explained, more than most_failed={self.most_failed:g} allows. The reasons are in "
                f"tfxai.open_results({str(self.plan.directory)!r}).failures()."
            )

    def _finish(self) -> None:
        header.tidy(self.plan.directory)  # a worker may have died meanwhile
        done, failed = self._there()
        self._check_failures(done, failed, done)
        if failed:
            warn(
                f"{failed} of {done} rows could not be explained; the reasons are in the results' failures()."
            )
        told = {"rows": done, "failed": failed, "shards": len(shards.numbers_in(self.plan.directory))}
        with whole_file(self.plan.directory / FINISHED, sync=True) as part:
            part.write_text(json.dumps(told))
