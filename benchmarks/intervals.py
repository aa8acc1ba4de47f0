"""Do the intervals of KernelSHAP hold when it stops by itself, and does it stop in time? On games whose values are known.

    python benchmarks/intervals.py [--of shapley|k-SII|STII|FSII] [--games 1000] [--oracle 80] [--tolerance 5]

Games of 8 to 12 players, listed over all coalitions (tests/exact_games.py): smooth ones, and some made to mislead. A game is
covered if the intervals of all its players (of ShapleyInteractions also those of each two) hold together where drawing
stopped (confidence 0.95), and within if all values lie within the tolerance. The oracle knows the truth: it takes the fewest
passes, the same for every seed, with which 19 of 20 seeds are within the tolerance; it never has to prove it. Its estimates are
those of the same draws, corrected in full as with a tolerance (`ratio`), or as without one (`best ratio`), for some games of
each kind.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from exact_games import HARD, USUAL, interactions, shapley_values

import tfxai
from tfxai.games import Estimate, Pairs, Sample, Surrogate, estimated, shapley
from tfxai.games import interactions as of_twos

SEEDS, BAD = 20, 1  # of the oracle: draws, and how many of them may be beyond the tolerance
KINDS = {**USUAL, **HARD}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--of", choices=["shapley", "k-SII", "STII", "FSII"], default="shapley")
    parser.add_argument("--games", type=int, default=1000)
    parser.add_argument("--oracle", type=int, default=80, help="games for which the oracle is asked")
    parser.add_argument("--tolerance", type=float, default=5, help="in percent of the largest value")
    options = parser.parse_args()
    asked, table = Asked(options.of, options.tolerance / 100), Table("games", "number", "covered", "within", "passes", "ratio", "best ratio")  # fmt: skip
    every = []
    for kind, make in KINDS.items():
        rows = []
        for seed in range(-(-options.games // len(KINDS))):
            players = 8 + seed % 5
            game = make(players, np.random.default_rng(seed))
            wanted = seed < options.oracle // len(KINDS)
            rows.append([*stopped(game, seed, asked), *oracle(game, asked, wanted)])
        every += rows
        table.add_row(kind, str(len(rows)), *summary(np.array(rows)))
    table.add_section()
    table.add_row("all", str(len(every)), *summary(np.array(every)))
    Console(width=110).print(table)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is measured: Shapley values, or interactions of an index; and how far they may be off, beside the largest."""

    index: str
    share: float

    def truth(self, game: NDArray) -> list[NDArray]:
        """Arrays of numbers; each has a tolerance of its own."""
        values = shapley_values(game)
        return [values] if self.index == "shapley" else [values, interactions(game, self.index)]

    def found(self, explanation: tfxai.Explanation) -> list[tuple[NDArray, NDArray]]:
        """The same of one explanation, with their intervals."""
        numbers = [(explanation.weights, explanation.weights_interval)]
        if self.index != "shapley":
            numbers.append((explanation.interactions, explanation.interactions_interval))
        return [(values[0], ends[0]) for values, ends in numbers]

    def method(self, **settings: Any) -> tfxai.Method:
        """The method that tells them."""
        if self.index == "shapley":
            return tfxai.KernelSHAP(background=0.0, **settings)
        return tfxai.ShapleyInteractions(index=self.index, background=0.0, **settings)

    def draw(self, game: NDArray, pairs: int, seed: int) -> list[Estimate]:
        """What so many pairs tell of a game."""
        players, taylor = int(np.log2(len(game))), self.index == "STII"
        rows = Pairs(players, seed, taylor).upto(pairs)
        rows = np.concatenate([np.ones((1, players), bool), rows])
        worth = [game[each @ 2 ** np.arange(players)][:, None] for each in (rows, ~rows)]
        kinds = (
            [Surrogate(rows)] if self.index == "shapley" else [Surrogate(rows), Surrogate(rows, even=True)]
        )
        sample = Sample.of(rows, *worth, kinds)
        if self.index == "shapley":
            return [estimated(shapley(players), sample)]
        return list(of_twos(self.index, sample))


def stopped(game: NDArray, seed: int, asked: Asked) -> tuple[float, float, float]:
    """Whether a game is covered and within the tolerance, and how many passes that took."""
    players = int(np.log2(len(game)))
    method = asked.method(samples=len(game), seed=seed, tolerance=f"{100 * asked.share:g}%")
    explanation = method(lambda rows: game[(rows > 0.5) @ 2 ** np.arange(players)], np.ones((1, players)))
    covered, within = True, True
    for (values, ends), truth in zip(asked.found(explanation), asked.truth(game), strict=True):
        largest = np.abs(truth).max()
        rounding = 1e-5 * largest  # scores are in single precision
        covered &= bool(((ends[..., 0] - rounding <= truth) & (truth <= ends[..., 1] + rounding)).all())
        within &= bool(np.abs(values - truth).max() <= asked.share * largest * 1.0001)
    return float(covered), float(within), float(explanation.passes[0])


def oracle(game: NDArray, asked: Asked, wanted: bool) -> tuple[float, float]:
    """Passes of the oracle by corrected values, and by those without a tolerance; NaN where it is not wanted."""
    if not wanted:
        return np.nan, np.nan
    return tuple(fewest(game, asked, read) for read in (lambda e: e.corrected, lambda e: e.values))  # pyright: ignore


def fewest(game: NDArray, asked: Asked, read: Callable[[Estimate], NDArray]) -> float:
    """The fewest passes on a grid with which enough seeds are within the tolerance."""
    players, truths = int(np.log2(len(game))), asked.truth(game)
    grid = np.unique(np.geomspace(players, len(game) // 2 - 1, 30).astype(int))
    low, high = 0, len(grid) - 1
    while low < high:
        middle = (low + high) // 2
        beyond = 0
        for seed in range(SEEDS):
            found = asked.draw(game, int(grid[middle]), 1000 + seed)
            beyond += any(
                np.abs(read(each)[..., 0] - truth).max() > asked.share * np.abs(truth).max()
                for each, truth in zip(found, truths, strict=True)
            )
            if beyond > BAD:
                break
        low, high = (low, middle) if beyond <= BAD else (middle + 1, high)
    return 2.0 * (1 + int(grid[low]))


def summary(rows: NDArray) -> list[str]:
    """Means of what is true or false, medians of the rest."""
    covered, within, passes, corrected, best = rows.T
    asked = np.isfinite(corrected)
    ratios = [np.median(passes[asked] / each[asked]) if asked.any() else np.nan for each in (corrected, best)]
    return [f"{covered.mean():.3f}", f"{within.mean():.3f}", f"{np.median(passes):.0f}", *(f"{r:.2f}" for r in ratios)]  # fmt: skip


if __name__ == "__main__":
    main()
