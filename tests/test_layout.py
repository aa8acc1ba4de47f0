"""The house keeps its shape: imports point downwards, methods stand alone, and each says where it is from."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import tfxai
from tfxai import methods

ROOT = Path(tfxai.__file__).parent
LEVELS = [
    "scores baselines explanation plots closeups canvas segments text version photos torch_weights similarity progress"
    " charts significance cavs concept_images html",
    "network activations hub inputs graphs scopes weights folding",
    "engines",
    "methods",
    "metrics sanity concepts predictions agreement zoo names",
    "callback training cli demo report models files quiet __main__ __init__",
]
FILES = sorted(ROOT.rglob("*.py"))


def part(file: Path) -> str:
    """The module, or the folder for those in one."""
    return file.relative_to(ROOT).with_suffix("").parts[0]


def level(name: str) -> int:
    (found,) = [i for i, names in enumerate(LEVELS) if name in names.split()]  # in exactly one
    return found


def imported(file: Path) -> set[str]:
    """Full names of everything that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_downwards(file: Path) -> None:
    own = [name.split(".") for name in imported(file) if name.split(".")[0] == "tfxai"]
    for _, name, *_ in own:
        assert level(name) <= level(part(file)), f"{part(file)} imports {name}"
    if part(file) == "methods" and file.stem != "__init__":
        assert [name for name in own if name[1] == "methods"] == []
    assert [name for name in imported(file) if re.match(r"(tf_)?keras\.src", name)] == []


def test_imports_are_seen() -> None:
    """Otherwise the test above would say nothing."""
    assert "tfxai.network.Network" in imported(ROOT / "engines" / "method.py")
    assert "tfxai.plots" in imported(ROOT / "explanation.py")
    assert level("network") < level("engines") < level("methods") < level("cli")


@pytest.mark.parametrize("name", methods.__all__)
def test_a_method_names_its_source_and_its_cost(name: str) -> None:
    text = getattr(methods, name).__doc__
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/|\b(19|20)\d\d\b", text)
    assert re.search(r"\bCost:", text)
    assert text.splitlines()[0].rstrip().endswith(("?", "."))
