"""Peak memory of methods, metrics and TCAV: it grows with `batch_size`, not with samples, steps, regions or inputs.

    python benchmarks/memory.py

Peak resident memory of the process, after each row; MobileNetV2, 128 pixels. The rows of a method go from cheap to
dear, so each number says what that row needed beyond the ones before. Metrics, large pictures and TCAV come in processes of
their own, with the seconds of each row.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import resource
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfxai


def main() -> None:
    """Prints the tables."""
    for title, rows in (
        ("methods", of_methods),
        ("metrics", of_metrics),
        ("1024 x 1024 pixels", of_large_pictures),
        ("TCAV", of_concepts),
    ):
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # a peak never falls again
            found = pool.apply(rows)
        table = Table(title, "peak, MB", "more than before, MB", "seconds")
        before: float | None = None
        for text, peak, seconds in found:
            table.add_row(
                text, f"{peak:.0f}", "" if before is None else f"{peak - before:+.0f}", f"{seconds:.1f}"
            )
            before = peak
        Console(width=110).print(table)


Row = tuple[str, float, float]
"""What was done, the peak in MB after it, and its seconds."""


def of_methods() -> list[Row]:
    """Path methods with 128 pixels; RISE beside the model's own batch, larger than any before: 224 pixels, 32 at a time."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((128, 128, 3), weights=None, classifier_activation=None)
    images = np.random.default_rng(0).uniform(-1, 1, (64, 128, 128, 3)).astype(np.float32)
    rows = (
        ("SmoothGrad, 50 samples, batches of 8", tfxai.SmoothGrad(samples=50), 2, 8),
        ("IntegratedGradients, 50 steps, batches of 8", tfxai.IntegratedGradients(steps=50), 2, 8),
        ("SmoothGrad, 800 samples, batches of 8", tfxai.SmoothGrad(samples=800), 2, 8),
        ("IntegratedGradients, 800 steps, batches of 8", tfxai.IntegratedGradients(steps=800), 2, 8),
        (
            "IntegratedGradients, 50 steps, 32 images, batches of 8",
            tfxai.IntegratedGradients(steps=50),
            32,
            8,
        ),
        ("IntegratedGradients, 50 steps, batches of 64", tfxai.IntegratedGradients(steps=50), 2, 64),
    )
    found = measured(
        *(
            (text, functools.partial(method, model, images[:count], targets=0, batch_size=size))
            for text, method, count, size in rows
        )
    )
    model, large = large_model()
    return found + measured(
        (
            "the model itself, 224 pixels, a batch of 32",
            lambda: model.predict(large, batch_size=32, verbose=0),
        ),
        ("RISE, 100 masks, 224 pixels, batches of 32", lambda: tfxai.RISE(samples=100)(model, large[:1])),
        ("RISE, 4000 masks, 224 pixels, batches of 32", lambda: tfxai.RISE(samples=4000)(model, large[:1])),
    )


def of_metrics() -> list[Row]:
    """Deletion and insertion, 224 pixels. From 1000 passes in a call a trace holds the weights, once."""
    model, large = large_model()
    places = large.shape[1] * large.shape[2]
    values = np.random.default_rng(1).normal(size=(1, *large.shape[1:3], 1)).astype(np.float32)
    explanation = tfxai.Explanation(values, large[:1], np.zeros(1, int), np.zeros(1, np.float32))

    def curve(metric: Any, steps: int) -> tuple[str, Callable[[], Any]]:
        text = f"{metric.__name__}, {steps} steps, 224 pixels, batches of 8"
        return text, lambda: metric(model, explanation, step=places // steps, score="logit", batch_size=8)

    both = (tfxai.metrics.deletion, tfxai.metrics.insertion)
    return measured(
        ("the model itself, 224 pixels, a batch of 8", lambda: model.predict(large[:8], verbose=0)),
        *(curve(metric, steps) for steps in (28, 1792, 3584) for metric in both),
    )


def of_large_pictures() -> list[Row]:
    """A small net on pictures of smooth noise, which have many regions."""
    keras.utils.set_random_seed(0)
    conv = functools.partial(keras.layers.Conv2D, kernel_size=3, strides=2, activation="relu")
    layers = [keras.Input((1024, 1024, 3)), conv(8), conv(16), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    noise = np.random.default_rng(0).random((4, 64, 64, 3)).astype(np.float32)
    images = np.asarray(keras.ops.image.resize(noise, (1024, 1024), interpolation="bicubic"))
    slope = tfxai.Gradient()
    return measured(
        ("Gradient, 1 picture", lambda: slope(model, images[:1], 0, batch_size=2)),
        ("Gradient, 4 pictures, batches of 2", lambda: slope(model, images, 0, batch_size=2)),
        *(
            (
                f"IntegratedGradients, {steps} steps, {count} pictures, batches of 2",
                functools.partial(
                    tfxai.IntegratedGradients(steps=steps), model, images[:count], 0, batch_size=2
                ),
            )
            for steps, count in ((10, 2), (200, 2), (10, 4))
        ),
        ("XRAI, 2 steps, 1 picture", lambda: tfxai.XRAI(steps=2)(model, images[:1], 0, batch_size=2)),
        ("XRAI, 2 steps, 2 pictures", lambda: tfxai.XRAI(steps=2)(model, images[:2], 0, batch_size=2)),
    )


def of_concepts() -> list[Row]:
    """A concept, and a pool of other pictures, in a layer of 4096 numbers: 4 fits for each of two random sets."""
    keras.utils.set_random_seed(0)
    layers = [keras.Input((32, 32, 3)), keras.layers.Conv2D(16, 3, 2, "same", name="layer")]
    model = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(3)])
    generator = np.random.default_rng(0)

    def test(count: int, classifier: str) -> tuple[str, Callable[[], Any]]:
        concept = generator.random((count, 32, 32, 3)).astype(np.float32)
        concept[..., 0] += 0.3
        random = [generator.random((count, 32, 32, 3)).astype(np.float32) for _ in range(4)]
        tcav = tfxai.TCAV("layer", classifier=classifier, random_runs=2)
        text = f"{count} pictures in each of 5 sets, {classifier}"
        return text, lambda: tcav(model, concept[:20], 0, {"red": concept}, random)

    return measured(
        *(
            test(count, classifier)
            for classifier in ("logistic", "sgd", "svm")
            for count in (500, 1000, 2000, 5000)
        )
    )


def measured(*rows: tuple[str, Callable[[], Any]]) -> list[Row]:
    found = []
    for text, work in rows:
        start = time.perf_counter()
        work()
        found.append((text, peak(), time.perf_counter() - start))
    return found


def large_model() -> tuple[Any, Any]:
    """The model for 224 pixels, and a batch of 32."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((224, 224, 3), weights=None, classifier_activation=None)
    return model, np.random.default_rng(0).uniform(-1, 1, (32, 224, 224, 3)).astype(np.float32)


def peak() -> float:
    """In MB, of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
