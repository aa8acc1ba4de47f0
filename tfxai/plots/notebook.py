"""How results show themselves in a notebook: the picture inlined, the words under it."""

from __future__ import annotations

import base64
import html
import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def inlined(figure: Figure | None, words: str = "") -> str:
    """A piece of HTML that stands alone; nothing in the words is taken for markup."""
    quoted = html.escape(words)
    parts = []
    if figure is not None:
        data = base64.b64encode(png(figure)).decode()
        width = round(figure.get_size_inches()[0] * 96)  # CSS pixels of an inch
        parts.append(
            f'<img src="data:image/png;base64,{data}" alt="{quoted or "picture"}" '
            f'style="width: {width}px; max-width: 100%; height: auto">'
        )
    if words:
        parts.append(f'<pre style="font-size: smaller; line-height: 1.35; overflow-x: auto">{quoted}</pre>')
    return f"<div>{''.join(parts)}</div>"
