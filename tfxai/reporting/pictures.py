"""Arrays as pictures inside a page: photos as JPEG, the values of maps as grey PNG."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGEST = 256  # pixels of a map's longer side; larger ones are averaged
PHOTO = 448  # pixels of a photo's longer side
LEVELS = 127  # shades on each side of zero
NOTHING = 255  # the shade of a place without a value


def photo(pixels: NDArray) -> tuple[str, int, int]:
    """Address, width and height of RGB pixels (H, W, 3) from 0 to 1; small ones stay sharp."""
    image = Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))
    if max(image.size) > PHOTO:
        image.thumbnail((PHOTO, PHOTO))
    kind: dict[str, Any] = {"format": "PNG"} if max(image.size) <= 64 else {"format": "JPEG", "quality": 88}
    return address(image, **kind), *image.size


def values(heat: NDArray) -> tuple[str, float, tuple[int, int]]:
    """A map (H, W) as an address, the largest magnitude, and the size that is drawn.

    A shade q stands for sign(q - 127) * most * ((q - 127) / 127) ** 2, within a 64th of the value of its neighbours at the top and finer
    below: two digits of what the pointer reads.
    """
    small = averaged(heat.astype(np.float64))
    known = np.where(np.isfinite(small), small, 0)
    most = float(np.abs(known).max(initial=0.0))
    shades = LEVELS + np.sign(known) * np.round(LEVELS * np.sqrt(np.abs(known) / (most or 1.0)))
    shades[~np.isfinite(small)] = NOTHING
    image = Image.fromarray(shades.astype(np.uint8))
    return address(image, format="PNG", optimize=True), most, (small.shape[0], small.shape[1])


def averaged(heat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of whole blocks of pixels, so many that each side fits."""
    down, across = (-(-side // LARGEST) for side in heat.shape)
    if down == across == 1:
        return heat
    height, width = -(-heat.shape[0] // down), -(-heat.shape[1] // across)
    padded = np.full((height * down, width * across), np.nan)
    padded[: heat.shape[0], : heat.shape[1]] = np.where(np.isfinite(heat), heat, np.nan)
    blocks = padded.reshape(height, down, width, across)
    counts = np.isfinite(blocks).sum((1, 3))
    return np.where(counts > 0, np.nansum(blocks, (1, 3)) / np.maximum(counts, 1), np.nan)


def address(image: Image.Image, **settings: Any) -> str:
    """The picture as a data: address."""
    file = io.BytesIO()
    image.save(file, **settings)
    kind = settings["format"].lower()
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
