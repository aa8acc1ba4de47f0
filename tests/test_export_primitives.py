"""What gradients are made of, written anew for other engines: each rule against TensorFlow's own operation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import exported
import numpy as np
import pytest
import tensorflow as tf

from tfxai.exporting import Refused, in_primitives, write_litert, write_onnx


def close(found: Any, expected: Any, which: str = "") -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=which)


FEW = (
    "Relu6Grad",
    "MaxPoolGrad of overlapping windows",
    "a convolution in steps",
    "a depthwise convolution of two",
    "gelu",
)
CASES = pytest.mark.parametrize("names", [FEW, pytest.param(exported.CASES, marks=pytest.mark.slow)])


def function_of(body: Any, *shapes: list[int | None], dtype: Any = tf.float32) -> Any:
    specs = [tf.TensorSpec(shape, dtype, f"x{i}") for i, shape in enumerate(shapes)]
    function = tf.function(lambda *x: {"out": body(*x)}, autograph=False, input_signature=specs)
    return function.get_concrete_function()


@pytest.mark.parametrize("name", exported.CASES)
def test_a_rule_computes_what_tensorflow_does(name: str) -> None:
    function, key = exported.function_of([name], 2), exported.key(name)
    tensors = [tf.constant(array) for array in exported.inputs().values()]
    expected, written = function(*tensors)[key].numpy(), in_primitives(function)
    close(written(*tensors)[key], expected)
    assert np.abs(np.nan_to_num(expected)).max() > 0
    kinds = {op.type for op in written.graph.get_operations()}
    assert not {kind for kind in kinds if kind.endswith(("Grad", "GradV3", "GradientArgs"))}
    assert not kinds & {"Shape", "ShapeN", "DynamicStitch", "MulNoNan", "IdentityN"}


def test_every_rule_is_tried() -> None:
    from tfxai.exporting import primitives

    tried = {op.type for op in exported.function_of(exported.CASES, 2).graph.get_operations()}
    rare = {  # of volumes, and other spellings of what is tried
        "Snapshot", "PreventGradient", "CheckNumerics", "EnsureShape", "InvGrad", "ParallelDynamicStitch", "MatrixDiagPartV2",
        "MatrixDiagV2", "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormGrad", "FusedBatchNormGradV2", "MaxPool3DGrad",
        "AvgPool3DGrad", "Select", "BroadcastGradientArgs",
    }  # fmt: skip
    assert {*primitives.RULES} - tried <= rare


@CASES
def test_any_number_of_rows_runs_through_the_rules(names: Any) -> None:
    function = exported.function_of(names, None)
    written = in_primitives(function)
    for rows in (1, 2, 7):
        tensors = [tf.constant(array) for array in exported.inputs(rows).values()]
        expected, found = function(*tensors), written(*tensors)
        for name, values in expected.items():
            close(found[name], values, f"{name}, {rows} rows")


def test_volumes_are_pooled_back() -> None:
    def body(x: Any) -> Any:
        return exported.slope(
            lambda x: tf.nn.max_pool3d(tf.nn.avg_pool3d(x, 2, 1, "SAME") ** 2, 2, 2, "VALID"), x
        )

    function = function_of(body, [2, 4, 5, 4, 3])
    x = tf.random.stateless_normal([2, 4, 5, 4, 3], (1, 2))
    close(in_primitives(function)(x)["out"], function(x)["out"])


@pytest.mark.parametrize("dtype", [tf.float16, tf.float64])
def test_other_numbers_become_float32(dtype: Any) -> None:
    function = function_of(
        lambda x: exported.slope(lambda x: tf.nn.relu(x * 3) @ tf.ones([4, 2], dtype), x), [2, 4], dtype=dtype
    )
    x = np.array([[1, -1, 0.5, 2], [0, 3, -2, 1]])
    found = in_primitives(function)(tf.constant(x, tf.float32))["out"]
    assert found.dtype == tf.float32
    np.testing.assert_allclose(
        found, tf.cast(function(tf.constant(x, dtype))["out"], tf.float32), rtol=5e-3, atol=1e-2
    )


def test_loops_and_branches_are_written_anew_inside() -> None:
    def body(x: Any) -> Any:
        def step(i: Any, total: Any) -> Any:
            return i + 1, total + tf.gradients(tf.nn.relu6(x * tf.cast(i, tf.float32)), x)[0]

        total = tf.while_loop(lambda i, _: i < 4, step, [0, x])[1]
        return tf.cond(x[0, 0] > 0, lambda: exported.slope(tf.nn.relu, total), lambda: total)

    function = function_of(body, [2, 3])
    for first in (1.0, -1.0):
        x = tf.constant([[first, 2, -3], [4, 5, 9]])
        close(in_primitives(function)(x)["out"], function(x)["out"])


def test_what_draws_numbers_is_refused_by_name() -> None:
    function = function_of(
        lambda x: x + tf.random.stateless_uniform([2, 3], tf.cast(x[0, :2], tf.int32)), [2, 3]
    )
    with pytest.raises(Refused, match=r"StatelessRandom\w+ \('.*'\), which would draw other numbers"):
        in_primitives(function)


def test_a_loop_that_grows_a_list_is_refused_by_name(tmp_path: Path) -> None:
    def body(x: Any) -> Any:
        return tf.gradients(tf.while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, y * y + x), [0, x])[1], x)[
            0
        ]

    with pytest.raises(Refused, match=r"^LiteRT has nothing for TensorList"):
        write_litert(function_of(body, [2, 3]), tmp_path / "it.litert")


def test_an_open_axis_beside_the_first_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(None, None, 3\) has an open axis"):
        in_primitives(function_of(lambda x: x * 2, [None, None, 3]))


@CASES
def test_onnx_runtime_computes_what_tensorflow_does(names: Any, tmp_path: Path) -> None:
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    assert wrong(write_onnx, "onnx", None, names, tmp_path) == {}


@CASES
def test_litert_computes_what_tensorflow_does(names: Any, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    assert wrong(write_litert, "litert", 2, names, tmp_path) == {}


def wrong(write: Any, engine: str, rows: int | None, names: Any, folder: Path) -> dict[str, float]:
    """Errors above a hundred thousandth, by the names of cases, each in a file of its own."""
    for name in names:
        if rows or name not in exported.FIXED:
            function = exported.function_of([name], rows)
            write(function, folder / f"{exported.key(name)}.{engine}")
            exported.put(folder, exported.key(name), function, exported.inputs())
    errors = exported.without_tensorflow(folder, engine)
    assert len(errors) >= len(names) - len(exported.FIXED)
    return {name: error for name, error in errors.items() if error > 1e-5}
