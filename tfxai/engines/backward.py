"""Backward passes with other rules than the derivative: guided backprop, deconvnet, DeepLIFT, LRP.

A rule says what an operation does to the gradient that comes in from above. Rules are set on the operations of the
traced graph between the inputs and the score, wherever they come from (nested models, plain `tf.nn.relu` in a
subclassed `call`), and `tf.gradients` then runs the changed chain rule (arXiv:1711.06104).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfxai.engines.elementwise import GATES, RELU_LIKE, is_sealed, mirrored_half, own_gate, wrapped_function
from tfxai.engines.scoring import SCORE, Tracer
from tfxai.graphs import CALLS, OWN, registered
from tfxai.model import (
    SEALED,
    ForwardPass,
    again,
    called_graph,
    carries_gradient,
    has_own_gradient,
    operations_ahead,
    operations_behind,
)
from tfxai.scores import EXACT
from tfxai.support import Operation, PerInput, Tensor

Rule = Callable[..., Any]  # (op, *incoming) -> a gradient, or one for each of the operation's inputs


@dataclasses.dataclass(frozen=True)
class Rules:
    """What replaces the derivative of which type of operation.

    name:    unique for the rules and their parameters: TensorFlow's registry remembers it.
    by_type: rules of nonlinear operations, products of two changing tensors included.
    linear:  rules of linear operations of a changing tensor and fixed weights, in this order.
    swapped: the same, of those whose first input is not the one that changes.
    of_one:  rules of functions of several tensors of which one changes: where that is the first, the second, the third.
    warn:    whether to name nonlinear operations without a rule.
    effect:  what it means for the values where there is no rule, as the end of a sentence.
    in_scores: whether operations of a score that compares boxes, areas or embeddings have rules, too; else their derivative.
    """

    name: str
    by_type: Mapping[str, Rule]
    linear: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    swapped: Mapping[str, Rule] = dataclasses.field(default_factory=dict)
    of_one: Mapping[str, tuple[Rule, ...]] = dataclasses.field(default_factory=dict)
    warn: bool = False
    effect: str = "nothing is cut there"
    in_scores: bool = False

    def rule_of(self, op: Operation, moving: Moving) -> tuple[str, Rule] | None:
        """The rule of an operation, with a name of its own; None where the derivative stays."""
        if op.type == "IdentityN" and wrapped_function(op) is None:
            return None
        which = moving.only(op)
        if moving.is_linear(op):
            swapped = len(op.inputs) > 0 and not moving.holds(op.inputs[0])
            family = "swapped" if swapped else "linear"
            rule: Rule | None = getattr(self, family).get(op.type)
        elif which is not None and op.type in (*PRODUCTS, *GATES) and own_gate(op) != which:
            return None  # what the input decides, without a gradient, is no factor
        elif which is not None and op.type in self.of_one:
            family, rule = f"of_one.{which}", self.of_one[op.type][which]
        else:
            family, rule = "by_type", self.by_type.get(op.type)
        return None if rule is None else (f"tfxai.{self.name}.{family}.{op.type}", rule)


def gradients(
    tracer: Tracer,
    forward: ForwardPass,
    score: Tensor,
    rules: Rules,
    method: str,
    of: Sequence[Tensor] | None = None,
) -> PerInput:
    """d score / d points by the rules.

    method: what warnings call the method.
    of:     other tensors than the points, of the whole batch.

    Where nothing or not everything could be changed the record gets a warning for the user: a plain gradient must not
    pass for another method.
    """
    outputs = [t for t in tf.nest.flatten(forward.outputs) if tf.is_symbolic_tensor(t)]
    moving = Moving.of(forward.sources, within=operations_behind(outputs))
    replaced, foreign = 0, []
    for op in operations_behind([score], differentiable=True) & moving.operations:
        if EXACT in op.name or (SCORE in op.name and not rules.in_scores):
            continue
        found = rules.rule_of(op, moving)
        if found is not None:
            # The public gradient_override_map goes by type alone, and only while operations are being made.
            op._set_attr(OWN, tf.compat.v1.AttrValue(s=registered(*found).encode()))
            replaced += 1
        elif not moving.is_linear(op) and (rules.warn or op.type in SEALED or is_sealed(op)):
            foreign.append(op)
    if foreign:
        tracer.record.warnings.append(
            f"{method} has no rule for {_named(foreign, forward)}; the plain gradient is used there: {rules.effect}."
        )
    elif not replaced:
        tracer.record.warnings.append(
            f"{method} found no operation to change in this model, so the result is the plain gradient."
        )
    return forward.gradients(score, of)


def _named(operations: Sequence[Operation], forward: ForwardPass) -> str:
    """Types of operations with the layers that they lie in, a few of each."""
    layers: dict[str, dict[str, None]] = {}
    for op in sorted(operations, key=lambda op: op.name):
        name = "a function with a gradient of its own" if is_sealed(op) else op.type
        path = forward.layer_of(op)
        layers.setdefault(name, {}).update({path: None} if path else {})
    parts = []
    for name, paths in sorted(layers.items()):
        some = ", ".join(list(paths)[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
        parts.append(f"{name} (in {some})" if paths else name)
    return ", ".join(parts)


@dataclasses.dataclass(frozen=True)
class Moving:
    """What depends on the points at which inputs are explained.

    operations: through which a gradient can come.
    tensors:    names of the points and of all that is made of them.
    deciding:   every operation of the model that reads one of their values, conditions included.
    """

    operations: set[Operation]
    tensors: set[str]
    deciding: set[Operation]

    @classmethod
    def of(cls, points: Sequence[Tensor], within: set[Operation] | None = None) -> Moving:
        """What depends on these points. within: the model's operations; what picks the class comes after them."""
        ahead = operations_ahead(points, differentiable=True, values_only=True)
        made = [tensor for op in ahead for tensor in op.outputs if carries_gradient(tensor)]
        names = {tensor.name for tensor in [*made, *points]}
        deciding = operations_ahead(points, values_only=True)
        return cls(ahead, names, deciding if within is None else deciding & within)

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor changes with the points, in a way that a gradient follows."""
        return tensor.name in self.tensors

    def only(self, op: Operation) -> int | None:
        """Which input of an operation changes, if it is the only one."""
        changing = [i for i, tensor in enumerate(op.inputs) if self.holds(tensor)]
        return changing[0] if len(changing) == 1 else None

    def is_linear(self, op: Operation) -> bool:
        """Whether the gradient of an operation is exact for steps of any size, as far as its inputs change."""
        if op.type in BATCH_NORMS:
            return not op.get_attr("is_training") and not any(map(self.holds, op.inputs[1:]))
        decided = any(not self.holds(tensor) and tensor.op in self.deciding for tensor in op.inputs)
        if op.type in LINEAR or _is_of_moments(op):
            return not decided
        if op.type in PRODUCTS:
            return sum(map(self.holds, op.inputs)) < 2 and not decided
        if op.type in ("RealDiv", "Div", "DivNoNan"):
            return not self.holds(op.inputs[1])
        if op.type in ("Select", "SelectV2"):
            return op.inputs[0].op not in self.deciding
        if op.type == "IdentityN":
            return not has_own_gradient(op) and wrapped_function(op) is None
        if op.type in CALLS:
            return self._calls_linear(op)
        return not any(tensor.dtype.is_floating or tensor.dtype.is_complex for tensor in op.outputs)

    def _calls_linear(self, op: Operation) -> bool:
        """Whether a compiled function does nothing but linear operations with what changes: a grouped convolution."""
        body = called_graph(op)
        if body is None or len(body.inputs) != len(op.inputs):
            return False
        changing = [inner for inner, outer in zip(body.inputs, op.inputs, strict=True) if self.holds(outer)]
        inside = Moving.of(changing)
        return all(map(inside.is_linear, inside.operations & operations_behind(body.outputs, True)))


def derivative(op: Operation, incoming: Tensor, which: int = 0) -> Tensor:
    """The true gradient of an operation with respect to one of its inputs."""
    direct = {"Relu": tf.raw_ops.ReluGrad, "Relu6": tf.raw_ops.Relu6Grad}.get(op.type)
    if direct is not None:  # the common ones without a second forward operation
        return direct(gradients=incoming, features=op.outputs[0])
    point = tf.identity(op.inputs[which])
    inputs = [point if i == which else tensor for i, tensor in enumerate(op.inputs)]
    return tf.gradients(again(op, *inputs), point, grad_ys=incoming)[0]


def other_spellings(rule: Callable[[Operation, Tensor, int], Tensor]) -> Mapping[str, tuple[Rule, ...]]:
    """A rule (op, incoming, which input is let through) for ReLUs written as a maximum, a choice or a product."""

    def of(which: int) -> Rule:
        return lambda op, incoming: [
            rule(op, incoming, which) if i == which else None for i in range(len(op.inputs))
        ]

    return dict.fromkeys(("Maximum", *GATES), tuple(of(which) for which in range(3)))


def guided(op: Operation, incoming: Tensor, which: int = 0) -> Tensor:
    """Only what is positive goes back, and only through open gates (arXiv:1412.6806, section 3.4)."""
    # Gated by the true derivative: a ReLU6 is closed above its cap too. (And maximum is quicker than relu.)
    slope = mirrored_half(op)
    if slope is not None:  # what came in from above was multiplied by it
        return derivative(op, tf.where(incoming * slope > 0, incoming, tf.zeros_like(incoming)), which)
    return derivative(op, tf.maximum(incoming, 0), which)


# Of two factors; a kernel may be made of the input, as in a cross-correlation.
PRODUCTS = (
    "Mul", "MulNoNan", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "Conv2D", "Conv3D",
    "DepthwiseConv2dNative",
)  # fmt: skip
BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")


def _is_of_moments(op: Operation) -> bool:
    """Whether it stops the mean in a variance, where nothing is lost: differences to the mean add up to zero."""
    readers = [each for each in op.outputs[0].consumers() if "gradients" not in each.name.split("/")[0]]
    return op.type == "StopGradient" and all(each.type == "SquaredDifference" for each in readers)


# Operations whose gradient is exact for steps of any size, given their kernel, window or index.
LINEAR = {
    "Add", "AddN", "AddV2", "AvgPool", "AvgPool3D", "BatchToSpaceND", "BiasAdd", "BroadcastTo", "Cast", "CheckNumerics",
    "Complex", "Concat", "ConcatV2", "Conj", "Conv2DBackpropInput", "Conv3DBackpropInputV2", "Cumsum", "DepthToSpace",
    "Diag", "DiagPart", "EnsureShape", "ExpandDims", "FFT", "FFT2D", "FFT3D", "Gather", "GatherNd", "GatherV2", "IFFT",
    "IFFT2D", "IFFT3D", "IRFFT", "IRFFT2D", "IRFFT3D", "Identity", "Imag", "MatrixBandPart", "MatrixDiagPartV3",
    "MatrixDiagV3", "Mean", "MirrorPad", "Neg", "OnesLike", "Pack", "Pad", "PadV2", "RFFT", "RFFT2D", "RFFT3D", "Real",
    "Reshape", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor", "ReverseSequence", "ReverseV2", "Roll",
    "ScaleAndTranslate", "ScatterNd", "SegmentSum", "Slice", "Snapshot", "SpaceToBatchND", "SpaceToDepth", "Split",
    "SplitV", "Squeeze", "StridedSlice", "Sub", "Sum", "TensorScatterAdd", "TensorScatterSub", "TensorScatterUpdate",
    "Tile", "Transpose", "Unpack", "UnsortedSegmentSum", "ZerosLike",
}  # fmt: skip

# Springenberg et al., 2014, section 3.4: only what is positive goes back, and only through open gates.
GUIDED = Rules("guided_backprop", dict.fromkeys(RELU_LIKE, guided), of_one=other_spellings(guided))
