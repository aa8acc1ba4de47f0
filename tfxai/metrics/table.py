"""A table of methods by metrics: means, intervals, the best; to print, and to write as CSV or Markdown."""

from __future__ import annotations

import csv
import dataclasses
import functools
import itertools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfxai.stats import corrected, interval, paired

ALPHA = 0.05  # below which a difference counts as significant


@dataclasses.dataclass(frozen=True, eq=False)
class MethodTable:
    """Which method is best by which metric? Methods by metrics, over the same N examples.

    methods:          names of the rows; the last ones are the controls "random" and, for images and series, "edges".
    metrics:          names of the columns.
    higher_is_better: metric -> direction.
    values:           metric -> float32 (methods, N).
    seconds:          float64 (methods,): of the method alone, for each example; the first batch, in which models are
                      traced, does not count where there are more.
    """

    methods: list[str]
    metrics: list[str]
    higher_is_better: dict[str, bool]
    values: dict[str, NDArray[np.float32]]
    seconds: NDArray[np.float64]

    def mean(self, method: str, metric: str) -> float:
        """Over all examples that have a value. Raises ValueError if there is no such row or column."""
        return _mean(self._row(method, metric))

    def interval(self, method: str, metric: str) -> tuple[float, float]:
        """Low and high end of the 95 % bootstrap interval of the mean.

        Raises ValueError if there is no such row or column.
        """
        if (method, metric) not in self._intervals:
            row = self._row(method, metric)
            self._intervals[method, metric] = interval(row[np.isfinite(row)].astype(np.float64))
        return self._intervals[method, metric]

    @functools.cached_property
    def _intervals(self) -> dict[tuple[str, str], tuple[float, float]]:
        return {}  # bootstrap takes a moment, and every way of showing the table asks again

    @property
    def best(self) -> dict[str, str | None]:
        """metric -> the method that is certainly ahead of every other one, by `ranks`; None where there is none."""
        return {metric: self._best(metric) for metric in self.metrics}

    def _best(self, metric: str) -> str | None:
        ranks = self.ranks(metric)
        return next((name for name, rank in ranks.items() if rank == (1, 1) and len(ranks) > 1), None)

    def ranks(self, metric: str) -> dict[str, tuple[int, int]]:
        """Method -> the best and the worst rank that it can have, counted from 1; all hold together at 95 %.

        A rank is certain as far as paired t-tests between the method and the others tell, example by example, corrected for how
        many pairs of methods there are (Holm); metrics are not corrected for. Methods without a value are left out.

        Raises ValueError if there is no such column.
        """
        if metric not in self._ranks:
            self._ranks[metric] = self._possible_ranks(metric)
        return self._ranks[metric]

    @functools.cached_property
    def _ranks(self) -> dict[str, dict[str, tuple[int, int]]]:
        return {}

    def _possible_ranks(self, metric: str) -> dict[str, tuple[int, int]]:
        rows = {method: self._row(method, metric).astype(np.float64) for method in self.methods}
        rows = {method: row for method, row in rows.items() if np.isfinite(row).any()}
        pairs = list(itertools.combinations(rows, 2))
        sign = 1 if self.higher_is_better[metric] else -1
        tests = [_compared(sign * rows[first], sign * rows[second]) for first, second in pairs]
        significant = corrected([p for _, p in tests], "holm") < ALPHA
        ahead = [
            pair if gain > 0 else pair[::-1]
            for pair, (gain, _), certain in zip(pairs, tests, significant, strict=True)
            if certain
        ]
        winners, losers = [first for first, _ in ahead], [second for _, second in ahead]
        return {method: (1 + losers.count(method), len(rows) - winners.count(method)) for method in rows}

    def to_csv(self, path: str | Path) -> Path:
        """Writes mean, low and high of every metric, and seconds, a line for each method; returns the path."""
        path = Path(path)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(
                ["method", *(f"{m}{end}" for m in self.metrics for end in ("", "_low", "_high")), "seconds"]
            )
            for method, seconds in zip(self.methods, self.seconds, strict=True):
                cells = [n for m in self.metrics for n in (self.mean(method, m), *self.interval(method, m))]
                writer.writerow([method, *(f"{n:.6g}" for n in cells), f"{seconds:.4g}"])
        return path

    def to_markdown(self) -> str:
        """The table as GitHub and notebooks show it; what is certainly best is bold."""
        heads, rows = self._cells("**{}**")
        lines = [
            " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells)
            for cells in (heads, *rows)
        ]
        return "\n".join(f"| {line} |" for line in (lines[0], " | ".join(["---"] * len(heads)), *lines[1:]))

    def _repr_html_(self) -> str:
        """The chart and the table, for notebooks."""
        from tfxai import plots  # only when it is looked at: they load matplotlib
        from tfxai.plots import notebook

        return notebook.inlined(plots.leaderboard(self), repr(self))

    def __repr__(self) -> str:
        heads, rows = self._cells()
        widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [heads, *rows]
        ]
        count = next(iter(self.values.values())).shape[1]
        note = (
            f"{count} examples; mean and 95 % interval; * certainly better than every other one (p < {ALPHA})"
        )
        return "\n".join([*lines, note])

    def _cells(self, marked: str = "{} *") -> tuple[list[str], list[list[str]]]:
        """Heads, and a list of texts for each method; `marked` is put around the best."""
        arrows = {metric: "↑" if self.higher_is_better[metric] else "↓" for metric in self.metrics}
        heads = ["method", *(f"{metric} {arrow}" for metric, arrow in arrows.items()), "seconds"]
        best = self.best
        rows = []
        for method, seconds in zip(self.methods, self.seconds, strict=True):
            cells = [
                marked.format(self._cell(method, metric))
                if best[metric] == method
                else self._cell(method, metric)
                for metric in self.metrics
            ]
            rows.append([method, *cells, f"{seconds:.3g}"])
        return heads, rows

    def _cell(self, method: str, metric: str) -> str:
        low, high = self.interval(method, metric)
        span = "" if np.isnan(low) else f" ({low:.3g} to {high:.3g})"
        return f"{self.mean(method, metric):.3g}{span}"

    def _row(self, method: str, metric: str) -> NDArray:
        if method not in self.methods or metric not in self.metrics:
            raise ValueError(
                f"There is no row {method!r} or column {metric!r}. Rows: {', '.join(self.methods)}; columns: "
                f"{', '.join(self.metrics)}."
            )
        return self.values[metric][self.methods.index(method)]


def _mean(row: NDArray) -> float:
    known = row[np.isfinite(row)]
    return float(known.mean()) if known.size else float("nan")


def _compared(first: NDArray, second: NDArray) -> tuple[float, float]:
    """By how much the first is better, over the examples where both have a value, and the p-value of no difference."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < 3:
        return 0.0, 1.0
    gain = float((first - second)[both].mean())
    agrees = (
        gain * (_mean(first) - _mean(second)) > 0
    )  # with the means over all that each has, which the table shows
    return gain, paired(first[both], second[both]) if agrees else 1.0
