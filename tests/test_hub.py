"""Models from files: every method's values are those of the same Keras model."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from models import BUILDERS, kind
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import tfxai
from tfxai import hub, methods

EXAMPLES = Path(__file__).parent.parent / "examples"
v1 = tf.compat.v1


def tf1_module() -> Any:
    """The example that writes modules as TensorFlow 1 did, with operations of its own."""
    spec = importlib.util.spec_from_file_location("tf1_module", EXAMPLES / "tf1_module.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def freeze(model: Any, file: Path) -> Path:
    shape = model.input_shape
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec(shape, name="x")
    )
    file.write_bytes(convert_variables_to_constants_v2(function).graph.as_graph_def().SerializeToString())
    return file


X = np.random.default_rng(0).random((3, 16, 16, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """Small, and trained for a moment, so that batch norm has statistics."""
    keras.utils.set_random_seed(3)
    L = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = L.Rescaling(2.0, offset=-1, name="in_scale")(inputs)
    x = L.Conv2D(8, 3, padding="same", name="a_conv")(x)
    x = L.ReLU(name="a_relu")(L.BatchNormalization(name="a_bn")(x))
    y = L.DepthwiseConv2D(3, padding="same", use_bias=False, name="b_depthwise")(x)
    y = L.ReLU(6.0, name="b_relu")(L.BatchNormalization(name="b_bn")(y))
    x = L.Add(name="b_add")([x, y])
    x = L.ReLU(name="c_relu")(L.Conv2D(6, 3, strides=2, name="c_conv")(x))
    x = L.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, L.Dense(4, name="logits")(x), name="net")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    generator = np.random.default_rng(1)
    model.fit(generator.random((64, 16, 16, 3)), generator.integers(0, 4, 64), epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def saved(net: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same model in every kind of file."""
    folder = tmp_path_factory.mktemp("modules")
    net.export(folder / "export", verbose=False)
    tf.saved_model.save(net, str(folder / "saved"))
    tf1_module().write(net, folder / "tf1")
    tf1_module().write(net, folder / "tf1_references", resource=False)
    freeze(net, folder / "frozen.pb")
    return {path.stem: path for path in folder.iterdir()}


FILES = ("export", "saved", "tf1", "tf1_references", "frozen")
SETTINGS: dict[str, dict[str, Any]] = {
    "ExpectedGradients": {"background": X, "samples": 5},
    "RISE": {"samples": 40},
    "LIME": {"samples": 40, "segments": 6},
    "KernelSHAP": {"samples": 40, "segments": 6},
    "PartitionSHAP": {"evals": 40},
}


def same(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    np.testing.assert_array_equal(found.targets, wanted.targets)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-5)
    found, wanted = (tf.nest.flatten(each.values) for each in (found, wanted))
    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert np.abs(other).max() > 0
            assert np.nanmax(np.abs(one - other)) <= tolerance * np.nanmax(np.abs(other))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", methods.__all__)
def test_every_method_gives_the_values_of_the_keras_model(net, saved, file: str, name: str) -> None:
    method = getattr(methods, name)(**SETTINGS.get(name, {}))
    same(method(load(saved[file]), X), method(net, X))


_loaded: dict[Path, hub.Module] = {}


def load(path: Path) -> hub.Module:
    if path not in _loaded:
        _loaded[path] = hub.load(path)
    return _loaded[path]


EVERY_KIND = [
    tfxai.IntegratedGradients(steps=3),
    tfxai.GuidedBackprop(),
    tfxai.DeepLIFT(),
    tfxai.GradCAM(),
    tfxai.AblationCAM(),
    tfxai.Occlusion(),
]
NO_FILE = ("callable", "tf_keras")


@pytest.mark.parametrize("name", [name for name in BUILDERS if name not in NO_FILE])
def test_every_kind_of_model(name: str, tmp_path: Path) -> None:
    """Exported, whatever Keras or the functions inside make of it."""
    model = kind(name)
    model.model.export(tmp_path / "saved", verbose=False)
    module = hub.load(tmp_path / "saved")
    inputs = model.inputs
    if isinstance(inputs, list):
        inputs = dict(zip(module.inputs, inputs, strict=True))
    for method in EVERY_KIND:
        if isinstance(method, (tfxai.GradCAM, tfxai.AblationCAM)) and not model.cam:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            wanted = method(model.model, model.inputs, score=model.score)
            found = method(module, inputs, score=model.score)
        same(found, wanted, 1e-4 if model.exact else 5e-2)
