"""Explanations that need none of us: a model and its methods as signatures of a file, for programs without tfxai."""

from __future__ import annotations

from tfxai.exporting.export import export

__all__ = ["export"]
