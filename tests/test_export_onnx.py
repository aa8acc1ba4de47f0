"""Explanations in ONNX files: ONNX Runtime, without TensorFlow, computes what the method does here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import export_nets
import exported
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.exporting import Refused, write_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("build", export_nets.every())
def test_a_file_computes_what_the_method_does(build: Callable[[], Any], tmp_path: Path) -> None:
    assert export_nets.wrong(build, write_onnx, "onnx", tmp_path) == {}


def test_names_of_inputs_and_outputs_and_an_open_first_axis_are_kept(tmp_path: Path) -> None:
    model, arrays = export_nets.columns()
    write_onnx(exported.traced(tfxai.Gradient(), model, arrays), tmp_path / "it.onnx")
    graph = onnx.load(tmp_path / "it.onnx").graph

    def shapes(values: Any) -> dict[str, list[int]]:
        return {each.name: [axis.dim_value for axis in each.type.tensor_type.shape.dim] for each in values}

    assert shapes(graph.input) == {"input_0": [0, 6], "target": [0]}
    assert shapes(graph.output) == {"values_0": [0, 6], "explained": [0], "score": [0]}


def test_rows_are_fixed_on_demand(tmp_path: Path) -> None:
    model, arrays = export_nets.columns()
    write_onnx(exported.traced(tfxai.Gradient(), model, arrays), tmp_path / "it.onnx", rows=3)
    graph = onnx.load(tmp_path / "it.onnx").graph
    assert [axis.dim_value for axis in graph.input[0].type.tensor_type.shape.dim] == [3, 6]


def function_of(body: Callable[[Any], Any], key: str = "out") -> Any:
    function = tf.function(
        lambda x: {key: body(x)}, autograph=False, input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")]
    )
    return function.get_concrete_function()


def test_what_onnx_has_not_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"^ONNX has nothing for Digamma, .*format='saved_model'"):
        write_onnx(function_of(tf.math.digamma), tmp_path / "it.onnx")
    assert not [*tmp_path.iterdir()]


def test_one_name_for_an_input_and_an_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"both named 'x'.*Give the output another key"):
        write_onnx(function_of(lambda x: x * 2, "x"), tmp_path / "it.onnx")


def test_a_choice_lets_no_nan_through(tmp_path: Path) -> None:
    function = function_of(lambda x: tf.where(x > 0, tf.math.log(x), 0.0))
    write_onnx(function, tmp_path / "it.onnx")
    exported.put(tmp_path, "it", function, {"x": np.array([[-1, 0, 2]], np.float32)})
    assert exported.without_tensorflow(tmp_path, "onnx")["it"] < 1e-6
