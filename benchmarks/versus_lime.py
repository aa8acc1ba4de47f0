"""LIME beside the package `lime`: same photos, segments, kernel, hidden colour and number of samples.

    pip install ".[demo]" lime
    python benchmarks/versus_lime.py [--samples 1000] [--segments 50]

EfficientNet-Lite0, probabilities of the best class of each photo, slic segments. The correlation is that of the
segments' weights. Both draw coalitions of their own, so `lime` is also compared with itself under another seed: agreement
cannot be expected to be better than that.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from lime import lime_image
from rich.console import Console
from rich.table import Table

import tfxai
from tfxai import photos, zoo

SAMPLES = "chelsea", "coffee"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1000, help="coalitions of each method, for each photo")
    parser.add_argument("--segments", type=int, default=50, help="asked of slic, for each photo")
    options = parser.parse_args()

    model, samples = zoo.efficientnet_lite0(), zoo.sample_photos()
    images = np.stack([photos.fit(samples[name], (224, 224), crop=0.875) for name in SAMPLES])
    table = Table("photo", "hidden", "segments", "correlation", "lime, other seed", "R2, tfxai", "R2, lime")
    for text, hide, colour in (("mean colour", "mean", None), ("black", 0.0, 0)):
        ours = tfxai.LIME(segments=options.segments, samples=options.samples, hide=hide)(
            model, images, score="probability"
        )
        for number, name in enumerate(SAMPLES):
            cut, target = ours.segments[number], int(ours.targets[number])
            rival, again = (
                weights(model, images[number], target, cut, colour, options.samples, seed) for seed in (0, 1)
            )
            own = ours.weights[number, : cut.max() + 1]
            table.add_row(
                name,
                text,
                str(len(own)),
                f"{np.corrcoef(own, rival[0])[0, 1]:.3f}",
                f"{np.corrcoef(again[0], rival[0])[0, 1]:.3f}",
                f"{ours.r2[number]:.2f}",
                f"{rival[1]:.2f}",
            )
    Console(width=100).print(table)


def weights(
    model: keras.Model,
    image: np.ndarray,
    target: int,
    cut: np.ndarray,
    colour: int | None,
    samples: int,
    seed: int,
) -> tuple[np.ndarray, float]:
    """Weight of every segment, and R2, of `lime`."""
    forward = tf.function(lambda x: tf.nn.softmax(model(x, training=False)), reduce_retracing=True)
    found = lime_image.LimeImageExplainer(kernel_width=0.25, random_state=seed).explain_instance(
        image.astype("double"),
        lambda batch: forward(tf.constant(batch, tf.float32)).numpy(),
        labels=(target,),
        top_labels=None,
        hide_color=colour,
        num_samples=samples,
        batch_size=50,
        segmentation_fn=lambda image: cut,
        distance_metric="cosine",
    )
    by_segment = dict(found.local_exp[target])
    return np.array([by_segment[k] for k in range(cut.max() + 1)]), found.score


if __name__ == "__main__":
    main()
