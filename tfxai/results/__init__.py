"""What comes back: raw values, what is needed to read them, and how they are kept in files."""

from __future__ import annotations

from tfxai.results.explanation import Explanation, PartsExplanation, SampledExplanation, SurrogateExplanation
from tfxai.results.generation import GenerationExplanation
from tfxai.results.storage import Stored

__all__ = [
    "Explanation",
    "GenerationExplanation",
    "PartsExplanation",
    "SampledExplanation",
    "Stored",
    "SurrogateExplanation",
]
