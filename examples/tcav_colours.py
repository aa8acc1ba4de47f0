"""Which colours does a small network tell characters apart by? TCAV from folders, on a model and on its files.

Pictures of three characters, of six colours, and unrelated ones are drawn or cut here, and go to FOLDER like the chart.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from modules import characters
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import tfxai
from tfxai import concepts, hub, plots, zoo

folder, SIZE = Path(*sys.argv[1:2]), 64

for kind in characters.KINDS:
    characters.write(folder / "characters" / kind, characters.drawn(kind, 150, SIZE))
for i, colour in enumerate(("black", "blue", "green", "red", "white", "yellow")):
    characters.write(folder / "concepts" / colour, concepts.patterns(colour, 40, SIZE, seed=i))
photos = list(zoo.sample_photos().values())
for i in range(40):
    characters.write(folder / "random" / f"random500_{i}", characters.crops(photos, 40, SIZE, seed=i))

# A simple network, trained on the folders as anybody would.
pictures = concepts.from_folder(folder / "characters", SIZE, scale=(0, 1))
x, y = np.concatenate([*pictures.values()]), np.repeat(np.arange(3), 150)
keras.utils.set_random_seed(0)
L = keras.layers
model = keras.Sequential([keras.Input((SIZE, SIZE, 3), name="picture")], name="characters")
for i, filters in enumerate((16, 32, 32)):
    model.add(L.Conv2D(filters, 3, activation="relu", name=f"conv{i + 1}"))
    model.add(L.MaxPooling2D())
model.add(L.GlobalAveragePooling2D())
model.add(L.Dense(3, name="character"))
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
history = model.fit(x, y, epochs=8, verbose=0)
print(f"{history.history['accuracy'][-1]:.0%} of {len(x)} characters are told apart")

# As files: a SavedModel, and a frozen graph.
model.export(folder / "saved", verbose=False)
call = tf.function(lambda picture: model(picture, training=False))
frozen = convert_variables_to_constants_v2(call.get_concrete_function(tf.TensorSpec([None, SIZE, SIZE, 3])))
tf.io.write_graph(frozen.graph.as_graph_def(), str(folder), "frozen.pb", as_text=False)

# Six colours, two layers, three classes; through the model, and through its files.
tcav = tfxai.TCAV(["conv2", "conv3"], random_runs=20)
colours, random = (concepts.from_folder(folder / name, SIZE, scale=(0, 1)) for name in ("concepts", "random"))
of_class = {k: images[:40] for k, images in enumerate(pictures.values())}
models = {"keras": model, "saved": hub.load(folder / "saved"), "frozen": hub.load(folder / "frozen.pb")}
results = {name: tcav(each, of_class, [0, 1, 2], colours, random) for name, each in models.items()}
print(results["keras"])
for name in ("saved", "frozen"):
    far = np.abs(results[name].scores - results["keras"].scores).max()
    print(f"Through the {name} file the scores differ by at most {far:.1g}")
plots.tcav(results["keras"], list(pictures)).savefig(folder / "tcav_colours.png")
