"""Tables as people hold them: DataFrames, columns of any width, missing values; token ids; and inputs that are left out."""

from __future__ import annotations

import functools
import itertools
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

import tfxai
from tfxai.metrics.rows import rows_of as rows_of_explanation

L = keras.layers
RNG = np.random.default_rng(0)
NAN = float("nan")

HIDING: dict[str, Callable[..., Any]] = {
    "KernelSHAP": lambda rows: tfxai.KernelSHAP(background=rows),
    "PartitionSHAP": lambda rows: tfxai.PartitionSHAP(masker=rows),
    "LIME": lambda rows: tfxai.LIME(background=rows, samples=400, ridge=0.0, width=1e6),
}


def shapley(worth: Callable[[tuple[bool, ...]], Any], parts: int) -> np.ndarray:
    """By definition: the mean over all orders of what each part adds."""
    found = []
    for i in range(parts):
        others = [j for j in range(parts) if j != i]
        total: Any = 0.0
        for size in range(parts):
            chance = math.factorial(size) * math.factorial(parts - size - 1) / math.factorial(parts)
            for some in itertools.combinations(others, size):
                without = tuple(j in some for j in range(parts))
                total = total + chance * (
                    worth(tuple(j in some or j == i for j in range(parts))) - worth(without)
                )
        found.append(total)
    return np.array(found)


def behind_rows(
    model: Callable[[Any], np.ndarray],
    row: np.ndarray,
    background: np.ndarray,
    groups: Sequence[Sequence[int]],
) -> np.ndarray:
    """Shapley values of groups of columns of one row (F,), hidden by the columns of background rows."""

    def worth(seen: tuple[bool, ...]) -> float:
        mixed = background.copy()
        for group, is_seen in zip(groups, seen, strict=True):
            if is_seen:
                mixed[:, group] = row[group]
        return float(np.mean(model(mixed)))

    return shapley(worth, len(groups))


def said(call: Callable[[], Any]) -> list[str]:
    """The warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(each.message) for each in caught if each.category is UserWarning]


# Columns of one axis, as Keras takes them


@functools.cache
def by_name() -> Any:
    """2 a + 3 b."""
    a, b = keras.Input((1,), name="a"), keras.Input((1,), name="b")
    return keras.Model({"a": a, "b": b}, L.Add()([2 * a, 3 * b]))


@pytest.mark.parametrize(
    "method", [tfxai.Gradient(), tfxai.IntegratedGradients(), tfxai.KernelSHAP(background=0.0)]
)
def test_columns_of_one_axis_are_columns(method: Any) -> None:
    a, b = np.array([1.0, 5.0]), np.array([2.0, 7.0])
    model = by_name()
    found = method(model, {"a": a, "b": b}, 0)
    wanted = method(model, {"a": a[:, None], "b": b[:, None]}, 0)
    for name in "ab":
        assert found.values[name].shape == (2, 1)
        np.testing.assert_array_equal(found.values[name], wanted.values[name])


def test_one_column_of_one_axis() -> None:
    functional = keras.Sequential([keras.Input((1,)), L.Dense(1, kernel_initializer="ones")])

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(1, kernel_initializer="ones")

        def call(self, x: Any) -> Any:
            return self.dense(x)

    own = Own()
    own(np.ones((2, 1), np.float32))
    for model in (functional, own):
        np.testing.assert_array_equal(
            tfxai.InputXGradient()(model, np.array([3.0, 4.0]), 0).values, [[3], [4]]
        )


@pytest.mark.parametrize("as_dict", [True, False])
def test_columns_of_one_axis_for_a_model_of_ones_own(as_dict: bool) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(1, kernel_initializer="ones")

        def call(self, columns: Any) -> Any:
            both = [columns["a"], columns["b"]] if isinstance(columns, dict) else columns
            return self.dense(keras.ops.concatenate(both, axis=-1))

    def given(*columns: Any) -> Any:
        return dict(zip("ab", columns, strict=True)) if as_dict else list(columns)

    model, a, b = Own(), np.array([3.0, 4.0]), np.array([5.0, 6.0])
    model(given(np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)))
    found = tfxai.InputXGradient()(model, given(a, b), 0)
    np.testing.assert_array_equal(flat(found.values), [a[:, None], b[:, None]])


def test_a_model_of_single_numbers_takes_a_column() -> None:
    x = keras.Input(())
    model = keras.Model(x, keras.ops.stack([2 * x, -x], axis=1))
    assert model.predict(np.ones((3, 1)), verbose=0).shape == (3, 2)  # as Keras does
    np.testing.assert_array_equal(tfxai.Gradient()(model, np.ones((3, 1)), 0).values, [2, 2, 2])


def test_grey_images_without_a_channel_axis() -> None:
    model = keras.Sequential([keras.Input((4, 4, 1)), L.Flatten(), L.Dense(1, kernel_initializer="ones")])
    assert tfxai.Gradient()(model, np.ones((3, 4, 4)), 0).values.shape == (3, 4, 4, 1)


def test_single_numbers_of_a_function() -> None:
    x = np.array([1.0, 3.0])
    for model in (lambda x: 2 * x, lambda x: 2 * np.asarray(x)):
        np.testing.assert_allclose(tfxai.Occlusion()(model, x).values, [2, 6])


def test_a_batch_axis_that_is_missing_is_still_said() -> None:
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    with pytest.raises(ValueError, match=r"shape \(3,\).*batch axis is missing"):
        tfxai.Gradient()(model, np.ones(3), 0)
    flexible = keras.Sequential(
        [keras.Input((None,)), L.Embedding(5, 2), L.GlobalAveragePooling1D(), L.Dense(1)]
    )
    with pytest.raises(ValueError, match="batch axis is missing"):
        tfxai.Gradient()(flexible, np.array([1, 2, 3]), 0)


# DataFrames


@pytest.fixture(scope="module")
def pd() -> Any:
    return pytest.importorskip("pandas")


def rows_of(count: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, columns))


def test_a_frame_of_numbers_is_an_array(pd: Any) -> None:
    x, others = rows_of(3, 4), rows_of(20, 4, seed=1)
    model = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu"), L.Dense(2)])
    frame, background = pd.DataFrame(x, columns=list("pqrs")), pd.DataFrame(others, columns=list("pqrs"))
    turned = background[list("srqp")]
    for method, as_frame in (
        (tfxai.Gradient(), tfxai.Gradient()),
        (
            tfxai.IntegratedGradients(baseline=others.mean(0)),
            tfxai.IntegratedGradients(baseline=turned.mean()),
        ),
        (tfxai.ExpectedGradients(others, samples=4), tfxai.ExpectedGradients(turned, samples=4)),
        (tfxai.KernelSHAP(background=others), tfxai.KernelSHAP(background=turned)),
        (tfxai.PartitionSHAP(masker=others), tfxai.PartitionSHAP(masker=turned)),
        (tfxai.LIME(background=others, samples=50), tfxai.LIME(background=turned, samples=50)),
        (tfxai.Occlusion(baseline=others.mean(0)), tfxai.Occlusion(baseline=turned.mean())),
    ):
        wanted, found = method(model, x, 1), as_frame(model, frame, 1)
        assert isinstance(found.inputs, np.ndarray)
        np.testing.assert_allclose(found.values, wanted.values, atol=1e-6)


def test_other_columns_are_refused(pd: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    frame = pd.DataFrame({"age": [1.0], "dose": [2.0]})
    with pytest.raises(
        ValueError, match=r"\['age', 'pulse'\] came for inputs with the columns \['age', 'dose'\]"
    ):
        tfxai.KernelSHAP(background=pd.DataFrame({"age": [1.0], "pulse": [2.0]}))(model, frame, 0)


def test_a_frame_for_a_model_with_named_inputs(pd: Any) -> None:
    model, frame = by_name(), pd.DataFrame({"b": [5.0, 6.0], "a": [1.0, 2.0]})
    found = tfxai.InputXGradient()(model, frame, 0)
    np.testing.assert_array_equal(found.values["a"][:, 0], [2, 4])
    np.testing.assert_array_equal(found.values["b"][:, 0], [15, 18])
    series = {"a": frame["a"], "b": frame["b"]}
    np.testing.assert_array_equal(tfxai.InputXGradient()(model, series, 0).values["b"][:, 0], [15, 18])
    found = tfxai.KernelSHAP(background=frame)(model, series, 0)
    np.testing.assert_allclose(found.values["b"][:, 0], [-1.5, 1.5], atol=1e-5)
    with pytest.raises(ValueError, match="keys"):
        tfxai.Gradient()(model, frame.rename(columns={"a": "c"}), 0)


def mixed(pd: Any, count: int, seed: int) -> Any:
    """Ages (whole), doses (some missing), sexes (words, some missing), wards (a category)."""
    generator = np.random.default_rng(seed)
    dose = generator.normal(size=count)
    dose[::4] = NAN
    sex = generator.choice(["m", "f"], count).astype(object)
    sex[1::5] = None
    ward = pd.Series(pd.Categorical(generator.choice(["east", "west"], count), categories=["east", "west"]))
    return pd.DataFrame({"age": generator.integers(20, 80, count), "dose": dose, "sex": sex, "ward": ward})


def pipeline(pd: Any, frame: Any) -> Any:
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder

    codes = OneHotEncoder(handle_unknown="error")
    columns = make_column_transformer(
        (SimpleImputer(), ["age", "dose"]), (codes, ["sex", "ward"]), sparse_threshold=0
    )
    wanted = frame["age"] / 50 + frame["dose"].fillna(2) * (frame["sex"] == "m") + (frame["ward"] == "west")
    return make_pipeline(columns, DecisionTreeRegressor(random_state=0)).fit(frame, wanted)


def test_a_pipeline_of_named_columns_gets_what_it_was_made_for(pd: Any) -> None:
    training = mixed(pd, 60, seed=0)
    model, x, background = pipeline(pd, training), mixed(pd, 2, seed=1), training[:7]
    found = tfxai.KernelSHAP(background=background)(model.predict, x)
    names = list(x.columns)
    assert list(found.values) == names

    @functools.cache
    def worth(i: int, seen: tuple[bool, ...]) -> float:
        rows = background.copy()
        for name, is_seen in zip(names, seen, strict=True):
            if is_seen:
                rows[name] = pd.Series([x[name].iloc[i]] * len(rows), dtype=x[name].dtype, index=rows.index)
        return float(model.predict(rows).mean())

    for i in range(len(x)):
        wanted = shapley(lambda seen, i=i: worth(i, seen), 4)
        np.testing.assert_allclose([found.values[name][i] for name in names], wanted, atol=1e-5)
    assert pd.Series(found.inputs["sex"], dtype=object).equals(
        x["sex"].astype(object)
    )  # missing where it was
    turned = tfxai.KernelSHAP(background=background[names[::-1]])(model.predict, x)
    np.testing.assert_array_equal(turned.values["dose"], found.values["dose"])


def test_a_function_gets_columns_in_their_own_types(pd: Any) -> None:
    frame = mixed(pd, 8, seed=3).assign(
        maybe=pd.array([1, None] * 4, dtype="Int64"), sure=[True, False] * 4, price=3.7
    )
    seen: list[Any] = []

    def model(table: Any) -> np.ndarray:
        assert isinstance(table, pd.DataFrame)
        seen.append(table)
        assert set(table["price"]) == {3.7}  # not what float32 makes of it
        return table["age"].to_numpy(float)

    tfxai.KernelSHAP(background=frame, samples=20)(model, frame[:2])
    for table in seen:
        pd.testing.assert_series_equal(table.dtypes, frame.dtypes)
    assert set(map(id, pd.concat(seen)["maybe"])) & {id(pd.NA)}


def test_halves_do_not_become_whole(pd: Any) -> None:
    frame = pd.DataFrame({"a": [2, 4], "b": [1, 3]})
    found = tfxai.KernelSHAP(background=0.5)(lambda t: t["a"].to_numpy(float) * 10, frame)
    np.testing.assert_allclose(found.values, [[15, 0], [35, 0]], atol=1e-5)


def test_frames_of_other_names_are_not_confused(pd: Any) -> None:
    def model(table: Any) -> np.ndarray:
        return table["a"].to_numpy() * 1.0

    method = tfxai.Occlusion()
    for names, wanted in ((["a", "b"], [[5, 0]]), (["b", "a"], [[0, 7]])):
        frame = pd.DataFrame([[5.0, 7.0]], columns=names)
        np.testing.assert_allclose(method(model, frame).values, wanted)


def test_functions_of_tensors_and_of_arrays_take_frames_too(pd: Any) -> None:
    frame = pd.DataFrame({"a": [5.0], "b": [7.0]})
    for model in (
        lambda x: 2.0 * x[:, 0],
        lambda x: np.sqrt(np.asarray(x)[:, 0] ** 2) * 2,
        lambda x: x.sum(axis=1) + x.T[0],
    ):
        values = tfxai.Occlusion()(model, frame).values
        assert values[0, 0] == 10
    np.testing.assert_allclose(tfxai.Gradient()(lambda x: 2.0 * x[:, 0], frame).values, [[2, 0]])


def test_what_a_column_cannot_be_is_said(pd: Any) -> None:
    times = pd.DataFrame({"when": pd.to_datetime(["2020-01-01"]), "x": [1.0]})
    with pytest.raises(ValueError, match=r"column 'when' is of type datetime64.*expected numbers or words"):
        tfxai.Occlusion()(lambda t: t["x"], times)
    model = keras.Sequential([keras.Input((2,)), L.Dense(1)])
    with pytest.raises(ValueError, match=r"columns of words \(sex\) beside numbers"):
        tfxai.Gradient()(model, pd.DataFrame({"sex": ["m"], "x": [1.0]}), 0)


def test_a_series_of_texts_is_texts(pd: Any) -> None:
    def model(texts: Any) -> np.ndarray:
        return np.array([text.count("good") for text in texts])

    texts = ["a good film", "good good"]
    found, wanted = tfxai.LIME()(model, pd.Series(texts)), tfxai.LIME()(model, texts)
    np.testing.assert_array_equal(found.weights, wanted.weights)
    assert found.tokens == wanted.tokens


# Missing values


def with_gaps(count: int, seed: int = 0) -> np.ndarray:
    rows = rows_of(count, 4, seed)
    rows[np.random.default_rng(seed + 1).random(rows.shape) < 0.25] = NAN
    return rows


def trained(name: str) -> Callable[[Any], np.ndarray]:
    x = with_gaps(80)
    y = np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1], nan=2.0) + np.isnan(x[:, 2])
    if name == "boosting":
        return HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=4).fit(x, y).predict
    if name == "tree":
        tree = DecisionTreeClassifier(max_depth=4, random_state=0).fit(x, y > 0.5)
        return lambda rows: tree.predict_proba(rows)
    return make_pipeline(SimpleImputer(add_indicator=True), LinearRegression()).fit(x, y).predict


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads of scikit-learn that wait for each other beside other processes are slow."""
    with threadpool_limits(1):
        yield


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["boosting", "tree", "imputer"])
def test_missing_values_have_shapley_values(name: str) -> None:
    model, x, background = trained(name), with_gaps(5, seed=5), with_gaps(9, seed=7)
    assert np.isnan(x).any() and np.isnan(background).any()
    target = 1 if name == "tree" else None

    def score(rows: np.ndarray) -> np.ndarray:
        scores = np.asarray(model(rows.astype(np.float32)))
        return scores[:, 1] if name == "tree" else scores

    found = tfxai.KernelSHAP(background=background)(model, x, target)
    for row, values in zip(x, found.values, strict=True):
        wanted = behind_rows(score, row, background, [[0], [1], [2], [3]])
        np.testing.assert_allclose(values, wanted, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(found.inputs), np.isnan(x))


def missing(rows: Any) -> np.ndarray:
    """10 for each missing value in the first column, and what the second is, 3 where it is missing."""
    rows = np.asarray(rows)
    return 10.0 * np.isnan(rows[:, 0]) + np.nan_to_num(rows[:, 1], nan=3.0)


def test_a_column_is_hidden_as_missing() -> None:
    x = np.array([[1.0, 5.0, 0.0], [NAN, 5.0, 0.0], [1.0, NAN, 0.0]])
    wanted = [[-10, 2, 0], [0, 2, 0], [-10, 0, 0]]
    np.testing.assert_allclose(tfxai.Occlusion(baseline=NAN)(missing, x).values, wanted, atol=1e-5)
    np.testing.assert_allclose(tfxai.KernelSHAP(background=NAN)(missing, x).values, wanted, atol=1e-5)
    np.testing.assert_allclose(tfxai.PartitionSHAP(masker=NAN)(missing, x).values, wanted, atol=1e-5)
    lime = tfxai.LIME(hide=NAN, ridge=0.0)(missing, x)
    np.testing.assert_allclose(lime.values, wanted, atol=1e-4)


def test_series_with_gaps() -> None:
    x = np.ones((1, 6, 1))
    x[0, 4] = NAN

    def model(series: Any) -> np.ndarray:
        return np.nan_to_num(np.asarray(series)[:, :, 0], nan=2.0) @ np.arange(6.0)

    found = tfxai.Occlusion(window=1)(model, x).values[0, :, 0]
    np.testing.assert_allclose(found, [0, 1, 2, 3, 8, 5], atol=1e-5)
    for method in (
        tfxai.KernelSHAP(segments=6),
        tfxai.LIME(segments=6),
    ):  # hidden by the mean of what is there
        np.testing.assert_allclose(
            method(lambda s: np.nan_to_num(np.asarray(s)[:, 0, 0], nan=9.0), x).values[0, 0, 0], 0, atol=1e-4
        )
    with pytest.raises(ValueError, match="cannot be blurred"):
        tfxai.PartitionSHAP()(model, x)


def test_correlations_of_columns_with_gaps() -> None:
    """The first column and its copy go together, although some rows lack one of them."""
    a, b = rows_of(60, 2).T
    background = np.stack([a, b, a], 1)
    background[::7, 0] = NAN
    seen = []

    def model(rows: Any) -> np.ndarray:
        seen.append(np.asarray(rows))
        return np.nan_to_num(rows).prod(1)

    tfxai.PartitionSHAP(masker=background, evals=4)(model, np.full((1, 3), 5.0))
    halves = {tuple(row == 5.0) for row in np.concatenate(seen)[-4 * 60 :]}
    assert halves == {(False,) * 3, (True,) * 3, (True, False, True), (False, True, False)}


def test_missing_values_are_refused_where_nothing_handles_them() -> None:
    x = np.ones((4, 3))
    x[2, 1] = NAN
    model = keras.Sequential([keras.Input((3,)), L.Dense(1)])
    says = "inputs holds NaN or infinite numbers, in 1 of 4 examples, first in number 2"
    for method in (tfxai.Gradient(), tfxai.Occlusion(), tfxai.KernelSHAP(background=np.ones((2, 3)))):
        with pytest.raises(ValueError, match=says):
            method(model, x, 0)
        with pytest.raises(ValueError, match=says):
            method(lambda rows: tf.reduce_sum(rows, 1), x)
    with pytest.raises(ValueError, match=says):
        tfxai.Gradient()(missing, x)
    with pytest.raises(ValueError, match="background holds NaN"):
        tfxai.KernelSHAP(background=x)(model, np.ones((1, 3)), 0)
    with pytest.raises(ValueError, match="baseline holds NaN"):
        tfxai.Occlusion(baseline=NAN)(model, np.ones((1, 3)), 0)


def test_a_function_that_fails_on_missing_values_is_told() -> None:
    x = np.ones((4, 3))
    x[2, 1] = NAN
    strict = LinearRegression().fit(rows_of(9, 3), np.arange(9.0))
    with pytest.raises(ValueError, match="NaN"):
        tfxai.Occlusion()(strict.predict, x)
    with pytest.raises(ValueError, match="no score for number 2"):
        tfxai.Occlusion()(lambda rows: np.asarray(rows) @ np.ones(3), x)
    x[2, 1] = np.inf
    with pytest.raises(ValueError, match="infinite numbers, in 1 of 4 examples, first in number 2"):
        tfxai.Occlusion()(missing, x)
    image = np.ones((1, 4, 4, 1))
    image[0, 0, 0] = NAN
    with pytest.raises(ValueError, match="RISE blends"):
        tfxai.RISE(samples=4)(lambda x: np.nan_to_num(np.asarray(x)).sum((1, 2, 3)), image)


def test_missing_words() -> None:
    inputs = {"sex": np.array(["m", None, "f"], object), "x": np.array([1.0, 2.0, NAN])}

    def model(columns: dict) -> np.ndarray:
        there = np.array([0.0 if word is None else 1.0 for word in columns["sex"]])
        return there + np.nan_to_num(columns["x"], nan=7.0)

    found = tfxai.Occlusion(baseline=0.0)(model, inputs)
    np.testing.assert_allclose(found.values["sex"], [0, -1, 0])  # the empty word is there
    np.testing.assert_allclose(found.values["x"], [1, 2, 7])
    assert found.inputs["sex"].tolist() == ["m", None, "f"]
    found = tfxai.Occlusion(baseline=NAN)(model, inputs)
    np.testing.assert_allclose(found.values["x"], [-6, -5, 0])
    word, number = keras.Input((1,), dtype="string", name="sex"), keras.Input((1,), name="x")
    codes = L.StringLookup(vocabulary=["m", "f"], output_mode="one_hot")(word)
    reader = keras.Model({"sex": word, "x": number}, L.Dense(1)(L.Concatenate()([codes, number])))
    with pytest.raises(ValueError, match=r"sex lacks words.*first in number 1"):
        tfxai.Occlusion()(reader, inputs | {"x": np.ones(3)}, 0)


# Columns of different widths


@functools.cache
def widths(as_dict: bool, words: bool = True) -> tuple[Any, Any, Any]:
    """A model of a number, a word and three numbers, its inputs and a background. score = 2 a + word + a v . (1, 2, 3)."""
    a, v = keras.Input((1,), name="a"), keras.Input((3,), name="v")
    s = keras.Input((1,), dtype="string" if words else "float32", name="s")
    code = L.StringLookup(vocabulary=["sea", "hill"], output_mode="one_hot")(s) if words else s
    weigh = L.Dense(1, use_bias=False)
    third = L.Dense(1, use_bias=False)
    total = L.Add()([2 * a, weigh(code), L.Multiply()([a, third(v)])])
    inputs = {"a": a, "s": s, "v": v} if as_dict else [a, s, v]
    model = keras.Model(inputs, total)
    weigh.set_weights([np.array([[0.0], [5.0], [-4.0]]) if words else np.array([[3.0]])])
    third.set_weights([np.array([[1.0], [2.0], [3.0]])])

    def arrays(count: int, seed: int) -> Any:
        generator = np.random.default_rng(seed)
        word = generator.choice(["sea", "hill", "moon"], (count, 1)).astype(object)
        columns = [generator.normal(size=(count, 1)), word if words else generator.normal(size=(count, 1))]
        columns.append(generator.normal(size=(count, 3)))
        return dict(zip("asv", columns, strict=True)) if as_dict else columns

    return model, arrays(2, 0), arrays(6, 1)


def flat(columns: Any) -> list[Any]:
    return list(columns.values()) if isinstance(columns, dict) else list(columns)


def wanted_parts(model: Any, inputs: Any, background: Any, i: int) -> np.ndarray:
    """Shapley values of the three inputs of example i."""

    def worth(seen: tuple[bool, ...]) -> float:
        columns = [
            np.repeat(x[i : i + 1], len(rows), 0) if is_seen else rows
            for x, rows, is_seen in zip(flat(inputs), flat(background), seen, strict=True)
        ]
        given = [tf.constant(c if c.dtype == object else c.astype("float32")) for c in columns]
        packed = dict(zip(inputs, given, strict=True)) if isinstance(inputs, dict) else given
        return float(np.mean(model(packed)))

    return shapley(worth, 3)


@pytest.mark.parametrize("as_dict", [True, False])
def test_inputs_of_different_widths_are_parts(as_dict: bool) -> None:
    model, inputs, background = widths(as_dict)
    found = tfxai.KernelSHAP(background=background)(model, inputs, 0)
    assert found.weights.shape == (2, 3)
    for i in range(2):
        np.testing.assert_allclose(found.weights[i], wanted_parts(model, inputs, background, i), atol=1e-4)
    values = flat(found.values)
    assert [v.shape for v in values] == [(2, 1), (2, 1), (2, 3)]
    for value, weights in zip(values, found.weights.T, strict=True):
        np.testing.assert_array_equal(value, np.repeat(weights[:, None], value.shape[1], 1))
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)


def test_a_part_is_drawn_and_counted_once(tmp_path: Any) -> None:
    model, inputs, background = widths(True, words=False)
    found = tfxai.KernelSHAP(background=background)(model, inputs, 0)
    loaded = tfxai.Explanation.load(found.save(tmp_path / "parts.npz"))
    assert found.segments["v"].tolist() == loaded.segments["v"].tolist() == [[2, 2, 2]] * 2
    texts = [text.get_text() for ax in tfxai.plots.bars(loaded).axes for text in ax.get_yticklabels()]
    assert len([text for text in texts if text.startswith("v")]) == 2  # one bar for each row
    rows = rows_of_explanation(model, loaded, "output", 8, input="v")
    np.testing.assert_allclose(rows.share.sum(1), found.weights[:, 2], rtol=1e-5)


def test_partition_shap_shares_a_part_among_its_places() -> None:
    model, inputs, background = widths(True)
    found = tfxai.PartitionSHAP(masker=background)(model, inputs, 0)
    values = [value.sum(1) for value in flat(found.values)]
    # Of three parts the first is one half: its Owen value is that of the game against the other two together.
    full = found.scores - np.mean(
        model(
            {k: tf.constant(v if v.dtype == object else v.astype("float32")) for k, v in background.items()}
        )
    )
    np.testing.assert_allclose(sum(values), full, atol=1e-4)
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)
    assert np.ptp(found.values["v"], axis=1).max() == 0


@pytest.mark.parametrize("name", HIDING)
def test_additive_inputs_get_what_they_add(name: str) -> None:
    """A score without products: 2 a + 3 s + v . (1, 2, 3)."""

    def model(columns: Any) -> Any:
        return 2 * columns[0][:, 0] + 3 * columns[1][:, 0] + tf.linalg.matvec(columns[2], [1.0, 2.0, 3.0])

    inputs = [rows_of(2, 1, 1), rows_of(2, 1, 2), rows_of(2, 3, 3)]
    background = [rows_of(1, 1, 4), rows_of(1, 1, 5), rows_of(1, 3, 6)]
    found = HIDING[name](background)(model, inputs)
    steps = [(x - b) @ w for x, b, w in zip(inputs, background, ([2.0], [3.0], [1.0, 2.0, 3.0]), strict=True)]
    share = 3 if name == "PartitionSHAP" else 1
    for value, step, places in zip(found.values, steps, (1, 1, share), strict=True):
        np.testing.assert_allclose(value, np.repeat(step[:, None] / places, value.shape[1], 1), atol=1e-3)


def test_occlusion_of_different_widths() -> None:
    model, inputs, _ = widths(True)
    found = tfxai.Occlusion()(model, inputs, 0)
    a, v = inputs["a"][:, 0], inputs["v"] @ [1, 2, 3]
    word = np.array([{"sea": 5.0, "hill": -4.0, "moon": 0.0}[each] for (each,) in inputs["s"]])
    np.testing.assert_allclose(found.values["a"][:, 0], 2 * a + a * v, atol=1e-4)
    np.testing.assert_allclose(found.values["s"][:, 0], word, atol=1e-4)
    np.testing.assert_allclose(found.values["v"], np.repeat((a * v)[:, None], 3, 1), atol=1e-4)
    found = tfxai.Occlusion(baseline={"s": "hill", "a": 1.0}, window=1)(model, inputs, 0)
    np.testing.assert_allclose(found.values["s"][:, 0], word + 4, atol=1e-4)
    np.testing.assert_allclose(found.values["a"][:, 0], (a - 1) * (2 + v), atol=1e-4)
    np.testing.assert_allclose(found.values["v"], a[:, None] * inputs["v"] * [1, 2, 3], atol=1e-4)


def test_tables_beside_each_other_are_explained_by_columns() -> None:
    inputs, background = [rows_of(2, 2, 1), rows_of(2, 3, 2)], [rows_of(5, 2, 3), rows_of(5, 3, 4)]

    def model(columns: Any) -> Any:
        return columns[0][:, 0] * columns[1][:, 2] + columns[0][:, 1] - 2 * columns[1][:, 1] ** 2

    def joined(rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] * rows[:, 4] + rows[:, 1] - 2 * rows[:, 3] ** 2

    found = tfxai.KernelSHAP(background=background)(model, inputs)
    for i in range(2):
        row, rows = np.concatenate([x[i] for x in inputs]), np.concatenate(background, 1)
        wanted = behind_rows(joined, row, rows, [[j] for j in range(5)])
        np.testing.assert_allclose(np.concatenate([v[i] for v in found.values]), wanted, atol=1e-4)


def test_columns_may_be_hidden_by_numbers_and_words() -> None:
    model, inputs, _ = widths(True, words=False)
    found = tfxai.KernelSHAP(background=0.0)(model, inputs, 0)
    np.testing.assert_allclose(found.values["s"], 3 * inputs["s"], atol=1e-4)
    model, inputs, _ = widths(True)
    found = tfxai.KernelSHAP(background={"a": 1.0, "s": "moon", "v": 0.0})(model, inputs, 0)
    words = [{"sea": 5.0, "hill": -4.0, "moon": 0.0}[each] for (each,) in inputs["s"]]
    np.testing.assert_allclose(found.values["s"][:, 0], words, atol=1e-4)
    with pytest.raises(ValueError, match="number where there are no words"):
        tfxai.KernelSHAP(background=0.0)(model, inputs, 0)


def test_one_of_them_can_be_chosen() -> None:
    model, inputs, background = widths(True)
    for method in (
        tfxai.KernelSHAP(background=background, input="v"),
        tfxai.KernelSHAP(background=background["v"], input="v"),
    ):
        found = method(model, inputs, 0)
        assert found.values["a"] is None and found.values["s"] is None
        steps = inputs["a"] * (inputs["v"] - background["v"].mean(0)) * [1, 2, 3]
        np.testing.assert_allclose(found.values["v"], steps, atol=1e-4)


def test_rows_of_words() -> None:
    """Several words for each example are columns."""
    inputs = np.array([["sea", "east"], ["hill", "west"]], object)
    worth = {"sea": 1.0, "hill": 2.0, "east": 4.0, "west": 8.0}

    def model(rows: Any) -> np.ndarray:
        return np.array([worth[a] * worth[b] for a, b in rows])

    found = tfxai.KernelSHAP(background=inputs[:1])(model, inputs)
    # From 4: "hill" alone makes it 8, "west" alone 8, both 16.
    np.testing.assert_allclose(found.values[1], [(4 + 8) / 2, (4 + 8) / 2], atol=1e-4)
    np.testing.assert_allclose(found.values[0], 0, atol=1e-5)


# Token ids


@functools.cache
def reader(inputs: int = 1, mask_zero: bool = False, nested: bool = False, dtype: Any = "int32") -> Any:
    """The sum of what each id is worth, per input, and the product of the sums."""
    ids = [keras.Input((4,), dtype=dtype, name=f"ids{i}") for i in range(inputs)]
    table = L.Embedding(6, 1, mask_zero=mask_zero)
    inner: Any = keras.Sequential([keras.Input((4,), dtype="int32"), table]) if nested else table
    sums = [L.Flatten()(inner(each)) for each in ids]
    sums = [L.Dense(1, use_bias=False, kernel_initializer="ones")(each) for each in sums]
    model = keras.Model(ids if inputs > 1 else ids[0], sums[0] if inputs == 1 else L.Multiply()(sums))
    table.set_weights([np.array([[0.5], [1.0], [2.0], [4.0], [8.0], [16.0]])])
    return model


IDS = np.array([[1, 2, 5, 0], [3, 3, 0, 0]])
WORTH = np.array([0.5, 1, 2, 4, 8, 16])

DEFAULTS = {
    "KernelSHAP": tfxai.KernelSHAP(),
    "PartitionSHAP": tfxai.PartitionSHAP(),
    "LIME": tfxai.LIME(ridge=0.0),
    "Occlusion": tfxai.Occlusion(),
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_token_ids_are_hidden_by_the_padding_id(name: str) -> None:
    wanted = WORTH[IDS] - WORTH[0]
    for model in (reader(mask_zero=True, dtype=None), reader(nested=True)):
        found = DEFAULTS[name](model, IDS, 0)
        np.testing.assert_allclose(found.values, wanted, atol=1e-3)


def test_another_id_may_hide() -> None:
    wanted = WORTH[IDS] - WORTH[4]
    for method in (
        tfxai.KernelSHAP(background=4),
        tfxai.PartitionSHAP(masker=4),
        tfxai.LIME(hide=4, ridge=0.0),
        tfxai.Occlusion(baseline=4),
        tfxai.KernelSHAP(background=np.full((3, 4), 4)),
    ):
        np.testing.assert_allclose(method(reader(), IDS, 0).values, wanted, atol=1e-3)
    with pytest.raises(ValueError, match="token ids"):
        tfxai.KernelSHAP(background=0.5)(reader(), IDS, 0)
    with pytest.raises(ValueError, match="vocabulary"):
        tfxai.KernelSHAP(background=6)(reader(), IDS, 0)
    with pytest.raises(ValueError, match="not for token ids"):
        tfxai.PartitionSHAP(masker="inpaint")(reader(), IDS, 0)


def test_ids_of_several_sentences_are_never_averaged() -> None:
    ids = keras.Input((2, 3), dtype="int32")
    model = keras.Model(ids, L.Dense(1)(L.Flatten()(L.Embedding(9, 2)(ids))))
    x = np.random.default_rng(0).integers(1, 9, (2, 2, 3))
    for usual, named in (
        (tfxai.KernelSHAP(), tfxai.KernelSHAP(background=0)),
        (tfxai.PartitionSHAP(), tfxai.PartitionSHAP(masker=0)),
        (tfxai.LIME(samples=9), tfxai.LIME(samples=9, hide=0)),
    ):
        np.testing.assert_array_equal(usual(model, x, 0).values, named(model, x, 0).values)


def test_two_texts_of_ids_are_explained_together() -> None:
    first, second = IDS, IDS[:, ::-1].copy()
    found = tfxai.KernelSHAP(samples=300)(reader(2), [first, second], 0)
    for i in range(2):

        def score(rows: np.ndarray) -> np.ndarray:
            return WORTH[rows[:, :4]].sum(1) * WORTH[rows[:, 4:]].sum(1)

        row = np.concatenate([first[i], second[i]])
        wanted = behind_rows(score, row, np.zeros((1, 8), int), [[j] for j in range(8)])
        np.testing.assert_allclose(np.concatenate([v[i] for v in found.values]), wanted, rtol=1e-4, atol=1e-3)


def test_what_masks_ids_stays() -> None:
    ids, mask = keras.Input((4,), dtype="int32", name="ids"), keras.Input((4,), dtype="int32", name="mask")
    table = L.Embedding(6, 1)
    there = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
    model = keras.Model({"mask": mask, "ids": ids}, keras.ops.sum(table(ids) * there, axis=1))
    table.set_weights([WORTH[:, None]])
    seen = (IDS > 0).astype(int)
    for name, method in DEFAULTS.items():
        found: list[Any] = []
        words = said(
            lambda method=method, found=found: found.append(method(model, {"mask": seen, "ids": IDS}, 0))
        )
        np.testing.assert_allclose(found[0].values["ids"], (WORTH[IDS] - 0.5) * seen, atol=1e-3)
        assert found[0].values["mask"] is None
        assert [name in each and "'mask' gets no values (None)" in each for each in words] == [True]


def test_ids_beside_a_table_need_its_rows() -> None:
    ids, row = keras.Input((4,), dtype="int32", name="ids"), keras.Input((1,), name="age")
    table = L.Embedding(6, 1)
    model = keras.Model({"ids": ids, "age": row}, L.Add()([keras.ops.sum(table(ids), axis=1), 3 * row]))
    table.set_weights([WORTH[:, None]])
    inputs = {"ids": IDS, "age": np.array([1.0, 2.0])}
    with pytest.raises(ValueError, match=r"training rows.*input='ids'"):
        tfxai.KernelSHAP()(model, inputs, 0)
    wanted = WORTH[IDS] - 0.5
    np.testing.assert_allclose(
        tfxai.KernelSHAP(input="ids")(model, inputs, 0).values["ids"], wanted, atol=1e-4
    )
    found = tfxai.KernelSHAP(background=0)(model, inputs, 0)
    np.testing.assert_allclose(found.values["ids"], wanted, atol=1e-4)
    np.testing.assert_allclose(found.values["age"][:, 0], [3, 6], atol=1e-4)
    found = tfxai.Occlusion()(model, inputs, 0)
    np.testing.assert_allclose(found.values["ids"], wanted, atol=1e-4)
    np.testing.assert_allclose(found.values["age"][:, 0], [3, 6], atol=1e-4)


def test_a_code_that_is_looked_up_is_a_column() -> None:
    """Embeddings of categories, one code for each row."""
    shop, size = keras.Input((1,), dtype="int32", name="shop"), keras.Input((1,), name="size")
    table = L.Embedding(6, 1)
    model = keras.Model({"shop": shop, "size": size}, L.Flatten()(table(shop)) * size)
    table.set_weights([WORTH[:, None]])
    inputs, background = (
        {"shop": [5, 1], "size": [1.0, 2.0]},
        {"shop": np.array([0, 2]), "size": np.array([3.0, 1.0])},
    )
    found = tfxai.KernelSHAP(background=background)(model, inputs, 0)
    for i in range(2):
        row = np.array([inputs["shop"][i], inputs["size"][i]], float)
        rows = np.stack(list(background.values()), 1)
        wanted = behind_rows(lambda r: WORTH[r[:, 0].astype(int)] * r[:, 1], row, rows, [[0], [1]])
        np.testing.assert_allclose(
            [found.values["shop"][i, 0], found.values["size"][i, 0]], wanted, atol=1e-4
        )
    with pytest.raises(ValueError, match="training rows"):
        tfxai.KernelSHAP()(model, inputs, 0)


# Inputs that are left out


@functools.cache
def counted() -> Any:
    """6 n + 2 f, n whole."""
    n, f = keras.Input((1,), dtype="int32", name="n"), keras.Input((1,), name="f")
    bits = L.CategoryEncoding(4, output_mode="one_hot")(n)
    weigh = L.Dense(1, use_bias=False)
    model = keras.Model({"n": n, "f": f}, L.Add()([weigh(bits), 2 * f]))
    weigh.set_weights([6 * np.arange(4.0)[:, None]])
    return model


WHOLE = {"n": np.array([[1], [3]]), "f": np.ones((2, 1))}


def test_whole_numbers_that_are_left_out_are_said_once() -> None:
    model = counted()
    for method in (
        tfxai.Gradient(),
        tfxai.IntegratedGradients(),
        tfxai.DeepLIFT(),
        tfxai.SmoothGrad(samples=3),
    ):
        for _ in range(2):  # traced, and from the trace
            words = [
                each for each in said(lambda method=method: method(model, WHOLE, 0)) if "no values" in each
            ]
            assert len(words) == 1
            assert re.search(r"'n' gets no values \(None\).*whole numbers \(int32\).*KernelSHAP", words[0])


def test_methods_that_hide_parts_leave_no_column_out() -> None:
    for method in (tfxai.KernelSHAP(background=0), tfxai.Occlusion()):
        found: list[Any] = []
        assert said(lambda method=method, found=found: found.append(method(counted(), WHOLE, 0))) == []
        np.testing.assert_allclose(found[0].values["n"], [[6], [18]], atol=1e-4)
        np.testing.assert_allclose(found[0].values["f"], [[2], [2]], atol=1e-4)


@functools.cache
def pictured(images: int = 1, rows: int = 1) -> tuple[Any, Any]:
    # In one draw of eleven Grad-CAM finds no positive place at all, and warns of that, too.
    keras.utils.set_random_seed(0)
    shapes = [(6, 6, 1)] * images + [(3,)] * rows
    inputs = [keras.Input(shape) for shape in shapes]
    conv = L.Conv2D(2, 3, name="conv")
    parts = [L.GlobalAveragePooling2D()(conv(inputs[0]))]
    parts += [L.GlobalAveragePooling2D()(L.Conv2D(2, 3)(x)) for x in inputs[1:images]]
    model = keras.Model(inputs, L.Dense(2)(L.Concatenate()([*parts, *inputs[images:]])))
    return model, [np.random.default_rng(0).random((2, *shape)) for shape in shapes]


def test_a_picture_beside_a_row() -> None:
    model, inputs = pictured()
    hiding = (tfxai.Occlusion(), tfxai.LIME(segments=4, samples=10, segmenter="grid"))
    for method in hiding:
        (words,) = said(lambda method=method: method(model, inputs, 0))
        assert re.search(r"inputs\[1\] gets no values.*inputs\[0\] are hidden.*input=1", words)
    assert said(lambda: tfxai.Occlusion(input=0)(model, inputs, 0)) == []
    for method in (
        tfxai.GradCAM(layer="conv"),
        tfxai.RISE(samples=4),
        tfxai.Gradient(),
        tfxai.BlurIG(steps=2),
    ):
        assert [
            each for each in said(lambda method=method: method(model, inputs, 0)) if "no values" in each
        ] == []


def test_two_pictures() -> None:
    model, inputs = pictured(images=2, rows=0)
    (words,) = said(lambda: tfxai.GradCAM(layer="conv")(model, inputs, 0))
    assert re.search(r"GradCAM: inputs\[1\] gets no values.*inputs\[0\].*layer=", words)
    (words,) = said(lambda: tfxai.RISE(samples=4)(model, inputs, 0))
    assert "RISE: inputs[1] gets no values" in words
