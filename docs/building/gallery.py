"""The scripts in examples/ as a gallery: each runs in a process of its own, and its pictures and words go onto its page.

Why not sphinx-gallery: it wants a heading and cells in every script, while ours are read and run as they are; it takes pictures
from pyplot, which ours leave alone; and it runs all scripts in one process, where TensorFlow keeps the memory that it has
once taken.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).parents[2]
LONGEST = 600  # seconds
WIDEST = 1400  # pixels of a picture on its page
THUMB = 360
LOG = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("gallery_runs", True, "env", (bool, str))
    app.connect("builder-inited", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def make(app: Sphinx) -> None:
    """Writes gallery/NAME.md for each script, with what it drew and printed, and gallery/index.md with all of them."""
    folder = Path(app.srcdir) / "gallery"
    folder.mkdir(exist_ok=True)
    scripts = sorted((ROOT / "examples").glob("*.py"))
    runs = str(app.config.gallery_runs) not in ("0", "False")
    entries = []
    for script in scripts:
        made = folder / script.stem
        if runs:
            _run(script, made)
        title, page = _page(script, made)
        _write(folder / f"{script.stem}.md", page)
        entries.append((title, script.stem, _pictures(script, made)))
    _write(folder / "index.md", _index(entries))
    for old in (
        set(folder.glob("*.md")) - {folder / f"{name}.md" for _, name, _ in entries} - {folder / "index.md"}
    ):
        old.unlink()


def _run(script: Path, made: Path) -> None:
    """Pictures and printed words of the script into a folder, unless they are there, of the same script and version."""
    digest = hashlib.sha256("".join(map(_without_docstrings, _code_of(script))).encode()).hexdigest()
    done = made / "done.txt"
    if done.exists() and done.read_text() == digest:
        return
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    LOG.info("running examples/%s", script.name)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        ended = subprocess.run(
            [sys.executable, script, made],
            capture_output=True,
            text=True,
            timeout=LONGEST,
            env=environment,
            cwd=made,
        )
    except subprocess.TimeoutExpired:
        LOG.warning("examples/%s takes longer than %d seconds", script.name, LONGEST)
        return
    if ended.returncode:
        LOG.warning("examples/%s ended with %d:\n%s", script.name, ended.returncode, ended.stderr[-2000:])
        return
    for path in list(made.iterdir()):  # data that a script makes for itself are no part of its page
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix == ".png":
            _smaller(path)
        else:
            path.unlink()
    (made / "printed.txt").write_text(ended.stdout.replace(f"{made}{os.sep}", ""), encoding="utf-8")
    done.write_text(digest)


def _code_of(script: Path) -> Iterator[Path]:
    """What decides what a script draws: itself, the modules beside it, and all of the library."""
    yield script
    yield from sorted((ROOT / "examples" / "modules").glob("*.py"))
    yield from sorted((ROOT / "tfxai").rglob("*.py"))


@cache
def _without_docstrings(file: Path) -> str:
    """The code of a file, as far as it can change a picture."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return ast.unparse(tree)


def _smaller(path: Path) -> None:
    """No wider than the page needs, and a third of the bytes."""
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize(
            (WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS
        )
    picture.save(path.with_suffix(".webp"), quality=88, method=6)
    path.unlink()


def _page(script: Path, made: Path) -> tuple[str, str]:
    """Title and text of a script's page."""
    code = script.read_text(encoding="utf-8")
    words = ast.get_docstring(ast.parse(code)) or script.stem
    first, _, rest = words.partition("\n\n")
    title, _, more = re.match(r"(.+?[.?])(\s+|$)(.*)", first.replace("\n", " ")).groups()  # type: ignore[union-attr]
    parts = [f"# {title.rstrip('.')}", _told(more), *map(_told, rest.split("\n\n"))]
    parts += [
        f"![{path.stem.replace('_', ' ')}]({script.stem}/{path.name})" for path in _pictures(script, made)
    ]
    names = [name for name, stems in uses().items() if script.stem in stems]
    if names:
        parts.append("It uses " + ", ".join(f"{{py:obj}}`{name}`" for name in names) + ".")
    printed = made / "printed.txt"
    if printed.exists() and printed.read_text(encoding="utf-8").strip():
        parts.append(f"It prints:\n\n```text\n{printed.read_text(encoding='utf-8').rstrip()}\n```")
    body = code.split('"""', 2)[2].strip("\n")
    parts.append(f"## Code\n\n`examples/{script.name}`:\n\n```python\n{body}\n```")
    return title.rstrip("."), "\n\n".join(part for part in parts if part) + "\n"


@cache
def uses() -> dict[str, list[str]]:
    """Name of a class of tfxai -> the scripts that use it."""
    found: dict[str, list[str]] = {}
    for script in sorted((ROOT / "examples").glob("*.py")):
        tree = ast.walk(ast.parse(script.read_text(encoding="utf-8")))
        names = set()
        for node in tree:
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "tfxai"
            ):
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and node.module == "tfxai":
                names |= {each.name for each in node.names}
        for name in sorted(names):
            if name[0].isupper():
                found.setdefault(f"tfxai.{name}", []).append(script.stem)
    return dict(sorted(found.items()))


def _pictures(script: Path, made: Path) -> list[Path]:
    """In the order in which the script names them."""
    code = script.read_text(encoding="utf-8")
    places = {path: code.find(f"{path.stem}.png") for path in sorted(made.glob("*.webp"))}
    return sorted(places, key=lambda path: (places[path] < 0, places[path]))


def _told(paragraph: str) -> str:
    """A paragraph of a docstring; commands keep their form. The folder for the pictures matters only to who runs it."""
    if paragraph.startswith("    "):
        return f"```bash\n{textwrap.dedent(paragraph).strip()}\n```"
    return paragraph.strip().replace("\n", " ").replace("FOLDER", "`FOLDER`")


def _index(entries: list[tuple[str, str, list[Path]]]) -> str:
    """Cards: a picture and a question each."""
    cards = []
    for title, name, pictures in entries:
        if pictures:
            _thumb(pictures[0], pictures[0].parent / "thumb" / "small.webp")
        picture = (
            f"```{{image}} {name}/thumb/small.webp\n:alt: \n:target: {name}.html\n```\n" if pictures else ""
        )
        cards.append(f"::::{{container}} card\n{picture}\n[{title}]({name}.md)\n::::")
    hidden = "\n".join(name for _, name, _ in entries)
    return (
        "# Gallery\n\nSixteen scripts, each under sixty lines. Each stands in `examples/`, runs as it is, without a network, and "
        "writes its pictures into a folder:\n\n```bash\npython examples/explain_imagenet.py pictures\n```\n\n"
        ":::::{container} cards\n" + "\n".join(cards) + "\n:::::\n\n"
        f"```{{toctree}}\n:hidden:\n\n{hidden}\n```\n"
    ).replace("Sixteen", _count(len(entries)))


def _count(number: int) -> str:
    words = {15: "Fifteen", 16: "Sixteen", 17: "Seventeen", 18: "Eighteen", 19: "Nineteen", 20: "Twenty"}
    return words.get(number, str(number))


def _thumb(picture: Path, small: Path) -> None:
    """The upper left of a picture, 3 to 2, as wide as a card."""
    small.parent.mkdir(exist_ok=True)
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    across = min(image.width, max(round(image.height * 1.5), round(image.width * 0.6)))
    cut = image.crop((0, 0, across, min(image.height, round(across / 1.5))))
    sheet = Image.new("RGB", (across, round(across / 1.5)), "white")
    sheet.paste(cut, (0, (sheet.height - cut.height) // 2))
    sheet.resize((2 * THUMB, round(2 * THUMB / 1.5)), Image.Resampling.LANCZOS).save(small, quality=85)


def _write(path: Path, text: str) -> None:
    """Only what is new, so that Sphinx reads no page in vain."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
