"""Pages for a colleague: results as one HTML file."""

from __future__ import annotations

from tfxai.reporting.page import Report, report

__all__ = ["Report", "report"]
