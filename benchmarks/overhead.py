"""What explaining costs beside the bare model's own compiled passes, for as many evaluations, in one run.

    python benchmarks/overhead.py [--rounds 5] [--only grad_cam]

MobileNetV2, 128 pixels. A method and its yardstick are timed in turn, several times, and the median of the ratios is
printed: these machines' speed drifts, and a ratio of two neighbours does not. The yardstick is the best of several batch
sizes: forward passes, or forward and backward passes to the input (for Grad-CAM to the layer it reads).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from skimage import data

import tfxai
from tfxai import photos

BATCHES = (8, 16, 32, 64)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="timed pairs of each row")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((128, 128, 3), weights=None, classifier_activation=None)
    images = np.random.default_rng(0).uniform(-1, 1, (64, 128, 128, 3)).astype(np.float32)
    targets = np.arange(64) % 1000
    passes = Passes(model)
    many, four = images[:32], images[:4]
    pair = np.stack([photos.fit(photo, (128, 128)) / 127.5 - 1 for photo in (data.chelsea(), data.coffee())])
    windows, rise, best = tfxai.Occlusion(window=8, stride=8), tfxai.RISE(samples=2000), tfxai.top(4)
    found = tfxai.Gradient()(model, images[:8], targets[:8])

    def both_curves(*_: object) -> None:
        for metric in (tfxai.metrics.deletion, tfxai.metrics.insertion):
            assert len(metric(model, found, step=74).fractions) in (223, 224, 225)

    cam, watch = tfxai.GradCAM(), tfxai.ExplainCallback(tfxai.GradCAM(), four, targets[:4])
    watch.set_model(model)
    watch.on_train_begin()
    watch.on_epoch_begin(0)

    def explained(*_: object) -> None:
        cam(model, four, targets[:4])

    def epoch(*_: object) -> None:
        logs: dict[str, float] = {}
        watch.on_epoch_end(0, logs)
        assert len(logs) == 2

    rows: dict[str, tuple] = {  # method, inputs, yardstick, passes, and targets if not one class each
        "Gradient, 32 images": (tfxai.Gradient(), many, passes.both, 32),
        "SmoothGrad, 4 x 50": (tfxai.SmoothGrad(), four, passes.both, 200),
        "IntegratedGradients, 4 x 50": (tfxai.IntegratedGradients(), four, passes.both, 200),
        "GuidedBackprop, 32 images": (tfxai.GuidedBackprop(), many, passes.both, 32),
        "GradCAM, 32 images": (tfxai.GradCAM(), many, passes.to_layer, 32),
        "DeepLIFT, 16 images": (tfxai.DeepLIFT(), images[:16], passes.both, 32),
        "ScoreCAM, 1 x 1280": (tfxai.ScoreCAM(), pair[:1], passes.forward, 1280),
        "Occlusion, 4 x 256": (windows, four, passes.forward, 1024),
        "RISE, 1 x 2000": (rise, pair[:1], passes.forward, 2000),
        "RISE, 1 x 2000, top(4)": (rise, pair[:1], passes.forward, 2000, best),
        "RISE, 8 x 2000": (rise, images[:8], passes.forward, 16000),
        "LIME, 2 x 1000": (tfxai.LIME(), pair, passes.forward, 2000),
        "KernelSHAP, 2 x 1000": (tfxai.KernelSHAP(), pair, passes.forward, 2000),
        "PartitionSHAP, 2 x 1000": (tfxai.PartitionSHAP(evals=1000), pair, passes.forward, 2000),
        "deletion + insertion, 8 x 224": (both_curves, images[:8], passes.forward, 8 * 2 * 225),
        "ExplainCallback, numbers of an epoch, Grad-CAM, 4 images": (
            epoch,
            four,
            explained,
            4,
        ),  # beside Grad-CAM itself
    }
    table = Table("method", "passes", "bare, s", "tfxai, s", "ratio", "spread")
    for name, (method, inputs, bare, count, *classes) in rows.items():
        if options.only.lower() not in name.lower():
            continue
        asked = classes[0] if classes else targets[: len(inputs)]
        pairs = timed_pairs(
            bare, lambda m=method, x=inputs, t=asked: m(model, x, t), images, count, options.rounds
        )
        ratios = sorted(ours / theirs for theirs, ours in pairs)
        table.add_row(
            name,
            str(count),
            f"{statistics.median(p[0] for p in pairs):.3f}",
            f"{statistics.median(p[1] for p in pairs):.3f}",
            f"{statistics.median(ratios):.3f}",
            f"{ratios[0]:.2f}-{ratios[-1]:.2f}",
        )
    Console().print(table)


def timed_pairs(
    bare: Callable, explain: Callable[[], object], images: np.ndarray, count: int, rounds: int
) -> list[tuple[float, float]]:
    """Seconds of the bare passes and of the explanation, in turn, after a warm-up that traces both."""
    explain()
    best = min(BATCHES, key=lambda size: min(seconds(lambda: bare(images, size, 64)) for _ in range(3)))
    return [(seconds(lambda: bare(images, best, count)), seconds(explain)) for _ in range(rounds)]


class Passes:
    """The bare model, compiled, on `count` images in batches."""

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._forward = tf.function(lambda x: model(x, training=False))
        self._both = tf.function(self._gradient)
        self._maps = keras.Model(model.inputs, [model.get_layer("out_relu").output, model.output])
        self._to_layer = tf.function(self._layer_gradient)

    def _gradient(self, x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            score = self.model(x, training=False)[:, 0]
        return tape.gradient(score, x)

    def _layer_gradient(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        maps, outputs = self._maps(x, training=False)
        return maps, tf.gradients(outputs[:, 0], maps)[0]

    def to_layer(self, images: np.ndarray, size: int, count: int) -> None:
        """Forward passes, and backward passes to the last spatial layer."""
        self._run(self._to_layer, images, size, count)

    def forward(self, images: np.ndarray, size: int, count: int) -> None:
        """Forward passes."""
        self._run(self._forward, images, size, count)

    def both(self, images: np.ndarray, size: int, count: int) -> None:
        """Forward passes, and backward passes to the input."""
        self._run(self._both, images, size, count)

    def _run(self, function: Callable, images: np.ndarray, size: int, count: int) -> None:
        for start in range(0, count, size):
            batch = min(size, count - start)
            tf.nest.map_structure(lambda tensor: tensor.numpy(), function(tf.constant(images[:batch])))


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
