"""The methods with their questions and settings, read from their source: importing them would start TensorFlow."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tfxai.support import snake_case

FOLDER = Path(__file__).parents[1] / "methods"


def listed_methods() -> list[tuple[str, str, str]]:
    """(name, first line of the docstring, settings with their defaults) of each method, by name."""
    names = _names(ast.parse((FOLDER / "catalogue.py").read_text("utf-8")))
    classes = {
        node.name: node
        for file in sorted(FOLDER.glob("*.py"))
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    rows = []
    for name in names:
        question = (ast.get_docstring(classes[name]) or "").splitlines()[0]
        rows.append((snake_case(name), question, "  ".join(_settings(classes[name], classes))))
    return sorted(rows)


def _names(catalogue: ast.Module) -> list[str]:
    """What the catalogue's `__all__` holds."""
    for node in catalogue.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def _settings(node: ast.ClassDef, classes: dict[str, ast.ClassDef]) -> Iterator[str]:
    """Annotated fields, those of the classes before it first."""
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            yield from _settings(classes[base.id], classes)
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            default = "" if field.value is None else f"={_text(field.value)}"
            yield f"{field.target.id}{default}"


def _text(default: ast.expr) -> str:
    try:
        return str(ast.literal_eval(default))
    except ValueError:
        return ast.unparse(default)
