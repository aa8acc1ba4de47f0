"""A data set explained from its first row to its last, into a directory, from which it can go on."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfxai.data import header, locking, shards
from tfxai.data.explaining import Explained, Explaining, first_row
from tfxai.data.kept import Kept
from tfxai.data.results import FINISHED, Results, open_results
from tfxai.data.resuming import is_same, still_to_do
from tfxai.data.rows import Rows, in_shards, placed
from tfxai.data.sources import source_of
from tfxai.engines import Method
from tfxai.inputs import flatten
from tfxai.model import At
from tfxai.scores import Score, Targets
from tfxai.support import Count, File, Model, checked, number, progress_bar, snake_case, warn, whole_file

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
    batch_size: Count = 32,
    shard_rows: Count | None = None,
    most_failed: Annotated[float, number(least=0, most=1)] = 0.1,
    progress: bool = True,
    score: str | Score | None = None,
    at: At = None,
) -> Results:
    """Explains every row of a data set, writes shards into a directory, and goes on there after whatever ended it.

    A shard is one Parquet file that is there whole or not at all. Killed at any moment and called again, the run leaves the bytes
    that it would have left undisturbed. Memory does not grow with the number of rows: three shards are held, one that is read, one that is explained, and
    one that is written, at the same time. Each shard is one call of the method, so its values are those of `method(model, inputs)` for these rows.

    method:     a method, several, or a dict that names them; all explain the rows in one pass over the data.
    data:       arrays or memory maps as the model takes them; a tf.data.Dataset, batched or not; a keras.utils.PyDataset; a
                generator of batches; the path of a folder of pictures, of a Parquet file or a folder of them; tfxai.data.Folder
                or Table. Elements are inputs, (inputs, labels), (inputs, labels, ids), or dicts with "label" and "id" beside
                the inputs.
    directory:  where the run lies; made if it is not there.
    targets:    as for a method; an array has an entry for each row; "label" explains the labels.
    ids:        by which rows are known, whole numbers or words; None: those of the data, else positions.
    keep:       "values"; "heatmap": summed over channels, without errors; "summary": of each map only how much speaks for and
                against the class, the largest value and where it is.
    keep_inputs: the inputs are written, too, so that `results[id]` is whole.
    float16:    values as half-precision numbers: half the space, three digits.
    resume:     goes on with the run in the directory; False: refuses where there is one.
    batch_size: as for a method.
    shard_rows: rows of a shard; None: as many as make about 32 MB, from 16 to 16384.
    most_failed: share of rows that may fail; more end the run.
    progress:   a bar with rows, rate and time left, on stderr.
    score, at:  as for a method.

    Rows that are NaN, cannot be read, or get no finite score are written down with the reason. Ctrl-C ends the run after the shard
    in hand; a second one at once.

    Raises ValueError if an argument does not fit, the directory holds another run (it names the first difference), another process
    writes into it, no row of the first shard can be explained, or too many fail. OSError if the disk is full: what was written
    stays.
    """
    directory = Path(directory)
    methods = _named(method)
    source = source_of(data, model, ids)
    parts = iter(source.parts)
    first = next(parts, None)
    if first is None:
        raise ValueError("The data hold no rows.")
    _check_baselines(methods, first)
    kept = Kept(keep, keep_inputs, float16)
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
        shard_rows=shard_rows or _rows_of_a_shard(first),
    )
    (directory / shards.FOLDER).mkdir(parents=True, exist_ok=True)
    with locking.held(directory):
        rows = head["settings"]["shard_rows"]
        if _begun(directory, head, resume, source.total):
            _check_first(directory, _with_first(first, parts), rows)
            return open_results(directory)
        call = {"score": score, "at": at}
        run = _Run(
            directory,
            head,
            {name: Explaining(each, model, batch_size, call) for name, each in methods.items()},
            targets,
            kept,
            most_failed,
            source.total,
        )
        run(_with_first(first, parts), rows, progress)
    return open_results(directory)


def _named(method: Any) -> dict[str, Method]:
    """Methods by name. Raises ValueError if one is none, or a name cannot be that of a column."""
    if isinstance(method, Mapping):
        named = dict(method)
    else:
        several = list(method) if isinstance(method, (list, tuple)) else [method]
        named = {}
        for each in several:
            name = snake_case(type(each).__name__)
            if name in named:
                raise ValueError(f"Two methods are called {name}. Name them: a dict of methods.")
            named[name] = each
    wrong = [each for each in named.values() if not isinstance(each, Method)]
    if wrong or not named:
        raise ValueError(
            f"method is {wrong[0] if wrong else method!r}. Give a method such as tfxai.GradCAM(), a list or a dict of them."
        )
    own = ("id", "position", "failed", "label", "inputs")
    if bad := [name for name in named if not isinstance(name, str) or not name or "." in name or name in own]:
        raise ValueError(
            f"A method is named {bad[0]!r}. Give a word without dots, and none of {', '.join(own)}."
        )
    return named


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


def _rows_of_a_shard(first: Rows) -> int:
    """A power of two, of the size of one row alone: the same whenever the run goes on."""
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
    for pattern in (
        "rows/.shard-*.[0-9]*.parquet",
        ".run.[0-9]*.json",
        ".finished.[0-9]*.json",
        ".*.receipt.[0-9]*.npz",
    ):
        for part in directory.glob(pattern):
            part.unlink()  # of a process that died while it wrote
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
    """One run: reads, explains and writes at the same time."""

    directory: Path
    head: Mapping[str, Any]
    methods: Mapping[str, Explaining]
    targets: Targets | str
    kept: Kept
    most_failed: float
    total: int | None

    def __call__(self, parts: Iterable[Rows], size: int, progress: bool) -> None:
        """Explains what is not there yet, and says in the end how much there is."""
        ahead = still_to_do(parts, self.directory, size, self._are_by_position())
        done, failed = self._there()
        for explaining in self.methods.values():
            explaining.proven = done > failed
        reader, writer = (concurrent.futures.ThreadPoolExecutor(1) for _ in range(2))
        with (
            _asked_to_stop() as stop,
            progress_bar(progress, "Explaining", self.total, "rows") as advance,
            _left_alone(reader),
            writer,
        ):
            advance(done)
            waiting, writing = reader.submit(next, ahead, None), None
            while (shard := _as_it_comes(waiting, stop)) is not None:
                waiting = reader.submit(next, ahead, None)
                which, rows = shard
                found = self._explained(rows)
                if writing is not None:
                    writing.result()
                writing = writer.submit(self._write, which, rows, found)
                done, failed = done + len(rows), failed + len(next(iter(found.values())).failed)
                advance(len(rows))
                self._check_failures(done, failed, ENOUGH if self.total is None else self.total, writing)
            if writing is not None:
                writing.result()
            if stop.is_set():
                raise KeyboardInterrupt(
                    f"Ended after {done} rows. The same call goes on from there ({self.directory})."
                )
        self._finish()

    def _write(self, number: int, rows: Rows, found: Mapping[str, Explained]) -> None:
        """A shard; before the first one what the run was begun with, so that a call that fails leaves nothing behind."""
        if not (self.directory / header.FILE).exists():
            header.write(self.directory, self.head)
        shards.write(self.directory, number, rows, found, self.kept)

    def _explained(self, rows: Rows) -> dict[str, Explained]:
        """By each method, the rows that all of them can explain."""
        targets = self._targets_of(rows)
        found = {}
        for name, explaining in self.methods.items():
            try:
                found[name] = explaining(rows, targets)
            except ValueError as error:
                raise type(error)(f"{name}: {error}" if len(self.methods) > 1 else str(error)) from error
        good = np.arange(len(rows))
        for each in found.values():
            good = np.intersect1d(good, each.rows)
        return {name: _narrowed(each, good, found) for name, each in found.items()}

    def _are_by_position(self) -> bool:
        return hasattr(self.targets, "__len__") and not isinstance(self.targets, (str, tuple))

    def _targets_of(self, rows: Rows) -> Any:
        if isinstance(self.targets, str):
            labels = rows.labels
            if labels is None or labels.dtype.kind not in "iu" or labels.shape[1:] not in ((), (1,)):
                told = "no labels" if labels is None else f"labels {labels.shape} of {labels.dtype}"
                raise ValueError(
                    f'targets="label", and the data give {told}. Give a class for each row: of one-hot labels labels.argmax(-1).'
                )
            return labels.reshape(-1).astype(int)
        if not self._are_by_position():
            return self.targets
        chosen = np.asarray(self.targets)
        assert rows.positions is not None
        if chosen.ndim == 0:
            return self.targets
        if (rows.positions >= len(chosen)).any() or self.total not in (None, len(chosen)):
            raise ValueError(
                f"{len(chosen)} targets came for {self.total or 'more'} rows. Give one for each row, or one int for all."
            )
        return chosen[rows.positions]

    def _there(self) -> tuple[int, int]:
        """Rows that are written already, and how many of them failed."""
        done, failed = 0, 0
        for which in shards.numbers_in(self.directory):
            shard = shards.Shard(self.directory, which)
            done, failed = done + len(shard), failed + shard.told["failed"]
            shard.close()
        return done, failed

    def _check_failures(
        self, done: int, failed: int, expected: int, writing: concurrent.futures.Future[None] | None = None
    ) -> None:
        """expected: rows of which a share may fail."""
        if failed > self.most_failed * max(done, expected):
            if writing is not None:
                writing.result()
            raise ValueError(
                f"{failed} of {done} rows could not be explained, more than most_failed={self.most_failed:g} allows. The reasons are in "
                f"tfxai.open_results({str(self.directory)!r}).failures()."
            )

    def _finish(self) -> None:
        done, failed = self._there()
        self._check_failures(done, failed, done)
        if failed:
            warn(
                f"{failed} of {done} rows could not be explained; the reasons are in the results' failures()."
            )
        told = {"rows": done, "failed": failed, "shards": len(shards.numbers_in(self.directory))}
        with whole_file(self.directory / FINISHED, sync=True) as part:
            part.write_text(json.dumps(told))


def _check_first(directory: Path, parts: Iterable[Rows], size: int) -> None:
    """Raises ValueError if the first rows of a finished run were others, and have no ids by which they may stand elsewhere."""
    first = next(in_shards(placed(parts), size))
    if first.ids is None and not is_same(directory, 0, first):
        raise ValueError(
            f"The run in {directory} is finished, and the first rows of the data are not those that it explained. Give another directory."
        )


def _as_it_comes(waiting: concurrent.futures.Future[Any], stop: threading.Event) -> Any:
    """What is waited for; None once a person has asked to stop."""
    while not stop.is_set():
        with contextlib.suppress(concurrent.futures.TimeoutError):
            return waiting.result(timeout=0.2)
    return None


@contextlib.contextmanager
def _left_alone(reader: concurrent.futures.ThreadPoolExecutor) -> Iterator[None]:
    """In the end nobody waits for what it still reads."""
    try:
        yield
    finally:
        reader.shutdown(wait=False, cancel_futures=True)


def _narrowed(found: Explained, good: NDArray, all_found: Mapping[str, Explained]) -> Explained:
    """What is left of it where all methods explain the same rows."""
    reasons: dict[int, dict[str, str]] = {}
    for name, each in all_found.items():
        for row, why in each.failed.items():
            reasons.setdefault(row, {})[name] = why
    failed = {
        row: whys.pop()
        if len(whys := set(told.values())) == 1 and len(told) == len(all_found)
        else _listed(told)
        for row, told in sorted(reasons.items())
    }
    explanation = found.explanation
    if explanation is not None and len(good) < len(found.rows):
        explanation = explanation[np.isin(found.rows, good)] if len(good) else None
    return Explained(explanation, good, failed)


def _listed(told: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in told.items())


@contextlib.contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one interrupts at once. Elsewhere than in the main thread nothing changes."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.getsignal(signal.SIGINT)

    def asked(*_: Any) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, asked)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
