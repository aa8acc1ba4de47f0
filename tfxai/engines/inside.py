"""A call that is traced as a whole, to be handed on: its rows are tensors, and what is run in batches is part of its graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from tfxai.baselines import Baseline, Blur, Mean, Noise, filled
from tfxai.engines.scoring import ScoredBody, Scoring, Tracer
from tfxai.model import Network, TraceRecord
from tfxai.support import Tensor


class NotOneGraph(ValueError):
    """A method, or one of its settings, needs Python while it explains."""


@dataclasses.dataclass(frozen=True)
class Inside:
    """The rows of a call while its graph is made.

    inputs: as the network takes them, (B, ...). codes: of targets, (B,).
    record: what all bodies of the call find out. apart: another engine than TensorFlow will run the graph.
    """

    inputs: Sequence[Tensor]
    codes: Tensor
    record: TraceRecord
    apart: bool = False

    @property
    def rows(self) -> int | Tensor:
        """How many there are: a number where the batch is fixed."""
        return self.codes.shape[0] or tf.shape(self.codes)[0]

    def called(
        self,
        network: Network,
        scoring: Scoring,
        body: ScoredBody,
        *arguments: Any,
        record: Any = None,
    ) -> Any:
        """What a body returns, as a part of the graph. record: which it fills in; unless given, a new one."""
        record = body.new_record() if record is None else record
        found = body(Tracer(network, scoring, record), *arguments)
        self.record.classes = record.classes or self.record.classes
        self.record.warnings += [each for each in record.warnings if each not in self.record.warnings]
        return found

    def filled(self, baseline: Baseline, example: Any, which: int) -> Tensor:
        """The baseline of each row of an input. example: some rows (N, ...), for shape and type.

        Raises NotOneGraph if it is a function of the inputs that only Python knows, or has a size where that of the inputs is open.
        """
        tensor = self.inputs[which]
        if type(baseline) in IN_GRAPH:
            return IN_GRAPH[type(baseline)](baseline, tensor)
        if callable(baseline) and not isinstance(baseline, Noise):
            raise NotOneGraph(
                f"baseline is the function {getattr(baseline, '__name__', baseline)!r}, which needs Python. Give a number, an array of "
                "one example, or a function from tfxai.baselines."
            )
        given: Any = baseline
        if np.ndim(given) == example.ndim and len(given) > 1:
            raise NotOneGraph(
                f"baseline has shape {np.shape(given)}, one for each input. Give one for all, of shape {example.shape[1:]}."
            )
        if None in example.shape[1:]:
            if callable(given) or np.ndim(given):
                raise NotOneGraph(
                    f"baseline has a size of its own, and that of the inputs is open: {example.shape[1:]}. Give a number, or inputs of "
                    "one size."
                )
            return tf.fill(tf.shape(tensor), tf.constant(given, example.dtype))
        example = example[:1]
        whole: Any = filled(baseline, example)
        return tf.tile(whole, [self.rows, *[1] * (example.ndim - 1)])


def blurred(blur: Blur, images: Tensor) -> Tensor:
    """What `Blur` makes of images (B, ..., C): along each axis a product with what it makes of single pixels."""
    kind, images = (
        images.dtype,
        tf.cast(images, tf.float64),
    )  # whole numbers are cut off only at the end, as there
    for axis in range(1, images.shape.rank - 1):
        length = images.shape[axis]
        if length is None:
            raise NotOneGraph(
                f"baselines.blur needs to know the size of axis {axis}. Give inputs of one size."
            )
        reach = 4.0 if blur.size is None else (blur.size // 2) / blur.sigma
        matrix = gaussian_filter1d(np.eye(length), blur.sigma, axis=0, truncate=reach, mode="nearest")
        images = along(images, axis, matrix)
    return tf.cast(images, kind)


def along(images: Tensor, axis: int, matrix: NDArray | Tensor) -> Tensor:
    """One axis of tensors (B, ...) multiplied by a matrix (new, old)."""
    rest = [i for i in range(images.shape.rank) if i != axis]
    moved = tf.tensordot(images, matrix, [[axis], [1]])  # the axis goes to the end ...
    return tf.transpose(moved, np.argsort([*rest, axis]))  # ... and back


def averaged(mean: Mean, inputs: Tensor) -> Tensor:
    """What `Mean` makes of inputs without missing values."""
    axes = list(range(1, max(inputs.shape.rank - 1, 2)))
    given = (
        inputs if inputs.dtype.is_floating else tf.cast(inputs, tf.float64)
    )  # not added up as whole numbers
    found = tf.cast(tf.reduce_mean(given, axes, keepdims=True), inputs.dtype)
    return tf.broadcast_to(found, tf.shape(inputs))


IN_GRAPH: dict[Any, Any] = {Blur: blurred, Mean: averaged}  # functions of the inputs that a graph can do, too
