"""Data sets explained: rows from anywhere, shards on disk, runs that go on after whatever ended them."""

from __future__ import annotations

from tfxai.data.results import Results, open_results
from tfxai.data.runs import explain_dataset
from tfxai.data.sources import Folder, Table

__all__ = ["Folder", "Results", "Table", "explain_dataset", "open_results"]
