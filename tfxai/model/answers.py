"""Which tensors of a model are its answer for each place, however shaped: a map of one is the answer, not its grounds."""

from __future__ import annotations

import tensorflow as tf

from tfxai.model.forward_pass import ForwardPass
from tfxai.model.operations import operations_behind
from tfxai.support import Tensor

# Operations between what a dense output is made of and the output itself.
ENDING = {
    "BiasAdd", "Cast", "Identity", "LogSoftmax", "Reshape", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor",
    "Sigmoid", "Softmax", "Squeeze", "ExpandDims", "Transpose", "DepthToSpace", "ConcatV2", "Pack", "Tile",
}  # fmt: skip

# What an answer is made by, before it is turned, resized or normalised; features come out of nonlinearities, norms, sums.
WEIGHING = {
    "BatchMatMulV2", "BatchMatMulV3", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2",
    "DepthwiseConv2dNative", "Einsum", "MatMul",
}  # fmt: skip


def answers_of(forward: ForwardPass) -> dict[str, Tensor]:
    """Outputs with an answer for each place, and the tensors that they are only reshaped, resized or joined from; by name.

    An output that others are computed from, and one of features (a backbone's, which ends in a nonlinearity), is a layer like
    any other.
    """
    outputs = {
        t.name: t for t in tf.nest.flatten([forward.outputs, forward.named]) if isinstance(t, tf.Tensor)
    }
    behind = {name: operations_behind(list(t.op.inputs)) for name, t in outputs.items()}
    chains = {name: _chain(t) for name, t in outputs.items()}
    answers: dict[str, Tensor] = {}
    for name, tensor in outputs.items():
        others = [other for other in outputs if other != name and source_of(tensor).name not in chains[other]]
        if not any(tensor.op in behind[other] for other in others):
            answers |= chains[name]
    return answers


def heads_of(answers: dict[str, Tensor]) -> list[Tensor]:
    """The answers before they are given another shape or joined: a detector has one for each of its levels."""
    return [tensor for tensor in answers.values() if tensor.op.type in WEIGHING]


def _chain(output: Tensor) -> dict[str, Tensor]:
    """What an output is another shape of, by name; nothing if it is one of features."""
    waiting, tensors = [output], {}
    while waiting:
        tensor = source_of(waiting.pop())
        if tensor.name in tensors:
            continue
        tensors[tensor.name] = tensor
        # Not biases, whose first axis is not the batch.
        varying = [
            each
            for each in tensor.op.inputs
            if each.dtype.is_floating
            and (each.shape.rank is None or (each.shape.rank and each.shape[0] is None))
        ]
        if tensor.op.type in ENDING or (tensor.op.type in ("Add", "AddV2") and len(varying) == 1):
            waiting += varying
        elif tensor.op.type not in WEIGHING:
            return {}
    return tensors


def source_of(tensor: Tensor) -> Tensor:
    """The tensor that one is a copy of, or itself."""
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor
