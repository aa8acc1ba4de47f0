"""What users give as inputs: arrays in any structure, and how images are cut into segments."""

from __future__ import annotations

from tfxai.inputs.arrays import checked_arrays, flatten, is_float, pack, skeleton, specs_of, tensor_of
from tfxai.inputs.segments import parts

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
