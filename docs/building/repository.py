"""README and CHANGELOG become pages of the site, and links that suit the repository lead to pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
TAKEN_IN = {"start": "README.md", "changelog": "CHANGELOG.md"}  # page -> file of the repository
LINK = re.compile(r"\]\((?!\w+:|#)([^)]+)\)")
PAGES = {file: f"{page}.md" for page, file in TAKEN_IN.items()}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Puts the file in the place of the page that stands for it, and turns the links of all pages."""
    if page in TAKEN_IN:
        file = ROOT / TAKEN_IN[page]
        app.env.note_dependency(str(file))
        source[0] = LINK.sub(_from_docs, file.read_text(encoding="utf-8")).replace(
            "# tfxai\n", "# Start\n", 1
        )
    source[0] = re.sub(
        r"\]\((?:\.\./)*(README|CHANGELOG)\.md",
        lambda found: f"]({_up(page)}{PAGES[found[1] + '.md']}",
        source[0],
    )


def _from_docs(link: re.Match[str]) -> str:
    """The same link from inside of docs/; files that are no pages are offered as they are."""
    path = link[1]
    return f"]({path.removeprefix('docs/') if path.startswith(('docs/', *PAGES)) else f'../{path}'})"


def _up(page: str) -> str:
    return "../" * page.count("/")
