"""Models from files: every method's values are those of the same Keras model."""

from __future__ import annotations

import dataclasses
import functools
import gc
import importlib.util
import warnings
import weakref
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import OF_ATTENTION, every, once
from kinds import Kind
from models import BUILDERS, kind
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import tfxai
from tfxai import hub, methods, metrics
from tfxai.engines import perturb
from tfxai.metrics.result import unwrapped
from tfxai.model.tracing import traces
from tfxai.model.weights import weighted_layers

EXAMPLES = Path(__file__).parent.parent / "examples"
v1 = tf.compat.v1


def tf1_module() -> Any:
    """The example that writes modules as TensorFlow 1 did, with operations of its own."""
    spec = importlib.util.spec_from_file_location("tf1_module", EXAMPLES / "modules" / "tf1_module.py")
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
    "ShapleyInteractions": {"samples": 40, "segments": 6},
    "PartitionSHAP": {"evals": 40},
}


def same(found: Any, wanted: Any, tolerance: float = 1e-4) -> None:
    np.testing.assert_array_equal(found.targets, wanted.targets)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4, atol=1e-5)
    found, wanted = (tf.nest.flatten(each.values) for each in (found, wanted))
    for one, other in zip(found, wanted, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert np.nanmax(np.abs(one - other)) <= tolerance * np.nanmax(np.abs(other))


@once("name", 2, name=[name for name in methods.__all__ if name not in OF_ATTENTION], file=FILES)
def test_every_method_gives_the_values_of_the_keras_model(net, saved, file: str, name: str) -> None:
    method = getattr(methods, name)(**SETTINGS.get(name, {}))
    wanted = method(net, X)
    assert np.nanmax(np.abs(wanted.values)) > 0
    same(method(load(saved[file]), X), wanted)


PARTS = ("average_drop", "average_increase", "average_gain", "irof")  # of a probability
ASKING = {
    unwrapped(metric).__name__: metric
    for metric in (
        metrics.deletion,
        metrics.insertion,
        metrics.irof,
        metrics.road,
        metrics.average_drop,
        metrics.average_increase,
        metrics.average_gain,
        metrics.mu_fidelity,
        metrics.faithfulness_correlation,
        metrics.infidelity,
        metrics.monotonicity,
        metrics.completeness,
        partial(metrics.max_sensitivity, tfxai.GradCAMPlusPlus()),
    )
}
ASKING["infidelity_of_noise"] = partial(metrics.infidelity, reads="weights", perturbation="noise")


@once("name", 2, name=ASKING, file=("export", "tf1", "frozen"))
def test_every_metric_gives_the_values_of_the_keras_model(net, saved, name: str, file: str) -> None:
    metric = ASKING[name]
    score = "logit" if unwrapped(metric).__name__ not in PARTS else "probability"
    asked = tfxai.top(2)
    if not unwrapped(metric).explains_again:
        asked = tfxai.InputXGradient()(net, X, asked)
        found, wanted = (metric(model, asked, score=score) for model in (load(saved[file]), net))
    else:
        found, wanted = (metric(model, X, asked, score=score) for model in (load(saved[file]), net))
    for field in ("values", "curves", "morf", "lerf"):
        one, other = (getattr(each, field, None) for each in (found, wanted))
        if field == "values" or other is not None:
            assert one.shape == other.shape and one.shape[:2] == (3, 2)
            assert np.abs(one - other).max() <= 1e-4 * max(np.abs(other).max(), 1e-3)
    moving = wanted.values if wanted.curves is None else wanted.curves
    assert np.ptp(moving) > (0 if metric is metrics.completeness else 1e-3)


def test_a_table_of_a_module_is_that_of_the_keras_model(net, saved) -> None:
    found, wanted = (
        tfxai.compare_methods([tfxai.Gradient(), tfxai.GradCAM()], model, X, ["deletion", "mu_fidelity"])
        for model in (load(saved["export"]), net)
    )
    assert found.methods == wanted.methods == ["gradient", "grad_cam", "random", "edges"]
    for name in wanted.metrics:
        np.testing.assert_allclose(found.values[name], wanted.values[name], atol=1e-4)


_loaded: dict[Path, hub.Module] = {}


def load(path: Path) -> hub.Module:
    if path not in _loaded:
        _loaded[path] = hub.load(path)
    return _loaded[path]


EVERY_KIND = {
    "integrated_gradients": tfxai.IntegratedGradients(steps=3),
    "guided_backprop": tfxai.GuidedBackprop(),
    "deep_lift": tfxai.DeepLIFT(),
    "grad_cam": tfxai.GradCAM(),
    "ablation_cam": tfxai.AblationCAM(),
    "occlusion": tfxai.Occlusion(),
}
# Those without a file, and those whose file is that of layers which others have.
NO_FILE = (
    "callable",
    "tf_keras",
    "time_major",
    "twins",
    "video",
    "detector",
    "masked_tokens",
    "stored_positions",
    "tied_table",
)


def export(model: Any, folder: Path, inputs: np.ndarray) -> None:
    """As `model.export`, which runs layers of augmentation that are not told what for."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    specs = [
        tf.TensorSpec([None, *x.shape[1:]], x.dtype, x.name) for x in getattr(model, "inputs", None) or []
    ]
    specs = specs or [tf.TensorSpec([None, *inputs.shape[1:]], inputs.dtype)]
    given = model.input if isinstance(getattr(model, "input", None), dict) else specs
    signature = [tf.nest.pack_sequence_as(given, specs)]
    signature = signature if isinstance(given, dict) or len(specs) == 1 else [specs]
    signature = [specs[0]] if len(specs) == 1 else signature
    archive.add_endpoint("serve", lambda x: model(x, training=False), input_signature=signature)
    archive.write_out(folder, verbose=False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Name of a kind of model -> the kind, and what is read from its file."""

    @functools.lru_cache(maxsize=1)
    def exported(name: str) -> tuple[Kind, hub.Module]:
        model, folder = kind(name), tmp_path_factory.mktemp(name)
        export(model.model, folder / "saved", model.inputs)
        return model, hub.load(folder / "saved")

    return exported


@pytest.mark.slow  # the batteries have the kinds, and the test above all methods on a file
@once("method", name=[name for name in BUILDERS if name not in NO_FILE], method=EVERY_KIND)
def test_every_kind_of_model(exported: Any, name: str, method: str) -> None:
    """Exported, whatever Keras or the functions inside make of it."""
    (model, module), configured = exported(name), EVERY_KIND[method]
    inputs = model.inputs
    if isinstance(inputs, list):
        inputs = dict(zip((x.name for x in model.model.inputs), inputs, strict=True))
    if method in ("grad_cam", "ablation_cam"):
        # What a module calls a ReLU is no layer in a subclassed model: there the maps before it are read.
        layer = model.model.first[-2].name if "subclassed" in name else None
        configured = dataclasses.replace(configured, layer=layer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        wanted = configured(model.model, model.inputs, **model.asked)
        found = configured(module, inputs, **model.asked)
    same(found, wanted, 1e-4 if model.exact else 5e-2)


# The real network


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, np.ndarray]:
    model = tfxai.zoo.efficientnet_lite0()
    folder = tmp_path_factory.mktemp("real")
    tf1_module().write(model, folder / "tf1", name="EfficientNet", background=True)
    photos = tfxai.zoo.sample_photos()
    fitted = [
        tfxai.photos.fit(photos[name].astype(np.float32), (224, 224), 0.875) for name in ("chelsea", "coffee")
    ]
    return model, folder / "tf1", np.stack(fitted)


@pytest.fixture
def anew(memory: None, real: tuple[Any, Path, np.ndarray]) -> Any:
    """The model and its module, whose traces end with the test: the weights behind them are the same in all tests."""
    model, path, photos = real
    return keras.Model(model.inputs, model.outputs), load(path).use("image_classification"), photos


SMALL = {
    **{name: {"samples": 3} for name in ("SmoothGrad", "VarGrad", "SquareGrad")},
    **{name: {"steps": 5} for name in ("IntegratedGradients", "BlurIG")},
    "XRAI": {"steps": 3},
    "ScoreCAM": {"channels": 16},
    "Occlusion": {"window": 56, "stride": 56},
    "RISE": {"samples": 48},
    **{name: {"samples": 48, "segments": 10} for name in ("LIME", "KernelSHAP", "ShapleyInteractions")},
    "PartitionSHAP": {"evals": 48},
}


def apart(found: Any, wanted: Any) -> float:
    """Relative L2 distance."""
    return float(np.linalg.norm(found.values - wanted.values) / np.linalg.norm(wanted.values))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in methods.__all__ if name not in ("GuidedIG", *OF_ATTENTION)]
)
def test_a_module_of_a_real_network(anew: Any, name: str) -> None:
    """1001 classes, the first for the background. A ReLU6 whose gate flips makes up to a percent of difference."""
    model, module, photos = anew
    settings = dict(SMALL.get(name, {}))
    if name == "ExpectedGradients":
        settings = {"background": photos[1:], "samples": 3}
    method = getattr(methods, name)(**settings)
    wanted = method(model, photos[:1], score="logit")
    found = method(module, photos[:1], score="logit")
    np.testing.assert_array_equal(found.targets, wanted.targets + 1)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-4)
    assert apart(found, wanted) <= 2e-2


@pytest.mark.slow
def test_guided_ig_of_a_real_network(anew: Any) -> None:
    """Its path follows the smallest gradients, so rounding leads it elsewhere: as far as it does in one and the same model."""
    model, module, photos = anew
    steps = tfxai.GuidedIG(steps=4)
    straight = tfxai.GuidedIG(steps=1)  # no choice yet
    assert apart(straight(module, photos[:1], 283), straight(model, photos[:1], 282)) <= 1e-4
    wanted = steps(model, photos[:1], 282)
    kernel = model.get_layer("stem_conv").kernel
    trained = kernel.numpy()
    kernel.assign(trained * (1 + 1e-6 * np.random.default_rng(0).normal(size=trained.shape)))
    try:
        moved = steps(model, photos[:1], 282)
    finally:
        kernel.assign(trained)
    found = steps(module, photos[:1], 283)
    assert apart(found, wanted) <= 1.5 * apart(moved, wanted)
    # Wherever it leads, what it sums up to is told.
    ends = [each.values.sum() - each.delta[0] for each in (found, wanted)]
    np.testing.assert_allclose(*ends, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("file", ["export", "frozen"])
def test_files_of_a_real_network(anew: Any, file: str, tmp_path: Path) -> None:
    model, _, photos = anew
    if file == "export":
        model.export(tmp_path / "model", verbose=False)
    else:
        freeze(model, tmp_path / "model.pb")
    module = hub.load(tmp_path / ("model" if file == "export" else "model.pb"))
    for method in (tfxai.Gradient(), tfxai.GuidedBackprop(), tfxai.GradCAM(layer="block5c_add"), tfxai.LRP()):
        assert apart(method(module, photos, score="logit"), method(model, photos, score="logit")) <= 2e-2


@pytest.mark.slow
def test_a_block_of_a_real_module(anew: Any) -> None:
    model, module, photos = anew
    wanted = tfxai.GradCAM(layer="block5c_add")(model, photos)
    assert apart(tfxai.GradCAM(layer="EfficientNet/block5c")(module, photos), wanted) <= 2e-2


# What can be asked of a module


def test_a_module_says_what_is_inside(net, saved) -> None:
    module = hub.load(saved["tf1"])
    assert set(module.signatures) == {"default", "image_classification", "image_feature_vector"}
    assert module.signature == "image_classification"
    assert "image_classification" in repr(module)
    assert "default (N, 4)" in repr(module)
    assert module.inputs == {"images": tf.TensorSpec([None, 16, 16, 3], tf.float32, "images")}
    assert module.outputs["default"].shape.as_list() == [None, 4]
    assert module.outputs["Net/c"].shape.as_list() == [None, 7, 7, 6]
    ends = module.endpoints
    assert [name for name in ends if name.startswith("Net/")] == ["Net/in", "Net/a", "Net/b", "Net/c"]
    assert ends["b/depthwise"].shape.as_list() == [None, 16, 16, 8]
    variables = module.variables
    assert len(variables) == len(net.weights)
    np.testing.assert_array_equal(
        variables["module/Net/a/conv/kernel"].numpy(), net.get_layer("a_conv").kernel.numpy()
    )
    np.testing.assert_allclose(module(X).numpy(), net(X).numpy(), rtol=1e-4, atol=1e-6)


def test_another_signature_stands_on_the_same_variables(net, saved) -> None:
    module = hub.load(saved["tf1"])
    features = module.use("image_feature_vector")
    wanted = keras.Model(net.inputs, net.get_layer("pool").output)
    np.testing.assert_allclose(features(X).numpy(), wanted(X).numpy(), rtol=1e-4, atol=1e-6)
    name = "module/Net/c/conv/bias"
    assert features.variables[name] is module.variables[name]
    before = features(X).numpy()
    module.variables[name].assign_add(np.ones(6, np.float32))
    assert np.abs(features(X).numpy() - before).max() > 0.5


LIVE = {"gradient": tfxai.Gradient(), "occlusion": tfxai.Occlusion()}


@once("file", file=("export", "tf1", "tf1_references"), method=LIVE)
def test_a_changed_weight_is_seen_without_another_trace(saved, file: str, method: str) -> None:
    module, configured = hub.load(saved[file]), LIVE[method]
    before = configured(module, X, targets=1).values
    count = traces(module)
    (kernel,) = (
        v for name, v in module.variables.items() if "c" in name and v.shape.as_list() == [3, 3, 8, 6]
    )
    held = kernel.numpy()
    kernel.assign(-held)
    assert np.abs(configured(module, X, targets=1).values - before).max() > 0
    kernel.assign(held)
    np.testing.assert_array_equal(configured(module, X, targets=1).values, before)
    assert traces(module) == count


def test_frozen_weights_of_a_large_job_are_those_of_the_module(saved, monkeypatch) -> None:
    module, method = hub.load(saved["tf1"]), tfxai.Occlusion(window=4, stride=4)
    before = method(module, X).values
    monkeypatch.setattr(perturb, "FREEZE", 1)
    same(method(module, X), dataclasses.replace(method(module, X), values=before))
    kernel = module.variables["module/Net/c/conv/kernel"]
    kernel.assign(-kernel)
    changed = method(module, X, targets=1).values
    monkeypatch.undo()
    np.testing.assert_allclose(changed, method(module, X, targets=1).values, rtol=1e-4, atol=1e-6)


def test_endpoints_of_an_export_have_the_names_of_the_layers(net, saved) -> None:
    module = hub.load(saved["export"])
    ends = module.endpoints
    for layer in net.layers[1:]:
        assert ends[layer.name].shape.as_list() == list(layer.output.shape)
    assert ends["c_conv/BiasAdd"].shape == ends["c_conv"].shape
    assert {i.path for i in tfxai.layers(module)} <= set(ends)
    assert tfxai.layers(module).chosen == "c_relu"
    for name in ("c_relu", "c_relu/Relu", module.endpoint("c_relu").tensor):
        found = tfxai.GradCAM(layer=name)(module, X)
        np.testing.assert_array_equal(found.values, tfxai.GradCAM()(module, X).values)


def test_layers_with_numbers_keep_theirs(tmp_path: Path) -> None:
    """Keras writes conv2d_1 and conv2d_1_2 for the second call of conv2d and conv2d_1."""
    L = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = L.Conv2D(4, 3, name="conv2d", activation="relu")(inputs)
    x = L.Conv2D(5, 3, name="conv2d_1", activation="relu")(x)
    keras.Model(inputs, L.Dense(2, name="dense_7")(L.GlobalMaxPooling2D(name="last_2")(x))).export(
        tmp_path / "m", verbose=False
    )
    ends = hub.load(tmp_path / "m").endpoints
    assert ends["conv2d"].shape[-1] == 4
    assert ends["conv2d_1"].shape[-1] == 5
    assert ends["conv2d_1/Relu"].shape[-1] == 5
    assert ends["last_2"].shape.as_list() == [None, 5]
    assert ends["dense_7"].shape.as_list() == [None, 2]


def test_a_layer_that_is_called_twice_takes_no_name_from_another(tmp_path: Path) -> None:
    """The second call of conv2d is written conv2d_3; the layer of that name is another one."""
    keras.utils.set_random_seed(0)
    L = keras.layers
    inputs = keras.Input((8, 8, 3))
    shared = L.Conv2D(3, 3, padding="same", name="conv2d")
    x = shared(inputs)
    x = L.Conv2D(3, 3, padding="same", activation="relu", name="conv2d_1")(x)
    x = shared(x)
    x = L.Conv2D(3, 3, padding="same", activation="relu", name="conv2d_2")(x)
    x = L.Conv2D(3, 3, padding="same", activation="relu", name="conv2d_3")(x)
    model = keras.Model(inputs, L.Dense(2, name="out")(L.GlobalAveragePooling2D()(x)))
    model.export(tmp_path / "m", verbose=False)
    module = hub.load(tmp_path / "m")
    assert "conv2d#2" in module.endpoints
    x = np.random.default_rng(0).random((2, 8, 8, 3)).astype(np.float32)
    for name in ("conv2d_1", "conv2d_2", "conv2d_3"):
        method = tfxai.HiResCAM(layer=name)
        same(method(module, x), method(model, x))
    last = tfxai.GradCAM(layer="conv2d")(model, x)  # of several calls the last
    same(tfxai.GradCAM(layer="conv2d#2")(module, x), last)
    steps = [layer.path for layer in weighted_layers(module, x)]
    assert steps == ["conv2d", "conv2d_1", "conv2d_2", "conv2d_3", "out"]


def test_gradients_flow_through_a_module(net, saved) -> None:
    module, kernel = hub.load(saved["export"]), "a_conv/kernel"
    x = tf.constant(X)

    def slopes(model: Any, weight: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(model(x)[:, 1])
        return tape.gradient(value, [x, weight])

    wanted = slopes(lambda x: net(x, training=False), net.get_layer("a_conv").kernel.value)
    for compiled in (False, True):
        run = tf.function(slopes) if compiled else slopes
        for one, other in zip(run(module, module.variables[kernel]), wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


class Pair(tf.Module):
    """Two inputs, three outputs, none of them the default."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 6], tf.float32, "row"),
            tf.TensorSpec([None, 2], tf.float32, "extra"),
        ]
    )
    def serve(self, row: Any, extra: Any) -> Any:
        both = row[:, :3] * 2 - row[:, 3:]
        return {"a": both, "b": tf.nn.softmax(extra), "c": tf.concat([both, extra], 1)}


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    pair = Pair()
    tf.saved_model.save(pair, str(tmp_path / "pair"), signatures={"only": pair.serve})
    module = hub.load(tmp_path / "pair")
    assert (module.signature, module.output) == ("only", None)
    generator = np.random.default_rng(0)
    given = {"extra": generator.random((2, 2)), "row": generator.random((2, 6))}
    assert set(module(given)) == {"a", "b", "c"}
    with pytest.raises(ValueError, match=r"3 outputs: 'a'.*score=tfxai.scores.logit"):
        tfxai.Gradient()(module, given)
    with pytest.raises(ValueError, match="2 inputs"):
        module(given["row"])
    assert list(module.inputs) == ["extra", "row"]
    with pytest.raises(ValueError, match=r"by name. Give a dict with the keys \['extra', 'row'\]"):
        tfxai.Gradient()(module, [given["extra"], given["row"]])
    with pytest.raises(ValueError, match=r"keys \['row'\]"):
        module({"row": given["row"]})
    found = tfxai.Gradient()(module, given, targets=[1, 0], score=tfxai.scores.logit(output="c"))
    np.testing.assert_allclose(found.values["row"][0], [0, 2, 0, 0, -1, 0])
    np.testing.assert_allclose(found.values["row"][1], [2, 0, 0, -1, 0, 0])
    np.testing.assert_allclose(found.values["extra"], np.zeros((2, 2)))
    hidden = tfxai.KernelSHAP(input="row", background=np.zeros((1, 6), np.float32))
    shares = hidden(module, given, targets=2, score=tfxai.scores.output(output="a"))
    np.testing.assert_allclose(
        shares.values["row"][:, [2, 5]], given["row"][:, [2, 5]] * [2, -1], rtol=1e-4, atol=1e-6
    )


def test_words_through_a_table_and_a_loop(tmp_path: Path) -> None:
    """A text model: its table is filled from a file of the module, its GRU is a loop."""
    keras.utils.set_random_seed(0)
    texts = ["good film", "a bad film", "a good day in a bad year"]
    words = keras.layers.TextVectorization(max_tokens=20, output_sequence_length=7)
    words.adapt(texts)
    inputs = keras.Input((1,), dtype="string")
    x = keras.layers.GRU(6)(keras.layers.Embedding(20, 5)(words(inputs)))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    model.export(tmp_path / "text", verbose=False)
    module = hub.load(tmp_path / "text")
    for method in (tfxai.PartitionSHAP(), tfxai.KernelSHAP()):
        found, wanted = (method(m, texts, targets=1) for m in (module, model))
        assert np.nanmax(np.abs(wanted.values)) > 0
        np.testing.assert_allclose(found.values, wanted.values, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_gradients_go_back_through_a_loop(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((9, 4)), keras.layers.LSTM(6), keras.layers.Dense(3)])
    model.export(tmp_path / "loop", verbose=False)
    x = np.random.default_rng(0).normal(size=(2, 9, 4)).astype(np.float32)
    module = hub.load(tmp_path / "loop")
    for method in (
        tfxai.IntegratedGradients(steps=4),
        tfxai.Gradient(),
        tfxai.SmoothGrad(samples=3),
        tfxai.Occlusion(),
    ):
        same(method(module, x), method(model, x))
    with pytest.raises(ValueError, match="inside a loop or condition, whose weights a layer cannot hold"):
        hub.as_layer(module)


def test_a_function_with_a_gradient_of_its_own(tmp_path: Path) -> None:
    """silu: the file keeps its gradient; to rules it is an elementwise function."""
    keras.utils.set_random_seed(0)
    L = keras.layers
    model = keras.Sequential(
        [keras.Input((8, 8, 2)), L.Conv2D(4, 3, activation="silu"), L.GlobalAveragePooling2D(), L.Dense(3)]
    )
    model.export(tmp_path / "silu", verbose=False)
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype(np.float32)
    for method in (tfxai.Gradient(), tfxai.DeepLIFT(), tfxai.LRP()):
        same(method(hub.load(tmp_path / "silu"), x), method(model, x))


@tf.custom_gradient
def turned(x: Any) -> Any:
    """A gradient that is not the derivative: -3 times it, and it reads what lies inside."""
    inside = tf.round(x * 4)
    return inside / 4, lambda dy: -3 * dy * tf.sign(inside)


class Turning(keras.layers.Layer):
    def __init__(self, nested: bool) -> None:
        super().__init__()
        self.nested = nested

    def call(self, x: Any) -> Any:
        return tf.function(turned)(x) if self.nested else turned(x)


@pytest.mark.parametrize("nested", [False, True])
def test_a_gradient_that_is_not_the_derivative_is_kept_in_the_file(tmp_path: Path, nested: bool) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4), Turning(nested), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.export(tmp_path / "turned", verbose=False)
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    first, last = layers[0].get_weights()[0], layers[2].get_weights()[0]
    wanted = (-3 * np.sign(np.round(layers[0](x).numpy() * 4)) * last[:, 1]) @ first.T
    np.testing.assert_allclose(tfxai.Gradient()(model, x, 1).values, wanted, rtol=1e-4)
    for _ in range(2):  # a second file of the same model has gradients of its own
        found = tfxai.Gradient()(hub.load(tmp_path / "turned"), x, 1).values
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_a_gradient_that_the_file_does_not_keep_is_missed(tmp_path: Path) -> None:
    module = tf.Module()
    module.serve = tf.function(turned, input_signature=[tf.TensorSpec((None, 3))])
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, tmp_path / "lost", options=options)
    with pytest.warns(UserWarning, match="gradient of their own .* does not keep .* rounded"):
        hub.load(tmp_path / "lost")


# As a layer


@every(2, endpoint=("the output", "c_relu"))
def test_a_layer_for_transfer_learning(net, saved, tmp_path: Path, endpoint: str) -> None:
    name, module = None if endpoint == "the output" else endpoint, hub.load(saved["export"])
    layer = hub.as_layer(module, name)
    pool = [keras.layers.GlobalAveragePooling2D()] if name else []
    model = keras.Sequential([keras.Input((16, 16, 3)), layer, *pool, keras.layers.Dense(2, name="head")])
    inner = net if name is None else keras.Model(net.inputs, net.get_layer(name).output)
    np.testing.assert_allclose(layer(X), inner(X, training=False), rtol=1e-4, atol=1e-6)
    assert [v.name for v in model.trainable_variables] == ["kernel", "bias"]

    y = np.array([[1.0, 0], [0, 1], [1, 1]])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    held = [np.array(w) for w in layer.weights]
    model.fit(X, y, epochs=1, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(held, layer.weights, strict=True))

    layer.trainable = True
    trained = len(inner.trainable_weights)
    assert len(model.trainable_variables) == trained + 2
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = float(model.evaluate(X, y, verbose=0))
    model.fit(X, y, epochs=5, verbose=0)
    assert float(model.evaluate(X, y, verbose=0)) < before
    moved = [not np.array_equal(a, b) for a, b in zip(held, layer.weights, strict=True)]
    assert sum(moved) == trained  # statistics of batch norm stay
    np.testing.assert_array_equal(module(X), hub.load(saved["export"])(X))  # the module has its own

    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(again(X), model(X), rtol=1e-5, atol=1e-6)
    model.export(tmp_path / "exported", verbose=False)
    np.testing.assert_allclose(hub.load(tmp_path / "exported")(X), model(X), rtol=1e-4, atol=1e-5)


def test_a_layer_behind_any_operation(saved) -> None:
    inputs = keras.Input((16, 16, 3))
    x = hub.as_layer(hub.load(saved["export"]), "c_relu")(inputs * 2.0)
    assert x.shape == (None, 7, 7, 6)
    model = keras.Model(inputs, x)
    np.testing.assert_allclose(
        model(X), hub.as_layer(hub.load(saved["export"]), "c_relu")(2 * X), rtol=1e-4, atol=1e-6
    )


def test_a_module_runs_compiled_whatever_is_set(saved) -> None:
    before = hub.load(saved["export"])(X)
    tf.config.run_functions_eagerly(True)
    try:
        module = hub.load(saved["export"])
        np.testing.assert_array_equal(module(X), before)
        assert np.abs(tfxai.Gradient()(module, X).values).max() > 0
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.mark.slow
def test_inside_a_layer_is_explained_too(net, saved) -> None:
    """As the same network with a Keras layer in place of each of the module's."""
    layer, head = hub.as_layer(hub.load(saved["export"])), keras.layers.Dense(2)
    model = keras.Sequential([keras.Input((16, 16, 3)), layer, head])
    twin = keras.Sequential([net, head])
    for method in (
        tfxai.Gradient(),
        tfxai.GuidedBackprop(),
        tfxai.DeepLIFT(),
        tfxai.GradCAM(),
        tfxai.AblationCAM(),
    ):
        same(method(model, X), method(twin, X))
    named = tfxai.GradCAM(layer=f"{layer.name}/b_add")(model, X)
    same(named, tfxai.GradCAM(layer="net/b_add")(twin, X))


# Errors


def test_what_is_not_there(saved, net, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    tf.saved_model.save(tf.Module(), str(tmp_path / "bare"))
    (tmp_path / "text.pb").write_bytes(b"no graph at all")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"\x12\x03abc")
    tf1, frozen = saved["tf1"], saved["frozen"]
    wrong = {
        "There is no model .*nowhere": {"source": tmp_path / "nowhere"},
        "no saved_model.pb": {"source": tmp_path / "empty"},
        "no signature to call": {"source": tmp_path / "bare"},
        "text.pb is not a frozen graph": {"source": tmp_path / "text.pb"},
        "broken does not load as a SavedModel": {"source": tmp_path / "broken"},
        "no signature 'image_clasification'. Nearest: image_classification": {
            "source": tf1,
            "signature": "image_clasification",
        },
        r"no variant with tags \['gpu'\]. It has: \[\['train'\], \[\]\]": {"source": tf1, "tags": ["gpu"]},
        "frozen graph, without signatures": {"source": frozen, "signature": "serving_default"},
        "SavedModel, which names its inputs": {"source": tf1, "inputs": "x"},
        "no tensor 'xx:0' for inputs=": {"source": frozen, "inputs": "xx:0"},
    }
    for message, arguments in wrong.items():
        with pytest.raises(ValueError, match=message):
            hub.load(**arguments)
    net.save(tmp_path / "net.keras")
    slips = {
        r"net.keras is a Keras file. Load it with keras.models.load_model": {
            "source": tmp_path / "net.keras"
        },
        "source is a Functional": {"source": net},
        "signature is 3. Give a name": {"source": tf1, "signature": 3},
        "tags is 3. Give a name or a list": {"source": tf1, "tags": 3},
        r"outputs is \[\]": {"source": frozen, "outputs": []},
    }
    for message, arguments in slips.items():
        with pytest.raises(ValueError, match=message):
            hub.load(**arguments)
    assert hub.load(tf1 / "saved_model.pb").source == str(tf1)
    with pytest.raises(ValueError, match="as_layer got a Functional"):
        hub.as_layer(net)
    module = hub.load(tf1)
    with pytest.raises(ValueError, match=r"images has shape \(2, 5, 5, 3\), .* takes \(N, 16, 16, 3\)"):
        module(np.zeros((2, 5, 5, 3)))
    with pytest.raises(ValueError, match="takes"):
        module("cat")
    with pytest.raises(ValueError, match="no signature 'x'"):
        module.use("x")
    with pytest.raises(ValueError, match=r"no endpoint 'Net/d'\. Nearest: Net/"):
        tfxai.GradCAM(layer="Net/d")(module, X)
    with pytest.raises(ValueError, match="go by name"):
        tfxai.GradCAM(layer=3)(module, X)
    with pytest.raises(ValueError, match=r"inputs has shape \(3, 8, 8, 3\), the model takes"):
        tfxai.Gradient()(module, X[:, :8, :8])
    with pytest.raises(ValueError, match="frozen graph"):
        hub.load(frozen).use("x")


def test_a_variant_for_training_is_another_graph(saved) -> None:
    """Batch norm by the statistics of the batch."""
    module, training = hub.load(saved["tf1"]), hub.load(saved["tf1"], tags="train")
    assert np.abs(module(X) - training(X)).max() > 0.01


def test_a_frozen_graph_with_named_ends(net, saved) -> None:
    whole = hub.load(saved["frozen"])
    (relu,) = [name for name in whole.endpoints if name.startswith("c_relu") and name.endswith("/Relu")][:1]
    node = whole.endpoint(relu).tensor
    for name in (node, node.removesuffix(":0")):
        part = hub.load(saved["frozen"], inputs="x", outputs=[name])
        wanted = keras.Model(net.inputs, net.get_layer("c_relu").output)
        np.testing.assert_allclose(part(X), wanted(X), rtol=1e-4, atol=1e-6)
    # From an inner tensor on.
    rest = hub.load(saved["frozen"], inputs=node)
    np.testing.assert_allclose(rest(wanted(X)), net(X), rtol=1e-4, atol=1e-6)
    assert whole.variables == {}


def test_a_frozen_graph_finds_layers_by_the_names_that_they_had(net, saved) -> None:
    module = hub.load(saved["frozen"])
    assert "c_conv" not in module.endpoints  # the graph says c_conv_1
    for layer in ("c_conv", "c_relu", "c_relu/Relu"):
        found = tfxai.GradCAM(layer=layer)(module, X)
        np.testing.assert_allclose(
            found.values, tfxai.GradCAM(layer=layer.split("/")[0])(net, X).values, rtol=1e-3, atol=1e-6
        )
    with pytest.raises(ValueError, match=r"no endpoint 'c_con'.*c_conv_1"):
        tfxai.GradCAM(layer="c_con")(module, X)


def test_a_module_is_forgotten_with_the_last_use_of_it(saved) -> None:
    module = hub.load(saved["export"])
    tfxai.GradCAM()(module, X)
    module(X)
    held = weakref.ref(module)
    del module
    gc.collect()
    assert held() is None
