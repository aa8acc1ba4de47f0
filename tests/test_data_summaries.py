"""Summaries over a run equal those of all its values at once, and their intervals hold as often as they say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from data_runs import images, network

import tfxai
from tfxai import data, plots
from tfxai.data import column_summary
from tfxai.results import Explanation

L = keras.layers


def table(rows: int = 500, columns: int = 4, seed: int = 0) -> Explanation:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(rows, columns)).astype("float32")
    values = inputs * np.arange(columns, dtype="float32") - 1
    return Explanation(values, inputs, generator.integers(0, 3, rows), np.zeros(rows, "float32"))


def parts_of(explanation: Explanation, size: int) -> list[Explanation]:
    return [explanation[i : i + size] for i in range(0, len(explanation), size)]


@pytest.mark.parametrize("size", [7, 100, 500])
def test_columns_are_summed_as_all_at_once(size: int) -> None:
    explanation = table()
    summary = data.columns(parts_of(explanation, size), ["a", "b", "c", "d"])
    values = explanation.values.astype(np.float64)
    np.testing.assert_allclose(summary.mean, values.mean(0), rtol=1e-9)
    np.testing.assert_allclose(summary.magnitude, np.abs(values).mean(0), rtol=1e-9)
    half = (summary.mean_interval[:, 1] - summary.mean_interval[:, 0]) / 2
    np.testing.assert_allclose(half, 1.9647 * values.std(0, ddof=1) / np.sqrt(500), rtol=1e-3)
    np.testing.assert_allclose(summary.quantiles, np.quantile(values, summary.levels, axis=0).T, rtol=1e-6)
    assert sorted(map(tuple, summary.values.tolist())) == sorted(map(tuple, explanation.values.tolist()))
    assert summary.rows == 500 and "ColumnSummary(500 rows)" in repr(summary)


@pytest.mark.parametrize("large", [1e6, 1e10])
def test_sums_of_large_numbers_lose_no_digits(large: float) -> None:
    explanation = table()
    shifted = Explanation(
        (explanation.values.astype(np.float64) + large).astype("float64"),
        explanation.inputs,
        explanation.targets,
        explanation.scores,
    )
    found = data.columns(parts_of(shifted, 50)).mean_interval
    expected = data.columns(explanation).mean_interval
    np.testing.assert_allclose(found - large, expected, atol=1e-6 + 1e-15 * large)


def test_the_sample_is_drawn_evenly_whatever_the_parts() -> None:
    explanation = table(3000, 2)
    explanation.values[:, 0] = np.arange(3000)
    samples = [data.columns(parts_of(explanation, size), sample=600).values[:, 0] for size in (11, 500)]
    assert sorted(samples[0]) == sorted(samples[1]) and len(samples[0]) == 600
    counts, _ = np.histogram(samples[0], bins=10, range=(0, 3000))
    assert counts.min() > 35 and counts.max() < 90  # 60 each; sd 7


def test_intervals_hold_as_often_as_they_say() -> None:
    """Of skewed values, in 400 data sets: mean and quantiles of the distribution that they come from."""
    generator, held = np.random.default_rng(0), []
    truth = -np.log(1 - np.array(column_summary.LEVELS))
    for _ in range(400):
        values = generator.exponential(size=(300, 1)).astype("float32")
        explanation = Explanation(values, values, np.zeros(300, int), np.zeros(300, "float32"))
        summary = data.columns(explanation)
        low, high = summary.quantiles_interval[0].T
        mean = summary.mean_interval[0]
        held.append([*((low <= truth) & (truth <= high)), mean[0] <= 1 <= mean[1]])
    assert (np.mean(held, 0) > 0.92).all(), np.mean(held, 0)


def test_few_rows_prove_little() -> None:
    summary = data.columns(table(1))
    assert np.isinf(summary.mean_interval).any(axis=1).all() and np.isinf(summary.quantiles_interval).all()
    assert np.isinf(data.columns(table(20)).quantiles_interval[:, 0, 0]).all()


def test_rows_of_one_class_and_columns_that_are_inputs() -> None:
    explanation = table()
    chosen = explanation.targets == 1
    np.testing.assert_allclose(
        data.columns(explanation, target=1).mean, explanation.values[chosen].mean(0), rtol=1e-5
    )
    both = {"age": explanation.inputs[:, :1], "rest": explanation.inputs[:, 1:]}
    values = {"age": explanation.values[:, :1], "rest": explanation.values[:, 1:]}
    named = Explanation(values, both, explanation.targets, explanation.scores)
    summary = data.columns(named)
    assert summary.names == ["age", "rest 0", "rest 1", "rest 2"]
    np.testing.assert_array_equal(summary.mean, data.columns(explanation).mean)


def test_columns_refuse_what_they_cannot_sum() -> None:
    with pytest.raises(ValueError, match="names has 3 entries for 4 columns"):
        data.columns(table(), ["a", "b", "c"])
    with pytest.raises(ValueError, match="No row was explained for class 7"):
        data.columns(table(), target=7)
    with pytest.raises(ValueError, match="There are no rows"):
        data.columns([])
    with pytest.raises(ValueError, match="are no rows of columns"):
        data.columns(tfxai.Gradient()(network(), images(2)))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    directory = tmp_path_factory.mktemp("run")
    broken = images(120)
    broken[17] = np.nan
    with pytest.warns(UserWarning, match="1 of 120"):
        return tfxai.explain_dataset(
            tfxai.IntegratedGradients(steps=3),
            network(),
            broken,
            directory,
            ids=[f"row {i}" for i in range(120)],
            shard_rows=16,
            progress=False,
            targets=np.minimum(np.arange(120) % 7, 4),
        )


def test_class_maps_are_the_means_of_each_class(results: Any) -> None:
    maps, targets = results.array().sum(-1), results.array("targets")
    found = data.class_maps(results)
    assert found.classes.tolist() == sorted(set(targets.tolist())) and found.counts.sum() == 119
    for target, mean, interval, picture in zip(
        found.classes, found.means, found.interval, found.inputs, strict=True
    ):
        own = maps[targets == target].astype(np.float64)
        np.testing.assert_allclose(mean, own.mean(0), atol=1e-6)
        np.testing.assert_allclose(picture, results.array("inputs")[targets == target].mean(0), atol=1e-5)
        if len(own) > 1:
            half = (interval[..., 1] - interval[..., 0]) / 2
            assert (half > 1.9 * own.std(0, ddof=1) / np.sqrt(len(own)) - 1e-6).all()
        else:
            assert np.isinf(interval).all()


def test_maps_of_several_targets_count_for_their_classes() -> None:
    explanation = tfxai.Gradient()(network(), images(20), tfxai.top(2))
    found = data.class_maps(explanation)
    maps, targets = explanation.heatmap().reshape(40, 8, 8), explanation.targets.reshape(-1)
    assert found.counts.sum() == 40
    for target, mean in zip(found.classes, found.means, strict=True):
        np.testing.assert_allclose(mean, maps[targets == target].mean(0), atol=1e-6)


@pytest.mark.parametrize("which", ["least", "most"])
def test_typical_rows_are_those_most_like_the_others(results: Any, which: Any) -> None:
    maps, targets, ids = (
        results.array().sum(-1).reshape(119, -1),
        results.array("targets"),
        results.ids.tolist(),
    )
    ids.remove("row 17")
    likeness = {}
    for i in range(119):
        others = maps[(targets == targets[i]) & (np.arange(119) != i)]
        if len(others):
            mean = others.mean(0)
            likeness[ids[i]] = float(maps[i] @ mean / np.linalg.norm(maps[i]) / np.linalg.norm(mean))
    expected = sorted(likeness, key=lambda id: likeness[id], reverse=which == "most")[:7]
    found = data.typical(results, 7, which=which)
    assert [row.id for row in found] == expected
    np.testing.assert_allclose([row.likeness for row in found], [likeness[id] for id in expected], rtol=1e-4)


def test_one_map_beside_far_larger_ones_keeps_its_likeness(tmp_path: Path) -> None:
    """What others of its class have in common is summed up in double precision: 1e9 times as large, it hid the rest."""
    generator = np.random.default_rng(0)
    rows = np.abs(generator.normal(size=(6, 4, 4, 1))).astype("float32") + 0.5
    rows[0] *= 1e9
    results = data.explain_dataset(
        tfxai.InputXGradient(),
        keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]),
        rows,
        tmp_path,
        targets=0,
        score="output",
        progress=False,
    )
    maps = results.array()[..., 0].reshape(6, -1).astype(np.float64)
    others = maps.sum(0) - maps
    truth = (maps * others).sum(1) / np.linalg.norm(maps, axis=1) / np.linalg.norm(others, axis=1)
    found = {row.id: row.likeness for row in data.typical(results, 6)}
    np.testing.assert_allclose([found[i] for i in range(6)], truth, atol=1e-6)


def test_summaries_are_kept_in_files(results: Any, tmp_path: Path) -> None:
    for kind, summary in (
        (data.ClassMaps, data.class_maps(results)),
        (data.ColumnSummary, data.columns(table())),
    ):
        again = kind.load(summary.save(tmp_path / "summary.npz"))
        for name, value in vars(summary).items():
            np.testing.assert_array_equal(getattr(again, name), value)


def test_class_maps_are_drawn(results: Any) -> None:
    maps = data.class_maps(results)
    figure = plots.class_maps(maps, [f"name {i}" for i in range(5)])
    words = [ax.get_title("left") for ax in figure.axes]
    assert [f"name {i}" for i in maps.classes] == [word for word in words if word]
    assert "maps" in figure.axes[0].get_title("right") or "1 map" in figure.axes[0].get_title("right")
    shown = [axes.images[-1].get_array() for axes in plots.class_maps(maps, certain=True).axes if axes.images]
    for drawn, mean, (low, high) in zip(shown, maps.means, np.moveaxis(maps.interval, -1, 1), strict=False):
        np.testing.assert_array_equal(drawn, np.where((low <= 0) & (high >= 0), 0, mean))
    assert "First 1 of" in plots.class_maps(maps, limit=1).texts[0].get_text()


def test_columns_are_drawn_largest_first() -> None:
    summary = data.columns(table(), ["a", "b", "c", "d"])
    order = [summary.names[i] for i in np.argsort(-summary.magnitude)]
    for draw in (plots.importance, plots.beeswarm):
        axes = draw(summary, top=3).axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == order[:3]
    bars = [bar.get_width() for bar in plots.importance(summary).axes[0].patches]
    np.testing.assert_allclose(bars, np.sort(summary.magnitude)[::-1])
    dots = plots.beeswarm(summary).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(np.sort(dots[:, 0]), np.sort(summary.values[:, 3]), rtol=1e-5)
    assert np.abs(dots[:, 1]).max() <= 0.41
