"""Films of pictures that were written during training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tfxai import plots
from tfxai.plots import Labels, pixels, title
from tfxai.results import Explanation
from tfxai.support import whole_file

FRAMES = 30  # of a film, spread evenly over the training
FILMS = 16  # at most, of the first examples
SECONDS = 6  # that a film takes without its last frame
LAST = 1500  # milliseconds that the last frame stays


def write_films(files: Sequence[tuple[str, Path]], labels: Labels | None) -> None:
    """image_0.gif ... beside saved explanations of the same inputs: a frame for each of them, with its name.

    files: (name, .npz of an Explanation), in the order of the film.

    Raises OSError if a film cannot be written, ValueError if a file is not an explanation.
    """
    if not files:
        return
    evenly = np.unique(np.linspace(0, len(files) - 1, min(len(files), FRAMES)).round().astype(int))
    films: list[list[Image.Image]] = []
    for name, file in (files[i] for i in evenly):
        explanation = Explanation.load(file)
        films = films or [[] for _ in range(min(len(explanation), FILMS))]
        for number, film in enumerate(films):
            film.append(_frame(explanation[number], name, labels))
    for number, film in enumerate(films):
        _write_film(film, files[0][1].with_name(f"image_{number}.gif"))


def _frame(explanation: Explanation, name: str, labels: Labels | None) -> Image.Image:
    figure = plots.show(explanation, labels)
    title(figure.axes[0], name, "")
    return Image.fromarray(pixels(figure))


def _write_film(film: Sequence[Image.Image], path: Path) -> None:
    size = max(frame.width for frame in film), max(frame.height for frame in film)
    first, *more = [_padded(frame, size).quantize(256, dither=Image.Dither.NONE) for frame in film]
    milliseconds = max(100, min(500, 1000 * SECONDS // len(film)))
    durations = [milliseconds] * len(more) + [LAST]
    with whole_file(path) as part:
        first.save(part, save_all=True, append_images=more, duration=durations, loop=0)


def _padded(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """On white, in the corner: the picture of one epoch may need more room for its words than another's."""
    if frame.size == size:
        return frame
    sheet = Image.new("RGB", size, "white")
    sheet.paste(frame)
    return sheet
