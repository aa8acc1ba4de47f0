"""Cutting images, series and volumes into parts that are hidden or shown together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage import segmentation
from skimage.color import rgb2gray
from skimage.filters import sobel

from tfxai.support import warn

Segmenter: TypeAlias = str | ArrayLike | Callable[[NDArray], ArrayLike]
"""A name of `SEGMENTERS`, a label map (H, W) or one per image (N, H, W), or a function image (H, W, C) -> label map."""


def check(segmenter: Segmenter, method: str) -> None:
    """Raises ValueError if the segmenter is a name that is not known."""
    if isinstance(segmenter, str) and segmenter not in (*SEGMENTERS, "grid"):
        raise ValueError(
            f"{method}(segmenter={segmenter!r}): give one of {', '.join(SEGMENTERS)}, grid, a label map, or a function "
            "image -> label map."
        )


def parts(array: NDArray, number: int, segmenter: Segmenter, segments: int) -> NDArray:
    """Label map, 0 ... S - 1, of one example of an array (N, ...): (H, W) of an image, (T,) of a series, (F,) of a row.

    Names other than grid are for images; series and volumes are cut evenly, and each column of a row is a part.

    Raises ValueError if a label map that was given does not fit, or has fewer than two parts.
    """
    space = array.shape[1:-1] if array.ndim > 2 else array.shape[1:]
    if not isinstance(segmenter, str):
        return _given_labels(array, number, segmenter, space)
    if array.ndim == 2:
        return np.arange(space[0])
    if segmenter == "grid" or array.ndim != 4:
        return grid(space, segments)
    labels = numbered(SEGMENTERS[segmenter](coloured(scaled(array[number])), segments))
    if labels.max() < 1:
        warn(f"{segmenter} found one segment only in image {number}; a grid is used instead.")
        return grid(space, segments)
    return labels


def is_fixed(array: NDArray, segmenter: Segmenter) -> bool:
    """Whether every example of an array (N, ...) is cut alike."""
    if isinstance(segmenter, str):
        return segmenter == "grid" or array.ndim != 4
    return not callable(segmenter) and np.ndim(segmenter) == len(
        array.shape[1:-1] if array.ndim > 2 else array.shape[1:]
    )  # pyright: ignore[reportArgumentType]


def _given_labels(
    array: NDArray,
    number: int,
    segmenter: ArrayLike | Callable[[NDArray], ArrayLike],
    space: tuple[int, ...],
) -> NDArray:
    """A label map that was given, or made by a function that was given, with labels 0 ... S - 1."""
    if callable(segmenter):
        given = np.asarray(segmenter(scaled(array[number])))
    else:
        given = np.asarray(segmenter)
        given = given[number] if given.shape == (len(array), *space) else given
    if given.shape != space:
        raise ValueError(
            f"The label map has shape {given.shape}, the input {space}. Give one label per place."
        )
    labels = numbered(given)
    if labels.max() < 1:
        raise ValueError("The label map has one segment only: nothing to compare. Give two or more.")
    return labels


def slic(image: NDArray, segments: int) -> NDArray:
    """Compact segments of like colour (k-means of colours and places): a label map (H, W)."""
    return segmentation.slic(image, n_segments=segments, start_label=0, channel_axis=-1)


def felzenszwalb(image: NDArray, segments: int) -> NDArray:
    """Segments that grow until their borders are sharper than their insides (a graph of pixels): (H, W)."""
    # It takes no number of segments; the smallest size keeps it from making many more.
    return segmentation.felzenszwalb(
        image, scale=100, sigma=0.5, min_size=max(1, image[..., 0].size // (4 * segments))
    )


def quickshift(image: NDArray, segments: int) -> NDArray:
    """Modes of colour and place (H, W); it chooses the number of segments itself."""
    return segmentation.quickshift(image, kernel_size=4, max_dist=200, ratio=0.2, rng=0)


def watershed(image: NDArray, segments: int) -> NDArray:
    """Basins between the edges of the image, flooded from evenly spread seeds: (H, W)."""
    return segmentation.watershed(
        sobel(rgb2gray(image)),
        markers=segments,
        compactness=0.001,  # pyright: ignore[reportArgumentType]
    )


SEGMENTERS: dict[str, Callable[[NDArray, int], NDArray]] = {
    "slic": slic,
    "felzenszwalb": felzenszwalb,
    "quickshift": quickshift,
    "watershed": watershed,
}


def grid(space: tuple[int, ...], segments: int) -> NDArray:
    """Even blocks, as near to squares and to that number as whole numbers allow."""
    side = (np.prod(space) / segments) ** (1 / len(space))
    counts = [int(np.clip(round(length / side), 1, length)) for length in space]
    while np.prod(counts) < 2:
        counts[int(np.argmax(space))] += 1
    blocks = [np.arange(length) * count // length for length, count in zip(space, counts, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*blocks, indexing="ij"), counts)


def numbered(labels: ArrayLike) -> NDArray:
    """The same map with labels 0 ... S - 1."""
    labels = np.asarray(labels)
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def scaled(image: NDArray) -> NDArray:
    """The image in 0..1, by its own range: segmenters expect that, whatever range the model takes."""
    low, high = float(image.min()), float(image.max())
    return (image.astype(np.float64) - low) / (high - low if high > low else 1.0)


def coloured(image: NDArray) -> NDArray:
    """(H, W, 3): segmenters work on colours; other channels are averaged."""
    return image if image.shape[-1] == 3 else image.mean(-1, keepdims=True).repeat(3, axis=-1)


def averaged(array: NDArray, labels: NDArray) -> NDArray:
    """An example (*space, C) in which every part has its mean colour."""
    flat, channels = labels.reshape(-1), array.reshape(-1, array.shape[-1]).astype(np.float64)
    counts = np.bincount(flat)[:, None]
    if (missing := np.isnan(channels)).any():  # then the mean of what is there; NaN where nothing is
        counts = np.stack([np.bincount(flat, there) for there in ~missing.T], axis=1)
        channels = np.where(missing, 0, channels)
    sums = np.stack([np.bincount(flat, channel) for channel in channels.T], axis=1)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return means[labels].astype(array.dtype)
