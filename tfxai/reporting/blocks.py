"""What a page is made of: sections, and the blocks in them. Each block is drawn by the template of its own name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Block:
    """A part of a section. template: a file in `templates`."""

    template: ClassVar[str]


@dataclasses.dataclass(frozen=True)
class Prose(Block):
    """Paragraphs of plain words."""

    template = "prose.html"
    paragraphs: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Facts(Block):
    """Names, and what there is to say of each."""

    template = "facts.html"
    facts: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of a table. order: by which it is sorted, a number or words. strong: whether it is marked."""

    text: str
    order: float | str
    strong: bool = False


@dataclasses.dataclass(frozen=True)
class Table(Block):
    """Rows that can be sorted by each column."""

    template = "table.html"
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclasses.dataclass(frozen=True)
class Chart(Block):
    """A chart in Vega-Lite's words (https://vega.github.io/vega-lite/), and the same in plain ones."""

    template = "chart.html"
    spec: Mapping[str, Any]
    words: str


@dataclasses.dataclass(frozen=True)
class Map:
    """One map as the page draws it.

    png:   address of a grey picture whose shades are the values, see `pictures.values`; most: the largest magnitude of them.
    scale: magnitude at which the colours end. signed: red and blue, or heat. words: where the evidence lies, for those who do not see it.
    """

    png: str
    most: float
    scale: float
    signed: bool
    words: str


@dataclasses.dataclass(frozen=True)
class Example:
    """One picture and its maps, one for each method; None where a method has none."""

    name: str
    photo: str
    width: int
    height: int
    shape: Sequence[int]
    facts: Sequence[tuple[str, str]]
    maps: Sequence[Map | None]


@dataclasses.dataclass(frozen=True)
class About:
    """A method: its name on the page and in the library, its question, and notes on costs, settings and what must be minded."""

    name: str
    kind: str
    summary: str
    notes: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Maps(Block):
    """Pictures with maps on them: a tab for each method, a slider from photo to map, a wipe between two methods."""

    template = "maps.html"
    methods: Sequence[About]
    examples: Sequence[Example]

    @property
    def data(self) -> list[dict[str, Any]]:
        """What the page's script reads: for each example the size of its maps and the maps."""
        return [
            {
                "shape": list(each.shape),
                "maps": [None if map is None else dataclasses.asdict(map) for map in each.maps],
            }
            for each in self.examples
        ]


@dataclasses.dataclass(frozen=True)
class Word:
    """share: from -1 (against) to 1 (for), of the strongest word. value: as text."""

    text: str
    share: float
    value: str


@dataclasses.dataclass(frozen=True)
class Words(Block):
    """A text whose words are coloured."""

    template = "words.html"
    title: str
    note: str
    words: Sequence[Word]
    told: str = ""


@dataclasses.dataclass(frozen=True)
class Pieces(Block):
    """A generated text: each output token, and what all tokens before it say for it."""

    template = "pieces.html"
    outputs: Sequence[str]
    rows: Sequence[Words]


@dataclasses.dataclass(frozen=True)
class Film(Block):
    """Pictures that follow each other: a slider goes through them."""

    template = "film.html"
    title: str
    frames: Sequence[tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Folded(Block):
    """What is shown when it is asked for."""

    template = "folded.html"
    summary: str
    blocks: Sequence[Block]


@dataclasses.dataclass(frozen=True)
class Section:
    """A headline and the blocks under it."""

    title: str
    blocks: Sequence[Block]
    lead: str = ""


def has_charts(blocks: Sequence[Block]) -> bool:
    """Whether there is a chart among them, folded in or not."""
    return any(
        isinstance(block, Chart) or (isinstance(block, Folded) and has_charts(block.blocks))
        for block in blocks
    )


NOTHING = Cell("\N{EN DASH}", float("-inf"))


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table of words, numbers and cells."""
    return Table(caption, heads, [[cell(each) for each in row] for row in rows])


def cell(value: Any) -> Cell:
    """A word or a number as a cell; numbers have about four digits."""
    if isinstance(value, Cell):
        return value
    if value is None or (isinstance(value, float) and value != value):
        return NOTHING
    if isinstance(value, bool):
        return Cell("yes" if value else "no", float(value))
    if isinstance(value, (int, float)):
        return Cell(short(value), float(value))
    return Cell(str(value), str(value))


def short(value: float) -> str:
    """A number in about four digits, with a true minus sign."""
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")
