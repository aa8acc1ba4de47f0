"""Metrics beside the package `xplique`: the same maps on the same model, where both define the same thing.

    pip install xplique
    python benchmarks/versus_xplique.py

A small convolutional network with softmax on 16 x 16 images, 20 random maps.
- Deletion and insertion: xplique puts the same number of places in every step, and takes the mean of the steps' scores
  where we take trapezoids; with its curve and our sum both are compared. Baseline 0 for both.
- mu-fidelity: xplique draws each cell by chance, so that sets differ in size and the size alone makes for correlation;
  we hide exactly as many each time, as in the paper. With sets of one size in xplique both agree, apart from chance.
- Average drop, increase and gain: xplique scales maps by their own minimum and maximum, we cut at zero, so maps without
  negative values that touch zero are compared.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table
from xplique import metrics as theirs

import tfxai
from tfxai import metrics

COUNT, SIZE = 20, 16


class OneSize(theirs.MuFidelity):
    """xplique's mu-fidelity with as many hidden cells in every set."""

    def _perturb_samples(self, inputs, nb_perturbations):
        cells = self.grid_size**2
        order = tf.argsort(tf.random.uniform((nb_perturbations, cells)), axis=1)
        seen = tf.cast(order >= round(self.subset_percent * cells), tf.float32)
        seen = tf.reshape(seen, (nb_perturbations, self.grid_size, self.grid_size, 1))
        masks = tf.image.resize(seen, inputs.shape[1:-1], method="nearest")
        masks = tf.repeat(masks[None], len(inputs), axis=0)
        return tf.reshape(inputs[:, None] * masks, (-1, *inputs.shape[1:])), masks


def main() -> None:
    """Prints the table."""
    keras.utils.set_random_seed(0)
    L = keras.layers
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Flatten()(L.Conv2D(8, 3, strides=2, activation="relu")(inputs))
    model = keras.Model(inputs, L.Dense(5, activation="softmax")(x))
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (COUNT, SIZE, SIZE, 3)).astype(np.float32)
    classes = model(images).numpy().argmax(axis=1)
    labels = np.eye(5, dtype=np.float32)[classes]
    maps = generator.random((COUNT, SIZE, SIZE)).astype(np.float32)
    maps -= maps.min(axis=(1, 2), keepdims=True)
    ours = tfxai.Explanation(
        maps[..., None], images, classes, np.zeros(COUNT, np.float32), None, "random", "none"
    )

    table = Table("metric", "xplique, mean", "tfxai, mean", "largest difference")
    for name, kind, function in (
        ("deletion", theirs.Deletion, metrics.deletion),
        ("insertion", theirs.Insertion, metrics.insertion),
    ):
        rival = kind(model, images, labels, steps=SIZE, baseline_mode=0.0)
        curve = np.array(list(rival.detailed_evaluate(maps).values()), np.float64)
        found = function(model, ours, baseline=0.0)
        assert found.curves is not None
        steps = found.curves.mean(axis=0)
        table.add_row(
            f"{name}, mean curve",
            f"{curve.mean():.5f}",
            f"{steps.mean():.5f}",
            f"{np.abs(curve - steps).max():.1e}",
        )
        area = np.trapezoid(curve, dx=1 / SIZE)
        table.add_row(
            f"{name}, area by trapezoids", f"{area:.5f}", f"{found.mean:.5f}", f"{abs(area - found.mean):.1e}"
        )
    for name, function in (
        ("AverageDropMetric", metrics.average_drop),
        ("AverageIncreaseMetric", metrics.average_increase),
        ("AverageGainMetric", metrics.average_gain),
    ):
        kind = getattr(theirs, name, None)
        if kind is None:
            table.add_row(name, "not there", f"{function(model, ours).mean:.5f}", "")
            continue
        rival = float(kind(model, images, labels, activation=None)(maps))
        table.add_row(
            function.__name__,
            f"{rival:.5f}",
            f"{function(model, ours).mean:.5f}",
            f"{abs(rival - function(model, ours).mean):.1e}",
        )
    linear = np.abs(images).sum(
        axis=-1
    )  # a map that tells something, so that the correlation is not all noise
    told = tfxai.Explanation(
        linear[..., None], images, classes, np.zeros(COUNT, np.float32), None, "size", "none"
    )
    found = metrics.mu_fidelity(model, told, grid=8, share=0.2, samples=2000)
    for name, kind in (("mu_fidelity", theirs.MuFidelity), ("mu_fidelity, sets of one size", OneSize)):
        tf.random.set_seed(0)
        rival = float(kind(model, images, labels, grid_size=8, subset_percent=0.2, nb_samples=2000)(linear))
        table.add_row(name, f"{rival:.4f}", f"{found.mean:.4f}", f"{abs(rival - found.mean):.1e}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
