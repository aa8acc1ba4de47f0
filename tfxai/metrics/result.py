"""What a metric finds, and how sure it is."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfxai.stats import interval

Function = TypeVar("Function", bound=Callable[..., Any])
METRICS: dict[str, Callable[..., Any]] = {}  # every metric by its name


def metric(higher_is_better: bool, explains_again: bool = False) -> Callable[[Function], Function]:
    """Says of a metric's function which direction is better, and whether it takes a method instead of an explanation."""

    def marked(function: Function) -> Function:
        vars(function).update(higher_is_better=higher_is_better, explains_again=explains_again)
        METRICS[function.__name__] = function
        return function

    return marked


@dataclasses.dataclass(frozen=True, eq=False)
class MetricResult:
    """One number for each explained (input, target).

    name:             of the metric.
    values:           float32, shape of the targets: (N,) or (N, K).
    higher_is_better: the direction.
    curves:           float32 (N, steps + 1), or (N, K, steps + 1): the score at each step, where the metric has one.
    fractions:        float32 (steps + 1,): of the input, 0 to 1, at which it was taken.
    """

    name: str
    values: NDArray[np.float32]
    higher_is_better: bool
    curves: NDArray[np.float32] | None = None
    fractions: NDArray[np.float32] | None = None

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
    def _known(self) -> NDArray:
        # Several targets of one input are no independent examples.
        values = np.asarray(self.values, np.float64)
        if values.ndim > 1:
            there = np.isfinite(values)
            count = there.sum(axis=1)
            values = np.where(there, values, 0).sum(axis=1)[count > 0] / count[count > 0]
        return values[np.isfinite(values)]

    def __repr__(self) -> str:
        low, high = self.interval
        better = "higher" if self.higher_is_better else "lower"
        return f"{self.name}: {self.mean:.4g} [{low:.4g}, {high:.4g}], {self.values.size} values, {better} is better"


def unwrapped(function: Callable[..., Any]) -> Any:
    """The metric itself, from under functools.partial."""
    while isinstance(function, functools.partial):
        function = function.func
    return function
