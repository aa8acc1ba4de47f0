"""Draws the pictures of these pages, a photo or two in each: `python docs/methods/pictures.py [NAME ...]`, some minutes on two cores."""

from __future__ import annotations

import dataclasses
import io
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier

import tfxai
from tfxai import baselines, photos, plots, zoo

HERE = Path(__file__).parent
WIDEST = 1200  # pixels
BATCH: dict[str, Any] = {"batch_size": 8}


def gradients() -> Any:
    return compared(
        {
            "Gradient": tfxai.Gradient(),
            "InputXGradient": tfxai.InputXGradient(),
            "SmoothGrad": tfxai.SmoothGrad(),
            "SquareGrad": tfxai.SquareGrad(),
            "VarGrad": tfxai.VarGrad(),
        }
    )


def paths() -> Any:
    return compared(
        {
            "IntegratedGradients, zeros": tfxai.IntegratedGradients(),
            "IntegratedGradients, blur": tfxai.IntegratedGradients(baseline=baselines.blur(20)),
            "BlurIG": tfxai.BlurIG(steps=50),
            "GuidedIG, blur": tfxai.GuidedIG(baseline=baselines.blur(20)),
            "XRAI": tfxai.XRAI(steps=20),
        }
    )


def backward_rules() -> Any:
    return compared(
        {
            "GuidedBackprop": tfxai.GuidedBackprop(),
            "DeepLIFT": tfxai.DeepLIFT(baseline=baselines.blur(20)),
            "LRP, epsilon": tfxai.LRP(),
            "LRP, composite": tfxai.LRP("composite"),
            "GuidedGradCAM": tfxai.GuidedGradCAM(),
        }
    )


def cams() -> Any:
    return compared(
        {
            "GradCAM": tfxai.GradCAM(),
            "LayerCAM, finer layer": tfxai.LayerCAM(layer="block5c_add"),
            "EigenCAM": tfxai.EigenCAM(),
            "ScoreCAM, 200 channels": tfxai.ScoreCAM(channels=200),
            "AblationCAM": tfxai.AblationCAM(),
        }
    )


def hidden_parts() -> Any:
    """RISE without the score that all places share: only differences between them count."""
    model, images, labels = network()
    blurred = baselines.blur(20)
    window = tfxai.Occlusion(window=48, stride=16, baseline=blurred)(model, images, **BATCH)
    rise = tfxai.RISE(samples=2000, baseline=blurred)(model, images, **BATCH)
    rise = dataclasses.replace(rise, values=rise.values - rise.values.min((1, 2, 3), keepdims=True))
    return plots.compare({"Occlusion": window, "RISE, 2000 masks": rise}, labels)


def surrogates() -> Any:
    model, images, labels = network()
    found = tfxai.LIME(samples=500)(model, images[:1], tfxai.top(2), **BATCH)
    return plots.segments(found, top=5, labels=labels)


def shapley() -> Any:
    """A table: which columns speak for the wine that a forest of trees sees, and which count together."""
    wine = load_wine()
    forest = RandomForestClassifier(200, random_state=0).fit(wine.data[::2], wine.target[::2])
    found = tfxai.KernelSHAP(background=wine.data[::2], samples=2000, tolerance=0.01)(
        forest.predict_proba, wine.data[[1, 71]], score="output"
    )
    return plots.bars(found, columns=list(wine.feature_names), labels=list(wine.target_names))


def attention() -> Any:
    """A vision transformer that reads digits in 8 x 8 tokens."""
    keras.utils.set_random_seed(0)
    digits = load_digits()
    images = np.kron(digits.images / 16, np.ones((4, 4)))[..., None].astype("float32")
    given = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(32, 4, strides=4)(given)
    x = keras.layers.Reshape((64, 32))(x)
    x = keras.layers.Add()([x, keras.layers.Embedding(64, 32)(keras.ops.arange(64)[None])])
    for _ in range(2):
        y = keras.layers.LayerNormalization()(x)
        x = keras.layers.Add()([x, keras.layers.MultiHeadAttention(4, 8)(y, y)])
        y = keras.layers.Dense(64, activation="gelu")(keras.layers.LayerNormalization()(x))
        x = keras.layers.Add()([x, keras.layers.Dense(32)(y)])
    model = keras.Model(given, keras.layers.Dense(10)(keras.layers.GlobalAveragePooling1D()(x)))
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images[:1500], digits.target[:1500], epochs=15, verbose=0)
    chosen = images[[1501, 1503, 1507]]
    methods = {
        "AttentionRollout": tfxai.AttentionRollout(),
        "AttentionRelevance": tfxai.AttentionRelevance(),
        "LRP, attention": tfxai.LRP("attention"),
        "GradCAM": tfxai.GradCAM(),
    }
    return plots.compare(
        {name: method(model, chosen) for name, method in methods.items()}, list("0123456789")
    )


def compared(methods: dict[str, Any]) -> Any:
    model, images, labels = network()
    return plots.compare({name: method(model, images, **BATCH) for name, method in methods.items()}, labels)


@cache
def network() -> tuple[Any, Any, list[str]]:
    """EfficientNet-Lite0, a cat and a cup of espresso, the names of the classes."""
    samples = zoo.sample_photos()
    images = np.stack([photos.fit(samples[name], (224, 224), crop=0.875) for name in ("chelsea", "coffee")])
    return zoo.efficientnet_lite0(), images, zoo.imagenet_labels()


FAMILIES: tuple[Callable[[], Any], ...] = (
    gradients, paths, backward_rules, cams, hidden_parts, surrogates, shapley, attention,
)  # fmt: skip


def main(names: list[str]) -> None:
    for family in FAMILIES:
        if names and family.__name__ not in names:
            continue
        drawn = io.BytesIO()
        family().savefig(drawn)
        with Image.open(drawn) as opened:
            picture = opened.convert("RGB")
        if picture.width > WIDEST:
            size = WIDEST, round(picture.height * WIDEST / picture.width)
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        file = HERE / f"{family.__name__}.webp"
        picture.save(file, quality=88, method=6)
        print(file.name, file.stat().st_size // 1000, "KB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
