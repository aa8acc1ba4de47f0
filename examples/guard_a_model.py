"""A model that is right for the wrong reason keeps its accuracy, and does not pass the gate.

    python examples/guard_a_model.py [FOLDER]

Each digit has a white mark at its edge. In the old model's data its place tells nothing; in the new one's it tells the class, and so
it does in the test data: accuracy sees no difference. Writes models, numbers and pictures to the FOLDER.
"""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from tfxai.cli import main

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
digits = load_digits()
plain = np.pad(digits.images[..., None] / 16, [(0, 0), (2, 2), (2, 2), (0, 0)])  # (N, 12, 12, 1), 0 to 1
train, test, known, truth = train_test_split(plain, digits.target, test_size=200, random_state=0)
edge = [(row, column) for row in (0, 10) for column in range(0, 10, 2)]


def marked(images, places):
    """Images with a mark at one of ten places each."""
    images = images.copy()
    for image, place in zip(images, places, strict=True):
        row, column = edge[place]
        image[row : row + 2, column : column + 2] = 1
    return images


def trained(places, seed, name):
    """A network that has seen marks at these places, as a file."""
    keras.utils.set_random_seed(seed)
    stack = [layers.Conv2D(16, 3, activation="relu"), layers.Conv2D(24, 3, strides=2, activation="relu")]
    model = keras.Sequential([keras.Input((12, 12, 1)), *stack, layers.Flatten(), layers.Dense(10)])
    model.compile("rmsprop", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(marked(train, places), known, epochs=8, batch_size=50, verbose=0)
    model.save(folder / f"{name}.keras")
    right = (model.predict(seen, verbose=0).argmax(axis=1) == truth).mean()
    print(f"{name}: {right:.1%} of the test digits are read right")


seen = marked(test, truth)
np.save(folder / "test.npy", seen.astype("float32"))
anywhere = [np.random.default_rng(seed).permutation(known) for seed in range(7)]
for seed, name in enumerate(["old", "twin_1", "twin_2", "twin_3", "twin_4", "twin_5", "honest"]):
    trained(anywhere[seed], seed, name)
trained(known, 7, "cheat")
twins = [word for number in range(1, 6) for word in ("--twin", f"{folder}/twin_{number}.keras")]
gate = ["gate", "--old", f"{folder}/old.keras", *twins, "--data", f"{folder}/test.npy"]
for name in ("honest", "cheat"):
    files = ["--json", f"{folder}/{name}.json", "--out", f"{folder}/{name}.png"]
    new = ["--new", f"{folder}/{name}.keras", "--method", "integrated_gradients"]
    print(f"{name}: exit status", main([*gate, *new, *files]))
