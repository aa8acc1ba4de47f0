"""What everything stands on: checks of arguments, words of errors, files, progress."""

from __future__ import annotations

from tfxai.support.files import PICTURES, is_file_name, whole_file, whole_folder, writable
from tfxai.support.messages import first_line, nearest, snake_case, warn, warnings_heard
from tfxai.support.progress import progress_bar
from tfxai.support.settings import (
    BatchSize,
    Confidence,
    Count,
    Explainer,
    File,
    InputKey,
    Numbers,
    OutputKey,
    Seed,
    Setting,
    Tolerance,
    check_arguments,
    check_settings,
    checked,
    in_short,
    number,
    whole,
)
from tfxai.support.types import Inputs, Layer, Model, Operation, PerInput, Structure, Tensor, Values, Variable

__all__ = [
    "Confidence",
    "BatchSize",
    "Count",
    "Explainer",
    "File",
    "InputKey",
    "Inputs",
    "Layer",
    "Model",
    "Numbers",
    "Operation",
    "OutputKey",
    "PerInput",
    "PICTURES",
    "Seed",
    "Setting",
    "Structure",
    "Tensor",
    "Tolerance",
    "Values",
    "Variable",
    "check_arguments",
    "check_settings",
    "checked",
    "first_line",
    "in_short",
    "nearest",
    "number",
    "progress_bar",
    "snake_case",
    "warn",
    "warnings_heard",
    "whole",
    "is_file_name",
    "whole_file",
    "whole_folder",
    "writable",
]
