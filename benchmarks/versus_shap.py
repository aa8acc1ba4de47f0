"""PartitionSHAP beside the image partition explainer of the package `shap`: same photos, classes, blur and budget.

    pip install ".[demo]" shap opencv-python-headless
    python benchmarks/versus_shap.py [--evals 500]

EfficientNet-Lite0, probabilities of the four best classes of each photo, hidden by blur(32,32). The correlation is that of
the values pixel by pixel, those of `shap` summed over the colours. Both split the regions where the score moves most, a few
at a time: `shap` 5 unless told otherwise, tfxai 16. So each photo is explained twice by `shap`, with its own setting and
with 16; what is left after that is rounding.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import shap
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import tfxai
from tfxai import photos, zoo

SAMPLES = "chelsea", "coffee", "motorcycle"
CLASSES = 4


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--evals", type=int, default=500, help="budget of each method, for each photo")
    options = parser.parse_args()

    model, samples = zoo.efficientnet_lite0(), zoo.sample_photos()
    images = np.stack([photos.fit(samples[name], (224, 224), crop=0.875) for name in SAMPLES])
    ours = tfxai.PartitionSHAP(evals=options.evals)(model, images, tfxai.top(CLASSES), score="probability")
    table = Table("photo", "regions at a time", "correlation", "worst class", "largest difference")
    for number, name in enumerate(SAMPLES):
        values = ours.heatmap()[number].reshape(CLASSES, -1)
        for together in (5, 16):
            rival = partition(model, images[number], ours.targets[number], options.evals, 2 * together)
            each = [np.corrcoef(values[k], rival[k])[0, 1] for k in range(CLASSES)]
            apart = np.abs(values - rival).max() / np.abs(rival).max()
            everything = np.corrcoef(values.ravel(), rival.ravel())[0, 1]
            table.add_row(name, str(together), f"{everything:.4f}", f"{min(each):.4f}", f"{apart:.1%}")
    Console(width=100).print(table)


def partition(
    model: keras.Model, image: np.ndarray, classes: np.ndarray, evals: int, batch_size: int
) -> np.ndarray:
    """Values (K, H x W) of `shap`, summed over the colours."""
    forward = tf.function(lambda x: tf.nn.softmax(model(x, training=False)), reduce_retracing=True)

    def probabilities(batch: np.ndarray) -> np.ndarray:
        return forward(tf.constant(batch, tf.float32)).numpy()

    explainer = shap.Explainer(probabilities, shap.maskers.Image("blur(32,32)", image.shape))
    found = explainer(image[None], max_evals=evals, batch_size=batch_size, outputs=classes, silent=True)
    return found.values[0].sum(axis=2).reshape(-1, len(classes)).T


if __name__ == "__main__":
    main()
