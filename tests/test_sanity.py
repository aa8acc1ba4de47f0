"""Sanity checks: the steps, the new weights, the numbers against loops by hand, and the paper's finding on a real model."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from covering import every
from kinds import settle
from models import BUILDERS, kind
from scipy import stats
from skimage.feature import hog
from skimage.filters import sobel
from skimage.metrics import structural_similarity
from sklearn.datasets import load_digits

import tfxai
from tfxai import sanity
from tfxai.cli import main
from tfxai.model import weights_kept
from tfxai.model.tracing import traces
from tfxai.model.weights import Weight, weighted_layers
from tfxai.stats.similarity import Reference

SIZE = 40  # large beside what one number of the last maps sees: borders look alike in every model
X = np.random.default_rng(0).random((3, SIZE, SIZE, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    L = keras.layers
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Normalization(mean=0.5, variance=0.1, name="adapted")(inputs)
    x = L.ReLU()(
        L.BatchNormalization(name="bn1")(L.Conv2D(6, 3, padding="same", name="one", use_bias=False)(x))
    )
    x = L.ReLU()(L.Conv2D(6, 3, padding="same", name="two")(x))
    x = L.BatchNormalization(name="bn2")(L.Add(name="sum")([x, L.Conv2D(6, 1, name="side")(x)]))
    x = L.GlobalAveragePooling2D()(x)
    return settle(keras.Model(inputs, L.Dense(4, name="out")(x), name="net"))


def bits(model: Any) -> list[bytes]:
    return [np.asarray(v).tobytes() for v in model.variables]


def edges(model: Any, inputs: Any, targets: Any = None) -> tfxai.Explanation:
    """A method that ignores the model."""
    values = np.stack([sobel(x.mean(axis=-1)) for x in inputs])[..., None].astype(np.float32)
    return found(values, inputs, targets)


def found(values: np.ndarray, inputs: Any, targets: Any) -> tfxai.Explanation:
    targets = np.broadcast_to(np.asarray(0 if targets is None else targets), len(inputs))
    return tfxai.Explanation(
        values, np.asarray(inputs), targets, np.zeros(len(inputs), np.float32), None, "own", "none"
    )


# Steps


def test_a_step_is_a_layer_with_the_batch_norms_that_it_feeds(net) -> None:
    steps = {layer.path: [w.name.split("/")[-1] for w in layer.weights] for layer in weighted_layers(net, X)}
    norm = ["gamma", "beta", "moving_mean", "moving_variance"]
    assert steps == {
        "one": ["kernel", *norm],
        "two": ["kernel", "bias"],
        "side": ["kernel", "bias", *norm],  # the last to run of those that the sum adds
        "out": ["kernel", "bias"],
    }


@every(2, name=[name for name in BUILDERS if name not in ("callable", "time_major")])
def test_every_weight_of_every_kind_of_model_belongs_to_one_step(name: str) -> None:
    model = kind(name)
    steps = weighted_layers(model.model, model.inputs)
    held = [id(w.variable) for layer in steps for w in layer.weights]
    assert len(held) == len(set(held))
    # Counters, seeds and ids are no weights; quantised ones of 8 bits are.
    counting = ("int32", "int64", "uint32")
    assert set(held) == {id(v) for v in model.model.weights if not str(v.dtype).endswith(counting)}
    paths = {info.path for info in tfxai.layers(model.model, model.inputs)}
    own = [layer.path for layer in steps if layer.path not in paths]
    assert all("/" in path for path in own)  # cells inside layers, which are called in a loop
    trained = [w for layer in steps for w in layer.weights if w.initializer is None]
    assert all(w.name.endswith(("token", "places", "_scale")) for w in trained)


def test_quantised_weights_are_drawn_anew_and_given_back() -> None:
    """What a model of 8 bits knows lies in whole numbers: with new scales alone it would still know most of it."""
    model = kind("eight_bits")
    held = [np.array(v) for v in model.model.weights]
    kernels = [v for v in model.model.weights if "int8" in str(v.dtype)]
    moved: list[bool] = []

    def method(*arguments: Any, **more: Any) -> tfxai.Explanation:
        moved.append(
            all(
                not np.array_equal(v, held[[w is v for w in model.model.weights].index(True)])
                for v in kernels
            )
        )
        return tfxai.Gradient()(*arguments, **more)

    tfxai.sanity.randomize_model(method, model.model, model.inputs, 0)
    assert not moved[0]
    assert moved[-1]
    assert all(np.array_equal(a, b) for a, b in zip(held, model.model.weights, strict=True))


@every(2, 1, name=("nested", "sequential", "vit", "subclassed", "two_inputs_dict", "eight_bits"))
def test_a_module_has_the_same_steps(name: str, tmp_path: Path) -> None:
    from test_hub import export

    model = kind(name)
    export(model.model, tmp_path / "m", model.inputs)
    module = tfxai.hub.load(tmp_path / "m")
    wanted = [
        sorted(np.asarray(w.variable).tobytes() for w in layer.weights)
        for layer in weighted_layers(model.model, model.inputs)
    ]
    got = [
        sorted(np.asarray(w.variable).tobytes() for w in layer.weights)
        for layer in weighted_layers(module, model.inputs)
    ]
    # Layers that run side by side (query, key, value; branches) may come in another order.
    assert sorted(got) == sorted(wanted)
    if name not in ("vit", "two_inputs_dict"):
        assert got == wanted


# New weights


def test_weights_are_drawn_as_the_layer_first_drew_them(net) -> None:
    steps = {layer.path: layer for layer in weighted_layers(net, X)}
    before = bits(net)
    with weights_kept(list(steps.values())):
        steps["one"].redraw("layer", [0, 0])
        kernel = np.array(net.get_layer("one").kernel)
        limit = np.sqrt(6 / (3 * 9 + 6 * 9))  # Glorot's
        assert np.abs(kernel).max() <= limit
        assert stats.kstest(kernel.ravel(), "uniform", (-limit, 2 * limit)).pvalue > 0.01
        norm = net.get_layer("bn1")
        for weight, value in (
            (norm.gamma, 1),
            (norm.beta, 0),
            (norm.moving_mean, 0),
            (norm.moving_variance, 1),
        ):
            np.testing.assert_array_equal(weight, np.full(6, value, np.float32))
        steps["one"].redraw("layer", [0, 0])
        np.testing.assert_array_equal(kernel, net.get_layer("one").kernel)
        steps["one"].redraw("layer", [1, 0])
        assert np.abs(kernel - np.array(net.get_layer("one").kernel)).max() > 0.05
        steps["side"].redraw("uniform", [0, 0])
        kernel, norm = np.array(net.get_layer("side").kernel), net.get_layer("bn2")
        assert stats.kstest(kernel.ravel(), "uniform", (-1, 2)).pvalue > 0.01
        np.testing.assert_array_equal(norm.moving_variance, np.ones(6))
        assert np.abs(np.array(norm.gamma)).max() <= 1
    assert bits(net) == before


def test_weights_of_a_file_are_drawn_with_the_spread_of_the_trained(tmp_path: Path) -> None:
    """Batch norm apart: everybody knows how it starts."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(500), keras.layers.BatchNormalization()])
    generator = np.random.default_rng(0)
    model.set_weights(
        [generator.normal(0.3, 2, (40, 500)), np.zeros(500), *generator.lognormal(1, 0.5, (4, 500))]
    )
    model.export(tmp_path / "m", verbose=False)
    (step,) = weighted_layers(tfxai.hub.load(tmp_path / "m"), np.zeros((1, 40)))
    drawn = {w.name.split("/")[-1]: w.redrawn("layer", np.random.default_rng(1)) for w in step.weights}
    assert abs(drawn["kernel"].mean() - 0.3) < 0.05
    assert abs(drawn["kernel"].std() - 2) < 0.05
    for name, value in {"bias": 0, "gamma": 1, "beta": 0, "moving_mean": 0, "moving_variance": 1}.items():
        np.testing.assert_array_equal(drawn[name], np.full(500, value))


def test_weights_above_zero_stay_there() -> None:
    scales = keras.Variable(np.random.default_rng(0).lognormal(1, 0.5, 5000).astype(np.float32))
    logs = np.log(Weight("scales", scales).redrawn("layer", np.random.default_rng(1)))
    assert abs(logs.mean() - 1) < 0.05
    assert abs(logs.std() - 0.5) < 0.05


def test_a_weight_that_is_one_number_is_drawn_around_zero() -> None:
    for value in (np.float32(3.0), np.full(4, 3.0, np.float32)):
        drawn = [
            Weight("gain", keras.Variable(value)).redrawn("layer", np.random.default_rng(i))
            for i in range(400)
        ]
        assert abs(np.std(drawn) - 3) < 0.4
        assert abs(np.mean(drawn)) < 0.5


def test_an_lstm_starts_with_an_open_gate() -> None:
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.LSTM(3), keras.layers.Dense(2)])
    fresh = np.array(model.layers[0].cell.bias)
    steps = weighted_layers(model, np.zeros((1, 5, 2)))
    model.layers[0].cell.bias.assign(np.arange(12))
    for step in steps:
        step.redraw("layer", [0])
    np.testing.assert_array_equal(model.layers[0].cell.bias, fresh)


class Reading(keras.layers.Layer):
    """Multiplies with the kernel of a layer that it never calls, as cuDNN's kernel does with a recurrent cell's."""

    def __init__(self) -> None:
        super().__init__(name="reading")
        self.inner, self.unused = keras.layers.Dense(3, name="inner"), keras.layers.Dense(3, name="unused")

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.inner.build(shape)
        self.unused.build(shape)

    def call(self, x: Any) -> Any:
        return keras.ops.tanh(keras.ops.matmul(x, self.inner.kernel))


def test_weights_of_layers_that_are_read_but_never_called_are_destroyed() -> None:
    model = keras.Sequential([keras.Input((5,)), Reading(), keras.layers.Dense(2, name="last")])
    assert [layer.path for layer in weighted_layers(model, np.zeros((1, 5)))] == ["reading/inner", "last"]
    before = model.layers[0].inner.kernel.numpy()
    x = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    study = sanity.randomize_model(tfxai.Gradient(), model, x, 0)
    assert list(study.layers) == ["last", "reading/inner"]
    np.testing.assert_array_equal(model.layers[0].inner.kernel, before)


# Similarity


def test_similarities_are_those_of_scipy_and_scikit_image() -> None:
    one, two = np.random.default_rng(0).normal(size=(2, 50, 60))
    two += one
    got = Reference(one).similarity(two)
    assert got["spearman"] == pytest.approx(stats.spearmanr(one.ravel(), two.ravel()).statistic)
    assert got["spearman_abs"] == pytest.approx(
        stats.spearmanr(np.abs(one).ravel(), np.abs(two).ravel()).statistic
    )
    one, two = one / np.abs(one).max(), two / np.abs(two).max()
    assert got["ssim"] == pytest.approx(structural_similarity(one, two, data_range=2))
    cells = {"pixels_per_cell": (16, 16)}
    assert got["hog"] == pytest.approx(np.corrcoef(hog(one, **cells), hog(two, **cells))[0, 1])


def test_maps_without_structure_are_like_nothing_but_themselves() -> None:
    flat, noise = np.ones((20, 20)), np.random.default_rng(0).normal(size=(20, 20))
    assert set(Reference(flat).similarity(noise).values()) == {0.0}
    assert set(Reference(noise).similarity(flat).values()) == {0.0}
    assert set(Reference(noise).similarity(np.full((20, 20), np.nan)).values()) == {0.0}
    assert set(Reference(flat).similarity(flat).values()) == {1.0}
    series = Reference(noise[0]).similarity(noise[1])
    assert np.isnan(series["hog"])
    assert np.isfinite(series["ssim"])
    words = np.array([1.0, 3, 2, np.nan])
    assert Reference(words).similarity(np.array([2.0, 9, 5, np.nan]))["spearman"] == pytest.approx(1)


def test_a_random_twin_is_as_smooth_as_the_map() -> None:
    rough = np.random.default_rng(0).normal(size=(64, 64))
    y, x = np.mgrid[:64, :64]
    smooth = np.exp(-((x - 20) ** 2 + (y - 40) ** 2) / 300)
    for heat in (rough, smooth):
        twin = Reference(heat).random_twin(np.random.default_rng(1))
        wanted = np.abs(np.fft.rfftn(heat / np.abs(heat).max()))
        np.testing.assert_allclose(np.abs(np.fft.rfftn(twin))[1:, 1:-1], wanted[1:, 1:-1], atol=1e-8)
    alike = [
        Reference(smooth).spearman_abs(
            Reference(Reference(smooth).random_twin(np.random.default_rng(100 + i)))
        )
        for i in range(20)
    ]
    assert np.std(alike) > 0.15  # chance is not near zero for smooth maps
    alike = [
        Reference(rough).spearman_abs(Reference(Reference(rough).random_twin(np.random.default_rng(100 + i))))
        for i in range(20)
    ]
    assert np.std(alike) < 0.05


# The cascade


@pytest.mark.parametrize("mode", ["cascading", "independent"])
@pytest.mark.parametrize("order", ["top_down", "bottom_up", ["two", "out"]])
def test_the_report_is_what_a_loop_by_hand_finds(net, mode: str, order: Any) -> None:
    methods = {"gradient": tfxai.Gradient(), "cam": tfxai.GradCAM(layer="two")}
    report = sanity.randomize_model(methods, net, X, mode=mode, order=order, seed=5)
    twin = keras.models.clone_model(net)
    names = {"top_down": ["out", "side", "two", "one"], "bottom_up": ["one", "two", "side", "out"]}.get(
        str(order), order
    )
    assert report.layers == names
    assert report.methods == ["gradient", "cam"]
    classes = net(X).numpy().argmax(1)
    np.testing.assert_array_equal(report.targets, classes)
    steps = {layer.path: layer for layer in weighted_layers(twin, X)}
    twin.set_weights(net.get_weights())
    first: dict[str, Any] = {}
    for number in range(len(names) + 1):
        if number:
            if mode == "independent":
                twin.set_weights(net.get_weights())
            steps[names[number - 1]].redraw("layer", [5, number - 1])
        logits = twin(X, training=False).numpy()
        chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_array_equal(report.predictions[number], logits.argmax(1))
        np.testing.assert_allclose(report.scores[number], chances[np.arange(3), classes], rtol=1e-4)
        for row, (name, method) in enumerate(methods.items()):
            maps = method(twin, X, classes).heatmap()
            before = first.setdefault(name, maps)
            for i in range(3):
                alike = Reference(before[i]).similarity(maps[i])
                for measure, values in report.similarity.items():
                    assert values[row, number, i] == pytest.approx(alike[measure], abs=1e-3)


def test_everything_is_as_before_whatever_happens(net) -> None:
    before, seen = bits(net), []
    states = random.getstate(), np.random.get_state()[1].tolist()

    class Failing:
        def __init__(self, error: BaseException) -> None:
            self.error, self.calls = error, 0

        def __call__(self, model: Any, inputs: Any, targets: Any = None) -> Any:
            self.calls += 1
            seen.append(bits(model) == before)
            if self.calls == 3:
                raise self.error
            return edges(model, inputs, targets)

    for error in (RuntimeError("gone"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            sanity.randomize_model(Failing(error), net, X)
        assert bits(net) == before
    assert seen == [True, False, False] * 2
    for mode in ("cascading", "independent"):
        sanity.randomize_model(tfxai.Gradient(), net, X, mode=mode)
        assert bits(net) == before
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


def test_nothing_is_traced_again_from_layer_to_layer(net, monkeypatch) -> None:
    from tfxai.engines import perturb

    monkeypatch.setattr(perturb, "FREEZE", 1)  # frozen weights would mean a trace for each step
    methods = [tfxai.Gradient(), tfxai.GuidedBackprop(), tfxai.GradCAM(), tfxai.Occlusion(window=8, stride=8)]
    with tfxai.model.thawed():
        for method in methods:
            method(net, X, targets=0)
        tfxai.predictions.probabilities(net, X)
    weighted_layers(net, X)
    count = traces(net)
    sanity.randomize_model(methods, net, X, targets=0)
    assert traces(net) == count


def test_independent_steps_leave_the_other_layers_as_trained(net) -> None:
    held = {v.path: np.array(v) for v in net.weights}
    changed: list[set[str]] = []

    def look(model: Any, inputs: Any, targets: Any = None) -> Any:
        changed.append({v.path.split("/")[0] for v in model.weights if not np.array_equal(held[v.path], v)})
        return edges(model, inputs, targets)

    sanity.randomize_model(look, net, X, mode="independent", order="bottom_up")
    assert changed == [set(), {"one", "bn1"}, {"two"}, {"side", "bn2"}, {"out"}]
    changed.clear()
    sanity.randomize_model(look, net, X, layers=["net"])
    assert changed == [set(), {"one", "bn1", "two", "side", "bn2", "out"}]


def test_the_verdict_tells_who_looks_at_the_weights(net) -> None:
    """An edge detector fails; a method that reads the logits' weights alone passes, and so does the gradient."""

    def logit_weights(model: Any, inputs: Any, targets: Any = None) -> Any:
        kernel = np.asarray(model.get_layer("out").kernel)[:, 1]
        waves = np.sin(np.outer(np.arange(SIZE), np.linspace(0.3, 3, 6)))
        heat = np.einsum("c,yc,xc->yx", kernel, waves, waves)
        return found(np.repeat(heat[None, ..., None], len(inputs), 0).astype(np.float32), inputs, targets)

    def constant(model: Any, inputs: Any, targets: Any = None) -> Any:
        return found(np.ones((len(inputs), SIZE, SIZE, 1), np.float32), inputs, targets)

    methods = [edges, logit_weights, tfxai.Gradient(), constant]
    for mode in ("cascading", "independent"):
        verdict = sanity.randomize_model(methods, net, X, mode=mode).verdict()
        assert verdict == {"edges": False, "logit_weights": True, "gradient": True, "constant": False}


@pytest.mark.parametrize(
    ("curve", "order", "passes"),
    [
        ([1, 0.3, 0.3, 0.05], "top_down", True),
        ([1, 0.3, 0.3, 0.30], "top_down", False),  # still there when everything is destroyed
        ([1, 0.9, 0.9, 0.05], "top_down", False),  # the class was gone at the first step already
        ([1, 0.9, 0.9, 0.05], "bottom_up", True),
        ([1, -0.9, -0.9, -0.9], "top_down", True),
    ],
)
def test_the_rule_of_the_verdict(curve: Any, order: str, passes: bool) -> None:
    alike = {"spearman_abs": np.array(curve, np.float32)[None, :, None]}
    nothing = np.zeros((4, 1))
    report = sanity.SanityReport(
        ["a", "b", "c"],
        ["it"],
        alike,
        nothing,
        nothing,
        nothing[0],
        np.zeros((1, 1), np.float32),
        order=order,
    )
    assert report.verdict() == {"it": passes}


def test_a_module_of_a_file(net, tmp_path: Path) -> None:
    net.export(tmp_path / "m", verbose=False)
    module = tfxai.hub.load(tmp_path / "m")
    before = {name: v.numpy().tobytes() for name, v in module.variables.items()}
    report = sanity.randomize_model(
        [tfxai.Gradient(), edges], module, X, layers=["one", "two", "side", "out"]
    )
    assert report.layers == ["out", "side", "two", "one"]
    assert report.verdict() == {"gradient": True, "edges": False}
    assert {name: v.numpy().tobytes() for name, v in module.variables.items()} == before
    np.testing.assert_allclose(module(X), net(X), rtol=1e-4, atol=1e-5)


def test_a_report_is_kept_in_a_file(net, tmp_path: Path) -> None:
    report = sanity.randomize_model([tfxai.Gradient(), tfxai.LIME(samples=30)], net, X, explanations=True)
    again = sanity.SanityReport.load(report.save(tmp_path / "report.npz"))
    for name, values in report.similarity.items():
        np.testing.assert_array_equal(values, again.similarity[name])
    for name in ("predictions", "scores", "targets", "chance"):
        np.testing.assert_array_equal(getattr(report, name), getattr(again, name))
    for name in ("layers", "methods", "mode", "order"):
        assert getattr(again, name) == getattr(report, name)
    for name, all_of in report.explanations.items():
        for one, other in zip(all_of, again.explanations[name], strict=True):
            assert type(one) is type(other)
            np.testing.assert_array_equal(one.values, other.values)
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["verdict"] == report.verdict()
    assert np.shape(plain["similarity"]["ssim"]) == (2, 5, 3)
    assert "gradient" in repr(report)
    (tmp_path / "other.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="not a saved report"):
        sanity.SanityReport.load(tmp_path / "other.npz")


# Variants


def test_smooth_averages_over_noisy_copies(net) -> None:
    plain = sanity.randomize_model(tfxai.Gradient(), net, X, order="bottom_up")
    still = sanity.smooth(tfxai.Gradient(), net, X, samples=1, noise=0.0)
    np.testing.assert_allclose(still.similarity["spearman"], plain.similarity["spearman"], atol=1e-5)
    report = sanity.smooth({"it": tfxai.Gradient()}, net, X, samples=3, noise=0.2, seed=4, explanations=True)
    generator = np.random.default_rng(4)
    width = 0.2 * np.ptp(X, axis=(1, 2, 3), keepdims=True)
    noisy = [X + width * generator.normal(size=(1, SIZE, SIZE, 3)).astype(np.float32) for _ in range(3)]
    wanted = np.mean([tfxai.Gradient()(net, x, report.targets).values for x in noisy], axis=0)
    np.testing.assert_allclose(report.explanations["it"][0].values, wanted, rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="samples is 0"):
        sanity.smooth(tfxai.Gradient(), net, X, samples=0)


def test_efficient_compares_the_entropy_of_two_maps(net) -> None:
    before = bits(net)
    report = sanity.efficient([tfxai.Gradient(), edges], net, X, bins=40)
    assert bits(net) == before
    twin = keras.models.clone_model(net)
    twin.set_weights(net.get_weights())
    classes = net(X).numpy().argmax(1)
    for state in range(2):
        if state:
            for number, step in enumerate(weighted_layers(twin, X)):
                step.redraw("layer", [0, number])
        for row, method in enumerate((tfxai.Gradient(), edges)):
            for i, heat in enumerate(method(twin, X, classes).heatmap()):
                parts = np.histogram(heat / np.sqrt(np.mean(heat**2)), 40)[0] / heat.size
                assert report.complexity[state, row, i] == pytest.approx(stats.entropy(parts), rel=1e-3)
    trained, destroyed = report.complexity
    np.testing.assert_allclose(report.rise, (destroyed - trained) / trained)
    np.testing.assert_array_equal(report.rise[1], np.zeros(3))


@pytest.mark.slow
def test_twins_on_true_and_on_permuted_labels() -> None:
    digits = load_digits()
    x, y = (digits.images[:150, ..., None] / 16).astype(np.float32), digits.target[:150]

    def build() -> Any:
        L = keras.layers
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                L.Conv2D(24, 3, activation="relu"),
                L.Flatten(),
                L.Dense(96, "relu"),
                L.Dense(10),
            ]
        )
        model.compile(
            keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        return model

    report = sanity.randomize_labels(build, [tfxai.Gradient(), edges], x, y, epochs=60)
    assert report.accuracy["true"] == 1.0
    assert report.accuracy["permuted"] > 0.95
    assert report.similarity["spearman_abs"].shape == (2, 8)
    np.testing.assert_array_equal(report.similarity["ssim"][1], np.ones(8))
    assert report.similarity["spearman_abs"][0].mean() < 0.6
    again = sanity.randomize_labels(build, [tfxai.Gradient(), edges], x, y, epochs=60)
    np.testing.assert_allclose(report.similarity["spearman"], again.similarity["spearman"], atol=1e-2)
    with pytest.raises(ValueError, match="150 examples, y has 149"):
        sanity.randomize_labels(build, tfxai.Gradient(), x, y[1:])


# The real thing


@pytest.mark.slow
@pytest.mark.usefixtures("memory")
def test_guided_backprop_outlives_a_real_model() -> None:
    """The paper's finding. Grad-CAM's maps are smooth, so that by chance alone they are often alike: many draws."""
    model = tfxai.zoo.efficientnet_lite0()
    photos = tfxai.zoo.sample_photos().values()
    x = np.stack([tfxai.photos.fit(photo.astype(np.float32), (224, 224), 0.875) for photo in photos])
    before = bits(model)
    smooth, fine = [tfxai.GradCAM()], [tfxai.Gradient(), tfxai.GuidedBackprop(), edges]
    reports = [
        sanity.randomize_model(smooth + fine * (seed < 3), model, x, layers=[model.name], seed=seed)
        for seed in range(8)
    ]
    assert bits(model) == before

    def left(method: str) -> float:
        """How like the trained model's map the destroyed one's is, over all draws."""
        of_method = [
            report.similarity["spearman_abs"][list(report.methods).index(method), -1]
            for report in reports
            if method in report.methods
        ]
        return float(np.mean(of_method))

    assert left("guided_backprop") > left("gradient") + 0.1
    assert left("guided_backprop") > left("grad_cam") + 0.03
    wanted = {"gradient": True, "guided_backprop": False, "grad_cam": True, "edges": False}
    for report in reports:
        assert report.verdict() == {name: wanted[name] for name in report.methods}
        assert report.scores[0].min() > 0.25
        assert report.scores[1].max() < 0.002  # one in a thousand


@pytest.mark.slow
@pytest.mark.usefixtures("memory")
def test_a_real_cascade_reaches_the_same_end() -> None:
    model = tfxai.zoo.efficientnet_lite0()
    photos = tfxai.zoo.sample_photos()
    x = np.stack(
        [tfxai.photos.fit(photos[n].astype(np.float32), (224, 224), 0.875) for n in ("chelsea", "coffee")]
    )
    report = sanity.randomize_model([tfxai.Gradient(), tfxai.GuidedBackprop()], model, x)
    assert len(report.layers) == 50
    assert (report.layers[0], report.layers[-1]) == ("predictions", "stem_conv")
    gradient, guided = report.similarity["spearman_abs"].mean(axis=2)
    assert guided[10] > 0.95  # ten layers are gone, and nothing is to be seen of it
    assert gradient[1] < 0.5  # one layer is gone
    assert guided[-1] > gradient[-1] + 0.05
    assert report.verdict() == {"gradient": True, "guided_backprop": False}
    assert report.scores[-1].max() < 0.002


# Errors, pictures, commands


def test_wrong_calls_are_told(net, tmp_path: Path) -> None:
    run = sanity.randomize_model
    gradient = tfxai.Gradient()
    wrong = [
        ("methods is empty", lambda: run([], net, X)),
        (r"cannot be called .* Give Gradient\(\)", lambda: run(tfxai.Gradient, net, X)),
        ("plain callable cannot be changed", lambda: run(gradient, lambda x: x, X)),
        (
            r"No layer with weights is called 'thre'.* There are: one, two",
            lambda: run(gradient, net, X, layers=["thre"]),
        ),
        (
            r"order has \['two'\], which layers= leaves out",
            lambda: run(gradient, net, X, layers=["one"], order=["two"]),
        ),
        ('mode is "cascade"|mode is .cascade.', lambda: run(gradient, net, X, mode="cascade")),
        ("order is 'up'", lambda: run(gradient, net, X, order="up")),
        ("init is 'zero'", lambda: run(gradient, net, X, init="zero")),
        (r"top\(k\) would be other classes", lambda: run(gradient, net, X, targets=tfxai.top(2))),
        ("targets has shape", lambda: run(gradient, net, X, targets=[[0, 1]] * 3)),
        (r"layers is \[\]", lambda: run(gradient, net, X, layers=[])),
        (r"order is \[\]", lambda: run(gradient, net, X, order=[])),
        ("order is 3", lambda: run(gradient, net, X, order=3)),
        ("seed is -1", lambda: run(gradient, net, X, seed=-1)),
        ("samples is 'a'", lambda: sanity.smooth(gradient, net, X, samples="a")),
        ("bins is 0", lambda: sanity.efficient(gradient, net, X, bins=0)),
        ("build is None. Give a function", lambda: sanity.randomize_labels(None, gradient, X, [0, 1, 0])),
        ("gave a int", lambda: run(lambda model, inputs, targets: 3, net, X)),
    ]
    before = bits(net)
    for message, call in wrong:
        with pytest.raises(ValueError, match=message):
            call()
    assert bits(net) == before


def test_a_frozen_graph_has_nothing_to_destroy(net, tmp_path: Path) -> None:
    from test_hub import freeze

    with pytest.raises(ValueError, match="frozen graph: its weights are constants"):
        sanity.randomize_model(tfxai.Gradient(), tfxai.hub.load(freeze(net, tmp_path / "f.pb")), X)


def test_the_picture_has_a_row_for_each_method_and_curves(net) -> None:
    report = sanity.randomize_model([tfxai.Gradient(), tfxai.GradCAM()], net, X, explanations=True)
    figure = tfxai.plots.sanity(report, labels=["a", "b", "c", "d"], example=1, columns=3)
    maps = [ax for ax in figure.axes if ax.images or not ax.axison]
    assert len(maps) == 2 * (1 + 3)
    words = {text.get_text() for ax in figure.axes for text in ax.texts}
    assert {"gradient", "grad cam", "trained", "one"} <= words
    curves = [ax for ax in figure.axes if ax.lines]
    assert len(curves) == 2
    np.testing.assert_allclose(
        curves[0].lines[0].get_ydata(), report.similarity["spearman_abs"][0].mean(axis=1)
    )
    with pytest.raises(ValueError, match="example is 3"):
        tfxai.plots.sanity(report, example=3)


def test_from_the_command_line(net, tmp_path: Path, monkeypatch, capsys) -> None:
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    net.save("net.keras")
    for name in ("a.png", "b.png"):
        Image.fromarray((X[0] * 255).astype(np.uint8)).save(name)
    call = "sanity a.png b.png --model net.keras --preprocess 0..1 --out report.png --save report.npz"
    assert main([*call.split(), "--methods", "gradient,guided_backprop", "--layers", "out,one"]) == 0
    out = capsys.readouterr().out
    assert "gradient: depends on the weights" in out
    report = sanity.SanityReport.load("report.npz")
    assert report.layers == ["out", "one"]
    assert Image.open("report.png").size[0] > 800
    assert main([*call.split(), "--methods", "gradiant"]) == 2
    assert "Did you mean gradient" in capsys.readouterr().err
