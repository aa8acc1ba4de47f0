"""Slow, plain transcriptions of the methods, on the twins of tests/kinds.py. Nothing here is shared with tfxai."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import tensorflow as tf
from kinds import Kind, Piece, flat
from skimage.morphology import dilation, disk
from skimage.segmentation import felzenszwalb


def predicted(kind: Kind) -> np.ndarray:
    return kind.predicted()


def score(kind: Kind, points: list[Any], targets: Any, relu: Callable = tf.nn.relu) -> Any:
    return tf.gather(kind.logits(points, relu), targets, axis=1, batch_dims=1)


def each(kind: Kind, function: Callable, *lists: Any) -> list[Any]:
    """The function of each input's entries of the lists; None for inputs that are not explained."""
    return [
        None if i in kind.fixed else function(*entries) for i, entries in enumerate(zip(*lists, strict=True))
    ]


def origin(kind: Kind, points: list[Any]) -> list[Any]:
    """Zeros, and what is not explained as it is."""
    return [point if i in kind.fixed else 0 * point for i, point in enumerate(points)]


def gradients(kind: Kind, points: list[Any], targets: Any, relu: Callable = tf.nn.relu) -> list[Any]:
    points = [p if i in kind.fixed else tf.convert_to_tensor(p, tf.float32) for i, p in enumerate(points)]
    with tf.GradientTape() as tape:
        tape.watch([p for i, p in enumerate(points) if i not in kind.fixed])
        value = score(kind, points, targets, relu)
    return each(kind, lambda g: g.numpy(), tape.gradient(value, points))


def per_token(kind: Kind, values: list[Any]) -> list[Any]:
    return each(kind, lambda v: v.sum(-1), values) if kind.tokens else values


def lengths(kind: Kind, values: list[Any]) -> list[Any]:
    return each(kind, lambda v: np.sqrt((v**2).sum(-1)), values) if kind.tokens else values


def gradient(kind: Kind) -> list[np.ndarray]:
    return lengths(kind, gradients(kind, kind.at(), predicted(kind)))


def square(kind: Kind) -> list[np.ndarray]:
    return per_token(kind, each(kind, np.square, gradients(kind, kind.at(), predicted(kind))))


def nothing(kind: Kind) -> list[np.ndarray]:
    return each(kind, np.zeros_like, gradient(kind))


def input_x_gradient(kind: Kind) -> list[np.ndarray]:
    points = kind.at()
    return times(kind, points, gradients(kind, points, predicted(kind)))


def times(kind: Kind, points: list[Any], slopes: list[Any]) -> list[Any]:
    return per_token(kind, each(kind, lambda point, slope: point.numpy() * slope, points, slopes))


def along_straight_path(
    kind: Kind, positions: list[float], weights: list[float], start: list[Any] | None = None
) -> list[np.ndarray]:
    """Integrated gradients from zero, or from the given points; all positions are rows of one batch."""
    ends, targets = kind.at(), predicted(kind)
    start = origin(kind, ends) if start is None else start
    ways = each(kind, lambda end, begin: end - begin, ends, start)
    points = [
        tf.concat([begin if way is None else begin + a * way for a in positions], 0)
        for begin, way in zip(start, ways, strict=True)
    ]

    def integral(way: Any, g: Any) -> Any:
        g = g.reshape(len(positions), *way.shape)
        return way.numpy() * np.tensordot(np.float32(weights), g, 1)

    slopes = gradients(kind, points, np.tile(targets, len(positions)))
    return per_token(kind, each(kind, integral, ways, slopes))


def guided(kind: Kind, gate: Callable[[Any, float], Any]) -> list[np.ndarray]:
    """Gradient with ReLUs that let only positive gradients through, where the gate says so."""

    def relu(x: Any, cap: float = np.inf) -> Any:
        @tf.custom_gradient
        def rectified(x: Any) -> Any:
            return tf.clip_by_value(x, 0.0, tf.cast(cap, x.dtype)), lambda dy: tf.where(
                gate(x, cap) & (dy > 0), dy, tf.zeros_like(dy)
            )

        return rectified(x)

    return lengths(kind, gradients(kind, kind.at(), predicted(kind), relu))


def lrp(kind: Kind) -> list[np.ndarray]:
    """Epsilon rule for no epsilon: at each nonlinearity f(z) / z in place of the derivative, then times the input."""

    def relu(x: Any, cap: float = np.inf) -> Any:
        @tf.custom_gradient
        def shared(x: Any) -> Any:
            y = tf.clip_by_value(x, 0.0, tf.cast(cap, x.dtype))
            return y, lambda dy: dy * tf.math.divide_no_nan(y, x)

        return shared(x)

    points = kind.at()
    return times(kind, points, gradients(kind, points, predicted(kind), relu))


def deeplift(kind: Kind) -> list[np.ndarray]:
    """Rescale rule from zero: a ReLU has the slope between its values at the baseline and at the input."""

    def relu(x: Any, cap: float = np.inf) -> Any:
        @tf.custom_gradient
        def rescaled(x: Any) -> Any:
            y = tf.clip_by_value(x, 0.0, tf.cast(cap, x.dtype))

            def backward(dy: Any) -> Any:
                (x1, x0), (y1, y0) = tf.split(x, 2), tf.split(y, 2)
                slope = tf.math.divide_no_nan(y1 - y0, x1 - x0)
                return tf.concat([tf.split(dy, 2)[0] * slope] * 2, 0)

            return y, backward

        return rescaled(x)

    points, targets = kind.at(), predicted(kind)
    both = [tf.concat(pair, 0) for pair in zip(points, origin(kind, points), strict=True)]
    with tf.GradientTape() as tape:
        tape.watch([p for i, p in enumerate(both) if i not in kind.fixed])
        value = tf.reduce_sum(score(kind, both, np.concatenate([targets, targets]), relu)[: len(targets)])
    slopes = each(kind, lambda m: m.numpy()[: len(targets)], tape.gradient(value, both))
    return times(kind, points, slopes)


def cam(kind: Kind, weigh: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> list[Any]:
    """Class activation maps of each input, from the twin's own features and head; None where there are none."""
    points, targets = kind.at(), predicted(kind)
    maps = kind.features(points, tf.nn.relu)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.cast(kind.head(maps, points, tf.nn.relu), tf.float32)
        value = tf.gather(logits, targets, axis=1, batch_dims=1)
    slopes = flat(tape.gradient(value, maps))
    return added(
        kind,
        [
            np.stack([weigh(one, slope) for one, slope in zip(read(kind, a), read(kind, g), strict=True)])
            for a, g in zip(flat(maps), slopes, strict=True)
        ],
    )


def read(kind: Kind, maps: Any) -> np.ndarray:
    return np.asarray(tf.cast(kind.space(maps), tf.float32))


def added(kind: Kind, heats: list[np.ndarray]) -> list[Any]:
    """What is positive of each piece's map, enlarged to its input, or its frame, and added up; None for other inputs."""
    values: list[Any] = [None] * len(kind.flat)
    for piece, heat in zip(kind.pieces, heats, strict=True):
        large = enlarged(np.maximum(heat, 0), kind, piece)
        values[piece.image] = large + (0 if values[piece.image] is None else values[piece.image])
    return values


def enlarged(heat: np.ndarray, kind: Kind, piece: Piece) -> np.ndarray:
    """Linear interpolation between pixel centres, one axis and one value at a time; other frames get zeros."""
    size = space(kind, piece.image)[0 if piece.frame is None else 1 :]
    for axis, large in enumerate(size, start=1):
        small = heat.shape[axis]
        where = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
        heat = np.apply_along_axis(lambda line, w=where: np.interp(w, np.arange(len(line)), line), axis, heat)
    if piece.frame is not None:
        film = np.zeros((len(heat), *space(kind, piece.image), *heat.shape[len(size) + 1 :]))
        film[:, piece.frame] = heat
        heat = film
    return with_channel(heat, kind, piece.image)


def space(kind: Kind, which: int) -> tuple[int, ...]:
    """The axes of an input along which places lie; the columns of a row."""
    shape = np.shape(kind.flat[which])[1:]
    return shape[:-1] if kind.channels and len(shape) > 1 else shape


def with_channel(maps: np.ndarray, kind: Kind, which: int) -> np.ndarray:
    """Maps (N, *space) as the input's values have them: with one channel where it has channels."""
    return maps if space(kind, which) == np.shape(kind.flat[which])[1:] else maps[..., None]


def grad_cam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return sum(a[..., k] * g[..., k].mean() for k in range(a.shape[-1]))


def grad_cam_plus_plus(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    result = np.zeros(a.shape[:-1])
    for k in range(a.shape[-1]):
        ak, gk = a[..., k].astype(np.float64), g[..., k].astype(np.float64)
        bottom = 2 * gk**2 + ak.sum() * gk**3
        alpha = np.divide(gk**2, bottom, out=np.zeros_like(gk), where=bottom != 0)
        result += ak * (alpha * np.maximum(gk, 0)).sum()
    return result


def layer_cam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return (a * np.maximum(g, 0)).sum(-1)


def hires_cam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    return (a * g).sum(-1)


def eigen_cam(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    flat = a.reshape(-1, a.shape[-1]).astype(np.float64)
    _, _, vectors = np.linalg.svd(flat, full_matrices=False)
    heat = flat @ vectors[0]
    agreement = (heat * flat.mean(1)).sum()
    if abs(agreement) <= 1e-5 * (np.abs(heat) * np.abs(flat).mean(1)).sum():
        agreement = heat.sum()
    return (heat if agreement >= 0 else -heat).reshape(a.shape[:-1])


def pictures(kind: Kind) -> list[Any]:
    """The images (N, H, W, channels), float64; None for other inputs."""
    points = [p.numpy().astype(np.float64) for p in kind.at()]
    return [
        (p if kind.channels else p[..., None]) if kind.is_picture(i) else None for i, p in enumerate(points)
    ]


def image_gradients(kind: Kind, versions: list[list[Any]]) -> list[Any]:
    """Gradients (K, N, H, W, channels) at K versions of the images of each input, all of them rows of one batch."""
    count = len(versions)
    points = [
        np.concatenate([p.numpy()] * count)
        if versions[0][i] is None
        else np.concatenate([version[i] for version in versions]).reshape(-1, *p.shape[1:]).astype(np.float32)
        for i, p in enumerate(kind.at())
    ]
    slopes = gradients(kind, points, np.tile(predicted(kind), count))
    return [
        None if image is None else slope.reshape(count, *image.shape)
        for image, slope in zip(versions[0], slopes, strict=True)
    ]


def for_each(function: Callable, *lists: list[Any]) -> list[Any]:
    return [None if entries[0] is None else function(*entries) for entries in zip(*lists, strict=True)]


def as_input(kind: Kind, values: list[Any]) -> list[Any]:
    """Values of images (N, H, W, C) in the shape of the input."""
    return values if kind.channels else for_each(lambda v: v[..., 0], values)


def blur_ig(kind: Kind, max_sigma: float, steps: int) -> list[Any]:
    """Gradient times change of the image, step by step; blur by the heat equation with reflecting borders."""

    def blurred(image: np.ndarray, position: float) -> np.ndarray:
        sigma = (1 + max_sigma) ** (1 - position) - 1
        spectrum = scipy.fft.dctn(image, axes=(1, 2), norm="ortho")
        for axis in (1, 2):
            n = image.shape[axis]
            frequency = np.pi * np.arange(n) / n
            damping = np.exp(-0.5 * sigma**2 * frequency**2)
            spectrum = spectrum * np.expand_dims(damping, [i for i in range(4) if i != axis])
        return scipy.fft.idctn(spectrum, axes=(1, 2), norm="ortho")

    images = pictures(kind)
    middles = [for_each(lambda x, k=k: blurred(x, (k + 0.5) / steps), images) for k in range(steps)]

    def total(image: np.ndarray, slopes: np.ndarray) -> np.ndarray:
        changes = [blurred(image, (k + 1) / steps) - blurred(image, k / steps) for k in range(steps)]
        return sum(slope * change for slope, change in zip(slopes, changes, strict=True))

    return as_input(kind, for_each(total, images, image_gradients(kind, middles)))


def xrai(kind: Kind, steps: int) -> list[Any]:
    """Gradients on the way from black and from white, then the cover by regions."""
    images = pictures(kind)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    maps = for_each(lambda image: np.zeros(image.shape[:-1]), images)
    for extreme in (np.min, np.max):
        starts = for_each(lambda image, e=extreme: e(image, (1, 2, 3), keepdims=True), images)
        places = [
            for_each(lambda image, start, n=node: start + (n + 1) / 2 * (image - start), images, starts)
            for node in nodes
        ]

        def half(before: Any, image: Any, start: Any, slopes: Any) -> np.ndarray:
            mean = np.tensordot(weights / 2, slopes, 1)
            return before + (mean * (image - start)).sum(-1) / 2

        maps = for_each(half, maps, images, starts, image_gradients(kind, places))
    return as_input(kind, for_each(covered, images, maps))


def covered(image: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Greedy cover by regions, with Python loops."""
    results = []
    for one, values in zip(image, maps, strict=True):
        scaled = (one - one.min()) / (one.max() - one.min())
        regions = []
        for scale in (50, 100, 150, 250, 500, 1200):
            labels = felzenszwalb(scaled, scale=scale, sigma=0.8, min_size=150, channel_axis=-1)
            regions += [dilation(labels == i, disk(5)) for i in range(labels.max() + 1)]
        left, result = np.ones(values.shape, bool), np.full(values.shape, np.nan)
        while True:
            gains = [values[r & left].mean() if (r & left).sum() >= 50 else -np.inf for r in regions]
            if max(gains) == -np.inf:
                break
            best = int(np.argmax(gains))
            result[regions[best] & left] = gains[best]
            left &= ~regions[best]
        if left.any():
            result[left] = values[left].mean()
        results.append(result)
    return np.stack(results)[..., None]
