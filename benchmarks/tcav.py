"""What TCAV costs beside the bare passes it needs: 6 concepts x 3 layers x 10 runs, 40 images each, EfficientNet-Lite0.

    python benchmarks/tcav.py [--rounds 3]

The yardstick is the model's own compiled passes: the activations of all 1040 images once, and one gradient for each of
40 class images and each layer; at the best of several batch sizes. The linear fits are timed apart.
"""

from __future__ import annotations

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tfxai
from tfxai import concepts, zoo

LAYERS = ("block3b_add", "block5c_add", "block6d_add")
KINDS = ("striped", "dotted", "checked", "zigzag", "red", "blue")


def main() -> None:
    """Prints a line for each round, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    model = zoo.efficientnet_lite0()
    generator = np.random.default_rng(0)
    sets = {kind: concepts.patterns(kind, 40, 224) for kind in KINDS}
    random = [generator.uniform(0, 255, (40, 224, 224, 3)).astype("float32") for _ in range(20)]
    images = generator.uniform(0, 255, (40, 224, 224, 3)).astype("float32")
    everything = np.concatenate([*sets.values(), *random])

    fitting = [0.0]
    fit = concepts.concept_vector

    def timed(*arguments):
        start = time.perf_counter()
        found = fit(*arguments)
        fitting[0] += time.perf_counter() - start
        return found

    concepts.concept_vector = timed
    tcav = tfxai.TCAV(LAYERS)
    bare = Bare(model)
    tcav(model, images, 340, sets, random)
    best = min(
        (8, 16, 32, 64),
        key=lambda size: min(seconds(lambda: bare(everything[:128], images[:0], size)) for _ in range(2)),
    )
    ratios = []
    for _ in range(rounds):
        passes = seconds(lambda: bare(everything, images, best))
        fitting[0] = 0.0
        whole = seconds(lambda: tcav(model, images, 340, sets, random))
        ratios.append((whole - fitting[0]) / passes)
        print(
            f"bare passes {passes:.2f} s (batches of {best}), TCAV {whole:.2f} s, of which fits {fitting[0]:.2f} s: {ratios[-1]:.3f}"
        )
    print(f"TCAV without its fits is {np.median(ratios):.3f} times the bare passes")


class Bare:
    """The passes alone."""

    def __init__(self, model: keras.Model) -> None:
        outputs = [model.get_layer(name).output for name in LAYERS]
        inner = keras.Model(model.inputs, outputs)
        self.forward = tf.function(lambda x: inner(x, training=False))
        self.gradients = []
        for output in outputs:
            both = keras.Model(model.inputs, [output, model.output])

            def gradient(x, both=both):
                acts, scores = both(x, training=False)
                return tf.gradients(scores[:, 340], acts)[0]

            self.gradients.append(tf.function(gradient))

    def __call__(self, everything: np.ndarray, images: np.ndarray, size: int) -> None:
        for start in range(0, len(everything), size):
            [acts.numpy() for acts in self.forward(tf.constant(everything[start : start + size]))]
        for gradient in self.gradients:
            for start in range(0, len(images), size):
                gradient(tf.constant(images[start : start + size])).numpy()


def seconds(work) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
