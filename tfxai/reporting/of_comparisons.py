"""Two models beside each other: the verdict, how alike maps are, and the examples that changed most."""

from __future__ import annotations

import numpy as np

from tfxai.comparing import RISK, ModelComparison
from tfxai.plots import rgb
from tfxai.reporting import charts, pictures
from tfxai.reporting.blocks import About, Block, Cell, Chart, Example, Facts, Maps, Prose, short, table
from tfxai.reporting.context import Context
from tfxai.reporting.of_maps import draw

BINS = 20


def comparison(result: ModelComparison, context: Context) -> list[Block]:
    """What changed in what a model looks at."""
    new, twins = result.changed_predictions
    facts = {
        "Verdict": f"The new model {result.verdict}." if result.changed is not None else result.verdict,
        "Examples": short(len(result.similarity)),
        "Twins": short(len(result.twin_similarity)),
        "Evidence in common": f"{result.similarity.mean():.0%}, of twins {_shares(result.twin_similarity.mean(1))}",
        "Other classes": ""
        if np.isnan(new)
        else f"{new:.1%}, of twins {'none known' if np.isnan(twins) else f'{twins:.1%}'}",
        "Evidence inside": ""
        if result.inside is None
        else f"old {result.inside[0].mean():.0%}, new {result.inside[1].mean():.0%}",
        "Concepts that came": ", ".join(_concept(each, context) for each in result.came),
        "Concepts that went": ", ".join(_concept(each, context) for each in result.went),
        "Method": result.method,
    }
    words = f"How much of the evidence each map has in common with the old one; mean of the new model's {result.similarity.mean():.2f}."
    tests = [(question, p, "yes" if p < RISK else "no") for question, p in result.p_values.items()]
    classes = [
        (Cell(context.of_class(name) or "all", float(name), name in result.changed_classes), p)
        for name, p in result.class_p_values.items()
    ]
    blocks: list[Block] = [
        Facts({name: each for name, each in facts.items() if each}),
        Chart(charts.spread(_histogram(result)), words),
        table(
            "Is the new model one more twin? (p-values, corrected together)",
            ("question", "p", "changed"),
            tests,
        ),
    ]
    if classes:
        blocks.append(table("Class by class; marked: changed", ("class", "p"), classes))
    return [*blocks, *_most_changed(result, context)]


def _shares(values: np.ndarray) -> str:
    return f"{values.min():.0%} to {values.max():.0%}" if len(values) else "none known"


def _concept(which: tuple[int, str, str], context: Context) -> str:
    target, concept, layer = which
    return f"{concept} for {context.of_class(target)} in {layer}"


def _histogram(result: ModelComparison) -> list[dict[str, object]]:
    """Shares of the examples in each bin of similarity, of the new model and of all twins."""
    rows = []
    for name, values in (("new model", result.similarity), ("twins", result.twin_similarity.reshape(-1))):
        if values.size:
            counts, edges = np.histogram(values, BINS, (0, 1))
            rows += [
                {"model": name, "similarity": float(edge + 0.5 / BINS), "share": float(count / values.size)}
                for edge, count in zip(edges, counts, strict=False)
            ]
    return rows


def _most_changed(result: ModelComparison, context: Context) -> list[Block]:
    """Maps by both models of the examples that changed most, where they are pictures."""
    if result.maps.ndim != 4:
        rows = [
            (context.name(int(i)), float(result.similarity[i])) for i in result.most_changed[: context.limit]
        ]
        return [table("Examples that changed most", ("example", "in common"), rows)]
    known = min(len(result.inputs), context.limit)
    photos, signed = rgb(np.asarray(result.inputs)[:known]), bool((result.maps < 0).any())
    examples = []
    for photo, row, *heats in zip(photos, result.most_changed, *result.maps[:, :known], strict=False):
        address, width, height = pictures.photo(photo)
        name = f"{context.name(int(row))}: {context.of_class(result.targets[row])}, {result.similarity[row]:.0%} in common"
        maps = [draw(heat, signed) for heat in heats]
        examples.append(Example(name, address, width, height, list(heats[0].shape), [], maps))
    words = "The examples whose maps changed most, by the {} model."
    abouts = [About(name, "", words.format(name), {}) for name in ("old", "new")]
    return [Prose(["The examples that changed most:"]), Maps(abouts, examples)]
