"""What a page says of a method: its question, its costs and what must be minded, from its docstring."""

from __future__ import annotations

import inspect
import re

from tfxai import methods
from tfxai.reporting.blocks import About, Block, Facts, Folded, Prose

SOURCE = re.compile(r"arXiv:|\b(19|20)\d\d\b")


def about(name: str, described: str) -> About:
    """name: as the page calls it. described: as an explanation has it, such as "RISE(samples=100)"."""
    kind, _, settings = described.partition("(")
    found = getattr(methods, kind, None) if kind in methods.__all__ else None
    paragraphs = (
        [" ".join(each.split()) for each in (inspect.getdoc(found) or "").split("\n\n")] if found else []
    )
    summary = paragraphs[0] if paragraphs else ""
    text = " ".join(paragraphs[1:2])
    minded, _, cost = text.partition("Cost:")
    if not cost:
        cost = next((each.partition("Cost:")[2] for each in paragraphs if "Cost:" in each), "")
    source = next((each for each in reversed(paragraphs) if SOURCE.search(each)), "")
    notes = {"To mind": minded.strip(), "Cost": cost.strip(), "Source": source}
    notes = {key: words for key, words in notes.items() if words}
    if settings := settings.removesuffix(")"):
        notes["Settings"] = settings
    return About(name, kind, summary, notes)


def folded(which: About) -> Block:
    """The same as a block of its own."""
    return Folded(f"About {which.name}", [Prose([which.summary]), Facts(which.notes)])
