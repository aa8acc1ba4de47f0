"""The same calls on a table, on series and on text. Writes three pictures to the FOLDER it is given."""

import sys
from pathlib import Path

import keras
import numpy as np
from keras.layers import Conv1D, Dense, Embedding, GlobalAveragePooling1D, TextVectorization
from matplotlib.figure import Figure
from sklearn.datasets import load_wine

from tfxai import DeepLIFT, GradCAM, IntegratedGradients, plots

folder = Path(*sys.argv[1:2])
keras.utils.set_random_seed(1)  # of NumPy too


def trained(layers, inputs, classes):
    model = keras.Sequential([*layers, Dense(int(classes.max()) + 1)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(inputs, classes, epochs=30, batch_size=16, verbose=0)
    return model


def bars(file, titles, rows, words):
    figure = Figure(figsize=(7, 2 * len(titles)), dpi=150, layout="constrained")
    for i, ax in enumerate(figure.subplots(len(titles))):
        plots.heatmap(rows[i], ax=ax).set_title(titles[i], loc="left", size=9)
        ax.set_xticks(range(len(words[i])), words[i], rotation=35, ha="right", rotation_mode="anchor")
    figure.savefig(folder / file)


# Wines as they differ from the average wine, DeepLIFT's baseline of zeros. Five more columns are noise.
wine = load_wine()
columns = [name.split("_of_diluted")[0].replace("_", " ") for name in wine.feature_names] + ["noise"] * 5
rows = np.hstack([(wine.data - wine.data.mean(0)) / wine.data.std(0), np.random.normal(size=(178, 5))])
found = DeepLIFT()(trained([Dense(16, "relu")], rows, wine.target), rows, wine.target)
kinds = np.stack([found.values[wine.target == k].mean(axis=0) for k in range(3)])
print(f"Table: {np.abs(kinds[:, 13:]).sum() / np.abs(kinds).sum():.1%} of the evidence lies in the noise")
bars("table.png", [f"wine of kind {k}" for k in range(3)], kinds, [columns] * 3)

# Series of noise; every second one hides a bump.
series, centres = np.random.normal(size=(400, 200, 1)), np.random.randint(10, 190, size=(200, 1))
series[1::2, :, 0] += 3 * np.exp(-(((np.arange(200) - centres) / 6) ** 2))
stack = [Conv1D(8, 9, padding="same", activation="relu"), GlobalAveragePooling1D()]
found = GradCAM()(trained(stack, series, np.arange(400) % 2), series[1::2], 1)
print(f"Series: {np.mean(abs(found.heatmap().argmax(1) - centres[:, 0]) <= 10):.1%} of maps peak on bumps")
plots.show(found, ["noise", "bump"], limit=4).savefig(folder / "series.png")

# Reviews as token ids: one praises if most of its three verdicts, words 3, 6 and 10 counted from 0, do.
verdicts = np.random.randint(6, size=(600, 3))
words = np.array(["dreadful", "boring", "clumsy", "superb", "moving", "witty"])
texts = ["the plot was {} the acting {} and the music {}".format(*words[three]) for three in verdicts]
ids = TextVectorization(vocabulary=sorted(set(" ".join(texts).split())))(texts).numpy()
stack = [Embedding(20, 8), Conv1D(16, 3, padding="same", activation="relu"), GlobalAveragePooling1D()]
praise = ((verdicts > 2).sum(axis=1) > 1).astype(int)
found = IntegratedGradients()(trained(stack, ids, praise), ids, 1)
print(f"Text: {np.mean((found.values[:, [3, 6, 10]] > 0) == (verdicts > 2)):.1%} of the signs are right")
bars("text.png", [f"praise: {s:+.1f}" for s in found.scores[:4]], found.values, list(map(str.split, texts)))
