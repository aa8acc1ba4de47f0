"""Two runs beside each other, such as last month's and today's: in what do the reasons differ?"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats as tests

from tfxai.data.column_summary import ColumnSummary, Sums, explanations_in, first_target, table_of
from tfxai.data.kept import maps_of
from tfxai.data.results import Results
from tfxai.results import Explanation, Stored
from tfxai.stats import corrected
from tfxai.support import checked

RISK = 0.05
CELLS = 4  # along each axis of a map
SAMPLE = 10_000
RARE = 10  # rows of a class in both runs; rarer ones are counted together


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Drift(Stored):
    """How the explanations of two runs differ, quantity by quantity.

    names:     of Q quantities: "score"; of tables "column NAME", its value; of maps "evidence" (the sum of all magnitudes) and the share of it
               in each cell of a coarse grid, 0 to 1.
    rows, reference_rows: how many were compared.
    means, reference_means: (Q,).
    distances: (Q,) largest difference of the two distribution functions (Kolmogorov and Smirnov), 0 to 1: how much differs.
    p_values:  (Q,) whether it may be chance; all of them and `class_p_value` corrected together by Holm's rule.
    classes:   (C,) that were explained; shares: (C, 2) of the rows, of the reference and now.
    class_p_value: whether their shares may differ by chance (chi-squared; classes with few rows together).
    """

    called = "drift"

    names: list[str]
    rows: int
    reference_rows: int
    means: NDArray[np.float64]
    reference_means: NDArray[np.float64]
    distances: NDArray[np.float64]
    p_values: NDArray[np.float64]
    classes: NDArray[np.int64]
    shares: NDArray[np.float64]
    class_p_value: float

    @property
    def drifted(self) -> list[str]:
        """What differs by more than chance, at 5 % for all together; the largest distance first. "classes" are their shares."""
        order = np.argsort(-self.distances, kind="stable")
        found = [self.names[i] for i in order if self.p_values[i] < RISK]
        return [*found, "classes"] if self.class_p_value < RISK else found

    def __repr__(self) -> str:
        lines = [f"Drift({len(self.drifted)} of {len(self.names) + 1} quantities differ by more than chance)"]
        for name in self.drifted[:10]:
            if name == "classes":
                lines.append(f"  shares of the classes (p {self.class_p_value:.2g})")
                continue
            i = self.names.index(name)
            lines.append(
                f"  {name}: {self.reference_means[i]:.4g} -> {self.means[i]:.4g}, distance {self.distances[i]:.3f} "
                f"(p {self.p_values[i]:.2g})"
            )
        return "\n".join(lines)


@checked
def drift(
    explained: Explanation | Results | Iterable[Explanation],
    reference: Explanation | Results | Iterable[Explanation],
    *,
    method: str | None = None,
) -> Drift:
    """Do the explanations of two runs differ by more than chance, and in what? One pass over each, in constant memory.

    Rows of each run are taken as a sample; the runs need not hold the same rows. Distributions are compared on 10,000 rows of each
    run, drawn evenly; with so many small differences are certain, so look at `distances`, too: 0.05 is little.

    explained, reference: explanations, runs, finished or not, or explanations in turn. method: of runs with several.

    Raises ValueError if the runs explain other columns, or maps of another size, or one has no rows.

    Smirnov, 1948, Annals of Mathematical Statistics 19, p. 279; Holm, 1979, Scandinavian Journal of Statistics 6, p. 65.
    """
    now, counts = _summed(explained, method)
    before, counts_before = _summed(reference, method)
    if now.names != before.names:
        other = [name for name in now.names if name not in before.names] or now.names
        raise ValueError(
            f"One has {other[0]!r}, and the reference has {', '.join(before.names[:5])} ... Compare explanations by one method, of "
            "inputs of one shape."
        )
    pairs = zip(now.values.T, before.values.T, strict=True)
    found: list[Any] = [tests.ks_2samp(one, other, method="asymp") for one, other in pairs]
    classes = sorted({*counts, *counts_before})
    table = np.array([[each[name] for name in classes] for each in (counts_before, counts)], float)
    p_values = corrected([*(each.pvalue for each in found), _of_classes(table)], "holm")
    return Drift(
        now.names,
        now.rows,
        before.rows,
        now.mean,
        before.mean,
        np.array([each.statistic for each in found]),
        np.asarray(p_values[:-1], np.float64),
        np.array(classes),
        (table / table.sum(1, keepdims=True)).T,
        float(p_values[-1]),
    )


def _summed(explained: Any, method: str | None) -> tuple[ColumnSummary, collections.Counter[int]]:
    sums: Sums | None = None
    counts: collections.Counter[int] = collections.Counter()
    for explanation in explanations_in(explained, method):
        names, numbers = _numbers(explanation)
        if sums is None:
            sums = Sums(names, SAMPLE)
        elif sums.names != names:
            raise ValueError("Maps have several sizes. Compare maps of one size.")
        sums.add(numbers, numbers)
        counts.update(first_target(explanation.targets).tolist())
    if sums is None or not sums.rows:
        raise ValueError("There are no rows to compare.")
    return sums.summary(), counts


def _numbers(explanation: Explanation) -> tuple[list[str], NDArray[np.float64]]:
    """(Q,) names and (n, Q) numbers of each row, of its first target."""
    columns = {"score": first_target(explanation.scores).astype(np.float64)}
    try:
        values, _, names = table_of(explanation)
        columns |= {f"column {name}": values[:, i].astype(np.float64) for i, name in enumerate(names)}
    except ValueError:  # maps
        for key, maps in maps_of(explanation).items():
            columns |= _cells(key, maps if explanation.targets.ndim == 1 else maps[:, 0])
    return list(columns), np.stack(list(columns.values()), 1)


def _cells(key: Any, maps: NDArray) -> dict[str, NDArray]:
    """The evidence of maps (n, ...) and its share in each cell."""
    of, size = ("" if key is None else f"{key}: "), np.abs(np.nan_to_num(maps.astype(np.float64)))
    total = size.reshape(len(size), -1).sum(1)
    found = {f"{of}evidence": total}
    edges = [np.linspace(0, length, min(CELLS, length) + 1).astype(int) for length in size.shape[1:]]
    for cell in np.ndindex(*(len(each) - 1 for each in edges)):
        spans = [(int(each[i]), int(each[i + 1])) for i, each in zip(cell, edges, strict=True)]
        part = size[(slice(None), *(slice(*span) for span in spans))].reshape(len(size), -1).sum(1)
        axes = ("t",) if len(spans) == 1 else ("y", "x", "z")
        where = ", ".join(f"{axis} {a} to {b}" for axis, (a, b) in zip(axes, spans, strict=False))
        found[f"{of}{where}"] = np.divide(part, total, out=np.zeros_like(part), where=total > 0)
    return found


def _of_classes(table: NDArray) -> float:
    """The p-value of a table (2, C) of counts."""
    rare = table.sum(0) < RARE
    if rare.any():
        table = np.concatenate([table[:, ~rare], table[:, rare].sum(1, keepdims=True)], 1)
    found: Any = tests.chi2_contingency(table) if table.shape[1] > 1 else None
    return 1.0 if found is None else float(found.pvalue)
