"""Attention as it is: every softmax that weighs tokens, what it looks like from the score, and how layers of it follow each other."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfxai.engines.batches import run_in_batches
from tfxai.engines.cams import lined_up
from tfxai.engines.request import Attribution, Request
from tfxai.engines.scoring import ScoredBody, Tracer
from tfxai.model import ForwardPass, Grid, first_tensor, grids_of, operations_ahead, operations_behind
from tfxai.support import Operation, PerInput, Tensor

PASSING = (
    "Identity",
    "Cast",
    "Reshape",
)  # between a softmax and its product; what else is there changes the weights
PRODUCTS = ("Einsum", "MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3")
Weigh = Callable[[Tracer, ForwardPass, Tensor, Sequence[Tensor]], list[Tensor]]
"""(tracer, forward, score, attention maps (B, heads, T, T) or (B, T, T)) -> what each layer hands on, (B, T, T)."""


def through_attention(request: Request, weigh: Weigh) -> Attribution:
    """Explains every row by its tokens' shares of what the score reads, through all layers of attention.

    Raises ValueError if there is no attention of all tokens to all tokens between an input and the score.
    """
    return Attribution(*run_in_batches(request, _Through(weigh, request.method)))


@dataclasses.dataclass(frozen=True)
class _Through(ScoredBody):
    weigh: Weigh
    method: str

    def __call__(self, tracer: Tracer, inputs: Sequence[Tensor], target_codes: Tensor) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        maps = attention_maps(forward, scores, self.method)
        grid = _grid(tracer, forward, maps[0], self.method)
        read = _rows_read(forward, scores, maps[-1])
        for each in self.weigh(tracer, forward, scores, maps)[::-1]:  # from the last layer to the first
            read = tf.einsum("bt,bts->bs", read, tf.cast(each, tf.float32))
        values: PerInput = [None] * len(forward.fed)
        heat = tf.reduce_sum(grid.spread(read[..., None]), -1)
        values[grid.which] = forward.kept(lined_up(grid, forward.fed[grid.which], heat))
        return values, targets, scores


def attention_maps(forward: ForwardPass, scores: Tensor, method: str) -> list[Tensor]:
    """Every attention of tokens to tokens (B, heads, T, T), or (B, T, T), that the score depends on, in the order in which they run.

    Raises ValueError if there are none, or of different numbers of tokens.
    """
    moving = operations_ahead(forward.sources) | {source.op for source in forward.sources}
    within = operations_behind([scores], differentiable=True) & moving
    softmaxes = [op for op in within if op.type == "Softmax" and op.outputs[0].shape.rank in (3, 4)]
    order = {op: i for i, op in enumerate(scores.graph.get_operations())}
    softmaxes.sort(key=lambda op: order[op])
    products = {op: product for op in softmaxes if (product := _product_of(op, within)) is not None}
    found = [op.outputs[0] for op in products]
    shapes = [tuple(tensor.shape) for tensor in found]
    if not found:
        raise ValueError(
            f"{method} reads the softmax of attention, and there is none between the inputs and this score. Fused attention shows "
            "none: turn it off (keras.config.disable_flash_attention()). For other models use GradCAM, LRP or IntegratedGradients."
        )
    if len({shape[-2:] for shape in shapes}) > 1 or shapes[0][-1] != shapes[0][-2]:
        listed = ", ".join(dict.fromkeys(str(shape) for shape in shapes))
        raise ValueError(
            f"{method} follows tokens through layers in which each looks at all, (N, heads, T, T); this model has {listed}: windows, "
            'pooled tokens or two kinds of them. Use LRP(rule="attention"), GradCAM or IntegratedGradients.'
        )
    _check_followed(forward, softmaxes, products, method)
    return found


def _check_followed(
    forward: ForwardPass, softmaxes: Sequence[Operation], products: Mapping[Operation, Operation], method: str
) -> None:
    """Raises ValueError unless each attention is of the same tokens as the one before it, and all of it is known."""
    found = [op.outputs[0] for op in products]
    count = found[0].shape[-1]
    others = [op.outputs[0].shape for op in softmaxes if op not in products]
    if any(shape[-1] == shape[-2] == count for shape in others):
        _refuse(method, "a softmax over tokens that is changed before it weighs them, as by talking heads")
    for before, after in itertools.pairwise(found):
        if before.op not in operations_behind([after]):
            _refuse(
                method,
                "attention side by side, as in two towers, parallel branches, or a decoder beside an encoder",
            )
    for tensor in found:
        values = next(
            (each for each in products[tensor.op].inputs if tensor.op not in operations_behind([each])), None
        )
        if values is not None and _lies_along_its_last_axis(forward, values):
            _refuse(method, "attention over features, whose places are beside each other in the last axis")
        if values is not None and _sources_of(forward, values) != _sources_of(forward, tensor):
            _refuse(method, "attention from some tokens to others, as between a decoder and its encoder")


def _lies_along_its_last_axis(forward: ForwardPass, values: Tensor) -> bool:
    layouts = [forward.alignment(which).of(values) for which in range(len(forward.fed))]
    return any(layout is not None and layout.dims and layout.dims[-1].places for layout in layouts)


def _refuse(method: str, what: str) -> None:
    raise ValueError(
        f"{method} follows tokens from layer to layer of attention of all to all; this model has {what}. Use "
        'LRP(rule="attention"), GradCAM or IntegratedGradients.'
    )


def _sources_of(forward: ForwardPass, tensor: Tensor) -> set[str]:
    """Names of the points of inputs that a tensor is made of."""
    behind = operations_behind([tensor]) | {tensor.op}
    return {source.name for source in forward.sources if source.op in behind}


def _product_of(softmax: Operation, within: set[Operation]) -> Operation | None:
    """The product in which a softmax weighs something else that the inputs make, the values of attention; None if there is none."""
    waiting, seen = [softmax], set()
    while waiting:
        for each in waiting.pop().outputs[0].consumers():
            if each not in within or each in seen:
                continue
            seen.add(each)
            if each.type in PRODUCTS:
                return each if sum(tensor.op in within for tensor in each.inputs) == 2 else None
            if each.type in PASSING:
                waiting.append(each)
    return None


def _grid(tracer: Tracer, forward: ForwardPass, first: Tensor, method: str) -> Grid:
    """How the tokens that the first attention reads line up with an input."""
    behind = operations_behind([first]) | {source.op for source in forward.sources}
    count = first.shape[-1]
    outputs = [first_tensor(call.output) for call in reversed(forward.calls)]
    for tensor in [*outputs, *forward.sources]:
        if (
            not tf.is_tensor(tensor)
            or tensor.op not in behind
            or tensor.shape.rank != 3
            or tensor.shape[1] != count
        ):
            continue
        grids = grids_of(tracer.network, forward, tensor)
        if len(grids) == 1:
            return grids[0]
    raise ValueError(
        f"{method}: the tokens that attention reads, {tuple(first.shape)}, cannot be lined up with an input, as in windows. Use "
        'LRP(rule="attention"), GradCAM or IntegratedGradients.'
    )


def _rows_read(forward: ForwardPass, scores: Tensor, last: Tensor) -> Tensor:
    """Which tokens of the last attention the score reads, as shares (B, T): the class token, or all that are pooled."""
    (slope,) = forward.gradients(scores, of=[last])
    read = tf.reduce_max(tf.abs(slope), -1)
    read = tf.reduce_max(read, 1) if read.shape.rank == 3 else read
    rows = tf.cast(read > 0, tf.float32)
    return tf.math.divide_no_nan(rows, tf.reduce_sum(rows, 1, keepdims=True))


def mean_of_heads(maps: Tensor) -> Tensor:
    """(B, T, T) of attention maps with heads or without, float32."""
    maps = tf.cast(maps, tf.float32)
    return tf.reduce_mean(maps, 1) if maps.shape.rank == 4 else maps
