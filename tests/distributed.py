"""Run as a program by test_distributed.py: a model made, trained and explained under a strategy, beside one of a single device.

python distributed.py mirrored OUT | python distributed.py workers OUT (with TF_CONFIG)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

import tfxai

METHODS = [
    tfxai.Gradient(),
    tfxai.IntegratedGradients(steps=8),
    tfxai.SmoothGrad(samples=4),
    tfxai.LRP(),
    tfxai.GuidedBackprop(),
    tfxai.DeepLIFT(),
    tfxai.GradCAM(),
    tfxai.ScoreCAM(),
    tfxai.Occlusion(window=4),
    tfxai.RISE(samples=20, cells=4),
    tfxai.KernelSHAP(samples=64),
]


def network(of: Any) -> Any:
    """of: Keras 3, or tf_keras."""
    of.utils.set_random_seed(0)
    inputs, L = of.Input((16, 16, 3)), of.layers
    maps = L.BatchNormalization()(L.Conv2D(8, 3, activation="relu")(inputs))
    return of.Model(inputs, L.Dense(4)(L.GlobalAveragePooling2D()(maps)))


def furthest(of: Any, strategy: Any, images: np.ndarray) -> dict[str, float]:
    """For each method how far values under the strategy are from those of one device, of the largest."""
    with strategy.scope():
        shared = network(of)
        shared.compile("sgd", "mse")
    callback = tfxai.ExplainCallback(tfxai.GradCAM(), images)
    shared.fit(images, np.zeros((len(images), 4)), batch_size=4, epochs=2, verbose=0, callbacks=[callback])
    single = network(of)
    single.set_weights(shared.get_weights())  # trained on several devices, its last digits are its own
    found = {"callback": _gap(tfxai.GradCAM()(single, images), callback.explanations["grad_cam"])}
    for method in METHODS:
        one, other = method(single, images), method(shared, images)
        with strategy.scope():
            inside = method(shared, images)
        assert np.array_equal(inside.values, other.values)
        found[type(method).__name__] = _gap(one, other)
    return found


def _gap(one: tfxai.Explanation, other: tfxai.Explanation) -> float:
    largest = np.abs(one.values).max()
    assert largest > 0
    return float(np.abs(one.values - other.values).max() / largest)


def untouched(of: Any, strategy: Any, images: np.ndarray) -> bool:
    """Whether a sanity check, which puts random weights in, leaves every copy of the weights as it was."""
    with strategy.scope():
        model = network(of)
    before = [copy.numpy() for copy in copies(model)]
    assert len(before) in (len(model.weights), 2 * len(model.weights))
    tfxai.sanity.randomize_model(tfxai.Gradient(), model, images[:4])
    return all(np.array_equal(a, b.numpy()) for a, b in zip(before, copies(model), strict=True))


def copies(model: Any) -> list[Any]:
    """The weights on each device."""
    variables = [getattr(weight, "value", weight) for weight in model.weights]
    variables = [
        weight if callable(value) else value for weight, value in zip(model.weights, variables, strict=True)
    ]
    held = [getattr(variable, "values", (variable,)) for variable in variables]
    return [copy for each in held for copy in each]


def main() -> None:
    """Writes what it found as JSON."""
    kind, out = sys.argv[1:]
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        of, strategy = keras, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    else:  # on several processes Keras 3 does not train
        of, strategy = tf_keras, tf.distribute.MultiWorkerMirroredStrategy()
    images = np.random.default_rng(0).normal(size=(8, 16, 16, 3)).astype("float32")
    told = {
        "replicas": strategy.num_replicas_in_sync,
        "furthest": furthest(of, strategy, images),
        "untouched": untouched(of, strategy, images),
    }
    Path(out).write_text(json.dumps(told))


if __name__ == "__main__":
    main()
