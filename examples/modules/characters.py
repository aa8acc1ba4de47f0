"""Three game characters whose shapes vary alike and whose colours differ; and crops of photos, for random pictures."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

KINDS = {  # body, and what is on it
    "dragon": ((40, 150, 60), (120, 200, 90)),
    "mushroom": ((205, 40, 45), (240, 235, 230)),
    "wasp": ((240, 205, 50), (30, 28, 30)),
}


def drawn(kind: str, count: int, size: int) -> np.ndarray:
    """uint8 (count, size, size, 3): always the same for a kind."""
    generator = np.random.default_rng(zlib.crc32(kind.encode()))
    return np.stack([_drawn(*KINDS[kind], size, generator) for _ in range(count)])


def _drawn(body: tuple, marks: tuple, size: int, generator: np.random.Generator) -> np.ndarray:
    large = 4 * size
    ground = Image.fromarray(generator.integers(60, 200, (3, 3, 3)).astype("uint8"))
    image = ground.resize((large, large), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    x, y = generator.uniform(0.4, 0.6, 2) * large
    r = generator.uniform(0.22, 0.34) * large
    body, marks = (tuple(int(c * generator.uniform(0.8, 1.1)) for c in colour) for colour in (body, marks))
    pen.ellipse((x - 0.8 * r, y - 0.1 * r, x + 0.8 * r, y + 1.4 * r), fill=body)
    pen.ellipse((x - r, y - r, x + r, y + 0.6 * r), fill=body)
    for _ in range(int(generator.integers(3, 7))):
        angle, far = generator.uniform(0, 2 * np.pi), generator.uniform(0.2, 0.8)
        dx, dy, s = (
            far * r * np.cos(angle),
            far * r * np.sin(angle) + 0.2 * r,
            generator.uniform(0.12, 0.24) * r,
        )
        pen.ellipse((x + dx - s, y + dy - s, x + dx + s, y + dy + s), fill=marks)
    for side in (-1, 1):
        ex, ey, s = x + side * 0.32 * r, y - 0.25 * r, 0.14 * r
        pen.ellipse((ex - s, ey - 1.4 * s, ex + s, ey + 1.4 * s), fill=(250, 250, 250))
        pen.ellipse((ex - 0.5 * s, ey - 0.4 * s, ex + 0.5 * s, ey + 0.8 * s), fill=(20, 20, 25))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def crops(photos: Sequence[np.ndarray], count: int, size: int, seed: int) -> np.ndarray:
    """uint8 (count, size, size, 3): places of photos, of any scale."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        photo = photos[generator.integers(len(photos))]
        side = int(generator.uniform(0.15, 0.6) * min(photo.shape[:2]))
        top, left = (int(generator.integers(n - side)) for n in photo.shape[:2])
        part = Image.fromarray(photo[top : top + side, left : left + side])
        found.append(np.asarray(part.resize((size, size), Image.Resampling.LANCZOS)))
    return np.stack(found)


def write(folder: Path, pictures: np.ndarray) -> None:
    """Pictures (n, H, W, 3), 0 to 255, as files in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, picture in enumerate(pictures):
        Image.fromarray(picture.astype("uint8")).save(folder / f"{i:03}.png")
