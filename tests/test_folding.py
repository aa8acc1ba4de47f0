"""Gradients with scales folded into kernels are the gradients, and nothing stays changed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.model.folding import folded
from tfxai.model.operations import operations_ahead, operations_behind

X = np.random.default_rng(0).normal(size=(3, 9, 9, 4)).astype(np.float32)
GENERATOR = np.random.default_rng(1)
KERNEL = GENERATOR.normal(size=(3, 3, 4, 6)).astype(np.float32)
DEEP = GENERATOR.normal(size=(3, 3, 4, 2)).astype(np.float32)
GAMMA, BETA, MEAN, VARIANCE = (GENERATOR.uniform(0.5, 2, 8).astype(np.float32) for _ in range(4))


def plain(maps: Any, n: int) -> Any:
    return tf.nn.batch_normalization(maps, MEAN[:n], VARIANCE[:n], BETA[:n], GAMMA[:n], 1e-3)


def fused(maps: Any, n: int) -> Any:
    statistics = {"mean": MEAN[:n], "variance": VARIANCE[:n], "is_training": False}
    return tf.compat.v1.nn.fused_batch_norm(maps, GAMMA[:n], BETA[:n], **statistics)[0]


def turned(maps: Any, n: int) -> Any:
    """The scale first, and with axes of length one."""
    return GAMMA[:n].reshape(1, 1, 1, n) * maps


NORMS = {"plain": plain, "fused": fused, "turned": turned}
CONVOLUTIONS = {
    "conv": lambda x: (tf.nn.conv2d(x, KERNEL, 1, "SAME"), 6),
    "strided": lambda x: (tf.nn.conv2d(x, KERNEL, 2, "VALID"), 6),
    "dilated": lambda x: (tf.nn.conv2d(x, KERNEL, 1, "SAME", dilations=2), 6),
    "atrous": lambda x: (tf.nn.convolution(x, KERNEL, 1, "SAME", dilations=2), 6),
    "padded": lambda x: (tf.nn.conv2d(x, KERNEL, 1, [[0, 0], [2, 1], [0, 3], [0, 0]]), 6),
    "depthwise": lambda x: (tf.nn.depthwise_conv2d(x, DEEP, [1, 2, 2, 1], "SAME"), 8),
}


def backward(function: Any, fold: bool) -> tuple[np.ndarray, list[str]]:
    """The gradient with respect to X, and the types of operations of its graph; marks are looked for afterwards."""
    kinds: list[str] = []

    @tf.function(autograph=False)
    def gradient(x: Any) -> Any:
        score = tf.reduce_sum(tf.nn.softplus(function(x)))
        moving = operations_ahead([x])
        with folded(operations_behind([score]) & moving if fold else set(), moving, [x]):
            found = tf.gradients(score, x)[0]
        graph = tf.compat.v1.get_default_graph()
        assert not any(
            op.type in ("Conv2D", "Mul") and "_gradient_op_type" in op.node_def.attr
            for op in graph.get_operations()
        )
        kinds.extend(op.type for op in graph.get_operations())
        return found

    return gradient(tf.constant(X)).numpy(), kinds


def tensorflow_has_its_gradient() -> bool:
    """Without oneDNN, which TensorFlow leaves out on some processors, it refuses the operation itself."""
    with tf.GradientTape() as tape:
        x = tf.constant(X)
        tape.watch(x)
        maps, _ = CONVOLUTIONS["dilated"](x)
    try:
        return tape.gradient(maps, x) is not None
    except tf.errors.InvalidArgumentError:
        return False


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_the_gradient_is_the_same_with_fewer_products(norm: str, convolution: str) -> None:
    def function(x: Any) -> Any:
        maps, channels = CONVOLUTIONS[convolution](x)
        return NORMS[norm](maps, channels)

    if convolution == "dilated" and not tensorflow_has_its_gradient():
        pytest.skip("this processor's TensorFlow has no gradient of a dilated Conv2D at all")
    (wanted, before), (found, after) = backward(function, False), backward(function, True)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    if convolution == "atrous":  # which TensorFlow writes as other operations around the convolution
        return
    if norm == "fused":
        assert before.count("FusedBatchNormGradV3") == 1 and after.count("FusedBatchNormGradV3") == 0
    elif convolution != "dilated":
        assert len(after) < len(before) + 8


def test_what_is_no_scale_is_left_alone() -> None:
    cases = {
        "maps used twice": lambda c: plain(c, 6) + c,
        "scale from the input": lambda c: c * tf.reduce_mean(c),
        "scale of places": lambda c: c * np.ones((9, 9, 1), np.float32),
        "square": lambda c: c * c,
        "norm in training": lambda c: tf.compat.v1.nn.fused_batch_norm(
            c, GAMMA[:6], BETA[:6], is_training=True
        )[0],
    }
    for name, after in cases.items():
        (wanted, before), (found, kinds) = (
            backward(lambda x, after=after: after(CONVOLUTIONS["conv"](x)[0]), fold) for fold in (False, True)
        )
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        assert kinds == before, name


def test_maps_whose_own_gradient_is_wanted() -> None:
    """A class activation map of the convolution before the norm reads the gradient there, scale included."""
    inputs = keras.Input((9, 9, 4))
    x = keras.layers.Conv2D(6, 3, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(
        inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x)))
    )
    model.get_layer("norm").set_weights([GAMMA[:6], BETA[:6], MEAN[:6], VARIANCE[:6]])
    head = keras.Model(model.get_layer("norm").input, model.output)
    maps = keras.Model(inputs, model.get_layer("conv").output)(X)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        score = head(maps)[:, 1]
    weights = tape.gradient(score, maps).numpy().mean(axis=(1, 2), keepdims=True)
    wanted = np.maximum((weights * maps.numpy()).sum(axis=-1), 0)
    found = tfxai.HiResCAM(layer="conv")(model, X, 1).heatmap()
    cam = tfxai.GradCAM(layer="conv")(model, X, 1).heatmap()
    assert found.shape == cam.shape == (3, 9, 9)
    centres = (np.arange(9) + 0.5) * 7 / 9 - 0.5
    matrix = np.maximum(1 - np.abs(np.clip(centres, 0, 6)[:, None] - np.arange(7)), 0)
    np.testing.assert_allclose(cam, np.einsum("yi,nij,xj->nyx", matrix, wanted, matrix), rtol=1e-4, atol=1e-6)
