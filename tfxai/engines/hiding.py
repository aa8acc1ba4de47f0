"""The part of the input that is hidden, and what stands in its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline, filled
from tfxai.engines.inside import Inside, NotOneGraph
from tfxai.engines.request import Request
from tfxai.inputs import missing_words, words_of
from tfxai.model import Embedded, Network
from tfxai.support import Tensor

PADDING = 0
"""The id by which tokens are hidden unless another is given: Keras keeps it free for what is not there."""


@dataclasses.dataclass(frozen=True)
class HiddenInput:
    """The input that is hidden in parts, of the inputs of a model.

    which:  its number.
    inside: of a call that is traced as a whole.
    """

    network: Network
    which: int
    inside: Inside | None = None

    @property
    def array(self) -> NDArray:
        """The input (N, ...)."""
        return self.network.arrays[self.which]

    @property
    def space(self) -> tuple[int, ...]:
        """The axes along which parts are told apart: (H, W) of an image, (T,) of a series, (F,) of a row."""
        return space_of(self.array)

    def values(self, maps: NDArray) -> list[NDArray | None]:
        """For each input None, but for this one the maps (rows, *space) with one channel."""
        values: list[NDArray | None] = [None] * len(self.network.arrays)
        values[self.which] = maps[..., None] if self.array.ndim > 2 else maps
        return values

    def hidden(self, baseline: Baseline) -> Any:
        """What hidden parts look like, of the input's shape.

        Raises ValueError for token ids that are not whole numbers, or outside of the vocabulary.
        """
        given = self.network.in_order(baseline)
        return hidden_behind(self.network, self.which, given, "baseline", self.inside)


def hidden_behind(
    network: Network, which: int, baseline: Baseline, name: str, inside: Inside | None = None
) -> Any:
    """What stands for hidden parts of an input, of its shape (N, ...).

    baseline: None is 0; of words a word for all, or one for each; a number there is the empty word, and NaN one that is missing.
    name:     what errors call it.

    Raises ValueError if it does not fit, of token ids also if it is no whole number, or outside of the vocabulary.
    """
    array = network.arrays[which]
    baseline = 0.0 if baseline is None else baseline
    if inside is not None and array.dtype == object:
        raise NotOneGraph("Texts are cut into words in Python. Export a model of token ids.")
    is_number = not callable(baseline) and np.ndim(baseline) == 0 and not isinstance(baseline, str)
    if array.dtype == object:
        missing = is_number and network.takes_missing and bool(np.isnan(float(np.asarray(baseline))))
        word = baseline if not is_number or missing else ""
        given = np.asarray(word(array) if callable(word) else word, object)
        words = words_of(np.broadcast_to(given, array.shape), name)
        if not network.takes_missing and missing_words(words).any():
            raise ValueError(f"{name} lacks a word (None or NaN). Give a word.")
        return words
    whole = array.dtype.kind == "i" or isinstance(network.places[which], Embedded)
    if is_number and whole and float(np.asarray(baseline)) % 1:
        raise ValueError(f"{name} is {baseline}; this input is token ids. Give the id that stands for none.")
    viewed = network.viewed(which, baseline)
    if inside is not None:
        return inside.filled(viewed, array, which)
    values = filled(viewed, array, network.takes_missing)
    network.check_ids(which, values, name)
    return values


def hidden_input(request: Request, input: str | int | None, method: str) -> HiddenInput:
    """The input named by its key or number; unless named the first image, else the first one.

    Raises ValueError if there is no such input, or it is text.
    """
    which = hidden_inputs(request, input)[0]
    array = request.network.arrays[which]
    if array.dtype != object and array.ndim < 2:
        raise ValueError(
            f"{method} compares parts; this input has shape {array.shape}, one number for each example. Give an input (N, ...)."
        )
    if array.dtype == object:
        raise ValueError(
            f"{method} hides parts of arrays (N, ...) of numbers; this input has shape {array.shape} and type text. Use LIME, "
            "KernelSHAP or PartitionSHAP for texts."
        )
    return HiddenInput(request.network, which, request.inside)


def hidden_inputs(request: Request, input: str | int | None) -> tuple[int, ...]:
    """The numbers of the inputs that are hidden: the one that is named; else the first image, or all tables and token ids.

    What has the shape of token ids, but is not looked up, tells which of them count (a mask), and stays. If there are
    others (series, volumes), it is the first input alone.

    Raises ValueError if there is no such input.
    """
    network = request.network
    first = chosen_input(request, input)
    if input is not None or any(array.ndim > 2 for array in network.arrays):
        return (first,)
    rows = range(len(network.arrays))
    shapes = [network.arrays[which].shape for which in rows if is_token_ids(network, which)]
    masks = [
        which
        for which in rows
        if network.arrays[which].shape in shapes and not isinstance(network.places[which], Embedded)
    ]
    return tuple(which for which in rows if which not in masks)


def is_token_ids(network: Network, which: int) -> bool:
    """Whether an input is several ids for each example that are looked up in an embedding, not columns of a table."""
    array = network.arrays[which]
    # Models whose Input has no dtype take ids as float32.
    ids = isinstance(network.places[which], Embedded) and array.dtype != object
    return ids and int(np.prod(array.shape[1:])) > 1


def side_by_side(network: Network, which: Sequence[int]) -> list[NDArray]:
    """The parts of several inputs, for each the numbers of the parts at its places, (*shape of one row).

    Each token is a part, and each input; each column where every input (but for tokens) is a table of several.
    """
    tokens = [is_token_ids(network, each) for each in which]
    shapes = [network.arrays[each].shape[1:] for each in which]
    by_column = all(np.prod(shape) > 1 for shape, ids in zip(shapes, tokens, strict=True) if not ids)
    labels, count = [], 0
    for shape, ids in zip(shapes, tokens, strict=True):
        size = int(np.prod(shape))
        own = np.arange(size) if ids or by_column else np.zeros(size, int)
        labels.append((count + own).reshape(shape))
        count += int(own[-1]) + 1
    return labels


def chosen_input(request: Request, input: str | int | None) -> int:
    """The number of the input that is named by its key or number; unless named the first image, else the first one.

    Raises ValueError if there is no such input.
    """
    network = request.network
    if input is None:
        return next((i for i, array in enumerate(network.arrays) if array.ndim == 4), 0)
    names: list[Any] = list(
        network.structure if isinstance(network.structure, dict) else range(len(network.arrays))
    )
    if input not in names:
        raise ValueError(f"input={input!r}: the inputs are {', '.join(map(repr, names))}. Give one of them.")
    return names.index(input)


def space_of(array: NDArray) -> tuple[int, ...]:
    """The axes of an input (N, ...) along which parts are told apart: all but a last one of channels."""
    return array.shape[1:-1] if array.ndim > 2 else array.shape[1:]


# Inside a trace


def visible(x: Tensor, hidden: Tensor, masks: Tensor, soft: bool = False) -> Tensor:
    """The input where masks (B, *space) are 1, what it is hidden by where they are 0.

    soft: masks may also lie between; of whole numbers (pixels), too, what is seen is fractions then.
    """
    masks = masks if masks.shape.rank == x.shape.rank else masks[..., None]
    if not soft or x.dtype == tf.string:
        return tf.where(masks if masks.dtype == tf.bool else masks > 0.5, x, hidden)
    if not x.dtype.is_floating:
        x, hidden = tf.cast(x, tf.float32), tf.cast(hidden, tf.float32)
    return hidden + tf.cast(masks, x.dtype) * (x - hidden)


def shown(inputs: Sequence[Tensor], which: int, perturbed: Tensor) -> list[Tensor]:
    """All inputs of the model (B, ...), one of them perturbed."""
    tensors = repeated(inputs, tf.shape(perturbed)[0])
    tensors[which] = perturbed
    return tensors


def repeated(inputs: Sequence[Tensor], count: Tensor) -> list[Tensor]:
    """Every input (1, ...) as (count, ...)."""
    return [tf.repeat(x, count, axis=0) for x in inputs]
