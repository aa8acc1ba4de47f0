"""How far interactions of two players are from the truth after how many passes: ShapleyInteractions beside `shapiq`.

    pip install shapiq
    python benchmarks/interactions.py [--games 32] [--players 12]

Games whose coalitions are listed (tests/exact_games.py): pairs, networks, softmax scores, rules. The error is ||found - truth|| /
||truth|| over all terms of an index, each two once: the median over games, and in brackets the worst. Every estimator gets the
same number of passes, those of the empty and the full coalition counted. First, both packages are given all coalitions.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from shapiq import ExactComputer
from shapiq import approximator as estimators

import tfxai

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from exact_games import USUAL, interactions

TIMES = (5, 10, 20, 50)  # passes for each player
PAIRS = {"pairing_trick": True}
OURS = "tfxai ShapleyInteractions"
THEIRS: dict[str, dict[str, Callable]] = {
    "k-SII": {
        "KernelSHAPIQ": lambda n, **how: estimators.KernelSHAPIQ(n, index="k-SII", **how),
        "KernelSHAPIQ, pairs": lambda n, **how: estimators.KernelSHAPIQ(n, index="k-SII", **PAIRS, **how),
        "InconsistentKernelSHAPIQ": lambda n, **how: estimators.InconsistentKernelSHAPIQ(n, index="k-SII", **how),
        "PermutationSamplingSII": lambda n, **how: estimators.PermutationSamplingSII(n, index="k-SII", **how),
        "SVARMIQ": lambda n, **how: estimators.SVARMIQ(n, index="k-SII", **how),
        "SHAPIQ": lambda n, **how: estimators.SHAPIQ(n, index="k-SII", **how),
    },
    "STII": {
        "PermutationSamplingSTII": lambda n, **how: estimators.PermutationSamplingSTII(n, **how),
        "SVARMIQ": lambda n, **how: estimators.SVARMIQ(n, index="STII", **how),
        "SHAPIQ": lambda n, **how: estimators.SHAPIQ(n, index="STII", **how),
    },
    "FSII": {
        "RegressionFSII": lambda n, **how: estimators.RegressionFSII(n, **how),
        "RegressionFSII, pairs": lambda n, **how: estimators.RegressionFSII(n, **PAIRS, **how),
        "SVARMIQ": lambda n, **how: estimators.SVARMIQ(n, index="FSII", **how),
        "SHAPIQ": lambda n, **how: estimators.SHAPIQ(n, index="FSII", **how),
    },
}  # fmt: skip


def main() -> None:
    """Prints one table for each index."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=32, help="the kinds in turn")
    parser.add_argument("--players", type=int, default=12)
    options = parser.parse_args()
    kinds, console = list(USUAL.values()), Console(width=130)
    tables = [kinds[i % len(kinds)](options.players, np.random.default_rng(i)) for i in range(options.games)]
    for index, rivals in THEIRS.items():
        truths = [interactions(table, index) for table in tables]
        print(f"{index}: with all coalitions tfxai and shapiq are {apart(index):.1e} of the largest apart")
        budgets = [times * options.players for times in TIMES]
        shown = Table(index, *(f"{times} n = {budget}" for times, budget in zip(TIMES, budgets, strict=True)))
        for name in (OURS, *rivals):
            cells = []
            for budget in budgets:
                found = [of(name, index, table, budget, seed) for seed, table in enumerate(tables)]
                cells.append(told(found, truths))
            shown.add_row(name, *cells, style="bold" if name == OURS else "")
        console.print(shown)


def of(name: str, index: str, table: NDArray, budget: int, seed: int) -> NDArray | None:
    """(players, players) as one estimator finds them; None where it needs more passes."""
    return ours(index, table, budget, seed) if name == OURS else theirs(name, index, table, budget, seed)


def ours(index: str, table: NDArray, budget: int, seed: int) -> NDArray:
    players = int(np.log2(len(table)))
    method = tfxai.ShapleyInteractions(index=index, samples=budget, background=0.0, seed=seed)  # pyright: ignore[reportArgumentType]
    found = method(lambda rows: table[(rows > 0.5) @ 2 ** np.arange(players)], np.ones((1, players)))
    assert found.passes[0] <= budget
    return found.interactions[0]


def theirs(name: str, index: str, table: NDArray, budget: int, seed: int) -> NDArray | None:
    players, passes = int(np.log2(len(table))), 0

    def worth(coalitions: NDArray) -> NDArray:
        nonlocal passes
        inside = np.atleast_2d(np.asarray(coalitions)) > 0.5
        passes += len(inside)
        return table[inside @ 2 ** np.arange(players)] - table[0]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = THEIRS[index][name](players, max_order=2, random_state=seed).approximate(budget, worth)
        except ValueError as error:
            if "Insufficient budget" not in str(error):
                raise
            return None
    return as_matrix(values.dict_values, players)


def as_matrix(values: dict[tuple[int, ...], float], players: int) -> NDArray:
    """Symmetric, single players on the diagonal."""
    found = np.zeros((players, players))
    for members, value in values.items():
        if members:
            found[members[0], members[-1]] = found[members[-1], members[0]] = value
    return found


def apart(index: str) -> float:
    """The largest difference from shapiq's exact values, of a network of 8 players."""
    table = USUAL["network"](8, np.random.default_rng(0))
    exact = ExactComputer(
        n_players=8, game=lambda z: table[np.atleast_2d(z).astype(int) @ 2 ** np.arange(8)] - table[0]
    )
    wanted = as_matrix(exact(index, order=2).dict_values, 8)
    return float(np.abs(ours(index, table, 256, 0) - wanted).max() / np.abs(wanted).max())


def told(found: list[NDArray | None], truths: list[NDArray]) -> str:
    """The median error and the worst."""
    upper = np.triu_indices(len(truths[0]))
    errors = [
        float(np.linalg.norm((each - truth)[upper]) / np.linalg.norm(truth[upper]))
        for each, truth in zip(found, truths, strict=True)
        if each is not None
    ]
    return f"{statistics.median(errors):.2g} ({max(errors):.2g})" if errors else "-"


if __name__ == "__main__":
    main()
