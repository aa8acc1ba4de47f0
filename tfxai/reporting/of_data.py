"""Runs over data sets and their summaries as blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfxai.data import ClassMaps, ColumnSummary, Drift, Inside, Results, class_maps, columns, typical
from tfxai.plots import rgb
from tfxai.reporting import charts, pictures
from tfxai.reporting.blocks import (
    About,
    Block,
    Cell,
    Chart,
    Example,
    Facts,
    Folded,
    Maps,
    Prose,
    short,
    table,
)
from tfxai.reporting.context import Context
from tfxai.reporting.of_maps import draw

TOP, POINTS = 15, 300  # columns that are drawn; points of each in a swarm


def run(results: Results, context: Context) -> list[Block]:
    """What a run holds: counts, failures, and for each method what all rows say together."""
    failures = results.failures()
    settings = {key: str(value) for key, value in results.settings.items() if value not in (None, "null")}
    facts = {
        "Rows": short(len(results)),
        "Failed": short(len(failures)),
        "State": "finished" if results.finished else "not finished",
    }
    blocks: list[Block] = [Facts(facts), Folded("Settings", [Facts(settings)])]
    if failures:
        listed = [(str(key), why) for key, why in list(failures.items())[: 10 * TOP]]
        blocks.append(
            Folded("Rows that could not be explained", [table("Reasons", ("row", "reason"), listed)])
        )
    for method in results.methods:
        blocks += [Prose([f"All rows together, by {method}:"]), *_together(results, method, context)]
    return blocks


def _together(results: Results, method: str, context: Context) -> list[Block]:
    try:
        return column_summary(columns(results, method=method), context)
    except ValueError:  # maps, or texts
        pass
    try:
        found = class_maps(results, method=method)
    except ValueError as error:
        return [Prose([str(error)])]
    odd = [
        (str(row.id), context.of_class(row.target), row.likeness)
        for row in typical(results, TOP, method=method)
    ]
    rows = table("Rows whose maps are least like those of their class", ("row", "class", "likeness"), odd)
    return [*of_classes(found, context), rows]


def of_classes(result: ClassMaps, context: Context) -> list[Block]:
    """The mean map of each class, most frequent classes first."""
    order = np.argsort(-result.counts, kind="stable")[: context.limit]
    if result.means.ndim != 3:
        rows = [(context.of_class(result.classes[i]), int(result.counts[i])) for i in order]
        return [table("Classes that were explained", ("class", "maps"), rows)]
    grounds = np.ones((*result.means.shape, 3)) if result.inputs is None else rgb(result.inputs)
    signed = bool((result.means < 0).any())
    examples = []
    for i in order:
        address, width, height = pictures.photo(grounds[i])
        name = f"{context.of_class(result.classes[i])}: mean of {short(int(result.counts[i]))} maps"
        examples.append(
            Example(
                name,
                address,
                width,
                height,
                list(result.means.shape[1:]),
                [],
                [draw(result.means[i], signed)],
            )
        )
    told = About(
        "mean map",
        "mean map",
        "Where the evidence for each class lies, on average over the rows that were explained.",
        {},
    )
    return [Maps([told], examples)]


def column_summary(result: ColumnSummary, context: Context) -> list[Block]:
    """Importance of columns as bars, each row as a point, and the numbers."""
    order = np.argsort(-result.magnitude, kind="stable")
    names = result.names
    bars = [
        {
            "name": names[i],
            "value": result.magnitude[i],
            "low": result.magnitude_interval[i, 0],
            "high": result.magnitude_interval[i, 1],
        }
        for i in order[:TOP]
    ]
    words = (
        "Columns that count most: "
        + ", ".join(f"{names[i]} ({short(float(result.magnitude[i]))})" for i in order[:3])
        + "."
    )
    ranks = _ranks(result.inputs)
    some = np.linspace(0, len(result.values) - 1, min(len(result.values), POINTS)).astype(int)
    swarm = [
        {"name": names[i], "value": float(result.values[row, i]), "high": float(ranks[row, i])}
        for i in order[:TOP]
        for row in some
    ]
    full = [
        (names[i], float(result.magnitude[i]), float(result.mean[i]), *map(float, result.mean_interval[i]))
        for i in order
    ]
    heads = ("column", "mean |value|", "mean", "low", "high")
    return [
        Prose([words]),
        Chart(charts.bars(bars, title="mean |value|, with 95 % intervals", spans=True), words),
        Chart(
            charts.swarm(swarm, name="name", value="value", high="high"),
            f"Values of {len(some)} rows for each column.",
        ),
        Folded("All columns", [table(f"{result.rows} rows", heads, full)]),
    ]


def _ranks(inputs: Any) -> Any:
    """(S, F) of each number among those of its column, 0 to 1; a half where nothing is known."""
    known = np.where(np.isnan(inputs), 0, inputs)
    order = known.argsort(0, kind="stable").argsort(0, kind="stable") / max(len(known) - 1, 1)
    return np.where(np.isnan(inputs), 0.5, order)


def drift(result: Drift, context: Context) -> list[Block]:
    """What differs from the reference, largest difference first."""
    found = result.drifted
    words = (
        f"By more than chance differ: {', '.join(found)}."
        if found
        else "Nothing differs by more than chance."
    )
    rows = [
        (
            Cell(name, name, name in found),
            float(result.reference_means[i]),
            float(result.means[i]),
            float(result.distances[i]),
            float(result.p_values[i]),
        )
        for i, name in enumerate(result.names)
    ]
    order = np.argsort(-result.distances, kind="stable")[:TOP]
    bars = [{"name": result.names[i], "value": float(result.distances[i])} for i in order]
    heads = ("quantity", "reference", "now", "distance", "p")
    return [
        Prose([words]),
        Chart(charts.bars(bars, title="distance, 0 to 1"), words),
        table("Marked: by more than chance", heads, rows),
    ]


def inside(result: Inside, context: Context) -> list[Block]:
    """The share of the evidence inside regions."""
    low, high = result.interval
    words = f"{result.mean:.0%} of the positive evidence lies inside (95 % interval {low:.0%} to {high:.0%}, {result.rows} maps)."
    bars = [
        {"name": context.of_class(c), "value": float(m), "low": float(i[0]), "high": float(i[1])}
        for c, m, i in zip(result.classes, result.means, result.intervals, strict=True)
    ][:TOP]
    rows = [(str(id), context.of_class(target), share) for id, target, share in result.lowest]
    return [
        Prose([words]),
        Chart(charts.bars(bars, title="share inside", spans=True), words),
        table("Rows with least inside", ("row", "class", "share"), rows),
    ]
