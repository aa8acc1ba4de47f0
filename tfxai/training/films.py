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
from tfxai.training.monitor import FRAMES

FILMS = 16  # at most, of the first examples


SECONDS = 6  # that a film takes, and one more for its last frame


def films(files: Sequence[tuple[str, Path]], labels: Labels | None) -> None:
    """image_0.gif ... beside saved explanations of the same inputs: a frame for each of them, with its name."""
    if not files:
        return
    evenly = np.unique(np.linspace(0, len(files) - 1, min(len(files), FRAMES)).round().astype(int))
    rolls: list[list[Image.Image]] = []
    for name, file in (files[i] for i in evenly):
        found = Explanation.load(file)
        rolls = rolls or [[] for _ in range(min(len(found), FILMS))]
        for number, roll in enumerate(rolls):
            figure = plots.show(found[number], labels)
            title(figure.axes[0], name, "")
            roll.append(Image.fromarray(pixels(figure)))
    for number, roll in enumerate(rolls):
        size = max(frame.width for frame in roll), max(frame.height for frame in roll)
        frames = [_padded(frame, size).quantize(256, dither=Image.Dither.NONE) for frame in roll]
        each = max(100, min(500, 1000 * SECONDS // len(frames)))
        with whole_file(files[0][1].with_name(f"image_{number}.gif")) as part:
            frames[0].save(
                part,
                save_all=True,
                append_images=frames[1:],
                duration=[each] * (len(frames) - 1) + [1500],
                loop=0,
            )


def _padded(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """On white, in the corner: the picture of one epoch may need more room for its words than another's."""
    if frame.size == size:
        return frame
    sheet = Image.new("RGB", size, "white")
    sheet.paste(frame)
    return sheet
