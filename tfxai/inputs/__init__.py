"""What users give as inputs: arrays in any structure, and how images are cut into segments."""

from __future__ import annotations

from tfxai.inputs.arrays import checked_arrays, is_float, specs_of
from tfxai.inputs.memory import tensor_of
from tfxai.inputs.segments import parts
from tfxai.inputs.structure import flatten, pack, skeleton

__all__ = [
    "checked_arrays",
    "flatten",
    "is_float",
    "pack",
    "parts",
    "skeleton",
    "specs_of",
    "tensor_of",
]
