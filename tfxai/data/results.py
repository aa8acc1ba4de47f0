"""A run read back: single explanations, whole shards, arrays on disk, a table, a tf.data.Dataset."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.data import arrow_columns, header, shards
from tfxai.data.parquet import pyarrow
from tfxai.data.shards import Shard
from tfxai.results import Explanation
from tfxai.support import File, checked, whole_file

if TYPE_CHECKING:
    import pandas

FINISHED = "finished.json"  # how many rows there are; written behind the last shard
ALWAYS = ("id", "position", "failed", "label", "predicted")
PARTS = (
    "scores",
    "targets",
    "delta",
    "positive",
    "negative",
    "largest",
    "largest_at",
    "passes",
    "converged",
    "r2",
)
OPEN = 8  # shards whose files are held open


@checked
def open_results(directory: File) -> Results:
    """What `explain_dataset` wrote; also while it runs, and of a run that ended too early.

    Raises ValueError if there is no run.
    """
    path = Path(directory)
    head = header.read(path)
    if head is None:
        raise ValueError(f"There is no run in {directory}. Give a directory that explain_dataset wrote.")
    return Results(path, head)


class Results:
    """A run on disk. Nothing is read before it is asked for, and no more than one shard at a time.

    directory: where it lies. methods: their names. settings: with which it was begun.
    finished:  whether every row has been explained.
    """

    def __init__(self, directory: Path, head: dict[str, Any]) -> None:
        self.directory = directory
        self.methods = list(head["methods"])
        self.settings: dict[str, Any] = head["settings"]
        self._model: dict[str, Any] = head["model"]
        self.finished = (
            directory / FINISHED
        ).exists()  # before the shards are listed: what is finished has them all
        self._numbers = shards.numbers_in(directory)
        self._shard = functools.lru_cache(OPEN)(functools.partial(Shard, directory))
        sizes = (len(self._shard(number)) for number in self._numbers)
        self._ends = list(itertools.accumulate(sizes))

    def __len__(self) -> int:
        """How many rows are written, those that failed among them."""
        return self._ends[-1] if self._ends else 0

    def __repr__(self) -> str:
        state = "finished" if self.finished else "not finished"
        return f"Results({self.directory}: {', '.join(self.methods)}; {len(self)} rows, {state})"

    @functools.cached_property
    def ids(self) -> NDArray:
        """(rows,) every id, in the order of the shards."""
        found = [self._shard(number).column("id").to_pylist() for number in self._numbers]
        return np.array(
            [each for shard in found for each in shard],
            None if not found or not isinstance(found[0][0], str) else object,
        )

    @functools.cached_property
    def _row_of(self) -> dict[Any, int]:
        return {each: row for row, each in enumerate(self.ids.tolist())}

    def failures(self) -> dict[Any, str]:
        """Id -> why the row could not be explained."""
        found = {}
        for number in self._numbers:
            shard = self._shard(number)
            if shard.told["failed"]:
                pairs = zip(shard.column("id").to_pylist(), shard.column("failed").to_pylist(), strict=True)
                found |= {each: why for each, why in pairs if why is not None}
        return found

    def __contains__(self, id: Any) -> bool:
        return id in self._row_of

    def __getitem__(self, id: Any) -> Explanation | dict[str, Explanation]:
        """The explanation of one row; of several methods one for each, by name. Reads a few megabytes at most.

        Raises KeyError if there is no such row. ValueError if the row failed, with the reason, or its values were not kept.
        """
        found = {name: self.explanation(id, name) for name in self.methods}
        return found if len(found) > 1 else next(iter(found.values()))

    def explanation(self, id: Any, method: str | None = None, inputs: Any = None) -> Explanation:
        """The same of one method.

        method: its name; may be left out where there is one. inputs: of the row, (1, ...), where the run did not keep them.
        """
        method = self._method(method)
        key = id.item() if isinstance(id, np.generic) else id
        if key not in self._row_of:
            raise KeyError(f"There is no row with the id {id!r} in {self.directory}.")
        row = self._row_of[key]
        place = bisect.bisect_right(self._ends, row)
        shard = self._shard(self._numbers[place])
        within = row - (self._ends[place - 1] if place else 0)
        table = shard.row(self._wanted(shard, method), within)
        if (why := table["failed"][0].as_py()) is not None:
            raise ValueError(f"The row {id!r} could not be explained: {why}")
        before = shard.column("failed").slice(0, within).null_count  # those that were explained
        return self._made(shard, method, table, inputs=inputs, rows=np.array([before]))

    def shards(self, method: str | None = None, *, absent: bool = False) -> Iterator[Explanation]:
        """One shard after another, each as one explanation without the rows that failed; each is a call that can be verified.

        absent: where the run did not keep the inputs, do without: they are NaN.
        """
        yield from (explanation for _, explanation in self._each(self._method(method), absent=absent))

    def _each(self, method: str, absent: bool) -> Iterator[tuple[int, Explanation]]:
        """Each shard with anything explained, and its explanation."""
        for number in self._numbers:
            shard = self._shard(number)
            if shard.told["methods"][method] is None:
                continue
            table = shard.table(self._wanted(shard, method))
            table = table.filter(pyarrow().compute.is_null(table["failed"]))
            yield number, self._made(shard, method, table, absent=absent)

    def with_ids(self, method: str | None = None) -> Iterator[tuple[list[Any], Explanation]]:
        """The same, each with the ids of its rows; inputs that were not kept are NaN."""
        method = self._method(method)
        for number, explanation in self._each(method, absent=True):
            shard = self._shard(number)
            good = shard.column("failed").is_null().to_pylist()
            yield list(itertools.compress(shard.column("id").to_pylist(), good)), explanation

    def array(self, field: str = "values", method: str | None = None, out: File | None = None) -> NDArray:
        """One field of all rows that were explained, (rows, ...): "values", "scores", "targets", "delta", "inputs" ...

        out: a new .npy file, for what does not fit into memory: it is filled shard by shard, and the array is a memory map of it.

        Raises ValueError if the run has no such field, or several shapes of it.
        """
        method = self._method(method)
        if out is not None:
            return self._on_disk(Path(out), lambda: self._parts(field, method), field)
        parts = list(self._parts(field, method))
        if not parts:
            raise ValueError(f"No row of {self.directory} was explained.")
        _check_one_shape(parts, field)
        return np.concatenate(parts)

    def _parts(self, field: str, method: str) -> Iterator[NDArray]:
        """One field, shard by shard."""
        for number in self._numbers:
            shard = self._shard(number)
            told = shard.told["methods"][method]
            if told is not None:
                yield self._field(shard, method, told, field)

    def _on_disk(self, path: Path, parts: Callable[[], Iterator[NDArray]], field: str) -> NDArray:
        first = next(parts(), None)
        if first is None:
            raise ValueError(f"No row of {self.directory} was explained.")
        if first.dtype == object:
            raise ValueError(f"{field} holds words, which cannot be mapped into memory. Leave out out=.")
        rows = len(self) - sum(self._shard(number).told["failed"] for number in self._numbers)
        with whole_file(path) as part:
            told = {"descr": first.dtype.str, "fortran_order": False, "shape": (rows, *first.shape[1:])}
            with part.open("wb") as file:  # not through a memory map: a full disk would end the process there
                np.lib.format.write_array_header_2_0(file, told)
                for each in parts():
                    _check_one_shape([first, each], field)
                    file.write(np.ascontiguousarray(each, first.dtype).tobytes())
        return np.load(path, mmap_mode="r")

    def frame(self, method: str | None = None) -> pandas.DataFrame:
        """A row for each row: id, position, failed, label, predicted (-1 where it failed); target, score, delta; how much speaks for and against, the largest value.

        pandas is needed. polars reads the same with `polars.read_parquet(f"{directory}/rows/*.parquet")`.
        """
        method = self._method(method)
        tables = []
        for number in self._numbers:
            shard = self._shard(number)
            names = [*ALWAYS, *(f"{method}.{part}" for part in PARTS)]
            table = shard.table(names)
            tables.append(
                table.rename_columns([name.removeprefix(f"{method}.") for name in table.column_names])
            )
        if not tables:
            raise ValueError(f"{self.directory} holds no rows yet.")
        return pyarrow().concat_tables(tables, promote_options="default").to_pandas()

    def dataset(self, method: str | None = None) -> tf.data.Dataset:
        """Every row that was explained as a dict: "inputs", "values", "targets", "scores" and what else are arrays, row by row."""
        method = self._method(method)

        def rows() -> Iterator[dict[str, Any]]:
            for explanation in self.shards(method):
                fields = _arrays_of(explanation)
                for i in range(len(explanation)):
                    yield tf.nest.map_structure(lambda array, i=i: array[i], fields)

        first = next(self.shards(method), None)
        if first is None:
            raise ValueError(f"No row of {self.directory} was explained.")
        words = getattr(first, "tokens", None) is not None  # then shards may be of different widths

        def spec(array: NDArray) -> tf.TensorSpec:
            shape = [None] * (array.ndim - 1) if words else array.shape[1:]
            return tf.TensorSpec(shape, tf.string if array.dtype == object else array.dtype)

        signature = tf.nest.map_structure(spec, _arrays_of(first))
        return tf.data.Dataset.from_generator(rows, output_signature=signature)

    def _method(self, name: str | None) -> str:
        if name is None and len(self.methods) == 1:
            return self.methods[0]
        if name is None or name not in self.methods:
            raise ValueError(f"method is {name!r}. Give one of {', '.join(self.methods)}.")
        return name

    def _wanted(self, shard: Shard, method: str) -> list[str]:
        """Columns from which an explanation is made."""
        told = shard.told["methods"][method]
        fields = [] if told is None else [leaf["column"] for leaf in arrow_columns.leaves(told["fields"])]
        names = [each for field in fields for each in _columns_of(method, field)]
        return ["failed", *(name for name in names if name in shard.names)]

    def _field(self, shard: Shard, method: str, told: dict[str, Any], field: str) -> NDArray:
        known = {leaf["column"]: leaf for leaf in arrow_columns.leaves(told["fields"])}
        names = [name for name in _columns_of(method, field) if name in shard.names]
        if field not in known or not names:
            raise ValueError(f"There is no {field!r} in {self.directory}. There are: {', '.join(known)}.")
        table = shard.table(["failed", *names])
        table = table.filter(pyarrow().compute.is_null(table["failed"]))
        return arrow_columns.read(known[field], _by_field(table, method))

    def _made(
        self,
        shard: Shard,
        method: str,
        table: Any,
        *,
        inputs: Any = None,
        rows: NDArray | None = None,
        absent: bool = False,
    ) -> Explanation:
        """An explanation of the rows of a table.

        inputs: where the run did not keep them; absent: do without. rows: of all that the shard explained; None: all.
        """
        told = shard.told["methods"][method]
        missing = self._missing(shard, method, told)
        if missing and inputs is None and not absent:
            raise ValueError(
                f"The run in {self.directory} did not keep the inputs. Give those of the row: explanation(id, inputs=...)."
            )
        if missing:
            given = {"plain": inputs} if inputs is not None else _absent(told["fields"]["inputs"], len(table))
            told = {**told, "fields": {**told["fields"], "inputs": given}}
        made = arrow_columns.rebuilt(told, _by_field(table, method))
        if self.settings["keep"] == "summary":  # no call gives these again
            return made
        receipt = shards.receipt_of(self.directory, method, self._model, told["call"], rows)
        return dataclasses.replace(made, receipt=receipt)

    def _missing(self, shard: Shard, method: str, told: dict[str, Any]) -> list[str]:
        """Inputs that were not kept. Raises ValueError if values were not."""
        fields = [leaf["column"] for leaf in arrow_columns.leaves(told["fields"])]
        missing = [field for field in fields if _columns_of(method, field)[0] not in shard.names]
        if any(not _of_inputs(field) for field in missing):
            raise ValueError(
                f"The run in {self.directory} kept numbers of each text alone (keep={self.settings['keep']!r}): read frame()."
            )
        return missing


def _check_one_shape(parts: Sequence[NDArray], field: str) -> None:
    if len({part.shape[1:] for part in parts}) > 1:
        raise ValueError(f"{field} has another shape in each shard. Read shards().")


def _of_inputs(field: str) -> bool:
    return field.partition(".")[0] == "inputs"


def _columns_of(method: str, field: str) -> tuple[str, ...]:
    """The column of a field of an explanation, and that of its exponents."""
    return (
        (field,) if _of_inputs(field) else (f"{method}.{field}", f"{method}.{field}{arrow_columns.EXPONENT}")
    )


def _by_field(table: Any, method: str) -> dict[str, Any]:
    """The columns of a table by the fields of one method."""
    names = table.column_names
    return {
        name if _of_inputs(name) else name.removeprefix(f"{method}."): table[name].combine_chunks()
        for name in names
    }


def _absent(told: Any, rows: int) -> Any:
    """A description of inputs that says that they are not there."""
    if isinstance(told, dict) and "column" in told:
        return {**told, "absent": rows}
    if isinstance(told, dict):
        return {key: _absent(value, rows) for key, value in told.items()}
    return [_absent(item, rows) for item in told] if isinstance(told, list) else told


def _arrays_of(explanation: Explanation) -> dict[str, Any]:
    """Fields that are arrays, by name."""
    names = ("inputs", "values", "targets", "scores", "delta", "standard_error", "interval", "converged")
    fields = {name: getattr(explanation, name) for name in names}
    return {name: _structured(value) for name, value in fields.items() if value is not None}


def _structured(value: Any) -> Any:
    """As tf.data knows it: several in a tuple; where some are None, by their name or place."""
    if not isinstance(value, (dict, list, tuple)):
        return value
    named = value if isinstance(value, dict) else dict(enumerate(value))
    there = {key: array for key, array in named.items() if array is not None}
    return there if isinstance(value, dict) or len(there) < len(named) else tuple(value)
