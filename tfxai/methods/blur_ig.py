"""Integrated gradients along a path on which the image comes into focus."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import numpy as np
import scipy.fft
import tensorflow as tf
from numpy.typing import NDArray

from tfxai.engines import (
    Attribution,
    Chunk,
    Method,
    PathPoints,
    Paths,
    Request,
    Sum,
    aligned,
    along,
    attribution_along,
)
from tfxai.model import Needs
from tfxai.support import Count, Tensor, number


@dataclasses.dataclass(frozen=True)
class BlurIG(Method):
    """How much does each pixel contribute as the image comes into focus, from coarse to fine?

    Signed. No baseline colour has to be chosen: the path starts from the image blurred by `max_sigma`. `delta` is
    the true gap to score(image) - score(blurred image). Images only. Cost: `steps` forward and backward passes per
    image and target, and two forward passes.

    max_sigma: width of the Gaussian at the start of the path, in pixels.
    steps:     points on the path, at equal distances in log(1 + sigma).

    Raises ValueError if no input is an image (N, H, W, channels).
    Xu, Venugopalan, Sundararajan: Attribution in Scale and Space, 2020. arXiv:2004.03383, equation 7
    """

    max_sigma: Annotated[float, number(above=0, noun="a width in pixels")] = 50.0
    steps: Count = 100
    needs = Needs(images_only=True)

    def attribute(self, request: Request) -> Attribution:
        network = request.network
        # In the cosine basis a blur with reflecting borders is a product, exact for any width.
        starts = [
            array if place is None else _cosines(array)
            for array, place in zip(request.arrays, network.places, strict=True)
        ]
        focus = _Focus(self.max_sigma)
        paths = Paths(request, focus, starts)
        edges = np.linspace(0, 1, self.steps + 1)
        parameters = np.column_stack([(edges[:-1] + edges[1:]) / 2, edges[:-1], edges[1:]])
        return attribution_along(
            paths,
            lambda block: paths.run(
                block,
                PathPoints.of(block.count, parameters, np.ones(self.steps)),
                _ChangeOfFocus(focus=focus),
            ),
            complete=True,
            remedy="Take more steps.",
        )


@dataclasses.dataclass(frozen=True)
class _Focus:
    """The path from the image blurred by `max_sigma` (position 0) to the image (1); starts are its cosines."""

    max_sigma: float

    def __call__(self, start: Tensor, end: Tensor, parameters: Tensor, which: int) -> Tensor:
        return _from_cosines(start * self.damping(end, parameters[:, 0]))

    def damping(self, image: Tensor, positions: Tensor) -> Tensor:
        """(B, H, W, 1): what a blur leaves of each frequency, at positions (B,) from 0 to 1."""
        # Most of the change comes at the very end, so the steps there are finer; the integral does not depend on it.
        sigma = (1 + self.max_sigma) ** (1 - positions) - 1
        rows, columns = (np.pi * np.arange(n, dtype=np.float32) / n for n in image.shape[1:3])
        squared = rows[:, None, None] ** 2 + columns[None, :, None] ** 2
        return tf.exp(-0.5 * aligned(sigma, image) ** 2 * squared)


@dataclasses.dataclass(frozen=True)
class _ChangeOfFocus(Sum):
    """Sum of gradient x change of the image over each step."""

    focus: _Focus = _Focus(1.0)

    def parts(self, chunk: Chunk) -> list[Tensor]:
        parts = []
        for gradient, spectrum, image in zip(chunk.gradients, chunk.starts, chunk.ends, strict=True):
            if gradient is not None:
                after, before = (self.focus.damping(image, chunk.parameters[:, i]) for i in (2, 1))
                parts.append(gradient * _from_cosines(spectrum * (after - before)))
        return parts


def _cosines(images: NDArray | Tensor) -> NDArray | Tensor:
    if not tf.is_tensor(images):
        return np.asarray(scipy.fft.dctn(images, axes=(1, 2), norm="ortho"))
    images = tf.cast(images, tf.float32)
    for axis in (1, 2):
        images = along(
            images, axis, scipy.fft.dct(np.eye(images.shape[axis], dtype=np.float32), axis=0, norm="ortho")
        )
    return images


def _from_cosines(spectrum: Tensor) -> Tensor:
    for axis in (1, 2):
        matrix = scipy.fft.idct(np.eye(spectrum.shape[axis], dtype=np.float32), axis=0, norm="ortho")
        spectrum = tf.einsum("bhwc,yh->bywc" if axis == 1 else "bhwc,xw->bhxc", spectrum, matrix)
    return spectrum
