"""Peak memory of path and mask methods: it grows with `batch_size`, not with samples, steps or inputs.

    python benchmarks/memory.py

Peak resident memory of the process, after each row; MobileNetV2, 128 pixels. The rows of a method go from cheap to
dear, so each number says what that row needed beyond the ones before.
"""

from __future__ import annotations

import os
import resource

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfxai


def main() -> None:
    """Prints the table."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((128, 128, 3), weights=None, classifier_activation=None)
    images = np.random.default_rng(0).uniform(-1, 1, (64, 128, 128, 3)).astype(np.float32)
    table = Table("call", "peak, MB", "more than before, MB")
    before: float | None = None
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
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add_row(text, f"{peak:.0f}", "" if before is None else f"{peak - before:+.0f}")
        before = peak
    # RISE beside the model's own batch, larger than any batch before: 224 pixels, 32 at a time.
    model = keras.applications.MobileNetV2((224, 224, 3), weights=None, classifier_activation=None)
    large = np.random.default_rng(0).uniform(-1, 1, (32, 224, 224, 3)).astype(np.float32)
    for text, work in (
        (
            "the model itself, 224 pixels, a batch of 32",
            lambda: model.predict(large, batch_size=32, verbose=0),
        ),
        ("RISE, 100 masks, 224 pixels, batches of 32", lambda: tfxai.RISE(samples=100)(model, large[:1])),
        ("RISE, 4000 masks, 224 pixels, batches of 32", lambda: tfxai.RISE(samples=4000)(model, large[:1])),
    ):
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add_row(text, f"{peak:.0f}", f"{peak - before:+.0f}")
        before = peak
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
