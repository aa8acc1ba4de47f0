"""What other packages make of a game: the estimators of Shapley values in `shap` and `shapiq`, by one name each."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import shap
from shapiq import approximator as estimators

Worth = Callable[[np.ndarray], np.ndarray]  # bool (M, players) -> (M,)

DEFAULTS: dict[str, Callable] = {  # (players, seed) -> estimator, as its package sets it
    "shapiq KernelSHAP": lambda n, seed: estimators.KernelSHAP(n, random_state=seed),
    "shapiq kADDSHAP": lambda n, seed: estimators.kADDSHAP(n, random_state=seed),
    "shapiq RegressionFSII": lambda n, seed: estimators.RegressionFSII(n, random_state=seed),
    "shapiq KernelSHAPIQ": lambda n, seed: estimators.KernelSHAPIQ(n, index="SII", random_state=seed),
    "shapiq PermutationSamplingSV": lambda n, seed: estimators.PermutationSamplingSV(n, random_state=seed),
    "shapiq StratifiedSamplingSV": lambda n, seed: estimators.StratifiedSamplingSV(n, random_state=seed),
    "shapiq OwenSamplingSV": lambda n, seed: estimators.OwenSamplingSV(n, random_state=seed),
    "shapiq SVARM": lambda n, seed: estimators.SVARM(n, random_state=seed),
    "shapiq UnbiasedKernelSHAP": lambda n, seed: estimators.UnbiasedKernelSHAP(n, random_state=seed),
}
PAIRED = {"pairing_trick": True}
SETTINGS: dict[str, Callable] = {
    "shapiq KernelSHAP, pairs": lambda n, seed: estimators.KernelSHAP(n, random_state=seed, **PAIRED),
    "shapiq kADDSHAP, pairs": lambda n, seed: estimators.kADDSHAP(n, random_state=seed, **PAIRED),
    "shapiq kADDSHAP, order 3": lambda n, seed: estimators.kADDSHAP(n, 3, random_state=seed),
    "shapiq kADDSHAP, order 3, pairs": lambda n, seed: estimators.kADDSHAP(n, 3, random_state=seed, **PAIRED),
    "shapiq RegressionFSII, order 3, pairs": lambda n, seed: estimators.RegressionFSII(
        n, 3, random_state=seed, **PAIRED
    ),
    "shapiq KernelSHAPIQ, pairs": lambda n, seed: estimators.KernelSHAPIQ(
        n, index="SII", random_state=seed, **PAIRED
    ),
    "shapiq SVARM, pairs": lambda n, seed: estimators.SVARM(n, random_state=seed, **PAIRED),
    "shapiq UnbiasedKernelSHAP, pairs": lambda n, seed: estimators.UnbiasedKernelSHAP(
        n, random_state=seed, **PAIRED
    ),
}
SLOW: dict[str, Callable] = {  # seconds a game, whatever a pass costs
    "shapiq ProxySPEX": lambda n, seed: estimators.ProxySPEX(n=n, index="SV", max_order=1, random_state=seed),
    "shapiq SPEX": lambda n, seed: estimators.SPEX(n=n, index="SV", max_order=1, random_state=seed),
}
PLAIN = ("shap KernelExplainer", *DEFAULTS)  # what one gets without choosing settings


class Counted:
    """A game that counts its passes, and is worth nothing when nobody is there, as `shapiq` wishes."""

    def __init__(self, worth: Worth, players: int) -> None:
        self._worth, self.passes = worth, 0
        self._nobody = float(worth(np.zeros((1, players), bool))[0])

    def __call__(self, coalitions: np.ndarray) -> np.ndarray:
        inside = np.atleast_2d(np.asarray(coalitions)) > 0.5  # some ask for one coalition at a time
        self.passes += len(inside)
        return np.asarray(self._worth(inside), np.float64) - self._nobody


def rival(name: str, worth: Worth, players: int, budget: int, seed: int) -> tuple[np.ndarray, int] | None:
    """(players,) Shapley values, and the passes they took; None where the budget is too small for the estimator."""
    game = Counted(worth, players)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name.startswith("shap "):
            return _kernel_explainer(game, players, budget, seed), game.passes
        try:
            found = {**DEFAULTS, **SETTINGS, **SLOW}[name](players, seed).approximate(budget, game)
        except ValueError as error:
            if "Insufficient budget" not in str(error):
                raise
            return None
    return _singles(found.dict_values, players, shared="FSII" in name), game.passes


def _kernel_explainer(game: Counted, players: int, budget: int, seed: int) -> np.ndarray:
    """Of `shap`, whose `nsamples` leave out the empty and the full coalition. Without its choice of features (l1_reg)."""
    np.random.seed(seed)  # it draws from NumPy's own generator
    explainer = shap.KernelExplainer(game, np.zeros((1, players)))
    found = explainer.shap_values(np.ones((1, players)), nsamples=budget - 2, silent=True, l1_reg=False)
    return np.asarray(found).reshape(-1)


def _singles(values: dict[tuple[int, ...], float], players: int, shared: bool) -> np.ndarray:
    """Values of single players. shared: interactions of the best polynomial, each split evenly among its members."""
    singles = np.zeros(players)
    for members, value in values.items():
        if len(members) == 1 or shared:
            singles[list(members)] += value / max(len(members), 1)
    return singles
