"""A page of results: one HTML file that needs nothing else, for a browser, a phone, paper, or a notebook's cell."""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfxai.plots import HEAT, SIGNED, Labels
from tfxai.reporting.blocks import Section, has_charts
from tfxai.reporting.context import Context
from tfxai.reporting.model_card import model_card
from tfxai.reporting.sections import section_of
from tfxai.results import Explanation
from tfxai.support import Count, File, Model, Numbers, checked, whole_file
from tfxai.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
NEEDED = "A page needs {}, which is not installed: pip install 'tfxai[report]'"
TALL = 760  # pixels of a page in a notebook's cell


@dataclasses.dataclass(frozen=True)
class Report:
    """A page.

    html: all of it. path: the file that holds it; None if none was asked for.
    """

    html: str = dataclasses.field(repr=False)
    path: Path | None = None

    def _repr_html_(self) -> str:
        """The page inside a notebook's cell, apart from the notebook's own styles."""
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts allow-downloads" title="tfxai report" '
            f'style="width: 100%; height: {TALL}px; border: 0"></iframe>'
        )


@checked
def report(
    path: File | None,
    title: str,
    *results: Any,
    model: Model = None,
    labels: Labels | None = None,
    names: Sequence[str] | None = None,
    photos: Numbers | None = None,
    limit: Count = 16,
) -> Report:
    """One HTML page of results, to be shown to a colleague: a single file, below 5 MB for 8 images and 6 methods; it asks for nothing else.

    Photos with maps have a tab for each method, a slider from photo to map, a wipe between two methods, and the value under the pointer
    (two digits; maps above 256 pixels are averaged). All words are escaped.

    path:    of the file to write; None: none, the page shows itself in a notebook.
    title:   over the page.
    results: sections in this order: explanations, dicts of them by the names of methods (of the same inputs), generated texts, what
             sanity checks, TCAV, metrics, tables of methods, callbacks, receipts and `tfxai.verify` give, runs of data sets and their summaries,
             `tfxai.layers`; and words, as paragraphs.
    model:   for a card of the model, and the classes that it predicts for the inputs.
    labels:  names of classes, by class index. names: of the inputs, such as those of files.
    photos:  (N, H, W, 3) what people know of the inputs, where a model was fed with other numbers.
    limit:   how many inputs are shown.

    Raises ValueError if something cannot be shown, ImportError if Jinja2 is missing, or Vega (vl-convert) where there are charts; OSError if
    the file cannot be written. Cost: none of a model's passes but one for each input, where a model is given.
    """
    context = Context(model, labels, names, None if photos is None else np.asarray(photos), limit)
    sections = [section_of(result, context) for result in results]
    if model is not None:
        sections.insert(0, model_card(model, _inputs_of(results), context))
    page = _page(title, sections)
    if path is None:
        return Report(page)
    with whole_file(Path(path)) as part:
        part.write_text(page, encoding="utf-8")
    return Report(page, Path(path))


def _inputs_of(results: Sequence[Any]) -> Any:
    """Inputs of the first explanation; None if there is none."""
    for result in results:
        for each in result.values() if isinstance(result, dict) else [result]:
            if isinstance(each, Explanation):
                return each.inputs
    return None


def _page(title: str, sections: Sequence[Section]) -> str:
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(NEEDED.format("Jinja2")) from error
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["finite"] = _finite
    charted = any(has_charts(section.blocks) for section in sections)
    return environment.get_template("page.html").render(
        title=title,
        sections=sections,
        version=__version__,
        style=_file("page.css"),
        script=_file("page.js"),
        vega=_vega() if charted else "",
        colours=json.dumps({"signed": _shades(SIGNED), "heat": _shades(HEAT)}),
    )


def _finite(value: Any) -> Any:
    """The same without what JSON does not know: no number where one is infinite or NaN."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _file(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script."""
    try:
        import vl_convert
    except ImportError as error:
        raise ImportError(NEEDED.format("vl-convert-python")) from error

    script = vl_convert.javascript_bundle()  # pyright: ignore[reportCallIssue]
    return script.replace("</script", "<\\/script")  # which would end the element that holds it


def _shades(colours: Any) -> str:
    """Red, green, blue and opacity of a colour map, as bytes."""
    shades = (np.asarray(colours(np.linspace(0, 1, 512))) * 255).round().astype(np.uint8)
    return base64.b64encode(shades.tobytes()).decode()
