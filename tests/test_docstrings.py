"""What docstrings show runs: their sessions give what they say, and their recipes run on small models."""

from __future__ import annotations

import ast
import doctest
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

ROOT = Path(tfxai.__file__).parent
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def docstrings() -> dict[str, str]:
    """Where it stands -> docstring, of all modules, classes and functions."""
    found = {}
    for file in sorted(ROOT.rglob("*.py")):
        dotted = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
                found[f"{dotted}:{getattr(node, 'name', '')}"] = ast.get_docstring(node) or ""
    return found


SESSIONS = {name: text for name, text in docstrings().items() if ">>> " in text}
RECIPES = {
    name: textwrap.dedent(block)
    for name, text in docstrings().items()
    for block in text.split("\n\n")
    if all(line.startswith("    ") for line in block.split("\n")) and "tfxai." in block
}
# Names of real models, and what the small ones of this file have in their place.
SMALL = {
    "block5c_add": "maps", "340": "1", "served/1": "served", "inception_v3/classification": "module", "model.keras": "model.keras", "InceptionV3/Mixed_7c": "maps", "341": "1",
}  # fmt: skip


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_give_what_they_say(name):
    session = doctest.DocTestParser().get_doctest(SESSIONS[name], {"np": np, "tfxai": tfxai}, name, None, 0)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=FLAGS).run(session, out=report.append)
    assert not report, "".join(report)


def test_there_are_sessions_and_recipes():
    assert len(SESSIONS) >= 10
    assert len(RECIPES) == 11


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> dict:
    """What the recipes speak of: small models, and inputs for them."""
    keras.utils.set_random_seed(0)
    layers, folder = keras.layers, tmp_path_factory.mktemp("exported")
    pictures, rows = keras.Input((16, 16, 3)), keras.Input((784,))
    maps = layers.Conv2D(4, 3, activation="relu", name="maps")(pictures)
    flat = layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(pictures, {"species": layers.Dense(3)(flat)})
    plain = keras.Model(pictures, layers.Dense(3, activation="softmax")(flat))
    plain.export(str(folder / "module"), verbose=False)
    plain.save(folder / "model.keras")
    corners = np.array([[y, x, y + 3, x + 3] for y in (0, 4, 8, 12) for x in (0, 4, 8, 12)], "float32")
    placed = layers.Dense(64, "tanh", bias_initializer="zeros")(flat)
    detector = {"boxes": layers.Reshape((16, 4))(placed) + corners}
    detector["scores"] = layers.Reshape((16, 2))(layers.Dense(32, activation="sigmoid")(flat))
    images = np.random.default_rng(0).random((2, 16, 16, 3), "float32")
    written = {name: str(folder / name) for name in ("module", "model.keras", "served")}
    return {
        "scores.__init__:": {
            "model": model,
            "segmenter": keras.Model(pictures, layers.Conv2D(4, 1)(maps)),
            "mask": np.ones((14, 14), bool),
            "detector": keras.Model(pictures, detector),
            "encoder": keras.Model(pictures, flat),
            "others": images[::-1],
        },
        "axes:Axes": {
            "model": keras.Model(rows, layers.Dense(2)(rows)),
            "rows": np.ones((2, 784), "float32"),
        },
        "written": written,
        "exporting.export:export": {"tf": tf, "photos": images},
        "": {
            "model": plain,
            "old": plain,
            "new": keras.models.clone_model(plain),
            "retrained": [keras.models.clone_model(plain) for _ in range(3)],
            "images": images,
            "pixels": images,
            "names": np.array(["first", "second"]),
            "explanation": tfxai.Gradient()(plain, images),
            "zebras": images,
            "striped": tfxai.concepts.patterns("striped", 20, 16, scale=(0, 1)),
            "dotted": tfxai.concepts.patterns("dotted", 20, 16, scale=(0, 1)),
            "random": np.random.default_rng(1).random((300, 16, 16, 3), "float32"),
        },
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", RECIPES)
def test_recipes_run(name, names):
    code = RECIPES[name]
    for real, small in SMALL.items():
        code = code.replace(real, names["written"].get(small, small))
    exec(compile(code, name, "exec"), {"np": np, "tfxai": tfxai, **names[""], **names.get(name, {})})
