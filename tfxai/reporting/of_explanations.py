"""Explanations of everything else: texts, series, tables, units of layers, generated texts, pairs of parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxai.plots import (
    column_table,
    flattened,
    has_columns,
    has_words,
    laid_out,
    maps_and_inputs,
    score_text,
)
from tfxai.reporting import charts
from tfxai.reporting.abouts import about, folded
from tfxai.reporting.blocks import Block, Chart, Folded, Pieces, Prose, Word, Words, short, table
from tfxai.reporting.context import Context
from tfxai.reporting.of_maps import maps
from tfxai.results import Explanation, GenerationExplanation

TOP = 12  # columns, or parts, of a chart
CHANNELS = 6  # of a series that are drawn


def explained(explanations: Mapping[str, Explanation], context: Context) -> list[Block]:
    """Blocks of explanations of the same inputs, by the names of their methods; of several inputs those of each."""
    first = next(iter(explanations.values()))
    if not len(first):
        return [Prose(["Nothing was explained: there are no inputs."])]
    if first.at is not None:
        laid = {name: laid_out(each, None) for name, each in explanations.items()}
        of_units = {name: each.units for name, each in laid.items() if each.units is not None}
        if not of_units:
            return _of_places(laid, context)
        return [block for name in of_units for block in _columns(name, laid[name], context)]
    if has_words(first, None):
        return [block for name, each in explanations.items() for block in _words(name, each, context)]
    if has_columns(first, None):
        return [block for name, each in explanations.items() for block in _columns(name, each, context)]
    if not isinstance(first.inputs, np.ndarray):
        keys = first.inputs if isinstance(first.inputs, dict) else range(len(first.inputs))
        blocks: list[Block] = []
        for key in keys:
            held = {
                name: _of_input(each, key)
                for name, each in explanations.items()
                if each.values[key] is not None
            }
            if held:
                blocks += [Prose([f"Input {key}:"]), *explained(held, context)]
        return blocks
    return _of_places(explanations, context)


def _of_input(explanation: Explanation, key: Any) -> Explanation:
    """What an explanation says of one of several inputs."""
    fields: dict[str, Any] = {
        name: None if (held := getattr(explanation, name)) is None else held[key]
        for name in ("values", "inputs", "axes", "standard_error", "interval")
    }
    if isinstance(getattr(explanation, "segments", None), (dict, list, tuple)):
        fields["segments"] = explanation.segments[key]  # pyright: ignore[reportAttributeAccessIssue]
    return dataclasses.replace(explanation, **fields, receipt=None)


def _of_places(explanations: Mapping[str, Any], context: Context) -> list[Block]:
    _, inputs = maps_and_inputs(next(iter(explanations.values())), None)
    if inputs.ndim >= 4:
        return maps(explanations, context)
    if inputs.ndim == 2:
        if inputs.dtype.kind in "iu":
            return [block for name, each in explanations.items() for block in _ids(name, each, context)]
        return [block for name, each in explanations.items() for block in _columns(name, each, context)]
    return [block for name, each in explanations.items() for block in _series(name, each, context)]


def _each(explanation: Any, context: Context) -> Sequence[tuple[int, int, str]]:
    """(row, target, heading) of what is shown."""
    targets = np.reshape(explanation.targets, (len(explanation), -1))
    scores = np.reshape(explanation.scores, targets.shape)
    rows = range(min(len(explanation), context.limit))
    return [
        (
            row,
            k,
            f"{context.name(row)}: {context.of_class(targets[row, k]) or explanation.score}, "
            f"{explanation.score} {score_text(scores[row, k], explanation.score)}",
        )
        for row in rows
        for k in range(targets.shape[1])
    ]


def _coloured(texts: Sequence[str], weights: NDArray, title: str, note: str) -> list[Block]:
    """The words in colour, in a sentence the strongest of them, and all values as a table."""
    held = np.asarray(weights, np.float64)[: len(texts)]
    known = np.where(np.isfinite(held), held, 0)
    most = np.abs(known).max(initial=0.0) or 1.0
    told = [short(w) if np.isfinite(w) else "no value" for w in held.tolist()]
    words = [Word(text, float(w / most), value) for text, w, value in zip(texts, known, told, strict=True)]
    strongest = [i for i in np.argsort(-np.abs(known), kind="stable")[:3].tolist() if known[i]]
    listed = ", ".join(f"{texts[i]!r} ({told[i]})" for i in strongest) or "none, there is no evidence"
    rows = [(text, float(value)) for text, value in zip(texts, held, strict=True)]
    return [
        Words(title, note, words, f"Strongest: {listed}."),
        Folded("Words and values", [table(title, ("word", "value"), rows)]),
    ]


def _words(name: str, explanation: Any, context: Context) -> list[Block]:
    weights = np.asarray(explanation.weights).reshape(len(explanation), -1, explanation.weights.shape[-1])
    found = [
        block
        for row, k, heading in _each(explanation, context)
        for block in _coloured(explanation.tokens[row], weights[row, k], heading, name)
    ]
    return [*found, folded(about(name, explanation.method))]


def _ids(name: str, explanation: Any, context: Context) -> list[Block]:
    heat, inputs = maps_and_inputs(explanation, None)
    found = [
        block
        for row, k, heading in _each(explanation, context)
        for block in _coloured(
            [str(each) for each in inputs[row]], heat[row, k], heading, f"{name}, token ids"
        )
    ]
    return [*found, folded(about(name, explanation.method))]


def _columns(name: str, explanation: Any, context: Context) -> list[Block]:
    """The columns that count most as bars, with their intervals where they are known, a waterfall, and all values."""
    held = column_table(explanation, None)
    units = getattr(explanation, "units", None)
    names = held.names if units is None else units
    blocks: list[Block] = []
    for row, k, heading in _each(explanation, context):
        values, spans = (
            np.asarray(held.values[row, k], np.float64),
            np.asarray(held.spans[row, k], np.float64),
        )
        cells = [str(each) if isinstance(each, str) else short(each) for each in held.cells[row].tolist()]
        rows = _bars(names, cells, values, spans)
        words = f"{heading}. " + ", ".join(f"{each['name']}: {short(each['value'])}" for each in rows[:3])
        chart = charts.bars(rows, title=name, sided=True, spans=bool(np.isfinite(spans).any()))
        blocks += [Prose([f"{heading} ({name})"]), Chart(chart, words)]
        if (delta := getattr(explanation, "delta", None)) is not None:
            delta = float(np.reshape(delta, (len(explanation), -1))[row, k])
            blocks.append(_waterfall(rows, explanation, row, k, delta))
        full = [
            (*each, *ends) for *each, ends in zip(names, cells, values.tolist(), spans.tolist(), strict=True)
        ]
        heads = ("column", "input", "value", "low", "high")
        blocks.append(Folded("All values", [table(heading, heads, full)]))
    return [*blocks, folded(about(name, explanation.method))]


def _bars(
    names: Sequence[str], cells: Sequence[str], values: NDArray, spans: NDArray
) -> list[dict[str, Any]]:
    """The largest values first, and the sum of the others."""
    known = np.where(np.isfinite(values), values, 0)
    order = np.argsort(-np.abs(known), kind="stable")
    rows: list[dict[str, Any]] = [
        {
            "name": f"{names[i]} = {cells[i]}" if cells[i] else names[i],
            "value": float(values[i]),
            "low": float(spans[i, 0]),
            "high": float(spans[i, 1]),
        }
        for i in order[:TOP]
    ]
    if len(order) > TOP:
        rows.append({"name": f"{len(order) - TOP} others", "value": float(known[order[TOP:]].sum())})
    return rows


def _waterfall(rows: Sequence[Mapping[str, Any]], explanation: Any, row: int, k: int, delta: float) -> Block:
    """From the baseline's score to the input's: what each column adds, and what is missing."""
    score = float(np.reshape(explanation.scores, (len(explanation), -1))[row, k])
    total = sum(each["value"] for each in rows)
    at = score - total + delta
    steps: list[dict[str, Any]] = [
        {"name": "baseline", "start": at, "end": at, "kind": "total", "change": at}
    ]
    for each in reversed(rows):
        change = each["value"]
        kind = "for" if change >= 0 else "against"
        steps.append({"name": each["name"], "start": at, "end": at + change, "kind": kind, "change": change})
        at += change
    if abs(delta) > 1e-3 * max(abs(total), 1e-12):
        steps.append(
            {"name": "missing (delta)", "start": at, "end": score, "kind": "total", "change": score - at}
        )
    steps.append({"name": explanation.score, "start": score, "end": score, "kind": "total", "change": score})
    words = f"From the baseline's {explanation.score} of {short(steps[0]['start'])} to {short(score)}, column by column."
    return Folded("As a waterfall", [Chart(charts.waterfall(steps, explanation.score), words)])


def _series(name: str, explanation: Any, context: Context) -> list[Block]:
    heat, inputs = maps_and_inputs(explanation, None)
    blocks: list[Block] = []
    for row, k, heading in _each(explanation, context):
        picture, (values,), _ = flattened(inputs[row], heat[row, k][None])
        steps = [
            {"step": t, "value": float(x), "channel": f"channel {c + 1}"}
            for t, each in enumerate(np.asarray(picture, np.float64))
            for c, x in enumerate(each[:CHANNELS])
        ]
        evidence = [{"step": t, "evidence": float(v)} for t, v in enumerate(values)]
        strongest = int(np.abs(np.where(np.isfinite(values), values, 0)).argmax())
        words = (
            f"{heading}. The strongest evidence is at step {strongest} ({short(float(values[strongest]))})."
        )
        count = np.shape(picture)[-1]
        shown = f", {CHANNELS} of {count} channels" if count > CHANNELS else ""
        rows = [(t, float(v)) for t, v in enumerate(values)]
        blocks += [
            Prose([f"{heading} ({name}{shown})"]),
            Chart(charts.over_time(steps, evidence), words),
            Folded("All values", [table(heading, ("step", "evidence"), rows)]),
        ]
    return [*blocks, folded(about(name, explanation.method))]


def generated(explanation: GenerationExplanation) -> list[Block]:
    """Output tokens as buttons; the one that is chosen colours all tokens before it."""
    pieces, prompt = explanation.pieces, explanation.prompt
    rows = [
        _coloured(
            pieces[: prompt + i],
            explanation.matrix[i, : prompt + i],
            f"What {pieces[prompt + i]!r} was made of",
            f"{explanation.score} {score_text(explanation.scores[i], explanation.score)}",
        )
        for i in range(len(explanation))
    ]
    outputs = [piece if piece.strip() else repr(piece) for piece in pieces[prompt:]]
    words = [block for row in rows for block in row if isinstance(block, Words)]
    return [Pieces(outputs, words), folded(about("the method", explanation.method))]


def _names_of_parts(explanation: Any, parts: int) -> list[str]:
    """Columns by their names; of images and texts numbers."""
    try:
        names = column_table(explanation, None).names
    except ValueError:
        names = []
    return list(names) if len(names) == parts else [f"part {i + 1}" for i in range(parts)]


def interactions(explanation: Any, context: Context) -> list[Block]:
    """Pairs of parts as a matrix, and the strongest ones as a table."""
    parts = explanation.weights.shape[-1]
    pairs = np.asarray(explanation.interactions).reshape(len(explanation), -1, parts, parts)
    names = _names_of_parts(explanation, parts)
    blocks: list[Block] = []
    for row, k, heading in _each(explanation, context):
        both = np.nan_to_num(pairs[row, k].astype(np.float64))
        cells = [
            {"one": names[i], "other": names[j], "value": float(both[i, j])}
            for i in range(parts)
            for j in range(parts)
        ]
        strongest = sorted(
            ((names[i], names[j], float(both[i, j])) for i in range(parts) for j in range(i)),
            key=lambda each: -abs(each[2]),
        )
        words = f"{heading}: pairs of {parts} parts" + (
            f"; strongest {strongest[0][0]} with {strongest[0][1]}." if strongest else "."
        )
        if parts <= 30:
            blocks.append(Chart(charts.matrix(cells, x="one", y="other", value="value"), words))
        blocks.append(table(f"{heading}: strongest pairs", ("part", "with", "value"), strongest[:TOP]))
    return blocks
