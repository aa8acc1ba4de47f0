"""What it costs to explain pictures, by method, size of the pictures and number of classes; and what a million of them take.

    python benchmarks/costs.py [--sizes 96 224] [--classes 10 1000] [--hours 8]

MobileNetV2 (3.5 million parameters; its weights are random, which costs the same) is explained with each method's own settings, in
batches of 32, by all cores of this machine. Rates are the best of three calls behind one that traces. "Machines" is how many like this one finish a
million pictures in that many hours, by passes alone: see docs/engines.md for what else there is.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfxai

MILLION = 10**6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 224])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 1000])
    parser.add_argument("--hours", type=float, default=8, help="in which a million pictures are to be done")
    options = parser.parse_args()
    shown = Table(
        "method", "size", "classes", "pictures/s", "predictions each", "a million, hours", "machines"
    )
    for size in options.sizes:
        for classes in options.classes:
            for row in rows_of(size, classes, options.hours):
                shown.add_row(*row)
    Console(width=120).print(shown)


def rows_of(size: int, classes: int, hours: float) -> list[list[str]]:
    """One row for each method."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        weights=None, input_shape=(size, size, 3), classes=classes, classifier_activation=None
    )
    images = np.random.default_rng(0).normal(size=(32, size, size, 3)).astype("float32")
    bare = len(images) / seconds(lambda: model.predict(images, verbose=0))
    found = []
    for name, method, count in (
        ("Gradient", tfxai.Gradient(), 32),
        ("GradCAM", tfxai.GradCAM(), 32),
        ("IntegratedGradients(steps=20)", tfxai.IntegratedGradients(steps=20), 8),
        ("SmoothGrad(samples=20)", tfxai.SmoothGrad(samples=20), 8),
        ("RISE(samples=1000)", tfxai.RISE(samples=1000), 1),
        ("KernelSHAP(samples=1000)", tfxai.KernelSHAP(samples=1000), 1),
    ):
        part = images[:count]
        rate = count / seconds(lambda method=method, part=part: method(model, part))
        whole = MILLION / rate / 3600
        cells = [name, str(size), str(classes), f"{rate:.3g}", f"{bare / rate:.3g}", f"{whole:.3g}"]
        found.append([*cells, str(math.ceil(whole / hours))])
    return found


def seconds(call: Any) -> float:
    """The best of three, behind one that traces."""
    call()
    best = math.inf
    for _ in range(3):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


if __name__ == "__main__":
    main()
