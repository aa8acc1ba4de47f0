import warnings
from collections.abc import Callable

import keras
import numpy as np
import pytest
from exact_games import HARD, USUAL, members
from skimage.data import chelsea
from skimage.transform import resize
from sklearn.linear_model import LogisticRegression

import tfxai

L = keras.layers


def linear(*shape: int) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), L.Flatten(), L.Dense(3)])


def photo() -> np.ndarray:
    return resize(chelsea(), (60, 80)).astype(np.float32)[None]


def test_without_ridge_a_linear_model_has_w_times_x() -> None:
    model, x = linear(60, 80, 3), photo()
    found = tfxai.LIME(samples=600, ridge=0.0, hide=0.2, segments=30)(model, x, targets=tfxai.top(2))
    effects = (x - 0.2)[0] * model.layers[-1].kernel.numpy().T.reshape(3, 60, 80, 3)
    for k in range(2):
        maps = effects[found.targets[0, k]].sum(-1)
        wanted = np.array([maps[found.segments[0] == s].sum() for s in range(found.weights.shape[-1])])
        np.testing.assert_allclose(found.weights[0, k], wanted, atol=1e-3 * np.abs(wanted).max())
    np.testing.assert_allclose(found.r2, 1, atol=1e-5)
    np.testing.assert_allclose(found.local_prediction, found.scores, atol=1e-3)
    np.testing.assert_allclose(found.intercept, model(np.full_like(x, 0.2)).numpy()[0, found.targets[0]][None], atol=1e-3)  # fmt: skip


def test_hidden_segments_have_their_own_mean_colour() -> None:
    seen = []

    def model(images: np.ndarray) -> np.ndarray:
        seen.append(np.asarray(images))
        return np.asarray(images).mean((1, 2, 3))

    x = photo()
    found = tfxai.LIME(samples=8, segments=12)(model, x)
    shown, labels = np.concatenate(seen)[-8:], found.segments[0]
    for image in shown:
        for s in range(labels.max() + 1):
            part, own = image[labels == s], x[0][labels == s]
            assert np.allclose(part, own) or np.allclose(part, own.mean(0), atol=1e-5)
    assert np.allclose(shown[0], x[0])  # the first is the whole image


@pytest.mark.parametrize("segmenter", ["slic", "felzenszwalb", "quickshift", "watershed", "grid"])
def test_every_segmenter_cuts_a_photo(segmenter: str) -> None:
    found = tfxai.LIME(samples=10, segments=20, segmenter=segmenter)(linear(60, 80, 3), photo() * 255 - 100)
    labels = found.segments[0]
    assert labels.shape == (60, 80)
    np.testing.assert_array_equal(np.unique(labels), np.arange(found.weights.shape[-1]))
    assert 5 <= found.weights.shape[-1] <= 80


def test_the_segmenter_sees_the_image_in_0_to_1() -> None:
    ranges = []

    def halves(image: np.ndarray) -> np.ndarray:
        ranges.append((image.min(), image.max()))
        return np.arange(80)[None].repeat(60, 0) // 40 + 7  # labels need not start at 0

    found = tfxai.LIME(samples=10, segmenter=halves)(linear(60, 80, 3), photo() * 300 - 100)
    assert ranges == [(0.0, 1.0)]
    assert found.weights.shape == (1, 2)


def test_an_image_without_segments_is_cut_by_a_grid_and_says_so() -> None:
    with pytest.warns(UserWarning, match="one segment only in image 0; a grid"):
        found = tfxai.LIME(samples=10, segments=9, segmenter="felzenszwalb")(
            linear(60, 80, 3), np.ones((1, 60, 80, 3))
        )
    assert found.segments.max() + 1 in (9, 12)


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels(channels: int) -> None:
    x = np.repeat(photo().mean(-1, keepdims=True), channels, -1)
    found = tfxai.LIME(samples=10, segments=9)(linear(60, 80, channels), x)
    assert found.values.shape == (1, 60, 80, 1) and np.ptp(found.values) > 0


def test_examples_with_fewer_segments_are_filled_up_with_nan() -> None:
    x = np.concatenate([photo(), photo()[:, ::-1]])
    maps = np.stack([np.arange(80)[None].repeat(60, 0) // 40, np.arange(80)[None].repeat(60, 0) // 16])
    found = tfxai.LIME(samples=30, segmenter=maps)(linear(60, 80, 3), x, targets=[[0, 1], [2, 1]])
    assert found.weights.shape == (2, 2, 5)
    assert np.isnan(found.weights[0, :, 2:]).all() and np.isfinite(found.weights[1]).all()
    assert np.isfinite(found.values).all()
    for i in range(2):
        np.testing.assert_array_equal(found.values[i, 1, ..., 0], found.weights[i, 1][maps[i]])


def test_background_rows_take_the_place_of_hidden_columns() -> None:
    background = np.random.default_rng(0).normal(size=(40, 4))
    seen = []

    def model(rows: np.ndarray) -> np.ndarray:
        seen.append(np.asarray(rows))
        return np.asarray(rows) @ [1.0, -2.0, 0.0, 3.0]

    x = np.full((1, 4), 9.0)
    found = tfxai.LIME(samples=5000, background=background, ridge=0.0)(model, x)
    rows = np.concatenate(seen)[-5000:]
    for row in rows[:50]:
        taken = row != 9.0
        assert any(np.allclose(row[taken], b[taken]) for b in background)  # all from one row
    wanted = (9 - background.mean(0)) * [1, -2, 0, 3]
    np.testing.assert_allclose(found.values[0], wanted, atol=0.3)


def test_words_are_left_out_or_masked() -> None:
    seen = []

    def model(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return np.array([2.0 * ("good" in t.split()) - 3.0 * t.split().count("bad") for t in texts])

    texts = ["a good film", "bad bad"]
    found = tfxai.LIME(ridge=0.0, samples=200)(model, texts)
    assert found.tokens == [["a", "good", "film"], ["bad", "bad"]]
    np.testing.assert_allclose(found.values, [[0, 2, 0], [-3, -3, np.nan]], atol=1e-4)
    assert {"a", "good film", ""} <= set(seen)
    seen.clear()
    tfxai.LIME(samples=200)(model, tfxai.Text(texts[:1], mask="?"))
    assert {"? good ?", "? ? ?"} <= set(seen)
    found = tfxai.LIME(ridge=0.0, samples=200)(model, tfxai.Text(["good,bad"], tokenize=lambda t: t.split(","), join=" ".join))  # fmt: skip
    np.testing.assert_allclose(found.values, [[2, -3]], atol=1e-4)


def test_a_model_with_text_vectorization_is_explained_as_it_is() -> None:
    keras.utils.set_random_seed(0)
    texts = ["a good film", "a bad film", "good good and bad"]
    words = L.TextVectorization(vocabulary=["a", "good", "bad", "film"], output_sequence_length=5)
    embed, dense = L.Embedding(6, 3), L.Dense(2)
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), words, embed, L.GlobalAveragePooling1D(), dense]
    )
    found = tfxai.KernelSHAP()(model, texts, targets=1)

    def score(kept: list[str]) -> float:
        ids = [["", "[UNK]", "a", "good", "bad", "film"].index(w) for w in kept]
        rows = embed.embeddings.numpy()[ids + [0] * (5 - len(ids))]
        return float((rows.mean(0) @ dense.kernel.numpy() + dense.bias.numpy())[1])

    np.testing.assert_allclose(found.scores[0], score(["a", "good", "film"]), atol=1e-5)
    np.testing.assert_allclose(
        np.nansum(found.values, 1)[0], score(["a", "good", "film"]) - score([]), atol=1e-4
    )
    np.testing.assert_allclose(
        found.values[1, 1] - found.values[1, 0], (score(["bad"]) - score(["a"])), atol=1e-4
    )


def test_a_text_longer_than_the_model_reads_has_no_weight_beyond() -> None:
    words = L.TextVectorization(vocabulary=["x", "y"], output_sequence_length=2)
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), words, L.Embedding(4, 2), L.Flatten(), L.Dense(1)]
    )
    masked = tfxai.Text(
        ["x y x y"], mask="[UNK]"
    )  # masked words keep their places; words left out would move others up
    found = tfxai.KernelSHAP()(model, masked)
    np.testing.assert_allclose(found.values[0, 2:], 0, atol=1e-6)
    assert np.abs(found.values[0, :2]).max() > 1e-4


def test_a_scikit_learn_pipeline_is_a_callable_on_rows() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    pipeline = LogisticRegression().fit(x, x[:, 0] > 0)
    found = tfxai.LIME(background=x)(pipeline.predict_proba, x[:5], targets=1)
    assert (np.abs(found.values[:, 0]) > 5 * np.abs(found.values[:, 1:]).max(1)).all()


def test_series_are_cut_into_windows() -> None:
    model = linear(30, 2)
    found = tfxai.LIME(segments=6, samples=40)(model, np.random.default_rng(0).normal(size=(2, 30, 2)))
    np.testing.assert_array_equal(found.segments, np.tile(np.arange(30) // 5, (2, 1)))
    assert found.values.shape == (2, 30, 1)


def test_an_explanation_is_saved_with_all_it_carries(tmp_path) -> None:
    found = tfxai.LIME(samples=10, segments=9)(linear(60, 80, 3), photo(), targets=tfxai.top(2))
    loaded = tfxai.Explanation.load(found.save(tmp_path / "lime.npz"))
    for name in ("values", "weights", "segments", "r2", "intercept", "local_prediction"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(found, name))
    texts = tfxai.LIME(samples=10)(lambda t: np.array([len(s) for s in t]), ["one two", "three"])
    assert tfxai.Explanation.load(texts.save(tmp_path / "text.npz")).tokens == [["one", "two"], ["three"]]


def test_the_seed_decides_and_global_randomness_does_not() -> None:
    model, x = linear(60, 80, 3), photo()
    np.random.seed(0)
    one = tfxai.LIME(samples=50)(model, x)
    state = np.random.get_state()[1].copy()
    np.random.random(5)
    two = tfxai.LIME(samples=50)(model, x)
    np.testing.assert_array_equal(one.weights, two.weights)
    assert np.abs(one.weights - tfxai.LIME(samples=50, seed=1)(model, x).weights).max() > 0
    np.random.seed(0)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"distance": "l2"}, "cosine"),
        ({"hide": "black"}, "mean"),
        ({"width": 0}, "width is 0. Give a number above 0"),
        ({"ridge": -1}, "ridge is -1. Give a number, 0 or more"),
        ({"samples": 1}, "samples is 1"),
        ({"segments": 1}, "segments is 1"),
        ({"segmenter": "slic2"}, "felzenszwalb"),
    ],
)
def test_settings_are_checked(settings: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        tfxai.LIME(**settings)


def test_strange_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="Text 1 has no words"):
        tfxai.LIME()(lambda texts: np.zeros(len(texts)), ["fine", "  "])
    with pytest.raises(ValueError, match=r"give \[text\]"):
        tfxai.Text("one text")
    with pytest.raises(ValueError, match="LIME, KernelSHAP or PartitionSHAP for texts"):
        tfxai.Occlusion()(lambda texts: np.zeros(len(texts)), ["some words"])


def test_no_warning_comes_from_the_fit() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfxai.LIME(samples=20, segments=9, ridge=0.0)(linear(60, 80, 3), photo())


def test_an_array_hides_each_image_by_its_own() -> None:
    x = np.random.default_rng(0).random((3, 8, 8, 3))
    hide = x + 10 * np.arange(3)[:, None, None, None]
    found = tfxai.LIME(hide=hide, segmenter="grid", segments=4, samples=60, ridge=0.0)(
        lambda images: np.asarray(images).mean((1, 2, 3)), x
    )
    np.testing.assert_allclose(found.weights[0], 0, atol=1e-5)
    np.testing.assert_allclose(found.weights.sum(1), [0, -10, -20], atol=1e-3)


def test_a_single_text_without_a_list_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Give a list of texts: \[text\]"):
        tfxai.LIME()(lambda texts: np.zeros(len(texts)), "one text")


# How sure it is


def rows_of(table: np.ndarray) -> Callable:
    powers = 2 ** np.arange(int(np.log2(len(table))))
    return lambda rows: table[(np.asarray(rows) > 0.5).astype(int) @ powers]


def limit(table: np.ndarray, width: float = 0.25) -> np.ndarray:
    """The weights that infinitely many coalitions would give: a regression over all of them."""
    bits = members(int(np.log2(len(table)))).astype(float)
    closeness = np.exp(-(((1 - np.sqrt(bits.mean(1))) / width) ** 2) / 2)
    columns = np.concatenate([np.ones((len(bits), 1)), bits], 1)
    return np.linalg.solve(columns.T * closeness @ columns, columns.T @ (closeness * table))[1:]


@pytest.mark.parametrize("name", ["network", "softmax", "unanimity"])
def test_intervals_hold_for_all_parts_together_when_drawing_stops(name: str) -> None:
    """Against all coalitions, for 20 games: at most 4 misses of a confidence of 0.95 (a chance of 1 in 400)."""
    misses = 0
    for seed in range(20):
        table = {**USUAL, **HARD}[name](7, np.random.default_rng(seed))
        wanted = limit(table)
        method = tfxai.LIME(samples=50_000, hide=0.0, seed=seed, tolerance="25%")
        found = method(rows_of(table), np.ones((1, 7)))
        assert found.converged.all() and found.passes[0] < 50_000
        low, high = np.moveaxis(found.interval[0], -1, 0)
        assert (high - low).max() / 2 <= 0.25 * np.abs(found.weights).max() * 1.001
        misses += bool((wanted < low).any() or (wanted > high).any())
    assert misses <= 4


def test_the_standard_error_is_the_spread_over_seeds() -> None:
    table = USUAL["network"](7, np.random.default_rng(0))
    model = rows_of(table)
    runs = [tfxai.LIME(samples=300, hide=0.0, seed=seed)(model, np.ones((1, 7))) for seed in range(60)]
    spread = np.std([run.weights[0] for run in runs], axis=0, ddof=1)
    stated = np.mean([run.standard_error[0] for run in runs], axis=0)
    np.testing.assert_allclose(stated, spread, rtol=0.35)
    off = np.abs(np.mean([run.weights[0] for run in runs], axis=0) - limit(table))
    width = np.ptp(runs[0].interval[0], axis=-1) / 2  # which also knows what the penalty takes
    assert (off < width).all()
