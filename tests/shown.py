"""One of everything that a page can show, from small real models."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
from data_runs import images, network
from decoders import decoder

import tfxai
from tfxai import metrics, sanity

L = keras.layers
NAMES = ["cat", "<script>alert(1)</script>", "dog & co", "bird", "fish"]


def blobs(count: int, seed: int = 0) -> np.ndarray:
    """Pictures (count, 32, 32, 3) from 0 to 1 with a bright square each."""
    generator = np.random.default_rng(seed)
    rows = generator.uniform(0, 0.4, (count, 32, 32, 3)).astype("float32")
    for row, (y, x) in zip(rows, generator.integers(0, 20, (count, 2)), strict=True):
        row[y : y + 12, x : x + 12] += generator.uniform(0.3, 0.6, 3).astype("float32")
    return rows


def convolutional(shape: tuple[int, ...] = (32, 32, 3), seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(shape)
    kind, pool = {
        2: (L.Conv1D, L.GlobalAveragePooling1D),
        3: (L.Conv2D, L.GlobalAveragePooling2D),
        4: (L.Conv3D, L.GlobalAveragePooling3D),
    }[len(shape)]
    maps = kind(8, 3, activation="relu", name="deeper")(kind(8, 3, activation="relu", name="edges")(inputs))
    model = keras.Model(inputs, L.Dense(5, name="classes")(pool()(maps)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@functools.cache
def table_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((15,), name="row")
    return keras.Model(inputs, L.Dense(2)(L.Dense(8, activation="tanh", name="hidden")(inputs)))


def explanations() -> dict[str, Any]:
    """Of every kind of input and by every kind of result."""
    pictures, model, rows = (
        blobs(3),
        convolutional(),
        np.random.default_rng(0).normal(size=(4, 15)).astype("float32"),
    )
    methods = {
        "Grad-CAM": tfxai.GradCAM(),
        "Gradient": tfxai.Gradient(),
        "RISE": tfxai.RISE(samples=40, cells=4),
    }
    volume = np.random.default_rng(0).normal(size=(1, 8, 12, 12, 1)).astype("float32")
    series = np.random.default_rng(0).normal(size=(2, 40, 2)).astype("float32").cumsum(1)
    words = np.array(["a good <b>film</b>", "a bad film", "what a day"], object)
    lookup = L.TextVectorization(output_sequence_length=4)
    lookup.adapt(words)
    keras.utils.set_random_seed(0)
    ids_model = keras.Sequential(
        [keras.Input((4,), dtype="int64"), L.Embedding(20, 4), L.GlobalAveragePooling1D(), L.Dense(2)]
    )
    lm = decoder()
    return {
        "methods on images": {name: each(model, pictures) for name, each in methods.items()},
        "two classes": tfxai.Gradient()(model, pictures, tfxai.top(2)),
        "at a layer": tfxai.Gradient()(model, pictures, at="edges"),
        "volume": tfxai.Gradient()(convolutional((8, 12, 12, 1)), volume),
        "series": tfxai.InputXGradient()(convolutional((40, 2)), series),
        "segments": tfxai.LIME(samples=60)(model, pictures[:1]),
        "table": tfxai.IntegratedGradients(steps=8)(table_model(), rows, 0),
        "table with intervals": tfxai.KernelSHAP(samples=200, background=0.0)(table_model(), rows[:1], 0),
        "units": tfxai.Gradient()(table_model(), rows[:2], 0, at="hidden"),
        "words": tfxai.LIME(samples=60)(
            lambda texts: ids_model(lookup(texts)).numpy(), words, 0, score="output"
        ),
        "ids": tfxai.InputXGradient()(ids_model, lookup(words).numpy(), 0),
        "generated": tfxai.explain_generation(tfxai.InputXGradient(), lm, [1, 5, 6, 7, 2], [5, 6, 7]),
        "interactions": tfxai.ShapleyInteractions(samples=256, background=0.0)(
            table_model(), rows[:1, :15], 0
        ),
    }


def checks(folder: Path) -> dict[str, Any]:
    """Of checks, metrics, concepts, training and data sets."""
    pictures, model = blobs(24), convolutional()
    methods = {"Gradient": tfxai.Gradient(), "Grad-CAM": tfxai.GradCAM()}
    labels = (pictures.mean((1, 2)).argmax(1) % 5).astype(int)
    explanation = tfxai.Gradient()(model, pictures[:6])
    sets = [blobs(12, seed) for seed in range(1, 8)]
    random_sets = sets[1:]
    callback = tfxai.ExplainCallback({"cam": tfxai.GradCAM()}, pictures[:2], directory=folder / "film")
    tcav = tfxai.TCAV(["edges", "deeper"], random_runs=3)
    concepts = tfxai.ConceptCallback(tcav, pictures[:8], 0, {"noise": 1 - sets[0]}, random_sets)
    convolutional(seed=1).fit(pictures, labels, epochs=3, verbose=0, callbacks=[callback, concepts])
    runs = [
        tfxai.explain_dataset(
            {"cam": tfxai.GradCAM(), "smooth": tfxai.SmoothGrad(samples=3)},
            network(),
            images(40, seed),
            folder / str(seed),
            progress=False,
        )
        for seed in (0, 1)
    ]
    rows = np.random.default_rng(0).normal(size=(60, 15)).astype("float32")
    table = tfxai.explain_dataset(
        tfxai.InputXGradient(), table_model(), rows, folder / "table", progress=False
    )
    twins = [convolutional(seed=seed) for seed in (2, 3, 4)]
    return {
        "comparison of models": tfxai.compare_models(
            model, convolutional(seed=1), pictures, tfxai.Gradient(), twins=twins
        ),
        "sanity": sanity.randomize_model(methods, model, pictures[:4]),
        "labels": sanity.randomize_labels(convolutional, methods, pictures, labels, epochs=2),
        "efficient": sanity.efficient(methods, model, pictures[:4]),
        "concepts": tcav(model, pictures[:8], [0, 1], {"bright": 1 - sets[0]}, random_sets),
        "comparison of methods": tfxai.compare_methods(methods, model, pictures[:6]),
        "metric": {
            name: metrics.deletion(model, each(model, pictures[:6])) for name, each in methods.items()
        },
        "metric without curves": metrics.sparseness(explanation),
        "receipt": explanation.receipt,
        "verification": tfxai.verify(explanation, model),
        "layers": tfxai.layers(model),
        "run": runs[0],
        "run of a table": table,
        "class maps": tfxai.data.class_maps(runs[0], method="cam"),
        "columns": tfxai.data.columns(table),
        "drift": tfxai.data.drift(runs[0], runs[1], method="cam"),
        "inside": tfxai.data.inside(runs[0], [2, 2, 6, 6], method="cam"),
        "training": callback,
        "concepts in training": concepts,
        "prose": "What & why.\n\nSecond <i>paragraph</i>.",
    }
