"""Metrics that sample: their errors, against closed forms and very long runs."""

import numpy as np
import pytest

import tfxai
from tfxai import metrics
from tfxai.results import Explanation
from tfxai.stats import jackknife

RNG = np.random.default_rng(0)
W = RNG.normal(size=8)
X = RNG.normal(size=(2, 8)).astype(np.float32)
VALUES = (W + RNG.normal(size=(2, 8))).astype(np.float32)


def linear(x: np.ndarray) -> np.ndarray:
    return np.asarray(x) @ W


def bent(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    return np.tanh(x[:, :4].sum(1)) * x[:, 5] + x @ W / 3


def explained(model: object = linear) -> Explanation:
    scores = model(X).astype(np.float32)  # pyright: ignore[reportCallIssue]
    return Explanation(VALUES, X, np.array([-1, -1]), scores, score="output")


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    draws = RNG.normal(size=400)
    mean, error, freedom = jackknife(lambda some: float(draws[some].mean()), 400)
    assert mean == pytest.approx(draws.mean()) and freedom == 99
    assert error == pytest.approx(draws.std(ddof=1) / 20, rel=0.25)
    each = jackknife(lambda some: float(draws[some].mean()), 20)[1]  # one draw at a time: the formula itself
    assert each == pytest.approx(draws[:20].std(ddof=1) / 20**0.5)


def test_infidelity_stops_within_its_tolerance() -> None:
    """E[((v - w) . noise)^2] = deviation^2 |v - w|^2; 60 numbers at a confidence of 0.95, at most 9 misses (1 in 1000)."""
    deviation = 0.2 * (X.max(1) - X.min(1))
    wanted = deviation**2 * ((VALUES - W) ** 2).sum(1)
    misses, far = 0, 0
    for seed in range(30):
        found = metrics.infidelity(
            linear, explained(), reads="weights", perturbation="noise", score="output", samples=20_000, seed=seed, tolerance="20%"
        )  # fmt: skip
        assert found.converged.all() and (found.passes > 60).all() and (found.passes < 20_000).all()
        misses += int((np.abs(found.values - wanted) > 0.2 * wanted).sum())
        far += int((np.abs(found.values - wanted) > 5 * found.standard_error).sum())
    assert misses <= 9 and far <= 2


@pytest.mark.parametrize("name", ["faithfulness_correlation", "mu_fidelity"])
def test_a_correlation_stops_within_its_tolerance(name: str) -> None:
    metric = getattr(metrics, name)
    more = {"share": 0.4, "score": "output"}
    truth = metric(bent, explained(bent), samples=40_000, seed=99, **more).values
    misses = 0
    for seed in range(20):
        found = metric(bent, explained(bent), samples=5000, seed=seed, tolerance=0.1, **more)
        assert found.converged.all() and (found.passes < 5000).all()
        misses += int((np.abs(found.values - truth) > 0.1).sum())
    assert misses <= 7  # of 40


def test_the_standard_error_is_the_spread_over_seeds() -> None:
    runs = [metrics.mu_fidelity(bent, explained(bent), samples=120, share=0.4, score="output", seed=s) for s in range(60)]  # fmt: skip
    spread = np.std([run.values for run in runs], axis=0, ddof=1)
    stated = np.sqrt(np.mean([run.standard_error**2 for run in runs], axis=0))
    np.testing.assert_allclose(stated, spread, rtol=0.4)
    assert runs[0].converged is None and (runs[0].passes == 120).all()


def test_the_ceiling_is_kept_and_said() -> None:
    with pytest.warns(UserWarning, match="2 of 2 numbers are not within the tolerance: in row [01] it may be off by"):  # fmt: skip
        found = metrics.infidelity(bent, explained(bent), score="output", samples=100, tolerance=1e-9)
    assert (found.passes == 100).all() and not found.converged.any()
    plain = metrics.infidelity(bent, explained(bent), score="output", samples=100)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-6)
    with pytest.raises(ValueError, match="tolerance is -1"):
        metrics.infidelity(bent, explained(bent), tolerance=-1)


def test_with_two_targets_each_has_its_own() -> None:
    model = lambda x: np.stack([linear(x), bent(x)], 1)  # noqa: E731
    found = tfxai.KernelSHAP(background=0.0)(model, X, [[0, 1], [1, 0]])
    result = metrics.mu_fidelity(model, found, score="output", samples=400, tolerance=0.2)
    assert (
        result.values.shape
        == result.standard_error.shape
        == result.passes.shape
        == result.converged.shape
        == (2, 2)
    )


def test_a_score_that_has_not_moved_yet_is_not_known() -> None:
    """All of three places must be hidden for anything to happen, which is rare: no correlation, and no error of it, is no proof."""

    def rare(x: np.ndarray) -> np.ndarray:
        return 1.0 * (np.asarray(x)[:, [0, 3, 6]] < 0.5).all(1)

    values = np.arange(8, dtype=np.float32)[None]
    one = Explanation(
        values, np.ones((1, 8), np.float32), np.array([-1]), np.zeros(1, np.float32), score="output"
    )
    for seed in range(10):
        found = metrics.faithfulness_correlation(rare, one, samples=4000, share=0.4, score="output", tolerance=0.1, seed=seed)  # fmt: skip
        assert found.converged.all() and found.standard_error[0] > 0
