"""Concepts that are drawn: stripes, dots, colours."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import hsv_to_rgb, is_color_like, rgb_to_hsv, to_rgb
from numpy.typing import NDArray

from tfxai.concepts.pixels import checked_size, scaled_to
from tfxai.support import Count, Seed, checked

DRAWN = ("striped", "dotted", "checked", "zigzag")
SHARPER = 3  # textures are drawn larger and made smaller, for smooth edges


@checked
def patterns(
    kind: str,
    count: Count,
    size: int | tuple[int, int],
    seed: Seed = 0,
    scale: tuple[float, float] = (0, 255),
) -> NDArray[np.float32]:
    """Pictures of a texture or a colour, no two alike: float32 (count, height, width, 3), `scale[0]` to `scale[1]`.

    Period, angle, place, colours and light vary; a little noise lies over all.

    kind: "striped", "dotted", "checked", "zigzag", or the name of a colour as matplotlib knows it ("red", "#ff8800").

    >>> tfxai.concepts.patterns("striped", 2, 32).shape
    (2, 32, 32, 3)

    Raises ValueError for any other kind, and for numbers that do not fit.
    """
    if kind not in DRAWN and not is_color_like(kind):
        raise ValueError(f"There is no pattern {kind!r}. Give {', '.join(DRAWN)}, or the name of a colour.")
    height, width = checked_size(size)
    # Each picture has its own seed, so that a longer series begins with the shorter one.
    generators = [np.random.default_rng([seed, number]) for number in range(count)]
    return scaled_to(np.stack([_picture(kind, height, width, each) for each in generators]), scale)


def _picture(kind: str, height: int, width: int, generator: np.random.Generator) -> NDArray:
    """(height, width, 3), 0 to 1."""
    draw = _texture if kind in DRAWN else _colour
    picture = draw(kind, height, width, generator)
    light = np.linspace(-1, 1, width) * generator.normal(0, 0.08)
    light = 1 + light + np.linspace(-1, 1, height)[:, None] * generator.normal(0, 0.08)
    noise = generator.normal(0, 0.02, (height, width, 3))
    return np.clip(picture * light[..., None] + noise, 0, 1)


def _colour(name: str, height: int, width: int, generator: np.random.Generator) -> NDArray:
    hue, saturation, value = rgb_to_hsv(to_rgb(name))
    moved = [
        (hue + generator.normal(0, 0.012)) % 1,
        saturation * generator.uniform(0.8, 1),
        np.clip(value * generator.uniform(0.75, 1.1) + generator.uniform(0, 0.08), 0, 1),
    ]
    return np.broadcast_to(hsv_to_rgb(moved), (height, width, 3))


def _texture(kind: str, height: int, width: int, generator: np.random.Generator) -> NDArray:
    rows, columns = np.mgrid[: height * SHARPER, : width * SHARPER] / SHARPER
    angle = generator.uniform(0, np.pi)
    period = min(height, width) * generator.uniform(0.08, 0.25)
    across = (columns * np.cos(angle) + rows * np.sin(angle)) / period + generator.uniform(0, 1)
    along = (rows * np.cos(angle) - columns * np.sin(angle)) / period + generator.uniform(0, 1)
    inked = _inked(kind, across, along, generator)
    ink, paper = _two_colours(generator)
    large = np.where(inked[..., None], ink, paper)
    return large.reshape(height, SHARPER, width, SHARPER, 3).mean(axis=(1, 3))


def _inked(kind: str, across: NDArray, along: NDArray, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Which places have ink; one period of the pattern is 1 long."""
    share = generator.uniform(0.35, 0.65)
    if kind == "striped":
        return across % 1 < share
    if kind == "checked":
        return (np.floor(2 * across) + np.floor(2 * along)) % 2 == 0
    if kind == "zigzag":
        teeth = np.abs(along % 1 - 0.5) * generator.uniform(1, 2)
        return (across + teeth) % 1 < share
    radius = generator.uniform(0.22, 0.4)
    shifted = along + 0.5 * (np.floor(across) % 2)  # every other row lies between
    return (across % 1 - 0.5) ** 2 + (shifted % 1 - 0.5) ** 2 < radius**2


def _two_colours(generator: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Any two that differ enough in brightness to be told apart; every third pair is grey."""
    grey = generator.uniform() < 1 / 3
    while True:
        ink, paper = (
            np.full(3, generator.uniform()) if grey else generator.uniform(size=3) for _ in range(2)
        )
        if abs(ink.mean() - paper.mean()) > 0.35:
            return ink, paper
