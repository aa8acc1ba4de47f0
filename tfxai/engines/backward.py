"""Backward passes with other rules than the derivative: guided backprop, deconvnet, DeepLIFT, LRP.

A rule says what an operation does to the gradient that comes in from above. Rules are set on the operations of the
traced graph between the inputs and the score, wherever they come from (nested models, plain `tf.nn.relu` in a
subclassed `call`), and `tf.gradients` then runs the changed chain rule (arXiv:1711.06104).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tfxai.engines.scoring import Tracer
from tfxai.model import ForwardPass, again, operations_ahead, operations_behind
from tfxai.support import Operation, PerInput, Tensor

Rule = Callable[..., Any]  # (op, *incoming) -> a gradient, or one for each of the operation's inputs


@dataclasses.dataclass(frozen=True)
class Rules:
    """What replaces the derivative of which type of operation.

    name:    unique for the rules and their parameters: TensorFlow's registry remembers it.
    by_type: rules of nonlinear operations, products of two changing tensors included.
    linear:  rules of linear operations of a changing tensor and fixed weights, in this order.
    swapped: the same, of those whose first input is not the one that changes.
    warn:    whether to name nonlinear operations without a rule.
    """

    name: str
    by_type: Mapping[str, Rule]
    linear: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    swapped: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    warn: bool = False


def gradients(tracer: Tracer, forward: ForwardPass, score: Tensor, rules: Rules, method: str) -> PerInput:
    """d score / d points by the rules.

    method: what warnings call the method.

    Where nothing or not everything could be changed the record gets a warning for the user: a plain gradient must not
    pass for another method.
    """
    points = forward.sources
    ahead = operations_ahead(points, differentiable=True)
    moving = {tensor.name for op in ahead for tensor in op.outputs} | {point.name for point in points}
    replaced, foreign = 0, set()
    for op in operations_behind([score], differentiable=True) & ahead:
        linear = op.type in LINEAR or _is_linear(op, moving)
        swapped = linear and len(op.inputs) > 0 and op.inputs[0].name not in moving
        family = "swapped" if swapped else "linear" if linear else "by_type"
        rule = getattr(rules, family).get(op.type)
        if rule is not None:
            # The public gradient_override_map goes by type alone, and only while operations are being made.
            name = _registered(f"tfxai.{rules.name}.{family}.{op.type}", rule)
            op._set_attr("_gradient_op_type", tf.compat.v1.AttrValue(s=name.encode()))
            replaced += 1
        elif op.type in CALLS or (rules.warn and not linear):
            foreign.add(op.type)
    if not replaced:
        tracer.record.warnings.append(
            f"{method} found no operation to change in this model, so the result is the plain gradient."
        )
    if foreign:
        tracer.record.warnings.append(
            f"{method} has no rule for {', '.join(sorted(foreign))}; the plain gradient is used there."
        )
    return forward.gradients(score)


def derivative(op: Operation, incoming: Tensor) -> Tensor:
    """The true gradient of an operation with respect to its first input."""
    direct = {"Relu": tf.raw_ops.ReluGrad, "Relu6": tf.raw_ops.Relu6Grad}.get(op.type)
    if direct is not None:  # the common ones without a second forward operation
        return direct(gradients=incoming, features=op.outputs[0])
    point = tf.identity(op.inputs[0])
    return tf.gradients(again(op, point, *op.inputs[1:]), point, grad_ys=incoming)[0]


def guided(op: Operation, incoming: Tensor) -> Tensor:
    """Only what is positive goes back, and only through open gates (arXiv:1412.6806, section 3.4)."""
    # Gated by the true derivative: a ReLU6 is closed above its cap too. (And maximum is quicker than relu.)
    return derivative(op, tf.maximum(incoming, 0))


_REGISTERED: set[str] = set()


def _registered(name: str, rule: Rule) -> str:
    """The name, after TensorFlow has learnt the rule under it."""
    if name not in _REGISTERED:
        tf.RegisterGradient(name)(rule)
        _REGISTERED.add(name)
    return name


def _is_linear(op: Operation, moving: set[str]) -> bool:
    """Whether an operation that is a product or quotient has only one factor that depends on the inputs."""
    if op.type in PRODUCTS:
        return sum(tensor.name in moving for tensor in op.inputs) < 2
    if op.type in ("RealDiv", "Div", "DivNoNan"):
        return op.inputs[1].name not in moving
    if (
        op.type == "IdentityN"
    ):  # also TensorFlow's wrapper of a function with a gradient of its own, such as silu
        return not owns_gradient(op)
    return not any(tensor.dtype.is_floating for tensor in op.outputs)


def owns_gradient(op: Operation) -> bool:
    """Whether an IdentityN stands for an elementwise function: it hands on the result, then the argument."""
    names = [name for name, _ in op.node_def.attr.items()]
    if "_gradient_op_type" not in names or len(op.outputs) < 2:
        return False
    return op.outputs[0].shape.rank == op.outputs[1].shape.rank


# Functions of one number that act as a gate.
RELU_LIKE = ("Relu", "Relu6", "LeakyRelu", "Elu", "Selu")
PRODUCTS = ("Mul", "MulNoNan", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum")

# Compiled functions and loops, into which rules do not reach.
CALLS = {"PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf"}

# Operations whose gradient is exact for steps of any size, given their kernel, window or index.
LINEAR = {
    "Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "BatchToSpaceND", "BiasAdd", "BroadcastTo", "Cast", "Concat",
    "ConcatV2", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthToSpace",
    "DepthwiseConv2dNative", "ExpandDims", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "Gather",
    "GatherNd", "GatherV2", "Identity", "Mean", "MirrorPad", "Neg", "Pack", "Pad", "PadV2", "Reshape",
    "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor", "ReverseV2", "ScaleAndTranslate", "Slice",
    "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Squeeze", "StopGradient", "StridedSlice", "Sub", "Sum",
    "Tile", "Transpose", "Unpack",
}  # fmt: skip

# Springenberg et al., 2014, section 3.4: only what is positive goes back, and only through open gates.
GUIDED = Rules("guided_backprop", dict.fromkeys(RELU_LIKE, guided))
