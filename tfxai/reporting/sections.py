"""Which section a result becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tfxai.comparing import ModelComparison
from tfxai.concepts import TCAVResult
from tfxai.data import ClassMaps, ColumnSummary, Drift, Inside, Results
from tfxai.metrics import MethodTable, MetricResult
from tfxai.model import LayerTable
from tfxai.receipts import Verification
from tfxai.reporting import of_comparisons, of_data, of_results, of_training
from tfxai.reporting.blocks import Block, Facts, Folded, Prose, Section
from tfxai.reporting.context import Context
from tfxai.reporting.of_explanations import explained, generated, interactions
from tfxai.results import Explanation, GenerationExplanation, InteractionsExplanation, Receipt
from tfxai.sanity import EfficientReport, LabelReport, SanityReport
from tfxai.support import in_short
from tfxai.training import ConceptCallback, ExplainCallback

MADE: dict[type, tuple[str, Callable[[Any, Context], list[Block]]]] = {
    SanityReport: ("Do the maps depend on the model?", of_results.sanity),
    LabelReport: ("Do the maps show what was learnt?", of_results.labels),
    EfficientReport: ("Are the maps simpler than those of a random model?", of_results.efficient),
    ModelComparison: ("Does the new model look at something else?", of_comparisons.comparison),
    TCAVResult: ("Which concepts count?", of_results.concepts),
    MethodTable: ("Which method is best here?", of_results.method_table),
    Receipt: ("How it came about", of_results.receipt),
    Verification: ("Made again", of_results.verification),
    LayerTable: ("Layers", of_results.layer_table),
    Results: ("A whole data set", of_data.run),
    ClassMaps: ("What maps of a class have in common", of_data.of_classes),
    ColumnSummary: ("Which columns count?", of_data.column_summary),
    Drift: ("What differs from the reference?", of_data.drift),
    Inside: ("How much evidence lies where it should?", of_data.inside),
    ExplainCallback: ("How the maps changed in training", of_training.maps_in_training),
    ConceptCallback: ("How concepts came in training", of_training.concepts_in_training),
}
"""What can be a section, besides explanations and metrics, which may come by the names of methods."""


def section_of(result: Any, context: Context) -> Section:
    """The section of a result, or of a dict of explanations or of values of one metric. Words are a section of their own.

    Raises ValueError if it is none of them.
    """
    if isinstance(result, str):
        return Section("", [Prose([each.strip() for each in result.split("\n\n") if each.strip()])])
    if isinstance(result, Mapping) and result:
        kinds = {
            next((base for base in (Explanation, MetricResult) if isinstance(each, base)), None)
            for each in result.values()
        }
        if kinds == {Explanation}:
            return _of_explanations(result, context)
        if kinds == {MetricResult}:
            return Section("How good are the maps?", of_results.metrics(result, context))
    if isinstance(result, Explanation):
        name = _short_name(result.method)
        return dataclasses.replace(
            _of_explanations({name: result}, context), title=f"What did the model look at? {name}"
        )
    if isinstance(result, GenerationExplanation):
        return Section("What each token was made of", [*generated(result), *_receipts({"": result})])
    if isinstance(result, MetricResult):
        return Section("How good are the maps?", of_results.metrics({"all": result}, context))
    for kind, (title, made) in MADE.items():
        if isinstance(result, kind):
            return Section(title, made(result, context))
    raise ValueError(
        f"A page cannot show {in_short(result)}. Give explanations, a dict of them by the names of methods, or what sanity checks, metrics, TCAV, "
        "callbacks and data sets give."
    )


def _short_name(method: str) -> str:
    return method.partition("(")[0] or "explanation"


def _of_explanations(explanations: Mapping[str, Explanation], context: Context) -> Section:
    first = next(iter(explanations.values()))
    blocks = explained(explanations, context)
    for name, each in explanations.items():
        if isinstance(each, InteractionsExplanation) and len(each):
            blocks += [Folded(f"Pairs of parts, {name}", interactions(each, context))]
    lead = context.more(len(first))
    return Section("What did the model look at?", [*blocks, *_receipts(explanations)], lead)


def _receipts(explanations: Mapping[str, Any]) -> list[Block]:
    """How each came about, folded in."""
    known = {name: each.receipt for name, each in explanations.items() if each.receipt is not None}
    if not known:
        return []
    facts: list[Block] = []
    for name, receipt in known.items():
        facts += [Prose([name] if name else []), Facts(of_results.receipt_facts(receipt))]
    return [Folded("Receipts: how these maps came about, for tfxai.verify", facts)]
