"""One of a model's outputs, in the unit that is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar, Literal

import numpy as np
import tensorflow as tf

from tfxai.scores.endings import ending_of
from tfxai.support import Structure, Tensor

ROWS = 104_729  # a prime number of examples, which no model has classes and no product of its sizes is
Unit = Literal["logit", "probability", "output"]


class OutputScore:
    """A score that knows outputs by their names.

    reads_names: it is given the outputs as a dict where the model names them; a score without this attribute gets them
                 as the model returns them.
    """

    reads_names: ClassVar[bool] = True


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


def chosen(outputs: Structure, output: str | int | None, how: str) -> Tensor:
    """One tensor of a model's outputs. Raises ValueError, with the names, if it is not clear which."""
    if isinstance(outputs, dict):
        named: dict[str | int, Tensor] = outputs
    elif isinstance(outputs, (list, tuple)):
        named = dict(enumerate(outputs))
    else:
        named = {0: outputs}
    named = {
        name: each for name, each in named.items() if each is not None
    }  # such as a cache that is not kept
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


def wrong_length(score: Callable[..., Tensor], outputs: Structure, targets: Tensor | None) -> int | None:
    """How many numbers a user's score makes of so many examples as no model has classes, if not one for each."""
    if not all(tf.is_symbolic_tensor(each) and each.shape.rank for each in tf.nest.flatten(outputs)):
        return None
    many = (
        tf.nest.map_structure(_of_many_rows, outputs),
        None if targets is None else _of_many_rows(targets),
    )
    try:
        found = tf.function(score, autograph=False).get_concrete_function(*many).structured_outputs
    except Exception:  # it knows how many examples there really are
        return None
    return None if found.shape[0] in (None, ROWS) else found.shape[0]


def _of_many_rows(tensor: Tensor) -> tf.TensorSpec:
    return tf.TensorSpec([ROWS, *tensor.shape[1:]], tensor.dtype)


def in_unit(tensor: Tensor, unit: Unit, single: bool) -> tuple[Tensor, str | None]:
    """An output (N, ..., C), or (N,), in a unit, float32; and the type of the operation in which it ends, if that was asked.

    single: there is one number for each place, so that the probability is a sigmoid.

    Raises ValueError if the logit is asked for and lies out of reach.
    """
    ending = None if unit == "output" and not single else ending_of(tensor)
    kind = None if ending is None else ending.kind
    if unit == "logit" and ending is not None:
        before, shape = ending.before(), tensor.shape
        before.set_shape(shape)
        return tf.cast(before, tf.float32), kind
    tensor = tf.cast(tensor, tf.float32)
    if unit == "probability" and kind == "LogSoftmax":
        tensor = tf.exp(tensor)
    elif unit == "probability" and kind is None:
        tensor = tf.sigmoid(tensor) if single else tf.nn.softmax(tensor)
    return tensor, kind
