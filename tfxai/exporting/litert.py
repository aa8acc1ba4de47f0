"""A function in a LiteRT file (TensorFlow Lite), for phones and small boards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

from tfxai.exporting import for_litert, primitives
from tfxai.exporting.calls import Refused
from tfxai.exporting.refusing import refusal
from tfxai.support import first_line, whole_file


def write_litert(
    function: Any,
    path: Path,
    quantize: Literal["float16", "int8"] | None = None,
    *,
    rows: int = 1,
) -> None:
    """Writes a function, with gradients or without, into a LiteRT file of builtin operations.

    function: a tf.ConcreteFunction; its inputs keep the names of their tf.TensorSpecs, its outputs the keys of the dict that it
              returns, in the signature `serving_default`.
    quantize: how weights are kept: as "float16", half the size, or as "int8" with a scale for each channel, a quarter; None as they
              are. Numbers between stay float32.
    rows:     of every input whose first axis is open.

    Raises ValueError if the function holds an operation that LiteRT has not, naming it, or open axes beside the first;
    OSError if the file cannot be written.
    """
    try:
        written = primitives.in_primitives(function, {**primitives.RULES, **for_litert.RULES}, rows=rows)
    except Refused as refused:
        raise refusal(str(refused), "LiteRT") from refused
    converter = tf.lite.TFLiteConverter.from_concrete_functions([written], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        file = converter.convert()
    except Exception as error:  # the converter's own kind, which has no public name
        missing = sorted({*re.findall(r"'tf\.(\w+)'", str(error))})
        raise refusal(", ".join(missing) or first_line(error), "LiteRT") from error
    with whole_file(path) as part:
        part.write_bytes(file)
