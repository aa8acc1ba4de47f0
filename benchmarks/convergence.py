"""How far from the truth after how many passes: KernelSHAP beside `shap` and `shapiq`, other methods beside themselves.

    pip install shap shapiq lightgbm lime captum
    python benchmarks/convergence.py [--only exact|keras|methods] [--games 40] [--players 8 12 16] [--picture convergence.png]

The error is ||found - truth|| / ||truth||, the median over games and in brackets the worst. Every estimator gets the same
number of passes: those of the empty and the full coalition count, and none takes more than it is given. A star marks the best
rival of a column. Three parts:

exact    games whose coalitions are listed (tests/exact_games.py), so that the truth is a definition.
keras    parts of what small trained networks see (model_games.py), 10 games of each at most. A coalition of a table takes 20
         passes, for its background has 20 rows; the columns count coalitions.
methods  tfxai's other methods, each against a run of itself with ten times the passes or more; LIME also beside `lime`.

Captum explains PyTorch's models, but its estimators take any function of tensors; it is left out where it is not installed. All takes a quarter of an hour on two cores. What was measured is kept in the folder for temporary files, and the
picture shows all that is there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import model_games
import numpy as np
import rivals
from convergence_picture import draw
from rich.console import Console
from rich.table import Table

import tfxai

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from exact_games import USUAL, shapley_values

OURS = "tfxai KernelSHAP"
TIMES = (5, 10, 20, 50)  # passes for each player
SEEDS, FEW, TIME_TAKING = 7, 4, 12  # draws of ours; games for slow rivals, and of how many players
LARGE = 16  # parts; of more, rivals that are slow and far off, or the same as another, are left out
ROUNDING = 1e-5
KEPT = Path(tempfile.gettempdir()) / "tfxai_convergence.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """One explanation of one game. group: what is compared with each other; times: budget in passes for each player."""

    part: str
    group: str
    kind: str
    game: int
    method: str
    times: int
    passes: int
    error: float


def main() -> None:
    """Measures, prints, and draws."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["exact", "keras", "methods"], help="one part")
    parser.add_argument("--games", type=int, default=40, help="of each size, the kinds in turn")
    parser.add_argument("--players", type=int, nargs="+", default=[8, 12, 16], help="of exact games")
    parser.add_argument("--picture", type=Path, help="file to draw into")
    options = parser.parse_args()

    console = Console(width=150)
    parts: dict[str, Callable[[], Iterator[Run]]] = {
        "exact": lambda: exact(options.players, options.games),
        "keras": lambda: of_models(min(options.games, 10)),
        "methods": other_methods,
    }
    for part, measure in parts.items():
        if options.only in (None, part):
            runs: list[Run] = []
            for run in measure():
                if runs and run.group != runs[-1].group:
                    show([known for known in runs if known.group == runs[-1].group], console)
                runs.append(run)
            show([known for known in runs if known.group == runs[-1].group], console)
            if part == "exact":
                console.print(by_kind(runs))
            keep(part, runs)
    console.print(summary(kept()))
    if options.picture:
        draw([dataclasses.asdict(run) for run in kept()], options.picture, OURS)


def kept() -> list[Run]:
    """What was measured before."""
    return [Run(**run) for run in json.loads(KEPT.read_text())] if KEPT.exists() else []


def keep(part: str, runs: list[Run]) -> None:
    """In place of what was measured of this part before."""
    every = [run for run in kept() if run.part != part] + runs
    KEPT.write_text(json.dumps([dataclasses.asdict(run) for run in every]))


def off(found: np.ndarray, truth: np.ndarray) -> float:
    """Relative error. What rounding in single precision makes is none."""
    error = float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
    return error if error > ROUNDING else 0.0


def exact(sizes: list[int], games: int) -> Iterator[Run]:
    """Games that are known through and through."""
    for players in sizes:
        kinds = [list(USUAL)[game % len(USUAL)] for game in range(games)]
        tables = [USUAL[kind](players, np.random.default_rng(7 + 1000 * i)) for i, kind in enumerate(kinds)]
        truths = [shapley_values(table) for table in tables]
        for times in TIMES:
            budget = min(times * players, 2**players)
            for name, game, found, passes in _exactly(tables, players, budget):
                error = off(found, truths[game])
                yield Run("exact", f"{players} players", kinds[game], game, name, times, passes, error)


def _exactly(tables: list[np.ndarray], players: int, budget: int) -> Iterator[tuple]:
    """Method, number of the game, values, passes."""
    places = 2 ** np.arange(players)
    every = np.stack(tables, axis=1)
    for seed in range(min(SEEDS, len(tables))):  # games of one seed are explained from the same coalitions
        some = list(range(seed, len(tables), SEEDS))
        method = tfxai.KernelSHAP(samples=budget, background=0.0, seed=seed)
        found = method(lambda rows: every[(rows > 0.5) @ places], np.ones((1, players)), [some])
        for k, game in enumerate(some):
            yield OURS, game, found.weights[0, k], int(found.passes[0, k])
    for name in (*rivals.PLAIN, *rivals.SETTINGS, *(rivals.SLOW if players == TIME_TAKING else ())):
        for game, table in enumerate(tables[: FEW if name in rivals.SLOW else None]):
            answer = rivals.rival(name, lambda inside, t=table: t[inside @ places], players, budget, game)
            if answer is not None:
                yield name, game, *answer


def of_models(games: int) -> Iterator[Run]:
    """Games of small Keras models."""
    for name, sizes in model_games.GROUPS.items():
        for parts in sizes:
            kind = model_games.kind(name, parts, games)
            truths, errors = model_games.truth(kind, games)
            group = f"{name}, {parts} parts"
            print(f"{group}: the truth is known to {errors.max():.2%}")
            for times in TIMES:
                for method, game, found, passes in _of_model(kind, games, times * parts):
                    yield Run("keras", group, name, game, method, times, passes, off(found, truths[game]))


def _of_model(kind: model_games.Kind, games: int, budget: int) -> Iterator[tuple]:
    """Method, number of the game, values, coalitions."""
    for game in range(games):
        yield OURS, game, kind.ours(game, budget, game), budget
        for name in (*rivals.PLAIN, *rivals.SETTINGS):
            if not _quick(name, kind.parts):
                continue
            found, passes = rivals.rival(name, lambda z, g=game: kind.worth(g, z), kind.parts, budget, game)
            yield name, game, found, passes


def _quick(name: str, parts: int) -> bool:
    """Whether a rival is done in seconds, or near enough to be worth minutes."""
    slow = ("Stratified", "Owen", "order 3", "SVARM, pairs", "Unbiased", "KernelSHAPIQ", "FSII")
    return parts <= LARGE or not any(word in name for word in slow)


def other_methods() -> Iterator[Run]:
    """Errors of sampling and of steps, on one small image model."""
    from convergence_methods import measured

    for method, game, times, passes, error in measured():
        yield Run("methods", "other methods", "image", game, method, times, passes, error)


def show(runs: list[Run], console: Console) -> None:
    """One table: methods down, budgets across."""
    budgets = sorted({run.times for run in runs})
    table = Table("method", *_heads(runs, budgets), title=runs[0].group)
    medians = {
        (method, times): _median(runs, method, times) for method in _methods(runs) for times in budgets
    }
    games = max(run.game for run in runs) + 1
    whole = [m for m in _methods(runs) if m != OURS and _count(runs, m, budgets[0]) == games]
    best = {times: min(whole, key=lambda m, t=times: medians[m, t]) for times in budgets}
    rivalled = OURS in _methods(runs)
    for method in _methods(runs):
        cells = [_cell(runs, method, times, rivalled and best[times] == method) for times in budgets]
        few = "" if method in (OURS, *whole) else f" ({_count(runs, method, budgets[-1])} games)"
        table.add_row(method + few, *cells, style="bold" if method == OURS else "")
    if rivalled:
        plain = [m for m in whole if m in rivals.PLAIN]
        for label, chosen in (("best rival as it comes", plain), ("best rival, any setting", whole)):
            names = [min(chosen, key=lambda m, t=times: medians[m, t]) for times in budgets]
            table.add_row(label, *(_short(name) for name in names), style="dim")
            pairs = [(medians[OURS, t], medians[name, t]) for t, name in zip(budgets, names, strict=True)]
            table.add_row("  error of ours / of it", *(_share(*pair) for pair in pairs))
    console.print(table)


def _heads(runs: list[Run], budgets: list[int]) -> list[str]:
    if runs[0].part == "methods":
        return [str(times) for times in budgets]
    return [f"{times}n = {max(run.passes for run in runs if run.times == times)}" for times in budgets]


def _methods(runs: list[Run]) -> list[str]:
    return list(dict.fromkeys(run.method for run in runs))


def _errors(runs: list[Run], method: str, times: int) -> list[float]:
    return [run.error for run in runs if (run.method, run.times) == (method, times)]


def _count(runs: list[Run], method: str, times: int) -> int:
    return len(_errors(runs, method, times))


def _median(runs: list[Run], method: str, times: int) -> float:
    return statistics.median(_errors(runs, method, times) or [float("inf")])


def _cell(runs: list[Run], method: str, times: int, best: bool) -> str:
    errors = _errors(runs, method, times)
    if not errors:
        return "-"
    return f"{statistics.median(errors):.2g} ({max(errors):.2g})" + "*" * best


def _short(name: str) -> str:
    return name.removeprefix("shapiq ").replace("shap KernelExplainer", "shap")


def _share(ours: float, theirs: float) -> str:
    if not theirs:
        return "both exact" if not ours else "the rival is exact"
    return f"{ours / theirs:.2f}" + (", the rival wins" if ours > theirs else "")


def summary(runs: list[Run]) -> Table:
    """Groups down, budgets across: median error of ours, of `shap`, and of the best setting of `shapiq`."""
    table = Table("game", *(f"{times}n" for times in TIMES), title="tfxai : shap : best of shapiq")
    compared = [run for part in ("exact", "keras") for run in runs if run.part == part]
    for group in dict.fromkeys(run.group for run in compared):
        some = [run for run in runs if run.group == group]
        games = max(run.game for run in some) + 1
        others = [m for m in _methods(some) if "shapiq" in m and _count(some, m, TIMES[0]) == games]
        cells = []
        for times in TIMES:
            theirs = min(others, key=lambda m, t=times, r=some: _median(r, m, t))
            errors = [_median(some, method, times) for method in (OURS, "shap KernelExplainer", theirs)]
            cells.append(" : ".join("0" if not error else f"{error:.1%}" for error in errors))
        table.add_row(group, *cells)
    return table


def by_kind(runs: list[Run]) -> Table:
    """Kinds of games apart: ours, and the best of all rivals."""
    budgets = sorted({run.times for run in runs})
    heads = [f"{times}n" for times in budgets]
    table = Table("players", "kind", *heads, title="median error of ours : of the best rival, any setting")
    for group in dict.fromkeys(run.group for run in runs):
        for kind in USUAL:
            some = [run for run in runs if (run.group, run.kind) == (group, kind)]
            cells = []
            for times in budgets:
                others = [m for m in _methods(some) if m not in (OURS, *rivals.SLOW)]
                name = min(others, key=lambda m, t=times, r=some: _median(r, m, t))
                ours, theirs = _median(some, OURS, times), _median(some, name, times)
                cells.append(f"{ours:.2g} : {theirs:.2g}" + (f", {_short(name)}" if theirs < ours else ""))
            table.add_row(group.split()[0], kind, *cells)
    return table


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    main()
