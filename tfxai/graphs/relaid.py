"""A traced function's graph laid out once more inside another one, without the marks that only its gradients needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfxai.graphs.pruning import pruned
from tfxai.graphs.stripping import strip
from tfxai.graphs.tensor_names import op_name
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class Relaid:
    """What a concrete function does, to be done in any graph, on the same variables and tables.

    Operations that carried a rule for their gradient are plain ones there: nothing is differentiated any more, and a saved
    file would ask for rules that nobody has. What its results do not need is left out, with the variables that only that
    reads.

    arguments, results: names of its tensors. captured: what else it reads, by name. variables: these among that.
    """

    definition: tf.compat.v1.GraphDef
    arguments: Sequence[str]
    results: Sequence[str]
    captured: Mapping[str, Any]
    variables: tuple[Any, ...]

    @classmethod
    def of(cls, concrete: Any) -> Relaid:
        """concrete: a tf.function for arguments of certain shapes."""
        results = [tensor.name for tensor in concrete.outputs]
        wanted = list(dict.fromkeys(op_name(name) for name in results))
        definition = pruned(concrete.graph.as_graph_def(), wanted)
        for node in [*definition.node, *(n for body in definition.library.function for n in body.node_def)]:
            strip(node)
        kept = {node.name for node in definition.node}
        inside = {tensor.name: outside for outside, tensor in concrete.graph.captures}
        captured = {name: outside for name, outside in inside.items() if op_name(name) in kept}
        arguments = [tensor.name for tensor in concrete.inputs if tensor.name not in inside]
        handles = {id(outside) for outside in captured.values()}
        variables = tuple(each for each in concrete.graph.variables if id(each.handle) in handles)
        return cls(definition, arguments, results, captured, variables)

    def __call__(self, *tensors: Tensor) -> Sequence[Tensor]:
        graph: Any = (
            tf.compat.v1.get_default_graph()
        )  # what lies outside of it comes in as an argument of its own
        given = {**dict(zip(self.arguments, tensors, strict=True)), **self.captured}
        kept = {node.name for node in self.definition.node}
        fed = {name: graph.capture(each) for name, each in given.items() if op_name(name) in kept}
        return tf.graph_util.import_graph_def(
            self.definition, input_map=fed, return_elements=list(self.results), name="explain"
        )
