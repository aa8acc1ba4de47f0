"""A segmenter that is trained on the spot: why is this pixel that class, and that whole area? Writes FOLDER/segments.png."""

import sys
from pathlib import Path

import keras
import numpy as np

import tfxai

keras.utils.set_random_seed(0)
rng, classes = np.random.default_rng(0), ["ground", "disc", "ring"]
(rows, columns), L = np.mgrid[:48, :48], keras.layers


def scenes(count):
    """A disc and a ring of the same grey: whether a pixel belongs to the one or the other, its surroundings tell."""
    images, truth = rng.normal(0, 0.1, (count, 48, 48, 1)).astype("float32"), np.zeros((count, 48, 48), int)
    middles = np.zeros((count, 2, 2), int)
    for n in range(count):
        left = rng.integers(2)
        for kind in (1, 2):
            y, x = middles[n, kind - 1] = (
                rng.integers(10, 38),
                rng.integers(9, 14) + 24 * (left ^ (kind == 1)),
            )
            far = np.hypot(rows - y, columns - x)
            truth[n][(far < 8) & ((kind == 1) | (far > 4))] = kind
        images[n, truth[n] > 0] += 0.8
    return images, truth, middles


image = keras.Input((48, 48, 1))
fine = L.Conv2D(12, 3, padding="same", activation="relu")(image)
coarse = L.Conv2D(24, 3, padding="same", activation="relu")(L.MaxPooling2D()(fine))
deep = L.Conv2D(32, 3, padding="same", activation="relu")(L.MaxPooling2D()(coarse))
deep = L.Conv2D(32, 3, padding="same", activation="relu", name="deep")(deep)
up = L.Concatenate()([L.UpSampling2D()(deep), coarse])
up = L.Concatenate()([L.UpSampling2D()(L.Conv2D(24, 3, padding="same", activation="relu")(up)), fine])
segmenter = keras.Model(
    image, L.Softmax()(L.Conv2D(3, 1)(L.Conv2D(12, 3, padding="same", activation="relu")(up)))
)
segmenter.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
segmenter.fit(*scenes(600)[:2], batch_size=32, epochs=6, verbose=0)

images, truth, middles = scenes(4)
print(f"Pixels that are right: {(segmenter.predict(images, verbose=0).argmax(-1) == truth).mean():.1%}")
method, clicked, on_the_ring = tfxai.IntegratedGradients(), tfxai.scores.click, middles[:, 1] - [0, 6]
click = method(segmenter, images, score=clicked(on_the_ring))
print("Seen at the clicked pixels:", ", ".join(classes[kind] for kind in click.targets))
area = method(segmenter, images, 2, score=tfxai.scores.predicted_area())
ring_or_disc = tfxai.scores.contrast(clicked(on_the_ring, channel=2), clicked(on_the_ring, channel=1))
rather = method(segmenter, images, score=ring_or_disc)
y, x = on_the_ring.T[..., None, None]
evidence, near = np.abs(click.heatmap()), np.hypot(rows - y, columns - x) < 14
inside = (evidence * near).sum((1, 2)) / evidence.sum((1, 2))
print(f"Evidence within 14 pixels of the click: {np.mean(inside):.1%}")
for name, explanation in {"click": click, "area": area, "rather": rather}.items():
    tfxai.plots.show(explanation, classes).savefig(Path(*sys.argv[1:2]) / f"segments_{name}.png")
