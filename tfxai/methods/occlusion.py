"""Slide a window over the input, hide what is under it, and see how far the score falls."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    Method,
    Perturb,
    Perturbed,
    Request,
    Tracer,
    attribution_of,
    hidden_input,
    shown,
    visible,
)
from tfxai.model import Needs
from tfxai.support import Tensor


@dataclasses.dataclass(frozen=True)
class Occlusion(Method):
    """How far does the score fall when this place is hidden?

    Each value is the fall of the score, averaged over the windows that cover its place; positive values support the
    score. Windows lie along both sides of images, along the time of series, over columns of rows, and over token ids.
    The last window lies flush with the edge. Cost: one forward pass per window.

    window:   its length along each axis, or one for all, in pixels, steps or columns; unless given, one column of a
              row, and a seventh of each side of anything else.
    stride:   from one window to the next, at most the window; unless given, half of the window.
    baseline: what hidden places look like (a number, an array, a function of tfxai.baselines); of token ids, an id.
    input:    which of several inputs is hidden (key or number); unless given the first image, else the first.

    Raises ValueError if the window is larger than the input, or the stride larger than the window.
    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2013. arXiv:1311.2901, section 4.2
    """

    window: int | Sequence[int] | None = None
    stride: int | Sequence[int] | None = None
    baseline: Baseline = 0.0
    input: str | int | None = None
    needs = Needs(gradients=False)
    default_score = "output"

    def attribute(self, request: Request) -> Attribution:
        part = hidden_input(request, self.input, "Occlusion")
        space = part.space
        window = _lengths(
            self.window, "window", space, [1] if part.array.ndim == 2 else [-(-n // 7) for n in space]
        )
        stride = _lengths(self.stride, "stride", space, [max(1, n // 2) for n in window])
        for n, w, s in zip(space, window, stride, strict=True):
            if w > n or s > w:
                raise ValueError(
                    f"Occlusion(window={self.window}, stride={self.stride}) on an input of {space}: windows of {window} "
                    f"every {stride}. Give a window no larger than the input, and a stride no larger than the window."
                )
        starts = [
            sorted({*range(0, n - w + 1, s), n - w}) for n, w, s in zip(space, window, stride, strict=True)
        ]
        corners = np.array(list(itertools.product(*starts)), np.int32)
        hidden = part.hidden(self.baseline)

        engine = Perturb(request, len(corners) * len(part.array))
        windows = _Windows(part.which, space, window)
        examples, maps = [], []
        for example in engine.examples():
            number = example.number
            scores = engine.run(windows, example, [corners], [hidden[number : number + 1]]).scores
            maps.append(_spread(example.scores - scores, corners, window, space))
            examples.append(example)
        return attribution_of(examples, part.values(np.concatenate(maps)))


@dataclasses.dataclass(frozen=True)
class _Windows:
    """One window at a time, by its first corner (plan), hidden behind what is given (fixed)."""

    which: int
    space: tuple[int, ...]
    window: tuple[int, ...]

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        inside: Tensor = True
        for axis, (length, size) in enumerate(zip(self.space, self.window, strict=True)):
            place, start = tf.range(length), plan[0][:, axis, None]
            along = (place >= start) & (place < start + size)
            sides = (length if i == axis else 1 for i in range(len(self.space)))
            inside &= tf.reshape(along, [-1, *sides])
        masks = 1.0 - tf.cast(inside, tf.float32)
        return Perturbed(shown(inputs, self.which, visible(inputs[self.which], fixed[0], masks)))


def _spread(falls: NDArray, corners: NDArray, window: tuple[int, ...], space: tuple[int, ...]) -> NDArray:
    """Falls (M, K) of the score, averaged over the windows at each place: (K, *space)."""
    sums, counts = np.zeros((falls.shape[1], *space)), np.zeros(space)
    for fall, corner in zip(falls, corners, strict=True):
        place = tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))
        sums[(slice(None), *place)] += fall.reshape(-1, *[1] * len(space))
        counts[place] += 1
    return sums / counts


def _lengths(value: Any, name: str, space: tuple[int, ...], usual: list[int]) -> tuple[int, ...]:
    """One whole number for each axis."""
    lengths = tuple(usual) if value is None else tuple(np.atleast_1d(np.asarray(value, object)))
    lengths = lengths * len(space) if len(lengths) == 1 else lengths
    whole = all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in lengths)
    if not whole or len(lengths) != len(space):
        raise ValueError(
            f"Occlusion({name}={value!r}): give one whole number, 1 or more, or {len(space)} of them, one for each "
            f"axis of {space}."
        )
    return tuple(int(n) for n in lengths)
