"""Explanations while a model trains."""

from __future__ import annotations

from tfxai.training.concepts import ConceptCallback
from tfxai.training.explain import ExplainCallback

__all__ = [
    "ConceptCallback",
    "ExplainCallback",
]
