"""Metrics by name, and what each needs."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from tfxai.metrics.controls import Control
from tfxai.metrics.result import METRICS, unwrapped
from tfxai.results import Explanation

GIVEN = ("model", "explanation", "method", "inputs", "targets")  # to a metric of a table


def checked_metrics(metrics: Any) -> dict[str, Any]:
    """Metrics by name.

    Raises ValueError if there is none, one does not exist, or one needs more than a table can give it.
    """
    if isinstance(metrics, Mapping):
        given = {str(name): function for name, function in metrics.items()}
    else:
        listed = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
        given = {
            each if isinstance(each, str) else getattr(unwrapped(each), "__name__", "metric"): each
            for each in listed
        }
        if len(given) < len(listed):
            raise ValueError("Two metrics have the same name. Give a dict name -> function.")
    usable = ", ".join(name for name, known in sorted(METRICS.items()) if set(_needed(known)) <= {*GIVEN})
    if not given:
        raise ValueError(f"metrics is empty. Give names: {usable}.")
    columns = {}
    for name, function in given.items():
        if isinstance(function, str):
            if function not in METRICS:
                raise ValueError(f"There is no metric {function!r} for a table. There are: {usable}.")
            function = METRICS[function]
        if not callable(function) or not hasattr(unwrapped(function), "higher_is_better"):
            raise ValueError(
                f"The metric {name!r} is no function with `higher_is_better`. Give one of tfxai.metrics, or set it."
            )
        try:
            inspect.signature(function)
        except ValueError as error:
            raise ValueError(f"The metric {name!r} has settings that do not exist ({error}).") from error
        if not set(needed := _needed(function)) <= {*GIVEN}:
            raise ValueError(
                f"The metric {name!r} needs {', '.join(needed)}, which a table cannot give it. Call it for each explanation."
            )
        columns[name] = function
    return columns


def _needed(function: Callable[..., Any]) -> list[str]:
    """What must be given to a metric."""
    return [
        each.name
        for each in inspect.signature(function).parameters.values()
        if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]


def measured(
    function: Callable[..., Any],
    method: Any,
    model: Any,
    inputs: Any,
    targets: Any,
    explanation: Explanation,
    batch_size: int,
) -> Any:
    if getattr(unwrapped(function), "explains_again", False):
        return function(method, model, inputs, targets, batch_size=batch_size)
    if "model" not in inspect.signature(function).parameters:
        return function(explanation)
    if "batch_size" in inspect.signature(function).parameters or _takes_any(function):
        return function(model, explanation, batch_size=batch_size)
    return function(model, explanation)


def _takes_any(function: Callable[..., Any]) -> bool:
    return any(each.kind is each.VAR_KEYWORD for each in inspect.signature(function).parameters.values())


def control_for(control: Control, number: int) -> Callable[..., Any]:
    """A control for one batch of the data, to be called again by a metric: noise is another each time."""
    calls = itertools.count()
    return lambda model, inputs, targets=None, batch_size=32: control(
        model, inputs, targets, number, next(calls)
    )
