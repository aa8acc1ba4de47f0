"""Slow, plain transcriptions of the methods, on the twins of tests/models.py. Nothing here is shared with tfxai."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.fft
import tensorflow as tf
from models import Kind
from skimage.morphology import dilation, disk
from skimage.segmentation import felzenszwalb


def predicted(kind: Kind) -> np.ndarray:
    return np.argmax(kind.logits(kind.at()).numpy(), axis=1)


def score(kind: Kind, points: list[Any], targets: Any, relu: Callable = tf.nn.relu) -> Any:
    return tf.gather(kind.logits(points, relu), targets, axis=1, batch_dims=1)


def gradients(kind: Kind, points: list[Any], targets: Any, relu: Callable = tf.nn.relu) -> list[np.ndarray]:
    points = [tf.convert_to_tensor(p, tf.float32) for p in points]
    with tf.GradientTape() as tape:
        tape.watch(points)
        value = score(kind, points, targets, relu)
    return [g.numpy() for g in tape.gradient(value, points)]


def per_token(kind: Kind, values: list[np.ndarray]) -> list[np.ndarray]:
    return [v.sum(-1) for v in values] if kind.tokens else values


def lengths(kind: Kind, values: list[np.ndarray]) -> list[np.ndarray]:
    return [np.sqrt((v**2).sum(-1)) for v in values] if kind.tokens else values


def gradient(kind: Kind) -> list[np.ndarray]:
    return lengths(kind, gradients(kind, kind.at(), predicted(kind)))


def square(kind: Kind) -> list[np.ndarray]:
    return per_token(kind, [g**2 for g in gradients(kind, kind.at(), predicted(kind))])


def nothing(kind: Kind) -> list[np.ndarray]:
    return [0 * g for g in gradient(kind)]


def input_x_gradient(kind: Kind) -> list[np.ndarray]:
    points = kind.at()
    return per_token(
        kind, [p.numpy() * g for p, g in zip(points, gradients(kind, points, predicted(kind)), strict=True)]
    )


def along_straight_path(
    kind: Kind, positions: list[float], weights: list[float], start: list[Any] | None = None
) -> list[np.ndarray]:
    """Integrated gradients from zero, or from the given points; all positions are rows of one batch."""
    ends, targets = kind.at(), predicted(kind)
    start = [0 * p for p in ends] if start is None else start
    ways = [end - begin for end, begin in zip(ends, start, strict=True)]
    points = [tf.concat([b + a * w for a in positions], 0) for b, w in zip(start, ways, strict=True)]
    result = []
    for way, g in zip(ways, gradients(kind, points, np.tile(targets, len(positions))), strict=True):
        g = g.reshape(len(positions), *way.shape)
        result.append(way.numpy() * np.tensordot(np.float32(weights), g, 1))
    return per_token(kind, result)


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
    slopes = gradients(kind, points, predicted(kind), relu)
    return per_token(kind, [p.numpy() * g for p, g in zip(points, slopes, strict=True)])


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
    both = [tf.concat([p, tf.zeros_like(p)], 0) for p in points]
    with tf.GradientTape() as tape:
        tape.watch(both)
        value = tf.reduce_sum(score(kind, both, np.concatenate([targets, targets]), relu)[: len(targets)])
    slopes = tape.gradient(value, both)
    return per_token(
        kind, [p.numpy() * m.numpy()[: len(targets)] for p, m in zip(points, slopes, strict=True)]
    )


def cam(kind: Kind, weigh: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """One class activation map, from the twin's own features and head."""
    points, targets = kind.at(), predicted(kind)
    maps = kind.features(points, tf.nn.relu)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.cast(kind.head(maps, points, tf.nn.relu), tf.float32)
        value = tf.gather(logits, targets, axis=1, batch_dims=1)
    slopes = tape.gradient(value, maps)
    a, g = (np.asarray(tf.cast(kind.space(t), tf.float32)) for t in (maps, slopes))
    heat = np.maximum(np.stack([weigh(one, slope) for one, slope in zip(a, g, strict=True)]), 0)
    return enlarged(heat, kind)


def enlarged(heat: np.ndarray, kind: Kind) -> np.ndarray:
    """Linear interpolation between pixel centres, one axis and one value at a time."""
    shape = np.shape(kind.flat[kind.image])
    size = shape[1:] if kind.tokens else shape[1:-1]
    for axis, large in enumerate(size, start=1):
        small = heat.shape[axis]
        where = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
        heat = np.apply_along_axis(lambda line, w=where: np.interp(w, np.arange(len(line)), line), axis, heat)
    return heat if kind.tokens else heat[..., None]


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
    return (heat if (heat * flat.mean(1)).sum() >= 0 else -heat).reshape(a.shape[:-1])


def image_gradients(kind: Kind, images: list[np.ndarray]) -> np.ndarray:
    """Gradients (K, N, ...) at K versions of the image, all of them rows of one batch."""
    points = [np.concatenate([p.numpy()] * len(images)) for p in kind.at()]
    points[kind.image] = np.concatenate(images).astype(np.float32)
    slopes = gradients(kind, points, np.tile(predicted(kind), len(images)))[kind.image]
    return slopes.reshape(len(images), *images[0].shape)


def blur_ig(kind: Kind, max_sigma: float, steps: int) -> np.ndarray:
    """Gradient times change of the image, step by step; blur by the heat equation with reflecting borders."""
    image = kind.at()[kind.image].numpy().astype(np.float64)

    def blurred(position: float) -> np.ndarray:
        sigma = (1 + max_sigma) ** (1 - position) - 1
        spectrum = scipy.fft.dctn(image, axes=(1, 2), norm="ortho")
        for axis in (1, 2):
            n = image.shape[axis]
            frequency = np.pi * np.arange(n) / n
            damping = np.exp(-0.5 * sigma**2 * frequency**2)
            spectrum = spectrum * np.expand_dims(damping, [i for i in range(4) if i != axis])
        return scipy.fft.idctn(spectrum, axes=(1, 2), norm="ortho")

    slopes = image_gradients(kind, [blurred((k + 0.5) / steps) for k in range(steps)])
    total = np.zeros_like(image)
    for k in range(steps):
        total += slopes[k] * (blurred((k + 1) / steps) - blurred(k / steps))
    return total


def xrai(kind: Kind, steps: int) -> np.ndarray:
    """Greedy cover by regions, with Python loops."""
    image = kind.at()[kind.image].numpy()
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    starts = [image.min((1, 2, 3), keepdims=True), image.max((1, 2, 3), keepdims=True)]
    places = [start + (node + 1) / 2 * (image - start) for start in starts for node in nodes]
    slopes = image_gradients(kind, places).reshape(len(starts), steps, *image.shape)
    attribution = np.zeros(image.shape)
    for start, way in zip(starts, slopes, strict=True):
        for slope, weight in zip(way, weights, strict=True):
            attribution += weight / 2 * slope * (image - start) / 2
    maps = attribution.sum(-1)
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
