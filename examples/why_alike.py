"""Which picture is most like this one, and why? An encoder that is trained on the spot. Writes FOLDER/why_alike.png."""

import sys
from pathlib import Path

import keras
import numpy as np
from sklearn.datasets import load_digits

import tfxai

folder = Path(*sys.argv[1:2])
keras.utils.set_random_seed(0)
digits = load_digits()
images = np.kron(digits.images / 16, np.ones((1, 3, 3)))[..., None].astype("float32")

L = keras.layers
classifier = keras.Sequential([
    keras.Input((24, 24, 1)),
    L.Conv2D(16, 3, activation="relu", padding="same"), L.MaxPooling2D(),
    L.Conv2D(32, 3, activation="relu", padding="same", name="strokes"), L.MaxPooling2D(),
    L.Flatten(), L.Dense(16, name="embedding"), L.ReLU(), L.Dense(10),
])  # fmt: skip
classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
classifier.fit(images[300:], digits.target[300:], epochs=6, verbose=0)
encoder = keras.Model(classifier.inputs, classifier.get_layer("embedding").output)

embeddings = encoder.predict(images[:300], verbose=0)
unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
alike = unit @ unit.T - 2 * np.eye(300)
queries = np.array([3, 18, 26, 45])
nearest = alike[queries].argmax(1)
# The nearest one of another class: what speaks for the one, rather than for the other?
others = np.where(digits.target[queries, None] == digits.target[None, :300], -2, alike[queries]).argmax(1)

method = tfxai.Occlusion(window=4, stride=2)
similar = tfxai.scores.similarity(images[nearest])
query = method(encoder, images[queries], score=similar)
swapped = method(encoder, images[nearest], score=tfxai.scores.similarity(images[queries]))
rather = method(
    encoder,
    images[queries],
    score=tfxai.scores.contrast(similar, tfxai.scores.similarity(images[others])),
)
for i, number in enumerate(queries):
    print(
        f"Picture {number} (a {digits.target[number]}) is most like {nearest[i]} (a {digits.target[nearest[i]]}): "
        f"{query.scores[i]:.2f}; {rather.scores[i]:.2f} more than like {others[i]} (a {digits.target[others[i]]})"
    )
sides = {"alike: the query": query, "rather than the other": rather}
tfxai.plots.compare(sides).savefig(folder / "why_alike.png")
tfxai.plots.show(swapped).savefig(folder / "why_alike_swapped.png")
print(f"Pictures: {folder / 'why_alike.png'}, {folder / 'why_alike_swapped.png'}")
