"""A function in an ONNX file, for ONNX Runtime and its like."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfxai.exporting import for_onnx, primitives
from tfxai.exporting.calls import Refused
from tfxai.exporting.refusing import needs, refusal
from tfxai.support import first_line, whole_file

OPSET = 17  # of 2022: what ONNX Runtime knows since 1.12


def write_onnx(function: Any, path: Path, *, rows: int | None = None) -> None:
    """Writes a function, with gradients or without, into an ONNX file.

    function: a tf.ConcreteFunction; its inputs keep the names of their tf.TensorSpecs, its outputs the keys of the dict that it
              returns.
    rows:     fixes an open first axis to this many rows; None leaves it open.

    Raises ValueError if the function holds an operation that ONNX has not, naming it, if other axes than the first are open, and if
    an input and an output share a name; ImportError without the packages onnx and tf2onnx; OSError if it cannot be
    written.
    """
    onnx, tf2onnx = needs("onnx", "onnx"), needs("tf2onnx", "tf2onnx")
    try:
        written = primitives.in_primitives(function, {**primitives.RULES, **for_onnx.RULES}, rows=rows)
    except Refused as refused:
        raise refusal(str(refused), "ONNX") from refused
    outputs = primitives.output_names(written)
    if twice := {*outputs} & {tensor.op.name for tensor in written.inputs}:
        raise ValueError(
            f"An input and an output are both named {sorted(twice)[0]!r}; in an ONNX file each name is there once. Give the output "
            "another key."
        )
    with _quiet(), _named():
        model, _ = tf2onnx.convert.from_graph_def(
            written.graph.as_graph_def(),
            name="tfxai",
            input_names=[tensor.name for tensor in written.inputs],
            output_names=[tensor.name for tensor in written.outputs],
            tensors_to_rename={
                **{tensor.name: tensor.op.name for tensor in written.inputs},
                **{tensor.name: name for tensor, name in zip(written.outputs, outputs, strict=True)},
            },
            opset=OPSET,
            custom_op_handlers={"SelectV2": (_choose, [])},
        )
    if unknown := _unknown(onnx, model.graph):
        raise refusal(", ".join(unknown), "ONNX")
    with _named():
        onnx.checker.check_model(model, full_check=True)
    with whole_file(path) as part:
        onnx.save(model, str(part))


def _choose(context: Any, node: Any, name: str, arguments: Any) -> None:
    """A choice as a choice. The converter would multiply by zeros and ones, and zero times NaN is NaN."""
    node.type = "Where"


def _unknown(onnx: Any, graph: Any) -> list[str]:
    """The operations that are none of ONNX's, in loops and branches too: the converter leaves what it does not know."""
    found: Counter[str] = Counter()
    waiting = [graph]
    while waiting:
        for node in waiting.pop().node:
            waiting += [attribute.g for attribute in node.attribute if attribute.HasField("g")]
            if not node.domain and not onnx.defs.has(node.op_type):
                found[node.op_type] += 1
    return sorted(found)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # of the converter, in many kinds
        raise refusal(f"what its converter fails on ({first_line(error)})", "ONNX") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the converter's words about itself, and TensorFlow's about the functions that it uses."""
    loggers = [logging.getLogger("tf2onnx"), tf.get_logger()]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
