"""TCAV: vectors, derivatives and tests against their definitions, and a model whose concepts are known."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

import tfxai
from tfxai import concepts
from tfxai.cli import main
from tfxai.concepts import cav
from tfxai.concepts.cav import CLASSIFIERS, PENALTY, concept_vector
from tfxai.concepts.patterns import DRAWN
from tfxai.model.tracing import traces
from tfxai.stats.significance import corrected, paired, permutation, smallest, welch

SIZE = 16
L = keras.layers
COLOURS = ("red", "green", "blue")


def colourful(count: int, seed: int) -> np.ndarray:
    """Pictures of nothing: patches of many colours."""
    small = np.random.default_rng(seed).random((count, 4, 4, 3))
    return small.repeat(4, axis=1).repeat(4, axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def net() -> keras.Model:
    """Class k reads how much there is of colour k, and nothing else; class 3 is against red."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Conv2D(6, 1, activation="softplus", name="colours")(inputs)
    x = L.Conv2D(6, 3, activation="softplus", padding="same", name="deeper")(x)
    model = keras.Model(
        inputs, L.Dense(4, name="classes")(L.GlobalAveragePooling2D(name="pool")(x)), name="net"
    )
    pure = 4 * (2 * np.eye(3) - 1)  # one colour without the others
    model.get_layer("colours").set_weights([np.concatenate([pure, -pure], 1)[None, None], np.full(6, -1.0)])
    middle = np.zeros((3, 3, 6, 6))
    middle[1, 1] = np.eye(6)
    model.get_layer("deeper").set_weights([middle, np.zeros(6)])
    head = np.zeros((6, 4))
    head[[0, 1, 2], [0, 1, 2]] = 1
    head[0, 3] = -1
    model.get_layer("classes").set_weights([head, np.zeros(4)])
    return model


@pytest.fixture(scope="module")
def sets() -> dict[str, np.ndarray]:
    return {name: concepts.patterns(name, 30, SIZE, seed=i, scale=(0, 1)) for i, name in enumerate(COLOURS)}


RANDOM = [colourful(30, 100 + i) for i in range(40)]  # many, for scores of nearly linear models are 0 or 1
INPUTS = colourful(25, 7)
TWENTY = tfxai.TCAV(["colours", "deeper"], random_runs=20)
FOUR = tfxai.TCAV(["colours", "deeper"], random_runs=4)


# The model whose concepts are known


@pytest.fixture(scope="module")
def result(net: Any, sets: Any) -> tfxai.TCAVResult:
    return TWENTY(net, INPUTS, [0, 1, 3], sets, RANDOM)


@pytest.fixture(scope="module")
def of_four(net: Any, sets: Any) -> tfxai.TCAVResult:
    """Where it is not about significance."""
    return FOUR(net, INPUTS, [0, 1, 3], sets, RANDOM)


def test_the_colour_that_a_class_reads_is_found_and_no_other(result) -> None:
    rows = {(row["target"], row["concept"], row["layer"]): row for row in result.table}
    assert len(rows) == 3 * 3 * 2
    for (target, concept, _), row in rows.items():
        assert row["learned"] and row["accuracy"] > 0.95 and row["runs"] == 20
        if (target, concept) in ((0, "red"), (1, "green")):
            assert row["significant"] and row["score"] > 0.95 and row["magnitude"] > 0
        elif (target, concept) == (3, "red"):
            assert row["significant"] and row["score"] < 0.05 and row["magnitude"] < 0


@pytest.mark.slow
def test_a_model_that_reads_one_colour_has_no_other_concept(net: Any) -> None:
    """Colours here have nothing to do with each other: each fills one channel of its own."""
    random = [channels(30, None, 50 + i) for i in range(20)]
    three = {name: channels(30, k, 10 + k) for k, name in enumerate(COLOURS)}
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Conv2D(3, 1, name="mixed")(inputs)
    model = keras.Model(inputs, L.Dense(2, name="classes")(L.GlobalAveragePooling2D()(L.ReLU()(x))))
    model.layers[1].set_weights([np.eye(3)[None, None], np.zeros(3)])
    model.get_layer("classes").set_weights([np.array([[1.0, -1], [0, 0], [0, 0]]), np.zeros(2)])
    found = tfxai.TCAV("mixed")(model, channels(25, None, 7), [0, 1], three, random)
    for row in found.table:
        assert row["learned"]
        assert row["significant"] == (row["concept"] == "red")
        if row["concept"] == "red":
            assert row["score"] == (1 if row["target"] == 0 else 0)


def channels(count: int, which: int | None, seed: int) -> np.ndarray:
    """Noise, with more in one channel."""
    images = np.random.default_rng(seed).random((count, SIZE, SIZE, 3)).astype(np.float32)
    if which is not None:
        images[..., which] += 1
    return images


@pytest.mark.slow
@pytest.mark.parametrize("classifier", ["logistic", "mean_difference"])
def test_random_concepts_are_seldom_significant(net: Any, classifier: Any) -> None:
    """100 concepts that are only more random images; also without the guard of what a layer has learned."""
    called, unguarded = 0, 0
    for seed in range(100):
        sets = [colourful(20, 1000 * (seed + 1) + i) for i in range(21)]
        found = tfxai.TCAV("deeper", classifier=classifier, seed=seed)(
            net, INPUTS, 0, {"chance": sets[0]}, sets[1:]
        )
        called += bool(found.significant.any())
        unguarded += welch(found.scores[0, 0, 0], found.random_scores[0, 0], found.overlaps[0], seed) < 0.05
    assert called <= 5
    assert unguarded <= 10  # 5 expected; 11 or more happen in 1 of 90 series


def test_a_concept_that_a_layer_does_not_know_is_not_scored(net: Any) -> None:
    found = tfxai.TCAV("deeper")(net, INPUTS, 0, {"nothing": colourful(30, 5)}, RANDOM)
    (row,) = found.table
    assert not row["learned"] and not row["significant"]
    assert math.isnan(row["score"]) and math.isnan(row["p_value"]) and math.isnan(row["p_raw"])
    assert "not learned" in repr(found)


# Derivatives


@pytest.mark.parametrize("layer", ["colours", "deeper", "pool"])
def test_scores_are_those_of_finite_differences(net: Any, sets: Any, layer: str) -> None:
    result = tfxai.TCAV(layer, random_runs=3, alpha=0.5)(net, INPUTS, 0, sets, RANDOM)
    layers = net.layers[net.layers.index(net.get_layer(layer)) + 1 :]
    at = keras.Model(net.input, net.get_layer(layer).output)(INPUTS).numpy().astype(np.float64)

    def logit(acts: np.ndarray) -> np.ndarray:
        for each in layers:
            weights = [w.astype(np.float64) for w in each.get_weights()]
            if isinstance(each, L.Conv2D):  # only the middle of these kernels is not zero
                acts = np.logaddexp(0, acts @ weights[0][1, 1] + weights[1])
            elif isinstance(each, L.Dense):
                acts = acts @ weights[0] + weights[1]
            else:
                acts = acts.mean(axis=(1, 2))
        return acts[:, 0]

    for c, name in enumerate(sets):
        for run, vector in enumerate(result.cavs[name, layer].astype(np.float64)):
            np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
            slope = (logit(at + 1e-4 * vector) - logit(at - 1e-4 * vector)) / 2e-4
            np.testing.assert_allclose(result.magnitudes[0, c, 0, run], slope.mean(), rtol=1e-3, atol=1e-6)
            clear = np.abs(slope) > 1e-5
            least, most = (slope[clear] > 0).sum(), (slope[clear] > 0).sum() + (~clear).sum()
            assert least <= round(result.scores[0, c, 0, run] * len(INPUTS)) <= most


def test_every_image_and_layer_is_passed_once(net: Any, sets: Any) -> None:
    passed = []

    class Counting(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net

        def call(self, x: Any) -> Any:
            tf.py_function(lambda rows: passed.append(int(rows)), [tf.shape(x)[0]], [])
            return self.inner(x)

    model = Counting()
    model(INPUTS[:1])
    passed.clear()
    tcav = tfxai.TCAV(["net/colours", "net/deeper"], random_runs=4)
    tcav(model, INPUTS, 0, sets, RANDOM[:8], batch_size=32)
    # 3 concepts and 8 random sets of 30 in whole batches, and the class's images.
    assert sorted(passed, reverse=True) == [32] * 10 + [25, 10]
    before = traces(model)
    tcav(model, INPUTS, 1, {"red": sets["red"]}, RANDOM[:8])
    assert traces(model) == before


# Vectors


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_vectors_point_to_the_concept(classifier: Any) -> None:
    generator = np.random.default_rng(0)
    towards = generator.normal(size=500)
    towards /= np.linalg.norm(towards)
    rows = generator.normal(size=(200, 500)) * 0.3 + 5
    rows[:100] += 4 * towards
    vector, accuracy = concept_vector(
        *np.split(rows.astype(np.float32), 2), classifier, np.random.default_rng(1)
    )
    np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)
    assert vector @ towards > 0.8 and accuracy > 0.97
    none = concept_vector(*np.split(rows[:100].astype(np.float32), 2), classifier, np.random.default_rng(1))
    assert 0.3 < none[1] < 0.7


def test_few_coordinates_give_the_classifier_of_all(monkeypatch) -> None:
    """The same fit in all 60 dimensions, by scikit-learn alone."""
    generator = np.random.default_rng(0)
    ours, others = generator.normal(size=(24, 60)) + 0.3, generator.normal(size=(30, 60))
    vector, accuracy = concept_vector(
        ours.astype(np.float32), others.astype(np.float32), "logistic", np.random.default_rng(5)
    )
    again = np.random.default_rng(5)
    first, second = again.permutation(24), again.permutation(30)
    rows = np.concatenate([ours[first[:12]], others[second[:15]]])
    middle = (ours[first[:12]].mean(axis=0) + others[second[:15]].mean(axis=0)) / 2
    scale = np.sqrt(((rows - middle) ** 2).sum(axis=1).mean())
    model = LogisticRegression(C=PENALTY, class_weight="balanced", tol=1e-8, max_iter=10000)
    model.fit((rows - middle) / scale, np.arange(27) < 12)
    wanted = model.coef_[0] / np.linalg.norm(model.coef_)
    np.testing.assert_allclose(vector, wanted, atol=2e-3)
    held = [model.predict((x - middle) / scale) for x in (ours[first[12:]], others[second[15:]])]
    assert accuracy == pytest.approx((held[0].mean() + 1 - held[1].mean()) / 2)


def test_vectors_have_the_shape_of_the_layer(result) -> None:
    assert result.cavs["red", "colours"].shape == (20, SIZE, SIZE, 6)
    assert set(result.cavs) == {(c, k) for c in COLOURS for k in ("colours", "deeper")}


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_finds_the_colour(net: Any, sets: Any, classifier: Any) -> None:
    found = tfxai.TCAV("deeper", classifier=classifier, random_runs=20)(net, INPUTS, 0, sets, RANDOM)
    red = found.table[0]
    assert red["concept"] == "red" and red["significant"] and red["score"] > 0.95


# The same again


def test_the_same_seed_gives_the_same_table(net: Any, sets: Any, of_four) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    again = FOUR(net, INPUTS, [0, 1, 3], sets, RANDOM, batch_size=7)
    assert (np.random.get_state()[1] == before).all()
    np.testing.assert_allclose(again.scores, of_four.scores)
    np.testing.assert_allclose(again.p_value, of_four.p_value)
    other = tfxai.TCAV("colours", random_runs=2, seed=1)(net, INPUTS, 0, sets, RANDOM)
    assert (other.cavs["red", "colours"] != of_four.cavs["red", "colours"][:2]).any()
    # A concept's numbers do not depend on what else is asked.
    alone = tfxai.TCAV("deeper", random_runs=4)(net, INPUTS, 3, {"green": sets["green"]}, RANDOM)
    np.testing.assert_array_equal(alone.cavs["green", "deeper"], of_four.cavs["green", "deeper"])


def equal(table: Any, other: Any, tolerance: float) -> None:
    for ours, theirs in zip(table, other, strict=True):
        assert list(ours) == list(theirs)
        for key, value in ours.items():
            if isinstance(value, float):
                np.testing.assert_allclose(value, theirs[key], rtol=tolerance, atol=tolerance)
            else:
                assert value == theirs[key]


def test_a_module_gives_the_table_of_the_keras_model(net: Any, sets: Any, of_four, tmp_path: Path) -> None:
    net.export(str(tmp_path / "net"), verbose=False)
    module = tfxai.hub.load(tmp_path / "net")
    found = FOUR(module, INPUTS, [0, 1, 3], sets, RANDOM)
    assert len(found.table) == len(of_four.table)
    equal(found.table, of_four.table, 1e-5)


@pytest.mark.slow
def test_activations_on_disk(net: Any, sets: Any, tmp_path: Path) -> None:
    plain = tfxai.TCAV(["colours", "deeper"], random_runs=3)
    tcav = dataclasses.replace(plain, cache_dir=tmp_path / "kept")
    call = (net, INPUTS, 0, sets, RANDOM[:6])
    wanted = plain(*call)
    np.testing.assert_array_equal(tcav(*call).scores, wanted.scores)
    files = sorted((tmp_path / "kept").iterdir())
    assert len(files) == 9 * 2
    times = [file.stat().st_mtime_ns for file in files]
    np.testing.assert_array_equal(tcav(*call).scores, wanted.scores)
    assert [file.stat().st_mtime_ns for file in files] == times  # read, not written
    files[0].write_bytes(b"cut short")
    np.testing.assert_array_equal(tcav(*call).scores, wanted.scores)
    assert files[0].stat().st_size > 1000

    def read() -> set[str]:
        return {file.name for file in (tmp_path / "kept").iterdir()}

    # Other weights have other files, and another activation is seen although the weights are the same.
    layer, before = net.get_layer("colours"), read()
    kernel = layer.kernel.numpy()
    layer.kernel.assign(-kernel)
    try:
        changed = tcav(*call)
    finally:
        layer.kernel.assign(kernel)
    assert len(read() - before) == 9 * 2 and (changed.scores != wanted.scores).any()
    layer.activation = keras.activations.linear
    try:
        linear = tcav(*call)
        anew = plain(*call)
    finally:
        layer.activation = keras.activations.softplus
    np.testing.assert_array_equal(linear.scores, anew.scores)


def test_save_load_and_print(result, tmp_path: Path) -> None:
    back = tfxai.TCAVResult.load(result.save(tmp_path / "tcav.npz"))
    equal(back.table, result.table, 0)
    for key, vectors in result.cavs.items():
        np.testing.assert_array_equal(back.cavs[key], vectors)
    assert back.compare("red", "green") == result.compare("red", "green")
    assert json.loads(json.dumps(result.to_dict()))["table"][0]["concept"] == "red"
    printed = repr(result)
    assert len(printed.splitlines()) == 2 + len(result.table)
    assert "colours" in printed and printed.count("  significant") == result.significant.sum()
    (tmp_path / "other.npz").write_text("nothing")
    with pytest.raises(ValueError, match="not a saved TCAV result"):
        tfxai.TCAVResult.load(tmp_path / "other.npz")


# Tests between runs


def test_welch_and_permutations() -> None:
    generator = np.random.default_rng(0)
    ours, chance = generator.normal(0.6, 0.1, 5), generator.normal(0.5, 0.2, 5)
    assert welch(ours, chance) == pytest.approx(stats.ttest_ind(ours, chance, equal_var=False).pvalue)
    larger = [
        abs(np.mean(both[list(which)]) - np.mean(np.delete(both, which)))
        >= abs(ours.mean() - chance.mean()) - 1e-12
        for both in [np.concatenate([ours, chance])]
        for which in itertools.combinations(range(10), 5)
    ]
    assert permutation(ours, chance) == pytest.approx(np.mean(larger))
    assert permutation([1, 1, 1, 1], [0, 0, 0, 0]) == smallest(4) == pytest.approx(2 / 70)
    assert welch([1, 1, 1, 1], [0, 0, 0, 0]) == smallest(4)  # nothing varies, so there is no t
    assert welch([0.5] * 4, [0.5] * 4) == permutation([0.5] * 4, [0.5] * 4) == 1
    # With an overlap the mean of runs is less certain, by Nadeau and Bengio's sum; all but their part is noise here.
    t = (ours.mean() - chance.mean()) / np.sqrt(ours.var(ddof=1) * (1 / 5 + 1e4) + chance.var(ddof=1) / 5)
    assert welch(ours, chance, overlap=1e4) == pytest.approx(2 * stats.t.sf(abs(t), 4), rel=1e-3)
    assert welch(ours, chance, overlap=0.5) > welch(ours, chance)


def test_the_interval_of_a_mean_score_is_a_t_interval_of_runs_that_share_images() -> None:
    scores = np.array([0.5, 0.7, 0.6, 0.9], np.float32)
    found = tfxai.concepts.TCAVResult(
        [0], ["a", "b"], ["l"], scores=np.stack([scores, 1 - scores])[None, :, None], magnitudes=np.zeros((1, 2, 1, 4), np.float32),
        random_scores=np.full((1, 1, 4), 0.5, np.float32), accuracies=np.ones((2, 1, 4), np.float32), learned=np.array([[True], [False]]),
        p_raw=np.ones((1, 2, 1)), p_permutation=np.ones((1, 2, 1)), p_value=np.ones((1, 2, 1)), cavs={}, overlaps=np.array([0.5, 0.5]),
    )  # fmt: skip
    row, other = found.table
    half = stats.t.ppf(0.975, 3) * scores.std(ddof=1) * np.sqrt(1 / 4 + 0.5)
    assert (row["low"], row["high"]) == (
        pytest.approx(max(0.675 - half, 0)),
        pytest.approx(min(0.675 + half, 1)),
    )
    assert np.isnan(other["low"]) and np.isnan(other["high"])


def test_paired_runs() -> None:
    generator = np.random.default_rng(0)
    common = generator.random(8)
    ones, others = common + 0.1 + generator.normal(0, 0.02, 8), common
    assert paired(ones, others) == pytest.approx(stats.ttest_rel(ones, others).pvalue)
    t = (ones - others).mean() / (ones - others).std(ddof=1) / np.sqrt(1 / 8 + 3)
    assert paired(ones, others, overlap=3) == pytest.approx(2 * stats.t.sf(t, 7))
    assert paired(common, common) == 1 and paired(np.ones(8), np.zeros(8)) == pytest.approx(2 / 2**8)
    assert welch(ones, others) > 0.2  # which does not see the pairs


def test_runs_end_when_scores_are_known(net: Any, sets: Any) -> None:
    """They are the first runs of those that would be made without a tolerance, and fewer where nothing varies."""
    pool = {f"set {i}": images for i, images in enumerate(RANDOM)}
    whole = tfxai.TCAV("deeper", random_runs=20)(net, INPUTS, 0, sets, pool)
    easy = tfxai.TCAV("deeper", random_runs=20, tolerance=0.5)(net, INPUTS, 0, sets, pool)
    runs = easy.scores.shape[-1]
    assert easy.converged.all() and 5 < runs < 20 and whole.converged is None
    np.testing.assert_array_equal(easy.scores, whole.scores[..., :runs])
    np.testing.assert_array_equal(easy.random_scores, whole.random_scores[..., :runs])
    for key, vectors in easy.cavs.items():
        np.testing.assert_allclose(vectors, whole.cavs[key][:runs], atol=1e-6)
    assert easy.table[0]["runs"] == runs
    with pytest.warns(UserWarning, match=r"scores are not within the tolerance after 20 runs. Allow more"):
        hard = tfxai.TCAV("deeper", random_runs=20, tolerance=1e-6)(net, INPUTS, 0, sets, pool)
    np.testing.assert_array_equal(hard.scores, whole.scores)
    np.testing.assert_array_equal(hard.p_value, whole.p_value)


@pytest.mark.slow
def test_scores_are_within_the_tolerance_where_runs_end() -> None:
    """Of very many runs with other random images, in at least 95 of 100 tables: all scores of a table at once."""
    generator = np.random.default_rng(0)
    keras.utils.set_random_seed(3)
    waves = [L.Conv2D(6, 3, activation="tanh", name=name) for name in "ab"]
    model = keras.Sequential([keras.Input((8, 8, 3)), *waves, L.Flatten(), L.Dense(3)])
    tilt = np.linspace(0.6, 1, 8)[:, None, None]
    noise = [generator.uniform(size=(n, 8, 8, 3)).astype("float32") for n in (25, 16, 16)]
    concept_sets = {"warm": noise[1] * np.float32([1, 0.7, 0.7]), "tilted": noise[2] * np.float32(tilt)}

    def scores(runs: int, seed: int, tolerance: float | None) -> np.ndarray:
        pool = np.random.default_rng([1, seed]).uniform(size=(2 * runs, 16, 8, 8, 3)).astype("float32")
        method = tfxai.TCAV(
            "b", random_runs=runs, seed=seed, classifier="mean_difference", tolerance=tolerance
        )
        result = method(model, noise[0], [0, 1], concept_sets, list(pool))
        assert tolerance is None or result.converged.all()
        return result.scores.mean(-1)

    truth = np.mean([scores(500, 1000 + seed, None) for seed in range(4)], axis=0)
    assert truth.min() > 0.1 and truth.max() < 0.9  # chance has its say
    furthest = [np.abs(scores(150, seed, 0.3) - truth).max() for seed in range(60)]
    assert np.mean(np.less_equal(furthest, 0.3)) >= 0.95


def test_corrections_by_hand() -> None:
    p = [0.01, 0.04, np.nan, 0.03, 0.5]
    np.testing.assert_allclose(corrected(p, "bonferroni"), [0.04, 0.16, np.nan, 0.12, 1])
    np.testing.assert_allclose(corrected(p, "holm"), [0.04, 0.09, np.nan, 0.09, 0.5])
    np.testing.assert_allclose(
        corrected(p, "benjamini_hochberg"), [0.04, 0.04 * 4 / 3, np.nan, 0.04 * 4 / 3, 0.5]
    )
    np.testing.assert_allclose(corrected(p, "none"), p)
    assert np.isnan(corrected([np.nan], "holm")).all()


def test_the_table_holds_the_tests_of_its_scores(result) -> None:
    for t, c, k in np.ndindex(result.p_raw.shape):
        # 30 images: a half is 15. Shared 1/30, between runs 1/30 of the concept's half and 1/15 of a random half.
        assert result.overlaps[c] == pytest.approx(1 / 3)
        wanted = welch(result.scores[t, c, k], result.random_scores[t, k], 1 / 3)
        assert result.p_raw[t, c, k] == pytest.approx(wanted)
    np.testing.assert_allclose(result.p_value, [corrected(each, "holm") for each in result.p_raw])
    np.testing.assert_array_equal(result.significant, result.p_value < 0.05)


def test_compare(result) -> None:
    rows = result.compare("red", "green")
    assert [(row["target"], row["layer"]) for row in rows] == [
        (t, k) for t in (0, 1, 3) for k in ("colours", "deeper")
    ]
    for row in rows:
        assert row["difference"] == pytest.approx(row["score"] - row["other_score"])
        assert row["significant"] and np.sign(row["difference"]) == {0: 1, 1: -1, 3: -1}[row["target"]]
        assert -1 < row["alike"] < 0.5
    assert not any(row["significant"] for row in result.compare("red", "red"))
    with pytest.raises(ValueError, match=r"no concept 'pink'.*red, green, blue"):
        result.compare("red", "pink")


@pytest.mark.slow
def test_concepts_against_each_other(net: Any, sets: Any) -> None:
    """Relative TCAV: with red told from green and blue only, class 0 leans on it as much."""
    found = tfxai.TCAV("deeper", against="concepts", random_runs=20)(net, INPUTS, 0, sets, RANDOM)
    assert found.table[0]["significant"] and found.table[0]["score"] > 0.95
    np.testing.assert_allclose(found.overlaps, (1 / 30 + 1 / 60) / (1 / 30 + 1 / 60))
    with pytest.raises(ValueError, match="two or more"):
        tfxai.TCAV("deeper", against="concepts")(net, INPUTS, 0, {"red": sets["red"]}, RANDOM)


# Random sets and inputs as they come


@pytest.mark.slow
def test_a_pool_of_random_images_is_split(net: Any, sets: Any) -> None:
    pool = np.concatenate(RANDOM[:20])
    found = tfxai.TCAV("deeper")(net, INPUTS, 0, sets, pool)
    assert found.table[0]["significant"] and found.table[0]["runs"] == 10
    with pytest.warns(UserWarning, match=r"90 random images.*4 runs, not 10.*0\.029"):
        assert tfxai.TCAV("deeper")(net, INPUTS, 0, sets, pool[:90]).table[0]["runs"] == 4
    with pytest.warns(UserWarning, match=r"5 random sets.*2 runs.*0\.33.*nothing can be significant"):
        tfxai.TCAV("deeper")(net, INPUTS, 0, sets, RANDOM[:5])
    with pytest.raises(ValueError, match=r"39 random images.*4 random sets.*40 images.*20 sets"):
        tfxai.TCAV("deeper")(net, INPUTS, 0, sets, pool[:39])
    three = tfxai.TCAV("deeper", random_runs=3)
    by_name = three(net, INPUTS, 0, sets, {str(i): x for i, x in enumerate(RANDOM[:6])})
    np.testing.assert_array_equal(by_name.scores, three(net, INPUTS, 0, sets, RANDOM).scores)


def test_images_of_each_class(net: Any, sets: Any) -> None:
    others = colourful(12, 9)
    three = tfxai.TCAV("deeper", random_runs=3)
    both = three(net, {0: INPUTS, 1: others}, [0, 1], sets, RANDOM)
    one = three(net, others, 1, sets, RANDOM)
    np.testing.assert_array_equal(both.scores[1], one.scores[0])
    with pytest.raises(ValueError, match=r"not for \[2\]"):
        three(net, {0: INPUTS}, [0, 2], sets, RANDOM)


def test_a_model_of_two_inputs() -> None:
    image, row = keras.Input((8, 8, 1), name="image"), keras.Input((3,), name="row")
    x = L.Concatenate(name="both")([L.Flatten()(image), row])
    model = keras.Model({"image": image, "row": row}, L.Dense(2, name="out")(x))
    kernel = np.zeros((67, 2))
    kernel[64, 0] = 1
    model.get_layer("out").set_weights([kernel, np.zeros(2)])

    def drawn(seed: int, high: float = 0) -> dict[str, np.ndarray]:
        generator = np.random.default_rng(seed)
        rows = generator.random((20, 3)) + np.array([high, 0, 0])
        return {"image": generator.random((20, 8, 8, 1)), "row": rows}

    found = tfxai.TCAV("both")(model, drawn(0), 0, {"high": drawn(1, 5)}, [drawn(2 + i) for i in range(20)])
    assert found.table[0]["significant"] and found.table[0]["score"] == 1


# Wrong use


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classifier": "tree"}, '"logistic", "sgd", "svm" or "mean_difference"'),
        ({"correction": "none at all"}, '"holm", "bonferroni"'),
        ({"random_runs": 1}, "random_runs is 1.*2 or more"),
        ({"alpha": 5}, "between 0 and 1"),
        ({"layers": []}, "name one layer"),
        ({"against": "everything"}, '"random" or "concepts"'),
    ],
)
def test_wrong_settings(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tfxai.TCAV(**{"layers": "deeper", **settings})


def test_few_runs_are_never_significant(net: Any, sets: Any) -> None:
    """Welch's test would say 0.0003 of two runs that happen to agree."""
    assert welch([1, 0.98], [0.1, 0.12]) == smallest(2) == pytest.approx(1 / 3)
    with pytest.warns(UserWarning, match="enough for 2 runs. .*nothing can be significant"):
        found = tfxai.TCAV("deeper", random_runs=2)(net, INPUTS, 0, sets, RANDOM)
    assert not found.significant.any()


@pytest.mark.slow
def test_layers_are_the_same_however_they_are_named(net: Any, sets: Any) -> None:
    outer = keras.Sequential([keras.Input((SIZE, SIZE, 3)), net])
    results = [
        tfxai.TCAV(layer, random_runs=4)(model, INPUTS, 0, sets, RANDOM)
        for model, layer in ((net, "deeper"), (net, 2), (net, net.get_layer("deeper")), (outer, "net/deeper"), (outer, "deeper"))
    ]  # fmt: skip
    for other in results[1:]:
        np.testing.assert_allclose(other.scores, results[0].scores)
        np.testing.assert_allclose(other.magnitudes, results[0].magnitudes, rtol=1e-4)
    assert [r.layers for r in results] == [["deeper"], ["deeper"], ["deeper"], ["net/deeper"], ["deeper"]]
    with pytest.raises(ValueError, match="names one twice: net/deeper, net/deeper"):
        tfxai.TCAV(["net/deeper", net.get_layer("deeper")])(outer, INPUTS, 0, sets, RANDOM)


@pytest.mark.slow
def test_images_come_in_any_form(net: Any, sets: Any, tmp_path: Path) -> None:
    tcav = tfxai.TCAV("deeper", random_runs=4)
    wanted = tcav(net, INPUTS, 0, sets, RANDOM[:8])
    as_lists = {name: list(images) for name, images in sets.items()}
    forms: list[Any] = [RANDOM[:8], np.stack(RANDOM[:8]), {str(i): list(x) for i, x in enumerate(RANDOM[:8])}]
    for random in forms:
        np.testing.assert_array_equal(tcav(net, list(INPUTS), 0, as_lists, random).scores, wanted.scores)
    pool = np.concatenate(RANDOM[:8])
    np.testing.assert_array_equal(
        tcav(net, INPUTS, 0, sets, list(pool)).scores, tcav(net, INPUTS, 0, sets, pool).scores
    )
    for i, images in enumerate(RANDOM[:8]):
        write(tmp_path / "random" / f"set{i}", images * 255)
    for name, images in sets.items():
        write(tmp_path / name, images * 255)
    write(tmp_path / "class", INPUTS * 255)
    bytes_of = {name: np.floor(images * 255) for name, images in sets.items()}
    floors = [np.floor(x * 255) for x in RANDOM[:8]]
    folders = tcav(
        net, tmp_path / "class", 0, {name: str(tmp_path / name) for name in sets}, tmp_path / "random"
    )
    np.testing.assert_array_equal(
        folders.scores, tcav(net, np.floor(INPUTS * 255), 0, bytes_of, floors).scores
    )


def test_likely_slips_are_warned_of(net: Any, sets: Any) -> None:
    tcav = tfxai.TCAV("deeper", random_runs=4)
    with pytest.warns(UserWarning, match="very different size: concepts up to 25.*random up to 1,"):
        tcav(net, INPUTS, 0, {"red": sets["red"] * 255}, RANDOM)
    with pytest.warns(UserWarning, match="Class 0 has 3 images"):
        tcav(net, INPUTS[:3], 0, sets, RANDOM)


def test_texts() -> None:
    words = ["good", "fine", "bad", "poor", "film", "plot", "actor", "scene"]
    reader = keras.layers.TextVectorization(output_sequence_length=6, vocabulary=words)
    inputs = keras.Input((1,), dtype="string")
    x = L.GlobalAveragePooling1D(name="mean")(L.Embedding(12, 8, name="embedding")(reader(inputs)))
    model = keras.Model(inputs, L.Dense(1)(x))
    vectors = np.random.default_rng(0).normal(size=(12, 8)) * 0.1
    vectors[2:4, 0], vectors[4:6, 0] = 2, -2
    model.get_layer("embedding").set_weights([vectors])
    model.layers[-1].set_weights([np.eye(8)[:, :1], np.zeros(1)])

    def texts(count: int, kind: list[str], seed: int) -> list[str]:
        generator = np.random.default_rng(seed)
        return [" ".join([*generator.choice(words[4:], 4), generator.choice(kind)]) for _ in range(count)]

    found = tfxai.TCAV("mean", random_runs=8)(
        model, texts(20, words, 0), 0, {"praise": texts(20, words[:2], 1)}, texts(160, words[4:], 2)
    )
    assert found.table[0]["learned"] and found.table[0]["score"] == 1


def test_wrong_calls(net: Any, sets: Any, tmp_path: Path) -> None:
    def call(match: str, layers: Any = "deeper", inputs: Any = INPUTS, target: Any = 0, given: Any = sets,
             random: Any = RANDOM) -> None:  # fmt: skip
        with pytest.raises(ValueError, match=match):
            tfxai.TCAV(layers)(net, inputs, target, given, random)

    call("'red' has 9 images.*at least 10.*50 to 200", given={"red": sets["red"][:9]})
    call("concepts is a dict", given=[sets["red"]])
    call("concepts is a dict", given={})
    call("'deep' does not exist.*deeper", layers="deep")
    call("names one twice", layers=["deeper", "deeper"])
    call("same in all its images", given={"flat": np.ones((20, SIZE, SIZE, 3), np.float32)})
    call(r"\(12, 8, 8, 3\).*\(N, 16, 16, 3\)", given={"small": np.ones((12, 8, 8, 3), np.float32)})
    call(r"\(25, 8, 8, 3\).*\(N, 16, 16, 3\)", inputs=np.ones((25, 8, 8, 3), np.float32))
    call("class 9, the model has 4", target=9)
    call("target is -1", target=-1)
    call("target names a class twice", target=[1, 1])
    call("Random set 0 has 5 images", random=[x[:5] for x in RANDOM])
    call("different sizes", given={"mixed": [np.ones((8, 8, 3)), np.ones((9, 9, 3))] * 5})
    call("There is no folder", given={"red": tmp_path / "nowhere"})
    call("There is no folder", random=tmp_path / "nowhere")
    torn = sets["red"].copy()
    torn[15, 0, 0, 0] = np.nan
    call("concept 'red': inputs holds NaN.*first in number 15", given={"red": torn})
    call("same name", given={1: sets["red"], "1": sets["red"]})
    with pytest.raises(ValueError, match="name one layer or more in a list"):
        tfxai.TCAV({"colours", "deeper"})
    with pytest.raises(ValueError, match="cache_dir is 3"):
        tfxai.TCAV("deeper", cache_dir=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be made a folder"):
        tfxai.TCAV("deeper", cache_dir=tmp_path / "file")(net, INPUTS, 0, sets, RANDOM)
    with pytest.raises(ValueError, match="0 images"):
        concepts.sort_by_concept(net, "deeper", INPUTS[:0], np.ones(3))


def test_a_layer_beside_the_score() -> None:
    inputs = keras.Input((SIZE, SIZE, 3))
    shared = L.Conv2D(4, 1, name="shared")(inputs)
    one, two = (
        L.Dense(2, name=name)(L.Flatten()(L.Conv2D(4, 1, name=f"{name}_only")(shared))) for name in "ab"
    )
    model = keras.Model(inputs, {"a": one, "b": two})
    call = (model, INPUTS, 0, {"red": concepts.patterns("red", 12, SIZE)}, RANDOM)
    score = tfxai.scores.logit(output="a")
    assert tfxai.TCAV(["shared", "a_only"])(*call, score=score).table[0]["learned"]
    with pytest.raises(ValueError, match="does not depend on layer 'b_only'"):
        tfxai.TCAV("b_only")(*call, score=score)


# Images


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{i:03}.png")


def test_folders(net: Any, sets: Any, tmp_path: Path) -> None:
    for name, images in sets.items():
        write(tmp_path / "concepts" / name, images * 255)
    (tmp_path / "concepts" / "red" / "notes.txt").write_text("not a picture")
    (tmp_path / "concepts" / "red" / ".hidden").write_text("not looked at")
    (tmp_path / "concepts" / ".cache").mkdir()
    with pytest.warns(UserWarning, match=r"notes\.txt") as caught:
        found = concepts.from_folder(tmp_path / "concepts", SIZE, scale=(-1, 1))
    assert len(caught) == 1 and "hidden" not in str(caught[0].message)
    assert list(found) == sorted(COLOURS)
    for name, images in sets.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], np.floor(images * 255) / 127.5 - 1, atol=1e-5)
    (tmp_path / "concepts" / "red" / "notes.txt").unlink()
    assert concepts.from_folder(tmp_path / "concepts", (8, 12))["blue"].shape == (30, 8, 12, 3)
    # A folder in the place of an array: pixels from 0 to 255.
    folder = tmp_path / "concepts" / "blue"
    random = [x * 255 for x in RANDOM]
    whole = tfxai.TCAV("deeper")(net, INPUTS * 255, 0, {"blue": folder}, random)
    array = tfxai.TCAV("deeper")(net, INPUTS * 255, 0, {"blue": np.floor(sets["blue"] * 255)}, random)
    np.testing.assert_array_equal(whole.scores, array.scores)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        concepts.from_folder(tmp_path / "nowhere", 8)
    with pytest.raises(ValueError, match="no sub-folders"):
        concepts.from_folder(tmp_path, 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no pictures"):
        concepts.from_folder(tmp_path, 8)
    (tmp_path / "empty" / "a.txt").write_text("no picture")
    with pytest.raises(ValueError, match="no pictures that can be read"):
        concepts.from_folder(tmp_path, 8)
    write(tmp_path / "full", np.zeros((1, 8, 8, 3)))
    with pytest.raises(ValueError, match="size is 0"):
        concepts.from_folder(tmp_path, 0)


@pytest.mark.parametrize("kind", ["striped", "dotted", "checked", "zigzag", "red", "#3366cc"])
def test_patterns(kind: str) -> None:
    drawn = concepts.patterns(kind, 6, (40, 56), seed=3)
    assert drawn.shape == (6, 40, 56, 3) and drawn.dtype == np.float32
    assert drawn.min() >= 0 and 1 < drawn.max() <= 255
    np.testing.assert_array_equal(drawn[:2], concepts.patterns(kind, 2, (40, 56), seed=3))
    assert (drawn != concepts.patterns(kind, 6, (40, 56), seed=4)).any()
    np.testing.assert_allclose(
        concepts.patterns(kind, 6, (40, 56), seed=3, scale=(-1, 1)), drawn / 127.5 - 1, atol=1e-5
    )
    between = drawn.mean(axis=(1, 2))
    assert between.std(axis=0).max() > 2  # no two alike
    within = drawn.std(axis=(1, 2)).mean()
    assert within > 30 if kind in DRAWN else within < 30


def test_patterns_that_are_none() -> None:
    with pytest.raises(ValueError, match="striped, dotted, checked, zigzag, or the name of a colour"):
        concepts.patterns("spotted", 3, 8)
    with pytest.raises(ValueError, match="count is 0"):
        concepts.patterns("striped", 0, 8)


def test_patterns_repeat_where_they_say() -> None:
    """Stripes are constant along one direction; checks and dots are not."""
    for kind, one_way in (("striped", True), ("checked", False), ("dotted", False)):
        parts = []
        for image in concepts.patterns(kind, 8, 64, seed=1).mean(axis=-1):
            spectrum = np.abs(np.fft.fft2(image - image.mean())) ** 2
            rows, columns = np.meshgrid(*[np.fft.fftfreq(64)] * 2, indexing="ij")
            angle = np.mod(np.arctan2(rows, columns), np.pi)
            histogram = np.histogram(angle, 12, (0, np.pi), weights=spectrum)[0]
            parts.append(np.sort(histogram)[-2:].sum() / histogram.sum())
        assert (np.mean(parts) > 0.75) == one_way, (kind, parts)


def test_sorting_by_a_concept(net: Any, sets: Any, result) -> None:
    mixed = np.concatenate([sets["green"][:5], sets["red"][:5], INPUTS[:5]])
    order = concepts.sort_by_concept(net, "deeper", mixed, result.cavs["red", "deeper"], batch_size=4)
    assert set(order[:5]) == {5, 6, 7, 8, 9} and sorted(order) == list(range(15))
    vector = result.cavs["red", "deeper"][0]
    acts = keras.Model(net.input, net.get_layer("deeper").output)(mixed).numpy().reshape(15, -1)
    wanted = np.argsort(-(acts @ vector.reshape(-1)) / np.linalg.norm(acts, axis=1), kind="stable")
    np.testing.assert_array_equal(concepts.sort_by_concept(net, "deeper", mixed, vector), wanted)
    with pytest.raises(ValueError, match=r"cav has shape \(7,\)"):
        concepts.sort_by_concept(net, "deeper", mixed, np.ones(7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        concepts.sort_by_concept(net, "deeper", mixed, vector, progress=False)


def test_the_command(net: Any, sets: Any, tmp_path: Path, capsys: Any) -> None:
    net.save(tmp_path / "net.keras")
    for name, images in sets.items():
        write(tmp_path / "concepts" / name, images * 255)
    write(tmp_path / "class", INPUTS * 255)
    for i, images in enumerate(RANDOM[:8]):
        write(tmp_path / "concepts" / f"random500_{i}", images * 255)
    command = ["tcav", "--model", f"{tmp_path}/net.keras", "--layer", "colours,deeper", "--target", "0"]
    command += [
        "--concepts",
        f"{tmp_path}/concepts",
        "--class-images",
        f"{tmp_path}/class",
        "--preprocess",
        "0..1",
    ]
    out = ["--runs", "4", "--out", f"{tmp_path}/tcav.png", "--save", f"{tmp_path}/tcav.npz"]
    assert main([*command, *out]) == 0
    printed = capsys.readouterr().out
    assert printed.count("significant") >= 6 and "--preprocess 0..1" in printed
    found = tfxai.TCAVResult.load(tmp_path / "tcav.npz")
    wanted = tfxai.TCAV(["colours", "deeper"], random_runs=4)(
        net, np.floor(INPUTS * 255) / 255, 0, {name: np.floor(x * 255) / 255 for name, x in sorted(sets.items())},
        [np.floor(x * 255) / 255 for x in RANDOM[:8]],
    )  # fmt: skip
    np.testing.assert_allclose(found.scores, wanted.scores, atol=0.05)
    assert np.asarray(Image.open(tmp_path / "tcav.png")).std() > 10
    capsys.readouterr()
    # One folder of unrelated pictures will do, too.
    write(tmp_path / "pool", np.concatenate(RANDOM[10:14]) * 255)
    assert main([*command, *out, "--random", f"{tmp_path}/pool"]) == 0
    assert (
        main([*command[:-6], "--target", "0", "--concepts", f"{tmp_path}/nowhere", "--class-images", "x"])
        == 2
    )
    assert "There is no folder" in capsys.readouterr().err
    for i in range(8):
        (tmp_path / "concepts" / f"random500_{i}").rename(tmp_path / f"random500_{i}")
    assert main([*command, *out]) == 2
    assert "--random DIR" in capsys.readouterr().err


# Fits of many rows


def fitted_by_hand(rows: np.ndarray, of_concept: np.ndarray, classifier: str) -> np.ndarray:
    """The unit vector of scikit-learn's own classifier on all columns, to a tight tolerance."""
    scaled = rows / np.sqrt(np.mean(np.sum(rows**2, axis=1)))
    if classifier == "logistic":
        model = LogisticRegression(C=10.0, class_weight="balanced", tol=1e-10, max_iter=100_000)
    else:
        model = SVC(kernel="linear", C=10.0, class_weight="balanced", tol=1e-8)
    vector = model.fit(scaled, of_concept).coef_[0]
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("shape", [(12, 40), (60, 9), (50, 50)])
@pytest.mark.parametrize("classifier", ["logistic", "svm"])
def test_a_fit_is_that_of_all_columns(
    shape: tuple[int, int], classifier: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the coordinates of rows, of columns, and as for many rows and columns: all are the same classifier."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=shape).astype(np.float32)
    of_concept = np.arange(len(rows)) % 2 == 0
    rows[of_concept, 0] += 1
    wanted = fitted_by_hand(rows, of_concept, classifier)
    for many in (cav.MANY, 5):
        monkeypatch.setattr(cav, "MANY", many)
        vector, _ = cav._direction(rows, of_concept, classifier, np.random.default_rng(1))
        cosine = vector @ wanted / np.linalg.norm(vector)
        # With many rows the intercept of "svm" is one of the weights that are kept small.
        assert cosine > (0.98 if classifier == "svm" and many == 5 else 0.9999)
