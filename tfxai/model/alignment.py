"""Where the entries of each tensor of a traced graph lie in an input, worked out operation by operation."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfxai.graphs import CALLS
from tfxai.model.layout_rules import RULES
from tfxai.model.layouts import UNKNOWN, Along, Atom, Dim, Layout
from tfxai.model.measured import measured
from tfxai.model.operations import OF_SHAPE, called_graph
from tfxai.support import Operation, Tensor

MEASUREMENTS = 8
"""In one pass: a model in which more is unknown is measured where it begins to be."""


class Alignment:
    """Where the tensors of a graph lie in one input.

    layouts: by the name of a tensor; those that do not depend on the input are missing.
    """

    def __init__(self, graph: tf.Graph, sources: Sequence[tuple[Tensor, Layout]]) -> None:
        self.layouts: dict[str, Layout] = {tensor.name: layout for tensor, layout in sources}
        self.measurements = 0
        own = {tensor.op for tensor, _ in sources}
        for op in graph.get_operations():  # in the order in which they were made
            if (
                op not in own
                and op.type not in OF_SHAPE
                and any(tensor.name in self.layouts for tensor in op.inputs)
            ):
                self._note(op)

    def of(self, tensor: Tensor) -> Layout | None:
        """Where a tensor lies; None if it does not depend on the input."""
        return self.layouts.get(tensor.name)

    def _note(self, op: Operation) -> None:
        given = [self.layouts.get(tensor.name) for tensor in op.inputs]
        outputs = _called(op, given) if op.type in CALLS else _by_rule(op, given)
        for tensor, layout in zip(op.outputs, outputs, strict=False):
            if tensor.name in self.layouts:
                continue
            if layout.dims is None and self.measurements < MEASUREMENTS:
                layout = measured(tensor, self.layouts) or layout
                self.measurements += layout.dims is not None
            self.layouts[tensor.name] = layout


def _by_rule(op: Operation, given: Sequence[Layout | None]) -> Sequence[Layout]:
    rule = RULES.get(op.type)
    if rule is None or all(layout is None or layout.dims is None for layout in given):
        return [UNKNOWN] * len(op.outputs)
    try:
        outputs = rule(op, given)
    except (
        AssertionError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ):  # a shape, or an attribute, that it does not expect
        return [UNKNOWN] * len(op.outputs)
    return [_checked(layout, tensor) for layout, tensor in zip(outputs, op.outputs, strict=False)]


def _checked(layout: Layout, tensor: Tensor) -> Layout:
    """The layout, unless it cannot be: another number of axes."""
    fits = layout.dims is None or tensor.dtype == tf.variant or tensor.shape.rank in (None, len(layout.dims))
    return layout if fits else UNKNOWN


def _called(op: Operation, given: Sequence[Layout | None]) -> Sequence[Layout]:
    """Through the body of a function that is called."""
    body = called_graph(op)
    if body is None or len(body.inputs) != len(given):
        return [UNKNOWN] * len(op.outputs)
    sources = [
        (tensor, layout) for tensor, layout in zip(body.inputs, given, strict=True) if layout is not None
    ]
    inside = Alignment(body, sources)
    return [inside.of(tensor) or UNKNOWN for tensor in body.outputs]


def layout_of_input(shape: Sequence[int | None]) -> Layout:
    """Where the entries of an input (N, ...) lie in itself."""
    dims = [Dim.of(size, Along(i)) for i, size in enumerate(shape[1:], start=1)]
    return Layout((Dim((Atom(None, Along(0)),)), *dims))
