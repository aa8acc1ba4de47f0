"""The softmax or sigmoid in which a model ends, and what stands in front of it.

Only a tensor in a trace knows where it came from. From the output the graph is walked back over what leaves the numbers as
they are (shapes, types, axes) or cuts and resizes them, also into called functions and out of them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from tfxai.graphs import CALLS, Called, full, functions_of, op_name, redone
from tfxai.support import Operation, Tensor

ENDINGS = ("Softmax", "Sigmoid", "LogSoftmax")

# Operations that hand one of their inputs on, whole or in part, in another shape, type or size: which it is.
HANDING_ON = {
    "BroadcastTo": 0, "Cast": 0, "CheckNumerics": 0, "DepthToSpace": 0, "EnsureShape": 0, "ExpandDims": 0, "Gather": 0,
    "GatherV2": 0, "Identity": 0, "MirrorPad": 0, "Pad": 0, "PadV2": 0, "Reshape": 0, "ResizeArea": 0, "ResizeBicubic": 0,
    "ResizeBilinear": 0, "ResizeNearestNeighbor": 0, "ReverseV2": 0, "ScaleAndTranslate": 0, "Slice": 0, "Snapshot": 0,
    "SpaceToDepth": 0, "Split": 1, "SplitV": 0, "Squeeze": 0, "StridedSlice": 0, "TensorListStack": 0, "Tile": 0,
    "Transpose": 0, "Unpack": 0,
}  # fmt: skip
# Of these, those that pick some. Who picks one class wants that number as it is; a crop leaves the last axis whole.
CUTS = ("Gather", "GatherV2", "Slice", "Split", "SplitV", "StridedSlice", "Unpack")
# In the body of a loop: what is written into a list, step by step.
WRITTEN = {**HANDING_ON, "TensorListSetItem": 2, "TensorListPushBack": 1}
BRANCHING = ("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase")


@dataclasses.dataclass(frozen=True)
class Ending:
    """The last nonlinearity of an output.

    kind:   type of its operation.
    before: makes what stands in front of it, brought into the output's shape in the same way as the output; raises
            ValueError if that is out of reach.
    """

    kind: str
    before: Callable[[], Tensor]


def ending_of(tensor: Tensor) -> Ending | None:
    """The softmax, log-softmax or sigmoid that an output comes from; None if there is none, or the tensor is no symbol."""
    if not hasattr(tensor, "op") or hasattr(tensor, "numpy"):
        return None
    op, output = tensor.op, tensor.value_index
    if op.type in ENDINGS:
        return Ending(op.type, lambda: op.inputs[0])
    if op.type == "IdentityN":  # around a function with a gradient of its own, which is the output's affair
        return ending_of(op.inputs[output])
    if op.type in HANDING_ON:
        which = HANDING_ON[op.type]
        if op.type in CUTS and (_picks_last(op) or _last_axis(op.inputs[which]) != _last_axis(tensor)):
            return None
        found = ending_of(op.inputs[which])
        return found and Ending(found.kind, lambda: redone(op, which, found.before(), output))
    if op.type in CALLS:
        return _of_call(op, output)
    if op.type in BRANCHING:
        kind = _in_any(_bodies(op.node_def), op.graph.as_graph_def(), output)
        return _out_of_reach(kind, "a loop or condition")
    return None


def _picks_last(op: Operation) -> bool:
    """Whether a cut takes one entry of the last axis, which another axis of the same length would hide."""
    rank = op.inputs[0].shape.rank
    if rank is None:
        return False
    if op.type == "StridedSlice":
        begin = op.inputs[1].shape[0]
        entries = begin - bin(op.get_attr("new_axis_mask")).count("1")
        has_ellipsis = bool(op.get_attr("ellipsis_mask"))
        reaches = has_ellipsis or entries == rank
        return reaches and bool(op.get_attr("shrink_axis_mask") >> (begin - 1) & 1)
    if op.type == "Unpack":
        return op.get_attr("axis") in (-1, rank - 1)
    if op.type == "GatherV2":
        axis = tf.get_static_value(op.inputs[2])
        return op.inputs[1].shape.rank == 0 and axis is not None and int(axis) in (-1, rank - 1)
    return False


def _last_axis(tensor: Tensor) -> int | None:
    return tensor.shape[-1] if tensor.shape.rank else None


def _of_call(op: Operation, output: int) -> Ending | None:
    """The ending of an output of a called function: inside of it, or of what it is called with and hands on."""
    called = Called.of(op.get_attr("f").name, op.graph.as_graph_def())
    if called is None:
        return None
    result = called.results[output]
    last = _last(called, result)
    kind = called.nodes[op_name(last)].op
    if kind in ENDINGS:
        source = full(called.nodes[op_name(last)].input[0])
        obstacle = called.obstacle(result)
        if obstacle is not None:
            return _out_of_reach(kind, f"a compiled tf.function, {obstacle},")
        return Ending(kind, lambda: called.laid_out(result, list(op.inputs), {last: source}))
    if op_name(last) in called.arguments:
        which = called.arguments.index(op_name(last))
        found = ending_of(op.inputs[which])
        return found and Ending(
            found.kind, lambda: _handed_through(op, called, result, which, found.before())
        )
    return _out_of_reach(_in_loop(called, last), "a loop or condition of a compiled tf.function")


def _handed_through(op: Operation, called: Called, result: str, which: int, tensor: Tensor) -> Tensor:
    arguments = list(op.inputs)
    arguments[which] = tensor
    return called.laid_out(result, arguments, {})


def _last(called: Called, tensor: str) -> str:
    """The tensor of a body that another one is made of, before all that only hands it on."""
    while True:
        node = called.nodes[op_name(tensor)]
        if node.op == "IdentityN":
            tensor = full(node.input[int(full(tensor).split(":")[1])])
        elif node.op in WRITTEN:
            tensor = full(node.input[WRITTEN[node.op]])
        else:
            return full(tensor)


def _in_loop(called: Called, tensor: str) -> str | None:
    """The type of the ending that a loop or condition, of which the tensor is a result, has in its body."""
    node = called.nodes[op_name(tensor)]
    if node.op not in BRANCHING:
        return None
    return _in_any(_bodies(node), called.graph, int(tensor.split(":")[1]))


def _bodies(node: NodeDef) -> list[str]:
    """The functions whose results a loop or condition hands on; not what a loop is ended by."""
    ended_by = node.attr["cond"].func.name if node.op.endswith("While") else None
    return [function.name for function in functions_of(node) if function.name != ended_by]


def _in_any(names: list[str], library: GraphDef, output: int) -> str | None:
    """The type of the ending of one of these functions, at one of their outputs."""
    for name in names:
        called = Called.of(name, library)
        if called is None:
            continue
        last = _last(called, called.results[output])
        kind = called.nodes[op_name(last)].op
        kind = kind if kind in ENDINGS else _in_loop(called, last)
        if kind is not None:
            return kind
    return None


def _out_of_reach(kind: str | None, where: str) -> Ending | None:
    def refuse() -> Tensor:
        raise ValueError(
            f"The model ends in a {kind} inside {where} behind which its logit cannot be seen. Give the function that was "
            'compiled (its python_function), or explain the output as it is: score="output".'
        )

    return None if kind is None else Ending(kind, refuse)
