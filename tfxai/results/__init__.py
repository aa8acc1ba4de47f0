"""What comes back: raw values, what is needed to read them, and how they are kept in files."""

from __future__ import annotations

from tfxai.results.digests import array_digest, text_digest
from tfxai.results.explanation import Explanation, PartsExplanation, SampledExplanation, SurrogateExplanation
from tfxai.results.generation import GenerationExplanation
from tfxai.results.interactions import InteractionsExplanation
from tfxai.results.receipt import Receipt
from tfxai.results.recipes import Recipe, as_json, recipe
from tfxai.results.storage import KINDS, Stored

__all__ = [
    "KINDS",
    "Explanation",
    "GenerationExplanation",
    "InteractionsExplanation",
    "PartsExplanation",
    "SampledExplanation",
    "Receipt",
    "Recipe",
    "Stored",
    "SurrogateExplanation",
    "as_json",
    "array_digest",
    "text_digest",
    "recipe",
]
