"""The figure of the sanity checks: how maps change while a model is destroyed layer by layer."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import GREY, INK, MARGIN, SMALL, TICKS, TITLE
from tfxai.plots.colours import line_colours
from tfxai.plots.protocol import Explained, LayerByLayer, Percentile
from tfxai.plots.reading import maps_and_inputs
from tfxai.plots.rgb import rgb
from tfxai.plots.single_map import draw_input, flattened, heatmap
from tfxai.plots.titles import Labels
from tfxai.support import Count, checked

CELL, SLIT = 1.15, 0.06  # inches: width of a map, and between maps
HEADS, CURVE, KEYS = 0.62, 1.9, 0.3  # inches: height of the layers' names, of the curves, of their key
LEFT = MARGIN + TICKS  # inches, of the first map
CURVES = {"spearman_abs": "Rank correlation of magnitudes", "ssim": "Structural similarity"}


@checked
def sanity(
    report: LayerByLayer,
    labels: Labels | None = None,
    *,
    example: int = 0,
    columns: Count = 10,
    percentile: Percentile = 99,
) -> Figure:
    """The figure of arXiv:1810.03292: how maps change while a model is destroyed layer by layer.

    Rows are methods, columns the layers destroyed so far, with the probability that is left of the class; every map on
    its own scale. Below, similarity to the trained model's map at each step: the mean over inputs, and one standard
    deviation around it. Without explanations in the report (`explanations=True`) only the curves are drawn.

    report:  of tfxai.sanity.randomize_model.
    labels:  class names, by class index.
    example: which of the inputs is drawn.
    columns: how many steps are drawn, the first and last included; the others are passed over evenly.

    Raises ValueError if there is no such example.
    """
    count = report.scores.shape[1]
    if not -count <= example < count:
        raise ValueError(f"example is {example}; the report has {count} inputs, counted from 0.")
    steps = np.unique(np.linspace(0, len(report.layers), max(columns, 2)).round().astype(int))
    width = LEFT + max((len(steps) + 1) * (CELL + SLIT), 7.5) + MARGIN
    grid = _Grid(report, [-1, *map(int, steps)], example, percentile, labels)
    below = MARGIN + grid.height
    figure = canvas.blank(width, below + TITLE + CURVE + TICKS + KEYS + 2 * MARGIN)
    for row, (name, explanations) in enumerate(grid.explained.items()):
        grid.draw(figure, row, name, explanations)
    _draw_similarity(figure, report, below + TITLE)
    destroyed = "Each column destroys one layer" + (" more" if report.mode == "cascading" else "")
    notes = (f"{destroyed}; under its name what is left of the class", "each map on its own scale")
    titles.footnote(figure, *(notes if grid.explained else ()))
    return figure


@dataclasses.dataclass(frozen=True)
class _Grid:
    """The maps of one input: a row for each method, a column for each step; before them, step -1, the input."""

    report: LayerByLayer
    steps: Sequence[int]
    example: int
    percentile: float
    labels: Labels | None

    @functools.cached_property
    def explained(self) -> dict[str, Sequence[Explained]]:
        return dict(self.report.explanations or {})

    @functools.cached_property
    def picture(self) -> NDArray:
        """The input that is drawn."""
        (first, *_), *_ = self.explained.values()
        return rgb(maps_and_inputs(first, None)[1][[self.example]])[0]

    @property
    def cell(self) -> float:
        """Height of a map, in inches."""
        shape = self.picture.shape
        return CELL * (shape[-3] / shape[-2] if len(shape) > 2 else 0.6)

    @property
    def height(self) -> float:
        """Of all rows and the names above them, in inches."""
        return HEADS + len(self.explained) * (self.cell + SLIT) if self.explained else 0.0

    def draw(self, figure: Figure, row: int, name: str, explanations: Sequence[Explained]) -> None:
        """The row of one method."""
        y, picture = MARGIN + HEADS + row * (self.cell + SLIT), self.picture
        signed = any((explanation.heatmap() < 0).any() for explanation in explanations)
        for column, step in enumerate(self.steps):
            ax = canvas.placed(figure, LEFT + column * (CELL + SLIT), y, CELL, self.cell)
            maps = maps_and_inputs(explanations[max(step, 0)], None)[0][self.example, :1]
            shown, heat, _ = flattened(picture, maps)
            if step >= 0:
                heatmap(heat[0], shown, ax, signed=signed, percentile=self.percentile)
            elif row == 0:
                draw_input(ax, shown)
            else:
                ax.set_axis_off()
            if step < 0:
                _name_row(ax, name, beside_picture=row == 0)
            sides = ("left", "right", "bottom", "labelleft", "labelright", "labelbottom")
            ax.tick_params(**dict.fromkeys(sides, False))
            if row == 0:
                self._name_column(ax, step)

    def _name_column(self, ax: Axes, step: int) -> None:
        """Above a map the layer that was destroyed last, and what is left of the class."""
        if step < 0:
            titles.title(ax, titles.class_name(self.report.targets[self.example], self.labels), "")
            return
        name = titles.cut("trained" if step == 0 else self.report.layers[step - 1], 72, SMALL)
        slanted = {"rotation": 32, "ha": "left", "va": "bottom", "size": SMALL, "color": INK}
        ax.text(0.04, 1.22, name, transform=ax.transAxes, parse_math=False, **slanted)
        score = self.report.scores[step, self.example]
        if np.isfinite(score):
            left = titles.score_text(score, "probability")
            ax.set_title(left, loc="left", size=SMALL, color=GREY, pad=3)


def _name_row(ax: Axes, name: str, beside_picture: bool) -> None:
    """Under the input it says whose maps follow; in other rows there is nothing else."""
    x, turned = (-0.06, 90) if beside_picture else (0.97, 0)
    style = {"ha": "right", "va": "center", "rotation": turned, "size": SMALL + 0.5, "color": INK}
    ax.text(x, 0.5, titles.words(name), transform=ax.transAxes, parse_math=False, **style)


def _draw_similarity(figure: Figure, report: LayerByLayer, y: float) -> None:
    """Curves of two measures side by side, with one key; `y` inches from the upper edge."""
    width, height = figure.get_size_inches()
    each = (width - LEFT - MARGIN) / len(CURVES)
    spread = "mean and standard deviation over inputs" if report.scores.shape[1] > 1 else ""
    for column, (measure, name) in enumerate(CURVES.items()):
        ax = canvas.placed(figure, LEFT + column * each, y, each - 1.2 * TICKS, CURVE)
        _draw_curves(ax, report, report.similarity[measure])
        titles.title(ax, name, spread if column == 0 else "")
    legend = figure.legend(
        *figure.axes[-1].get_legend_handles_labels(),
        loc="lower left",
        bbox_to_anchor=(LEFT / width, (MARGIN + 0.17) / height),
        ncols=min(len(report.methods), 6),
        fontsize=SMALL,
        borderaxespad=0,
        frameon=False,
        labelcolor=INK,
    )
    titles.without_formulas(legend)


def _draw_curves(ax: Axes, report: LayerByLayer, similarity: NDArray) -> None:
    """A line for each method; similarity: (methods, steps, inputs)."""
    colours = line_colours(len(report.methods))
    for name, colour, values in zip(report.methods, colours, similarity, strict=True):
        mean, spread, steps = values.mean(axis=1), values.std(axis=1), np.arange(len(values))
        ax.plot(steps, mean, color=colour, linewidth=1.3, label=titles.words(name))
        ax.fill_between(steps, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    ax.axhline(0, color=GREY, linewidth=0.5)
    ax.set(xlim=(0, len(report.layers)), ylim=(min(-0.25, float(np.nanmin(similarity))), 1.05))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("layers destroyed", size=SMALL, color=GREY, labelpad=2)
    canvas.quiet(ax)
