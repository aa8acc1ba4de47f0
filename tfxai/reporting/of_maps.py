"""Explanations of images, and of what is like them: photos with maps on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.plots import end_of_scale, flattened, maps_and_inputs, rgb, score_text
from tfxai.reporting import pictures
from tfxai.reporting.abouts import about
from tfxai.reporting.blocks import Block, Example, Map, Maps, short
from tfxai.reporting.context import Context
from tfxai.results import Explanation

PERCENTILE = 99
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def maps(explanations: Mapping[str, Explanation], context: Context) -> list[Block]:
    """One block: a tab for each method. All explain the same inputs and targets.

    Raises ValueError if they do not.
    """
    first = next(iter(explanations.values()))
    found = {name: maps_and_inputs(explanation, None) for name, explanation in explanations.items()}
    inputs = next(iter(found.values()))[1]
    for name, (heat, others) in found.items():
        if heat.shape[:2] != next(iter(found.values()))[0].shape[:2] or not np.array_equal(others, inputs):
            raise ValueError(
                f"{name!r} explains other inputs than {next(iter(found))!r}. Give explanations of the same."
            )
    known = context.photos
    seen = inputs if known is None or known.shape[:3] != inputs.shape[:3] else known
    photos, shares = rgb(seen[: context.limit]), context.predicted(first)
    signed = {name: bool((heat < 0).any()) for name, (heat, _) in found.items()}
    examples = []
    for row, photo in enumerate(photos):
        for k in range(first.targets.size // len(first)):
            heats = {name: heat[row, k] for name, (heat, _) in found.items()}
            facts = {} if shares is None else context.best(shares[row])
            examples.append(_example(_title(explanations, row, k, context), photo, heats, signed, facts))
    return [Maps([about(name, each.method) for name, each in explanations.items()], examples)]


def _title(explanations: Mapping[str, Explanation], row: int, k: int, context: Context) -> str:
    """The input, and what of it was explained."""
    first = next(iter(explanations.values()))
    target, score = (np.reshape(field, (len(first), -1))[row, k] for field in (first.targets, first.scores))
    name = context.of_class(target) or first.score
    return (
        f"{context.name(row)}: {name} ({first.score} {score_text(score, first.score)})"
        if name != first.score
        else (f"{context.name(row)}: {first.score} {score_text(score, first.score)}")
    )


def _example(
    title: str,
    photo: NDArray,
    heats: Mapping[str, NDArray],
    signed: Mapping[str, bool],
    facts: dict[str, str],
) -> Example:
    picture, flat, place = flattened(photo, np.stack([*heats.values()]))
    if place:
        facts = {"Slice": place.removeprefix("slice "), **facts}
    address, width, height = pictures.photo(picture)
    drawn = [draw(heat, signed[name]) for name, heat in zip(heats, flat, strict=True)]
    return Example(title, address, width, height, list(flat.shape[1:]), facts, drawn)


def draw(heat: NDArray, signed: bool | None = None) -> Map:
    """A map (H, W) for the page."""
    signed = bool((heat < 0).any()) if signed is None else signed
    address, most, _ = pictures.values(heat)
    return Map(address, most, min(end_of_scale(heat, PERCENTILE), most), signed, in_words(heat))


def in_words(heat: NDArray) -> str:
    """Where the evidence lies, in words."""
    known = np.nan_to_num(heat.astype(np.float64))
    total = np.abs(known).sum()
    if not total:
        return "No evidence anywhere."
    positive = np.maximum(known, 0)
    for_it = positive.sum() / total
    if not for_it:
        return "All evidence speaks against it."
    parts = _ninths(positive)
    order = np.argsort(-parts.ravel())[:2]
    named = [f"{_place(*np.unravel_index(i, parts.shape))} ({parts.ravel()[i]:.0%})" for i in order]
    against = "" if for_it > 0.995 else f" {1 - for_it:.0%} of all evidence speaks against."
    return f"Most of what speaks for it lies in the {' and the '.join(named)} ninth of the picture.{against}"


def _ninths(positive: NDArray) -> NDArray:
    """(3, 3) shares."""
    edges = [np.linspace(0, side, 4).astype(int) for side in positive.shape]
    found = np.zeros((3, 3))
    for i, j in np.ndindex(3, 3):
        found[i, j] = positive[edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]].sum()
    return found / found.sum()


def _place(row: Any, column: Any) -> str:
    if row == column == 1:
        return "middle"
    return f"{ROWS[row]} {COLUMNS[column]}"


def size_in_words(shape: tuple[int, ...]) -> str:
    """224 x 224 x 3."""
    return " \N{MULTIPLICATION SIGN} ".join(short(int(side)) for side in shape)
