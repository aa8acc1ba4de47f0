"""Explanations that need none of us: a model and its methods as signatures of a file, for programs without tfxai."""

from __future__ import annotations

from tfxai.exporting.calls import Refused
from tfxai.exporting.export import export
from tfxai.exporting.litert import write_litert
from tfxai.exporting.onnx import write_onnx
from tfxai.exporting.primitives import in_primitives

__all__ = ["Refused", "export", "in_primitives", "write_litert", "write_onnx"]
