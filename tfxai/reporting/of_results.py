"""Checks, metrics, concepts, receipts and layers as blocks: a chart, a table, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfxai.concepts import TCAVResult
from tfxai.metrics import MethodTable, MetricResult
from tfxai.receipts import Verification
from tfxai.reporting import charts
from tfxai.reporting.blocks import NOTHING, Block, Cell, Chart, Facts, Prose, short, table
from tfxai.reporting.context import Context
from tfxai.results import Receipt
from tfxai.sanity import EfficientReport, LabelReport, SanityReport


def sanity(report: SanityReport, context: Context) -> list[Block]:
    """How alike maps stay while layers lose their weights."""
    alike, steps = report.similarity["spearman_abs"], ["trained", *report.layers]
    rows = [
        {"method": method, "layer": steps[s], "alike": float(np.nanmean(alike[m, s]))}
        for m, method in enumerate(report.methods)
        for s in range(len(steps))
    ]
    verdict = report.verdict()
    passed = [name for name, good in verdict.items() if good]
    words = (
        f"{len(passed)} of {len(verdict)} methods pass: their maps change with the weights."
        if passed
        else "No method passes: the maps stay alike while the weights are destroyed."
    )
    spec = charts.lines(
        rows,
        x="layer",
        y="alike",
        series="method",
        x_title="layers with new weights",
        y_title="rank correlation",
        ordinal=True,
    )
    final = [
        (
            m,
            float(np.nanmean(alike[i, -1])),
            Cell("passes" if verdict[m] else "fails", verdict[m], not verdict[m]),
        )
        for i, m in enumerate(report.methods)
    ]
    heads = ("method", "likeness at the end", "verdict")
    return [Prose([words]), Chart(spec, words), table(f"Weights drawn anew, {report.mode}", heads, final)]


def labels(report: LabelReport, context: Context) -> list[Block]:
    """Twins on true and on permuted labels."""
    alike = report.similarity["spearman_abs"]
    rows = [(name, float(np.nanmean(alike[i]))) for i, name in enumerate(report.methods)]
    facts = {
        f"Twin on {name} labels": f"{share:.0%} of its labels learnt"
        for name, share in report.accuracy.items()
    }
    bars = [{"name": name, "value": value} for name, value in rows]
    words = "How alike the maps of both twins are: the less, the more a map shows what was learnt."
    return [
        Facts(facts),
        Chart(charts.bars(bars, title="rank correlation"), words),
        table(words, ("method", "likeness"), rows),
    ]


def efficient(report: EfficientReport, context: Context) -> list[Block]:
    """How much more complex the maps of a random model are."""
    rows = [(name, float(np.mean(report.rise[i]))) for i, name in enumerate(report.methods)]
    words = "Rise of the maps' entropy when all weights are drawn anew: above 0 the trained model's maps are simpler."
    bars = [{"name": name, "value": value} for name, value in rows]
    return [Chart(charts.bars(bars, title="rise of entropy"), words), table(words, ("method", "rise"), rows)]


def concepts(result: TCAVResult, context: Context) -> list[Block]:
    """Scores of concepts with their intervals, and the whole table."""
    rows = [
        {
            **row,
            "x": f"{context.of_class(row['target'])}: {row['concept']}",
            "low": row["low"],
            "high": row["high"],
        }
        for row in result.table
        if row["learned"]
    ]
    certain = [f"{row['x']} in {row['layer']} ({row['score']:.2f})" for row in rows if row["significant"]]
    words = (
        f"Concepts that count for certain: {', '.join(certain)}."
        if certain
        else "No concept counts for certain."
    )
    full = [
        (
            context.of_class(row["target"]),
            Cell(row["concept"], row["concept"], row["significant"]),
            row["layer"],
            row["score"],
            row["low"],
            row["high"],
            row["p_value"],
            row["accuracy"],
            row["learned"],
        )
        for row in result.table
    ]
    heads = ("class", "concept", "layer", "score", "low", "high", "p", "accuracy", "learnt")
    spec = charts.grouped(rows, x="x", y="score", series="layer", y_title="TCAV score", line=0.5)
    shown: list[Block] = [Chart(spec, words)] if rows else []
    return [Prose([words]), *shown, table("Concepts; those that count for certain are marked", heads, full)]


def method_table(result: MethodTable, context: Context) -> list[Block]:
    """Methods by metrics, with intervals."""
    heads = [
        "method",
        *(f"{m} ({'higher' if result.higher_is_better[m] else 'lower'} is better)" for m in result.metrics),
        "seconds",
    ]
    rows: list[list[Any]] = []
    for i, method in enumerate(result.methods):
        cells: list[Any] = [method]
        for metric in result.metrics:
            mean, (low, high) = result.mean(method, metric), result.interval(method, metric)
            text = f"{short(mean)} [{short(low)}, {short(high)}]"
            cells.append(NOTHING if mean != mean else Cell(text, mean, result.best[metric] == method))
        rows.append([*cells, float(result.seconds[i])])
    points = [
        {
            "method": method,
            "metric": metric,
            "mean": result.mean(method, metric),
            "low": ends[0],
            "high": ends[1],
        }
        for metric in result.metrics
        for method in result.methods
        for ends in [result.interval(method, metric)]
    ]
    best = [f"{name} by {metric}" for metric, name in result.best.items() if name]
    words = f"Certainly best: {', '.join(best)}." if best else "No method is certainly ahead of all others."
    spec = charts.grouped(points, x="metric", y="mean", series="method", y_title="mean and 95 % interval")
    return [
        Prose([words]),
        Chart(spec, words),
        table("Methods by metrics; marked: certainly the best", heads, rows),
    ]


def metrics(results: Mapping[str, MetricResult], context: Context) -> list[Block]:
    """Values of one metric, of one method or of several, and their curves."""
    first = next(iter(results.values()))
    rows = [(name, each.mean, *each.interval, int(each.values.size)) for name, each in results.items()]
    better = "higher" if first.higher_is_better else "lower"
    blocks: list[Block] = []
    curves = [
        {"method": name, "share": float(f), "score": float(s)}
        for name, each in results.items()
        if each.curves is not None and each.fractions is not None
        for f, s in zip(
            each.fractions, np.nanmean(each.curves.reshape(-1, each.curves.shape[-1]), axis=0), strict=True
        )
    ]
    words = f"{first.name}: {better} is better. " + "; ".join(
        f"{name} {short(row)}" for name, row, *_ in rows
    )
    if curves:
        spec = charts.lines(
            curves, x="share", y="score", series="method", x_title="share of the input", y_title="score"
        )
        blocks.append(Chart(spec, words))
    return [
        *blocks,
        table(f"{first.name} ({better} is better)", ("of", "mean", "low", "high", "values"), rows),
    ]


def receipt_facts(receipt: Receipt) -> dict[str, str]:
    """What a receipt says, in a few lines."""
    inputs = ", ".join(
        f"{name} {told.get('shape')} {str(told.get('digest', ''))[:12]}"
        for name, told in (receipt.inputs or {}).items()
    )
    facts = {
        "Inputs": inputs,
        "Weights": f"{len(receipt.weights)} arrays" if receipt.weights else "not kept",
        "Batch size": str(receipt.batch_size),
        "Passes": "" if receipt.passes is None else str(receipt.passes),
        "Environment": ", ".join(f"{key} {value}" for key, value in receipt.environment.items()),
        "Warnings": "; ".join(receipt.warnings),
    }
    return {key: value for key, value in facts.items() if value}


def receipt(result: Receipt, context: Context) -> list[Block]:
    """How an explanation came about."""
    return [Facts(receipt_facts(result))]


def verification(result: Verification, context: Context) -> list[Block]:
    """Whether an explanation could be made again."""
    state = ("equal to the bit", "different", "near, in another environment")[result.status]
    return [Facts({"Made again": state, "Compared": result.words})]


def layer_table(result: Any, context: Context) -> list[Block]:
    """The layers of a model."""
    rows = [
        (
            Cell(info.path, i, info.chosen),
            info.kind,
            " \N{MULTIPLICATION SIGN} ".join(str(n or "any") for n in info.shape[1:]),
        )
        for i, info in enumerate(result)
    ]
    return [
        table(
            "Layers in the order in which they run; marked: read by class activation maps",
            ("layer", "kind", "output"),
            rows,
        )
    ]
