"""What a trace depends on: the class and fields of what is traced, the needs of the method, and nothing that is forgotten."""

from __future__ import annotations

import dataclasses
import functools
import gc
import types
import weakref
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai
from tfxai.engines import Attribution, Method, Moments, ScoredBody, Sum, run_in_batches
from tfxai.model import Body, Needs, Network
from tfxai.model.tracing import key_of, traces

ROWS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def linear() -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.layers[0].set_weights([np.arange(8.0).reshape(4, 2) - 3, np.zeros(2)])
    return model


@dataclasses.dataclass(frozen=True)
class Scaled(ScoredBody):
    factor: float

    def __call__(self, tracer: Any, inputs: Any, target_codes: Any) -> Any:
        forward = tracer.forward(inputs)
        scores, targets = tracer.scored(forward, target_codes)
        return [self.factor * forward.gradients(scores)[0]], targets, scores


@dataclasses.dataclass(frozen=True)
class ScaledGradient(Method):
    factor: float

    def attribute(self, request: Any) -> Attribution:
        return Attribution(*run_in_batches(request, Scaled(self.factor)))


def test_a_field_of_the_body_is_part_of_its_key() -> None:
    model = linear()
    plain = tfxai.Gradient()(model, ROWS, 1).values
    for factor in (1.0, 5.0, 1.0):
        np.testing.assert_allclose(ScaledGradient(factor)(model, ROWS, 1).values, factor * plain, rtol=1e-6)
    assert traces(model) == 3  # the gradient, and one for each factor


def test_settings_of_a_statistic_are_part_of_its_key() -> None:
    assert key_of(Moments()) != key_of(Moments(contributions=True))
    assert key_of(Moments()) == key_of(Moments()) != key_of(Sum())


def first(x: Any) -> Any:
    return x


def second(x: Any) -> Any:
    return x


@dataclasses.dataclass
class Settings:
    """Neither frozen nor hashable, as a user's own score may be."""

    weight: float = 1.0
    mask: Any = None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0, None),
        ("1", 1),
        ((1, 2), [1, 2]),
        (np.zeros(3), np.zeros(3, np.float32)),
        (np.zeros(3), np.array([0, 0, 1.0])),
        (np.zeros((1, 3)), np.zeros((3, 1))),
        (np.array(["a", "b"], object), np.array(["a", "c"], object)),
        (first, second),
        (functools.partial(first, x=1), functools.partial(first, x=2)),
        (Settings(1.0), Settings(2.0)),
        (Settings(mask=np.ones(2)), Settings(mask=np.zeros(2))),
        ({"a": 1}, {"a": 2}),
        (tfxai.Gradient, tfxai.VarGrad),
        ({1, 2}, {1, 3}),
        (range(3), range(4)),
    ],
)
def test_different_settings_have_different_keys(one: Any, other: Any) -> None:
    assert key_of(one) != key_of(other)
    assert key_of(one) == key_of(one)
    assert key_of(other) == key_of(other)
    hash((key_of(one), key_of(other)))


def test_equal_settings_have_one_key() -> None:
    assert key_of(np.int64(3)) == key_of(3)
    assert key_of(np.arange(3.0)) == key_of(np.arange(3.0))
    assert key_of(Settings(2.0, np.ones(3))) == key_of(Settings(2.0, np.ones(3)))
    assert key_of(tfxai.RISE(samples=3)) == key_of(tfxai.RISE(samples=3))
    settings = Settings()
    assert key_of(settings.__eq__) == key_of(settings.__eq__)  # a method bound twice to one object


def test_a_key_keeps_nothing_alive_and_does_not_answer_for_another_object() -> None:
    layer = keras.layers.Dense(2)
    key, reference = key_of((layer, "name")), weakref.ref(layer)
    del layer
    gc.collect()
    assert reference() is None
    assert key != key_of((keras.layers.Dense(2), "name"))


class Loose:
    """Two of these say that they are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loose)

    def __hash__(self) -> int:
        return 1


def test_objects_count_by_identity_whatever_they_say() -> None:
    one, other = Loose(), Loose()
    assert one == other
    assert key_of(one) != key_of(other)
    assert key_of(one) == key_of(one)


def test_what_is_set_on_a_dataclass_counts_like_a_field() -> None:
    class Further(Settings):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        @functools.cached_property
        def remembered(self) -> float:
            return self.factor**2

    assert key_of(Further(1.0)) != key_of(Further(2.0))
    settings = Further(1.0)
    before = key_of(settings)
    assert settings.remembered == 1
    assert key_of(settings) == before


def test_a_body_that_is_not_a_dataclass_is_refused() -> None:
    class Loosely(Body):
        def __call__(self, network: Any, record: Any, *tensors: Any) -> Any:
            return network.forward(tensors).outputs

    with pytest.raises(TypeError, match="Loosely is not a dataclass"):
        Network(linear(), ROWS).traced(Loosely(), [ROWS])


def test_one_trace_tells_where_tokens_are_explained_to_all_methods() -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((3,), dtype="int32"), layers.Embedding(5, 2), layers.Flatten(), layers.Dense(2)]
    )
    ids = np.array([[1, 2, 3]])
    for needs in (Needs(), Needs(gradients=False), Needs(layers=True)):
        Network(model, ids, needs)
        assert traces(model) == 1


def test_a_mutable_score_is_asked_what_it_holds_now() -> None:
    @dataclasses.dataclass
    class Weighted:
        factor: float

        def __call__(self, outputs: Any, targets: Any) -> Any:
            return self.factor * outputs[:, 0]

    model, score = linear(), Weighted(1.0)
    plain = tfxai.Gradient()(model, ROWS, score=score).values
    score.factor = 3.0
    np.testing.assert_allclose(tfxai.Gradient()(model, ROWS, score=score).values, 3 * plain)


def test_ranks_are_not_taken_for_classes_by_a_score_that_has_none() -> None:
    """A trace for classes must not answer a call for ranks."""
    inputs = keras.Input((6, 6, 1))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    images = np.random.default_rng(0).random((2, 6, 6, 1)).astype(np.float32)
    score = tfxai.scores.region(np.ones((4, 4)))
    tfxai.Gradient()(model, images, [0, 1], score=score)
    with pytest.raises(ValueError, match="needs one output of class scores"):
        tfxai.Gradient()(model, images, tfxai.top(1), score=score)


@pytest.mark.parametrize("hiding_first", [True, False])
def test_needs_of_one_method_are_not_those_of_another(hiding_first: bool) -> None:
    def scores(rows: Any) -> Any:
        return np.asarray(rows)[:, :2]  # of arrays only

    def hide() -> None:
        values = tfxai.Occlusion()(scores, ROWS, 1).values
        np.testing.assert_allclose(values, ROWS * [0, 1, 0, 0], rtol=1e-6)

    def differentiate() -> None:
        with pytest.raises(ValueError, match="does not run on TensorFlow tensors"):
            tfxai.Gradient()(scores, ROWS, 1)

    for call in (hide, differentiate) if hiding_first else (differentiate, hide):
        call()
    hide()


def test_methods_for_images_leave_other_methods_all_inputs() -> None:
    image, row = keras.Input((8, 8, 1)), keras.Input((3,))
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(image), row])
    model = keras.Model([image, row], keras.layers.Dense(2)(joined))
    generator = np.random.default_rng(0)
    inputs = [generator.random((2, 8, 8, 1)).astype("float32"), generator.random((2, 3)).astype("float32")]
    for method, explains_rows in (
        (tfxai.Gradient(), True),
        (tfxai.BlurIG(steps=2), False),
        (tfxai.Gradient(), True),
    ):
        assert (method(model, inputs, 0).values[1] is not None) == explains_rows


class Refusing:
    """What stands for a layer whose attributes refuse to be set."""

    @property
    def __dict__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return types.MappingProxyType({})

    def call(self, inputs: Any) -> Any:
        return inputs


def test_a_layer_that_refuses_to_be_watched_leaves_the_others_as_they_were() -> None:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="before"), keras.layers.Dense(2, name="after")]
    )
    network = Network(model, ROWS)
    network.adapter.layers.insert(1, ("refusing", Refusing()))
    before = {layer.name: dict(vars(layer)) for layer in model.layers}
    with pytest.raises(ValueError, match="mappingproxy"):
        tf.function(lambda x: network.forward([x]).outputs, autograph=False).get_concrete_function(
            tf.TensorSpec((None, 4), tf.float32)
        )
    for layer in model.layers:
        assert "call" not in vars(layer)
        assert dict(vars(layer)) == before[layer.name]
    assert "call" not in vars(model)
    tfxai.Gradient()(model, ROWS, 0)


def test_methods_that_look_at_the_same_share_its_trace() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    x = np.ones((2, 6), np.float32)
    tfxai.Occlusion(window=2, stride=2)(model, x)
    before = traces(model)
    tfxai.KernelSHAP(samples=20, background=0.0)(model, x)
    assert traces(model) == before + 1  # of what it hides; the scores of the inputs are known how to be read
    for method in (tfxai.LIME(samples=20, hide=0.0), tfxai.ShapleyInteractions(samples=20, background=0.0)):
        method(model, x)
        assert traces(model) == before + 1
