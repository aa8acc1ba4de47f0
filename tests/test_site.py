"""The site is whole: it builds without a warning, no link leads nowhere, and every public name has its entry."""

from __future__ import annotations

import html.parser
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import tfxai

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def test_each_family_of_methods_has_a_page_with_all_that_was_promised():
    headings = [
        "## What is computed",
        "## Defaults, beside other libraries",
        "## What is said against it",
        "## What it costs",
    ]
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "methods").glob("*.md")}
    index = pages.pop("index")
    assert len(pages) == 9
    for name, text in pages.items():
        assert re.findall(r"^## .*$", text, re.MULTILINE) == headings, name
        assert re.search(r"^\*\*.+\?\*\*", text, re.MULTILINE), f"{name}: no question"
        assert "![" in text and ("$$" in text or "\n| method | weight" in text), name
        assert f"({name}.md)" in index
    told = {name for text in pages.values() for name in re.findall(r"`(\w+)`", text.split("## ")[0])}
    assert {*tfxai.methods.__all__, "TCAV"} <= told


def test_pictures_of_the_pages_are_small():
    pictures = list((DOCS / "methods").glob("*.webp"))
    assert len(pictures) == 8 and all(path.stat().st_size < 400_000 for path in pictures)


def test_docstrings_become_lists_code_and_links(monkeypatch):
    pytest.importorskip("sphinx", reason='pip install ".[docs]"')
    monkeypatch.syspath_prepend(str(DOCS))
    as_rst = importlib.import_module("building.docstrings").as_rst
    assert as_rst("Is |x_1| * 2 `N`s?\n\nalpha, beta: of *one*\n       line.\nseed:  0.") == (
        "Is \\|x\\_1\\| \\* 2 ``N``\\ s?\n\n"
        "``alpha``, ``beta``\n    of *one*\n    line.\n\n``seed``\n    0.\n\n"
    )
    assert as_rst("    tfxai.top(3)") == ".. code-block:: python\n\n    tfxai.top(3)\n"
    assert "`arXiv:1703.01365 <https://arxiv.org/abs/1703.01365>`__, equation" in as_rst(
        "One, 2017. arXiv:1703.01365, equation 1"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """All pages, built from a copy, without running the examples."""
    for needed in ("sphinx", "furo", "myst_parser", "sphinx_copybutton"):
        pytest.importorskip(needed, reason='pip install ".[docs]"')
    tree = tmp_path_factory.mktemp("tree")
    for folder in ("docs", "examples"):
        left = shutil.ignore_patterns("_build", "gallery", "__pycache__")
        shutil.copytree(ROOT / folder, tree / folder, ignore=left)
    for file in ("README.md", "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT / file, tree)
    options = ["-W", "--keep-going", "-q", "-D", "gallery_runs=0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, tree / "docs", tree / "site"],
        capture_output=True, text=True, timeout=300, env=environment,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return tree / "site"


class Page(html.parser.HTMLParser):
    """The anchors of a page, where its links lead, and what it loads by itself."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.links += [given["href"]] if tag == "a" and "href" in given else []
        self.loaded += [given["src"]] if "src" in given else []
        self.loaded += [given["href"]] if tag == "link" and given.get("rel") == "stylesheet" else []


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


@pytest.mark.slow
def test_no_link_leads_nowhere(pages):
    broken = []
    for file, page in pages.items():
        for link in page.links + page.loaded:
            parts = urlsplit(link)
            if parts.scheme or link.startswith(("data:", "#top")):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            lost = target in pages and unquote(parts.fragment) not in {"", *pages[target].anchors}
            if lost or not target.exists():
                broken.append((file.name, link))
    assert len(pages) > 50 and not broken, broken


@pytest.mark.slow
def test_pages_need_no_network(pages):
    assert not {
        each for page in pages.values() for each in page.loaded if urlsplit(each).scheme in ("http", "https")
    }
    assert {urlsplit(link).scheme for page in pages.values() for link in page.links} <= {
        "",
        "https",
        "mailto",
    }


@pytest.mark.slow
def test_the_search_of_the_site_knows_methods_and_words(site):
    index = json.loads(
        re.search(r"setIndex\((.*)\)\s*;?\s*$", (site / "searchindex.js").read_text(encoding="utf-8"))[1]
    )  # type: ignore[index]
    assert "methods/shapley" in index["docnames"] and "gallery/explain_imagenet" in index["docnames"]
    assert {"baselin", "occlus"} <= set(index["terms"])
    assert "GradCAM" in {entry[-1] for entry in index["objects"]["tfxai"]}


@pytest.mark.slow
def test_formulas_are_drawn_by_the_browser(site):
    text = (site / "methods" / "paths.html").read_text(encoding="utf-8")
    assert text.count("<math") >= 8 and "$$" not in text and "merror" not in text


@pytest.mark.slow
def test_every_public_name_has_its_entry(pages):
    anchors = {anchor for file, page in pages.items() if file.parent.name == "api" for anchor in page.anchors}
    known = [tfxai, *(importlib.import_module(f"tfxai.{name}") for name in tfxai._MODULES)]
    entries = {id(named(anchor)) for anchor in anchors if anchor.startswith("tfxai.")}
    missing = [
        f"{module.__name__}.{name}"
        for module in known
        for name in public(module)
        if f"{module.__name__}.{name}" not in anchors
        and id(getattr(module, name)) not in entries
        and not isinstance(getattr(module, name), types.ModuleType)
    ]
    assert len(anchors) > 200 and not missing, missing


def public(module: types.ModuleType) -> list[str]:
    own = [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    ]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def named(path: str) -> object:
    """What a dotted name means to whoever has imported tfxai."""
    found: object = tfxai
    for part in path.split(".")[1:]:
        found = getattr(found, part, None)
    return found
