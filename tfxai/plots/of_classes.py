"""The mean map of each class."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxai.plots import canvas, titles
from tfxai.plots.canvas import KEY
from tfxai.plots.colours import colour_key
from tfxai.plots.protocol import Percentile
from tfxai.plots.rgb import rgb
from tfxai.plots.single_map import flattened, heatmap, scale_of
from tfxai.plots.titles import KEY_OF_COLOURS, Labels
from tfxai.support import Count, checked

ACROSS = 5  # maps in a row


class OfClasses(Protocol):
    """Mean maps, as of `tfxai.data.ClassMaps`; its docstring has the shapes."""

    @property
    def classes(self) -> NDArray:
        """(C,)."""
        ...

    @property
    def counts(self) -> NDArray:
        """(C,) maps of each."""
        ...

    @property
    def means(self) -> NDArray:
        """(C, H, W) or (C, T)."""
        ...

    @property
    def interval(self) -> NDArray:
        """Shape of means + (2,)."""
        ...

    @property
    def inputs(self) -> NDArray | None:
        """Mean input of each class."""
        ...


@checked
def class_maps(
    maps: OfClasses,
    labels: Labels | None = None,
    *,
    certain: bool = False,
    percentile: Percentile = 99,
    limit: Count = 50,
) -> Figure:
    """Where the evidence for each class lies on average, on the mean input of the class. All maps share one scale.

    maps:    of `tfxai.data.class_maps`.
    labels:  class names, by class index.
    certain: only places whose mean certainly is not 0 (their 95 % interval does not hold it).
    percentile: of |mean|, where the colours end.
    limit:   how many classes are drawn; the figure says so if there are more.

    Raises ValueError if labels do not fit.
    """
    means = np.asarray(maps.means[:limit], np.float64)
    if certain:
        held = (maps.interval[:limit, ..., 0] <= 0) & (maps.interval[:limit, ..., 1] >= 0)
        means = np.where(held, 0.0, means)
    ground = np.ones((*means.shape, 1)) if maps.inputs is None else np.asarray(maps.inputs[:limit])
    pictures, signed = rgb(ground), bool((means < 0).any())
    across = min(ACROSS, len(means))
    figure, grid = canvas.sheet(-(-len(means) // across), across, pictures, width=1.5, right=KEY)
    scale = scale_of(means, pictures[0], percentile)
    for number, ax in enumerate(grid.reshape(-1)):
        if number >= len(means):
            ax.set_axis_off()
            continue
        picture, (values,), _ = flattened(pictures[number], means[number][None])
        heatmap(values, picture, ax, signed=signed, scale=scale)
        count = int(maps.counts[number])
        titles.title(
            ax,
            titles.class_name(maps.classes[number], labels),
            f"{count} maps" if count > 1 else "1 map",
            values,
        )
    colour_key(grid[0, across - 1], signed, scale)
    shown = "places that are certain" if certain else ""
    drawn = titles.first_of(limit, len(maps.classes), "classes")
    titles.footnote(figure, drawn, "Mean map on the mean input", shown, KEY_OF_COLOURS if signed else "")
    return figure
