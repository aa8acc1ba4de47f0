"""Methods at a layer inside, on every kind of model, against the head of a hand-written twin; and what `at` refuses."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import truth
from covering import once
from kinds import Kind, flat, seeded
from models import BUILDERS, kind
from test_battery import same

import tfxai

STEPS = 3
MIDPOINTS = [(k + 0.5) / STEPS for k in range(STEPS)]
METHODS: dict[str, Any] = {
    "gradient": tfxai.Gradient(),
    "integrated_gradients": tfxai.IntegratedGradients(steps=STEPS, rule="midpoint"),
    "conductance": tfxai.Conductance(steps=STEPS),
}
SEVERAL = ("twins", "video", "detector", "ragged")  # whose maps are not those of one call of one layer


def slopes_at(model: Kind, maps: Any, points: list[Any] | None = None) -> np.ndarray:
    """Derivatives of the predicted class's score by a layer's output, by the twin's head."""
    maps, points = tf.convert_to_tensor(maps), model.at() if points is None else points
    with tf.GradientTape() as tape:
        tape.watch(maps)
        logits = tf.cast(model.head(maps, points, tf.nn.relu), tf.float32)
        value = tf.gather(logits, model.predicted(), axis=1, batch_dims=1)
    return np.asarray(tf.cast(tape.gradient(value, maps), tf.float32))


def wanted_of(model: Kind, method: str) -> np.ndarray:
    """The layer's values, written down for the twin."""
    ends = model.at()
    begins = truth.origin(model, ends)

    def points_at(share: float) -> list[Any]:
        pairs = enumerate(zip(begins, ends, strict=True))
        return [end if i in model.fixed else begin + share * (end - begin) for i, (begin, end) in pairs]

    def maps_at(share: float) -> Any:
        return model.features(points_at(share), tf.nn.relu)

    first, last = (np.asarray(tf.cast(maps_at(share), tf.float32)) for share in (0.0, 1.0))
    if method == "conductance":
        places = [k / STEPS for k in range(STEPS + 1)]
        points = [points_at(share) for share in places]
        maps = [np.asarray(tf.cast(maps_at(share), tf.float32)) for share in places]
        slopes = [slopes_at(model, maps_at(s), each) for s, each in zip(places, points, strict=True)]
        return sum((slopes[k] + slopes[k + 1]) / 2 * (maps[k + 1] - maps[k]) for k in range(STEPS))
    if method == "integrated_gradients":
        at = [slopes_at(model, tf.cast(first + a * (last - first), maps_at(1.0).dtype)) for a in MIDPOINTS]
        return (last - first) * sum(at) / STEPS
    return slopes_at(model, maps_at(1.0))


@once("method", name=BUILDERS, method=METHODS)
def test_the_values_of_a_layer_are_those_of_the_twins_head(name: str, method: str) -> None:
    model, configured = kind(name), METHODS[method]
    if not model.cam:
        with pytest.raises(ValueError, match="plain callable has no layers"):
            configured(model.model, model.inputs, at="head")
        return
    layer = model.layer or tfxai.layers(model.model, model.inputs).chosen
    if name in SEVERAL:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        result = configured(model.model, model.inputs, at=layer, **model.asked)
    assert result.at == layer
    same(result.values, wanted_of(model, method), model)
    if result.delta is not None:  # against scores of plain calls, at the inputs and at their baselines
        ends = model.at()
        scores = [
            truth.score(model, points, result.targets).numpy() for points in (ends, truth.origin(model, ends))
        ]
        gap = np.asarray(result.values, np.float64).reshape(len(scores[0]), -1).sum(1) - (
            scores[0] - scores[1]
        )
        np.testing.assert_allclose(
            result.delta, gap, atol=(1e-4 if model.exact else 5e-2) * max(np.abs(scores[0]).max(), 1)
        )


# One small network with a way past a layer, and one of words and positions


@pytest.fixture(scope="module")
def past() -> keras.Model:
    """Two layers, of which the second has a way past it."""
    seeded(1)
    inputs = keras.Input((6, 5))
    first = keras.layers.Dense(4, activation="tanh", name="first")(inputs)
    second = keras.layers.Dense(4, activation="relu", name="second")(first)
    both = keras.layers.Add(name="both")([first, second])
    outputs = keras.layers.Dense(3, name="head")(keras.layers.Flatten()(both))
    return keras.Model(inputs, outputs)


ROWS = np.random.default_rng(0).normal(size=(3, 6, 5)).astype(np.float32)


def change(model: keras.Model, target: int = 0) -> np.ndarray:
    """Of the score, from zeros."""
    return np.asarray(model(ROWS))[:, target] - np.asarray(model(0 * ROWS))[:, target]


def total(values: Any) -> np.ndarray:
    return sum(np.asarray(v, np.float64).reshape(len(v), -1).sum(1) for v in flat(values))


COMPLETE = {
    "integrated_gradients": tfxai.IntegratedGradients(tolerance="0.1%"),
    "conductance": tfxai.Conductance(steps=400),
    "deep_lift": tfxai.DeepLIFT(),
    "guided_ig": tfxai.GuidedIG(steps=400),
    "expected_gradients": tfxai.ExpectedGradients(background=0 * ROWS[:1], samples=2000),
}


@pytest.mark.parametrize("method", COMPLETE)
@pytest.mark.parametrize("at", ["first", "both", ["first", "second"]], ids=str)
def test_values_of_layers_that_all_goes_through_add_up(past: keras.Model, method: str, at: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # behind the last ReLU there is nothing to change
        result = COMPLETE[method](past, ROWS, targets=0, at=at)
    wanted = change(past)
    loose = 0.1 if method == "expected_gradients" else 0.02
    np.testing.assert_allclose(total(result.values), wanted, atol=loose * np.abs(wanted).max())
    np.testing.assert_allclose(result.delta, total(result.values) - wanted, atol=2e-5)


@pytest.mark.parametrize("method", COMPLETE)
def test_delta_tells_what_goes_past_a_layer(past: keras.Model, method: str) -> None:
    with pytest.warns(UserWarning, match="may go past second"):
        result = COMPLETE[method](past, ROWS, targets=0, at="second")
    head = past.get_layer("head").kernel.numpy()[:, 0].reshape(6, 4)
    first, second = (past.get_layer(name) for name in ("first", "second"))
    steps = np.asarray(second(first(ROWS))) - np.asarray(second(first(0 * ROWS)))
    # Behind the layer all is linear, so every one of these methods must give the head's weights times the step.
    np.testing.assert_allclose(result.values, steps * head, atol=1e-4)
    np.testing.assert_allclose(result.delta, (steps * head).sum((1, 2)) - change(past), atol=1e-4)


def test_layers_that_are_made_of_each_other_are_explained_side_by_side(past: keras.Model) -> None:
    result = tfxai.Gradient()(past, ROWS, targets=1, at=["first", "second"])
    head = past.get_layer("head").kernel.numpy()[:, 1].reshape(6, 4)
    assert list(result.values) == result.at == ["first", "second"]
    for values in result.values.values():  # what goes through the second layer is the second layer's
        np.testing.assert_allclose(values, np.broadcast_to(head, (3, 6, 4)), rtol=1e-5)


def test_lrp_at_a_layer_hands_its_relevance_out_there(past: keras.Model) -> None:
    result = tfxai.LRP()(past, ROWS, targets=0, at="both")
    both = keras.Model(past.inputs, past.get_layer("both").output)(ROWS).numpy()
    wanted = both * past.get_layer("head").kernel.numpy()[:, 0].reshape(6, 4)
    np.testing.assert_allclose(result.values, wanted, rtol=1e-3, atol=1e-5)


@keras.saving.register_keras_serializable("tests")
class WithPositions(keras.layers.Layer):
    """Embeddings of words, of positions (one table for all rows, no batch axis), and of segments, added up."""

    def build(self, shape: Any) -> None:
        self.words = keras.layers.Embedding(20, 4, name="words")
        self.places = keras.layers.Embedding(7, 4, name="places")

    def call(self, ids: Any) -> Any:
        return self.words(ids) + self.places(keras.ops.arange(7))


def reader(side: bool = False) -> keras.Model:
    seeded(5)
    ids = keras.Input((7,), dtype="int32")
    embedded = WithPositions(name="embedded")(ids)
    mixed = keras.layers.MultiHeadAttention(2, 4, name="mixing")(embedded, embedded)
    pooled = keras.layers.GlobalMaxPooling1D()(keras.layers.Dense(6, activation="gelu")(mixed))
    return keras.Model(ids, keras.layers.Dense(3)(pooled))


IDS = np.array([[1, 5, 2, 9, 0, 3, 3], [4, 4, 19, 2, 1, 0, 7]])


def test_words_and_positions_are_told_apart_and_add_up() -> None:
    model = reader()
    words, places = "embedded/words", "embedded/places"
    method = tfxai.IntegratedGradients(steps=200)
    result = method(model, IDS, targets=2, at=[words, places])
    assert {name: v.shape for name, v in result.values.items()} == {words: (2, 7, 4), places: (2, 7, 4)}
    layer = model.get_layer("embedded")
    rest = keras.Model(layer.output, model.output)

    def score(vectors: Any) -> Any:
        return rest(vectors)[:, 2]

    # The way that both go together, by hand; positions go from what they are to what they are, and contribute nothing.
    baseline = np.broadcast_to(np.asarray(layer.places(np.arange(7))), (2, 7, 4))
    end, nodes = np.asarray(layer(IDS)), (np.arange(400) + 0.5) / 400
    slopes = []
    for share in nodes:
        point = tf.constant(baseline + share * (end - baseline))
        with tf.GradientTape() as tape:
            tape.watch(point)
            value = score(point)
        slopes.append(tape.gradient(value, point).numpy())
    np.testing.assert_allclose(
        result.values[words],
        np.mean(slopes, 0) * (end - baseline),
        atol=2e-3 * np.abs(result.values[words]).max(),
    )
    assert not result.values[places].any()
    np.testing.assert_allclose(
        total(result.values), np.asarray(score(end) - score(baseline)), rtol=2e-3, atol=1e-5
    )


def test_what_serves_all_rows_is_each_rows_own() -> None:
    model, at = reader(), "embedded/places"
    both = tfxai.Gradient()(model, IDS, targets=2, at=at).values
    assert both.shape == (2, 7, 4)
    for i in range(2):
        alone = tfxai.Gradient()(model, IDS[i : i + 1], targets=2, at=at).values[0]
        np.testing.assert_allclose(both[i], alone, rtol=1e-4, atol=1e-7)
    words = tfxai.Gradient()(model, IDS, targets=2, at="embedded/words").values
    np.testing.assert_allclose(both, words, rtol=1e-4, atol=1e-7)  # they are added up


def test_a_baseline_of_token_ids_is_what_the_layer_makes_of_them() -> None:
    model = reader()
    other = np.roll(IDS, 1, axis=1)
    result = tfxai.IntegratedGradients(steps=300, baseline=other)(model, IDS, targets=0, at="embedded")
    change = np.asarray(model(IDS) - model(other))[:, 0]
    np.testing.assert_allclose(total(result.values), change, atol=2e-3 * np.abs(change).max() + 1e-5)
    np.testing.assert_allclose(result.delta, total(result.values) - change, atol=1e-5)


@pytest.mark.parametrize("score", ["logit", "probability"])
def test_several_targets_and_small_batches_change_nothing(past: keras.Model, score: str) -> None:
    whole = tfxai.SmoothGrad(samples=4)(past, ROWS, targets=tfxai.top(2), at="first", score=score)
    assert whole.values.shape == (3, 2, 6, 4)
    few = tfxai.SmoothGrad(samples=4)(
        past, ROWS, targets=tfxai.top(2), at="first", score=score, batch_size=2, progress=True
    )
    np.testing.assert_allclose(whole.values, few.values, rtol=1e-4, atol=1e-7)


def over_time(length: int) -> keras.Model:
    """Inside, steps come before examples."""
    inputs = keras.Input((length, 3))
    turned = keras.layers.Lambda(lambda x: keras.ops.transpose(x, (1, 0, 2)), name="turned")(inputs)
    inner = keras.layers.Dense(4, name="inner")(turned)
    back = keras.layers.Lambda(lambda x: keras.ops.transpose(x, (1, 0, 2)))(inner)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(back)))


@pytest.mark.parametrize("length", [2, 3, 5])
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_another_first_axis_is_never_taken_for_the_examples(length: int, rows: int) -> None:
    with pytest.raises(ValueError, match="first axis is not theirs"):
        tfxai.Gradient()(over_time(length), np.ones((rows, length, 3), np.float32), at="inner")


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_positions_of_short_texts_are_each_rows_own(length: int, rows: int) -> None:
    seeded(3)
    ids = keras.Input((length,), dtype="int32")
    words, table = (
        keras.layers.Embedding(9, 4, name="words"),
        keras.layers.Embedding(length, 4, name="places"),
    )

    @keras.saving.register_keras_serializable("tests")
    class Numbered(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.places = table

        def call(self, x: Any) -> Any:
            return x + self.places(keras.ops.arange(length))

    x = keras.layers.Dense(6, activation="gelu")(Numbered(name="numbered")(words(ids)))
    model = keras.Model(ids, keras.layers.Dense(3)(keras.ops.sum(x, 1)))
    texts = np.random.default_rng(0).integers(1, 9, (rows, length))
    both = tfxai.Gradient()(model, texts, targets=1, at=["words", "numbered/places"]).values
    assert both["words"].shape == both["numbered/places"].shape == (rows, length, 4)
    np.testing.assert_allclose(both["words"], both["numbered/places"], rtol=1e-4, atol=1e-7)
    for method in (tfxai.InputXGradient(), tfxai.IntegratedGradients(steps=3)):
        assert method(model, texts, targets=1, at="numbered/places").values.shape == (rows, length, 4)


def twice() -> keras.Model:
    inputs, layer = keras.Input((4,)), keras.layers.Dense(4, name="again")
    return keras.Model(inputs, keras.layers.Dense(2)(layer(layer(inputs))))


def windows() -> keras.Model:
    inputs = keras.Input((4, 6))
    cut = keras.layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 3)), name="cut")(inputs)
    joined = keras.layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 24)), output_shape=(24,))(
        keras.layers.Dense(3, name="inside")(cut)
    )
    return keras.Model(inputs, keras.layers.Dense(2)(joined))


def codes() -> keras.Model:
    inputs = keras.Input((4,))
    rounded = keras.layers.Lambda(lambda x: keras.ops.cast(x, "int32"), name="whole")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()([inputs, rounded])))


@pytest.mark.parametrize(
    ("model", "at", "words"),
    [
        (twice, "again", "called 2 times"),
        (windows, "inside", "first axis is not theirs"),
        (codes, "whole", "fractions"),
        (codes, "dens", "does not exist"),
        (codes, ["whole", 3.5], "a layer's path"),
        (codes, [], "a layer's path"),
        (reader, ["embedded", "mixing", "embedded"], "different ones"),
        (reader, ["embedded", "global_max_pooling1d"], "last axis"),
    ],
)
def test_what_is_no_place_is_refused_in_words(model: Any, at: Any, words: str) -> None:
    made = model()
    inputs = IDS if model is reader else np.ones((2, *made.input_shape[1:]), np.float32)
    before = made.get_weights()
    with pytest.raises(ValueError, match=words):
        tfxai.Gradient()(made, inputs, at=at)
    for old, new in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("method", [tfxai.RISE(), tfxai.GradCAM(), tfxai.BlurIG(), tfxai.KernelSHAP()])
def test_methods_that_explain_inputs_alone_say_so(past: keras.Model, method: Any) -> None:
    with pytest.raises(ValueError, match=r"at='first'.*Conductance"):
        method(past, ROWS, at="first")


def test_results_keep_the_layer_and_are_no_maps_of_inputs(past: keras.Model, tmp_path: Any) -> None:
    result = tfxai.InputXGradient()(past, ROWS, targets=0, at=["first", "both"])
    result.save(tmp_path / "at.npz")
    again = tfxai.Explanation.load(tmp_path / "at.npz")[[2, 0]]
    assert again.at == ["first", "both"]
    np.testing.assert_array_equal(again.values["both"], result.values["both"][[2, 0]])
    np.testing.assert_array_equal(again.heatmap("both"), result.values["both"][[2, 0]].sum(-1))
    with pytest.raises(ValueError, match="no layer 'second'"):
        result.heatmap("second")
    with pytest.raises(ValueError, match="not at the inputs"):
        result.one()
    with pytest.raises(ValueError, match="not at the inputs"):
        tfxai.metrics.deletion(past, result)


def test_pictures_of_layers_lie_on_the_input_or_show_units(past: keras.Model) -> None:
    seeded(2)
    photo = keras.Input((8, 8, 3))
    maps = keras.layers.Conv2D(5, 3, strides=2, activation="relu", name="maps")(photo)
    network = keras.Model(
        photo, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D(name="pool")(maps))
    )
    photos = np.random.default_rng(1).uniform(size=(2, 8, 8, 3)).astype(np.float32)
    result = tfxai.Gradient()(network, photos, targets=[0, 1], at="maps")
    figure = tfxai.plots.show(result)
    image = figure.axes[1].images[-1].get_array()
    assert image.shape == (8, 8)
    np.testing.assert_allclose(image[:2, :2], result.values[0].sum(-1)[0, 0])  # 3 cells over 8 pixels
    np.testing.assert_allclose(image[-2:, -2:], result.values[0].sum(-1)[2, 2])
    units = tfxai.plots.show(tfxai.InputXGradient()(network, photos, targets=0, at="pool"))
    assert any("unit" in label.get_text() for label in units.axes[0].get_yticklabels())
    assert "at pool" in " ".join(text.get_text() for text in units.texts)
