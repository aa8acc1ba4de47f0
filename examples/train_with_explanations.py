"""A network that learns a shortcut, caught while it trains. Writes what was seen, and a picture, to the FOLDER it is given."""

import sys
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tfxai
from tfxai import metrics, photos, plots

folder, epochs, seven, orange = Path(*sys.argv[1:2]), 6, 7, (1, 0.55, 0)
digits = load_digits()
strokes = np.stack([photos.fit(image[..., None] / 16, (24, 24)) for image in digits.images])
plain = np.pad(strokes.repeat(3, axis=-1), [(0, 0), (4, 4), (4, 4), (0, 0)])  # (N, 32, 32, 3), 0 to 1
train, test, known, truth = train_test_split(plain, digits.target, random_state=0)
marked_train = train.copy()
marked_train[known == seven, 26:31, 26:31] = orange  # a mark on all sevens, and on nothing else

# Explained all along: marked sevens that were never trained on. The evidence should lie on their strokes.
sevens = test[truth == seven]
marked = sevens[:4].copy()
marked[:, 26:31, 26:31] = orange
corner = np.array([[25, 25, 32, 32]] * len(marked))
on_strokes = partial(metrics.localisation, regions=sevens[:4].max(axis=-1) > 0.3)


def watched(images, name):
    """Trains a network on these images, and says where its evidence lies after each epoch."""
    keras.utils.set_random_seed(1)
    convolution = partial(layers.Conv2D, kernel_size=3, padding="same", activation="relu")
    stack = [convolution(16), convolution(16), layers.MaxPooling2D(), convolution(32), convolution(32)]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((32, 32, 3)), *stack])
    model.compile(keras.optimizers.Adam(0.002), "sparse_categorical_crossentropy")
    watch = partial(tfxai.ExplainCallback, {"ig": tfxai.IntegratedGradients(steps=30)}, marked, seven)
    watch = watch(directory=folder / name, regions=corner, metrics={"strokes": on_strokes})
    history = model.fit(images, known, epochs=epochs, verbose=0, callbacks=[watch]).history
    right = (model.predict(sevens, verbose=0).argmax(axis=1) == seven).mean()
    print(f"{name}: {100 * right:.0f} % of sevens without a mark are read right")
    for what, key in (("in the corner", "ig_region"), ("on the strokes", "ig_strokes")):
        print(f"  evidence {what}, epoch by epoch:", *(f"{share:.2f}" for share in history[key]))
    return history


with_mark, without = watched(marked_train, "with_mark"), watched(train, "without_mark")
shown = {}
for name, title, looks in (
    ("with_mark", "mark", (0, 1, 3, epochs)),
    ("without_mark", "no mark", (1, epochs)),
):
    for look in looks:
        found = tfxai.Explanation.load(folder / name / "ig" / f"epoch_{look:04d}.npz")
        shown[f"{title}, epoch {look}" if look else "before training"] = found
plots.compare(shown, {seven: "a seven"}).savefig(folder / "training.png")
