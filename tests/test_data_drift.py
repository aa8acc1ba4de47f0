"""Evidence inside regions, and drift against a reference: equal to what is known, few false alarms, and the planted is found."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from data_runs import images, network
from scipy import stats

import tfxai
from tfxai import data, metrics
from tfxai.results import Explanation


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> data.Results:
    rows = images(60)
    rows[11] = np.nan
    folder = tmp_path_factory.mktemp("inside")
    return tfxai.explain_dataset(tfxai.Gradient(), network(), rows, folder, shard_rows=16, progress=False)


def test_shares_inside_are_those_of_the_metric(results: data.Results) -> None:
    good = np.delete(np.arange(60), 11)
    explanation = tfxai.Gradient()(network(), images(60)[good])
    boxes = np.array([[row % 4, 1, row % 4 + 3, 6] for row in range(60)])
    expected = metrics.localisation(explanation, boxes[good]).values
    by_id = data.inside(results, dict(enumerate(boxes)), count=4)
    by_call = data.inside(results, lambda ids, _: boxes[np.array(ids)], count=4)
    for found in (by_id, by_call):
        assert found.rows == 59
        np.testing.assert_allclose(found.mean, expected.mean(), rtol=1e-6)
        half = stats.t.isf(0.025, 58) * expected.std(ddof=1) / np.sqrt(59)
        np.testing.assert_allclose(
            found.interval, [expected.mean() - half, expected.mean() + half], rtol=1e-5
        )
        assert [row[0] for row in found.lowest] == good[np.argsort(expected, kind="stable")][:4].tolist()
        for name, count, mean in zip(found.classes, found.counts, found.means, strict=True):
            own = expected[explanation.targets == name]
            assert count == len(own)
            np.testing.assert_allclose(mean, own.mean(), rtol=1e-6)
    assert "Inside(" in repr(by_id) and f"of {by_id.rows} maps" in repr(by_id)


def test_one_region_for_all_and_some_rows(results: data.Results, tmp_path: Path) -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:7] = True
    one, other = data.inside(results, mask), data.inside(results, [2, 3, 5, 7])
    assert one.mean == other.mean
    some = data.inside(results, {3: [0, 0, 8, 8], 20: [0, 0, 8, 8]})
    assert some.rows == 2 and some.mean == 1
    kept = data.Inside.load(some.save(tmp_path / "inside.npz"))
    assert kept.lowest == some.lowest and kept.mean == some.mean
    with pytest.raises(ValueError, match="No row that was explained has a region"):
        data.inside(results, {"a": [0, 0, 8, 8]})
    with pytest.raises(ValueError, match="regions has shape"):
        data.inside(results, np.zeros((5, 5), bool))
    with pytest.raises(ValueError, match=r"gave .* for 15 rows"):
        data.inside(results, lambda ids, _: np.zeros((3, 4)))


def maps(rows: int, seed: int, planted: float = 0.0, classes: tuple[float, ...] = (0.5, 0.5)) -> Explanation:
    """Maps of noise; planted: what the lower right corner has more of."""
    generator = np.random.default_rng(seed)
    values = generator.gamma(1.0, size=(rows, 12, 12, 1)).astype("float32")
    values[:, 9:, 9:] *= 1 + planted
    targets = generator.choice(len(classes), rows, p=classes)
    inputs = np.zeros_like(values)
    return Explanation(values, inputs, targets, generator.normal(size=rows).astype("float32"))


def test_few_false_alarms_and_the_planted_is_found() -> None:
    alarms = [data.drift(maps(200, 2 * i), maps(200, 2 * i + 1)).drifted for i in range(200)]
    assert sum(map(bool, alarms)) <= 16  # 5 % of 200 would be 10; sd 3
    for seed in range(20):
        found = data.drift(maps(200, 1000 + seed, planted=0.6), maps(200, 2000 + seed))
        assert found.drifted[0] == "y 9 to 12, x 9 to 12"
        i = found.names.index("y 9 to 12, x 9 to 12")
        assert found.means[i] > found.reference_means[i] and found.p_values[i] < 1e-6


def test_numbers_are_those_of_scipy(tmp_path: Path) -> None:
    one, other = maps(150, 0, 0.3, (0.8, 0.2)), maps(130, 1)
    found = data.drift([one[:70], one[70:]], other)
    assert found.names[:2] == ["score", "evidence"] and len(found.names) == 2 + 16
    raw = []
    for name, take in {
        "score": lambda each: each.scores,
        "evidence": lambda each: each.values.sum((1, 2, 3)),
        "y 9 to 12, x 9 to 12": lambda each: (
            each.values[:, 9:, 9:].sum((1, 2, 3)) / each.values.sum((1, 2, 3))
        ),
    }.items():
        i = found.names.index(name)
        truth = stats.ks_2samp(take(one), take(other), method="asymp")
        np.testing.assert_allclose(found.distances[i], truth.statistic, rtol=1e-6)
        np.testing.assert_allclose(found.means[i], take(one).mean(), rtol=1e-4, atol=1e-6)
        raw.append((found.p_values[i], truth.pvalue))
    assert all(held >= truth * 0.999 for held, truth in raw)
    counts = np.array([np.bincount(each.targets, minlength=2) for each in (other, one)])
    np.testing.assert_allclose(found.shares, (counts / counts.sum(1, keepdims=True)).T)
    truth = stats.chi2_contingency(counts).pvalue
    assert truth <= found.class_p_value <= 19 * truth and "classes" in found.drifted
    kept = data.Drift.load(found.save(tmp_path / "drift.npz"))
    assert kept.drifted == found.drifted and repr(kept) == repr(found)


def test_units_of_a_layer_are_compared_one_by_one() -> None:
    """As many as the layer has, whatever the inputs are."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(300, 5)).astype("float32")
    for units in (3, 8):
        values = generator.normal(size=(300, units)).astype("float32")
        moved = values.copy()
        moved[:, -1] *= 50
        before, now = (
            Explanation(each, rows, np.zeros(300, int), np.zeros(300, "float32"), at="hidden")
            for each in (values, moved)
        )
        found = data.drift(now, before)
        assert found.drifted == [f"column hidden {units - 1}"] and len(found.names) == units + 1
        summary = data.columns(now)
        assert summary.names == [f"hidden {i}" for i in range(units)]
        assert tfxai.plots.beeswarm(summary) is not None and tfxai.plots.importance(summary) is not None


def test_a_column_of_a_table_that_has_drifted(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(8, activation="tanh"), keras.layers.Dense(2)]
    )
    generator = np.random.default_rng(0)
    runs = []
    for name, moved in (("before", 0), ("now", 1.5)):
        rows = generator.normal(size=(300, 3)).astype("float32")
        rows[:, 1] += moved
        method = tfxai.IntegratedGradients(steps=8)
        runs.append(
            tfxai.explain_dataset(
                method, model, rows, tmp_path / name, targets=0, progress=False, shard_rows=64
            )
        )
    found = data.drift(runs[1], runs[0])
    assert found.names == ["score", "column 0", "column 1", "column 2"]
    assert found.drifted[0] == "column 1" and not {"column 0", "column 2"} & {*found.drifted[:1]}
    assert found.class_p_value == 1 and "column 1:" in repr(found)
    with pytest.raises(ValueError, match=r"One has .* and the reference has"):
        data.drift(runs[1], maps(20, 0))
