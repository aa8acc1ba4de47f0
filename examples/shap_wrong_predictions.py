"""Which strokes made a network misread a digit? PartitionSHAP of its four best guesses, in a picture for the FOLDER."""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tfxai
from tfxai import photos, plots

folder = Path(*sys.argv[1:2])
keras.utils.set_random_seed(0)
digits = load_digits()
large = np.stack([photos.fit(image[..., None] * (255 / 16), (32, 32)) for image in digits.images])
train, images, known, truth = train_test_split(large, digits.target, random_state=0)
labels = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
stack = [layers.Conv2D(*size, padding="same", activation="relu") for size in ((16, 4, 2), (32, 4, 2))]
model = keras.Sequential(
    [keras.Input((32, 32, 1)), layers.Rescaling(1 / 255), *stack, layers.Flatten(), layers.Dense(10)]
)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(train, known, epochs=6, verbose=0)

predicted = model.predict(images, verbose=0).argmax(axis=1)
wrong, right = np.flatnonzero(predicted != truth), np.flatnonzero(predicted == truth)
print(f"{len(wrong)} of {len(truth)} digits are misread")

# Hidden ink is black paper. All four best guesses are explained by the same 400 passes, in units of the logit.
method = tfxai.PartitionSHAP(evals=400, masker=0.0)
mistakes = method(model, images[wrong], tfxai.top(4))
first = wrong[np.sort(np.unique(truth[wrong], return_index=True)[1])][:3]  # of three digits
pairs = np.ravel([(i, right[truth[right] == truth[i]][0]) for i in first])
shown = method(model, images[pairs], tfxai.top(4))
plots.show(shown, labels, truth[pairs]).savefig(folder / "wrong_and_right.png")

# What put the wrong digit ahead of the true one: the difference of their maps, which adds up to its lead.
fair = [k for k, i in enumerate(wrong) if truth[i] in mistakes.targets[k]]  # the true one is among the four
mended, by_chance = 0, 0
for k in fair:
    image, own = images[wrong[k]], truth[wrong[k]]
    maps = dict(zip(mistakes.targets[k], mistakes.heatmap()[k], strict=True))
    lead = (maps[predicted[wrong[k]]] - maps[own])[..., None]
    blamed = lead >= np.quantile(lead, 0.95)
    anywhere = np.random.permutation(blamed[image > 0])  # as much, but of any ink
    other = np.zeros_like(blamed)
    other[image > 0] = anywhere
    now, chance = model(np.stack([image * ~blamed, image * ~other])).numpy().argmax(axis=1)
    mended, by_chance = mended + (now == own), by_chance + (chance == own)
    print(
        f"  {labels[own]} is taken for {labels[predicted[wrong[k]]]}; without its worst ink for {labels[now]}"
    )
print(f"Wiping the worst 5% of places mends {mended} of these {len(fair)}; as much of any ink, {by_chance}")
