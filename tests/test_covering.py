"""The quick suite has what it promises: it is collected, as `pytest` does by itself, and counted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from covering import every, once
from models import IN_TURN
from test_masked_battery import NAMES

from tfxai import methods

HERE = Path(__file__).parent
OF_PARTS = {
    *("Occlusion", "RISE", "ScoreCAM", "AblationCAM", "LIME", "KernelSHAP", "PartitionSHAP"),
    "ShapleyInteractions",
}


def collected(*arguments: str) -> list[pytest.Item]:
    """What pytest would run; a later -m takes the place of the one in pyproject.toml."""

    class Listening:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            found.extend(session.items)

    found: list[pytest.Item] = []
    assert pytest.main(["--collect-only", "-q", "-n", "0", *arguments], plugins=[Listening()]) == 0
    return found


@pytest.fixture(scope="module")
def quick() -> list[pytest.Item]:
    return collected(str(HERE))


@pytest.fixture(scope="module")
def slow() -> list[pytest.Item]:
    return collected(str(HERE), "-m", "slow")


def pairs(items: list[pytest.Item]) -> dict[str, set[str]]:
    """Method -> the kinds of models on which its values are compared with a truth."""
    found = defaultdict(set)
    for item in items:
        for mark in item.iter_markers("proves"):
            for method in mark.args:
                found[method].add(item.callspec.params["name"])  # pyright: ignore[reportAttributeAccessIssue]
    return found


@pytest.mark.parametrize("method", methods.__all__)
def test_the_quick_suite_has_every_method_on_every_kind_of_model(quick: Any, method: str) -> None:
    kinds = set(NAMES) if method in OF_PARTS else set(NAMES) - {"callable_numpy"}  # without gradients
    assert pairs(quick)[method] - set(IN_TURN) == kinds - set(IN_TURN)


def test_each_later_kind_of_model_has_methods_in_the_quick_suite_and_all_in_both(
    quick: Any, slow: Any
) -> None:
    once, rest = pairs(quick), pairs(slow)
    for name in IN_TURN:
        assert any(name in kinds for kinds in once.values())
    for method in methods.__all__:
        assert set(IN_TURN) <= once[method] | rest[method]
        assert set(IN_TURN) & once[method]


def test_only_methods_are_said_to_be_proved(quick: Any, slow: Any) -> None:
    assert set(pairs(quick)) == set(methods.__all__)
    waiting = pairs(slow).values()
    assert set().union(*waiting) <= set(IN_TURN)  # no other pair waits for the slow suite


def test_every_test_is_in_one_of_the_suites(quick: Any, slow: Any) -> None:
    everything = {item.nodeid for item in collected(str(HERE), "-m", "")}
    names = {item.nodeid for item in quick}, {item.nodeid for item in slow}
    assert names[0] | names[1] == everything
    assert names[0].isdisjoint(names[1])


def test_a_promise_that_is_kept_everywhere_is_kept_once_in_the_quick_suite(quick: Any, slow: Any) -> None:
    def functions(items: list[pytest.Item]) -> dict[tuple[str, str], set[tuple[str, Any]]]:
        """Test -> the values that its parameters take."""
        found = defaultdict(set)
        for item in items:
            if (calls := getattr(item, "callspec", None)) is not None:
                key = item.path.name, item.originalname  # pyright: ignore[reportAttributeAccessIssue]
                found[key] |= {(axis, str(value)) for axis, value in calls.params.items()}
        return found

    once, everywhere = functions(quick), functions(slow)
    halves = [function for function in everywhere if function in once]
    assert len(halves) >= 10
    for function in halves:
        left = {axis for axis, _ in everywhere[function] - once[function]}
        alone = len({axis for axis, _ in everywhere[function]}) == 1  # one list, of which every n-th is quick
        assert alone or left <= {"name"}, f"{function}: {left}"


def test_each_value_of_one_axis_is_quick_and_the_rest_is_slow() -> None:
    def ids(decorator: pytest.MarkDecorator) -> list[str]:
        return [row.id for row in decorator.args[1] if not row.marks]

    rows = once("a", a="pqrst", b="xy", c="1234567").args[1]
    assert len(rows) == 5 * 2 * 7
    assert ids(once("a", a="pqrst", b="xy", c="1234567")) == ["p-x-1", "q-y-2", "r-x-3", "s-y-4", "t-x-5"]
    assert {mark.name for row in rows for mark in row.marks} == {"slow"}
    assert ids(once("c", b="abcdefg", c="123")) == ["a-1", "c-2", "e-3"]
    assert ids(every(3, 1, a="pqrst")) == ["q", "t"]
