"""Metrics against slow transcriptions of their papers, closed forms, and a detector whose answer is known."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
import re
import subprocess
import sys
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from covering import every
from scipy.ndimage import correlate1d
from scipy.stats import pearsonr, spearmanr

import tfxai
from tfxai import metrics
from tfxai.metrics.road import imputed

SIZE = 10
L = keras.layers
GENERATOR = np.random.default_rng(0)
X = GENERATOR.uniform(-1, 1, (3, SIZE, SIZE, 3)).astype(np.float32)
ALL = [
    getattr(metrics, name)
    for name in metrics.__all__
    if hasattr(getattr(metrics, name), "higher_is_better") and name.islower()
]
OF_MODELS = [f for f in ALL if f.__name__ not in ("sparseness", "complexity", "pointing_game", "localisation", "consistency", "max_sensitivity")]  # fmt: skip


@pytest.fixture(scope="module")
def net() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Conv2D(8, 3, activation="relu")(inputs)
    x = L.Flatten()(L.Conv2D(6, 3, strides=2, activation="relu")(x))
    return keras.Model(inputs, L.Dense(4, activation="softmax")(x))


@pytest.fixture(scope="module")
def linear() -> keras.Model:
    inputs = keras.Input((SIZE, SIZE, 3))
    model = keras.Model(inputs, L.Dense(2)(L.Flatten()(inputs)))
    weights = np.random.default_rng(1).normal(size=(SIZE * SIZE * 3, 2))
    model.set_weights([weights, np.array([0.5, -1.0])])
    return model


def probability(model: Any, x: np.ndarray, k: Any) -> np.ndarray:
    return model(x.astype(np.float32)).numpy()[np.arange(len(x)), k].astype(np.float64)


def random_map(seed: int = 0, targets: Any = (1, 2, 3)) -> tfxai.Explanation:
    values = np.random.default_rng(seed).normal(size=X.shape).astype(np.float32)
    return tfxai.Explanation(
        values, X, np.array(targets), np.zeros(3, np.float32), None, "random", "probability"
    )


def logits(model: Any, x: np.ndarray, k: int) -> np.ndarray:
    return model(x.astype(np.float32)).numpy()[:, k].astype(np.float64)


def by_order(explanation: tfxai.Explanation, row: int, seed: int = 0) -> np.ndarray:
    flat = explanation.heatmap()[row].reshape(-1)
    return np.lexsort((np.random.default_rng([seed, row]).random(flat.size), -flat))


# Transcriptions of the papers


@pytest.mark.parametrize("step", [None, 7])
def test_deletion_and_insertion_are_those_of_the_paper(net: Any, step: int | None) -> None:
    explanation = random_map()
    dark = metrics.deletion(net, explanation, step=step, batch_size=5)
    light = metrics.insertion(net, explanation, step=step)
    kernel = np.exp(-0.5 * (np.arange(-5, 6) / 5.0) ** 2)
    blurred = X.astype(np.float64)
    for axis in (1, 2):
        blurred = correlate1d(blurred, kernel / kernel.sum(), axis=axis, mode="nearest")
    size = step or SIZE
    for row, target in enumerate(explanation.targets):
        order, falls, rises = by_order(explanation, row), [], []
        counts = [*range(0, SIZE * SIZE, size), SIZE * SIZE]
        for count in counts:
            gone = np.isin(np.arange(SIZE * SIZE), order[:count]).reshape(1, SIZE, SIZE, 1)
            falls.append(probability(net, np.where(gone, 0, X[row : row + 1]), [target])[0])
            rises.append(probability(net, np.where(gone, X[row : row + 1], blurred[row]), [target])[0])
        fractions = np.array(counts) / SIZE**2
        np.testing.assert_allclose(dark.fractions, fractions, rtol=1e-6)
        np.testing.assert_allclose(dark.curves[row], falls, atol=1e-5)
        np.testing.assert_allclose(light.curves[row], rises, atol=1e-4)
        area = sum(
            (b - a) * (f + g) / 2
            for a, b, f, g in zip(fractions, fractions[1:], falls, falls[1:], strict=False)
        )
        assert dark.values[row] == pytest.approx(area, abs=1e-5)
    # One target after the other, or all at once.
    both = random_map(targets=(1, 2, 3))
    values = np.stack([both.values, both.values * -1], axis=1)
    many = tfxai.Explanation(values, X, np.array([[1, 0], [2, 1], [3, 0]]), np.zeros((3, 2), np.float32))
    found = metrics.deletion(net, many, step=step)
    assert found.values.shape == (3, 2) and found.curves.shape == (3, 2, len(dark.fractions))
    np.testing.assert_allclose(found.values[:, 0], dark.values, atol=1e-6)


def test_drop_increase_and_gain(net: Any) -> None:
    explanation = random_map(4)
    positive = np.maximum(explanation.heatmap(), 0)
    masks = (positive / positive.max(axis=(1, 2), keepdims=True))[..., None]
    y, o = (probability(net, x, explanation.targets) for x in (X, X * masks))
    np.testing.assert_allclose(
        metrics.average_drop(net, explanation).values, np.maximum(y - o, 0) / y, atol=1e-5
    )
    np.testing.assert_array_equal(metrics.average_increase(net, explanation).values, o > y)
    gain = np.maximum(o - y, 0) / (1 - y)
    np.testing.assert_allclose(metrics.average_gain(net, explanation).values, gain, atol=1e-5)
    assert len({*(o > y)}) == 2  # both cases are there
    grey = metrics.average_drop(net, explanation, baseline=0.5, batch_size=2)
    o = probability(net, 0.5 + masks * (X - 0.5), explanation.targets)
    np.testing.assert_allclose(grey.values, np.maximum(y - o, 0) / y, atol=1e-5)


@pytest.mark.parametrize("rank", [True, False])
@pytest.mark.parametrize("grid", [4, None])
def test_mu_fidelity(net: Any, grid: int | None, rank: bool) -> None:
    explanation = random_map(2)
    found = metrics.mu_fidelity(
        net, explanation, samples=40, share=0.3, grid=grid, rank=rank, baseline=0.1, seed=5
    )
    count = grid**2 if grid else SIZE**2
    for row, target in enumerate(explanation.targets):
        generator = np.random.default_rng([5, row])
        sums, changes = [], []
        before = probability(net, X[row : row + 1], [target])[0]
        for _ in range(40):
            chosen = generator.choice(count, round(0.3 * count), replace=False)
            numbers = np.arange(SIZE) * grid // SIZE if grid else np.arange(SIZE)
            cells = numbers[:, None] * (grid or SIZE) + numbers[None]
            gone = np.isin(cells, chosen)
            sums.append(explanation.heatmap()[row][gone].sum())
            changes.append(
                before - probability(net, np.where(gone[..., None], 0.1, X[row])[None], [target])[0]
            )
        wanted = (spearmanr if rank else pearsonr)(sums, changes)[0]
        assert found.values[row] == pytest.approx(wanted, abs=1e-4)
    if grid is None and not rank:
        same = metrics.faithfulness_correlation(net, explanation, samples=40, share=0.3, baseline=0.1, seed=5)
        np.testing.assert_allclose(same.values, found.values, atol=1e-6)


@pytest.mark.parametrize("reads", ["weights", "contributions"])
@pytest.mark.parametrize("perturbation", ["square", "noise"])
@pytest.mark.parametrize("scaled", [False, True])
def test_infidelity(net: Any, reads: Any, perturbation: Any, scaled: bool) -> None:
    explanation = random_map(3)
    found = metrics.infidelity(
        net,
        explanation,
        reads=reads,
        perturbation=perturbation,
        samples=30,
        scaled=scaled,
        baseline=-0.2,
        seed=2,
    )
    for row, target in enumerate(explanation.targets):
        generator, x, values = (
            np.random.default_rng([2, row]),
            X[row].astype(np.float64),
            explanation.values[row],
        )
        before, forecasts, changes = probability(net, X[row : row + 1], [target])[0], [], []
        if perturbation == "square":
            sides = generator.integers(1, SIZE // 2 + 1, 30)
            tops, lefts = (generator.integers(0, SIZE - sides + 1) for _ in range(2))
        else:
            keys = generator.integers(0, 2**31, (30, 2)).astype(np.int32)
        for sample in range(30):
            if perturbation == "square":
                y, gone = x.copy(), np.zeros((SIZE, SIZE), bool)
                gone[
                    tops[sample] : tops[sample] + sides[sample], lefts[sample] : lefts[sample] + sides[sample]
                ] = True
                y[gone] = -0.2
                step = x - y
                forecasts.append((values * step).sum() if reads == "weights" else values[gone].sum())
            else:
                drawn = tf.random.stateless_normal(x.shape, keys[sample]).numpy()
                step = 0.2 * float(X[row].max() - X[row].min()) * drawn
                y = x - step
                forecasts.append((values * (step if reads == "weights" else step / (x + 0.2))).sum())
            changes.append(before - probability(net, y[None], [target])[0])
        forecast, change = np.array(forecasts), np.array(changes)
        if scaled:
            forecast = forecast * (forecast @ change) / (forecast @ forecast)
        assert found.values[row] == pytest.approx(np.mean((forecast - change) ** 2), rel=2e-3)


def test_irof(net: Any) -> None:
    explanation = random_map(6)
    labels = np.stack([np.arange(SIZE)[:, None] // 4 * 3 + np.arange(SIZE)[None] // 4] * 3)
    found = metrics.irof(net, explanation, segmenter=labels)
    for row, target in enumerate(explanation.targets):
        heat, curve, x = explanation.heatmap()[row], [], X[row].copy()
        start = probability(net, x[None], [target])[0]
        mean = X[row].mean(axis=(0, 1))
        means = [heat[labels[row] == k].mean() for k in range(9)]
        for k in [None, *np.argsort(means)[::-1]]:
            if k is not None:
                x[labels[row] == k] = mean
            curve.append(probability(net, x[None], [target])[0] / start)
        area = sum((1 - (a + b) / 2) / 9 for a, b in itertools.pairwise(curve))
        assert found.values[row] == pytest.approx(area, abs=1e-4)


@pytest.mark.parametrize("count", [1, 3])
def test_irof_cuts_each_image_once(net: Any, count: int) -> None:
    """However many targets it has; the values are those of one target after the other."""
    cut: list[np.ndarray] = []

    def halves(image: np.ndarray) -> np.ndarray:
        cut.append(image)
        return (image.mean(axis=-1) > image.mean()) + 2 * (np.arange(SIZE) > 4)

    generator = np.random.default_rng(8)
    values = generator.normal(size=(3, count, SIZE, SIZE, 3)).astype(np.float32)
    targets = np.array([[1, 0, 3], [2, 1, 0], [3, 0, 2]])[:, :count]
    many = tfxai.Explanation(values, X, targets, np.zeros((3, count), np.float32))
    found = metrics.irof(net, many, segmenter=halves).values
    assert found.shape == (3, count) and len(cut) == 3
    for image, x in zip(cut, X, strict=True):
        np.testing.assert_allclose(image, (x - x.min()) / (x.max() - x.min()), atol=1e-6)
    maps = np.stack([halves(image) for image in cut[:3]])
    for k in range(count):
        alone = tfxai.Explanation(values[:, k], X, targets[:, k], np.zeros(3, np.float32))
        np.testing.assert_allclose(metrics.irof(net, alone, segmenter=halves).values, found[:, k], atol=1e-6)
    # Label maps: for each image, or for each image and target.
    np.testing.assert_allclose(metrics.irof(net, many, segmenter=maps).values, found, atol=1e-6)
    each = np.repeat(maps, count, axis=0)
    np.testing.assert_allclose(metrics.irof(net, many, segmenter=each).values, found, atol=1e-6)
    assert len(np.unique(found)) == found.size


def test_road(net: Any) -> None:
    explanation = random_map(7)
    found = metrics.road(net, explanation, fractions=(0.2, 0.6), noise=0.0)
    for row, target in enumerate(explanation.targets):
        order = by_order(explanation, row)
        for j, fraction in enumerate((0.2, 0.6)):
            count = round(fraction * SIZE**2)
            for curve, gone in ((found.morf, order[:count]), (found.lerf, order[::-1][:count])):
                mask = np.isin(np.arange(SIZE**2), gone).reshape(SIZE, SIZE)
                y = relaxed(X[row].astype(np.float64), mask)
                assert curve[row, j] == pytest.approx(probability(net, y[None], [target])[0], abs=1e-4)
    np.testing.assert_allclose(found.values, (found.lerf - found.morf).mean(axis=1), atol=1e-6)
    noisy = metrics.road(net, explanation, fractions=(0.2, 0.6), noise=0.1)
    assert (noisy.values != found.values).any()
    again = metrics.road(net, explanation, fractions=(0.2, 0.6), noise=0.1, batch_size=1)
    np.testing.assert_allclose(again.values, noisy.values, atol=1e-6)


def relaxed(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """Noisy linear imputation by repeating its equations until they hold."""
    found = np.where(gone[..., None], 0.0, image)
    for _ in range(4000):
        before = found
        sums, weights = np.zeros_like(found), np.zeros(gone.shape)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                if not (dy or dx):
                    continue
                weight = 1 / 6 if dy == 0 or dx == 0 else 1 / 12
                ys, xs = (slice(max(-d, 0), SIZE - max(d, 0)) for d in (dy, dx))
                yn, xn = (slice(max(d, 0), SIZE + min(d, 0)) for d in (dy, dx))
                sums[ys, xs] += weight * found[yn, xn]
                weights[ys, xs] += weight
        found = np.where(gone[..., None], sums / weights[..., None], image)
        if np.array_equal(found, before):
            break
    return found


def test_imputation_alone() -> None:
    gone = GENERATOR.random((SIZE, SIZE)) < 0.7
    image = X[0].astype(np.float64)
    np.testing.assert_allclose(imputed(image, gone, 0.0, GENERATOR), relaxed(image, gone), atol=1e-6)
    series = np.linspace(0, 1, 12)[:, None] ** [[1.0, 2.0]]
    inner = np.zeros(12, bool)
    inner[3:9] = True
    line = imputed(series, inner, 0.0, GENERATOR)
    np.testing.assert_allclose(
        line[2:10, 0], series[2:10, 0], atol=1e-9
    )  # between two points a straight line
    flat = imputed(np.full((6, 6, 1), 3.0), np.ones((6, 6), bool) ^ np.eye(6, dtype=bool), 0.0, GENERATOR)
    np.testing.assert_allclose(flat, 3.0)


def test_monotonicity(linear: Any, net: Any) -> None:
    """As AIX360 does it: the smallest numbers first, and the score from the first added place on."""
    for model, explanation, score in ((linear, exact(linear), "logit"), (net, random_map(1), "probability")):
        found = metrics.monotonicity(model, explanation, step=1, score=score)
        for row, target in enumerate(explanation.targets):
            order = np.argsort(explanation.heatmap()[row].reshape(-1))
            seen, scores = np.zeros((1, SIZE, SIZE, 3), np.float32), []
            for place in order:
                seen[0, place // SIZE, place % SIZE] = X[row, place // SIZE, place % SIZE]
                scores.append(float(model(seen)[0, target]))
            np.testing.assert_allclose(found.curves[row, 1:], scores, atol=1e-4)
            assert found.values[row] == (np.diff(found.curves[row, 1:]) >= 0).all()
    weights = linear.get_weights()[0][:, 1].reshape(SIZE, SIZE, 3)
    x = np.abs(X) * np.sign(weights)  # every number adds to the score
    sure = tfxai.Explanation(x * weights, x.astype(np.float32), np.ones(3, int), np.zeros(3, np.float32))
    assert metrics.monotonicity(linear, sure, step=1, score="logit").values.tolist() == [1, 1, 1]
    falling = tfxai.Explanation(-x * weights, -x.astype(np.float32), np.ones(3, int), np.zeros(3, np.float32))
    assert metrics.monotonicity(linear, falling, step=1, score="logit").values.tolist() == [0, 0, 0]


def test_weights_of_parts_count_once(linear: Any) -> None:
    """LIME and KernelSHAP repeat a segment's weight on all its places."""
    found = tfxai.KernelSHAP(segments=6, background=0.0)(linear, X, tfxai.top(2), score="logit")
    assert metrics.completeness(linear, found).values.max() < 1e-4
    fidelity = metrics.faithfulness_correlation(linear, found, score="logit")
    assert fidelity.values.shape == (3, 2)
    best = metrics.infidelity(linear, found, score="logit").mean
    nothing = dataclasses.replace(found, values=0 * found.values, weights=0 * found.weights)
    assert best < 0.8 * metrics.infidelity(linear, nothing, score="logit").mean


def test_completeness_of_several_inputs() -> None:
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], L.Dot(1)([one, two]))
    x = [np.random.default_rng(seed).normal(size=(2, 4)).astype(np.float32) for seed in (0, 1)]
    explanation = tfxai.IntegratedGradients()(model, x, 0)
    assert metrics.completeness(model, explanation).values.max() < 1e-5
    alone = metrics.completeness(model, explanation, input=0).values
    wanted = np.abs(explanation.values[0].sum(axis=1) - (x[0] * x[1]).sum(axis=1))
    np.testing.assert_allclose(alone, wanted, atol=1e-5)


def test_odd_maps(net: Any) -> None:
    flat = tfxai.Explanation(np.zeros_like(X), X, np.array([1, 2, 3]), np.zeros(3, np.float32))
    assert np.isnan(metrics.max_sensitivity(lambda *_, **__: flat, net, X).values).all()
    # A constant map is cut by chance, not by position.
    boxes = [[0, 0, 2, SIZE], [8, 0, SIZE, SIZE], [4, 0, 6, SIZE]]
    assert (metrics.localisation(flat, boxes).iou < 0.4).all()
    # One channel for three: with noise it counts once.
    summed = dataclasses.replace(
        random_map(3), values=np.repeat(random_map(3).heatmap()[..., None] / 3, 3, axis=-1)
    )
    one = dataclasses.replace(summed, values=summed.heatmap()[..., None])
    found = [
        metrics.infidelity(net, each, perturbation="noise", samples=8, baseline=-3.0).values
        for each in (summed, one)
    ]
    np.testing.assert_allclose(*found, rtol=1e-3)
    few = keras.Sequential([keras.Input((4, 1)), L.Flatten(), L.Dense(2, activation="softmax")])
    short = tfxai.Gradient()(few, np.arange(8, dtype=np.float32).reshape(2, 4, 1))
    assert np.isfinite(metrics.road(few, short).values).all()


def test_regions_of_each_target() -> None:
    heat = np.zeros((1, 2, 6, 6, 1), np.float32)
    heat[0, 0, 1, 1] = heat[0, 1, 4, 4] = 1
    explanation = tfxai.Explanation(
        heat, np.ones((1, 6, 6, 3), np.float32), np.zeros((1, 2), int), np.zeros((1, 2))
    )
    assert metrics.localisation(explanation, [[[0, 0, 3, 3], [3, 3, 6, 6]]]).values.tolist() == [[1, 1]]
    assert metrics.localisation(explanation, [[0, 0, 3, 3]]).values.tolist() == [[1, 0]]
    masks = np.zeros((1, 2, 6, 6))
    masks[0, :, 0:3] = 1
    assert metrics.pointing_game(explanation, masks).values.tolist() == [[1, 0]]


def test_intervals_of_many_values() -> None:
    values = np.random.default_rng(0).normal(size=3000)
    few, many = metrics.MetricResult("x", values[:2000], True), metrics.MetricResult("x", values, True)
    for result in (few, many):
        low, high = result.interval
        assert high - low == pytest.approx(2 * 1.96 / math.sqrt(len(result.values)), rel=0.1)


def test_completeness(net: Any) -> None:
    exact = tfxai.IntegratedGradients(steps=30)(net, X, [0, 1, 2])
    found = metrics.completeness(net, exact)
    np.testing.assert_allclose(found.values, np.abs(exact.delta), atol=1e-4)
    with pytest.raises(ValueError, match="score custom"):
        metrics.completeness(
            net, tfxai.Explanation(exact.values, X, exact.targets, exact.scores, None, "", "custom")
        )


def test_max_sensitivity(net: Any) -> None:
    method = tfxai.Gradient()
    found = metrics.max_sensitivity(method, net, X, samples=4, radius=0.1, seed=3)
    start = method(net, X)
    worst = np.zeros(3)
    for sample in range(4):
        draw = np.random.default_rng([3, sample]).uniform(-1, 1, (1, *X.shape[1:]))
        width = 0.1 * (X.max(axis=(1, 2, 3)) - X.min(axis=(1, 2, 3))).reshape(-1, 1, 1, 1)
        moved = method(net, (X + width * draw).astype(np.float32), start.targets).values - start.values
        worst = np.maximum(
            worst,
            np.linalg.norm(moved.reshape(3, -1), axis=1)
            / np.linalg.norm(start.values.reshape(3, -1), axis=1),
        )
    np.testing.assert_allclose(found.values, worst, rtol=1e-5)
    assert metrics.max_sensitivity(method, net, X, samples=2).mean < found.mean


# Memory

PEAKS = """
import resource, keras, numpy as np, tfxai
L = keras.layers
model = keras.Sequential([keras.Input((96, 96, 3)), L.Conv2D(4, 8, strides=8), L.Flatten(), L.Dense(2)])
x = np.random.default_rng(0).normal(size=(1, 96, 96, 3)).astype(np.float32)
explanation = tfxai.Explanation(x, x, np.zeros(1, int), np.zeros(1, np.float32))
for steps in (24, 4608):
    for metric in (tfxai.metrics.deletion, tfxai.metrics.insertion):
        found = metric(model, explanation, step=96 * 96 // steps, batch_size=8)
        assert found.curves.shape == (1, steps + 1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_steps() -> None:
    """In a process of its own, since a peak never falls. All inputs of 4608 steps at once would take 510 MB."""
    done = subprocess.run([sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True)
    few, many = map(float, done.stdout.split())
    assert many - few < 100


# Closed forms on a linear model


def exact(linear: Any, target: int = 1) -> tfxai.Explanation:
    weights = linear.get_weights()[0][:, target].reshape(SIZE, SIZE, 3)
    return tfxai.Explanation(
        (X * weights).astype(np.float32), X, np.full(3, target), np.zeros(3, np.float32), None, "", "logit"
    )


def test_curves_of_a_linear_model(linear: Any) -> None:
    """Deleting takes the largest contributions away one by one: what is left is a sum of sorted numbers."""
    explanation = exact(linear)
    whole = logits(linear, X, 1)
    sorted_sums = np.cumsum(
        -np.sort(-explanation.heatmap().reshape(3, -1).astype(np.float64), axis=1), axis=1
    )
    falls = np.concatenate([whole[:, None], whole[:, None] - sorted_sums], axis=1)
    found = metrics.deletion(linear, explanation, step=1, score="logit")
    np.testing.assert_allclose(found.curves, falls, atol=1e-4)
    rises = np.concatenate([np.full((3, 1), -1.0), -1.0 + sorted_sums], axis=1)
    found = metrics.insertion(linear, explanation, step=1, score="logit", baseline=0.0)
    np.testing.assert_allclose(found.curves, rises, atol=1e-4)
    np.testing.assert_allclose(found.values, ((rises[:, 1:] + rises[:, :-1]) / 2).mean(axis=1), atol=1e-4)


def test_fidelity_of_a_linear_model(linear: Any) -> None:
    explanation = exact(linear)
    sure = metrics.faithfulness_correlation(linear, explanation, score="logit")
    np.testing.assert_allclose(sure.values, 1, atol=1e-4)
    np.testing.assert_allclose(
        metrics.mu_fidelity(linear, explanation, score="logit", grid=5).values, 1, atol=1e-3
    )
    assert metrics.infidelity(linear, explanation, score="logit").values.max() < 1e-6
    weights = np.broadcast_to(linear.get_weights()[0][:, 1].reshape(SIZE, SIZE, 3), X.shape).astype(
        np.float32
    )
    slopes = tfxai.Explanation(weights, X, explanation.targets, explanation.scores)
    for perturbation in ("square", "noise"):
        found = metrics.infidelity(linear, slopes, reads="weights", perturbation=perturbation, score="logit")
        assert found.values.max() < 1e-6
        assert metrics.infidelity(linear, slopes, perturbation=perturbation, score="logit").values.min() > 0.1
    assert metrics.completeness(linear, explanation).values.max() < 1e-4
    # Twice the values: as a forecast wrong by the change itself, until it may be scaled.
    double = tfxai.Explanation(2 * explanation.values, X, explanation.targets, explanation.scores)
    assert metrics.infidelity(linear, double, score="logit").mean > 0.1
    assert metrics.infidelity(linear, double, score="logit", scaled=True).mean < 1e-6


def test_a_random_map_scores_as_theory_says(linear: Any) -> None:
    """On the mean over random orders each place is gone by half: the area lies half-way between both ends."""
    images = np.repeat(X[:1], 40, axis=0)
    values = np.random.default_rng(3).normal(size=(40, SIZE, SIZE, 1)).astype(np.float32)
    random = tfxai.Explanation(values, images, np.ones(40, int), np.zeros(40, np.float32))
    found = metrics.deletion(linear, random, step=1, score="logit")
    ends = (logits(linear, X[:1], 1)[0] + -1.0) / 2
    low, high = found.interval
    error = found.values.std(ddof=1) / math.sqrt(40)
    assert abs(found.mean - ends) < 4 * error and low < found.mean < high
    fidelity = metrics.faithfulness_correlation(linear, random, score="logit")
    assert abs(fidelity.mean) < 4 * fidelity.values.std(ddof=1) / math.sqrt(40)


# Maps alone


def test_gini_and_entropy() -> None:
    def of(*rows: list[float]) -> tfxai.Explanation:
        return tfxai.Explanation(np.array(rows, np.float32), np.ones((len(rows), 4), np.float32), np.zeros(len(rows), int), np.zeros(len(rows)))  # fmt: skip

    maps = of([1, 1, 1, 1], [0, 0, 0, -5], [4, 3, 2, 1], [0, 0, 0, 0])
    np.testing.assert_allclose(metrics.sparseness(maps).values, [0, 0.75, 0.25, 0], atol=1e-6)
    pairs = np.abs(np.subtract.outer([4, 3, 2, 1], [4, 3, 2, 1])).sum() / (
        2 * 4 * 10
    )  # Gini as mean difference
    assert metrics.sparseness(maps).values[2] == pytest.approx(pairs)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    wanted = [np.log(4), 0, -(shares * np.log(shares)).sum(), np.log(4)]
    np.testing.assert_allclose(metrics.complexity(maps).values, wanted, atol=1e-6)


def placed(*points: tuple[int, int, float], size: int = 6) -> tfxai.Explanation:
    heat = np.zeros((1, size, size, 1), np.float32)
    for y, x, value in points:
        heat[0, y, x] = value
    return tfxai.Explanation(heat, np.ones((1, size, size, 3), np.float32), np.zeros(1, int), np.zeros(1))


def test_regions() -> None:
    explanation = placed((1, 1, 3.0), (4, 4, 1.0), (0, 5, -9.0))
    box, mask = [[0, 0, 3, 3]], np.zeros((1, 6, 6))
    mask[0, :3, :3] = 1
    for regions in (box, mask, mask.astype(bool)):
        assert metrics.pointing_game(explanation, regions).mean == 1
        found = metrics.localisation(explanation, regions)
        assert found.values[0] == pytest.approx(0.75)
        # The nine best places: two with evidence, then in order of position; four of the box are among them.
        assert 0 < found.iou[0] < 1
    assert metrics.pointing_game(explanation, [[3, 3, 6, 6]]).mean == 0
    assert metrics.pointing_game(explanation, [[3, 1, 6, 6]], margin=2).mean == 1
    assert metrics.pointing_game(explanation, [[4, 1, 6, 6]], margin=2).mean == 0
    assert metrics.localisation(placed(), box).mean == 0 and metrics.pointing_game(placed(), box).mean == 0
    assert metrics.localisation(placed((1, 1, 2.0)), [[1, 1, 2, 2]]).iou[0] == 1


def test_consistency() -> None:
    one, two, three = (random_map(seed) for seed in (0, 0, 1))
    found = metrics.consistency([one, two, three])
    assert found.pairs.shape == (3, 3, 3)
    np.testing.assert_allclose(found.pairs[:, 0, 1], 1)
    wanted = [
        spearmanr(a.reshape(-1), b.reshape(-1))[0]
        for a, b in zip(one.heatmap(), three.heatmap(), strict=True)
    ]
    np.testing.assert_allclose(found.pairs[:, 0, 2], wanted, atol=1e-5)
    np.testing.assert_allclose(found.values, (1 + 2 * np.array(wanted)) / 3, atol=1e-5)


# A detector that reads one corner


@pytest.mark.slow
def test_the_true_map_beats_every_control() -> None:
    inputs = keras.Input((SIZE, SIZE, 1))
    corner = L.Flatten()(L.Cropping2D(((0, 6), (0, 6)))(inputs))
    model = keras.Model(inputs, L.Dense(2, activation="softmax")(corner))
    model.set_weights([np.stack([np.zeros(16), np.full(16, 0.5)], axis=1), np.array([0.0, -2.0])])
    x = np.random.default_rng(0).uniform(0.2, 1, (48, SIZE, SIZE, 1)).astype(np.float32)
    true = tfxai.InputXGradient()(model, x, 1)
    generator = np.random.default_rng(1)
    controls = {
        "random": generator.normal(size=x.shape),
        "edges": np.abs(np.gradient(x[..., 0], axis=1))[..., None]
        + np.abs(np.gradient(x[..., 0], axis=2))[..., None],
        "centre": np.broadcast_to(-np.hypot(*(np.mgrid[:SIZE, :SIZE] - 4.5))[None, ..., None], x.shape),
        "reversed": -true.values,
    }
    faithful = [metrics.deletion, partial(metrics.insertion, baseline=0.0), metrics.road, partial(metrics.mu_fidelity, grid=5),
                metrics.faithfulness_correlation, partial(metrics.irof, segmenter="grid", segments=25, baseline=0.0),
                partial(metrics.infidelity, scaled=True)]  # fmt: skip
    for function in faithful:
        best = function(model, true)
        for name, values in controls.items():
            if name == "reversed" and best.name == "infidelity":  # which may scale by a negative number, too
                continue
            other = function(
                model,
                tfxai.Explanation(values.astype(np.float32), x, true.targets, true.scores, None, "", "logit"),
            )
            difference = (best.values - other.values) * (1 if best.higher_is_better else -1)
            error = difference.std(ddof=1) / math.sqrt(len(x))
            assert difference.mean() > 3 * error > 0 or difference.min() > 0, (best.name, name)
    assert metrics.localisation(true, np.tile([0, 0, 4, 4], (48, 1))).mean == pytest.approx(1)


# All kinds of inputs


@pytest.fixture(scope="module")
def cases() -> list[Any]:
    """Models of series, of tables and of two inputs, each with an explanation of two classes."""
    keras.utils.set_random_seed(1)
    generator = np.random.default_rng(0)
    series = keras.Sequential(
        [keras.Input((14, 2)), L.Conv1D(4, 3, activation="relu"), L.Flatten(), L.Dense(3)]
    )
    table = keras.Sequential(
        [keras.Input((6,)), L.Dense(8, activation="tanh"), L.Dense(3, activation="softmax")]
    )
    image, row = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="row")
    both = keras.Model({"image": image, "row": row}, L.Dense(3)(L.Concatenate()([L.Flatten()(image), row])))
    cases: list[Any] = [
        (series, generator.normal(size=(2, 14, 2)).astype(np.float32), tfxai.InputXGradient()),
        (table, generator.normal(size=(2, 6)).astype(np.float32), tfxai.KernelSHAP(background=np.zeros((1, 6), np.float32))),
        (both, {"image": generator.normal(size=(2, 8, 8, 1)).astype(np.float32), "row": generator.normal(size=(2, 5)).astype(np.float32)}, tfxai.Occlusion(window=2, stride=2)),
    ]  # fmt: skip
    return [(model, method(model, x, tfxai.top(2))) for model, x, method in cases]


@every(2, name=[function.__name__ for function in OF_MODELS])
def test_series_tables_tokens_and_two_inputs(cases: list[Any], name: str) -> None:
    (function,) = (each for each in OF_MODELS if each.__name__ == name)
    for model, explanation in cases:
        if function is metrics.road and model is cases[1][0]:
            with pytest.raises(ValueError, match="Use deletion"):
                function(model, explanation)
            continue
        unit = "probability" if function.__name__ in ("average_drop", "average_gain", "irof") else "logit"
        found = function(model, explanation, score=unit)
        assert found.values.shape == (2, 2) and np.isfinite(found.values).all()
        again = function(model, explanation, score=unit, batch_size=3)
        np.testing.assert_allclose(again.values, found.values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("function", ALL, ids=lambda f: f.__name__)
def test_directions_and_words(function: Any) -> None:
    assert isinstance(function.higher_is_better, bool)
    text = " ".join(function.__doc__.split())
    assert ("Higher is better" in text) == function.higher_is_better
    assert ("Lower is better" in text) != function.higher_is_better
    for word in ("Defaults: ", "Cost: ", "Criticism: "):
        assert text.count(word) == 1
    assert re.search(r"arXiv:\d{4}\.\d{5}\b", text)
    # Whose defaults they are, by name; or the paper's.
    assert re.search("paper|quantus|xplique|captum", text.split("Defaults: ")[1].split("Cost: ")[0])


def test_directions_and_defaults() -> None:
    """Those that docstrings say are a paper's, or another package's."""
    assert len(ALL) == 18 and not metrics.deletion.higher_is_better and metrics.insertion.higher_is_better
    for function, defaults in (
        (metrics.deletion, {"baseline": 0.0, "score": "probability"}),
        (metrics.road, {"fractions": (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9), "noise": 0.01}),
        (metrics.mu_fidelity, {"samples": 200, "grid": 9, "share": 0.2, "baseline": 0.0}),
        (metrics.faithfulness_correlation, {"samples": 100}),
        (metrics.infidelity, {"noise": 0.2}),
        (metrics.max_sensitivity, {"samples": 10, "radius": 0.02}),
        (metrics.pointing_game, {"margin": 0}),
        (metrics.completeness, {"baseline": 0.0}),
    ):
        options = inspect.signature(function).parameters
        assert {name: options[name].default for name in defaults} == defaults


def test_a_result_says_how_sure_it_is() -> None:
    values = np.random.default_rng(0).normal(3, 1, 50)
    found = metrics.MetricResult("x", values.astype(np.float32), True)
    low, high = found.interval
    assert low == pytest.approx(values.mean() - 1.96 / math.sqrt(50), abs=0.08)
    assert high == pytest.approx(values.mean() + 1.96 / math.sqrt(50), abs=0.08)
    assert found.interval == found.interval and "higher is better" in repr(found)
    assert np.isnan(metrics.MetricResult("x", np.ones(1), True).interval).all()
    assert metrics.MetricResult("x", np.ones(4), True).interval == (1, 1)
    # Two targets of one image are no two images.
    doubled = metrics.MetricResult("x", np.repeat(values[:, None], 2, axis=1), True)
    assert doubled.interval == pytest.approx(found.interval, abs=1e-6)


def test_wrong_use(net: Any) -> None:
    explanation = random_map()
    small = tfxai.Explanation(np.ones((2, 5, 5, 3)), np.ones((2, 5, 5, 3)), np.zeros(2, int), np.zeros(2))
    with pytest.raises(ValueError, match=r"\(2, 5, 5, 3\).*\(N, 10, 10, 3\)"):
        metrics.deletion(net, small)
    torn = random_map()
    torn.values[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite values, in 1 of 3 rows, first in number 1"):
        metrics.insertion(net, torn)
    with pytest.raises(ValueError, match="explanation is a ndarray"):
        metrics.deletion(net, explanation.values)
    with pytest.raises(ValueError, match=r"regions has shape \(3, 5, 5\) for maps \(3, 10, 10\)"):
        metrics.localisation(explanation, np.ones((3, 5, 5)))
    with pytest.raises(ValueError, match="does not lie in maps"):
        metrics.pointing_game(explanation, [[0, 0, 11, 4]] * 3)
    with pytest.raises(ValueError, match="region of example 2 is empty"):
        metrics.localisation(explanation, (np.arange(3) < 2)[:, None, None] * np.ones((3, SIZE, SIZE)))
    with pytest.raises(ValueError, match="fewer than two"):
        metrics.consistency([explanation])
    with pytest.raises(ValueError, match="step is 0"):
        metrics.deletion(net, explanation, step=0)
    with pytest.raises(ValueError, match=r"share is 0\.001"):
        metrics.mu_fidelity(net, explanation, share=0.001)
    with pytest.raises(ValueError, match="fractions is"):
        metrics.road(net, explanation, fractions=(0.5, 1.5))
    with pytest.raises(ValueError, match='"weights" or "contributions"'):
        metrics.infidelity(net, explanation, reads="values")
    for call, message in (
        (partial(metrics.road, net, explanation, noise=np.nan), "noise is nan"),
        (partial(metrics.infidelity, net, explanation, noise=-1), "noise is -1"),
        (partial(metrics.max_sensitivity, tfxai.Gradient(), net, X, radius=-1), "radius is -1"),
        (
            partial(metrics.average_drop, net, explanation, score="logit", baseline=90.0),
            "part of a probability",
        ),
        (partial(metrics.pointing_game, explanation, np.ones((3, SIZE, SIZE)), margin=-1), "margin is -1"),
        (partial(metrics.localisation, explanation, np.full((3, 4), 0.5)), "whole places"),
        (partial(metrics.localisation, explanation, np.full((3, SIZE, SIZE), 0.1)), "of 0 and 1"),
        (
            partial(metrics.consistency, [explanation, dataclasses.replace(explanation, inputs=-X)]),
            "other inputs",
        ),
        (
            partial(metrics.sparseness, dataclasses.replace(explanation, values=X[:2])),
            "one map for each target",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(ValueError, match="class 9"):
        metrics.deletion(net, random_map(targets=(1, 2, 9)))
