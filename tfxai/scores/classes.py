"""Scores of classes: one entry of an output (N, C)."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from tfxai.scores.outputs import OutputScore, Unit, chosen, in_unit
from tfxai.support import Structure, Tensor


@dataclasses.dataclass(frozen=True)
class ClassScore(OutputScore):
    """The target's entry of one output with class scores, (N, C), (N, 1) or (N,)."""

    unit: Unit
    output: str | int | None = None

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        classes = self.classes(outputs)
        if targets is None:
            targets = tf.argmax(classes, axis=1, output_type=tf.int32)
        return pick(classes, targets)

    def classes(self, outputs: Structure) -> Tensor:
        """Scores of all classes, float32 (N, C). A sigmoid unit has two: its complement and itself."""
        tensor = chosen(outputs, self.output, f"tfxai.scores.{self.unit}(output=NAME)")
        if tensor.shape.rank not in (1, 2):
            raise ValueError(
                f"The output has shape {tuple(tensor.shape)}, not class scores (N, C), (N, 1) or (N,). Say what to "
                "explain of it with score=tfxai.scores.region(...) or a callable (outputs, targets) -> (N,)."
            )
        single = tensor.shape.rank == 1 or tensor.shape[1] == 1
        count = 1 if single else tensor.shape[1]
        numbers, ending = in_unit(tensor, self.unit, single)
        numbers = tf.reshape(numbers, (-1, count))
        if not single or ending != "Sigmoid":
            return numbers
        other = -numbers if self.unit == "logit" else 1 - numbers
        return tf.concat([other, numbers], 1)


def pick(classes: Tensor, targets: Tensor) -> Tensor:
    """The target's entry (N,) of class scores (N, C)."""
    # Not tf.gather, whose gradient is a slow scatter; and an infinite score of another class must not matter.
    return tf.reduce_sum(tf.math.multiply_no_nan(classes, tf.one_hot(targets, classes.shape[1])), axis=1)


def has_classes(outputs: Structure) -> bool:
    """Whether there is one output, and it holds class scores."""
    flat = [each for each in tf.nest.flatten(outputs) if each is not None]
    return len(flat) == 1 and tf.is_tensor(flat[0]) and flat[0].shape.rank in (1, 2)
