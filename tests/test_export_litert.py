"""Explanations in LiteRT files: its builtin operations, without TensorFlow, compute what the method does here."""

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
from tfxai.exporting import Refused, write_litert

pytest.importorskip("ai_edge_litert")


@pytest.mark.parametrize("build", export_nets.every())
def test_a_file_computes_what_the_method_does(build: Callable[[], Any], tmp_path: Path) -> None:
    def write(function: Any, path: Path) -> None:
        write_litert(function, path, rows=2)

    assert export_nets.wrong(build, write, "litert", tmp_path) == {}


@pytest.mark.parametrize(("kept", "share", "error"), [("float16", 0.6, 0.02), ("int8", 0.4, 0.1)])
def test_weights_take_less_room_and_maps_stay_near(
    kept: Any, share: float, error: float, tmp_path: Path
) -> None:
    model, arrays = export_nets.wide()
    function = exported.traced(tfxai.Gradient(), model, arrays)
    sizes = []
    for name, quantize in (("whole", None), ("small", kept)):
        write_litert(function, tmp_path / f"{name}.litert", quantize, rows=2)
        exported.put(tmp_path, name, function, {"input_0": arrays, "target": np.array([0, 1], np.int32)})
        sizes.append((tmp_path / f"{name}.litert").stat().st_size)
    errors = exported.without_tensorflow(tmp_path, "litert")
    assert sizes[1] < share * sizes[0]
    assert errors["whole"] < 1e-5 < errors["small"] < error


def test_what_litert_has_not_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    function = tf.function(
        lambda x: {"out": tf.math.digamma(x)},
        autograph=False,
        input_signature=[tf.TensorSpec([1, 3], tf.float32, "x")],
    )
    with pytest.raises(Refused, match=r"^LiteRT has nothing for Digamma, .*format='saved_model'"):
        write_litert(function.get_concrete_function(), tmp_path / "it.litert")
    assert not [*tmp_path.iterdir()]
