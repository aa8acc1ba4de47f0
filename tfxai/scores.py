"""What is explained: one number per example, made from a model's outputs and a class.

A score is any callable `(outputs, targets) -> (N,)` of TensorFlow tensors: outputs as the model returns them, targets
(N,) ints or None. The factories here cover classes, chosen outputs, single numbers, image regions and boxes.

    tfxai.GradCAM()(model, images, score=tfxai.scores.logit(output="species"))
    tfxai.Gradient()(segmenter, images, score=tfxai.scores.region(mask, channel=3))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from tfxai.support import Operation, Structure, Tensor

Score = Callable[[Structure, Tensor], Tensor]
"""(outputs, targets) -> (N,): one differentiable number per example."""

Unit = Literal["logit", "probability", "output"]

Targets: TypeAlias = "int | Sequence[int] | Sequence[Sequence[int]] | NDArray[np.integer] | Top | None"
"""Classes to explain: None (the predicted one), an int for all, (N,) ints, (N, K) ints, or `tfxai.top(k)`."""


@dataclasses.dataclass(frozen=True)
class Top:
    """The `k` classes that the model ranks highest for each input; made by `tfxai.top`."""

    k: int

    def __post_init__(self) -> None:
        if not isinstance(self.k, (int, np.integer)) or isinstance(self.k, bool) or self.k < 1:
            raise ValueError(f"top({self.k!r}): expected the number of classes to explain, 1 or more.")


def top(k: int) -> Top:
    """As `targets`: explain each input for the k classes that the model ranks highest, best first."""
    return Top(k)


def logit(output: str | int | None = None) -> Score:
    """The unnormalised score of the target class, found behind a final softmax or sigmoid.

    output: name or position of the output, for models with several.
    """
    return ClassScore("logit", output)


def probability(output: str | int | None = None) -> Score:
    """The probability of the target class, 0 to 1; of the output's softmax where the model does not end in one.

    output: name or position of the output, for models with several.
    """
    return ClassScore("probability", output)


def output(output: str | int | None = None) -> Score:
    """The target's entry of an output as the model gives it, whatever that means.

    output: name or position of the output, for models with several.
    """
    return ClassScore("output", output)


def regression(index: int = 0, output: str | int | None = None) -> Score:
    """One number of an output (N, M) or (N,), as it is; needs no target.

    index: which of the M numbers.
    """
    return Component(index, output)


def region(mask: ArrayLike, channel: int | None = None, output: str | int | None = None) -> Score:
    """Mean of a dense output (N, H, W, C) inside a region: why is this area of that class?

    mask:    (H, W), of the output's size; non-zero inside.
    channel: the class; unless given, the target.
    """
    return Region(np.asarray(mask) != 0, channel, output)


def box(
    corners: tuple[int, int, int, int], channel: int | None = None, output: str | int | None = None
) -> Score:
    """Like `region`, for a box of the output.

    corners: y0, x0, y1, x1 in cells of the output, ends excluded.
    """
    return Box(corners, channel, output)


class OutputScore:
    """A score that knows outputs by their names.

    reads_names: it is given the outputs as a dict where the model names them; a score without this attribute gets them
                 as the model returns them.
    """

    reads_names: ClassVar[bool] = True


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
        logits, ending = before_ending(tensor, wanted=self.unit != "output")
        single = tensor.shape.rank == 1 or tensor.shape[1] == 1
        shape = (-1, 1) if single else (-1, tensor.shape[1])
        logits, tensor = (tf.reshape(tf.cast(each, tf.float32), shape) for each in (logits, tensor))
        if single and ending == "Sigmoid":
            logits, tensor = tf.concat([-logits, logits], 1), tf.concat([1 - tensor, tensor], 1)
        if self.unit == "logit":
            return logits
        if self.unit == "output" or ending in ("Softmax", "Sigmoid"):
            return tensor
        return tf.sigmoid(logits) if single else tf.nn.softmax(logits)


@dataclasses.dataclass(frozen=True)
class Component(OutputScore):
    index: int
    output: str | int | None

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        tensor = chosen(outputs, self.output, "tfxai.scores.regression(output=NAME)")
        count = int(np.prod(tensor.shape[1:]))
        if not -count <= self.index < count:
            raise ValueError(f"regression({self.index}): the output has {count} numbers, counted from 0.")
        numbers = tf.reshape(tensor, (-1, count))
        return numbers[:, self.index]


@dataclasses.dataclass(frozen=True, eq=False)
class Region(OutputScore):
    mask: np.ndarray
    channel: int | None
    output: str | int | None

    def count(self, outputs: Structure) -> int | None:
        """How many classes a target can mean."""
        return chosen(outputs, self.output, "tfxai.scores.region(mask, output=NAME)").shape[-1]

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        maps = channel_maps(
            chosen(outputs, self.output, "tfxai.scores.region(mask, output=NAME)"), self.channel, targets
        )
        if tuple(maps.shape[1:]) != self.mask.shape or not self.mask.any():
            raise ValueError(
                f"region got a mask of shape {self.mask.shape} with {self.mask.sum()} cells inside, for output maps of "
                f"{tuple(maps.shape[1:])}. Give a mask (H, W) of the output's size with at least one cell inside."
            )
        return tf.reduce_mean(tf.boolean_mask(maps, self.mask, axis=1), axis=1)


@dataclasses.dataclass(frozen=True)
class Box(OutputScore):
    corners: tuple[int, int, int, int]
    channel: int | None
    output: str | int | None

    def count(self, outputs: Structure) -> int | None:
        """How many classes a target can mean."""
        return chosen(outputs, self.output, "tfxai.scores.box(corners, output=NAME)").shape[-1]

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        maps = channel_maps(
            chosen(outputs, self.output, "tfxai.scores.box(corners, output=NAME)"), self.channel, targets
        )
        y0, x0, y1, x1 = self.corners
        height, width = maps.shape[1:]
        if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
            raise ValueError(
                f"box{self.corners} does not lie inside output maps of {tuple(maps.shape[1:])} (y0, x0, y1, x1)."
            )
        return tf.reduce_mean(maps[:, y0:y1, x0:x1], axis=(1, 2))


def channel_maps(tensor: Tensor, channel: int | None, targets: Tensor) -> Tensor:
    """(N, H, W) of one class of a dense output (N, H, W, C)."""
    if tensor.shape.rank != 4:
        raise ValueError(f"The output has shape {tuple(tensor.shape)}; a region or box needs (N, H, W, C).")
    if channel is not None:
        if not -tensor.shape[-1] <= channel < tensor.shape[-1]:
            raise ValueError(
                f"channel {channel}: the output has {tensor.shape[-1]} channels, counted from 0."
            )
        return tensor[..., channel]
    if targets is None and tensor.shape[-1] > 1:
        raise ValueError(
            f"Which of the {tensor.shape[-1]} classes? Give channel=, or targets= with the call."
        )
    return (
        tensor[..., 0]
        if targets is None
        else tf.gather(tf.transpose(tensor, (0, 3, 1, 2)), targets, axis=1, batch_dims=1)
    )


def chosen(outputs: Structure, output: str | int | None, how: str) -> Tensor:
    """One tensor of a model's outputs. Raises ValueError, with the names, if it is not clear which."""
    if isinstance(outputs, dict):
        named: dict[str | int, Tensor] = outputs
    elif isinstance(outputs, (list, tuple)):
        named = dict(enumerate(outputs))
    else:
        named = {0: outputs}
    if output is None and len(named) == 1:
        return next(iter(named.values()))
    if output is None and "default" in named:  # as modules of TF-Hub call the one that is meant
        return named["default"]
    names = ", ".join(f"{name!r} {tuple(tensor.shape)}" for name, tensor in named.items())
    if output is None:
        raise ValueError(f"The model has {len(named)} outputs: {names}. Say which one with score={how}.")
    if output in named:
        return named[output]
    if isinstance(output, int) and -len(named) <= output < len(named):
        return list(named.values())[output]
    raise ValueError(f"The model has no output {output!r}. It has: {names}.")


def pick(classes: Tensor, targets: Tensor) -> Tensor:
    """The target's entry (N,) of class scores (N, C)."""
    # Not tf.gather, whose gradient is a slow scatter; and an infinite score of another class must not matter.
    return tf.reduce_sum(tf.math.multiply_no_nan(classes, tf.one_hot(targets, classes.shape[1])), axis=1)


def has_classes(outputs: Structure) -> bool:
    """Whether there is one output, and it holds class scores."""
    flat = tf.nest.flatten(outputs)
    return len(flat) == 1 and tf.is_tensor(flat[0]) and flat[0].shape.rank in (1, 2)


# Operations that hand their input on, apart from shape and type.
PASSING = {"Identity", "Cast", "Reshape", "Squeeze", "ExpandDims"}


def before_ending(tensor: Tensor, wanted: bool = True) -> tuple[Tensor, str | None]:
    """The tensor in front of a final softmax or sigmoid, in the output's shape, and that ending's name.

    Raises ValueError if it is wanted, but the ending lies inside a compiled function.
    """
    if tf.is_tensor(tensor) and not hasattr(
        tensor, "numpy"
    ):  # only a traced tensor knows where it comes from
        op = tensor.op
        while op.type in PASSING:
            op = op.inputs[0].op
        if wanted and op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            _check_call(op, tensor)
        if op.type in ("Softmax", "Sigmoid", "LogSoftmax"):
            return tf.reshape(op.inputs[0], tf.shape(tensor)), op.type
    return tensor, None


def _check_call(op: Operation, tensor: Tensor) -> None:
    """Raises ValueError if a called function ends in a softmax or sigmoid: the logit behind it is out of reach."""
    library = {function.signature.name: function for function in op.graph.as_graph_def().library.function}
    function = library.get(op.get_attr("f").name)
    if function is None:
        return
    nodes = {node.name: node for node in function.node_def}
    source = function.ret[function.signature.output_arg[tensor.value_index].name]
    while (node := nodes.get(source.split(":")[0])) is not None and node.op in PASSING:
        source = node.input[0]
    if node is not None and node.op in ("Softmax", "Sigmoid", "LogSoftmax"):
        raise ValueError(
            f"The model ends in a {node.op} inside a compiled tf.function, behind which its logit cannot be seen. Give "
            'the function that was compiled (its python_function), or explain the output as it is: score="output".'
        )
