"""Data sets explained: rows from anywhere, shards on disk, runs that go on after whatever ended them."""

from __future__ import annotations

from tfxai.data.column_summary import ColumnSummary, columns
from tfxai.data.explainer import Explainer
from tfxai.data.map_summary import ClassMaps, Likeness, class_maps, typical
from tfxai.data.on_ray import Ray
from tfxai.data.results import Results, open_results
from tfxai.data.runs import explain_dataset
from tfxai.data.sources import Folder, Table

__all__ = [
    "ClassMaps",
    "ColumnSummary",
    "Explainer",
    "Folder",
    "Likeness",
    "Ray",
    "Results",
    "Table",
    "class_maps",
    "columns",
    "explain_dataset",
    "open_results",
    "typical",
]
