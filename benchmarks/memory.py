"""Peak memory of path and mask methods and metrics: it grows with `batch_size`, not with samples, steps or inputs.

    python benchmarks/memory.py

Peak resident memory of the process, after each row; MobileNetV2, 128 pixels. The rows of a method go from cheap to
dear, so each number says what that row needed beyond the ones before. Metrics come in a process of their own.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
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
    for title, rows in (("methods", of_methods), ("metrics", of_metrics)):
        with multiprocessing.get_context("spawn").Pool(1) as pool:  # a peak never falls again
            found = pool.apply(rows)
        table = Table(title, "peak, MB", "more than before, MB")
        before: float | None = None
        for text, peak in found:
            table.add_row(text, f"{peak:.0f}", "" if before is None else f"{peak - before:+.0f}")
            before = peak
        Console(width=100).print(table)


def of_methods() -> list[tuple[str, float]]:
    """Path methods with 128 pixels; RISE beside the model's own batch, larger than any before: 224 pixels, 32 at a time."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((128, 128, 3), weights=None, classifier_activation=None)
    images = np.random.default_rng(0).uniform(-1, 1, (64, 128, 128, 3)).astype(np.float32)
    found = []
    for text, method, count, size in (
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
    ):
        method(model, images[:count], targets=0, batch_size=size)
        found.append((text, peak()))
    model, large = large_model()
    return found + measured(
        (
            "the model itself, 224 pixels, a batch of 32",
            lambda: model.predict(large, batch_size=32, verbose=0),
        ),
        ("RISE, 100 masks, 224 pixels, batches of 32", lambda: tfxai.RISE(samples=100)(model, large[:1])),
        ("RISE, 4000 masks, 224 pixels, batches of 32", lambda: tfxai.RISE(samples=4000)(model, large[:1])),
    )


def of_metrics() -> list[tuple[str, float]]:
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


def measured(*rows: tuple[str, Callable[[], Any]]) -> list[tuple[str, float]]:
    found = []
    for text, work in rows:
        work()
        found.append((text, peak()))
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
