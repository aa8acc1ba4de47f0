"""What callbacks saw while a model was trained: films with a slider, and numbers over the epochs."""

from __future__ import annotations

import base64
import dataclasses
import io

from PIL import Image

from tfxai.reporting import charts
from tfxai.reporting.blocks import Block, Chart, Film, Prose, table
from tfxai.reporting.context import Context
from tfxai.reporting.of_explanations import explained
from tfxai.reporting.of_results import concepts
from tfxai.training import ConceptCallback, ExplainCallback

WIDEST = 900  # pixels of a frame


def maps_in_training(callback: ExplainCallback, context: Context) -> list[Block]:
    """A film of each method from the pictures in the callback's directory; without one, the last look."""
    blocks: list[Block] = []
    for name, frames in callback.frames().items():
        films = [(shown, _frame(path.read_bytes())) for shown, path in frames if path.exists()]
        if films:
            blocks.append(Film(name, films))
    if callback.explanations:
        blocks += [
            Prose(["The last look:"]),
            *explained(callback.explanations, dataclasses.replace(context, model=None, photos=None)),
        ]
    return blocks or [Prose(["Nothing was seen yet: the training has not begun."])]


def _frame(png: bytes) -> str:
    """A picture, no wider than a page."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.thumbnail((WIDEST, 4 * WIDEST))
    file = io.BytesIO()
    image.save(file, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def concepts_in_training(callback: ConceptCallback, context: Context) -> list[Block]:
    """The scores over the looks, and the last table."""
    rows = [
        {
            "look": number,
            "score": row["score"],
            "what": f"{context.of_class(row['target'])}: {row['concept']} in {row['layer']}",
        }
        for number, result in callback.results.items()
        for row in result.table
        if row["learned"]
    ]
    if not callback.results:
        return [Prose(["Nothing was seen yet: the training has not begun."])]
    words = f"TCAV scores at {len(callback.results)} looks, from the untrained model on."
    spec = charts.lines(rows, x="look", y="score", series="what", x_title="epoch", y_title="TCAV score")
    last = next(reversed(callback.results.values()))
    listed = [(each["what"], each["look"], each["score"]) for each in rows]
    shown: list[Block] = [Chart(spec, words)] if rows else []
    return [*shown, table("All looks", ("what", "epoch", "score"), listed), *concepts(last, context)]
