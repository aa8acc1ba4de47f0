"""What everything stands on: checks of arguments, words of errors, files, progress."""

from __future__ import annotations

from tfxai.support.checks import at_least_zero, check_real, check_whole, whole_number
from tfxai.support.files import PICTURES, whole_file, writable
from tfxai.support.messages import first_line, nearest, warn
from tfxai.support.progress import progress_bar
from tfxai.support.types import Inputs, Layer, Model, Operation, PerInput, Structure, Tensor, Values, Variable

__all__ = [
    "Inputs",
    "Layer",
    "Model",
    "Operation",
    "PerInput",
    "PICTURES",
    "Structure",
    "Tensor",
    "Values",
    "Variable",
    "at_least_zero",
    "check_real",
    "check_whole",
    "first_line",
    "nearest",
    "progress_bar",
    "warn",
    "whole_file",
    "whole_number",
    "writable",
]
