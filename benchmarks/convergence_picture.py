"""Draws what convergence.py measured: one panel for each kind of game, error against passes."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

PANELS = {
    "12 players": "games with 12 players, exact truth",
    "16 players": "games with 16 players, exact truth",
    "table, 32 parts": "table, 32 columns",
    "text, 32 parts": "text, 32 words",
    "image, 36 parts": "image, 36 segments",
    "image, 64 parts": "image, 64 segments",
}
RIVALS = {  # name: (colour, label); in the order of the legend
    "shap KernelExplainer": ("#d1495b", "shap KernelExplainer"),
    "shapiq KernelSHAP, pairs": ("#edae49", "shapiq KernelSHAP, pairs"),
    "shapiq kADDSHAP": ("#66a182", "shapiq kADD-SHAP"),
    "shapiq SVARM": ("#8d6a9f", "shapiq SVARM"),
    "shapiq PermutationSamplingSV": ("#8a8f98", "shapiq permutations"),
}
OWN, INK, FAINT, EXACT = "#00798c", "#2b2f36", "#e6e8eb", 1e-5


def draw(runs: list[dict], path: Path, ours: str) -> None:
    """Six panels on white, one legend."""
    with plt.rc_context({"font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": "#c5c9cf"}):
        figure, axes = plt.subplots(2, 3, figsize=(11.5, 7.2), layout="constrained")
        for axis, (group, title) in zip(axes.flat, PANELS.items(), strict=True):
            _panel(axis, [run for run in runs if run["group"] == group], title, ours)
        for axis in axes[:, 0]:
            axis.set_ylabel("relative error, median", color=INK)
        for axis in axes[1]:
            axis.set_xlabel("coalitions", color=INK)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncol=3, frameon=False, labelcolor=INK)
        figure.savefig(path, dpi=120, facecolor="white")
        plt.close(figure)


def _panel(axis: Axes, runs: list[dict], title: str, ours: str) -> None:
    lines = {ours: (OWN, ours), **RIVALS}
    for name, (colour, label) in lines.items():
        own = [run for run in runs if run["method"] == name]
        budgets = sorted({run["times"] for run in own})
        groups = [[run for run in own if run["times"] == times] for times in budgets]
        passes = [statistics.median(run["passes"] for run in group) for group in groups]
        errors = [max(statistics.median(run["error"] for run in group), EXACT) for group in groups]
        bold = (
            {"linewidth": 3.2, "markersize": 7, "zorder": 5}
            if name == ours
            else {"linewidth": 1.6, "markersize": 4}
        )
        axis.plot(passes, errors, "o-", color=colour, label=label, **bold)
    axis.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
    axis.set_xscale("log")
    axis.set_yscale("log")
    _tidy(axis, sorted({round(run["passes"]) for run in runs if run["method"] == ours}))


def _tidy(axis: Axes, budgets: list[int]) -> None:
    """Ticks where something was measured, errors in per cent, a faint grid, no box."""
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticks(budgets, [f"{budget:,}" for budget in budgets])
    low, high = axis.get_ylim()
    marks = [mark for mark in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if low <= mark <= high]
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_yticks(marks)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axis.grid(color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=INK, length=0)
