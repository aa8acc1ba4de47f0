"""A function with gradients, written anew with operations that files for other engines can hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from tfxai.exporting import gates, norms, shapes, windows
from tfxai.exporting.calls import Refused, Rules, single
from tfxai.exporting.rebuilding import Notes, Rebuilder
from tfxai.support import Tensor

RULES: Rules = {**gates.RULES, **norms.RULES, **shapes.RULES, **windows.RULES}
ROWS = (2, 3, 7, 1009)
"""Numbers of rows at which shapes are looked at, to see how they grow: small ones, and a large one for what has a limit."""


def in_primitives(function: Any, rules: Rules = RULES, *, rows: int | None = None) -> Any:
    """The same function as another tf.ConcreteFunction: no variables, calls, gradient operations or arithmetic of shapes.

    function: a tf.ConcreteFunction. Its inputs are taken by the names of their tf.TensorSpecs; its outputs, a dict, by their keys.
    rules:    what is written in place of an operation, by its type. Others stay as they are.
    rows:     fixes an open first axis of the inputs to this many rows.

    Raises ValueError if an axis of an input other than the first is open, and Refused, which is one, where a rule does not know what
    to write.
    """
    frozen = _frozen(function)
    given = [
        tensor for tensor in frozen.inputs if tensor.dtype != tf.resource
    ]  # a variable that nothing reads may stay
    specs = [
        tf.TensorSpec(_with_rows(tensor, rows), single(tensor.dtype), name)
        for tensor, name in zip(given, input_names(function), strict=True)
    ]
    is_open = any(spec.shape.rank and spec.shape[0] is None for spec in specs)
    if any(None in spec.shape.as_list()[1:] for spec in specs):
        raise ValueError(
            f"An input of shape {next(tuple(s.shape) for s in specs if None in s.shape.as_list()[1:])} has an open axis "
            "beside the first. Give a function of inputs of one size; only the number of rows may be open."
        )
    names = output_names(function)
    samples = (
        [(count, _written(frozen, names, _of(specs, count), rules)[1]) for count in ROWS] if is_open else []
    )
    return _written(frozen, names, specs, rules, samples)[0]


def _frozen(function: Any) -> Any:
    """With its variables as constants, and what it calls laid out in it."""
    try:
        return convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=True)
    except ValueError as error:  # gradients of loops ask variables for their shapes
        raise Refused("a gradient through a loop that reads variables") from error


def _with_rows(tensor: Tensor, rows: int | None) -> list[int | None]:
    if tensor.shape.rank is None:
        raise ValueError("An input of any number of axes cannot be written into a file. Give it a shape.")
    shape = tensor.shape.as_list()
    return [rows, *shape[1:]] if shape and shape[0] is None else shape


def _of(specs: Sequence[tf.TensorSpec], rows: int) -> list[tf.TensorSpec]:
    """The same inputs with a fixed number of rows."""
    return [
        tf.TensorSpec([rows if n is None else n for n in spec.shape], spec.dtype, spec.name) for spec in specs
    ]


def _written(
    frozen: Any,
    names: Sequence[str],
    specs: Sequence[tf.TensorSpec],
    rules: Rules,
    samples: Sequence[tuple[int, Notes]] = (),
) -> tuple[Any, Notes]:
    """The function written anew, and what was found out about its tensors."""
    notes = Notes()

    def written(*inputs: Tensor) -> Mapping[str, Tensor]:
        counted = [tensor for tensor in inputs if tensor.shape.rank and tensor.shape[0] is None]
        rebuilder = Rebuilder(rules, notes, samples, tf.shape(counted[0])[0] if counted else None)
        old = [tensor for tensor in frozen.inputs if tensor.dtype != tf.resource]
        given = {tensor.name: new for tensor, new in zip(old, inputs, strict=True)}
        results = rebuilder.rebuilt(frozen.graph, frozen.outputs, given)
        return {name: tf.identity(result, name) for name, result in zip(names, results, strict=True)}

    function = tf.function(written, autograph=False, input_signature=specs)
    return function.get_concrete_function(), notes


def input_names(function: Any) -> list[str]:
    """The names of the inputs of a tf.ConcreteFunction, without what it captured."""
    specs = tf.nest.flatten(function.structured_input_signature)
    names = [spec.name for spec in specs if isinstance(spec, tf.TensorSpec)]
    return [re.sub(r"\W", "_", name or f"input_{i}") for i, name in enumerate(names)]


def output_names(function: Any) -> list[str]:
    """The names of its outputs: the keys of a dict, in the order of the graph's outputs; else `output_0` and on.

    Raises ValueError if a dict holds anything but tensors.
    """
    outputs = function.structured_outputs
    if isinstance(outputs, Mapping):
        kept = {key: value for key, value in outputs.items() if value is not None}
        if any(not isinstance(value, (tf.Tensor, tf.TensorSpec)) for value in kept.values()):
            raise ValueError(f"The outputs are {outputs}. Give a dict of tensors.")
        return sorted(kept)
    return [f"output_{i}" for i in range(len(function.outputs))]
