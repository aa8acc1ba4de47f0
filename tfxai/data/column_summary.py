"""What each column of a table adds over all rows: means, quantiles and a sample, in one pass and constant memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, t

from tfxai.data.results import Results
from tfxai.results import Explanation, Stored
from tfxai.support import Count, checked

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
SAMPLE = 10_000  # rows of the sample, at most
NUMBERS = 2**22  # and of all its numbers together
RISK = 0.05


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ColumnSummary(Stored):
    """What each of F columns added to the scores of many rows. Draw it with `tfxai.plots.importance` and `beeswarm`.

    names:     of the columns.
    rows:      how many were summed up.
    mean:      (F,) of the values; magnitude: (F,) of their absolute values, the importance that shap calls global.
    levels:    (Q,) of the quantiles; quantiles: (F, Q) of the values.
    mean_interval, magnitude_interval: (F, 2); quantiles_interval: (F, Q, 2). Where that of infinitely many rows like these lies,
               each on its own, at 95 %: a t-interval, and ranks of the sample (binomial), which hold for any distribution.
    values, inputs: (S, F) a sample of rows, all where there are at most 10,000: each row is as likely to be in it as any other,
               whatever the order.
    """

    called = "summary of columns"

    names: list[str]
    rows: int
    mean: NDArray[np.float64]
    mean_interval: NDArray[np.float64]
    magnitude: NDArray[np.float64]
    magnitude_interval: NDArray[np.float64]
    levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    quantiles_interval: NDArray[np.float64]
    values: NDArray[np.float32]
    inputs: NDArray[np.float64]

    def __repr__(self) -> str:
        order = np.argsort(-self.magnitude)[:10]
        lines = [f"ColumnSummary({self.rows} rows)", f"  {'column':<20} {'mean |value|':>12} {'mean':>10}"]
        lines += [f"  {self.names[i]:<20.20} {self.magnitude[i]:>12.4g} {self.mean[i]:>10.4g}" for i in order]
        return "\n".join(lines)


@checked
def columns(
    explained: Explanation | Results | Iterable[Explanation],
    names: Sequence[str] | None = None,
    *,
    method: str | None = None,
    target: int | None = None,
    sample: Count = SAMPLE,
) -> ColumnSummary:
    """Over all rows: which columns count, and in which direction? One pass over the values, in constant memory.

    explained: an explanation of rows (N, F) or of inputs that are columns; a run, finished or not; or explanations in turn.
    names:     of the F columns; None: the names of the inputs, or numbers.
    method:    of a run with several.
    target:    only rows that were explained for this class; None: all, each for its own.
    sample:    rows that are kept for quantiles and `beeswarm`; fewer where there are very many columns.

    Of several targets for a row the first counts.

    Raises ValueError if rows are no columns, names do not fit, or there are no rows.
    """
    sums: Sums | None = None
    for explanation in explanations_in(explained, method):
        values, inputs, own = table_of(explanation)
        which = slice(None) if target is None else first_target(explanation.targets) == target
        if sums is None:
            sums = Sums(own if names is None else list(names), sample)
        sums.add(values[which].astype(np.float64), inputs[which])
    if sums is None or not sums.rows:
        raise ValueError(
            "There are no rows to sum up." if target is None else f"No row was explained for class {target}."
        )
    return sums.summary()


def explanations_in(
    explained: Explanation | Results | Iterable[Explanation], method: str | None
) -> Iterator[Explanation]:
    """One explanation after another, whatever holds them."""
    if isinstance(explained, Explanation):
        yield explained
    elif isinstance(explained, Results):
        yield from (explanation for _, explanation in explained.with_ids(method))
    else:
        yield from explained


def first_target(array: NDArray) -> NDArray:
    """(n,) of what each row has of its first target."""
    return array if array.ndim == 1 else array[:, 0]


def table_of(explanation: Explanation) -> tuple[NDArray, NDArray, list[str]]:
    """Values and inputs (N, F), side by side where columns are inputs of their own, and what they are called.

    At a layer: its units, whose own values are not known (NaN).

    Raises ValueError if these are no rows of columns.
    """
    if explanation.at is not None:
        return _units_of(explanation)
    structure, lead = explanation.inputs, explanation.targets.ndim
    named = dict(enumerate(structure)) if isinstance(structure, (list, tuple)) else structure
    keys: list[Any] = list(named) if isinstance(named, dict) else [None]
    values, inputs, names = [], [], []
    for key in keys:
        held: Any = explanation.values
        held = held if key is None else held[key]
        array = np.asarray(structure if key is None else structure[key])
        if held is None:
            continue
        if (
            array.ndim > 2
            or array.dtype.kind not in "iufb"
            or getattr(explanation, "tokens", None) is not None
        ):
            raise ValueError(
                f"{explanation.method} explains inputs {array.shape}, which are no rows of columns. Sum up maps with tfxai.data.class_maps."
            )
        first = np.asarray(held if lead == 1 else held[:, 0])
        values.append(first.reshape(len(array), -1))
        inputs.append(array.reshape(len(array), -1))
        width = inputs[-1].shape[1]
        names += (
            [str(key)]
            if key is not None and width == 1
            else [str(i) if key is None else f"{key} {i}" for i in range(width)]
        )
    return np.concatenate(values, 1), np.concatenate(inputs, 1), names


def _units_of(explanation: Explanation) -> tuple[NDArray, NDArray, list[str]]:
    held, lead = explanation.values, explanation.targets.ndim
    layers = held if isinstance(held, dict) else {str(explanation.at): np.asarray(held)}
    values = [np.asarray(each if lead == 1 else each[:, 0]) for each in layers.values()]
    if any(each.ndim != 2 for each in values):
        raise ValueError(
            f"The layer {explanation.at!r} has axes of its own. Sum up its maps with tfxai.data.class_maps."
        )
    names = [f"{name} {i}" for name, each in zip(layers, values, strict=True) for i in range(each.shape[1])]
    table = np.concatenate(values, 1)
    return table, np.full(table.shape, np.nan), names


class Sums:
    """Sums of values and of squares, and the rows whose numbers, mixed up, are the smallest."""

    def __init__(self, names: list[str], sample: int) -> None:
        self.names, self.rows = names, 0
        self._most = min(sample, max(NUMBERS // max(len(names), 1), 100))
        self._sums = np.zeros((2, 2, len(names)))  # value and magnitude; sum and squares about a first guess
        self._about: NDArray = np.zeros((2, len(names)))
        self._held = (np.zeros(0, np.uint64), np.zeros((0, len(names))), np.zeros((0, len(names))))

    def add(self, values: NDArray, inputs: NDArray) -> None:
        """More rows."""
        if values.shape[1] != len(self.names):
            raise ValueError(
                f"names has {len(self.names)} entries for {values.shape[1]} columns. Give one each."
            )
        if len(values):
            both = np.stack([values, np.abs(values)])
            # About the first mean: squares of large numbers would drown what differs between them.
            if not self.rows:
                self._about = both.mean(1)
            apart = both - self._about[:, None]
            self._sums += np.stack([apart.sum(1), (apart**2).sum(1)], 1)
            codes = _mixed(np.arange(self.rows, self.rows + len(values), dtype=np.uint64))
            self.rows += len(values)
            held = [np.concatenate(pair) for pair in zip(self._held, (codes, values, inputs), strict=True)]
            kept = np.argsort(held[0], kind="stable")[: self._most]
            self._held = tuple(each[kept] for each in held)

    def summary(self) -> ColumnSummary:
        """What came so far."""
        mean = self._sums[:, 0] / self.rows
        spread = np.sqrt(np.maximum(self._sums[:, 1] / self.rows - mean**2, 0) / max(self.rows - 1, 1))
        far = float(t.isf(RISK / 2, self.rows - 1)) if self.rows > 1 else np.inf
        half = np.where(spread > 0, spread * far, 0.0) if self.rows > 1 else np.full_like(spread, np.inf)
        means = self._about + mean
        ends = np.stack([means - half, means + half], -1)
        _, values, inputs = self._held
        quantiles, spans = _quantiles(values)
        return ColumnSummary(
            self.names,
            self.rows,
            means[0],
            ends[0],
            means[1],
            ends[1].clip(min=0),
            np.array(LEVELS),
            quantiles,
            spans,
            values.astype(np.float32),
            inputs.astype(np.float64),
        )


def _quantiles(sample: NDArray) -> tuple[NDArray, NDArray]:
    """(F, Q) quantiles of a sample (S, F), and their intervals by its ranks; infinite where it is too small to tell."""
    ordered, size = np.sort(sample, axis=0), len(sample)
    bounded = np.concatenate(
        [np.full((1, sample.shape[1]), -np.inf), ordered, np.full((1, sample.shape[1]), np.inf)]
    )
    low = binom.ppf(RISK / 2, size, LEVELS).astype(int)
    high = binom.isf(RISK / 2, size, LEVELS).astype(int) + 1
    spans = np.stack([bounded[low.clip(0)], bounded[high.clip(max=size + 1)]], -1)
    return np.quantile(ordered, LEVELS, axis=0).T, spans.transpose(1, 0, 2)


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Whole numbers in an order that has nothing to do with theirs (the finalizer of SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
