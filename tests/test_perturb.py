"""The engine behind the methods that hide parts."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every

import tfxai
from tfxai.engines import perturb
from tfxai.model import Network
from tfxai.model.tracing import traces

L = keras.layers


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [
        L.Conv2D(6, 3),
        L.BatchNormalization(),
        L.ReLU(),
        L.GlobalAveragePooling2D(),
        L.Dense(4, "softmax"),
    ]
    return keras.Sequential([keras.Input((12, 12, 3)), *layers])


X = np.random.default_rng(0).random((2, 12, 12, 3)).astype(np.float32)
LARGE = tfxai.RISE(samples=1000)


def test_a_large_job_runs_on_frozen_weights_with_the_same_values() -> None:
    model = small()
    live = tfxai.RISE(samples=1000)(lambda x: model(x, training=False), X)  # a callable is never frozen
    frozen = LARGE(model, X)
    np.testing.assert_allclose(frozen.values, live.values, atol=1e-6)
    functions = [
        compiled.function for key, compiled in tfxai.model.tracing.CACHES[model].functions.items() if key[3]
    ]
    assert len(functions) == 1 and not functions[0].variables


@every(2, change=("one bit", "assign", "batch norm", "set_weights"))
def test_a_changed_weight_is_always_noticed(change: str) -> None:
    model = small()
    before = LARGE(model, X, targets=1)
    if change == "assign":
        model.layers[0].kernel.assign_add(0.1 * tf.ones_like(model.layers[0].kernel))
    elif change == "set_weights":
        model.set_weights([1.1 * w + 0.01 for w in model.get_weights()])
    elif change == "batch norm":
        model.layers[1].moving_mean.assign([1.0, 2, 3, 4, 5, 6])
    else:
        bias = model.layers[-1].bias.numpy()
        bias[0] = np.nextafter(bias[0], 1, dtype=np.float32)
        model.layers[-1].bias.assign(bias)
    count = traces(model)
    after = LARGE(model, X, targets=1)
    assert traces(model) == count + 1
    if change != "one bit":
        live = tfxai.RISE(samples=1000)(lambda x: model(x, training=False), X, targets=1)
        np.testing.assert_allclose(after.values, live.values, atol=1e-6)
        assert np.abs(after.values - before.values).max() > 1e-4
    kept = [key for key in tfxai.model.tracing.CACHES[model].functions if key[3]]
    assert len(kept) == 1  # that of the old weights is gone


def test_small_jobs_and_training_never_freeze() -> None:
    model = small()
    tfxai.RISE(samples=100)(model, X)
    assert not any(key[3] for key in tfxai.model.tracing.CACHES[model].functions)


def test_weights_and_random_state_stay_as_they_are() -> None:
    model = small()
    before = [w.copy() for w in model.get_weights()]
    tf.random.set_seed(1)
    np.random.seed(1)
    for method in (
        LARGE,
        tfxai.LIME(samples=30, segments=9),
        tfxai.ScoreCAM(),
        tfxai.PartitionSHAP(evals=20),
    ):
        method(model, X)
    after = np.random.random(), float(tf.random.uniform([]))
    np.random.seed(1)
    tf.random.set_seed(1)
    assert after == (np.random.random(), float(tf.random.uniform([])))
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@every(4, 1, batch_size=("1", "3", "7", "64"))
def test_the_batch_size_changes_nothing(batch_size: str) -> None:
    model = small()
    for method in (tfxai.RISE(samples=40), tfxai.LIME(samples=40, segments=9), tfxai.PartitionSHAP(evals=40), tfxai.ScoreCAM()):  # fmt: skip
        one, other = method(model, X), method(model, X, batch_size=int(batch_size))
        np.testing.assert_allclose(one.values, other.values, atol=1e-5 * np.abs(one.values).max())


def test_progress_changes_nothing_but_the_bar(capsys: pytest.CaptureFixture) -> None:
    model = small()
    for method in (
        tfxai.RISE(samples=100),
        tfxai.KernelSHAP(samples=70, segments=9),
        tfxai.PartitionSHAP(evals=70),
    ):
        quiet = method(model, X)
        assert capsys.readouterr() == ("", "")
        shown = method(model, X, progress=True)
        np.testing.assert_allclose(quiet.values, shown.values, atol=1e-6)
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err


def test_chunks_are_even_and_cover_the_plan_once() -> None:
    for total, chunks in ((10, 3), (64, 2), (5, 5), (33, 2)):
        found = [
            perturb.chunk_of(tf.constant(i), tf.constant(total), tf.constant(chunks), None)
            for i in range(chunks)
        ]
        np.testing.assert_array_equal(np.concatenate(found), np.arange(total))
        assert max(map(len, found)) - min(map(len, found)) <= 1


def test_a_callable_on_arrays_is_tried_once_and_called_with_its_own_type() -> None:
    calls = []

    def model(x: np.ndarray) -> np.ndarray:
        calls.append(x)
        return x.sum((1, 2, 3))

    tfxai.RISE(samples=10)(model, X[:1])
    tfxai.RISE(samples=10)(model, X[:1])
    arrays = [x for x in calls if isinstance(x, np.ndarray)]
    assert len(calls) == len(arrays) + 1  # once with a tensor, in case that it can be compiled
    assert all(x.dtype == np.float32 for x in arrays)
    assert sum(map(len, arrays)) == 1 + 2 * 11


def test_a_callable_that_fails_says_how() -> None:
    with pytest.raises(ValueError, match=r"fails on arrays of shape .*: IndexError"):
        tfxai.RISE(samples=10)(lambda x: np.asarray(x)[:, 99], X)
    with pytest.raises(ValueError, match="Return one row of scores per example"):
        tfxai.RISE(samples=10)(lambda x: np.zeros(7), X)


def test_several_numbers_without_classes_need_a_score() -> None:
    with pytest.raises(ValueError, match="not class scores"):
        tfxai.RISE(samples=10)(lambda x: np.zeros((len(x), 2, 2)), X)


def test_a_network_is_read_once_per_call() -> None:
    """The digest is that of the weights when the call began, to the bit."""
    model = small()
    one = Network(model, X).digest
    assert one == Network(model, X).digest
    model.layers[-1].bias.assign(model.layers[-1].bias + 1)
    assert one != Network(model, X).digest
    assert Network(lambda x: x, X).digest is None


def test_a_layer_that_is_adapted_again_is_noticed() -> None:
    keras.utils.set_random_seed(0)
    words = L.TextVectorization(output_sequence_length=3)
    words.adapt(["a good film"])
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), words, L.Embedding(9, 3), L.Flatten(), L.Dense(2)]
    )
    texts = ["good film indeed"]
    tfxai.KernelSHAP()(model, texts, targets=1)
    words.adapt(["indeed indeed film film film good"])
    found = tfxai.KernelSHAP()(model, texts, targets=1)
    wanted = model(tf.constant([texts])).numpy()[0, 1]
    np.testing.assert_allclose(found.scores, [wanted], atol=1e-6)


def test_large_whole_numbers_are_not_wrapped() -> None:
    lookup = L.IntegerLookup(vocabulary=[2**33 + 1, 5])
    inputs = keras.Input((2,), dtype="int64")
    model = keras.Model(inputs, L.Lambda(lambda ids: tf.cast(ids, tf.float32))(lookup(inputs)))
    found = tfxai.Occlusion()(model, np.array([[2**33 + 1, 5]]), targets=0)
    np.testing.assert_allclose(found.scores, model(np.array([[2**33 + 1, 5]])).numpy()[:, 0])


@pytest.mark.parametrize(
    "method",
    [
        tfxai.Occlusion(),
        tfxai.RISE(samples=5),
        tfxai.LIME(samples=5, segments=4, hide=0.0),
        tfxai.KernelSHAP(samples=8, segments=4, background=0.0),
    ],
    ids=lambda method: type(method).__name__,
)
def test_scores_that_are_no_numbers_are_refused(method: tfxai.methods.Method) -> None:
    def strict(images: np.ndarray) -> np.ndarray:
        sums = np.asarray(images).sum((1, 2, 3))
        return np.where(sums < X[0].sum() - 1e-3, np.nan, sums)

    with pytest.raises(ValueError, match=r"not a number \(NaN\) for \d+ of \d+ perturbed inputs"):
        method(strict, X[:1])


def test_a_callable_that_fails_later_says_how() -> None:
    def too_few(images: np.ndarray) -> np.ndarray:
        means = np.asarray(images).mean((1, 2, 3))
        return means[:-1] if means.min() < X[0].mean() else means

    with pytest.raises(ValueError, match="one row of scores per example"):
        tfxai.Occlusion()(too_few, X[:1])

    def fails(images: np.ndarray) -> np.ndarray:
        means = np.asarray(images).mean((1, 2, 3))
        if means.min() < X[0].mean():
            raise RuntimeError("not so dark, please")
        return means

    with pytest.raises(ValueError, match="not so dark, please"):
        tfxai.Occlusion()(fails, X[:1])
    with pytest.raises(ValueError, match="jit_compile=True needs a model"):
        tfxai.Occlusion()(lambda images: np.asarray(images).mean((1, 2, 3)), X, jit_compile=True)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(11, 17), (7, 5)])
def test_xla_inpaints_odd_sizes_alike(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).random((1, *shape, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((*shape, 3)), L.Conv2D(4, 3), L.ReLU(), L.Flatten(), L.Dense(2)])
    method = tfxai.PartitionSHAP(evals=40, masker="inpaint")
    plain, compiled = method(model, x), method(model, x, jit_compile=True)
    np.testing.assert_allclose(compiled.values, plain.values, atol=1e-4 * np.abs(plain.values).max())


def test_one_of_two_outputs_is_explained_as_it_is() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, {"a": L.Dense(3, "softmax", name="a")(inputs), "b": L.Dense(2, name="b")(inputs)}
    )
    x = np.random.default_rng(0).random((2, 4))
    with pytest.raises(ValueError, match=r"tfxai.scores.output\(output=NAME\)"):
        tfxai.Occlusion()(model, x)
    found = tfxai.Occlusion()(model, x, targets=2, score=tfxai.scores.output(output="a"))
    np.testing.assert_allclose(found.scores, model(x)["a"].numpy()[:, 2], atol=1e-6)
