"""Data sets explained: rows from anywhere, shards on disk, runs that go on after whatever ended them."""

from __future__ import annotations

from tfxai.data.column_summary import ColumnSummary, columns
from tfxai.data.drift_summary import Drift, drift
from tfxai.data.explainer import Explainer
from tfxai.data.inside_summary import Inside, inside
from tfxai.data.map_summary import ClassMaps, Likeness, class_maps, typical
from tfxai.data.on_ray import Ray
from tfxai.data.results import Results, open_results
from tfxai.data.runs import explain_dataset
from tfxai.data.sources import Folder, all_rows
from tfxai.data.table_source import Table

__all__ = [
    "ClassMaps",
    "ColumnSummary",
    "Drift",
    "Explainer",
    "Folder",
    "Inside",
    "Likeness",
    "Ray",
    "Results",
    "Table",
    "class_maps",
    "columns",
    "drift",
    "explain_dataset",
    "inside",
    "open_results",
    "typical",
]
