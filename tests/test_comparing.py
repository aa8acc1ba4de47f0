"""Two models beside each other: closed forms of linear models, false alarms and power in many games, and real networks."""

from __future__ import annotations

import json
import math
from typing import Any

import keras
import numpy as np
import pytest
import shortcuts
from scipy import stats as truth

import tfxai
from tfxai import comparing, metrics, plots, stats
from tfxai.comparing.looking import likeness, looks_of
from tfxai.comparing.questions import by_class, inside_p_value, less_alike
from tfxai.comparing.result import most_changed_first
from tfxai.plots.canvas import pixels

RNG = np.random.default_rng(0)
SHAPE = (6, 6)
X = RNG.random((30, *SHAPE, 1)).astype(np.float32)
WEIGHTS = RNG.normal(size=(36, 3)).astype(np.float32)


def linear(weights: np.ndarray) -> keras.Model:
    model = keras.Sequential(
        [keras.Input((*SHAPE, 1)), keras.layers.Flatten(), keras.layers.Dense(3, use_bias=False)]
    )
    model.set_weights([weights])
    return model


def part(model: Any, inputs: Any, targets: Any = None) -> tfxai.Explanation:
    """Weight times input of a linear model."""
    weights = np.asarray(model.get_weights()[0])
    classes = (np.reshape(inputs, (len(inputs), -1)) @ weights).argmax(1) if targets is None else targets
    classes = np.broadcast_to(np.asarray(classes), len(inputs)).astype(np.int64)
    values = inputs * weights.T[classes].reshape(len(inputs), *SHAPE, 1)
    return tfxai.Explanation(values, inputs, classes, values.sum((1, 2, 3)), None, "part", "logit")


def twins(count: int, noise: float = 0.1) -> list[keras.Model]:
    generator = np.random.default_rng(7)
    return [
        linear(WEIGHTS + noise * generator.normal(size=WEIGHTS.shape).astype(np.float32))
        for _ in range(count)
    ]


def game(
    similarity: np.ndarray, of_twins: np.ndarray, targets: np.ndarray | None = None, inside: Any = None
) -> comparing.ModelComparison:
    """A comparison of these numbers, without maps."""
    rows, count = len(of_twins) + 2, len(similarity)
    return comparing.ModelComparison(
        similarity=similarity,
        twin_similarity=of_twins,
        targets=np.zeros(count, int) if targets is None else targets,
        predictions=np.zeros((rows, count), int),
        most_changed=most_changed_first(similarity, of_twins),
        inside=inside,
        concepts=None,
        inputs=np.zeros((0, 2)),
        maps=np.zeros((2, 0)),
        method="",
    )


def drawn(
    generator: np.random.Generator, count: int, examples: int, classes: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (count, examples) as models have them, and classes: easy examples, models, models by class, chance."""
    targets = generator.integers(0, classes, examples)
    found = 0.6 + generator.normal(0, 0.15, examples) + generator.normal(0, 0.03, (count, 1))
    found = (
        found
        + generator.normal(0, 0.03, (count, classes))[:, targets]
        + generator.normal(0, 0.15, (count, examples))
    )
    return np.clip(found, 0, 1), targets


# Numbers


def test_evidence_in_common_has_a_closed_form() -> None:
    first = np.array([[1.0, 1, 0, 0]] * 6 + [[0, 0, 0, 0]] * 2)
    second = np.array(
        [
            [5, 5, 0, 0],
            [-1, -1, 0, 0],
            [0, 0, 3, 3],
            [0, 2, 2, 0],
            [1, -1, 0, 0],
            [0, 0, 0, 0],
            [0, 0, 0, 0],
            [1, 0, 0, np.nan],
        ]
    )
    np.testing.assert_allclose(stats.in_common(first, second), [1, 0, 0, 0.5, 0.5, 0, 1, 0], atol=1e-7)
    np.testing.assert_allclose(stats.in_common(second, first), stats.in_common(first, second))


def test_one_more_draw_has_a_uniform_p_value_and_the_t_distribution() -> None:
    others = [1.0, 2.0, 4.0]
    t = (3.5 - 7 / 3) / (np.std(others, ddof=1) * math.sqrt(4 / 3))
    assert stats.one_more(3.5, others) == pytest.approx(2 * truth.t.sf(t, 2))
    assert stats.one_more(3.5, others, alternative="less") == pytest.approx(truth.t.cdf(t, 2))
    assert stats.one_more(3.5, others, least=100) > 0.98
    assert math.isnan(stats.one_more(1, [2.0])) and math.isnan(stats.one_more(math.nan, others))
    assert stats.one_more(2, [2.0, 2.0]) == 1 and stats.one_more(1, [2.0, 2.0], alternative="less") == 0
    generator = np.random.default_rng(1)
    found = [
        stats.one_more(float(row[0]), row[1:], alternative="less") for row in generator.normal(size=(2000, 5))
    ]
    assert truth.kstest(found, "uniform").pvalue > 0.01


def test_moderated_variances_find_the_distribution_that_they_are_drawn_from() -> None:
    generator, freedom, prior, common = np.random.default_rng(2), 4, 6.0, 2.0
    true = common * prior / generator.chisquare(prior, 20000)
    own = true * generator.chisquare(freedom, len(true)) / freedom
    better, total = stats.moderated(own, freedom)
    assert total - freedom == pytest.approx(prior, rel=0.1)
    np.testing.assert_allclose(better, (prior * common + freedom * own) / (prior + freedom), rtol=0.06)
    assert np.log(better / true).var() < 0.5 * np.log(own / true).var()
    alike, infinite = stats.moderated(np.full(10, 3.0), freedom)
    assert infinite == math.inf and (alike == 3).all()


# Closed forms


def test_similarity_of_linear_models_is_that_of_their_weights_times_the_inputs() -> None:
    other = WEIGHTS + RNG.normal(size=WEIGHTS.shape).astype(np.float32)
    found = tfxai.compare_models(linear(WEIGHTS), linear(other), X, part, 1)
    a, b = (X.reshape(30, -1) * weights[:, 1] for weights in (WEIGHTS, other))
    wanted = [
        1 - np.abs(p / np.abs(p).sum() - q / np.abs(q).sum()).sum() / 2 for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found.similarity, wanted, atol=1e-6)
    np.testing.assert_array_equal(found.targets, 1)
    by_gradient = tfxai.compare_models(linear(WEIGHTS), linear(other), X, tfxai.IntegratedGradients(), 1)
    np.testing.assert_allclose(by_gradient.similarity, wanted, atol=1e-5)


def test_the_same_model_is_the_same_and_has_not_changed() -> None:
    found = tfxai.compare_models(linear(WEIGHTS), linear(WEIGHTS), X, part, twins=twins(3))
    assert (found.similarity == 1).all() and found.changed is False and found.p_value == 1
    assert found.changed_predictions[0] == 0 and found.changed_classes == []
    still = tfxai.compare_models(linear(WEIGHTS), linear(WEIGHTS), X, part, twins=[linear(WEIGHTS)] * 3)
    assert still.changed is False


def test_targets_are_the_old_model_s_classes_for_every_model() -> None:
    found = tfxai.compare_models(linear(WEIGHTS), linear(-WEIGHTS), X, part, twins=twins(3))
    np.testing.assert_array_equal(found.targets, (X.reshape(30, -1) @ WEIGHTS).argmax(1))
    np.testing.assert_array_equal(found.predictions[1], (X.reshape(30, -1) @ -WEIGHTS).argmax(1))
    assert found.predictions.shape == (5, 30) and found.changed_predictions[0] == 1
    assert (found.similarity < 1e-6).all() and found.changed


def test_the_most_changed_examples_are_those_with_what_changed() -> None:
    lit, planted = X.copy(), [3, 11, 17]
    lit[:, 0, 0] = 0
    lit[planted, 0, 0] = 1
    weights = WEIGHTS.copy()
    weights[0] += 30
    found = tfxai.compare_models(linear(WEIGHTS), linear(weights), lit, part, twins=twins(4))
    assert sorted(found.most_changed[:3].tolist()) == planted
    assert (found.similarity[found.most_changed[3:]] == 1).all()
    np.testing.assert_array_equal(found.inputs[:3], lit[found.most_changed[:3]])
    np.testing.assert_allclose(
        found.maps[1, 0], part(linear(weights), lit, found.targets).heatmap()[found.most_changed[0]]
    )


def test_evidence_inside_is_that_of_localisation() -> None:
    boxes, models = np.array([[0, 1, 3, 5]] * 30), [linear(WEIGHTS), linear(WEIGHTS + 1), *twins(3)]
    found = tfxai.compare_models(*models[:2], X, part, twins=models[2:], regions=boxes)
    wanted = [metrics.localisation(part(model, X, found.targets), boxes).values for model in models]
    np.testing.assert_allclose(found.inside, wanted, atol=1e-6)
    assert {*found.p_values} >= {"all", "inside"}
    assert "evidence inside" in repr(found)


def test_without_twins_there_are_similarities_and_no_test() -> None:
    for given in ([], twins(2)):
        found = tfxai.compare_models(
            linear(WEIGHTS), linear(-WEIGHTS), X, part, twins=given, regions=np.ones((30, *SHAPE), int)
        )
        assert found.changed is None and math.isnan(found.p_value) and found.similarity.shape == (30,)
        assert f"no test: {len(given)} twins" in repr(found) and json.dumps(found.to_dict(), allow_nan=False)
        assert pixels(plots.compare_models(found)).std() > 10


# Chance


@pytest.mark.parametrize(
    ("count", "examples", "classes"), [(3, 200, 10), (5, 30, 1), (5, 200, 10), (8, 100, 3)]
)
def test_one_in_twenty_retrained_models_is_said_to_have_changed(
    count: int, examples: int, classes: int
) -> None:
    generator = np.random.default_rng([count, examples])
    alarms = []
    for _ in range(500):
        found, targets = drawn(generator, count + 1, examples, classes)
        share = generator.normal(0, 0.02, (count + 2, 1)) + generator.normal(0.4, 0.1, (count + 2, examples))
        alarms.append(game(found[0], found[1:], targets, np.clip(share, 0, 1)).changed)
    assert np.mean(alarms) <= truth.binom.ppf(0.99, 500, 0.05) / 500


def test_a_shortcut_in_one_class_of_ten_is_found_with_200_examples() -> None:
    generator, caught, named = np.random.default_rng(3), [], []
    for _ in range(100):
        found, targets = drawn(generator, 6, 200, 10)
        found[0, targets == 7] -= 0.45
        result = game(np.clip(found[0], 0, 1), found[1:], targets)
        caught.append(result.changed)
        named.append(result.changed_classes[:1] == [7])
    assert np.mean(caught) >= 0.9 and np.mean(named) >= 0.9


def test_the_questions_alone_give_p_values_that_are_nearly_uniform() -> None:
    generator = np.random.default_rng(4)
    games = [drawn(generator, 7, 100, 5) for _ in range(400)]
    assert truth.kstest([less_alike(found[0], found[1:]) for found, _ in games], "uniform").pvalue > 0.01
    smallest = [min(by_class(found[0], found[1:], targets).values()) for found, targets in games]
    assert np.mean(np.array(smallest) < 0.05) <= truth.binom.ppf(0.99, 400, 0.05) / 400
    assert truth.kstest([inside_p_value(found) for found, _ in games], "uniform").pvalue > 0.01


@pytest.mark.slow
def test_real_networks_raise_false_alarms_seldom_and_a_shortcut_nearly_always() -> None:
    """16 networks trained on marks that tell nothing, 4 on marks that tell the class; all games that leave one out."""
    images, classes = shortcuts.seen()
    regions = np.repeat(shortcuts.frame()[None], len(images), 0)
    model, looks = shortcuts.network(), []
    for weights in [
        *map(shortcuts.trained, range(16)),
        *(shortcuts.trained(seed, True) for seed in range(4)),
    ]:
        model.set_weights(weights)
        looks.append(looks_of(model, images, tfxai.IntegratedGradients(steps=64), classes, regions, 200))
    alike = np.array([[likeness(one.maps, other.maps) for other in looks] for one in looks])
    inside = np.array([each.inside for each in looks])
    assert min((each.predictions == classes).mean() for each in looks) > 0.94  # accuracy tells nothing

    def changed(old: int, new: int, usual: list[int], with_regions: bool) -> bool | None:
        shares = inside[[old, new, *usual]] if with_regions else None
        return game(alike[old, new], alike[old][usual], classes, shares).changed

    few = np.random.default_rng(0)
    for with_regions in (False, True):
        alarms = [
            changed(old, new, [k for k in range(16) if k not in (old, new)], with_regions)
            for old in range(16)
            for new in range(16)
            if old != new
        ]
        # Games share networks: of 16 networks 2 may be among the 5 % that turn out other than most.
        assert np.mean(alarms) <= truth.binom.ppf(0.95, 16, 0.05) / 16
        caught = [
            changed(old, new, few.permutation([k for k in range(16) if k != old])[:5].tolist(), with_regions)
            for old in range(16)
            for new in range(16, 20)
        ]
        assert np.mean(caught) >= 0.9


# References, files, concepts


def test_a_reference_stands_for_the_old_model_and_its_twins(tmp_path: Any) -> None:
    boxes = np.array([[0, 1, 3, 5]] * 30)
    old, new, trained_again = linear(WEIGHTS), linear(WEIGHTS + 0.5), twins(4)
    known = comparing.reference(old, X, part, twins=trained_again, regions=boxes)
    read = comparing.ModelReference.load(known.save(tmp_path / "known.npz"))
    direct = tfxai.compare_models(old, new, X, part, twins=trained_again, regions=boxes)
    kept = tfxai.compare_models(read, new, X, part)
    assert kept.to_dict() == direct.to_dict() and kept.changed is not None
    np.testing.assert_array_equal(kept.inside, direct.inside)  # pyright: ignore[reportArgumentType]
    saved = comparing.ModelComparison.load(direct.save(tmp_path / "found.npz"))
    assert saved.to_dict() == direct.to_dict() and "4 twins" in repr(known)
    for given, words in [
        (({"inputs": X[:20]}), "20 other inputs|30 other inputs"),
        ({"method": tfxai.Gradient()}, "The reference is of part"),
        ({"targets": 2}, "targets are others"),
        ({"twins": trained_again}, "twins came with a reference"),
        ({"concepts": lambda model: None}, "concepts came with a reference"),
        ({"regions": boxes + 1}, "without these regions"),
    ]:
        call = {"inputs": X, "method": part, **given}
        with pytest.raises(ValueError, match=words):
            tfxai.compare_models(read, new, call.pop("inputs"), call.pop("method"), **call)


def test_models_that_cannot_be_compared_are_told() -> None:
    with pytest.raises(ValueError, match="One target for each input"):
        tfxai.compare_models(
            linear(WEIGHTS), linear(WEIGHTS), X, lambda m, x, t: tfxai.Gradient()(m, x, [[0, 1]] * 30)
        )
    with pytest.raises(ValueError, match="NaN or infinite"):
        tfxai.compare_models(linear(WEIGHTS), linear(np.full_like(WEIGHTS, np.nan)), X, part, 0)
    with pytest.raises(ValueError, match="top"):
        tfxai.compare_models(linear(WEIGHTS), linear(WEIGHTS), X, part, tfxai.top(2))
    with pytest.raises(ValueError, match="method is"):
        tfxai.compare_models(linear(WEIGHTS), linear(WEIGHTS), X, "gradient")  # pyright: ignore[reportArgumentType]


def leaning(*concepts: str) -> tfxai.TCAVResult:
    """On these of three concepts, in one layer of one class."""
    names = ["dots", "stripes", "rings"]
    leans = np.array([name in concepts for name in names])
    shape = (1, 3, 1)
    return tfxai.TCAVResult(
        targets=[7],
        concepts=names,
        layers=["conv"],
        scores=np.repeat(np.where(leans, 0.9, 0.5).reshape(*shape, 1), 4, -1).astype(np.float32),
        magnitudes=np.zeros((*shape, 4), np.float32),
        random_scores=np.full((1, 1, 4), 0.5, np.float32),
        accuracies=np.ones((3, 1, 4), np.float32),
        learned=np.ones((3, 1), bool),
        p_raw=np.where(leans, 0.001, 0.9).reshape(shape),
        p_permutation=np.where(leans, 0.001, 0.9).reshape(shape),
        p_value=np.where(leans, 0.001, 0.9).reshape(shape),
        cavs={},
        overlaps=np.zeros(3),
    )


def test_concepts_come_and_go_if_no_twin_says_otherwise() -> None:
    said = iter(
        [
            leaning("dots"),
            leaning("stripes", "rings"),
            leaning("dots"),
            leaning("dots", "rings"),
            leaning("dots"),
        ]
    )
    found = tfxai.compare_models(
        linear(WEIGHTS), linear(WEIGHTS), X, part, twins=twins(3), concepts=lambda model: next(said)
    )
    assert found.came == [(7, "stripes", "conv")] and found.went == [(7, "dots", "conv")]
    assert "came: stripes in conv, class 7" in repr(found)


# Pictures


@pytest.mark.parametrize(
    "shape", [(20, 2), *(pytest.param(each, marks=pytest.mark.slow) for each in [(8, 12, 3), (5,)])]
)
def test_the_picture_is_drawn_for_images_series_and_tables(shape: tuple[int, ...]) -> None:
    inputs = RNG.random((12, *shape)).astype(np.float32)

    def model(seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(2)])

    found = tfxai.compare_models(
        model(0), model(1), inputs, tfxai.Gradient(), twins=[model(2), model(3), model(4)]
    )
    assert pixels(plots.compare_models(found, ["a $dollar$", "a very long name " * 9])).std() > 10
    assert found._repr_html_().startswith("<div>")
    with pytest.raises(ValueError, match="labels has 0 names"):
        plots.compare_models(found, [])


def test_texts_and_maps_at_a_layer_are_compared_and_drawn() -> None:
    words = ["good", "bad", "fine", "poor"]

    def reader(seed: int) -> Any:
        weights = np.random.default_rng(seed).normal(size=4)
        return lambda texts: np.array(
            [[sum(weights[words.index(word)] for word in str(text).split()), 0] for text in texts]
        )

    texts = ["good fine bad", "poor bad", "good poor fine bad", "fine"]
    method, again = tfxai.KernelSHAP(samples=20), [reader(seed) for seed in (2, 3, 4)]
    found = tfxai.compare_models(reader(0), reader(1), texts, method, 0, twins=again)
    own = [
        np.array([np.random.default_rng(seed).normal(size=4)[words.index(w)] for w in texts[0].split()])
        for seed in (0, 1)
    ]
    a, b = (each / np.abs(each).sum() for each in own)
    assert found.similarity[0] == pytest.approx(1 - np.abs(a - b).sum() / 2, abs=1e-4)
    assert pixels(plots.compare_models(found)).std() > 10

    def convolved(seed: int) -> keras.Model:
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)]
        return keras.Sequential([keras.Input((6, 6, 1)), *layers])

    def inside(model: Any, inputs: Any, targets: Any) -> tfxai.Explanation:
        return tfxai.IntegratedGradients()(model, inputs, targets, at="conv")

    found = tfxai.compare_models(convolved(0), convolved(1), X[:4], inside, 0)
    assert found.maps.shape == (2, 4, 4, 4) and pixels(plots.compare_models(found)).std() > 10
