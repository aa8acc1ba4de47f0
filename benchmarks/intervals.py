"""Do the intervals of KernelSHAP hold when it stops by itself, and does it stop in time? On games whose values are known.

    python benchmarks/intervals.py [--games 1000] [--oracle 80] [--tolerance 5]

Games of 8 to 12 players, listed over all coalitions (tests/exact_games.py): smooth ones, and some made to mislead. A game is
covered if the intervals of all its players hold together where drawing stopped (confidence 0.95), and within if all values
lie within the tolerance. The oracle knows the truth: it takes the fewest passes, the same for every seed, with which 19 of 20
seeds are within the tolerance; it never has to prove it. Its estimates are those of the same draws, corrected in full as with
a tolerance (`ratio`), or as without one (`best ratio`), for some games of each kind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from exact_games import HARD, USUAL, shapley_values

import tfxai
from tfxai.games import Estimate, Pairs, Surrogate, estimated
from tfxai.methods.kernel_shap import _Game, _surrogate

SEEDS, BAD = 20, 1  # of the oracle: draws, and how many of them may be beyond the tolerance
KINDS = {**USUAL, **HARD}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--oracle", type=int, default=80, help="games for which the oracle is asked")
    parser.add_argument("--tolerance", type=float, default=5, help="in percent of the largest value")
    options = parser.parse_args()
    share, table = options.tolerance / 100, Table("games", "number", "covered", "within", "passes", "ratio", "best ratio")  # fmt: skip
    every = []
    for kind, make in KINDS.items():
        rows = []
        for seed in range(-(-options.games // len(KINDS))):
            players = 8 + seed % 5
            game = make(players, np.random.default_rng(seed))
            asked = seed < options.oracle // len(KINDS)
            rows.append([*stopped(game, seed, share), *oracle(game, share, asked)])
        every += rows
        table.add_row(kind, str(len(rows)), *summary(np.array(rows)))
    table.add_section()
    table.add_row("all", str(len(every)), *summary(np.array(every)))
    Console(width=110).print(table)


def stopped(game: NDArray, seed: int, share: float) -> tuple[float, float, float]:
    """Whether a game is covered and within the tolerance, and how many passes that took."""
    players, truth = int(np.log2(len(game))), shapley_values(game)
    method = tfxai.KernelSHAP(samples=len(game), seed=seed, tolerance=f"{100 * share:g}%")
    played = _Game(Pairs(players, seed), lambda rows, share: game[rows @ 2 ** np.arange(players)][:, None], _surrogate)  # fmt: skip
    values, known = method._shared(played, 1)
    rounding = 1e-6 * np.abs(truth).max()
    covered = (known.low[0] - rounding <= truth).all() and (truth <= known.high[0] + rounding).all()
    within = np.abs(values[:, 0] - truth).max() <= share * np.abs(truth).max() * 1.0001
    return float(covered), float(within), float(known.passes)


def oracle(game: NDArray, share: float, asked: bool) -> tuple[float, float]:
    """Passes of the oracle by corrected values, and by those without a tolerance; NaN where it is not asked."""
    if not asked:
        return np.nan, np.nan
    return tuple(fewest(game, share, read) for read in (lambda e: e.corrected, lambda e: e.values))  # pyright: ignore


def fewest(game: NDArray, share: float, read: Callable[[Estimate], NDArray]) -> float:
    """The fewest passes on a grid with which enough seeds are within the tolerance."""
    players, truth = int(np.log2(len(game))), shapley_values(game)
    grid = np.unique(np.geomspace(players, len(game) // 2 - 1, 30).astype(int))
    low, high = 0, len(grid) - 1
    while low < high:
        middle = (low + high) // 2
        beyond = 0
        for seed in range(SEEDS):
            values = read(drawn(game, int(grid[middle]), 1000 + seed))[:, 0]
            beyond += np.abs(values - truth).max() > share * np.abs(truth).max()
            if beyond > BAD:
                break
        low, high = (low, middle) if beyond <= BAD else (middle + 1, high)
    return 2.0 * (1 + int(grid[low]))


def drawn(game: NDArray, pairs: int, seed: int) -> Estimate:
    """What so many pairs tell of a game."""
    players = int(np.log2(len(game)))
    rows = np.concatenate([np.ones((1, players), bool), Pairs(players, seed).upto(pairs)])
    differences = (game[rows @ 2 ** np.arange(players)] - game[~rows @ 2 ** np.arange(players)])[:, None]
    return estimated(Surrogate(rows), rows[1:], differences[1:], differences[0])


def summary(rows: NDArray) -> list[str]:
    """Means of what is true or false, medians of the rest."""
    covered, within, passes, corrected, best = rows.T
    asked = np.isfinite(corrected)
    ratios = [np.median(passes[asked] / each[asked]) if asked.any() else np.nan for each in (corrected, best)]
    return [f"{covered.mean():.3f}", f"{within.mean():.3f}", f"{np.median(passes):.0f}", *(f"{r:.2f}" for r in ratios)]  # fmt: skip


if __name__ == "__main__":
    main()
