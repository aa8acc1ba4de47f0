"""The house keeps its shape: imports point downwards and never in a circle, and each method says where it is from.

The folders themselves are read; only their order, floor by floor, is written down here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfxai
from tfxai import methods

ROOT = Path(tfxai.__file__).parent
FLOORS = [  # from the ground up; what stands on one floor does not import each other
    "support version",
    "graphs",
    "axes baselines games photos scores stats text",
    "hub inputs plots zoo",
    "results",
    "model",
    "engines",
    "methods concepts predictions generation",
    "metrics receipts sanity",
    "comparing data exporting",
    "batch testing training",
    "reporting",
    "cli",
    "__init__ __main__ pytest_plugin",
]


def floor_of(name: str) -> int:
    (floor,) = [number for number, names in enumerate(FLOORS) if name in names.split()]  # on exactly one
    return floor


def files_of(root: Path) -> dict[str, Path]:
    """Dotted name inside the package -> file; a folder's own name stands for its __init__."""
    return {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for file in sorted(root.rglob("*.py"))
    }


def imported(file: Path, package: str = "tfxai") -> Iterator[str]:
    """Names inside the package that a file imports, wherever in it; `a.b` also for `from a import b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}."))


def arrows(root: Path, package: str = "tfxai") -> dict[str, set[str]]:
    """File -> the files that it imports, both by their dotted names."""
    files = files_of(root)
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        found[name] = set()
        for target in imported(file, package):
            while target and target not in files:
                target = target.rpartition(".")[0]
            found[name] |= {target} - {"", name}
    return found


def circle(of: dict[str, set[str]]) -> list[str]:
    """The files of a circle of imports, or none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for target in sorted(of[name]):
            if way := walk(target, [*path, name]):
                return way
        done.add(name)
        return []

    return next((way for name in sorted(of) if (way := walk(name, []))), [])


def wrong(root: Path, package: str = "tfxai") -> list[str]:
    """Arrows that point upwards, to a neighbour on the same floor, or past the face of another folder."""
    problems = []
    for name, file in files_of(root).items():
        own = name.partition(".")[0]
        for target in sorted({*imported(file, package)}):
            other, *inner = target.split(".")
            if other == own:
                continue
            if floor_of(other) >= floor_of(own):
                problems.append(f"{name} imports {target}, which is not below it")
            elif len(inner) > 1:
                problems.append(f"{name} imports {target} past the face of {other}")
    return problems


def test_imports_point_downwards() -> None:
    assert wrong(ROOT) == []


def test_no_circle_between_files() -> None:
    assert circle(arrows(ROOT)) == []


def test_every_folder_and_file_of_the_root_has_a_floor() -> None:
    there = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert sorted(" ".join(FLOORS).split()) == sorted(there)


def test_no_file_is_long() -> None:
    assert [name for name, file in files_of(ROOT).items() if file.read_text().count("\n") > 400] == []


def test_private_modules_of_keras_are_left_alone() -> None:
    for file in files_of(ROOT).values():
        assert not re.search(r"^\s*(from|import) (tf_)?keras\.src", file.read_text(), re.MULTILINE), file


def test_methods_stand_alone() -> None:
    of = arrows(ROOT)
    for name in of:
        if name.startswith("methods.") and name not in ("methods.catalogue", "methods.registry"):
            assert {target for target in of[name] if target.startswith("methods")} == set(), name


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A small house in which nothing is wrong yet."""
    for name in ("support", "model", "engines"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "engines" / "paths.py").write_text("from tfxai.model import Network\nimport numpy\n")
    (tmp_path / "model" / "network.py").write_text("from tfxai.model.layers import named\n")
    (tmp_path / "model" / "layers.py").write_text("def later():\n    from tfxai.support import files\n")
    (tmp_path / "support" / "files.py").write_text("")
    assert wrong(tmp_path) == circle(arrows(tmp_path)) == []
    return tmp_path


def test_a_planted_circle_is_found(planted: Path) -> None:
    (planted / "model" / "layers.py").write_text("def later():\n    from tfxai.model import network\n")
    assert circle(arrows(planted)) == ["model.layers", "model.network", "model.layers"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("from tfxai.engines import Paths", "model.layers imports engines.Paths, which is not below it"),
        ("import tfxai.engines.paths", "model.layers imports engines.paths, which is not below it"),
        (
            "from tfxai.support.files import whole",
            "model.layers imports support.files.whole past the face of support",
        ),
    ],
)
def test_a_planted_arrow_is_found(planted: Path, line: str, problem: str) -> None:
    (planted / "model" / "layers.py").write_text(f"def later():\n    {line}\n")
    assert wrong(planted) == [problem]


@pytest.mark.parametrize("name", methods.__all__)
def test_a_method_names_its_source_and_its_cost(name: str) -> None:
    text = getattr(methods, name).__doc__
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,}/|\b(19|20)\d\d\b", text)
    assert re.search(r"\bCost:", text)
    assert text.splitlines()[0].rstrip().endswith(("?", "."))


def test_the_parts_of_the_slow_suite_are_all_of_it() -> None:
    """`.ci/run` lists them by the names of files."""
    root = Path(__file__).parents[1]
    parts = re.findall(r"^slow (.+)$", (root / ".ci" / "run").read_text(), re.MULTILINE)
    found = [each for part in parts for pattern in part.split() for each in root.glob(pattern)]
    listed = [file for each in found for file in ([each] if each.is_file() else each.rglob("test_*.py"))]
    assert sorted(listed) == sorted((root / "tests").rglob("test_*.py"))
