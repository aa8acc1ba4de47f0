"""The parts of an example, and inputs whose parts are hidden: what is visible of arrays, and texts without some words."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines.hiding import repeated, shown, visible
from tfxai.engines.perturb import Perturbed
from tfxai.engines.scoring import Tracer
from tfxai.support import Tensor

Fill = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (1, ...), hidden (1 or B, ...), masks (B, ...)) -> perturbed inputs (B, ...), in a trace."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """How one example is cut.

    labels: which part each place belongs to, (*space); numbers of the words of a text, of the columns of several inputs.
    count:  number of parts.
    words:  of a text.
    by_input: of several inputs, for each the labels of its places, (*shape of one row).
    """

    labels: NDArray
    count: int
    words: list[str] | None = None
    by_input: tuple[NDArray, ...] = ()


@dataclasses.dataclass(frozen=True)
class HiddenParts:
    """Arrays seen through coalitions of parts.

    which:      numbers of the inputs that are hidden: one, or several that are tables or token ids.
    fill:       what takes the place of hidden parts, made from what they are hidden by.
    has_labels: parts are wider than single places, and a label map tells which place belongs to which.

    plan:  numbers of the coalition and of the row that hides the rest, (B,) each.
    fixed: bits (M, parts), the label map (1, *space) if there is one (of several inputs one for each), and for each hidden
           input the rows (R, ...).
    """

    which: tuple[int, ...]
    fill: Fill = visible
    has_labels: bool = False

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        bits = tf.gather(fixed[0], plan[0])
        behind = [tf.gather(rows, plan[1]) for rows in fixed[-len(self.which) :]]
        if len(self.which) > 1:
            tensors = repeated(inputs, tf.shape(bits)[0])
            for which, labels, hidden in zip(self.which, fixed[1:], behind, strict=False):
                seen = tf.gather(bits, tf.reshape(labels, [-1]), axis=1)
                x = inputs[which]
                tensors[which] = tf.where(tf.reshape(seen, [-1, *x.shape[1:]]), x, hidden)
            return Perturbed(tensors)
        which = next(iter(self.which))
        x = inputs[which]
        space = x.shape[1:-1] if x.shape.rank > 2 else x.shape[1:]
        if self.has_labels:
            bits = tf.gather(bits, tf.reshape(fixed[1][0], [-1]), axis=1)
        masks = tf.reshape(tf.cast(bits, tf.float32), [-1, *space])
        return Perturbed(shown(inputs, which, self.fill(x, behind[0], masks)))


@dataclasses.dataclass(frozen=True)
class HiddenWords:
    """Texts that were made without some words. which: number of the input. plan: the texts (B,)."""

    which: int

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        tensors = repeated(inputs, tf.shape(plan[0])[0])
        tensors[self.which] = tf.reshape(plan[0], [-1, *[1] * (inputs[self.which].shape.rank - 1)])
        return Perturbed(tensors)


def averaged_in_graph(x: Tensor, labels: NDArray) -> Tensor:
    """An example (1, *space, C) in which every part has its mean colour; see `tfxai.inputs.segments.averaged`."""
    flat = tf.cast(tf.reshape(x, (labels.size, -1)), tf.float64)
    means = tf.math.unsorted_segment_mean(flat, labels.reshape(-1), int(labels.max()) + 1)
    return tf.reshape(tf.cast(tf.gather(means, labels.reshape(-1)), x.dtype), tf.shape(x))
