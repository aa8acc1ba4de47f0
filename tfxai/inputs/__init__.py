"""What users give as inputs: arrays in any structure, and how images are cut into segments."""

from __future__ import annotations

from tfxai.inputs.arrays import check_finite, checked_arrays, is_float, specs_of
from tfxai.inputs.memory import tensor_of
from tfxai.inputs.segments import parts
from tfxai.inputs.structure import flatten, pack, skeleton
from tfxai.inputs.tables import Frame, array_of, in_order, is_frame, read
from tfxai.inputs.words import missing_values, missing_words, numbers_if_all_are, restored, words_of

__all__ = [
    "Frame",
    "array_of",
    "check_finite",
    "checked_arrays",
    "flatten",
    "in_order",
    "is_float",
    "is_frame",
    "missing_values",
    "missing_words",
    "numbers_if_all_are",
    "pack",
    "parts",
    "read",
    "restored",
    "skeleton",
    "specs_of",
    "tensor_of",
    "words_of",
]
