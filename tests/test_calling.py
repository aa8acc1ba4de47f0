"""How models are called: at their own batch size, with one draw of what they draw, in images of any size."""

from __future__ import annotations

import pathlib
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.model.tracing import traces

L = keras.layers
SERIES = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
IMAGES = np.random.default_rng(1).random((5, 8, 8, 3)).astype(np.float32)


def slow_but(methods: dict[str, Any], *quick: str) -> list[Any]:
    """One row for each method, of which few are quick: the kinds of models of the batteries meet all of them."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in methods]


def by_hand(model: Callable[[Any], Any], x: np.ndarray, size: int, target: int = 0) -> np.ndarray:
    """Gradients by a tape, as many rows at a time as the model takes."""
    found = []
    for start in range(0, len(x), size):
        rows = np.minimum(np.arange(start, start + size), len(x) - 1)
        batch = tf.constant(x[rows])
        with tf.GradientTape() as tape:
            tape.watch(batch)
            score = model(batch)[:, target]
        found.append(tape.gradient(score, batch).numpy()[: len(x) - start])
    return np.concatenate(found)


def recurrent(size: int) -> tuple[Any, Callable[[Any], Any], list[np.ndarray]]:
    """A stateful model after a first batch, a function that runs it from this state, and the state."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input(batch_shape=(size, 5, 3)), L.LSTM(4, stateful=True, unroll=True), L.Dense(2)]
    )
    model(np.random.default_rng(5).normal(size=(size, 5, 3)).astype(np.float32))
    states = model.layers[0].states
    held = [state.numpy() for state in states]

    def from_here(x: Any) -> Any:
        for state, value in zip(states, held, strict=True):
            state.assign(value)
        return model(x)

    return model, from_here, held


def restore(model: Any, held: list[np.ndarray]) -> None:
    for state, value in zip(model.layers[0].states, held, strict=True):
        state.assign(value)


def test_a_stateful_model_of_batch_one_is_explained_as_by_a_tape() -> None:
    model = keras.Sequential([keras.Input(batch_shape=(1, 5, 3)), L.LSTM(4, stateful=True), L.Dense(1)])
    x = np.ones((1, 5, 3), np.float32)
    wanted = by_hand(model, x, 1)
    model.layers[0].reset_states()
    np.testing.assert_allclose(tfxai.Gradient()(model, x, 0).values, wanted, atol=1e-6)
    assert all((state.numpy() == 0).all() for state in model.layers[0].states)


@pytest.mark.parametrize("size", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_each_row_is_explained_from_the_state_at_its_place(size: int) -> None:
    model, from_here, held = recurrent(size)
    wanted = np.stack([by_hand(from_here, SERIES, size, target) for target in (0, 1)], 1)
    restore(model, held)
    found = tfxai.Gradient()(model, SERIES, [[0, 1]] * 3)
    np.testing.assert_allclose(found.values, wanted, atol=1e-6)
    smooth = tfxai.SmoothGrad(samples=3, noise=0.0)(model, SERIES, 1).values
    np.testing.assert_allclose(smooth, wanted[:, 1], atol=1e-6)

    def scores(x: np.ndarray) -> np.ndarray:
        whole = np.concatenate([x, np.repeat(x[-1:], -len(x) % size, 0)])
        return np.concatenate([from_here(whole[i : i + size])[:, 0] for i in range(0, len(whole), size)])[:3]

    whole = scores(SERIES)
    falls = []
    for place in range(5):
        hidden = SERIES.copy()
        hidden[:, place] = 0
        falls.append(whole - scores(hidden))
    restore(model, held)
    occluded = tfxai.Occlusion(window=1, stride=1)(model, SERIES, 0).values
    np.testing.assert_allclose(occluded[..., 0], np.stack(falls, 1), atol=1e-6)
    zeros = scores(np.zeros_like(SERIES))
    restore(model, held)
    for method in (
        tfxai.IntegratedGradients(tolerance="1%"),
        tfxai.KernelSHAP(samples=32, background=0.0, segmenter="grid", segments=5),
    ):
        result = method(model, SERIES, 0)
        np.testing.assert_allclose(
            result.values.sum((1, 2)), whole - zeros, atol=0.01 * np.abs(whole - zeros).max()
        )
    assert all(
        (state.numpy() == value).all() for state, value in zip(model.layers[0].states, held, strict=True)
    )


def written_for_one(classes: int = 2) -> Any:
    """A number of rows, one, is written into the model."""
    keras.utils.set_random_seed(0)
    model = [L.Conv1D(4, 2, activation="relu"), L.MaxPooling1D(2), L.Reshape((2, 4))]
    flat = L.Lambda(lambda t: tf.reshape(t, (1, 8)))
    return keras.Sequential([keras.Input(batch_shape=(1, 5, 3)), *model, flat, L.Dense(classes)])


def at_any_size(model: Any) -> Any:
    """The same layers, for any number of rows."""
    return keras.Sequential([keras.Input((5, 3)), *model.layers[:3], L.Flatten(), model.layers[4]])


METHODS = {
    "gradient": tfxai.Gradient(),
    "input_x_gradient": tfxai.InputXGradient(),
    "smooth_grad": tfxai.SmoothGrad(samples=3),
    "integrated_gradients": tfxai.IntegratedGradients(steps=4),
    "expected_gradients": tfxai.ExpectedGradients(SERIES[:2], samples=6),
    "guided_ig": tfxai.GuidedIG(steps=4),
    "deep_lift": tfxai.DeepLIFT(),
    "lrp": tfxai.LRP(),
    "guided_backprop": tfxai.GuidedBackprop(),
    "grad_cam": tfxai.GradCAM(),
    "guided_grad_cam": tfxai.GuidedGradCAM(),
    "score_cam": tfxai.ScoreCAM(),
    "ablation_cam": tfxai.AblationCAM(),
    "lime": tfxai.LIME(samples=10, hide=0.0, segmenter="grid", segments=5),
    "partition_shap": tfxai.PartitionSHAP(evals=8, masker=0.0),
}


@pytest.mark.parametrize("method", slow_but(METHODS, "deep_lift", "expected_gradients", "score_cam"))
def test_every_method_says_the_same_of_a_model_for_one_row_as_of_its_twin_for_any(method: str) -> None:
    model = written_for_one()
    found, wanted = (METHODS[method](each, SERIES, 1) for each in (model, at_any_size(model)))
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-5)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
    if wanted.delta is not None:
        np.testing.assert_allclose(found.delta, wanted.delta, atol=1e-5)


@pytest.mark.slow
def test_metrics_sanity_checks_and_tables_of_layers_run_one_row_at_a_time() -> None:
    model = written_for_one()
    twin = at_any_size(model)
    explanation = tfxai.Gradient()(model, SERIES, 0)
    for metric in (tfxai.metrics.deletion, tfxai.metrics.average_increase):
        np.testing.assert_allclose(
            metric(model, explanation).values, metric(twin, explanation).values, atol=1e-5
        )
    before = model.get_weights()
    report = tfxai.sanity.randomize_model([tfxai.Gradient()], model, SERIES, targets=[0, 0, 0])
    assert list(report.verdict()) == ["gradient"]
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert next(row.path for row in tfxai.layers(model) if row.spatial) == model.layers[0].name


@pytest.mark.parametrize(
    "kind", slow_but(dict.fromkeys(["file", "layer", "compiled", "concrete", "function"]), "file")
)
def test_files_and_functions_for_one_row(kind: str, tmp_path: pathlib.Path) -> None:
    model = written_for_one()
    if kind in ("file", "layer"):
        model.export(str(tmp_path), verbose=False)
    compiled = tf.function(lambda t: model(t), input_signature=[tf.TensorSpec((1, 5, 3))])
    made: dict[str, Callable[[], Any]] = {
        "file": lambda: tfxai.hub.load(str(tmp_path)),
        "layer": lambda: keras.Sequential(
            [keras.Input(batch_shape=(1, 5, 3)), tfxai.hub.as_layer(tfxai.hub.load(str(tmp_path)))]
        ),
        "compiled": lambda: compiled,
        "concrete": compiled.get_concrete_function,
        "function": lambda: lambda t: model(tf.reshape(t, (1, 5, 3))),  # which says nothing of it
    }
    given = made[kind]()
    np.testing.assert_allclose(
        tfxai.Gradient()(given, SERIES, 1).values, by_hand(model, SERIES, 1, 1), atol=1e-6
    )
    method = tfxai.Occlusion(window=1, stride=1)
    wanted = method(at_any_size(model), SERIES, 1).values
    np.testing.assert_allclose(method(given, SERIES, 1).values, wanted, atol=1e-5)


@pytest.mark.slow
def test_an_exported_state_is_that_of_its_row(tmp_path: pathlib.Path) -> None:
    model, from_here, held = recurrent(2)
    model.export(str(tmp_path), verbose=False)
    module = tfxai.hub.load(str(tmp_path))
    wanted = by_hand(from_here, SERIES, 2)
    for variable in module.variables.values():  # exporting runs nothing, but be sure of what is compared
        same = [value for value in held if value.shape == tuple(variable.shape)]
        assert not same or any((variable.numpy() == value).all() for value in same)
    np.testing.assert_allclose(tfxai.Gradient()(module, SERIES, 0).values, wanted, atol=1e-6)


@pytest.mark.parametrize("rows", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_functions_of_arrays_that_take_one_number_of_rows(rows: int) -> None:
    model = at_any_size(written_for_one())

    def interpreter(x: np.ndarray) -> np.ndarray:
        if len(x) != rows:
            raise ValueError(f"Got {len(x)} but expected {rows} for dimension 0 of input 0.")
        return model(np.asarray(x)).numpy()

    for method in (tfxai.Occlusion(window=1, stride=1), METHODS["lime"]):
        found, wanted = (method(each, SERIES, 1).values for each in (interpreter, model))
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_function_that_fails_on_any_number_of_rows_says_what_it_said() -> None:
    def fails(x: Any) -> Any:
        raise ValueError("never on a Thursday")

    with pytest.raises(ValueError, match="never on a Thursday"):
        tfxai.Occlusion()(fails, SERIES)
    with pytest.raises(ValueError, match="never on a Thursday"):
        tfxai.Gradient()(fails, SERIES, 0)


def test_ids_that_are_turned_on_the_way_are_placed_at_batch_one() -> None:
    table = L.Embedding(9, 1, embeddings_initializer=lambda shape, dtype: tf.reshape(tf.range(9.0), shape))
    ids = keras.Input(batch_shape=(1, 3), dtype="int32")
    one = keras.initializers.Constant(np.array([[1.0], [10.0], [100.0]]))
    turned = L.Flatten()(table(ids[:, ::-1]))
    model = keras.Model(ids, L.Dense(1, kernel_initializer=one)(turned))
    rows = np.array([[1, 2, 3], [4, 5, 6]])
    found = tfxai.InputXGradient()(model, rows, 0).values
    np.testing.assert_allclose(found, rows * np.array([100.0, 10.0, 1.0]))


@pytest.mark.slow
def test_a_stateful_model_of_keras_2_keeps_its_state() -> None:
    tf_keras = pytest.importorskip("tf_keras")
    K = tf_keras.layers
    model = tf_keras.Sequential([K.InputLayer((5, 3), batch_size=2), K.LSTM(4, stateful=True), K.Dense(2)])
    model(SERIES[:2])
    states = model.layers[0].states
    held = [state.numpy() for state in states]

    def from_here(x: Any) -> Any:
        restore(model, held)
        return model(x)

    wanted = by_hand(from_here, SERIES, 2)
    restore(model, held)
    for method in (tfxai.Gradient(), tfxai.SmoothGrad(samples=3, noise=0.0)):
        np.testing.assert_allclose(method(model, SERIES, 0).values, wanted, atol=1e-6)
    assert all((state.numpy() == value).all() for state, value in zip(states, held, strict=True))


# What a model draws


class MonteCarlo(keras.Model):
    """Dropout, noise and draws of its own that are on whenever it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.dense = L.Conv2D(6, 3, activation="relu"), L.Dense(2)
        self.spatial, self.noise, self.drop = L.SpatialDropout2D(0.5), L.GaussianNoise(0.3), L.Dropout(0.5)
        self.by_row, self.pool = L.TimeDistributed(L.Dropout(0.3)), L.GlobalAveragePooling2D()
        self.source = keras.random.SeedGenerator(3)

    def call(self, x: Any) -> Any:
        x = self.noise(self.spatial(self.conv(x), training=True), training=True)
        x = self.by_row(self.drop(x, training=True), training=True)
        x = x * keras.random.truncated_normal(keras.ops.shape(x), 1.0, 0.1, seed=self.source)
        return self.dense(self.drop(self.pool(x), training=True))


@pytest.fixture(scope="module")
def drawing() -> Any:
    keras.utils.set_random_seed(0)
    model = MonteCarlo()
    model(IMAGES)
    return model


def quiet(call: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return call()


DRAWN = {
    "gradient": tfxai.Gradient(),
    "smooth_grad": tfxai.SmoothGrad(samples=2),
    "integrated_gradients": tfxai.IntegratedGradients(steps=3),
    "deep_lift": tfxai.DeepLIFT(),
    "occlusion": tfxai.Occlusion(window=4, stride=4),
    "grad_cam": tfxai.GradCAM(),
}


@pytest.mark.parametrize("name", slow_but(DRAWN, "gradient", "deep_lift"))
def test_a_draw_is_the_same_for_every_batch_size_and_row(name: str, drawing: Any) -> None:
    method = DRAWN[name]
    seeds = [v.numpy() for v in drawing.variables if "seed" in v.path]
    whole = quiet(lambda: method(drawing, IMAGES, 0))
    in_parts = quiet(lambda: method(drawing, IMAGES, 0, batch_size=2))
    alone = quiet(lambda: method(drawing, IMAGES[3:4], 0))
    assert all(
        (s == v.numpy()).all()
        for s, v in zip(seeds, [v for v in drawing.variables if "seed" in v.path], strict=True)
    )
    drawing(IMAGES)  # which moves the model's own seeds
    later = quiet(lambda: method(drawing, IMAGES, 0))
    largest = np.abs(whole.values).max()
    assert largest > 0
    for other, rows in ((in_parts, slice(None)), (alone, slice(3, 4)), (later, slice(None))):
        np.testing.assert_allclose(other.values, whole.values[rows], atol=1e-5 * largest)
    if isinstance(method, tfxai.DeepLIFT):  # both ends of the path see one draw
        assert np.abs(whole.delta).max() < 1e-5


@pytest.mark.slow
def test_a_draw_follows_the_seed_and_the_user_is_told(drawing: Any) -> None:
    def maps(seed: int) -> np.ndarray:
        method = tfxai.SmoothGrad(samples=1, noise=0.0, seed=seed)
        return quiet(lambda: method(drawing, IMAGES, 0)).values

    several = np.stack([maps(seed) for seed in range(4)])
    assert np.ptp(several, axis=0).max() > 1e-3
    np.testing.assert_array_equal(several[3], maps(3))
    with pytest.warns(UserWarning, match="One draw is explained") as told:
        tfxai.IntegratedGradients(steps=3)(drawing, IMAGES, 0)
    assert len(told) == 1


def test_a_draw_of_a_function_is_a_draw_of_one_row() -> None:
    def scores(x: Any) -> Any:
        return tf.reduce_sum(tf.nn.dropout(x, 0.5), (1, 2, 3))[:, None]

    tf.random.set_seed(1)
    first = tf.random.uniform([3]).numpy()
    tf.random.set_seed(1)
    values = quiet(lambda: tfxai.Gradient()(scores, IMAGES, 0)).values
    np.testing.assert_array_equal(tf.random.uniform([3]).numpy(), first)  # the user's draws are as they were
    assert {*np.unique(values)} == {0.0, 2.0}
    assert 0.35 < (values[0] == 0).mean() < 0.65
    np.testing.assert_array_equal(values, np.repeat(values[:1], 5, 0))


def test_a_generator_of_the_users_stays_where_it_is() -> None:
    generator = tf.random.Generator.from_seed(1)

    def scores(x: Any) -> Any:
        return tf.reduce_sum(x * generator.normal(tf.shape(x)), (1, 2, 3))[:, None]

    before = generator.state.numpy()
    first, second = (quiet(lambda: tfxai.Gradient()(scores, IMAGES, 0)).values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(generator.state.numpy(), before)


def test_draws_that_cannot_be_fixed_are_said_to_be_so() -> None:
    @tf.function
    def scores(x: Any) -> Any:
        return tf.reduce_sum(tf.nn.dropout(x, 0.5), (1, 2, 3))[:, None]

    with pytest.warns(UserWarning, match="cannot be fixed"):
        tfxai.Gradient()(scores, IMAGES, 0)


def test_a_model_that_draws_nothing_between_input_and_score_warns_of_nothing() -> None:
    def scores(x: Any) -> Any:
        tf.random.uniform(tf.shape(x))
        return tf.reduce_sum(x, (1, 2, 3))[:, None]

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        np.testing.assert_array_equal(tfxai.Gradient()(scores, IMAGES, 0).values, np.ones_like(IMAGES))


# Sizes that change

SIZES = [(12, 12), (10, 14), (16, 12), (9, 11), (13, 17)]


def convolutional(strides: int = 2) -> Any:
    keras.utils.set_random_seed(0)
    layers = [
        L.Conv2D(4, 3, activation="relu"),
        L.Conv2D(5, 3, strides=strides, activation="relu", name="last"),
    ]
    return keras.Sequential([keras.Input((None, None, 3)), *layers, L.GlobalAveragePooling2D(), L.Dense(3)])


def of_size(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).random((2, height, width, 3)).astype(np.float32)


SIZED = {
    "gradient": tfxai.Gradient(),
    "integrated_gradients": tfxai.IntegratedGradients(steps=3),
    "deep_lift": tfxai.DeepLIFT(),
    "grad_cam": tfxai.GradCAM(),
    "guided_ig": tfxai.GuidedIG(steps=2),  # which needs lengths, as do those that hide parts
    "occlusion": tfxai.Occlusion(window=4, stride=4),
}


@pytest.mark.parametrize("name", slow_but(SIZED, "gradient"))
def test_after_the_third_size_no_other_size_is_traced(name: str) -> None:
    method, model, counts = SIZED[name], convolutional(), []
    for size in SIZES:
        before = traces(model)
        found = method(model, of_size(*size), 1)
        counts.append(traces(model) - before)
        wanted = method(convolutional(), of_size(*size), 1)
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-5 * np.abs(wanted.values).max())
    if name not in ("guided_ig", "occlusion"):
        assert counts[0] > 0
        assert counts[3:] == [0, 0]


def test_a_model_that_needs_lengths_is_traced_for_each_size() -> None:
    class Positions(L.Layer):
        def call(self, x: Any) -> Any:
            return x * np.linspace(0, 1, x.shape[1], dtype=np.float32)[None, :, None, None]

    positions, pool = Positions(), L.GlobalAveragePooling2D()

    def scores(x: Any) -> Any:
        return pool(positions(x))

    for height in (4, 5, 6, 7, 8):
        values = tfxai.Gradient()(scores, np.ones((1, height, 8, 1), np.float32), 0).values
        wanted = np.linspace(0, 1, height)[:, None] / (height * 8)
        np.testing.assert_allclose(values[0, ..., 0], np.broadcast_to(wanted, (height, 8)), atol=1e-6)


@pytest.mark.slow
def test_an_image_whose_last_maps_are_single_points_is_read_before_them() -> None:
    model = convolutional(3)
    for size in [(12, 12), (10, 14), (16, 12), (5, 5)]:
        found = tfxai.GradCAM()(model, of_size(*size), 1).values
        wanted = tfxai.GradCAM()(convolutional(3), of_size(*size), 1).values
        np.testing.assert_allclose(found, wanted, atol=1e-6)
