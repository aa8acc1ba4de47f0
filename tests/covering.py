"""What the quick suite proves once, so that only the slow one has to prove it everywhere.

All truths times all methods times all kinds of models are thousands of tests. Of these the quick suite runs

- each pair of a method and a kind of model once, where values are compared with a truth (`proves`); of the kinds that came
  later (`IN_TURN` of models.py) each test one, in turn,
- of every other product each method (or metric, rule, file) once, on one kind of model or another (`once`),
- of a truth about kinds of models alone every n-th kind (`every`).

What is left of the products is marked slow: `pytest -m slow` runs it. tests/test_covering.py counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

OF_ATTENTION = ("AttentionRelevance", "AttentionRollout")  # methods that most models have nothing for
proves = pytest.mark.proves
"""proves("LRP"): the test compares values of these methods (names of classes) with a truth."""


def once(which: str, step: int = 1, **axes: Iterable[str]) -> pytest.MarkDecorator:
    """The product of the axes; quick is each value of one of them once, with values of the others spread evenly.

    step: each so many-th value only.
    """
    lists = {name: list(axis) for name, axis in axes.items()}
    count = len(lists[which])
    quick = {tuple(spread(values, i, count) for values in lists.values()) for i in range(0, count, step)}
    return pytest.mark.parametrize(
        list(lists), [row(values, values in quick) for values in itertools.product(*lists.values())]
    )


def spread(values: list[str], i: int, count: int) -> str:
    """The i-th of `count` values: few are taken again and again, of many there are gaps between them."""
    return values[i * (len(values) // count) if len(values) > count else i % len(values)]


def every(step: int, start: int = 0, **axis: Iterable[str]) -> pytest.MarkDecorator:
    """The values of one axis; quick is every `step`-th, counted from `start`."""
    ((name, values),) = axis.items()
    return pytest.mark.parametrize(name, [row((value,), i % step == start) for i, value in enumerate(values)])


def halved(values: Iterable[str]) -> list[Any]:
    """The values as parameters of a fixture; quick is every other one."""
    return [row((value,), i % 2 == 0) for i, value in enumerate(values)]


def row(values: tuple[str, ...], quick: bool) -> Any:
    return pytest.param(*values, id="-".join(values), marks=() if quick else pytest.mark.slow)


def each_method(methods: Mapping[str, Any]) -> pytest.MarkDecorator:
    """One row for each method, by the name that it has in the test, marked with what it proves."""
    rows = [pytest.param(name, marks=proves(type(method).__name__)) for name, method in methods.items()]
    return pytest.mark.parametrize("method", rows)
