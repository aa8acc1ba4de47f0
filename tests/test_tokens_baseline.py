"""Where sums of values start from: padding ids where a model has them, and a warning where they miss the change of the score."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfxai

L = keras.layers
IDS = np.array([[1, 2, 3, 0], [3, 1, 0, 0], [2, 2, 4, 1]])
TABLE = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
STEPS = 60
SUMS = (tfxai.IntegratedGradients(steps=STEPS), tfxai.DeepLIFT(), tfxai.GuidedIG(steps=400, max_distance=0.0))


def table(mask_zero: bool = True, **more: Any) -> Any:
    return L.Embedding(5, 6, mask_zero=mask_zero, embeddings_initializer=lambda *_, **__: TABLE, **more)


def ids(count: int = 4) -> Any:
    return keras.Input((count,), dtype="int32")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*do not add up")
        yield


def with_baseline(method: Any, baseline: Any) -> Any:
    return type(method)(**{**vars(method), "baseline": baseline})


def flat(mask_zero: bool = True) -> keras.Model:
    keras.utils.set_random_seed(0)
    i = ids()
    return keras.Model(i, L.Dense(2)(L.Flatten()(L.Activation("tanh")(table(mask_zero)(i)))))


@pytest.mark.parametrize("method", SUMS, ids=lambda method: type(method).__name__)
def test_the_padding_id_is_the_baseline_where_the_table_has_one(method: Any) -> None:
    """Each token adds by itself, so that its value is what the score loses when it is padding instead."""
    model = flat()
    with quiet():
        result = method(model, IDS, 1)
    for row, found in zip(IDS, result.values, strict=True):
        for place in range(4):
            one = row.copy()
            one[place] = 0
            lost = float(model(row[None])[0, 1] - model(one[None])[0, 1])
            assert found[place] == pytest.approx(lost, rel=2e-2, abs=2e-3)
    np.testing.assert_array_equal(
        result.values, with_baseline(method, np.zeros((4,), int))(model, IDS, 1).values
    )
    change = np.asarray(model(IDS) - model(0 * IDS))[:, 1]
    np.testing.assert_allclose(result.values.sum(1) - result.delta, change, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", SUMS, ids=lambda method: type(method).__name__)
def test_a_number_that_is_given_is_still_a_number(method: Any) -> None:
    model, plain = flat(), flat(mask_zero=False)
    with quiet():
        zeros = with_baseline(method, 0.0)(model, IDS, 1)
        bare = method(plain, IDS, 1)
    np.testing.assert_allclose(zeros.values, bare.values, rtol=1e-5, atol=1e-6)
    dense = plain.layers[-1]
    change = np.asarray(plain(IDS))[:, 1] - float(dense.bias[1])
    np.testing.assert_allclose(bare.values.sum(1) - bare.delta, change, rtol=1e-4, atol=1e-5)


def test_one_of_several_inputs_may_have_a_baseline_of_its_own() -> None:
    a, b = keras.Input((2,), dtype="int32", name="a"), keras.Input((3,), dtype="int32", name="b")
    total = L.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Model(
        {"a": a, "b": b}, total(L.Concatenate()([L.Flatten()(table()(a)), L.Flatten()(table()(b))]))
    )
    inputs = {"a": IDS[:, :2], "b": IDS[:, 1:]}
    one = TABLE.sum(1)
    found = tfxai.IntegratedGradients(steps=2, baseline={"b": 0.0})(model, inputs, 0)
    np.testing.assert_allclose(found.values["a"], one[inputs["a"]] - one[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.values["b"], one[inputs["b"]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.delta, 0, atol=1e-4)


# Masks


def recurrent(family: Any = keras) -> Any:
    """Padding is skipped, and after padding alone nothing is left to be said."""
    family.utils.set_random_seed(0)
    layers = family.layers
    i = family.Input((4,), dtype="int32")
    vectors = layers.Embedding(5, 6, mask_zero=True, embeddings_initializer=lambda *_, **__: TABLE)(i)
    states = layers.SimpleRNN(4, return_sequences=True, unroll=True)(vectors)
    return family.Model(i, layers.Dense(2)(layers.GlobalAveragePooling1D()(states)))


def by_hand(model: Any, vectors: Any) -> Any:
    """The recurrent model on vectors, with the mask of IDS."""
    layers = model.layers[2:]
    mask = tf.constant(IDS != 0)
    states = layers[0](vectors, mask=mask)
    return layers[2](layers[1](states, mask=mask))


@pytest.mark.parametrize(
    "given",
    [None, pytest.param(np.zeros(4, int), marks=pytest.mark.slow), np.array([4, 0, 4, 3])],
    ids=["own", "zeros", "words"],
)
def test_the_mask_of_the_input_stays_on(given: Any) -> None:
    the_mask_stays_on(SUMS[0], given)


@pytest.mark.slow
@pytest.mark.parametrize("given", [None, np.array([4, 0, 4, 3])], ids=["own", "words"])
def test_the_mask_of_the_input_stays_on_for_another_method(given: Any) -> None:
    the_mask_stays_on(SUMS[1], given)


def the_mask_stays_on(method: Any, given: Any) -> None:
    """`delta` is measured there, too: the bare model has no answer for padding alone (a mean over nothing)."""
    check_masked(recurrent(), method, given)


def test_the_mask_of_the_input_stays_on_in_tf_keras() -> None:
    check_masked(recurrent(pytest.importorskip("tf_keras")), SUMS[0], np.array([4, 0, 4, 3]))


def check_masked(model: Any, method: Any, given: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = with_baseline(method, given)(model, IDS, 1)
    start = np.zeros(4, int) if given is None else given
    base = by_hand(model, tf.gather(TABLE, np.tile(start, (3, 1)))).numpy()[:, 1]
    change = by_hand(model, tf.gather(TABLE, IDS)).numpy()[:, 1] - base
    np.testing.assert_allclose(result.values.sum(1) - result.delta, change, rtol=1e-4, atol=1e-5)
    assert (result.values[IDS == 0] == 0).all()  # what is masked says nothing, whatever stands there
    if isinstance(method, tfxai.IntegratedGradients):
        np.testing.assert_allclose(result.delta, 0, atol=1e-3)


def test_expected_gradients_measure_each_row_behind_its_own_mask() -> None:
    model = recurrent()
    background = np.array([[4, 1, 2, 0], [0, 0, 0, 0]])
    result = tfxai.ExpectedGradients(background, samples=20)(model, IDS, 1)
    bases = [by_hand(model, tf.gather(TABLE, np.tile(row, (3, 1)))).numpy()[:, 1] for row in background]
    scores = by_hand(model, tf.gather(TABLE, IDS)).numpy()[:, 1]
    mean = np.mean(bases, axis=0)  # each comes ten times
    np.testing.assert_allclose(result.values.sum(1) - result.delta, scores - mean, rtol=1e-3, atol=1e-5)


def test_what_a_model_reads_of_ids_beside_its_table_shows_in_delta() -> None:
    """The model adds 5 where it sees the id 3: the table, and so the path, knows nothing of it."""
    i = ids()
    seen = keras.ops.cast(keras.ops.any(keras.ops.equal(i, 3), axis=1, keepdims=True), "float32")
    total = L.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Model(i, total(L.Flatten()(table(mask_zero=False)(i))) + 5.0 * seen)
    found = (IDS == 3).any(1)
    for method in SUMS[:2]:
        with pytest.warns(UserWarning, match="do not add up to the change of the score"):
            result = with_baseline(method, np.array([1, 1, 1, 1]))(model, IDS, 0)
        np.testing.assert_allclose(result.delta, np.where(found, -5, 0), atol=1e-4)


# Sums that miss


def normalised(mask_zero: bool) -> keras.Model:
    """Blocks with RMSNorm, as in T5, Gemma and Llama: at vectors of zeros each has a gain of 1000."""
    keras.utils.set_random_seed(0)
    i = ids()
    h = L.Embedding(5, 8, mask_zero=mask_zero)(i)
    for _ in range(2):
        h = h + L.Dense(8)(L.Dense(16, activation="gelu")(L.RMSNormalization()(h)))
    return keras.Model(i, L.Dense(2)(L.Flatten()(L.RMSNormalization()(h))))


@pytest.mark.skipif(not hasattr(L, "RMSNormalization"), reason="this Keras has no RMSNorm")
@pytest.mark.parametrize(
    "method",
    [tfxai.IntegratedGradients(steps=20), pytest.param(tfxai.GuidedIG(steps=100), marks=pytest.mark.slow)],
    ids=("integrated", "guided"),
)
def test_an_rms_norm_from_vectors_of_zeros_is_told(method: Any) -> None:
    with pytest.warns(UserWarning, match="padding token") as caught:
        result = method(normalised(mask_zero=False), IDS, 0)
    assert sum("do not add up" in str(each.message) for each in caught) == 1
    assert (np.abs(result.delta) > 0.5 * np.abs(result.values.sum(1) - result.delta)).any()
    with quiet():
        padded = method(normalised(mask_zero=True), IDS, 0)
    assert np.abs(padded.values).max() < 5


def test_deeplift_tells_too() -> None:
    """A product of three that has no rule: 5 * 5 * 5 - 1, and the gradient at the input gives 3 * 4 * 25."""

    def product(x: Any) -> Any:
        return tf.math.cumprod(1.0 + x, axis=1)[:, -1:]

    with pytest.warns(
        UserWarning, match="DeepLIFT: in 1 of 1 maps .* changes by 124, their sum misses it by 176"
    ):
        tfxai.DeepLIFT()(product, np.full((1, 3), 4.0, np.float32), 0)


def step_at(place: float) -> Any:
    """A score that leaps at some place: few points see it."""
    return lambda x: tf.sigmoid(1e4 * (tf.reduce_sum(x, 1) - place))[:, None] + 0.0 * x[:, :1]


@pytest.mark.parametrize(
    ("method", "remedy"),
    [
        (tfxai.IntegratedGradients(steps=3), "Take more steps, or give tolerance"),
        (tfxai.GuidedIG(steps=3), "Take more steps"),
        (tfxai.ExpectedGradients(np.zeros((1, 2)), samples=3), "Take more samples"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_method_that_promises_a_sum_tells_once_what_helps(method: Any, remedy: str) -> None:
    x = np.ones((4, 2), np.float32)
    with pytest.warns(UserWarning, match="do not add up") as caught:
        method(step_at(0.37), x, 0, batch_size=1, score="output")
    messages = [str(each.message) for each in caught if "do not add up" in str(each.message)]
    assert len(messages) == 1
    assert remedy in messages[0]
    assert messages[0].startswith(f"{type(method).__name__}: in 4 of 4 maps")


def test_blur_ig_tells_too() -> None:
    x = np.zeros((1, 8, 8, 1), np.float32)
    x[0, 3:5, 3:5] = 1

    def leap(images: Any) -> Any:
        return tf.sigmoid(1e4 * (images[:, 3, 3] - 0.4137))

    with pytest.warns(UserWarning, match=r"BlurIG: in 1 of 1 maps .* Take more steps"):
        tfxai.BlurIG(steps=3)(leap, x, 0, score="output")


def test_rounding_beside_large_scores_is_not_told() -> None:
    """An offset of a million: the change is what float32 leaves of it."""
    with quiet():
        tfxai.IntegratedGradients(steps=3)(lambda x: 1e6 + 0.01 * x, np.ones((2, 1), np.float32), 0)


def test_a_baseline_without_a_score_is_told() -> None:
    def mean_of_words(x: Any) -> Any:
        there = tf.cast(x != 0, tf.float32)
        return tf.reduce_sum(x * there, 1, keepdims=True) / tf.reduce_sum(there, 1, keepdims=True)

    with pytest.warns(UserWarning, match="do not add up"):
        tfxai.IntegratedGradients(steps=4)(mean_of_words, np.ones((1, 3), np.float32), 0)
