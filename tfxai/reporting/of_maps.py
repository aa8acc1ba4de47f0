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
    for name, (_, others) in found.items():
        same = others.shape == inputs.shape and np.array_equal(
            others, inputs, equal_nan=inputs.dtype.kind == "f"
        )
        if not same or not np.array_equal(explanations[name].targets, first.targets):
            raise ValueError(
                f"{name!r} explains other inputs or classes than {next(iter(found))!r}. Give explanations of the same, or each as a section of its own."
            )
    seen = inputs if context.photos is None else context.photos
    if len(seen) != len(inputs):
        raise ValueError(f"photos has {len(seen)} entries for {len(inputs)} inputs. Give one each.")
    photos, shares = rgb(seen[: context.limit]), context.predicted(first)
    signed = {name: bool((heat < 0).any()) for name, (heat, _) in found.items()}
    examples = []
    for row, photo in enumerate(photos):
        for k in range(first.targets.size // len(first)):
            heats = {name: heat[row, k] for name, (heat, _) in found.items()}
            facts = [*_places(first, row, k), *([] if shares is None else context.best(shares[row]))]
            examples.append(_example(_title(explanations, row, k, context), photo, heats, signed, facts))
    return [Maps([about(name, each.method) for name, each in explanations.items()], examples)]


def _places(explanation: Any, row: int, k: int) -> list[tuple[str, str]]:
    """What a map's score is compared with, where that can be said in numbers."""
    held = getattr(explanation, "references", None) or {}
    lead = explanation.targets.ndim
    found = []
    for name in ("boxes", "points"):
        if name in held:
            place = np.asarray(held[name])[row] if lead == 1 else np.asarray(held[name])[row, k]
            found.append(
                (
                    "Box (y0, x0, y1, x1)" if name == "boxes" else "Point (y, x)",
                    ", ".join(map(short, place.reshape(-1).tolist())),
                )
            )
    return found


def _title(explanations: Mapping[str, Explanation], row: int, k: int, context: Context) -> str:
    """The input, and what of it was explained; with the score where it is that of all methods."""
    first = next(iter(explanations.values()))
    target, score = (np.reshape(field, (len(first), -1))[row, k] for field in (first.targets, first.scores))
    name, of_all = context.of_class(target), {each.score for each in explanations.values()}
    told = f"{first.score} {score_text(score, first.score)}" if len(of_all) == 1 else ""
    if not name:
        return f"{context.name(row)}: {told}".removesuffix(": ")
    return f"{context.name(row)}: {name}" + (f" ({told})" if told else "")


def _example(
    title: str,
    photo: NDArray,
    heats: Mapping[str, NDArray],
    signed: Mapping[str, bool],
    facts: list[tuple[str, str]],
) -> Example:
    picture, flat, place = flattened(photo, np.stack([*heats.values()]))
    if place:
        facts = [("Slice", place.removeprefix("slice ")), *facts]
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
    finite = np.isfinite(heat)
    if not finite.any():
        return "The map has no values."
    known = np.where(finite, heat, 0).astype(np.float64)
    gaps = "" if finite.all() else f" {1 - finite.mean():.0%} of the places have no value."
    total = np.abs(known).sum()
    if not total:
        return f"No evidence anywhere.{gaps}"
    positive = np.maximum(known, 0)
    for_it = positive.sum() / total
    if not for_it:
        return f"All evidence speaks against it.{gaps}"
    against = "" if for_it > 0.995 else f" {1 - for_it:.0%} of all evidence speaks against."
    return f"{_where(positive)}{against}{gaps}"


def _where(positive: NDArray) -> str:
    """The two ninths of the picture that hold most, if they stand out."""
    if min(positive.shape) < 3:
        return "Some of the evidence speaks for it."
    parts = _ninths(positive)
    order = [i for i in np.argsort(-parts.ravel(), kind="stable")[:2] if parts.ravel()[i] >= 0.005]
    share = parts.ravel()[order].sum()
    if share < 0.35:
        return "What speaks for it is spread over the picture."
    named = [f"{_place(*np.unravel_index(i, parts.shape))} ({parts.ravel()[i]:.0%})" for i in order]
    most = "Most" if share > 0.5 else "Much"
    return f"{most} of what speaks for it lies in the {' and the '.join(named)} ninth of the picture."


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
