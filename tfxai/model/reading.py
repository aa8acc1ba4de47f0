"""Every weight of a model in one call of TensorFlow, without a copy."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.model.adapter import NamedWeights
from tfxai.support import Tensor

Read = Callable[[], Sequence[Tensor]]


class WeightReader:
    """Reads these weights, all at once: one by one, 250 of them take as long as some explanations.

    It keeps the variables. Constants are given as they are.
    """

    def __init__(self, named: NamedWeights) -> None:
        self.paths = [path for path, _ in named]
        self._weights = [weight for _, weight in named]
        self._read = _reading([weight for weight in self._weights if not isinstance(weight, np.ndarray)])

    def __call__(self) -> list[Tensor | NDArray]:
        """The weights as they are now."""
        values = iter(self._read())
        return [weight if isinstance(weight, np.ndarray) else next(values) for weight in self._weights]

    def reads(self, named: NamedWeights) -> bool:
        """Whether these are its weights."""
        if self.paths != [path for path, _ in named]:
            return False
        return all(map(operator.is_, self._weights, (weight for _, weight in named)))


def _reading(variables: Sequence[Any]) -> Read:
    """The quickest way to read all of these."""
    if not variables:
        return tuple
    held = [variable.value if hasattr(variable, "path") else variable for variable in variables]
    handles = [*map(_handle, held)]
    is_plain = all(tf.is_tensor(handle) and "CPU" in handle.device for handle in handles)
    if is_plain and _one_operation_will_do():
        return _one_operation(handles, [variable.dtype for variable in held])
    return _traced(variables)


def _handle(variable: Any) -> Any:
    """What operations know a variable by; None where there is no single one, as of a distributed one."""
    try:
        return getattr(variable, "handle", None)
    except ValueError:
        return None


def _one_operation(handles: Sequence[Tensor], kinds: Sequence[Any]) -> Read:
    """TensorFlow's own operation that reads many variables, for which it has no public function. None of them is copied."""
    from tensorflow.python.eager import context, execute

    count, named = len(handles), [kind.as_datatype_enum for kind in kinds]
    settings = ("N", count, "dtypes", named)
    return lambda: execute.execute(b"_ReadVariablesOp", count, handles, settings, context.context())


@functools.cache
def _one_operation_will_do() -> bool:
    """Whether this TensorFlow has the operation, and nothing that it has read changes when single rows are written."""
    row = tf.IndexedSlices(tf.constant([1.0]), tf.constant([0]))
    with tf.device("CPU"):
        variables = [tf.Variable(tf.zeros(2)), tf.Variable(tf.zeros(2, tf.int32))]
    try:
        read = _one_operation([each.handle for each in variables], [each.dtype for each in variables])
        first = read()[0]
        variables[0].scatter_add(row)
        second = read()[0]
        variables[0].scatter_add(row)
        return first.numpy().tolist() == [0, 0] and second.numpy().tolist() == [1, 0]
    except Exception:  # whatever it says: there is another way
        return False


def _traced(variables: Sequence[Any]) -> Read:
    """Half as quick, for all devices and kinds of variables."""
    read = tf.function(lambda: [*map(tf.convert_to_tensor, variables)], autograph=False)
    return read.get_concrete_function()
