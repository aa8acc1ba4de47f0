"""Metrics by name: which there are, what each needs, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfxai.metrics.result import METRICS, unwrapped
from tfxai.results import Explanation
from tfxai.scores import Targets
from tfxai.support import BatchSize, Inputs, Model

Metric = str | Callable[..., Any]
"""A name in METRICS, or a function that has `higher_is_better`."""

Metrics = Metric | Sequence[Metric] | Mapping[str, Metric]
"""One, a list of them, or a dict name -> metric."""

GIVEN = ("model", "explanation", "method", "inputs", "targets")  # by a table to a user's metric


def checked_metrics(metrics: Metrics) -> dict[str, Callable[..., Any]]:
    """Metrics by name.

    Raises ValueError if there are none, one does not exist, or one needs more than a table can give it.
    """
    named = _named(metrics)
    usable = ", ".join(name for name, function in sorted(METRICS.items()) if not _missing(function))
    if not named:
        raise ValueError(f"metrics is empty. Give names: {usable}.")
    functions = {}
    for name, given in named.items():
        if isinstance(given, str) and given not in METRICS:
            raise ValueError(f"There is no metric {given!r} for a table. There are: {usable}.")
        functions[name] = METRICS[given] if isinstance(given, str) else given
        _check(name, functions[name])
    return functions


def _named(metrics: Metrics) -> dict[str, Metric]:
    if isinstance(metrics, Mapping):
        return {str(name): function for name, function in metrics.items()}
    listed: list[Any] = list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]
    named = {
        given if isinstance(given, str) else getattr(unwrapped(given), "__name__", "metric"): given
        for given in listed
    }
    if len(named) < len(listed):
        raise ValueError("Two metrics have the same name. Give a dict name -> function.")
    return named


def _check(name: str, function: Callable[..., Any]) -> None:
    """Raises ValueError if a table cannot call this metric."""
    if not callable(function) or not hasattr(unwrapped(function), "higher_is_better"):
        raise ValueError(
            f"The metric {name!r} is not a function with `higher_is_better`. Give one of tfxai.metrics, or set it."
        )
    try:
        inspect.signature(function)
    except ValueError as error:
        raise ValueError(f"The metric {name!r} has settings that do not exist ({error}).") from error
    if missing := _missing(function):
        raise ValueError(
            f"The metric {name!r} needs {', '.join(missing)}, which a table cannot give it. Set it by functools.partial, "
            "or call the metric for each explanation."
        )


def _missing(function: Callable[..., Any]) -> list[str]:
    """What a metric needs and a table does not give."""
    if _is_ours(function):
        return [name for name in unwrapped(function).needs if name not in getattr(function, "keywords", {})]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in positional
        and parameter.name not in GIVEN
    ]


def measured(
    function: Callable[..., Any],
    method: Callable[..., Explanation],
    model: Model,
    inputs: Inputs,
    targets: Targets,
    explanation: Explanation,
    batch_size: BatchSize,
) -> Any:
    """What a metric finds of a method's explanation: a MetricResult, if the function keeps to what a metric is.

    A metric that explains again gets the method, the inputs and the targets, every other one the explanation.
    """
    if getattr(unwrapped(function), "explains_again", False):
        return function(method, model, inputs, targets, batch_size=batch_size)
    if not reads_model(function):
        return function(explanation)
    if _takes_batch_size(function):
        return function(model, explanation, batch_size=batch_size)
    return function(model, explanation)


def reads_model(function: Callable[..., Any]) -> bool:
    """Whether a metric asks the model, and not the explanation alone."""
    if _is_ours(function):
        return unwrapped(function).reads_model
    parameters = inspect.signature(function).parameters
    return "model" in parameters or getattr(unwrapped(function), "explains_again", False)


def _takes_batch_size(function: Callable[..., Any]) -> bool:
    """Whether a metric that reads the model takes `batch_size`, as all of ours do."""
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return _is_ours(function) or "batch_size" in parameters or takes_any


def _is_ours(function: Callable[..., Any]) -> bool:
    """Whether a metric is the library's, which declares what it needs; of a user's function its parameters tell."""
    own = unwrapped(function)
    return METRICS.get(getattr(own, "__name__", "")) is own
