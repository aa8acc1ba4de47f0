"""Docstrings are plain text, to be read in a terminal; here they become reStructuredText, and lists of settings lists."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

import tfxai
from building.gallery import uses

NAME = r"(?:[a-z_]\w*|[A-Z]+_\w+)"  # but no word that begins a sentence, such as "Cost:"
NAMES = rf"{NAME}(?:, {NAME})*"
SETTING = re.compile(rf"^({NAMES}):\s+(?=\S)")  # "steps:     points on the path."
NAMED = re.compile(r"(?<![\w./])tfxai(?:\.(?:\w|\\_)+)+")  # also without backticks
EARLY = 95  # characters; lines are cut near 110
PAPER = re.compile(r"(arXiv:)(\d{4}\.\d{4,5})|(doi:)(10\.\S+?)(?=[.,;)]*(?:\s|$))")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("autodoc-process-docstring", process)
    app.connect("missing-reference", elsewhere)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def process(app: Sphinx, kind: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    lines[:] = as_rst("\n".join(lines)).split("\n")
    scripts = uses().get(f"tfxai.{name.split('.')[-1]}", []) if kind == "class" else []
    if scripts:
        seen = ", ".join(f":doc:`{_title(app, stem)} </gallery/{stem}>`" for stem in scripts)
        lines += [f"Seen in: {seen}", ""]


def elsewhere(app: Sphinx, env: Any, node: Any, shown: Any) -> Any:
    """`tfxai.verify` is described where it lives, as `tfxai.receipts.verify`."""
    objects, name = env.domains.python_domain.objects, node.get("reftarget", "").removeprefix("tfxai.")
    for full in (f"tfxai.{home}.{name}" for home in tfxai._MODULES):
        if node.get("refdomain") == "py" and full in objects:
            found = objects[full]
            return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, shown, full)
    return None


def _title(app: Sphinx, script: str) -> str:
    """Without the mark at its end, since others may follow."""
    first = (Path(app.srcdir) / "gallery" / f"{script}.md").read_text(encoding="utf-8").split("\n")[0]
    return first.removeprefix("# ").replace("`", "")


def as_rst(text: str) -> str:
    """A docstring in the style of the house, without its indent."""
    paragraphs = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join(block for paragraph in paragraphs for block in _blocks(paragraph)) + "\n"


def _blocks(paragraph: str) -> Iterator[str]:
    lines = paragraph.split("\n")
    if all(line.startswith("    ") for line in lines):
        yield ".. code-block:: python\n\n" + textwrap.indent(textwrap.dedent(paragraph), "    ")
    elif lines[0].startswith(">>> "):
        yield paragraph
    elif SETTING.match(lines[0]) and all(SETTING.match(line) or line.startswith(" ") for line in lines):
        yield "\n".join(_settings(lines))
    elif lines[0].startswith("- "):
        yield "\n".join(line[:2] + _escaped(line[2:]) for line in lines)
    else:
        yield from map(_prose, _sentences(lines))


def _sentences(lines: list[str]) -> Iterator[str]:
    """Parts of a paragraph: who ends a line early, as before the paper, means a break."""
    part = lines[:1]
    for line in lines[1:]:
        ended = len(part[-1]) + len(line.split(" ")[0]) < EARLY and part[-1][-1:] in ".)0123456789"
        if ended and re.match(r'[A-Z"]', line):
            yield "\n".join(part)
            part = []
        part.append(line)
    yield "\n".join(part)


def _settings(lines: list[str]) -> Iterator[str]:
    """A definition list; each setting with all the lines that belong to it, "alpha, beta" with both its names."""
    entries: list[list[str]] = []
    for line in lines:
        found = SETTING.match(line)
        if found:
            entries.append([", ".join(f"``{name}``" for name in found[1].split(", "))])
        entries[-1].append(line[found.end() :] if found else line)
    for term, *words in entries:
        yield term
        yield textwrap.indent(_prose("\n".join(word.strip() for word in words)), "    ") + "\n"


def _prose(text: str) -> str:
    """Code in backticks, papers as links, and nothing else that reStructuredText would read as a mark."""
    pieces = re.split(r"(`[^`]+`)", text)
    for number in range(0, len(pieces), 2):
        before, after = number > 0 and pieces[number][:1].isalnum(), pieces[number][-1:].isalnum()
        last = number == len(pieces) - 1
        pieces[number] = "\\ " * before + _escaped(pieces[number]) + "\\ " * (after and not last)
    return "".join(_code(piece) if number % 2 else piece for number, piece in enumerate(pieces))


def _code(piece: str) -> str:
    words = " ".join(piece[1:-1].split())
    found = re.fullmatch(r"(tfxai(?:\.\w+)+)(\([^()<>]*\))?", words)
    return f":py:obj:`{words} <{found[1]}>`" if found else f"``{words}``"


def _escaped(text: str) -> str:
    text = re.sub(r"\\", r"\\\\", text).replace("->", "\u2192")
    text = re.sub(r"([*|_])", r"\\\1", text)
    text = re.sub(r"\\\*(\w[\w ]*\w|\w)\\\*", r"*\1*", text)  # *emphasis* is meant
    text = NAMED.sub(lambda found: f":py:obj:`{found[0]}`\\ ".replace("\\_", "_"), text)
    return PAPER.sub(_paper, text)


def _paper(found: re.Match[str]) -> str:
    address = (
        f"https://arxiv.org/abs/{found[2]}" if found[1] else f"https://doi.org/{found[4]}".replace("\\", "")
    )
    return f"`{found[0]} <{address}>`__"
