"""What a metric declares, and what it finds: one number for each explained input, and how sure their mean is."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxai.model import fitting
from tfxai.stats import interval
from tfxai.support import checked

Function = TypeVar("Function", bound=Callable[..., Any])

METRICS: dict[str, Callable[..., Any]] = {}
"""Every metric of the library by its name; `metric` enters them."""


def metric(
    *,
    higher_is_better: bool,
    explains_again: bool = False,
    reads_model: bool = True,
    needs: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Enters a function into METRICS, checks its arguments, and keeps on it, under the same names, what it declares.

    higher_is_better: which direction is better.
    explains_again:   it is called as metric(method, model, inputs, targets, batch_size=...), and explains by itself.
    reads_model:      it is called as metric(model, explanation, batch_size=...); otherwise as metric(explanation).
    needs:            what only a user can give it, such as regions. A table cannot call it unless functools.partial has
                      set that.

    A user's function has to declare `higher_is_better` alone: how it is called is read from its parameters.
    """
    declared = {
        "higher_is_better": higher_is_better,
        "explains_again": explains_again,
        "reads_model": reads_model or explains_again,
        "needs": needs,
    }

    def entered(function: Function) -> Function:
        roomy = fitting(function) if declared["reads_model"] else function
        checking: Any = checked(roomy)
        vars(checking).update(declared)
        METRICS[checking.__name__] = checking
        return checking

    return entered


def unwrapped(function: Callable[..., Any]) -> Any:
    """The metric itself, from under functools.partial."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


@dataclasses.dataclass(frozen=True, eq=False)
class MetricResult:
    """One number for each explained (input, target).

    name:             of the metric.
    values:           float32, shape of the targets: (N,) or (N, K).
    higher_is_better: the direction.
    curves:           float32 (N, steps + 1), or (N, K, steps + 1): the score at each step, where the metric has one.
    fractions:        float32 (steps + 1,): of the input, 0 to 1, at which it was taken.
    standard_error:   float32, shape of the targets: of each value, of metrics that sample: how far it may be from that of infinitely
                      many draws. (How far the mean over examples may be off says `interval`.)
    passes:           int, shape of the targets: draws that each value took.
    converged:        bool, shape of the targets: whether each value is known to the metric's tolerance, where one was given.
    """

    name: str
    values: NDArray[np.float32]
    higher_is_better: bool
    curves: NDArray[np.float32] | None = None
    fractions: NDArray[np.float32] | None = None
    standard_error: NDArray[np.float32] | None = None
    passes: NDArray[np.int64] | None = None
    converged: NDArray[np.bool_] | None = None

    @property
    def mean(self) -> float:
        """Over all examples and targets; those that have no value (NaN) do not count."""
        known = self._known
        return float(known.mean()) if known.size else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Where the mean would lie for other examples like these: 95 % bootstrap interval; NaN for fewer than two."""
        return interval(self._known)

    @property
    def _known(self) -> NDArray[np.float64]:
        """One value for each example that has any: several targets of one input are not independent examples."""
        values = np.asarray(self.values, np.float64)
        if values.ndim > 1:
            known = np.isfinite(values)
            count = known.sum(axis=1)
            values = np.where(known, values, 0).sum(axis=1)[count > 0] / count[count > 0]
        return values[np.isfinite(values)]

    def __repr__(self) -> str:
        low, high = self.interval
        better = "higher" if self.higher_is_better else "lower"
        return f"{self.name}: {self.mean:.4g} [{low:.4g}, {high:.4g}], {self.values.size} values, {better} is better"


def metric_result(
    function: Callable[..., Any], values: ArrayLike, kind: type[MetricResult] = MetricResult, **more: Any
) -> Any:
    """What one of our metrics gives back, a `kind`. more: further fields of it."""
    own = unwrapped(function)
    return kind(own.__name__, np.asarray(values, np.float32), own.higher_is_better, **more)
