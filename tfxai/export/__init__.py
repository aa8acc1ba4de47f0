"""Explanations as files that run without this library: their functions, in operations that other engines know."""

from __future__ import annotations

from tfxai.export.calls import Refused
from tfxai.export.litert import write_litert
from tfxai.export.onnx import write_onnx
from tfxai.export.primitives import in_primitives

__all__ = ["Refused", "in_primitives", "write_litert", "write_onnx"]
