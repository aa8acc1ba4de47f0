"""What each operation does to where the entries of a tensor lie in an input."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfxai.model.layout_axes import AXIS_RULES
from tfxai.model.layout_reading import Given, Rule, at, dims_of, shape_of
from tfxai.model.layout_windows import WINDOW_RULES
from tfxai.model.layouts import UNKNOWN, Dim, Layout, common_places, joined
from tfxai.support import Operation

# Entry by entry


def _kept(op: Operation, given: Given) -> Sequence[Layout]:
    """Each output lies as the input of its number."""
    first = given[0] or UNKNOWN
    return [layout if (layout := at(given, i)) is not None else first for i in range(len(op.outputs))]


def _first(op: Operation, given: Given) -> Sequence[Layout]:
    """Every output lies as the first input."""
    return [given[0] or UNKNOWN] * len(op.outputs)


def _join(op: Operation, given: Given) -> Sequence[Layout]:
    return [joined([layout for layout in given if layout is not None], shape_of(op.outputs[0]))]


# Products


def _matrix_product(op: Operation, given: Given) -> Sequence[Layout]:
    names = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
    turned = [op.get_attr(name) for name in names]
    output = shape_of(op.outputs[0])
    sides = []
    for layout, is_turned in zip(given[:2], turned, strict=True):
        dims = [] if layout is None or layout.dims is None else list(layout.dims)
        if len(dims) > 1 and is_turned:
            dims[-2:] = dims[:-3:-1]
        sides.append(dims)
    layouts = []
    for layout, dims, kept in zip(given[:2], sides, (-2, -1), strict=True):
        if layout is not None and dims:
            last = [
                dims[-2] if kept == -2 else Dim.of(output[-2]),
                dims[-1] if kept == -1 else Dim.of(output[-1]),
            ]
            layouts.append(layout.with_dims([*dims[:-2], *last]))
    return [joined(layouts, output)]


def _einsum(op: Operation, given: Given) -> Sequence[Layout]:
    equation = op.get_attr("equation").decode().replace(" ", "")
    left, right = equation.split("->")
    found: dict[str, list[Dim]] = {}
    for letters, layout in zip(left.split(","), given, strict=True):
        if layout is not None and layout.dims is not None:
            for letter, dim in zip(_letters(letters, len(layout.dims)), layout.dims, strict=True):
                found.setdefault(letter, []).append(dim)
    output = shape_of(op.outputs[0])
    names = _letters(right, len(output))
    known = [layout for layout in given if layout is not None and layout.dims is not None]
    one = [
        joined([Layout((dim,)) for dim in found.get(name, [])], [size])
        for name, size in zip(names, output, strict=True)
    ]
    dims = [
        dims_of(layout)[0] if layout.dims else Dim.of(size) for layout, size in zip(one, output, strict=True)
    ]
    return [Layout(tuple(dims), common_places(known))]


def _letters(text: str, rank: int) -> list[str]:
    """Names of axes, those of an ellipsis counted from its end."""
    front, dots, behind = text.partition("...")
    count = rank - len(front) - len(behind) if dots else 0
    return [*front, *(f".{count - i}" for i in range(count)), *behind]


# Lists that loops of recurrent layers fill: what they put out runs along the axis of what they take in


def _loop(op: Operation, given: Given) -> Sequence[Layout]:
    lists = [
        layout
        for tensor, layout in zip(op.inputs, given, strict=True)
        if layout is not None and tensor.dtype == tf.variant and layout.dims is not None
    ]
    plain = [
        layout
        for tensor, layout in zip(op.inputs, given, strict=True)
        if layout is not None and tensor.dtype != tf.variant and layout.dims is not None
    ]
    of_lists = lists[0].with_dims(dims_of(lists[0])[:2]) if lists else UNKNOWN
    outputs = []
    for i, tensor in enumerate(op.outputs):
        own = at(given, i)
        if tensor.dtype == tf.variant:
            outputs.append(own if own is not None else of_lists)
        elif tensor.shape.rank and (lists or plain):
            batch = dims_of(lists[0])[1] if lists and len(dims_of(lists[0])) > 1 else dims_of(plain[0])[0]
            outputs.append(Layout((batch, *(Dim.of(n) for n in shape_of(tensor)[1:]))))
        else:
            outputs.append(UNKNOWN)
    return outputs


def _stacked(op: Operation, given: Given) -> Sequence[Layout]:
    assert given[0] is not None
    dims, shape = dims_of(given[0]), shape_of(op.outputs[0])
    if len(dims) == len(shape):
        return [given[0]]
    return [given[0].with_dims([*dims, *(Dim.of(n) for n in shape[len(dims) :])])]


def _recurrent(op: Operation, given: Given) -> Sequence[Layout]:
    """One kernel for a whole recurrent layer, as cuDNN has it: what a step puts out lies where it reads."""
    read, time_major = dims_of(given[0]), op.get_attr("time_major")
    steps, state = shape_of(op.outputs[0]), [Dim.of(n) for n in shape_of(op.outputs[1])]
    if len(read) != 3 or len(state) != 3:
        raise ValueError(f"{op.name}: not a batch of sequences")
    state[int(time_major)] = read[int(time_major)]
    last = Layout(tuple(state))
    return [Layout((*read[:2], Dim.of(steps[2]))), last, last, *[UNKNOWN] * (len(op.outputs) - 3)]


_ENTRY_BY_ENTRY = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BiasAdd", "Cast", "Ceil", "CheckNumerics", "Cos", "Cosh",
    "Cumprod", "Cumsum", "Digamma", "Elu", "EnsureShape", "Erf", "Erfc", "Exp", "Expm1", "Floor", "Identity", "Inv",
    "IsFinite", "IsInf", "IsNan", "L2Loss", "LRN", "LeakyRelu", "Lgamma", "Log", "Log1p", "LogSoftmax", "LogicalNot",
    "Neg", "OnesLike", "PreventGradient", "Reciprocal", "Relu", "Relu6", "Rint", "Round", "Rsqrt", "Selu", "Sigmoid",
    "Sign", "Sin", "Sinh", "Snapshot", "Softmax", "Softplus", "Softsign", "Sqrt", "Square", "StopGradient", "Tan", "Tanh",
    "ZerosLike", "PlaceholderWithDefault",
)  # fmt: skip
_JOINING = (
    "Add", "AddN", "AddV2", "Atan2", "BroadcastTo", "ClipByValue", "Div", "DivNoNan", "Equal", "FloorDiv", "FloorMod",
    "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr", "Maximum", "Minimum", "Mod", "Mul",
    "MulNoNan", "NotEqual", "Pow", "RealDiv", "Select", "SelectV2", "SquaredDifference", "Sub", "Xdivy", "Xlogy",
)  # fmt: skip

# Those that leave an input as it is, apart from numbers.
ENTRY_BY_ENTRY = {*_ENTRY_BY_ENTRY, *_JOINING}

RULES: dict[str, Rule] = {
    **WINDOW_RULES,
    **AXIS_RULES,
    **dict.fromkeys(_ENTRY_BY_ENTRY, _first),
    **dict.fromkeys(_JOINING, _join),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), _first),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matrix_product),
    **dict.fromkeys(("While", "StatelessWhile"), _loop),
    "CudnnRNNV3": _recurrent,
    "Einsum": _einsum,
    "IdentityN": _kept,
    "TensorListFromTensor": _first,
    "TensorListStack": _stacked,
}
