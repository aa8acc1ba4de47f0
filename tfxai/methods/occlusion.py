"""Slide a window over the input, hide what is under it, and see how far the score falls."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.baselines import Baseline
from tfxai.engines import (
    Attribution,
    Example,
    HiddenInput,
    Method,
    Perturb,
    Perturbed,
    Request,
    Tracer,
    hidden_input,
    hidden_inputs,
    shown,
    side_by_side,
    visible,
)
from tfxai.model import Needs
from tfxai.support import InputKey, PerInput, Setting, Tensor


def _are_lengths(value: Any) -> bool:
    lengths = value if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) else [value]
    whole = (isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in lengths)
    return value is None or (len(lengths) > 0 and all(whole))


Lengths = Annotated[
    int | Sequence[int] | None,
    Setting(_are_lengths, "a whole number, 1 or more, or one for each axis of the input"),
]


@dataclasses.dataclass(frozen=True)
class Occlusion(Method):
    """How far does the score fall when this place is hidden?

    Each value is the fall of the score, averaged over the windows that cover its place; positive values support the
    score. Windows lie along both sides of images, along the time of series, over columns of rows, and over token ids.
    The last window lies flush with the edge. Cost: one forward pass per window.

    window:   its length along each axis, or one for all, in pixels, steps or columns; unless given, one column of a
              row, one token, and a seventh of each side of anything else. Of several inputs that are hidden together
              each token and each input (each column, where every table has several).
    stride:   from one window to the next, at most the window; unless given, half of the window.
    baseline: what hidden places look like (a number, an array, a function of tfxai.baselines, or a dict of these for
              several inputs); of token ids, an id, usually 0 for padding; of words a word, unless given none ("").
    input:    which of several inputs is hidden (key or number); unless given as for LIME, one after another.

    >>> tfxai.Occlusion()(lambda x: x[:, 0] - 2 * x[:, 1], np.array([[3.0, 1.0]])).values.tolist()
    [[3.0, -2.0]]

    Raises ValueError if the window is larger than the input, or the stride larger than the window.
    Zeiler, Fergus: Visualizing and Understanding Convolutional Networks, 2013. arXiv:1311.2901, section 4.2
    """

    window: Lengths = None
    stride: Lengths = None
    baseline: Baseline = 0.0
    input: InputKey = None
    needs = Needs(gradients=False)
    default_score = "output"

    def attribute(self, request: Request) -> Attribution:
        network = request.network
        hidden = hidden_inputs(request, self.input)
        parts = [HiddenInput(network, which, request.inside) for which in hidden]
        if len(parts) == 1 and parts[0].array.dtype == object:
            parts = [hidden_input(request, self.input, "Occlusion")]  # which refuses texts
        baselines = request.for_each_input(self.baseline)
        usual = [self._usual(part) for part in parts]
        if len(parts) > 1:  # each is a part as a whole, if it is none of several
            labels = side_by_side(network, hidden)
            usual = [[1] * each.ndim if np.ptp(each) else list(each.shape) for each in labels]
        slides = [
            self._slides(part, own, baselines[part.which]) for part, own in zip(parts, usual, strict=True)
        ]
        engine = Perturb(request, sum(len(slide.corners) for slide in slides) * len(network))

        def explain(example: Example) -> PerInput:
            found: PerInput = [None] * len(network.arrays)
            for slide in slides:
                found[slide.part.which] = slide.map(engine, example, 1 / len(slides))
            return found

        return engine.explained(explain)

    def _usual(self, part: HiddenInput) -> list[int]:
        """Lengths of the window along each axis, unless they are given."""
        return [1] if part.array.ndim == 2 else [-(-n // 7) for n in part.space]

    def _slides(self, part: HiddenInput, usual: list[int], baseline: Baseline) -> _Slides:
        space = part.space
        window = _lengths(self.window if space else None, "window", space, usual)
        stride = _lengths(self.stride if space else None, "stride", space, [max(1, n // 2) for n in window])
        for n, w, s in zip(space, window, stride, strict=True):
            if w > n or s > w:
                raise ValueError(
                    f"Occlusion(window={self.window}, stride={self.stride}) on an input of {space}: windows of {window} "
                    f"every {stride}. Give a window no larger than the input, and a stride no larger than the window."
                )
        starts = [
            sorted({*range(0, n - w + 1, s), n - w}) for n, w, s in zip(space, window, stride, strict=True)
        ]
        return _Slides(part, window, starts, part.hidden(baseline))


@dataclasses.dataclass(frozen=True)
class _Slides:
    """The windows over one input: their lengths, where they start along each axis, and what is behind them (N, ...)."""

    part: HiddenInput
    window: tuple[int, ...]
    starts: list[list[int]]
    hidden: Any

    @functools.cached_property
    def corners(self) -> NDArray[np.int32]:
        """(M, axes) the first corners of all windows."""
        corners = np.array(list(itertools.product(*self.starts)), np.int32)
        return corners.reshape(math.prod(map(len, self.starts)), len(self.starts))

    def map(self, engine: Perturb, example: Example, share: float) -> Any:
        """(K, *space) falls of the score, with one channel where the input has channels."""
        windows = _Windows(self.part.which, self.part.space, self.window)
        behind = [self.hidden[example.number : example.number + 1]]
        scores = engine.run(windows, example, [self.corners], behind, share=share).scores
        falls = _spread(example.scores - scores, self.starts, self.window, self.part.space)
        return falls[..., None] if self.part.array.ndim > 2 else falls


@dataclasses.dataclass(frozen=True)
class _Windows:
    """One window at a time, by its first corner (plan), hidden behind what is given (fixed)."""

    which: int
    space: tuple[int, ...]
    window: tuple[int, ...]

    def __call__(
        self, tracer: Tracer, inputs: Sequence[Tensor], fixed: Sequence[Tensor], plan: Sequence[Tensor]
    ) -> Perturbed:
        inside = tf.ones([tf.shape(plan[0])[0], *[1] * len(self.space)], tf.bool)
        for axis, (length, size) in enumerate(zip(self.space, self.window, strict=True)):
            place, start = tf.range(length), plan[0][:, axis, None]
            along = (place >= start) & (place < start + size)
            sides = (length if i == axis else 1 for i in range(len(self.space)))
            inside &= tf.reshape(along, [-1, *sides])
        masks = 1.0 - tf.cast(inside, tf.float32)
        return Perturbed(shown(inputs, self.which, visible(inputs[self.which], fixed[0], masks)))


def _spread(falls: Any, starts: list[list[int]], window: tuple[int, ...], space: tuple[int, ...]) -> Any:
    """Falls (M, K) of the score, averaged over the windows at each place: (K, *space)."""
    inside, counts = tf.is_tensor(falls), np.ones(space)
    tensordot, reshape = (tf.tensordot, tf.reshape) if inside else (np.tensordot, np.reshape)
    sums = reshape(falls, (*map(len, starts), falls.shape[1]))
    for axis, (length, size, begins) in enumerate(zip(space, window, starts, strict=True)):
        ahead = np.arange(length)[:, None] - np.array(begins)
        covers = ((ahead >= 0) & (ahead < size)).astype(float)
        sums = tensordot(sums, covers, ([0], [1]))  # windows along this axis become places, at the end
        counts *= covers.sum(1).reshape(-1, *[1] * (len(space) - axis - 1))
    return sums / counts


def _lengths(value: Any, name: str, space: tuple[int, ...], usual: list[int]) -> tuple[int, ...]:
    """One whole number for each axis."""
    lengths = tuple(usual) if value is None else tuple(np.atleast_1d(np.asarray(value, object)))
    lengths = lengths * len(space) if len(lengths) == 1 else lengths
    if len(lengths) != len(space):
        raise ValueError(
            f"Occlusion({name}={value!r}): give one whole number, or {len(space)} of them, one for each axis of {space}."
        )
    return tuple(int(n) for n in lengths)
