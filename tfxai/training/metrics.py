"""Metrics that a callback measures: by name, with its regions."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

from tfxai import metrics as known
from tfxai.metrics import MetricResult, checked_metrics, unwrapped
from tfxai.training.maps import NAMES, array_of

Metric: TypeAlias = Callable[..., Any]
"""A function of tfxai.metrics or of that kind, which gives a MetricResult; functools.partial sets its options."""

Metrics: TypeAlias = str | Metric | Sequence[str | Metric] | Mapping[str, str | Metric]
"""Names in tfxai.metrics, functions of that kind, or a dict name -> function."""


def metrics_by_name(metrics: Metrics, regions: NDArray | None) -> dict[str, Metric]:
    """The metrics by name; those that need regions are given the callback's.

    Raises ValueError if one does not exist, needs what is not there, or has the name of another number.
    """
    if not callable(metrics) and not metrics:
        return {}
    functions = {}
    for name, metric in _named(metrics).items():
        function = getattr(known, metric, metric) if isinstance(metric, str) else metric
        if callable(function) and _needs_regions(function):
            if regions is None:
                raise ValueError(f"The metric {name!r} needs regions=, masks (N, H, W) or boxes (N, 4).")
            function = functools.partial(function, regions=regions)
        functions[str(name)] = function
    if taken := [name for name in functions if name in NAMES]:
        raise ValueError(
            f"A metric is called {taken[0]!r}, as a number of the callback. Give it another name."
        )
    return checked_metrics(functions)


def _named(metrics: Metrics) -> Mapping[str, str | Metric]:
    if isinstance(metrics, Mapping):
        return metrics
    listed: list[Any] = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    named = {m if isinstance(m, str) else getattr(unwrapped(m), "__name__", "metric"): m for m in listed}
    if len(named) < len(listed):
        raise ValueError("Two metrics have the same name. Give a dict name -> function.")
    return named


def _needs_regions(metric: Metric) -> bool:
    parameter = inspect.signature(metric).parameters.get("regions")
    return parameter is not None and parameter.default is parameter.empty


def of_rows(metric: Metric, rows: slice) -> Metric:
    """The same metric for some of the examples: with the regions of these, if it has regions."""
    if isinstance(metric, functools.partial) and "regions" in metric.keywords:
        return functools.partial(metric, regions=array_of(metric.keywords["regions"])[rows])
    return metric


def mean_of(result: MetricResult | object, name: str) -> float:
    """Over all examples and targets.

    Raises ValueError if the metric of that name, perhaps the user's own, gave something without a mean.
    """
    mean = getattr(result, "mean", None)
    if mean is None or callable(mean):  # an array has a method of that name
        raise ValueError(f"The metric {name!r} gave {type(result).__name__}. Give a MetricResult.")
    return float(mean)
