"""A traced function's graph laid out once more inside another one, without the marks that only its gradients needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfxai.graphs.stripping import strip
from tfxai.support import Tensor


def relaid(concrete: Any) -> Callable[..., Sequence[Tensor]]:
    """A function of tensors that does in any graph what a concrete function does, on the same variables and tables.

    Operations that carried a rule for their gradient are plain ones there: nothing is differentiated any more, and a saved
    file would ask for rules that nobody has.
    """
    definition = concrete.graph.as_graph_def()
    bodies = [function.node_def for function in definition.library.function]
    for node in [*definition.node, *(node for body in bodies for node in body)]:
        strip(node)
    placeholders = [tensor.name for tensor in concrete.inputs]
    results = [tensor.name for tensor in concrete.outputs]

    def run(*tensors: Tensor) -> Sequence[Tensor]:
        graph: Any = tf.compat.v1.get_default_graph()  # what lies outside of it comes in as an argument of its own
        given = [graph.capture(tf.convert_to_tensor(each)) for each in (*tensors, *concrete.captured_inputs)]
        return tf.graph_util.import_graph_def(
            definition,
            input_map=dict(zip(placeholders, given, strict=True)),
            return_elements=results,
            name="explain",
        )

    return run
