"""One shard explained: rows that cannot be explained are found, told with the reason, and left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.data.rows import Rows, not_finite
from tfxai.engines import Method
from tfxai.inputs import flatten, pack
from tfxai.predictions import probabilities
from tfxai.results import Explanation
from tfxai.scores import Targets, Top
from tfxai.support import BatchSize, Model, first_line, is_file_name, snake_case, warn

PROBED = 16  # rows that are tried alone, to tell an error of the call from one of the rows
REFUSED = (ValueError, tf.errors.InvalidArgumentError)  # what a method or a model says of inputs


@dataclasses.dataclass(frozen=True)
class Explained:
    """What one method gave of a shard.

    explanation: of the rows that could be explained; None if there are none.
    rows:        their numbers in the shard.
    failed:      number of each other row -> the reason.
    predicted:   (len(rows),) the class that the model gives each; None where it gives none.
    """

    explanation: Explanation | None
    rows: NDArray[np.int64]
    failed: dict[int, str]
    predicted: NDArray[np.int64] | None = None


@dataclasses.dataclass
class Explaining:
    """A method on a model, shard by shard.

    batch_size: rows at once, or "auto", which a method resolves; a number is halved for good, with one warning, where the memory does not suffice.
    proven:     whether any row was explained: until then what all rows fail by is an error of the call, not of the rows.
    """

    method: Method
    model: Model
    batch_size: BatchSize
    call: dict[str, Any]
    proven: bool = False

    def __call__(self, rows: Rows, targets: Targets) -> Explained:
        """targets: one for all rows, or an array with one entry for each.

        Raises ValueError if no row of the first shard can be explained.
        """
        failed = dict(rows.broken)
        wanted = np.array([row for row in range(len(rows)) if row not in failed], int)
        explanation = self._of(rows, targets, wanted)
        if isinstance(explanation, Exception):
            wanted = self._without_bad(rows, targets, wanted, explanation, failed)
            explanation = self._of(rows, targets, wanted) if len(wanted) else None
            if isinstance(explanation, Exception):  # rows that fail together only
                raise explanation
        if explanation is not None:
            bad = ~np.atleast_1d(np.isfinite(explanation.scores.reshape(len(wanted), -1)).all(axis=1))
            failed |= {int(row): "The model's score is not a finite number." for row in wanted[bad]}
            if bad.any():
                explanation, wanted = explanation[~bad] if not bad.all() else None, wanted[~bad]
        self.proven |= explanation is not None
        return Explained(explanation, wanted, failed)

    def _of(self, rows: Rows, targets: Targets, wanted: NDArray) -> Explanation | Exception | None:
        """The explanation of some rows, or what the method or the model has against them."""
        if not len(wanted):
            return None
        whole = len(wanted) == len(rows)
        inputs = rows.inputs if whole else rows[wanted].inputs
        chosen = targets[wanted] if isinstance(targets, np.ndarray) and not whole else targets
        before = self.batch_size
        while True:
            try:
                found = self.method(self.model, inputs, chosen, batch_size=self.batch_size, **self.call)
                break
            except MemoryError:
                if isinstance(self.batch_size, str) or self.batch_size == 1:
                    raise
                self.batch_size //= 2
            except REFUSED as error:
                return error
        if self.batch_size != before:
            warn(
                f"The memory does not suffice. The run goes on with {self.batch_size} rows at once; last digits of what comes now "
                "may differ from those of another batch size."
            )
        return found

    def _without_bad(
        self, rows: Rows, targets: Targets, wanted: NDArray, error: Exception, failed: dict[int, str]
    ) -> NDArray:
        """The rows without those that cannot be explained, whose reasons go into `failed`.

        Raises the error if no row was ever explained, and it is one of the call.
        """

        def explain(some: NDArray) -> Explanation | Exception | None:
            return self._of(rows, targets, some)

        bad = not_finite(rows[wanted].inputs)
        if bad.any() and (self.proven or not bad.all()) and isinstance(explain(wanted[bad][:1]), Exception):
            # Most of the time it is numbers that are none, which are found without a call for each row.
            failed |= {int(row): "The inputs hold NaN or infinite numbers." for row in wanted[bad]}
            wanted = wanted[~bad]
            again = explain(wanted)
            if not isinstance(again, Exception):
                return wanted
            error = again
        if not self.proven and _is_of_the_call(explain, wanted):
            raise error
        good = _halved(wanted, explain, failed)
        if not self.proven and not len(good):
            raise error
        return good


@dataclasses.dataclass(frozen=True)
class ExplainingAll:
    """Several methods, by name: each row is explained by all of them or by none."""

    each: dict[str, Explaining]

    @classmethod
    def of(
        cls,
        methods: Mapping[str, Method],
        model: Model,
        batch_size: BatchSize,
        call: dict[str, Any],
    ) -> ExplainingAll:
        """call: what every method is called with."""
        return cls({name: Explaining(method, model, batch_size, call) for name, method in methods.items()})

    def __call__(self, rows: Rows, targets: Targets, proven: bool) -> dict[str, Explained]:
        """proven: whether any row of the data set was explained, here or elsewhere.

        Raises ValueError if no row was before, and none can be now.
        """
        found = {}
        for name, explaining in self.each.items():
            explaining.proven |= proven
            try:
                found[name] = explaining(rows, targets)
            except ValueError as error:
                raise type(error)(f"{name}: {error}" if len(self.each) > 1 else str(error)) from error
        good = np.arange(len(rows))
        for each in found.values():
            good = np.intersect1d(good, each.rows)
        found = {name: _narrowed(each, good, found) for name, each in found.items()}
        predicted = self._predicted(rows, targets, found)
        return {name: dataclasses.replace(each, predicted=predicted) for name, each in found.items()}

    def _predicted(
        self, rows: Rows, targets: Targets, found: Mapping[str, Explained]
    ) -> NDArray[np.int64] | None:
        """The classes of rows that were explained; a pass of the model where others were asked for."""
        first, explaining = next(iter(found.values())), next(iter(self.each.values()))
        if first.explanation is None:
            return None
        if targets is None or isinstance(targets, Top):  # the best ranked come first
            best = first.explanation.targets.reshape(len(first.rows), -1)[:, 0]
            return None if (best < 0).any() else best.astype(np.int64)
        try:
            inputs = rows[first.rows].inputs
            shares = probabilities(explaining.model, inputs, batch_size=explaining.batch_size)
        except ValueError:  # no classes, or several outputs with them
            return None
        return shares.argmax(axis=1) if shares.shape[1] > 1 else None


def named_methods(method: Any) -> dict[str, Method]:
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
    own = ("id", "position", "failed", "label", "inputs", "predicted")
    if bad := [
        name
        for name in named
        if not isinstance(name, str)
        or not name.strip()
        or "." in name
        or name in own
        or not is_file_name(name)
    ]:
        raise ValueError(
            f"A method is named {bad[0]!r}. Give a word that can be the name of a file, without dots, and none of {', '.join(own)}."
        )
    return named


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


def _is_of_the_call(explain: Callable[[NDArray], Any], wanted: NDArray) -> bool:
    """Whether rows from everywhere fail by the same words, each alone: then all would, one by one, which may take long."""
    some = np.unique(np.linspace(0, len(wanted) - 1, PROBED).astype(int))
    words = [str(found) if isinstance(found := explain(wanted[[i]]), Exception) else None for i in some]
    return None not in words and len(set(words)) == 1


def _halved(wanted: NDArray, explain: Callable[[NDArray], Any], failed: dict[int, str]) -> NDArray[np.int64]:
    """Rows that can be explained: where some fail together, each half is tried."""
    found = explain(wanted)
    if not isinstance(found, Exception):
        return wanted
    if len(wanted) == 1:
        failed[int(wanted[0])] = first_line(found)
        return wanted[:0]
    middle = len(wanted) // 2
    return np.concatenate([_halved(part, explain, failed) for part in (wanted[:middle], wanted[middle:])])


def first_row(rows: Rows) -> Any:
    """Inputs of one row, from which a model can be built."""
    return pack(rows.inputs, [np.asarray(array[:1]) for array in flatten(rows.inputs)[0]])
