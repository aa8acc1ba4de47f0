"""Scores that compare what a model says of each row with something of the row's own: a box, a mask, an embedding.

Such a score first looks at whole outputs, outside of any trace (`refer`): which boxes are found, what is the embedding of the
picture that is compared with. What comes of it are plain arrays, one entry for each map. In the trace only `read` and
`compare` run, so that another box or picture is no new trace.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from tfxai.scores.outputs import OutputScore
from tfxai.support import Inputs, Structure, Tensor

EXACT = "tfxai_exact"  # in names of operations that choose among equals: their derivative is right for steps of any size


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a score may read of a forward pass, in a trace.

    outputs: of the model; a dict where it names them. returned: the same as it returns them.
    inputs:  as the model got them, (B, ...) each.
    layer:   path of a layer -> what its last call puts out, (B, ...).
    differentiated: whether the method needs gradients of the score.
    """

    outputs: Structure
    returned: Structure
    inputs: Sequence[Tensor]
    layer: Callable[[str], Tensor]
    differentiated: bool = False


class ReadRows(Protocol):
    """How whole outputs are looked at before anything is traced."""

    def __call__(
        self, score: Referring, inputs: Inputs | None, then: Callable[[Any, slice], Any] | None = None
    ) -> Any:
        """See `Asked.read`."""
        ...


@dataclasses.dataclass(frozen=True)
class Asked:
    """A call, before anything is traced.

    targets: as they were given.
    count:   N, how many inputs there are.
    sizes:   the shape of one example of each input.
    read:    (score, inputs, then) -> what the score reads of each, as NumPy arrays (N, ...); None: of the call's own inputs. With
             `then`, a function (read, slice) -> array, only what that makes of each batch is kept. Cost: a forward pass each.
    classes: the classes that are meant, (N,) or (N, K), of a score of classes; the predicted ones where none were given. Cost:
             a forward pass each.
    """

    targets: Any
    count: int
    sizes: Sequence[tuple[int, ...]]
    read: ReadRows
    classes: Callable[[Any], NDArray[np.int64]]

    @property
    def given(self) -> NDArray[np.int64] | None:
        """The classes (N,) or (N, K) that were given; None if there are none.

        Raises ValueError if they are no whole numbers of these shapes.
        """
        if self.targets is None:
            return None
        classes = np.asarray(self.targets)
        if classes.dtype.kind not in "iu" or classes.ndim > 2:
            raise ValueError(
                f"targets is {self.targets!r}, which needs one output of class scores (N, C); this score reads another. Give "
                "the classes as ints: one, (N,) or (N, K)."
            )
        if classes.ndim == 0:
            classes = np.full((self.count,), classes)
        if len(classes) != self.count or classes.size == 0 or classes.min() < 0:
            raise ValueError(
                f"targets has shape {classes.shape} for {self.count} inputs. Give one class for each, 0 or more."
            )
        return classes.astype(np.int64)


@dataclasses.dataclass(frozen=True)
class References:
    """What rows are compared with.

    targets: (N,) or (N, K): the class of each map; -1 where there is none.
    arrays:  name -> one entry for each map, targets.shape + (...). Pictures draw "boxes", "masks" and "points".
    score:   the score without what these say: what a trace depends on; None: the score itself.
    """

    targets: NDArray[np.int64]
    arrays: Mapping[str, NDArray] = dataclasses.field(default_factory=dict)
    score: Referring | None = None

    @classmethod
    def without_classes(cls, count: int, arrays: Mapping[str, NDArray], score: Referring) -> References:
        """One map for each of so many inputs, of a score that needs no class."""
        return cls(np.full((count,), -1, np.int64), arrays, score)


class Referring(OutputScore, abc.ABC):
    """A score of whole outputs, layers or inputs, with references of its own for each row. A frozen dataclass.

    takes_classes: the targets of a call mean something to it.
    """

    takes_classes: ClassVar[bool] = True

    @property
    def words(self) -> str:
        """What explanations and pictures call the score."""
        return repr(self)

    @abc.abstractmethod
    def refer(self, asked: Asked) -> References:
        """What the rows of a call are compared with. Raises ValueError if the call does not fit."""

    @abc.abstractmethod
    def read(self, seen: Seen) -> Any:
        """In a trace: what counts of a forward pass, as tensors (B, ...) in any structure."""

    @abc.abstractmethod
    def compare(self, read: Any, references: Mapping[str, Tensor], targets: Tensor) -> Tensor:
        """In a trace: the score (B,). references: (B, ...) each; targets: (B,) classes."""

    def count(self, read: Any) -> int | None:
        """In a trace: how many classes a target can mean; None where the score does not tell."""
        return None

    def __call__(self, outputs: Structure, targets: Tensor) -> Tensor:
        raise ValueError(
            f"{self!r} reads more than outputs and targets, so it is only given to methods, as score=."
        )


def image_size(score: str, asked: Asked, which: int) -> tuple[int, int]:
    """Height and width of the images among the inputs. Raises ValueError if this input is none."""
    if which >= len(asked.sizes) or len(asked.sizes[which]) != 3:
        raise ValueError(
            f"{score} is about images, and input {which} is none: the inputs have the shapes "
            f"{', '.join(str(('N', *size)) for size in asked.sizes)}. Name the image by its position, as input=."
        )
    height, width, _ = asked.sizes[which]
    return height, width


def only_without_targets(score: str, asked: Asked) -> None:
    """Raises ValueError if targets were given to a score that needs none."""
    if asked.targets is not None:
        raise ValueError(f"{score} needs no class, and targets was given. Leave it out.")
