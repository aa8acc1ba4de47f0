"""What a GPU would run, by inspection: every traced graph of a Keras model has kernels for it, and calls no Python."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every
from models import kind
from tensorflow.python.framework import kernels
from test_xla import METHODS

import tfxai
from tfxai import metrics
from tfxai.model.tracing import CACHES

PYTHON = ("PyFunc", "EagerPyFunc", "PyFuncStateless")
CALLS = ("PartitionedCall", "StatefulPartitionedCall", "SymbolicGradient", "Placeholder")  # the runtime's own


@functools.cache
def devices_of(operation: str) -> frozenset[str]:
    """Devices for which TensorFlow has kernels of an operation."""
    return frozenset(each.device_type for each in kernels.get_registered_kernels_for_op(operation).kernel)


def operations_of(model: Any) -> Iterator[str]:
    """Types of the operations of everything that was traced for a model."""
    for traced in CACHES[model].functions.values():
        graph = traced.function.graph.as_graph_def()
        yield from (node.op for node in graph.node)
        for function in graph.library.function:
            yield from (node.op for node in function.node_def)


def without_kernel(model: Any) -> set[str]:
    found = set(operations_of(model))
    assert found, "nothing was traced"
    return {op for op in found if op in PYTHON or not (op in CALLS or devices_of(op) & {"GPU", "DEFAULT"})}


def fresh() -> tuple[keras.Model, np.ndarray]:
    return keras.models.clone_model(kind("sequential").model), kind("sequential").inputs


needs_list = pytest.mark.skipif(
    not devices_of("Conv2D") & {"GPU"}, reason="this TensorFlow was built without kernels for GPUs"
)


@needs_list
@every(10, 1, name=METHODS)
def test_every_method_can_run_on_a_gpu(name: str) -> None:
    model, inputs = fresh()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        METHODS[name](model, inputs)
    assert without_kernel(model) == set()


MODEL_METRICS = {
    name: metric for name, metric in metrics.result.METRICS.items() if metric.reads_model and not metric.explains_again
}  # fmt: skip


@needs_list
@every(6, name=MODEL_METRICS)
def test_every_metric_can_run_on_a_gpu(name: str) -> None:
    model, inputs = fresh()
    found = tfxai.Gradient()(kind("sequential").model, inputs)
    MODEL_METRICS[name](model, found)
    assert without_kernel(model) == set()


@needs_list
def test_what_has_no_kernel_is_found() -> None:
    """A matrix logarithm, and a function of Python, have none."""

    @keras.saving.register_keras_serializable("test_gpu")
    class Odd(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.abs(
                tf.linalg.logm(tf.cast(tf.matmul(x, x, transpose_b=True) + tf.eye(3), tf.complex64))
            )

    model = keras.Sequential([keras.Input((3, 3)), Odd(), keras.layers.Flatten(), keras.layers.Dense(2)])
    tfxai.Occlusion()(model, np.eye(3, dtype=np.float32)[None] + 1)
    assert "MatrixLogarithm" in without_kernel(model)


@needs_list
@pytest.mark.parametrize("name", ["segmenter", "detector", "encoder"])
def test_scores_with_references_can_run_on_a_gpu(name: str) -> None:
    from test_scores_battery import CASES, IMAGES

    asked = CASES[name]()
    for method in (tfxai.Gradient(), tfxai.RISE(samples=4)):
        method(asked.model, IMAGES, asked.targets, score=asked.score)
    assert not without_kernel(asked.model)
