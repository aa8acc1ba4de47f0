"""Token ids that are looked up in several tables, or in parts: each gets all that it is looked up for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every

import tfxai

L = keras.layers
IDS = np.array([[1, 2, 3], [3, 1, 2]])
GENERATOR = np.random.default_rng(0)


def constant(value: float) -> Any:
    return keras.initializers.Constant(value)


def table(width: int = 1, value: float = 1.0, size: int = 5) -> Any:
    return L.Embedding(size, width, embeddings_initializer=constant(value))


def weighed(tensor: Any, *weights: float) -> Any:
    """Numbers, times fixed weights."""
    return L.Flatten()(tensor) * np.array([weights], np.float32)


def added_up(inputs: Any, *terms: Any) -> Any:
    """A model whose score is the sum of all numbers."""
    joined = L.Concatenate()(terms) if len(terms) > 1 else next(iter(terms))
    return keras.Model(inputs, L.Dense(1, use_bias=False, kernel_initializer=constant(1.0))(joined))


def ids(count: int = 3) -> Any:
    return keras.Input((count,), dtype="int32")


def two_tables() -> tuple[Any, Any]:
    i = ids()
    return added_up(i, weighed(table(value=1.0)(i) + table(value=10.0)(i), 1, 2, 3)), [11, 22, 33]


def one_table_twice() -> tuple[Any, Any]:
    i, shared = ids(), table()
    return added_up(i, weighed(shared(i), 1, 2, 3), weighed(shared(i), 10, 20, 30)), [11, 22, 33]


def tables_of_several_widths() -> tuple[Any, Any]:
    i = ids()
    return added_up(i, weighed(table()(i), 1, 1, 1), weighed(table(2, 10.0)(i), 1, 1, 1, 1, 1, 1)), [
        21,
        21,
        21,
    ]


def a_table_for_each_column() -> tuple[Any, Any]:
    i = ids()
    fields = [
        table(width, value)(i[:, k]) for k, (width, value) in enumerate(((1, 1.0), (2, 10.0), (3, 100.0)))
    ]
    return added_up(i, *fields), [1, 20, 300]


def reversed_and_cut() -> tuple[Any, Any]:
    i, shared = ids(), table()
    return added_up(i, weighed(shared(i), 1, 2, 3), weighed(shared(i[:, ::-1][:, :2]), 10, 20)), [1, 22, 13]


def the_same_ids_twice_in_one_call() -> tuple[Any, Any]:
    i = ids()
    return added_up(i, weighed(table()(L.Concatenate()([i, i])), 1, 2, 3, 10, 20, 30)), [11, 22, 33]


def a_word_of_its_own_in_front() -> tuple[Any, Any]:
    i = ids()
    front = keras.ops.zeros_like(i[:, :1])
    shared = table()
    first = weighed(shared(keras.ops.concatenate([front, i], 1)), 5, 1, 2, 3)
    return added_up(i, first, weighed(shared(i), 10, 20, 30)), [11, 22, 33]


def other_numbers_for_the_same_words() -> tuple[Any, Any]:
    """Hashed into few rows, moved by an offset, read through a table of numbers."""
    i = ids()
    renumbered = keras.ops.take(np.array([4, 3, 2, 1, 0], np.int32), i)
    terms = [weighed(table()(i), 1, 2, 3), weighed(table()(i % 2), 10, 20, 30)]
    terms += [weighed(table(size=9)(i + 4), 100, 200, 300), weighed(table()(renumbered), 1000, 2000, 3000)]
    return added_up(i, *terms), [1111, 2222, 3333]


def float_ids() -> tuple[Any, Any]:
    i = keras.Input((3,))
    return added_up(i, weighed(table(value=1.0)(i) + table(value=10.0)(i), 1, 2, 3)), [11, 22, 33]


CASES = {
    build.__name__: build
    for build in (
        two_tables,
        one_table_twice,
        tables_of_several_widths,
        a_table_for_each_column,
        reversed_and_cut,
        the_same_ids_twice_in_one_call,
        a_word_of_its_own_in_front,
        other_numbers_for_the_same_words,
        float_ids,
    )
}
METHODS = (tfxai.IntegratedGradients(steps=2), tfxai.DeepLIFT())


@pytest.mark.filterwarnings("ignore:.* found no operation to change")
@every(2, case=CASES)
def test_a_token_gets_all_that_it_is_looked_up_for(case: str) -> None:
    """The models are linear in their tables, so that all these methods have to say the same."""
    model, wanted = CASES[case]()
    for method in METHODS:
        result = method(model, IDS, 0)
        np.testing.assert_allclose(result.values, [wanted] * 2, rtol=1e-5, err_msg=type(method).__name__)
        if result.delta is not None:
            # What the model says itself; the zero vectors of all ids are what is left of it.
            rest = np.asarray(model(IDS))[:, 0] - sum(wanted)
            np.testing.assert_allclose(result.scores - result.values.sum(1), rest, atol=1e-3)
            np.testing.assert_allclose(result.delta, 0, atol=1e-3)


@every(3, 1, case=CASES)
def test_ids_as_baseline_are_looked_up_in_all_tables(case: str) -> None:
    model, _ = CASES[case]()
    for layer in model.layers:
        if isinstance(layer, L.Embedding):
            layer.set_weights(
                [np.arange(layer.input_dim * layer.output_dim).reshape(layer.input_dim, -1) ** 1.5]
            )
    result = tfxai.IntegratedGradients(steps=2, baseline=np.array([[0, 1, 0]]))(model, IDS, 0)
    for row, found in zip(IDS, result.values, strict=True):
        for place, pad in enumerate((0, 1, 0)):
            one = row.copy()
            one[place] = pad
            # Linear in each token, so that its value is what the score loses with it.
            lost = float(model(row[None])[0, 0] - model(one[None])[0, 0])
            assert found[place] == pytest.approx(lost, rel=1e-4, abs=1e-3)


def test_a_saved_model_with_two_tables(tmp_path: Path) -> None:
    model, wanted = two_tables()
    model.export(tmp_path / "saved", verbose=False)
    module = tfxai.hub.load(tmp_path / "saved")
    result = tfxai.IntegratedGradients(steps=2)(module, IDS, 0)
    np.testing.assert_allclose(result.values, [wanted] * 2, rtol=1e-5)


def test_a_saved_model_that_looks_columns_up_in_tables_of_their_own(tmp_path: Path) -> None:
    model, wanted = a_table_for_each_column()
    model.export(tmp_path / "saved", verbose=False)
    result = tfxai.IntegratedGradients(steps=2)(tfxai.hub.load(tmp_path / "saved"), IDS, 0)
    np.testing.assert_allclose(result.values, [wanted] * 2, rtol=1e-5)


def test_a_saved_model_with_a_word_of_its_own_is_told(tmp_path: Path) -> None:
    i = ids()
    model = added_up(i, weighed(table()(keras.ops.pad(i, [[0, 0], [1, 0]])), 1, 1, 2, 3))
    model.export(tmp_path / "saved", verbose=False)
    with pytest.warns(UserWarning, match="may not line up with the inputs"):
        result = tfxai.IntegratedGradients(steps=2)(tfxai.hub.load(tmp_path / "saved"), IDS, 0)
    np.testing.assert_allclose(result.values, [[1, 1, 2, 3]] * 2, rtol=1e-5)


@pytest.mark.skipif(not hasattr(L, "ReversibleEmbedding"), reason="this Keras has no tied tables")
def test_a_tied_table_is_no_lookup_where_it_gives_the_words_back() -> None:
    keras.utils.set_random_seed(0)
    i, mask = ids(6), keras.Input((6,), dtype="int32", name="mask")
    i = keras.Input((6,), dtype="int32", name="ids")
    table = L.ReversibleEmbedding(30, 16)
    h = table(i)
    masked = L.Lambda(lambda t: keras.ops.cast(t[:, None], "bool"))(mask)
    h = h + L.MultiHeadAttention(2, 8)(h, h, attention_mask=masked)
    model = keras.Model({"ids": i, "mask": mask}, table(h, reverse=True))
    inputs = {"ids": np.arange(12).reshape(2, 6), "mask": np.ones((2, 6), int)}
    result = tfxai.IntegratedGradients(steps=64)(model, inputs, score=lambda y, t: y[:, -1, 7])
    assert np.abs(result.values["ids"]).max() > 1e-5
    # The model without its ids: all vectors zero, which its attention hands on.
    gained = result.scores - 0.0
    np.testing.assert_allclose(result.values["ids"].sum(1), gained, rtol=1e-3)
    slope = tfxai.InputXGradient()(model, inputs, score=lambda y, t: y[:, -1, 7]).values["ids"]
    vectors = tf.Variable(table.embeddings)
    with tf.GradientTape() as tape:
        x = tf.gather(vectors, inputs["ids"])
        tape.watch(x)
        attention = next(layer for layer in model.layers if isinstance(layer, L.MultiHeadAttention))
        y = x + attention(x, x)
        score = tf.matmul(y, vectors, transpose_b=True)[:, -1, 7]
    wanted = (x * tape.gradient(score, x)).numpy().sum(-1)
    np.testing.assert_allclose(slope, wanted, rtol=1e-3, atol=1e-7)


def test_ids_that_are_also_read_as_numbers_are_told() -> None:
    i = ids()
    wide = keras.ops.cast(i, "float32")
    model = added_up(i, weighed(table()(i), 1, 2, 3), wide)
    with pytest.warns(UserWarning, match=r"also read as numbers, beside their embedding \(by Cast\)"):
        tfxai.IntegratedGradients(steps=2)(model, IDS, 0)


def test_masks_of_padding_are_no_other_numbers() -> None:
    i = ids()
    vectors = L.Embedding(5, 2, mask_zero=True)(i)
    mask = keras.ops.cast(keras.ops.not_equal(i, 0), "float32")
    mean = keras.ops.divide(
        keras.ops.sum(vectors * keras.ops.expand_dims(mask, -1), 1), keras.ops.sum(mask, 1, keepdims=True)
    )
    model = added_up(i, mean)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfxai.IntegratedGradients(steps=2)(model, IDS, 0)


def test_crossed_columns_in_one_of_several_tables_are_refused() -> None:
    i = ids()
    crossed = i[:, 0] * 3 + i[:, 1]
    model = added_up(i, weighed(table()(i), 1, 2, 3), table(size=20)(crossed))
    with pytest.raises(ValueError, match="its ids are mixed with each other"):
        tfxai.IntegratedGradients(steps=2)(model, IDS, 0)
    hidden = tfxai.Occlusion(window=1, stride=1)(model, IDS, 0)
    assert hidden.values.shape == (2, 3)


# Ids whose order is not the input's


def additive(inputs: Any, *lookups: Any) -> keras.Model:
    """Each looked up vector adds its own term, whatever the others are."""
    terms = [keras.ops.sum(keras.ops.tanh(lookup), axis=-1) for lookup in lookups]
    terms = [L.Flatten()(term) if len(term.shape) > 1 else L.Reshape((1,))(term) for term in terms]
    return added_up(inputs, *terms)


@pytest.fixture(params=["pad", "concatenated", "mirrored"])
def front(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A word of the model's own in front, in several ways."""
    i = ids()
    longer = {
        "pad": lambda: keras.ops.pad(i, [[0, 0], [1, 0]]),
        "concatenated": lambda: keras.ops.concatenate([keras.ops.zeros_like(i[:, :1]) + 4, i], 1),
        "mirrored": lambda: keras.ops.pad(i, [[0, 0], [1, 0]], mode="reflect"),
    }[request.param]()
    table = L.Embedding(5, 3, embeddings_initializer="normal")
    return additive(i, table(longer)), np.array([1, 1 + (request.param == "mirrored"), 1])


def test_a_word_that_the_model_adds_has_no_place(front: tuple[Any, Any]) -> None:
    model, counts = front
    table = next(layer for layer in model.layers if isinstance(layer, L.Embedding))
    table.set_weights([np.random.default_rng(1).normal(size=(5, 3))])
    result = tfxai.IntegratedGradients(steps=60)(model, IDS, 0)
    one = np.tanh(np.asarray(table.embeddings)).sum(1)[IDS]
    np.testing.assert_allclose(result.values, one * counts, rtol=1e-3)
    assert tfxai.Occlusion(window=1, stride=1)(model, IDS, 0).values.shape == IDS.shape


def test_two_inputs_that_are_looked_up_together_both_move() -> None:
    a, b = ids(3), ids(2)
    table = L.Embedding(5, 3, embeddings_initializer="normal")
    model = additive([a, b], table(L.Concatenate()([a, b])))
    inputs = [IDS, np.array([[4, 1], [2, 2]])]
    one = np.tanh(np.asarray(table.embeddings)).sum(1)
    for method in (tfxai.IntegratedGradients(steps=60), tfxai.DeepLIFT()):
        result = method(model, inputs, 0)
        for values, each in zip(result.values, inputs, strict=True):
            np.testing.assert_allclose(values, one[each], rtol=1e-3)
        np.testing.assert_allclose(result.delta, 0, atol=1e-4)


@every(2, order=("sorted", "reversed words", "by themselves", "pairs"))
def test_an_order_that_the_ids_decide_is_told(order: str) -> None:
    i = ids()
    turned = {
        "sorted": lambda: keras.ops.sort(i, axis=1),
        "by themselves": lambda: keras.ops.take_along_axis(i, keras.ops.argsort(i, axis=1), axis=1),
        "reversed words": lambda: L.Lambda(
            lambda t: tf.reverse_sequence(t, tf.reduce_sum(tf.cast(t != 0, tf.int32), 1), seq_axis=1)
        )(i),
        "pairs": lambda: (i * 3 + keras.ops.roll(i, -1, axis=1)) % 5,
    }[order]()
    model = additive(i, L.Embedding(5, 3)(turned))
    with pytest.warns(UserWarning, match="may not line up with the inputs"):
        tfxai.IntegratedGradients(steps=2)(model, IDS, 0)


@pytest.mark.parametrize("first", [1, 2])
def test_an_order_that_another_input_decides_is_refused_whatever_came_first(first: int) -> None:
    i, key = ids(), keras.Input((3,))
    turned = keras.ops.take_along_axis(i, keras.ops.argsort(key, axis=1), axis=1)
    model = additive([i, key], L.Embedding(5, 3)(turned))
    keys = np.array([[0.3, 0.1, 0.2], [0.1, 0.2, 0.3]], np.float32)
    with pytest.raises(ValueError, match="their order depends on the data"):
        tfxai.InputXGradient()(model, [IDS[:first], keys[:first]], 0)
    tfxai.Occlusion(window=1, stride=1)(model, [IDS, keys], 0)


def test_positions_that_padding_decides_are_no_lookup_of_the_words() -> None:
    i = ids()
    there = keras.ops.cast(keras.ops.not_equal(i, 0), "int32")
    positions = keras.ops.cumsum(there, axis=1) * there
    table = L.Embedding(5, 3, embeddings_initializer="normal")
    model = additive(i, table(i), L.Embedding(9, 3)(positions), L.Embedding(9, 3)(keras.ops.sum(there, 1)))
    result = tfxai.IntegratedGradients(steps=60)(model, IDS, 0)
    np.testing.assert_allclose(result.values, np.tanh(np.asarray(table.embeddings)).sum(1)[IDS], rtol=1e-3)


@pytest.mark.parametrize("shape", [(), (2, 3)], ids=["a column", "sentences of words"])
def test_a_number_as_baseline_is_one_in_every_dimension(shape: tuple[int, ...]) -> None:
    i = keras.Input(shape, dtype="int32")
    table = L.Embedding(5, 3, embeddings_initializer="normal")
    model = additive(i, table(i))
    given = np.random.default_rng(0).integers(0, 5, (2, *shape))
    one = np.tanh(np.asarray(table.embeddings)).sum(1)
    for method in (tfxai.IntegratedGradients(steps=60), tfxai.DeepLIFT()):
        np.testing.assert_allclose(method(model, given, 0).values, one[given], rtol=1e-3)


def test_columns_that_are_ids_among_numbers_are_told() -> None:
    rows = keras.Input((3,))
    code = keras.ops.cast(rows[:, :1], "int32")
    model = added_up(rows, weighed(table()(code), 1), rows[:, 1:])
    with pytest.warns(UserWarning, match="these parts get no value"):
        tfxai.InputXGradient()(model, IDS.astype("float32"), 0)
