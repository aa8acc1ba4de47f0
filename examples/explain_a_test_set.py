"""Which digits does a network read in its own way? All 1,797 are explained into a directory, by two methods at once.

    python examples/explain_a_test_set.py [FOLDER]

The run is broken off by Ctrl-C in the middle, and the same call goes on from there. Then it draws the mean map of each class,
and the ten digits whose maps are least like those of their class.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import keras
from sklearn import datasets

import tfxai

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
digits = datasets.load_digits()
images = (digits.images[..., None] / 16).astype("float32")

keras.utils.set_random_seed(0)
layers = [keras.layers.Conv2D(16, 3, activation="relu"), keras.layers.Conv2D(32, 3, activation="relu")]
model = keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Flatten(), keras.layers.Dense(10)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(images[::2], digits.target[::2], epochs=10, verbose=0)

shapley = tfxai.ExpectedGradients(images[:200:2], samples=20)
methods = {"path": tfxai.IntegratedGradients(), "shapley": shapley}


def explain() -> tfxai.data.Results:
    return tfxai.explain_dataset(methods, model, images, folder / "digits", shard_rows=128, progress=False)


def interrupt() -> None:
    while len(list(folder.glob("digits/rows/shard-*"))) < 2:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


threading.Thread(target=interrupt).start()
with contextlib.suppress(KeyboardInterrupt):
    explain()
print(tfxai.open_results(folder / "digits"))
results = explain()
print(results)

maps = tfxai.data.class_maps(results, method="path")
tfxai.plots.class_maps(maps, certain=True).savefig(folder / "digits_classes.png")
odd = [row.id for row in tfxai.data.typical(results, 10, method="path")]
oddest = tfxai.IntegratedGradients()(model, images[odd])
tfxai.plots.show(oddest, true_labels=digits.target[odd].tolist()).savefig(folder / "digits_odd.png")
wrong = results.array("targets", "path") != digits.target
print(f"Read wrongly: {wrong[odd].mean():.0%} of these ten, {wrong.mean():.0%} of all.")
