"""What other packages make of a game: estimators of Shapley values in `shap`, `shapiq` and, where PyTorch is, `captum`."""

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
try:
    import torch
    from captum import attr as captum
except ImportError:
    captum, CAPTUM = None, ()
else:
    CAPTUM = ("captum KernelShap", "captum ShapleyValueSampling")
PLAIN = ("shap KernelExplainer", *DEFAULTS, *CAPTUM)  # what one gets without choosing settings


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
        if name in CAPTUM:
            return _of_captum(name, game, players, budget, seed)
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


def _of_captum(
    name: str, game: Counted, players: int, budget: int, seed: int
) -> tuple[np.ndarray, int] | None:
    """A function of tensors is all that captum asks for. Permutations take a pass for each player, and one at the start."""
    ends = {"baselines": torch.zeros(1, players)}
    torch.manual_seed(seed)

    def forward(rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(game(rows.numpy()))

    if name == "captum KernelShap":
        found = captum.KernelShap(forward).attribute(
            torch.ones(1, players), n_samples=budget, perturbations_per_eval=budget, **ends
        )
    elif permutations := (budget - 1) // players:
        found = captum.ShapleyValueSampling(forward).attribute(
            torch.ones(1, players), n_samples=permutations, **ends
        )
    else:
        return None
    return found.numpy().reshape(-1).astype(np.float64), game.passes


def _singles(values: dict[tuple[int, ...], float], players: int, shared: bool) -> np.ndarray:
    """Values of single players. shared: interactions of the best polynomial, each split evenly among its members."""
    singles = np.zeros(players)
    for members, value in values.items():
        if len(members) == 1 or shared:
            singles[list(members)] += value / max(len(members), 1)
    return singles
