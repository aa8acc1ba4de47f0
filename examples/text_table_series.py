"""LIME, KernelSHAP and PartitionSHAP on texts, a table and series. Writes three pictures to the FOLDER it is given."""

import sys
from pathlib import Path

import keras
import numpy as np
from keras.layers import Conv1D, Dense, Embedding, GlobalAveragePooling1D, TextVectorization
from sklearn.datasets import load_wine

from tfxai import LIME, KernelSHAP, PartitionSHAP, plots

folder = Path(*sys.argv[1:2])
keras.utils.set_random_seed(1)  # of NumPy too


def trained(layers, inputs, classes):
    model = keras.Sequential([*layers, Dense(int(classes.max()) + 1, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(inputs, classes, epochs=30, batch_size=16, verbose=0)
    return model


def alike(kind, model, inputs, targets, *methods):
    found = [method(model, inputs, targets) for method in methods]
    lime, _, partition = np.corrcoef([each.values.ravel() for each in found])[1]
    print(f"{kind}: KernelSHAP correlates {lime:.2f} with LIME, {partition:.2f} with PartitionSHAP")
    return found


# Reviews: one praises if most of its three verdicts do. The model takes strings; words are left out one by one.
verdicts = np.random.randint(6, size=(600, 3))
words = np.array(["dreadful", "boring", "clumsy", "superb", "moving", "witty"])
reviews = ["the plot was {} the acting {} and the music {}".format(*words[three]) for three in verdicts]
known = TextVectorization(vocabulary=sorted(set(" ".join(reviews).split())))
stack = [keras.Input((), dtype="string"), known, Embedding(20, 8), GlobalAveragePooling1D()]
critic = trained(stack, np.array(reviews, object), (verdicts > 2).sum(axis=1) // 2)
found = alike("Text", critic, reviews[:6], 1, LIME(), KernelSHAP(), PartitionSHAP())
print(f"  {np.mean((found[1].values[:, [3, 6, 10]] > 0) == (verdicts[:6] > 2)):.1%} of the signs are right")
plots.text(found[1], ["a complaint", "praise"]).savefig(folder / "text.png")

# Wines, with five more columns of noise. Columns that are hidden come from other wines.
wine, columns = load_wine(), [*load_wine().feature_names, *["noise"] * 5]
rows = np.hstack([(wine.data - wine.data.mean(0)) / wine.data.std(0), np.random.normal(size=(178, 5))])
methods = LIME(background=rows), KernelSHAP(background=rows), PartitionSHAP(masker=rows)
found = alike("Table", trained([Dense(16, "relu")], rows, wine.target), rows[::80], [0, 1, 2], *methods)
print(
    f"  {np.abs(found[1].values)[:, 13:].sum() / np.abs(found[1].values).sum():.1%} of it lies in the noise"
)
plots.bars(found[1], columns, labels=[f"wine of kind {k}" for k in range(3)]).savefig(folder / "table.png")

# Series of noise; every second one hides a bump.
series, centres = np.random.normal(size=(400, 200, 1)), np.random.randint(10, 190, size=(200, 1))
series[1::2, :, 0] += 3 * np.exp(-(((np.arange(200) - centres) / 6) ** 2))
stack = [Conv1D(8, 9, activation="relu"), GlobalAveragePooling1D()]
methods = LIME(segments=20, hide=0.0), KernelSHAP(segments=20, background=0.0), PartitionSHAP(masker=0.0)
found = alike("Series", trained(stack, series, np.arange(400) % 2), series[1:9:2], 1, *methods)
print(f"  {np.mean(abs(found[2].heatmap().argmax(1) - centres[:4, 0]) <= 10):.1%} of maps peak on bumps")
plots.series(found[2], labels=["noise", "bump"]).savefig(folder / "series.png")
